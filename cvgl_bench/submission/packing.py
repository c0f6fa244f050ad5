"""A run's folder becomes a submission, if it would be accepted."""

from dataclasses import dataclass
from pathlib import Path

from cvgl_bench.board_folder import entry_of
from cvgl_bench.record import record_json
from cvgl_bench.runs import Run, read_run
from cvgl_bench.scoring import RANKS
from cvgl_bench.submission.archive import Members, pack
from cvgl_bench.submission.checking import verify
from cvgl_bench.submission.table import submitted_ranks
from cvgl_bench.submission.verdict import Report


@dataclass(frozen=True)
class Packed:
    """A run as a submission.

    Attributes:
        run: what is in it.
        name: what its file is called.
        data: its bytes; the same run, the same bytes.
        report: what its verification says.
    """

    run: Run
    name: str
    data: bytes
    report: Report


def pack_run(path: Path, folder: Path | None = None, name: str = "") -> Packed:
    """Pack a run, and verify what was packed. Nothing is written.

    Args:
        path: the run's folder, or the record in it.
        folder: the leaderboards that it is for; None leaves out what needs them.
        name: what its file is to be called; "" names it by suite, model and weights.

    Raises:
        RecordError: there is no run, or record and ranks do not fit each other.
    """
    run = read_run(path)
    place = path if path.is_dir() else path.parent
    ranks = submitted_ranks(place / RANKS)
    data = pack(Members(record_json(run.record).encode(), ranks))
    name = name or f"{run.record.suite.label}-{entry_of(run.record)}.zip"
    report, _ = verify(data, name, folder)
    return Packed(run, name, data, report)
