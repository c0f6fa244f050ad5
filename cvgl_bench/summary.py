"""What the cells of a run come to: means, errors and the shape of the loss, of one view."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isnan

from corruptions import FAMILIES
from cvgl_bench.errors import RecordError
from cvgl_bench.record import Record
from cvgl_bench.scores import (
    Number,
    area_under_curve,
    breaking_severity,
    corruption_error,
    corruption_means,
    mean_corruption_error,
    mean_corruption_recall,
    mean_of,
    relative_corruption_error,
    relative_mean_corruption_error,
)
from cvgl_bench.suite import CLEAN, CODEC_ONLY, MIXED, Cell, Suite


@dataclass(frozen=True)
class Grid:
    """R@1 of a view's cells; each a number, or an array with one a resample of the queries.

    Attributes:
        suite: whose cells they are.
        view: one of its views.
        queries: of each cell.
        recalls: fractions by cell.
    """

    suite: Suite
    view: str
    queries: int
    recalls: Mapping[Cell, Number]

    def at(self, corruption: str) -> Number | None:
        """R@1 of a cell without a severity; None if it is not there."""
        return self.recalls.get(Cell(view=self.view, corruption=corruption, severity=0))

    @property
    def means(self) -> dict[str, Number]:
        """R@1 a corruption, for those with all the suite's severities."""
        by_name = {
            (cell.corruption, cell.severity): r1
            for cell, r1 in self.recalls.items()
            if cell.severity and cell.view == self.view
        }
        means, severities = corruption_means(by_name), self.suite.severities
        return {
            name: means[name]
            for name in self.suite.corruptions
            if severities and all((name, severity) in by_name for severity in severities)
        }

    @property
    def is_whole(self) -> bool:
        """Whether every corruption of the suite is there at every severity."""
        return bool(self.suite.corruptions) and len(self.means) == len(self.suite.corruptions)

    @property
    def curve(self) -> dict[int, Number]:
        """R@1 by severity, each the mean over all corruptions; 0 is clean. Of a whole grid only."""
        clean = self.at(CLEAN)
        if not self.is_whole or clean is None:
            return {}
        at = {
            severity: [
                self.recalls[Cell(view=self.view, corruption=name, severity=severity)]
                for name in self.suite.corruptions
            ]
            for severity in self.suite.severities
        }
        return {0: clean} | {severity: mean_of(values) for severity, values in at.items()}

    @property
    def least_error(self) -> float:
        """One query of all that a corruption has: what an error of nought counts as in a ratio."""
        return 1 / (self.queries * max(1, len(self.suite.severities)))


def averages(grid: Grid, reference: Grid | None = None) -> dict[str, Number]:
    """Compute all averages whose cells are there.

    Args:
        grid: of the model.
        reference: of the model whose errors count as 1, of the same suite, view and pictures.

    Returns:
        By metric: r1_clean, r1_codec, r1_cor, rce, auc, mce, relative_mce, `r1_<corruption>`,
        `rce_<family>` and `ce_<corruption>`. NaN where it is not defined.
    """
    means, clean = grid.means, grid.at(CLEAN)
    corrupted = _corrupted(grid, means)
    found = {"r1_clean": clean, "r1_codec": grid.at(CODEC_ONLY), "r1_cor": corrupted}
    result = {name: value for name, value in found.items() if value is not None}
    result |= {f"r1_{name}": value for name, value in means.items()}
    if clean is not None:
        if corrupted is not None:
            result["rce"] = relative_corruption_error(clean, corrupted)
        for family, names in FAMILIES.items():
            if names and all(name in means for name in names):
                lost = relative_corruption_error(clean, mean_of([means[name] for name in names]))
                result[f"rce_{family}"] = lost
    if grid.curve:
        result["auc"] = area_under_curve(grid.curve)
    if reference is not None and grid.is_whole and reference.is_whole:
        result |= _against(grid, reference, means)
    return result


