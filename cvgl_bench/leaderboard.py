"""Runs become leaderboards: one CSV a suite, derived and nothing else.

FOLDER/records/<suite>-<version>/<entry>/    the evidence: record.json and ranks.parquet
FOLDER/<suite>-<version>.csv                 derived from it, byte for byte

An entry is a model with its weights: `polar`, `mrgeo-0b1c2d3e4f5a`. So the key of a row is model,
hash of its weights, fingerprint of the suite (which its version is bound to) and version of the
metrics (of which there is one a table).
"""

import csv
import io
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cvgl_bench.board_folder import (
    entry_folders,
    entry_of,
    held,
    put,
    record_there,
    refuse_other_model,
)
from cvgl_bench.cost import MEASURES, Cost
from cvgl_bench.errors import RecordError
from cvgl_bench.files import read, write_atomically
from cvgl_bench.known_pictures import refuse_unknown_pictures
from cvgl_bench.record import Record
from cvgl_bench.runs import Run, read_run
from cvgl_bench.suite import CLEAN, Suite, check_size, load_suite, suite_names
from cvgl_bench.summary import Summary, refuse_other_ground, summarise


@dataclass(frozen=True)
class Board:
    """All runs of one suite that stand on its leaderboard.

    Attributes:
        suite: the benchmark.
        runs: by entry, in the order of their names; each with the answers to every query.
    """

    suite: Suite
    runs: Mapping[str, Run]

    @property
    def reference(self) -> str:
        """The entry whose errors count as 100 in mCE; "" if it is not there."""
        named = [entry for entry, run in self.runs.items() if run.name == self.suite.mce_reference]
        return named[0] if named else ""


def add_runs(folder: Path, runs: Iterable[Run]) -> list[Path]:
    """Put runs in their places; one of the same model, weights and suite version is replaced.

    Raises:
        RecordError: a run may not stand on a leaderboard. None is added then.
        DataError: the folder cannot be written.
    """
    accepted = list(runs)
    with held(folder):
        read_boards(folder, accepted)
        return [put(folder, run) for run in accepted]


def refuse_unfit(record: Record) -> None:
    """Refuse a record that would mislead on a leaderboard.

    Raises:
        RecordError: it is not comparable, degenerate, lacks cells, or was made with another
            definition of its suite than it carries.
    """
    who = f"{record.model.name} on {record.suite.name}"
    data = record.data
    sizes = check_size(record.suite, data.queries, data.references, partial=True)
    if reasons := record.not_comparable or sizes:
        raise RecordError(f"{who} is not comparable and cannot be published: {'; '.join(reasons)}.")
    if record.degenerate:
        raise RecordError(f"{who} cannot be published: {record.degenerate}.")
    if record.lacking:
        raise RecordError(
            f"{who} lacks {len(record.lacking)} of the suite's {len(record.suite.cells)} cells "
            f"(first: {record.lacking[0]}) and cannot be published."
        )
    named = record.suite.name in suite_names()
    present = load_suite(record.suite.name) if named else record.suite
    if record.fingerprint != present.fingerprint or record.suite != present:
        raise RecordError(
            f"{who} was made with the fingerprint {record.fingerprint[:12]}; the suite that it "
            f"names has {present.fingerprint[:12]} here."
        )
    if record.status != "measured" or not record.ranks_sha256:
        raise RecordError(
            f"{who} is not measured from pictures by evaluate, or lacks the hash of its ranks; it "
            "cannot be published."
        )
    refuse_unknown_pictures(record)


def read_boards(folder: Path, added: Iterable[Run] = ()) -> list[Board]:
    """Read all leaderboards of a folder, by the names of their suites.

    Args:
        folder: the leaderboards folder.
        added: runs to take as if they were there already; what they replace is not read.

    Raises:
        RecordError: a run is unfit, does not follow from its ranks, lies in another one's place,
            or was not made on the same pictures as the others of its suite; or two of them are the
            model that mCE refers to.
    """
    coming = _by_place(added)
    boards: dict[str, dict[str, Run]] = {}
    for path in entry_folders(folder):
        new = coming.get((path.parent.name, path.name))
        if new is None:
            boards.setdefault(path.parent.name, {})[path.name] = _read_entry(path)
        elif there := record_there(path):
            refuse_other_model(new, there)
    for (label, entry), run in coming.items():
        boards.setdefault(label, {})[entry] = run
    for runs in boards.values():
        first = next(iter(runs.values()))
        for run in runs.values():
            refuse_unfit(run.record)
            refuse_other_ground(run.record, first.record)
            if run.answers.ids != first.answers.ids:
                raise RecordError(f"{run.name} and {first.name} were asked other queries.")
        refuse_two_references(first.record.suite, {entry: run.name for entry, run in runs.items()})
    return [
        Board(next(iter(runs.values())).record.suite, dict(sorted(runs.items())))
        for _, runs in sorted(boards.items())
    ]


