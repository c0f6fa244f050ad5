"""Records become leaderboards: one CSV a suite, derived and nothing else.

FOLDER/records/<suite>-<version>/<model>.json    the evidence
FOLDER/<suite>-<version>.csv                     derived from it, byte for byte
"""

import csv
import io
from collections.abc import Iterable
from pathlib import Path

from cvgl_bench.errors import RecordError
from cvgl_bench.files import read, write_atomically
from cvgl_bench.record import Record, read_record, record_json
from cvgl_bench.suite import CLEAN, check_size, load_suite, suite_names
from cvgl_bench.summary import Summary, refuse_other_ground, summarise

RECORDS = "records"


def add_records(folder: Path, records: Iterable[Record]) -> list[Path]:
    """Put records in their places; one of the same model and suite version is replaced.

    Raises:
        RecordError: a record may not stand on a leaderboard. None is added then.
    """
    accepted = list(records)
    derive(folder, accepted)
    paths = []
    for record in accepted:
        path = folder / RECORDS / record.suite.label / f"{record.model.name}.json"
        write_atomically(path, record_json(record).encode())
        paths.append(path)
    return paths


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


def derive(folder: Path, added: Iterable[Record] = ()) -> dict[Path, bytes]:
    """Compute every CSV from the records in a leaderboards folder; writes nothing.

    Args:
        folder: the leaderboards folder.
        added: records to take as if they were there already.

    Raises:
        RecordError: a record is unfit, lies in another one's place, or was not made on the same
            pictures as the others of its suite.
    """
    boards: dict[str, dict[str, Record]] = {}
    for path in sorted((folder / RECORDS).glob("*/*.json")):
        record = read_record(path)
        if (record.suite.label, record.model.name) != (path.parent.name, path.stem):
            raise RecordError(
                f"{path} holds {record.model.name} on {record.suite.label}: wrong place."
            )
        boards.setdefault(record.suite.label, {})[record.model.name] = record
    for record in added:
        boards.setdefault(record.suite.label, {})[record.model.name] = record
    for records in boards.values():
        for record in records.values():
            refuse_unfit(record)
            refuse_other_ground(record, next(iter(records.values())))
    return {
        folder / f"{label}.csv": _csv([records[name] for name in sorted(records)])
        for label, records in sorted(boards.items())
    }


def check(folder: Path) -> list[str]:
    """Say what a leaderboards folder holds that does not follow from its records."""
    derived = derive(folder)
    if not derived:
        raise RecordError(f"{folder} holds no records, so there is nothing to check.")
    faults = []
    for path, data in derived.items():
        if not path.is_file():
            faults.append(f"{path} is missing")
        elif read(path) != data:
            faults.append(f"{path} differs from what its records give")
    faults += [
        f"{path} has no records" for path in sorted(folder.glob("*.csv")) if path not in derived
    ]
    return faults


def write_derived(folder: Path) -> list[Path]:
    """Write every CSV that follows from the records; returns their paths."""
    derived = derive(folder)
    for path, data in derived.items():
        write_atomically(path, data)
    return list(derived)


def _csv(records: list[Record]) -> bytes:
    suite = records[0].suite
    reference = next((r for r in records if r.model.name == suite.mce_reference), None)
    rows = [_row(record, view, reference) for record in records for view in suite.views]
    rows.sort(key=lambda row: (row["view"], -float(row["r1_cor"] or 0), row["model"]))
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def _row(record: Record, view: str, reference: Record | None) -> dict[str, str]:
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
        "mce_reference": reference.model.name if reference and summary.mce is not None else "",
        **_by_name(record, summary),
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


def _percent(fraction: float | None) -> str:
    return "" if fraction is None else f"{100 * fraction:.2f}"
