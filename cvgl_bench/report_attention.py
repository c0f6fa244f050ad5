"""A report's tables and pictures of attention; `attention_file` reads what they are made of."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd

from cvgl_bench.attention_file import MAPS, PAGE, Agreement, Attention, Kept, read_attention
from cvgl_bench.attention_maps import KINDS, TITLES, Row, draw_rows
from cvgl_bench.files import sha256
from cvgl_bench.latex import tables_file
from cvgl_bench.plots import as_bytes, style, wrapped
from cvgl_bench.report import Report, marks
from cvgl_bench.report_tables import TextTable, table_markdown
from cvgl_bench.runs import Run

_ALL = "all"
_DPI = 300
Attentions = Mapping[str, Attention]


def read_attentions(report: Report, folders: Sequence[Path]) -> tuple[Attentions, list[str]]:
    """Read the attention of a report's runs.

    Args:
        report: the runs.
        folders: theirs, in the same order.

    Returns:
        Attention by the model's name; and, if any run has it, a sentence for each that has none.

    Raises:
        RecordError: see `read_attention`.
    """
    found, left_out = {}, []
    for run, folder in zip(report.runs, folders, strict=True):
        attention = read_attention(folder, run.record)
        if attention is None:
            left_out.append(
                f"attention.csv leaves {run.name} out: it has no {PAGE}; evaluate it with "
                "--attention."
            )
        else:
            found[run.name] = attention
    # Without one there is no such table to be left out of.
    return found, left_out if found else []


def attention_frame(attentions: Attentions) -> pd.DataFrame:
    """A row a model, kind and condition; condition "all" is the mean over a kind's conditions."""
    rows = []
    for name, attention in attentions.items():
        for kind, numbers in attention.page.kinds.items():
            for condition, each in {_ALL: numbers, **numbers.by_condition}.items():
                row: dict[str, object] = {"model": name, "kind": kind, "condition": condition}
                row |= each.model_dump(include=set(Agreement.model_fields))
                row["samples"] = attention.page.samples
                row["places"] = " x ".join(map(str, numbers.places))
                rows.append(row)
    return pd.DataFrame(rows).set_index(["model", "kind", "condition"])


def attention_tables(report: Report, attentions: Attentions) -> list[TextTable]:
    """A table a kind, a row a model.

    No number is marked as the best: SSIM depends on how many places the maps have.
    """
    return [_table(report, attentions, kind) for kind in KINDS]


def _table(report: Report, attentions: Attentions, kind: str) -> TextTable:
    runs = [run for run in report.runs if run.name in attentions]
    numbers = {run.name: getattr(attentions[run.name].page, kind) for run in runs}
    conditions = dict.fromkeys(name for each in numbers.values() for name in each.by_condition)
    rows = {}
    for run in runs:
        own, samples = numbers[run.name], attentions[run.name].page.samples
        scores = {_ALL: own} | {name: own.by_condition.get(name) for name in conditions}
        compared = samples * len(own.by_condition)
        rows[_label(run)] = {
            **{name: _text(each, limits=report.has_intervals) for name, each in scores.items()},
            "no attention": f"{own.without_attention}/{compared}",
            "places": " x ".join(map(str, own.places)),
            "queries": str(samples),
        }
    texts = pd.DataFrame.from_dict(rows, orient="index").rename_axis("model")
    brackets = " In brackets: 95 % intervals over queries." if report.has_intervals else ""
    return TextTable(
        f"attention-{kind}",
        f"Agreement of attention maps on {report.suite.label}, {TITLES[kind]}: (1 + SSIM) / 2, "
        "1 is the same map and 0.5 no agreement. It depends on the places (height x width) of the "
        f"maps: compare models that have as many.{brackets}",
        texts,
        texts.isna(),
        {title: title.replace("°", " deg") for title in texts.columns},
        (tuple(texts.columns),),
        tuple(f"{_label(run)}: {mark}." for run in runs for mark in marks(run)),
    )


