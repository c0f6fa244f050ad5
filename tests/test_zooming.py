import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from corruptions.zooming import average_of_zooms, stretch


def enlarged(values, axis, zoom):
    """The middle of an axis, enlarged and cut, by the definition."""
    size = values.shape[axis]
    line = stretch(size, zoom)
    pixel, share = line.pixel[:size], line.share[:size].astype(np.float64)
    share = share.reshape([-1 if place == axis else 1 for place in range(values.ndim)])
    return (1 - share) * values.take(pixel, axis) + share * values.take(pixel + 1, axis)


def by_definition(image, layers, step):
    values = image.astype(np.float64)
    total = 2 * values
    for zoom in np.arange(1, 1 + (layers - 0.5) * step, step)[1:]:
        total += enlarged(enlarged(values, 0, float(zoom)), 1, float(zoom))
    return total / (layers + 1)


@settings(max_examples=100)
@given(
    height=st.integers(16, 60),
    width=st.integers(16, 120),
    layers=st.integers(2, 12),
    step=st.sampled_from([0.01, 0.03, 0.1, 0.5]),
    seed=st.integers(0, 2**32),
)
def test_zooms_are_averaged_at_every_size_and_enlargement(height, width, layers, step, seed):
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    mean = by_definition(image, layers, step)
    found = average_of_zooms(image, layers, step)
    near_whole = np.abs(mean - np.round(mean)) < 1e-3
    assert np.array_equal(found[~near_whole], np.floor(mean[~near_whole]))
    assert (np.abs(found - mean)[near_whole] < 1.01).all()
