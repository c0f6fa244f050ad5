"""How near ours comes, in the words of the report, and whether that is near enough."""

from typing import NamedTuple

import numpy as np
from scipy import stats

from benchmarks.parity.residuals import Bytes, Law, feature_names, ks_distance, ks_ratio, scores

MOST_OFF_BY_ONE = 0.001  # share of the values, in the standard profile
# Chance alone stays under these but for once in thousands of cells.
MOST_STANDARD_ERRORS = 5.0
MOST_KS_RATIO = 3.0


class Verdict(NamedTuple):
    """One cell of the report.

    Attributes:
        text: what was found.
        good: whether it is near enough.
    """

    text: str
    good: bool


def compare_pixels(ours: Bytes, theirs: Bytes, *, exact: bool) -> Verdict:
    """The verdict on values of one shape; unless `exact`, one grey level here and there is good."""
    difference = np.abs(ours.astype(int) - theirs)
    share, most = float(np.mean(difference > 0)), int(difference.max())
    if not most:
        return Verdict("byte-identical", good=True)
    near = most == 1 and share <= MOST_OFF_BY_ONE and not exact
    return Verdict(f"within {most} ({share:.3%} differ)", good=near)


def compare_files(ours: bytes, theirs: bytes, decoded: tuple[Bytes, Bytes]) -> Verdict:
    """The verdict on two JPEG files, and on their pixels where the files differ."""
    if ours == theirs:
        return Verdict("byte-identical", good=True)
    return Verdict(f"files differ; pixels {compare_pixels(*decoded, exact=True).text}", good=False)


def compare_laws(ours: Law, theirs: Law, shape: tuple[int, ...]) -> Verdict:
    """The verdict on two laws on one picture of a shape (H, W, 3)."""
    distance, ratio = ks_distance(ours.counts, theirs.counts), ks_ratio(ours, theirs)
    # A spread that few draws told is unsure: Student's t, told as the z that is as improbable.
    known = min(of.draws for of in (ours, theirs) if of.draws > 1) - 1
    apart = stats.norm.isf(stats.t.sf(scores(ours, theirs), known))
    worst = int(np.argmax(apart))
    name = feature_names(shape[0], shape[1])[worst]
    text = f"KS {distance:.4f}, {ratio:.1f} x chance; worst z {apart[worst]:.1f} ({name})"
    return Verdict(text, good=bool(ratio < MOST_KS_RATIO and apart[worst] < MOST_STANDARD_ERRORS))
