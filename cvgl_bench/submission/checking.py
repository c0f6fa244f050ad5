"""Every check of a submission, in order, as a report."""

import datetime
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from cvgl_bench import recomputing
from cvgl_bench.errors import CvglBenchError, RecordError
from cvgl_bench.known_pictures import is_known
from cvgl_bench.leaderboard import refuse_unfit
from cvgl_bench.ranks_file import RunAnswers
from cvgl_bench.record import Record
from cvgl_bench.runs import Run
from cvgl_bench.submission import agreement, board, plausibility, table, texts
from cvgl_bench.submission.archive import Members, read_file, unpack
from cvgl_bench.submission.reading import answers_of
from cvgl_bench.submission.rehearsal import rehearse
from cvgl_bench.submission.verdict import Check, Outcome, Report, shown


class _Refused(Exception):  # noqa: N818 - it ends the checks, and nobody else sees it
    """A check failed without which the next ones have nothing to look at."""


class _Checks:
    """The checks so far."""

    def __init__(self) -> None:
        self.made: list[Check] = []

    def add(self, name: str, outcome: Outcome, text: str) -> None:
        self.made.append(Check(name, outcome, shown(text)))

    @contextmanager
    def needed(self, name: str, passed: str) -> Iterator[None]:
        """A check that the next ones build on."""
        try:
            yield
        except CvglBenchError as error:
            self.add(name, "failed", str(error))
            raise _Refused from error
        self.add(name, "passed", passed)

    def alone(self, name: str, passed: str, checks: Iterable[Callable[[], None]]) -> None:
        """A check that no other builds on."""
        try:
            for check in checks:
                check()
        except CvglBenchError as error:
            self.add(name, "failed", str(error))
        else:
            self.add(name, "passed", passed)


def open_submission(path: Path, folder: Path | None = None, beside: Iterable[Run] = ()) -> Run:
    """Read a submission after all checks.

    Args:
        path: the zip.
        folder: the leaderboards that it is for; None leaves out what needs them.
        beside: runs that go there together with it, which it is compared with as well.

    Raises:
        RecordError: a check failed; the sentence is that check's.
    """
    report, run = verify_file(path, folder, beside)
    if run is None or not report.accepted:
        first = report.failed[0]
        raise RecordError(f"{path} is refused ({first.name}): {first.text}")
    return run


def verify_file(
    path: Path, folder: Path | None = None, beside: Iterable[Run] = ()
) -> tuple[Report, Run | None]:
    """Check a submission's file; see `verify`."""
    try:
        data = read_file(path)
    except RecordError as error:
        return Report(shown(path.name), (Check("archive", "failed", shown(str(error))),)), None
    return verify(data, path.name, folder, beside=beside)


def verify(
    data: bytes,
    name: str,
    folder: Path | None = None,
    today: datetime.date | None = None,
    *,
    beside: Iterable[Run] = (),
) -> tuple[Report, Run | None]:
    """Check a submission: believe nothing, and compute every number again.

    Args:
        data: its bytes.
        name: of its file, for the report.
        folder: the leaderboards that it is for; None leaves out what needs them.
        today: in UTC; None asks the clock.
        beside: runs that go there together with it, which it is compared with as well.

    Returns:
        The report, and the run; None where it cannot even be read.
    """
    checks = _Checks()
    run = None
    try:
        members, record = _read_record(checks, data)
        there = board.neighbours(folder, record, beside)
        day = today or datetime.datetime.now(datetime.timezone.utc).date()
        with checks.needed(
            "suite", f"{record.suite.label} as it is defined here, complete and comparable"
        ):
            board.refuse_unknown_suite(record, there)
            refuse_unfit(record)
            agreement.refuse_other_cells({score.cell for score in record.cells}, record)
        checks.alone("date", str(record.date), [lambda: texts.refuse_date(record, day)])
        run = Run(record, _read_answers(checks, record, members.ranks))
        _agree(checks, run)
        _plausible(checks, run)
        _fit_the_board(checks, run, there)
    except _Refused:
        pass
    return Report(shown(name), tuple(checks.made)), run