def _against(grid: Grid, reference: Grid, means: Mapping[str, Number]) -> dict[str, Number]:
    theirs, least = reference.means, grid.least_error
    errors = corruption_error(means, theirs, least)
    result = {f"ce_{name}": value for name, value in errors.items()}
    result["mce"] = mean_corruption_error(means, theirs, least)
    clean, their_clean = grid.at(CLEAN), reference.at(CLEAN)
    if clean is not None and their_clean is not None:
        pair = (clean, means), (their_clean, theirs)
        result["relative_mce"] = relative_mean_corruption_error(*pair, least)
    return result


def _corrupted(grid: Grid, means: Mapping[str, Number]) -> Number | None:
    if grid.suite.form == "mixed":
        return grid.at(MIXED)
    return mean_corruption_recall(means) if grid.is_whole else None


@dataclass(frozen=True)
class Summary:
    """The averages of one view; a number is None where cells are missing or it is undefined.

    Attributes:
        r1_clean: R@1 without corruption.
        r1_codec: R@1 of the clean pictures encoded like the corrupted ones (codec_only); in no
            average.
        r1_cor: mean R@1 over all corruptions of the suite; of a mixed set, its R@1.
        rce: (r1_clean - r1_cor) / r1_clean.
        auc: area under R@1 over severity.
        breaking_severity: where R@1 is half of what it is when clean; infinity if nowhere.
        mce: error as a share of the reference model's; None without a reference.
        relative_mce: the same of what corruption adds to the error.
        by_corruption: R@1 a corruption, mean over severities, where all severities are there.
        rce_by_family: RCE of the mean over a family's corruptions.
        ce_by_corruption: error as a share of the reference model's.
    """

    r1_clean: float | None
    r1_codec: float | None
    r1_cor: float | None
    rce: float | None
    auc: float | None
    breaking_severity: float | None
    mce: float | None
    relative_mce: float | None
    by_corruption: dict[str, float] = field(default_factory=dict)
    rce_by_family: dict[str, float | None] = field(default_factory=dict)
    ce_by_corruption: dict[str, float] = field(default_factory=dict)


def grid_of(record: Record, view: str = "full") -> Grid:
    """The R@1 of a record's cells."""
    return Grid(record.suite, view, record.data.queries, record.recalls(view))


def summarise(record: Record, view: str = "full", reference: Record | None = None) -> Summary:
    """Compute the averages of a view.

    Args:
        record: the run.
        view: one of its views.
        reference: the run whose errors count as 1 in mCE.

    Raises:
        RecordError: the reference is of another suite.
    """
    if reference is not None:
        refuse_other_ground(record, reference)
    grid = grid_of(record, view)
    found = averages(grid, None if reference is None else grid_of(reference, view))
    numbers = {name: None if isnan(value) else float(value) for name, value in found.items()}
    curve = {severity: float(value) for severity, value in grid.curve.items()}
    breaking = breaking_severity(curve) if curve else float("nan")
    single = ("r1_clean", "r1_codec", "r1_cor", "rce", "auc", "mce", "relative_mce")
    ce = {name: numbers.get(f"ce_{name}") for name in record.suite.corruptions}
    return Summary(
        **{name: numbers.get(name) for name in single},
        breaking_severity=None if isnan(breaking) else breaking,
        by_corruption={name: float(value) for name, value in grid.means.items()},
        rce_by_family={
            family: numbers[f"rce_{family}"] for family in FAMILIES if f"rce_{family}" in numbers
        },
        ce_by_corruption={name: value for name, value in ce.items() if value is not None},
    )


def refuse_other_ground(record: Record, reference: Record) -> None:
    """Refuse to set two runs beside each other that were not made on the same pictures.

    Raises:
        RecordError: their suite, counts, gallery or metric version differ.
    """
    facts = [
        (run.fingerprint, run.metric_version, run.data.queries, run.data.references)
        for run in (record, reference)
    ]
    galleries = (record.data.gallery_sha256, reference.data.gallery_sha256)
    if facts[0] != facts[1] or galleries[0] != galleries[1]:
        raise RecordError(
            f"{record.model.name} cannot be compared with {reference.model.name}: their runs "
            f"({_ground(record)}; {_ground(reference)}) are not of the same suite and pictures."
        )


def _ground(record: Record) -> str:
    return (
        f"{record.suite.label}, profile {record.suite.profile}, {record.data.queries:,} queries, "
        f"gallery {record.data.gallery_sha256[:12]}"
    )
