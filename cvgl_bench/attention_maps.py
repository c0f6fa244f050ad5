"""Attention maps beside each other: how far they agree, and pictures of them; no torch.

`attention` makes the maps, `attention_file` keeps some of them in a run's folder.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from cvgl_bench.errors import RecordError
from cvgl_bench.plots import as_bytes, style, wrapped
from cvgl_bench.views import Image, crop

Maps = NDArray[np.float32]
Part = tuple[float, float]

KINDS: Final = ("heading", "fov", "tile")
TITLES: Final = {
    "heading": "panoramas turned to other headings",
    "fov": "narrower fields of view",
    "tile": "tiles turned by quarters",
}
LONGEST: Final = 512  # Pixels of a drawn picture's longer side.
# Inches: a page; the least of a panel, whatever the page; below a panel; of heads and scale; the
# scale's own height.
_PAGE, _HIGHEST, _LOWEST = 7.0, 9.0, 0.5
_TEXT, _AROUND, _BAR = 0.22, 0.75, 0.08
_NARROWEST = 65.0  # Degrees of the panorama that a column has room for at least.
# Pictures are drawn between these greys: without their ends, what is brightest is attention.
_BLACK, _WHITE = -60.0, 400.0
_MIDDLE = (128 - _BLACK) / (_WHITE - _BLACK)
_FIRST = "as it is"


@dataclass(frozen=True)
class AttentionAgreement:
    """Maps of N samples under K conditions beside those of the pictures as they are.

    Attributes:
        conditions: (K,), what was done to the picture, in words.
        ssim: (N, K), structural similarity, -1 to 1.
        is_nought: (N, K), whether either map was nought everywhere, which makes `ssim` 0.
        base: (N, h, w), maps of the pictures as they are, 0 to 1.
        maps: (K,) of (N, h, w_k), the other maps, turned back, 0 to 1.
        parts: (K,), heading and field of view in degrees of what each of `maps` spans of the
            picture; (0, 360) is all of it.
    """

    conditions: tuple[str, ...]
    ssim: NDArray[np.float64]
    is_nought: NDArray[np.bool_]
    base: Maps
    maps: tuple[Maps, ...]
    parts: tuple[Part, ...]

    @property
    def by_condition(self) -> NDArray[np.float64]:
        """(1 + SSIM) / 2 of each sample and condition, (N, K); 0 to 1, 1 being the same map."""
        scores: NDArray[np.float64] = (1 + self.ssim) / 2
        return scores

    @property
    def scores(self) -> NDArray[np.float64]:
        """The mean over conditions of each sample, (N,)."""
        scores: NDArray[np.float64] = self.by_condition.mean(axis=1)
        return scores


@dataclass(frozen=True)
class Row:
    """A row of a picture of maps.

    Attributes:
        label: what stands beside it.
        picture: the sample as it is, grey uint8, (H, W).
        found: maps.
        sample: which of their samples.
    """

    label: str
    picture: Image
    found: AttentionAgreement
    sample: int


def grey(images: Sequence[Image]) -> Image:
    """Pictures as they are drawn under maps: grey, and at most `LONGEST` pixels long.

    Args:
        images: RGB uint8, (H, W, 3), N of one size.

    Returns:
        (N, H', W') uint8.
    """
    return np.stack(
        [shrunk(np.asarray(cv2.cvtColor(each, cv2.COLOR_RGB2GRAY), np.uint8)) for each in images]
    )


def shrunk(picture: Image) -> Image:
    """A grey picture or map, (H, W) uint8, made at most `LONGEST` pixels long."""
    height, width = picture.shape
    share = LONGEST / max(height, width)
    if share >= 1:
        return picture
    size = max(1, round(width * share)), max(1, round(height * share))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def draw_maps(images: Sequence[Image], found: AttentionAgreement, *, samples: int = 3) -> bytes:
    """Draw the first samples' maps over their pictures as a PNG.

    Args:
        images: the N pictures as they are, RGB uint8.
        found: their maps.
        samples: the most rows.
    """
    pictures = grey(images[:samples])
    rows = [Row(f"sample {n}", each, found, n - 1) for n, each in enumerate(pictures, start=1)]
    with style():
        return as_bytes(draw_rows(rows), "png", 200)


def draw_rows(rows: Sequence[Row], title: str = "") -> Figure:
    """Draw maps over their pictures: a row a model or sample, a column a condition.

    The first column has the picture as it is; the others what each map spans of it, turned back,
    so that equal attention looks equal. Below each stands its similarity to the first.

    Args:
        rows: at least one, all of the same conditions.
        title: above all of it.

    Raises:
        RecordError: they are of several conditions.
    """
    conditions, parts = rows[0].found.conditions, rows[0].found.parts
    if any((row.found.conditions, row.found.parts) != (conditions, parts) for row in rows):
        raise RecordError("attention maps of several conditions cannot stand in one picture.")
    # All columns have the same scale, so that a narrow view is as large as in its panorama.
    spans = [max(fov, _NARROWEST) / 360 for _, fov in parts]
    labels = [wrapped(row.label) for row in rows]
    letters = max((len(line) for label in labels for line in label.splitlines()), default=0)
    panel = (_PAGE - 0.07 * letters - 0.1 * len(spans)) / (1 + sum(spans))
    shape = max(row.picture.shape[0] / row.picture.shape[1] for row in rows)
    room = max((_HIGHEST - _AROUND) / len(rows), _LOWEST + _TEXT)
    high = min(panel * shape + _TEXT, room)
    # A title has as many lines as one more label.
    above = _AROUND + 0.14 * (title.count("\n") + bool(title))
    figure = Figure(figsize=(_PAGE, high * len(rows) + above), layout="compressed")
    figure.suptitle(title, fontsize=8)
    ratios = [1.0, *spans]
    grid = figure.subplots(len(rows), len(ratios), squeeze=False, width_ratios=ratios)
    for axes, row, label in zip(grid, rows, labels, strict=True):
        _row(axes, row)
        axes[0].set_ylabel(label, rotation=0, ha="right", va="center")
    for axes, name, ratio in zip(grid[0], (_FIRST, *conditions), ratios, strict=True):
        axes.set_title(name if ratio > 0.4 else name.replace(" ", "\n", 1), fontsize=8, pad=3)
    scale = ScalarMappable(cmap=_on_grey())
    wide = min(panel, (high - _TEXT) / shape) * sum(ratios) / 2
    bar = figure.colorbar(
        scale, ax=grid, location="bottom", shrink=0.5, aspect=wide / _BAR, pad=0.02
    )
    bar.set_label("attention, a share of the map's largest", fontsize=7, labelpad=2)
    bar.ax.tick_params(labelsize=7, length=2)
    # Laid out once, and not again for every format.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    return figure


def _row(axes: NDArray[np.object_], row: Row) -> None:
    found, sample = row.found, row.sample
    _overlay(axes[0], row.picture, found.base[sample])
    for place, (heading, fov) in enumerate(found.parts):
        shown = crop(row.picture, heading_degrees=heading, fov_degrees=fov)
        _overlay(axes[1 + place], shown, found.maps[place][sample])
        is_nought = found.is_nought[sample, place]
        text = "no attention" if is_nought else f"SSIM {found.ssim[sample, place]:.2f}"
        axes[1 + place].set_xlabel(text, fontsize=7, labelpad=2)


def _colors() -> ListedColormap:
    """Of attention: lets a picture through where there is none, and almost hides it at most."""
    colors = mpl.colormaps["inferno"](np.linspace(0, 1, 256))
    colors[:, 3] = np.linspace(0, 0.8, 256)
    return ListedColormap(colors)


def _on_grey() -> ListedColormap:
    """The same over the middle of a picture's greys, as a scale that says what it looks like."""
    colors = _colors()(np.linspace(0, 1, 256))
    share = colors[:, 3:]
    return ListedColormap(share * colors[:, :3] + (1 - share) * _MIDDLE)


def _overlay(axes: Axes, picture: Image, attention: NDArray[np.float32]) -> None:
    height, width = picture.shape
    axes.imshow(picture, cmap="gray", vmin=_BLACK, vmax=_WHITE)
    axes.imshow(
        attention,
        cmap=_colors(),
        vmin=0,
        vmax=1,
        interpolation="bilinear",
        extent=(-0.5, width - 0.5, height - 0.5, -0.5),
    )
    axes.spines[:].set_visible(False)
    axes.set_xticks([])
    axes.set_yticks([])