def _read_record(checks: _Checks, data: bytes) -> tuple[Members, Record]:
    with checks.needed("archive", f"{len(data):,} bytes: the record, its ranks and nothing else"):
        members = unpack(data)
    with checks.needed("record", "JSON that says one thing; every field known and in its range"):
        record = texts.read_record_strictly(members.record)
    with checks.needed("texts", "plain text of bounded length"):
        texts.refuse_texts(record)
    return members, record


def _read_answers(checks: _Checks, record: Record, data: bytes) -> RunAnswers:
    bounds = table.bounds_of(record)
    fault = rehearse(data, bounds)
    with checks.needed("columns", f"{bounds.rows:,} rows, not compressed, of the usual types"):
        if fault and fault.check == "columns":
            raise RecordError(fault.text)
    with checks.needed(
        "ranks", f"a rank in 1..{record.data.references:,} of every query in every cell"
    ):
        if fault:
            raise RecordError(fault.text)
        answers = answers_of(data)
        agreement.refuse_other_cells(set(answers.cells), record)
        if len(answers.ids) != record.data.queries:
            raise RecordError(
                f"ranks.parquet has {len(answers.ids):,} queries, the record says "
                f"{record.data.queries:,}."
            )
    return answers


def _agree(checks: _Checks, run: Run) -> None:
    record, answers = run.record, run.answers
    checks.alone(
        "provenance",
        "the header of the ranks says the same as the record",
        [lambda: recomputing.refuse_other_provenance(record, answers)],
    )
    checks.alone(
        "queries",
        f"{len(answers.ids):,} ids, of the hash that the record has",
        [lambda: recomputing.refuse_other_ids(record, answers)],
    )
    checks.alone(
        "hash",
        f"the ranks are {record.ranks_sha256[:12]}",
        [lambda: recomputing.refuse_other_hash(record, answers)],
    )
    checks.alone(
        "scores",
        f"all numbers of {len(record.cells)} cells, computed again from the ranks",
        [lambda: recomputing.refuse_other_scores(record, answers)],
    )
    checks.alone(
        "answers",
        "what was found, margins and distances contradict neither the ranks nor each other",
        [
            lambda: agreement.refuse_contradictions(record, answers),
            lambda: agreement.refuse_moving_tiles(answers),
        ],
    )
    if next(iter(answers.cells.values())).found is None:
        checks.add("answers", "note", "the ranks do not say which tile was found")


def _plausible(checks: _Checks, run: Run) -> None:
    found = list(plausibility.findings(run))
    for finding in found:
        checks.add("plausible", "failed" if finding.refused else "note", f"{finding.text}.")
    if not any(finding.refused for finding in found):
        checks.add(
            "plausible",
            "passed",
            "no better on worse pictures, beyond what the queries leave open",
        )


def _fit_the_board(checks: _Checks, run: Run, there: Mapping[str, board.Neighbour]) -> None:
    if not there:
        checks.add("board", "note", f"there is no other run of its suite; {_pictures(run.record)}.")
        return
    notes: list[str] = []
    sound = not any((made.name, made.outcome) == ("answers", "failed") for made in checks.made)
    checks.alone(
        "board",
        f"the same queries and tiles as {len(there)} run(s) that are there, and no copy of one",
        [
            lambda: board.refuse_other_pictures(run, there),
            lambda: board.refuse_taken_names(run, there),
            lambda: board.refuse_copies(run, there),
            lambda: notes.extend(board.compare(run, there, distances=sound)),
        ],
    )
    for text in notes:
        checks.add("board", "note", f"{text}.")


def _pictures(record: Record) -> str:
    if is_known(record):
        return "its queries and tiles have the hashes that this version knows"
    return (
        f"which queries and tiles {record.suite.dataset} has is not known here, so compare the "
        "hashes of its ids and gallery with those of a run of your own"
    )
