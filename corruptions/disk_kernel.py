"""The original kernel of a lens out of focus, to the bit."""

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

SMALLEST_WINDOW = 8  # pixels from the centre to the edge, for disks up to that radius


def softening_size(radius: int) -> int:
    """Pixels a side of the Gaussian that softens a disk's edge."""
    return 3 if radius <= SMALLEST_WINDOW else 5


@lru_cache(maxsize=16)
def disk_kernel(radius: int, alias_sigma: float) -> NDArray[np.float32]:
    """Weights of a disk with a softened edge, (2 reach + 1, 2 reach + 1), reach 8 or more.

    They are deliberately not normalized after softening: at radius 8 and 10 the disk touches the
    window, the softening reflects there, and the sum is 1.013 and 1.011. ImageNet-C, and so every
    published number, brightens the picture by that much.

    The softening is OpenCV 4's GaussianBlur to the bit, written out because OpenCV's last bit
    depends on its version and on the processor, and one bit turns one grey level in a million.
    """
    reach = max(SMALLEST_WINDOW, radius)
    size = softening_size(radius)
    softening = cv2.getGaussianKernel(size, alias_sigma, cv2.CV_32F).ravel()
    centre, nearest, *further = softening[len(softening) // 2 :]
    offsets = np.arange(-reach, reach + 1)
    inside = offsets[:, None] ** 2 + offsets[None, :] ** 2 <= radius**2
    disk = inside.astype(np.float32) / np.float32(inside.sum())

    middle, pairs = _neighbours(disk.T, len(further) + 1)
    across = _multiply_add(centre, middle, nearest * pairs[0])
    for weight, pair in zip(further, pairs[1:], strict=True):
        across = _multiply_add(weight, pair, across)

    middle, pairs = _neighbours(across.T, len(further) + 1)
    kernel: NDArray[np.float32] = centre * middle
    for weight, pair in zip([nearest, *further], pairs, strict=True):
        kernel = _multiply_add(weight, pair, kernel)
    kernel.flags.writeable = False
    return kernel


def _neighbours(
    values: NDArray[np.float32], reach: int
) -> tuple[NDArray[np.float32], list[NDArray[np.float32]]]:
    """The values, and for each distance the sum of those above and below; the edge reflects."""
    padded = np.pad(values, [(reach, reach), (0, 0)], mode="reflect")
    above = [padded[reach - step : len(padded) - reach - step] for step in range(1, reach + 1)]
    below = [padded[reach + step : len(padded) - reach + step] for step in range(1, reach + 1)]
    return values, [first + second for first, second in zip(above, below, strict=True)]


def _multiply_add(
    weight: np.float32, values: NDArray[np.float32], added: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The sum of a product and an addend, rounded once, as processors with such an instruction."""
    exact = np.float64(weight) * values.astype(np.float64) + added
    total: NDArray[np.float32] = exact.astype(np.float32)
    return total
