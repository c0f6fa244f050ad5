"""A run on disk: its record, with the answers to every query beside it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cvgl_bench.errors import RecordError
from cvgl_bench.ranks_file import RunAnswers, read_ranks
from cvgl_bench.recomputing import refuse_other_record
from cvgl_bench.record import Record, read_record
from cvgl_bench.scoring import EMBEDDINGS, INDEX, RANKS, RECORD
from cvgl_bench.statistics import Sample
from cvgl_bench.summary import refuse_other_ground


@dataclass(frozen=True)
class Run:
    """A run that was evaluated or scored.

    Attributes:
        record: its scores.
        answers: the answers that they follow from.
        embeddings: the folder of the embeddings that those follow from; None if it is not there.
    """

    record: Record
    answers: RunAnswers
    embeddings: Path | None = None

    @property
    def name(self) -> str:
        """The model's name."""
        return self.record.model.name

    @property
    def views(self) -> tuple[str, ...]:
        """The views that it has cells of, in order."""
        return tuple(dict.fromkeys(score.view for score in self.record.cells))

    def sample(self, view: str = "full") -> Sample:
        """The answers of one view, to be resampled.

        Raises:
            RecordError: the run has no cell of that view.
        """
        if view not in self.views:
            raise RecordError(
                f"the run of {self.name} has no view '{view}', only {', '.join(self.views)}."
            )
        return Sample(self.record.suite, view, self.answers.cells)


def read_run(path: Path) -> Run:
    """Read a run.

    Args:
        path: its folder, or the record in it.

    Raises:
        RecordError: record or ranks are missing or broken, or the record does not follow from them.
    """
    folder = path if path.is_dir() else path.parent
    record = read_record(path / RECORD if path.is_dir() else path)
    answers = read_ranks(folder / RANKS)
    try:
        refuse_other_record(record, answers)
    except RecordError as error:
        raise RecordError(
            f"the record of {record.model.name} in {folder} does not follow from its ranks: {error}"
        ) from error
    embeddings = folder / EMBEDDINGS
    return Run(record, answers, embeddings if (embeddings / INDEX).is_file() else None)


def read_runs(paths: Sequence[Path]) -> list[Run]:
    """Read runs that are to be compared: of one suite, on the same queries and tiles.

    Raises:
        RecordError: a run is broken, two have the same name, or they were made on other pictures.
    """
    runs = [read_run(path) for path in paths]
    first: dict[str, Path] = {}
    for run, path in zip(runs, paths, strict=True):
        if run.name in first:
            raise RecordError(
                f"{first[run.name]} and {path} are both runs of a model named {run.name}; give one "
                "run of each name."
            )
        first[run.name] = path
    for run in runs:
        refuse_other_ground(run.record, runs[0].record)
        if run.answers.ids != runs[0].answers.ids:
            raise RecordError(f"{run.name} and {runs[0].name} were asked other queries.")
    return runs
