"""Averages over a disk with a soft edge, the blur of a lens out of focus, from running sums.

A column of a disk is a span of pixels, and the sum of a span is the difference of two running sums,
so a disk of 317 pixels costs 21 differences. The soft edge is a small separable blur of these sums.
What the window of the original kernel cuts off is added and taken away at the disk's four ends.
"""

import math
from functools import lru_cache
from typing import NamedTuple

import cv2
import numba
import numpy as np
from numpy.typing import NDArray

from corruptions.disk_kernel import SMALLEST_WINDOW, disk_kernel, softening_size
from corruptions.draws import number, whole
from corruptions.pixels import Image

_CHANNELS = 3
_LARGEST_RADIUS = 12
_NOTHING = 1e-12  # weights below it are left out
Sums = NDArray[np.uint16]  # modulo 65,536: differences of fewer than 258 pixels come out right
Row = NDArray[np.float32]


class Disk(NamedTuple):
    """A disk, taken apart.

    Attributes:
        radius: in pixels.
        halves: how far its columns reach at 0, 1, ... radius from the centre, in pixels.
        softening: weights of the separable blur at 0, 1, ... pixels.
        added: weight of the second outermost line, laid once more over the outermost.
        removed: weight of the outermost pixel, taken away one pixel further out.
        scale: what a sum is multiplied with, so that the weights sum to the original kernel's.
    """

    radius: int
    halves: NDArray[np.int64]
    softening: NDArray[np.float32]
    added: np.float32
    removed: np.float32
    scale: float