def _text(found: Agreement | None, *, limits: bool) -> str:
    if found is None:
        return "-"
    if not limits:
        return f"{found.score:.3f}"
    if found.low is None or found.high is None:
        return f"{found.score:.3f} [-]"
    return f"{found.score:.3f} [{found.low:.3f}, {found.high:.3f}]"


def _label(run: Run) -> str:
    """The model's name as other tables have it; see `report.Entry.label`."""
    return run.name + "*" * bool(marks(run))


def attention_files(
    report: Report, attentions: Attentions, formats: Sequence[str]
) -> tuple[dict[str, bytes], list[str]]:
    """All tables and pictures of attention; none if no run has it.

    Returns:
        The files by name; and a sentence for each run that the pictures leave out.
    """
    if not attentions:
        return {}, []
    tables = attention_tables(report, attentions)
    pictures, left_out = draw_attention(report, attentions, formats) if formats else ({}, [])
    files = {
        "attention.csv": attention_frame(attentions).to_csv().encode(),
        "attention.md": "\n\n".join(_markdown(tables)).encode() + b"\n",
        "attention.tex": tables_file(report, tables).encode(),
    }
    return files | pictures, left_out


def _markdown(tables: Sequence[TextTable]) -> Iterator[str]:
    for table in tables:
        yield table.caption
        yield table_markdown(table)
    if tables[0].notes:
        yield "\\* see the notes in models.md."


def draw_attention(
    report: Report, attentions: Attentions, formats: Sequence[str]
) -> tuple[dict[str, bytes], list[str]]:
    """Draw attention maps, a picture a kind and sample, in which every model has a row.

    Args:
        report: the runs.
        attentions: theirs, by the model's name; those without are not there.
        formats: some of `plots.FORMATS`.

    Returns:
        The files by name, `attention-<kind>-<sample>.<format>`; and a sentence for each run that
        is left out.
    """
    kept, left_out = _alike(report, attentions)
    files: dict[str, bytes] = {}
    samples = max((len(each[KINDS[0]].pictures) for each in kept.values()), default=0)
    for kind, sample in ((kind, sample) for kind in KINDS for sample in range(samples)):
        rows = [
            Row(name, each[kind].pictures[sample], each[kind].found, sample)
            for name, each in kept.items()
        ]
        query = wrapped(report.runs[0].answers.ids[sample])
        star = "\n* see the tables' notes" if any("*" in row.label for row in rows) else ""
        with style():
            figure = draw_rows(rows, f"{report.suite.label}, query {query}: {TITLES[kind]}{star}")
            for form in formats:
                files[f"attention-{kind}-{sample + 1}.{form}"] = as_bytes(figure, form, _DPI)
    return files, left_out


def _alike(
    report: Report, attentions: Attentions
) -> tuple[dict[str, Mapping[str, Kept]], list[str]]:
    """Maps of the same pictures under the same conditions, by label; a sentence for the others."""
    kept: dict[str, Mapping[str, Kept]] = {}
    left_out, first = [], ("", "")
    for run in report.runs:
        if run.name not in attentions:
            continue
        own = attentions[run.name].kept
        if own is None:
            left_out.append(f"attention pictures leave {run.name} out: it has no {MAPS}.")
            continue
        shown = _shown(own)
        first = first if kept else (run.name, shown)
        if shown != first[1]:
            left_out.append(
                f"attention pictures leave {run.name} out: it was shown other pictures, fewer or "
                f"more of them, than {first[0]}; evaluate both with the same --attention."
            )
            continue
        kept[_label(run)] = own
    return kept, left_out


def _shown(kept: Mapping[str, Kept]) -> str:
    """A hash of what the maps of a run are of: pictures and conditions."""
    parts = []
    for each in (kept[kind] for kind in KINDS):
        parts.append(repr((each.pictures.shape, each.found.conditions, each.found.parts)))
        parts.append(sha256(each.pictures.tobytes()))
    return sha256("\n".join(parts).encode())
