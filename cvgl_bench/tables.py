"""Records become tables: one of a record's cells, one that sets models side by side."""

import math
from collections.abc import Collection, Sequence

import pandas as pd

from cvgl_bench.record import Record
from cvgl_bench.scores import beats_chance
from cvgl_bench.suite import CLEAN
from cvgl_bench.summary import Summary, refuse_other_ground, summarise

SEVERITY_COLUMN = "severity {}"
NO_MORE_THAN_CHANCE = (
    "finds no more than chance when clean: its RCE, relative mCE and breaking severity mean nothing"
)


def cell_table(record: Record, view: str = "full") -> pd.DataFrame:
    """R@1 in percent, a row a corruption and a column a severity, with the mean over severities.

    Where the run has them, hit rate and AP follow, also in percent, their means over severities.

    Args:
        record: the run.
        view: one of its views; the first rows, clean and codec_only, have no severity.
    """
    summary = summarise(record, view)
    rows: dict[str, dict[str, float | None]] = {}
    for cell, r1 in record.recalls(view).items():
        row = rows.setdefault(cell.corruption, {})
        row[SEVERITY_COLUMN.format(cell.severity) if cell.severity else "mean"] = percent(r1)
        if cell.corruption in summary.by_corruption:
            row["mean"] = percent(summary.by_corruption[cell.corruption])
    columns = [SEVERITY_COLUMN.format(severity) for severity in record.suite.severities]
    frame = pd.DataFrame.from_dict(rows, orient="index", columns=None)
    present = [name for name in [*columns, "mean"] if name in frame.columns]
    frame = frame[present]
    others = pd.DataFrame(_other_means(record, view), index=frame.index)
    return pd.concat([frame, others], axis=1).rename_axis("R@1, %")


def _other_means(record: Record, view: str) -> dict[str, dict[str, float]]:
    """Of each further metric of a view: its means by corruption, in percent, of whole rows."""
    found = {}
    for title, name in (("hit rate", "hit_rate"), ("AP", "ap")):
        values: dict[str, dict[int, float]] = {}
        for score in record.cells:
            value = getattr(score, name)
            if score.view == view and value is not None:
                values.setdefault(score.corruption, {})[score.severity] = value
        if values:
            found[title] = {
                each: 100 * sum(by_severity.values()) / len(by_severity)
                for each, by_severity in values.items()
                if by_severity.keys() in ({0}, {*record.suite.severities})
            }
    return found


def model_table(records: Sequence[Record], reference: Record | None = None) -> pd.DataFrame:
    """Models side by side, a row a model and view, best R@1_cor first; all numbers in percent.

    Args:
        records: runs of one suite.
        reference: the run whose errors count as 100 in mCE; no such column without it.

    Raises:
        RecordError: the runs are not of one suite and the same pictures.
    """
    rows = []
    for record in records:
        refuse_other_ground(record, records[0])
        for view in dict.fromkeys(score.view for score in record.cells):
            summary = summarise(record, view, reference)
            rows.append({"model": record.model.name, "view": view, **_numbers(summary)})
    frame = pd.DataFrame(rows)
    frame = frame.drop(columns=[name for name in ["R@1 codec"] if frame[name].isna().all()])
    if reference is None:
        frame = frame.drop(columns="mCE")
    else:
        frame = frame.rename(columns={"mCE": f"mCE (vs {reference.model.name})"})
    order = ["R@1_cor", "R@1 clean"]
    return frame.sort_values(order, ascending=False, kind="stable").set_index("model")


def _numbers(summary: Summary) -> dict[str, float | None]:
    return {
        "R@1 clean": percent(summary.r1_clean),
        "R@1 codec": percent(summary.r1_codec),
        "R@1_cor": percent(summary.r1_cor),
        "RCE": percent(summary.rce),
        "mCE": percent(summary.mce),
        **{f"RCE {name}": percent(value) for name, value in summary.rce_by_family.items()},
    }


def percent(fraction: float | None) -> float | None:
    """A fraction in percent; None stays None."""
    return None if fraction is None else 100 * fraction


def as_markdown(frame: pd.DataFrame, p_values: Collection[str] = ()) -> str:
    """Print a table as Markdown: two decimals, "-" where there is no number; texts as they are.

    Args:
        frame: the table, with texts as its index.
        p_values: the columns that hold p, which are printed as `p_text` does.
    """
    texts = pd.DataFrame(
        {
            name: [p_text(each) if name in p_values else _text(each) for each in column]
            for name, column in frame.items()
        },
        index=frame.index,
        dtype=object,
    )
    sides = [
        "left" if any(isinstance(each, str) for each in column) else "right"
        for _, column in frame.items()
    ]
    # Or a text that looks like a number, as a model's name may, would be printed as another one.
    return texts.to_markdown(disable_numparse=True, colalign=("left", *sides))


def p_text(p: float) -> str:
    """A p to three significant digits, as far down as anybody reads it."""
    return "<0.001" if p < 0.001 else f"{p:.3g}"


def _text(value: object) -> str:
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return "-"
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def _views_at_chance(record: Record) -> list[str]:
    """The views whose clean pictures the model finds no more often than guesses would."""
    data = record.data
    return [
        score.view
        for score in record.cells
        if score.corruption == CLEAN and not beats_chance(score.r1, data.queries, data.references)
    ]


def describe(record: Record) -> str:
    """Say under a table what its numbers are."""
    data, suite = record.data, record.suite
    lines = [
        f"{record.model.name} on {suite.name} version {suite.version} (profile {suite.profile}, "
        f"codec {suite.codec}, fingerprint {record.fingerprint[:12]}): {data.queries:,} queries, "
        f"{data.references:,} references, {len(record.cells)} cells; ties count against the model.",
    ]
    if record.lacking:
        lines.append(
            f"INCOMPLETE: {len(record.lacking)} of the suite's {len(record.suite.cells)} cells are "
            f"missing (first: {record.lacking[0]}); R@1_cor, RCE and mCE need them all."
        )
    if record.not_comparable:
        lines.append(f"NOT COMPARABLE: {'; '.join(record.not_comparable)}.")
    if record.model.remarks:
        lines.append(f"REMARK: {record.model.remarks}.")
    if record.degenerate:
        lines.append(f"DEGENERATE: {record.degenerate}.")
    if guesses := _views_at_chance(record):
        lines.append(f"CHANCE: it {NO_MORE_THAN_CHANCE} (view {', '.join(guesses)}).")
    return "\n".join(lines)