def _by_place(added: Iterable[Run]) -> dict[tuple[str, str], Run]:
    coming: dict[tuple[str, str], Run] = {}
    for run in added:
        place = (run.record.suite.label, entry_of(run.record))
        if place in coming:
            raise RecordError(f"two of the runs to publish are {place[1]} on {place[0]}; give one.")
        coming[place] = run
    return coming


def _read_entry(path: Path) -> Run:
    run = read_run(path)
    if (run.record.suite.label, entry_of(run.record)) != (path.parent.name, path.name):
        raise RecordError(f"{path} holds {run.name} on {run.record.suite.label}: wrong place.")
    return run


def refuse_two_references(suite: Suite, names: Mapping[str, str]) -> None:
    """Refuse a second entry of the model whose errors count as 100 in mCE.

    Args:
        suite: the leaderboard's.
        names: of the models by entry, those that are there before those that come.

    Raises:
        RecordError: there are two, so that nobody could say which one mCE refers to.
    """
    found = [entry for entry, name in names.items() if name == suite.mce_reference]
    if len(found) > 1:
        raise RecordError(
            f"{found[1]} has the name of the model that mCE on {suite.label} refers to, which is "
            f"{found[0]}; publish it under another name."
        )


def derive(folder: Path) -> dict[Path, bytes]:
    """Compute every CSV from the runs in a leaderboards folder; writes nothing.

    Raises:
        RecordError: as `read_boards`.
    """
    return {folder / f"{board.suite.label}.csv": csv_of(board) for board in read_boards(folder)}


def check(folder: Path) -> list[str]:
    """Say what a leaderboards folder holds that does not follow from its records."""
    derived = derive(folder)
    if not derived:
        raise RecordError(f"{folder} holds no runs, so there is nothing to check.")
    faults = []
    for path, data in derived.items():
        if not path.is_file():
            faults.append(f"{path} is missing")
        elif read(path) != data:
            faults.append(f"{path} differs from what its runs give")
    return faults + stale(folder, derived)


def stale(folder: Path, derived: Collection[Path]) -> list[str]:
    """Say which tables in a leaderboards folder no run stands behind."""
    return [f"{path} has no runs" for path in sorted(folder.glob("*.csv")) if path not in derived]


def write_derived(folder: Path) -> list[Path]:
    """Write every CSV that follows from the runs; returns their paths."""
    derived = derive(folder)
    for path, data in derived.items():
        write_atomically(path, data)
    return list(derived)


def csv_of(board: Board) -> bytes:
    """A leaderboard as CSV, the same bytes for the same runs; see leaderboards/README.md."""
    rows = [
        _row(run.record, view, board) for run in board.runs.values() for view in board.suite.views
    ]
    rows.sort(
        key=lambda row: (
            board.suite.views.index(row["view"]),
            -float(row["r1_cor"] or 0),
            -float(row["r1_clean"]),
            row["model"],
            row["weights_sha256"],
        )
    )
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def _row(record: Record, view: str, board: Board) -> dict[str, str]:
    reference = board.runs[board.reference].record if board.reference else None
    summary = summarise(record, view, reference)
    clean = next(s for s in record.cells if s.view == view and s.corruption == CLEAN)
    return {
        "model": record.model.name,
        "view": view,
        "status": record.status,
        "r1_clean": _percent(clean.r1),
        "r5_clean": _percent(clean.r5),
        "r10_clean": _percent(clean.r10),
        "r1p_clean": _percent(clean.r1p),
        "r1_codec": _percent(summary.r1_codec),
        "r1_cor": _percent(summary.r1_cor),
        "rce": _percent(summary.rce),
        "mce": _percent(summary.mce),
        "mce_reference": "" if summary.mce is None else board.reference,
        **_by_name(record, summary),
        **_cost(record.cost),
        "queries": str(record.data.queries),
        "references": str(record.data.references),
        "suite": record.suite.name,
        "suite_version": str(record.suite.version),
        "profile": record.suite.profile,
        "codec": record.suite.codec,
        "fingerprint": record.fingerprint,
        "metric_version": str(record.metric_version),
        "weights_sha256": record.model.weights_sha256,
        "gallery_sha256": record.data.gallery_sha256,
        "ranks_sha256": record.ranks_sha256,
        "date": record.date.isoformat(),
    }


def _by_name(record: Record, summary: Summary) -> dict[str, str]:
    families = {f"rce_{name}": _percent(rce) for name, rce in summary.rce_by_family.items()}
    names = record.suite.corruptions
    return families | {f"r1_{name}": _percent(summary.by_corruption.get(name)) for name in names}


def _cost(cost: Cost | None) -> dict[str, str]:
    """What the record says of its model's cost, empty where it says nothing."""
    numbers = {measure.key: measure.text(cost) for measure in MEASURES}
    batch, machine = ("", "") if cost is None else (str(cost.batch_size), cost.machine)
    return numbers | {"cost_batch_size": batch, "cost_machine": machine}


def _percent(fraction: float | None) -> str:
    return "" if fraction is None else f"{100 * fraction:.2f}"
