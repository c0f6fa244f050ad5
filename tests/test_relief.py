import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corruptions.relief import relief


def by_opencv(outlines):
    """OpenCV's distances, whose mean the border mode reflects without the edge pixel."""
    distance = cv2.distanceTransform(np.uint8(outlines == 0), cv2.DIST_L2, 5)
    return cv2.blur(np.minimum(distance, 20).astype(np.float64), (3, 3))


@settings(max_examples=100)
@given(
    height=st.integers(2, 90),
    width=st.integers(2, 90),
    outlined=st.sampled_from([0.0003, 0.01, 0.3]),
    seed=st.integers(0, 2**32),
)
def test_relief_is_the_mean_of_opencvs_distances(height, width, outlined, seed):
    outlines = np.uint8(255 * (np.random.default_rng(seed).random((height, width)) < outlined))
    outlines[-1, -1] = 255  # with nothing to measure from, OpenCV's distances are of no use
    expected = by_opencv(outlines)
    found = relief(outlines)
    whole = np.abs(expected - np.round(expected)) < 1e-4
    assert np.array_equal(found[~whole], np.floor(expected[~whole]))
    assert (np.abs(found - expected)[whole] < 1.001).all()


def test_far_from_outlines_and_without_any_it_is_20():
    outlines = np.zeros((60, 60), dtype=np.uint8)
    assert (relief(outlines) == 20).all()
    outlines[0, 0] = 1
    assert relief(outlines)[0, 0] == 1  # of nine distances 0, 1 and 1.4
    assert (relief(outlines)[30:] == 20).all()


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_it_does_not_depend_on_the_direction_of_the_sweeps(turns):
    outlines = np.uint8(np.random.default_rng(0).random((50, 50)) < 0.01)
    assert np.array_equal(
        relief(np.rot90(outlines, turns).copy()), np.rot90(relief(outlines), turns)
    )
