"""Averages over a disk with a soft edge, in the whole numbers and floats of `corruptions.disks`.

A row of a disk is a span of pixels, and the sum of a span is the difference of two running sums.
Sums over whole disks are whole numbers; the soft edge adds weighted differences of these in the
order in which the CPU function does, which comes out to the same bit.
"""

import torch
from torch import Tensor
from torch.nn.functional import pad

from corruptions.disks import Disk
from corruptions.gpu.sampling import reflected
from corruptions.gpu.tables import number, precise, to_bytes


def average_over_disk(images: Tensor, disk: Disk) -> Tensor:
    """Weighted average of the pixels around every pixel, clipped and rounded down.

    The pictures are reflected at their edges, without the edge pixel itself.

    Args:
        images: (B, 3, H, W), uint8.
        disk: of `corruptions.disks.soft_disk`.
    """
    height, width = images.shape[2:]
    reach = disk.radius + len(disk.softening) - 1
    padded = images.index_select(2, reflected(height, reach, device=images.device))
    padded = padded.index_select(3, reflected(width, reach, device=images.device))
    averaged = torch.empty_like(images)
    for channel in range(3):  # for the memory's sake
        averaged[:, channel] = _Plane(padded[:, channel], disk).averaged()
    return averaged


class _Plane:
    """One colour of padded pictures, (B, H + 2 reach, W + 2 reach), and its sums."""

    def __init__(self, plane: Tensor, disk: Disk) -> None:
        self.plane = plane.to(torch.int32)
        self.disk = disk
        self.soft = len(disk.softening) - 1
        self.reach = disk.radius + self.soft
        self.height = plane.shape[1] - 2 * self.reach
        self.width = plane.shape[2] - 2 * self.reach

    def averaged(self) -> Tensor:
        across = self._softened(self._disks(), 1)
        if self.disk.added > 0:
            across += self._mended_top_and_bottom()
        whole = self._softened(across, 2)
        if self.disk.added > 0:
            whole += self._mended_sides()
        real = precise(whole.device)
        return to_bytes(whole.to(real) * number(self.disk.scale, whole.device))

    def _disks(self) -> Tensor:
        """Sums over disks, for all centres that softening reaches, float32."""
        sums = pad(self.plane.cumsum(2, dtype=torch.int32), (1, 0))
        radius, height, width = self.disk.radius, self.height, self.width
        rows, columns = height + 2 * self.soft, width + 2 * self.soft
        total = torch.zeros((len(sums), rows, columns), dtype=torch.int32, device=self.plane.device)
        for offset in range(-radius, radius + 1):
            half, row = int(self.disk.halves[abs(offset)]), radius + offset
            line = sums.narrow(1, row, rows)
            total += line.narrow(2, radius + half + 1, columns)
            total -= line.narrow(2, radius - half, columns)
        return total.to(torch.float32)

    def _softened(self, values: Tensor, dim: int) -> Tensor:
        """Add weighted differences, so that flat areas stay exact."""
        soft = self.soft
        size = values.shape[dim] - 2 * soft
        own = values.narrow(dim, soft, size)
        total = own.clone()
        for offset in range(1, soft + 1):
            one, two = (values.narrow(dim, soft + side, size) for side in (-offset, offset))
            total += (one - own).add_(two - own).mul_(float(self.disk.softening[offset]))
        return total

    def _mended_top_and_bottom(self) -> Tensor:
        """The second row laid over the outermost one, less what lies beyond the window."""
        disk, radius, columns = self.disk, self.disk.radius, self.width + 2 * self.soft
        half = int(disk.halves[radius - 1])
        both = self._row(-radius) + self._row(radius)
        sums = pad(both.cumsum(2, dtype=torch.int32), (1, 0))
        spans = sums.narrow(2, radius + half + 1, columns) - sums.narrow(2, radius - half, columns)
        beyond = self._row(-radius - 1) + self._row(radius + 1)
        beyond = beyond.narrow(2, radius, columns).to(torch.float32) * float(disk.removed)
        return (spans.to(torch.float32) * float(disk.added)).sub_(beyond)

    def _mended_sides(self) -> Tensor:
        """The same at the left and right, where spans stand upright and are softened vertically."""
        disk, radius = self.disk, self.disk.radius
        half, softening = int(disk.halves[radius - 1]), float(disk.softening[1])
        own, height = self._row(0), self.height
        sums = pad(self.plane.cumsum(1, dtype=torch.int32), (0, 0, 1, 0))
        start = self.reach - half
        span = sums.narrow(1, start + 2 * half + 1, height) - sums.narrow(1, start, height)
        ends = (self._row(-half - 1) + self._row(half + 1)) - (self._row(-half) + self._row(half))
        standing = (ends.to(torch.float32) * softening).add_(span).mul_(float(disk.added))
        around = self._row(-1) + self._row(1) - 2 * own
        beyond = (around.to(torch.float32) * softening).add_(own).mul_(float(disk.removed))
        spans = self._column(standing, -radius) + self._column(standing, radius)
        return spans.sub_(self._column(beyond, -radius - 1) + self._column(beyond, radius + 1))

    def _row(self, offset: int) -> Tensor:
        return self.plane.narrow(1, self.reach + offset, self.height)

    def _column(self, values: Tensor, offset: int) -> Tensor:
        return values.narrow(2, self.reach + offset, self.width)
