"""What a record's cells come to: means, RCE and mCE of one view."""

from dataclasses import dataclass

import numpy as np

from corruptions import FAMILIES
from cvgl_bench.errors import RecordError
from cvgl_bench.record import Record
from cvgl_bench.scores import (
    corruption_means,
    mean_corruption_error,
    mean_corruption_recall,
    relative_corruption_error,
)
from cvgl_bench.suite import CLEAN, CODEC_ONLY, MIXED, Cell


@dataclass(frozen=True)
class Summary:
    """The averages of one view; a number is None where cells are missing or it is undefined.

    Attributes:
        r1_clean: R@1 without corruption.
        r1_codec: R@1 of the clean pictures encoded like the corrupted ones (codec_only); in no
            average.
        r1_cor: mean R@1 over all corruptions of the suite; of a mixed set, its R@1.
        rce: (r1_clean - r1_cor) / r1_clean.
        mce: error as a share of the reference model's; None without a reference.
        by_corruption: R@1 a corruption, mean over severities, where all severities are there.
        rce_by_family: RCE of the mean over a family's corruptions.
    """

    r1_clean: float | None
    r1_codec: float | None
    r1_cor: float | None
    rce: float | None
    mce: float | None
    by_corruption: dict[str, float]
    rce_by_family: dict[str, float | None]


def summarise(record: Record, view: str = "full", reference: Record | None = None) -> Summary:
    """Compute the averages of a view.

    Args:
        record: the run.
        view: one of its views.
        reference: the run whose errors count as 1 in mCE.

    Raises:
        RecordError: the reference is of another suite.
    """
    recalls = record.recalls(view)
    clean = recalls.get(Cell(view=view, corruption=CLEAN, severity=0))
    means = _complete_means(record, view)
    corrupted = _corrupted(record, view, means)
    return Summary(
        r1_clean=clean,
        r1_codec=recalls.get(Cell(view=view, corruption=CODEC_ONLY, severity=0)),
        r1_cor=corrupted,
        rce=_loss(clean, corrupted),
        mce=_against(record, reference, view, means, corrupted),
        by_corruption=means,
        rce_by_family={
            family: _loss(clean, float(np.mean([means[name] for name in names])))
            for family, names in FAMILIES.items()
            if names and all(name in means for name in names)
        },
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


def _complete_means(record: Record, view: str) -> dict[str, float]:
    """R@1 a corruption, for those with all the suite's severities."""
    recalls = {
        (cell.corruption, cell.severity): r1
        for cell, r1 in record.recalls(view).items()
        if cell.severity
    }
    means = corruption_means(recalls)
    severities = record.suite.severities
    return {
        name: means[name]
        for name in record.suite.corruptions
        if severities and all((name, severity) in recalls for severity in severities)
    }


def _corrupted(record: Record, view: str, means: dict[str, float]) -> float | None:
    if record.suite.form == "mixed":
        return record.recalls(view).get(Cell(view=view, corruption=MIXED, severity=0))
    complete = means.keys() == set(record.suite.corruptions)
    return mean_corruption_recall(means) if complete and means else None


def _loss(clean: float | None, corrupted: float | None) -> float | None:
    if clean is None or corrupted is None:
        return None
    return relative_corruption_error(clean, corrupted)


def _against(
    record: Record,
    reference: Record | None,
    view: str,
    means: dict[str, float],
    corrupted: float | None,
) -> float | None:
    if reference is None or corrupted is None or record.suite.form == "mixed":
        return None
    refuse_other_ground(record, reference)
    theirs = _complete_means(reference, view)
    return mean_corruption_error(means, theirs) if theirs.keys() == means.keys() else None