@lru_cache(maxsize=16)
def soft_disk(radius: int, alias_sigma: float) -> Disk:
    """The disk of `disk_kernel`, taken apart; its weights agree with the kernel's to 1e-5 of them.

    Where the disk touches its window, softening has reflected the rows inside the window's edge
    and lost what lay beyond it. The weights of the 5 x 5 softening at two pixels, 0.0003, are
    counted in full but at one pixel's place.

    Raises:
        ValueError: the radius is not 1 to 12, above which half a disk's sum may exceed 65,535, or
            sigma not 0.01 to 100.
    """
    halves = np.array([math.isqrt(radius**2 - column**2) for column in range(radius + 1)])
    widths = 2 * halves + 1
    radius = whole("radius", radius, 1, _LARGEST_RADIUS)
    alias_sigma = number("alias_sigma", alias_sigma, 0.01, 100)
    size = softening_size(radius)
    softening = np.asarray(cv2.getGaussianKernel(size, alias_sigma)).ravel()[size // 2 :]
    softening = softening[softening > _NOTHING]
    added = removed = 0.0
    if radius >= SMALLEST_WINDOW:
        added = removed = softening[1] if len(softening) > 1 else 0.0
        if len(softening) == 3:
            added += softening[2] * (widths[-3] - 1) / widths[-2]
    pixels = 2 * widths.sum() - widths[0] + 4 * (added * widths[-2] - removed)
    weight = disk_kernel(radius, alias_sigma).sum(dtype=np.float64)
    return Disk(
        radius,
        halves,
        softening.astype(np.float32),
        np.float32(added),
        np.float32(removed),
        float(weight / pixels),
    )


def average_over_disk(image: Image, disk: Disk) -> Image:
    """Weighted average of the pixels around every pixel, clipped and rounded down.

    The picture is reflected at its edges, without the edge pixel itself.

    Args:
        image: (H, W, 3).
        disk: of `soft_disk`.
    """
    reach = disk.radius + len(disk.softening) - 1
    padded = np.asarray(
        cv2.copyMakeBorder(image, reach, reach, reach, reach, cv2.BORDER_REFLECT_101), np.uint8
    )
    rows = padded.reshape(len(padded), -1)
    averaged = np.empty(image.shape, dtype=np.uint8)
    _average(rows, disk, averaged.reshape(len(image), -1))
    return averaged


@numba.njit(cache=True, nogil=True)
def _average(padded: Image, disk: Disk, averaged: Image) -> None:
    soft = len(disk.softening) - 1
    reach = disk.radius + soft
    size, wide = averaged.shape[1], averaged.shape[1] + 2 * soft * _CHANNELS
    # Place k % length of the sums holds the sums of all rows above row k.
    sums = np.zeros((2 * reach + 2, padded.shape[1]), dtype=np.uint16)
    disks = np.empty((2 * soft + 1, wide), dtype=np.float32)
    across, whole = np.empty(wide, dtype=np.float32), np.empty(size, dtype=np.float32)
    for row in range(len(padded)):
        above, sum_to_here = sums[row % len(sums)], sums[(row + 1) % len(sums)]
        for place in range(padded.shape[1]):
            sum_to_here[place] = np.uint16(above[place] + padded[row, place])
        centre = row - disk.radius  # the last row whose disk is known now
        if centre >= disk.radius:
            _disk_row(sums, centre, disk, disks[centre % len(disks)])
        output = row - 2 * reach
        if output < 0:
            continue
        _soften_down(disks, output + reach, disk.softening, across)
        if disk.added > 0:
            _mend_top_and_bottom(padded, output + reach, disk, across)
        _soften_across(across, disk.softening, whole)
        if disk.added > 0:
            _mend_sides(padded, sums, output + reach, disk, whole)
        result = averaged[output]
        for place in range(size):
            result[place] = np.uint8(np.int32(min(np.float64(whole[place]) * disk.scale, 255.0)))


@numba.njit(cache=True)
def _disk_row(sums: Sums, centre: int, disk: Disk, disks: Row) -> None:
    """Sums over the disks around a row, in two halves because a whole one may exceed 65,535."""
    size = disks.size
    left, right = np.zeros(size, dtype=np.uint16), np.zeros(size, dtype=np.uint16)
    for offset in range(-disk.radius, disk.radius + 1):
        half, first = disk.halves[abs(offset)], (disk.radius + offset) * _CHANNELS
        to = sums[(centre + half + 1) % len(sums), first:]
        start = sums[(centre - half) % len(sums), first:]
        total = left if offset < 0 else right
        for place in range(size):
            total[place] += np.uint16(to[place] - start[place])
    for place in range(size):
        disks[place] = np.float32(np.int32(np.int32(left[place]) + np.int32(right[place])))


# Blurs below add weighted differences, so that flat areas stay exact.


@numba.njit(cache=True)
def _soften_down(
    disks: NDArray[np.float32], centre: int, softening: NDArray[np.float32], across: Row
) -> None:
    own = disks[centre % len(disks)]
    if len(softening) == 1:
        across[:] = own
    for offset in range(1, len(softening)):
        above, below = disks[(centre - offset) % len(disks)], disks[(centre + offset) % len(disks)]
        _change(own, above, below, softening[offset], offset == 1, across)


@numba.njit(cache=True)
def _soften_across(across: Row, softening: NDArray[np.float32], whole: Row) -> None:
    soft = len(softening) - 1
    own = across[soft * _CHANNELS :][: whole.size]
    if soft == 0:
        whole[:] = own
    for offset in range(1, soft + 1):
        left, right = across[(soft - offset) * _CHANNELS :], across[(soft + offset) * _CHANNELS :]
        _change(own, left, right, softening[offset], offset == 1, whole)


@numba.njit(cache=True)
def _change(own: Row, one: Row, two: Row, weight: np.float32, begin: bool, total: Row) -> None:
    """Begin with the own line, or go on with the total, and add what the other two differ by."""
    if begin:
        for place in range(total.size):
            mine = own[place]
            total[place] = mine + weight * ((one[place] - mine) + (two[place] - mine))
    else:
        for place in range(total.size):
            mine = own[place]
            total[place] += weight * ((one[place] - mine) + (two[place] - mine))


@numba.njit(cache=True)
def _mend_top_and_bottom(padded: Image, centre: int, disk: Disk, across: Row) -> None:
    """Lay the second row over the outermost one and take away what lies beyond the window."""
    half, first = disk.halves[disk.radius - 1], disk.radius * _CHANNELS
    top, bottom = padded[centre - disk.radius], padded[centre + disk.radius]
    both = np.empty(padded.shape[1], dtype=np.uint16)
    for place in range(both.size):
        both[place] = np.uint16(top[place]) + np.uint16(bottom[place])
    spans = both[first : first + across.size].copy()
    for offset in range(1, half + 1):
        left, right = both[first - offset * _CHANNELS :], both[first + offset * _CHANNELS :]
        for place in range(spans.size):
            spans[place] += np.uint16(left[place] + right[place])
    over, under = (
        padded[centre - disk.radius - 1, first:],
        padded[centre + disk.radius + 1, first:],
    )
    for place in range(across.size):
        beyond = np.int32(np.int32(over[place]) + np.int32(under[place]))
        added = disk.added * np.float32(spans[place])
        across[place] += added - disk.removed * np.float32(beyond)


@numba.njit(cache=True)
def _mend_sides(padded: Image, sums: Sums, centre: int, disk: Disk, whole: Row) -> None:
    """The same at the left and right, where spans stand upright and are softened up and down."""
    size, half, softening = padded.shape[1], disk.halves[disk.radius - 1], disk.softening[1]
    own, above, below = padded[centre], padded[centre - 1], padded[centre + 1]
    to, start = sums[(centre + half + 1) % len(sums)], sums[(centre - half) % len(sums)]
    first, last = padded[centre - half], padded[centre + half]
    before, after = padded[centre - half - 1], padded[centre + half + 1]
    standing, beyond = np.empty(size, dtype=np.float32), np.empty(size, dtype=np.float32)
    for place in range(size):
        ends = np.int32(
            (np.int32(before[place]) + np.int32(after[place]))
            - (np.int32(first[place]) + np.int32(last[place]))
        )
        span = np.float32(np.uint16(to[place] - start[place]))
        standing[place] = disk.added * (span + softening * np.float32(ends))
        around = np.int32(
            np.int32(above[place]) + np.int32(below[place]) - 2 * np.int32(own[place])
        )
        beyond[place] = disk.removed * (np.float32(own[place]) + softening * np.float32(around))
    margin = (size - whole.size) // 2
    near, far = disk.radius * _CHANNELS, (disk.radius + 1) * _CHANNELS
    left, right = standing[margin - near :], standing[margin + near :]
    lost_left, lost_right = beyond[margin - far :], beyond[margin + far :]
    for place in range(whole.size):
        whole[place] += (left[place] + right[place]) - (lost_left[place] + lost_right[place])
