"""What differs in the profile "published", by the CPU functions of the same names.

Those of snow and glass_blur take whole fields from numpy's generators, which only numpy can make:
their numbers are drawn on the host and moved.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from corruptions.blur import MOTION_BLUR_MAX_DEGREES
from corruptions.dragging import line
from corruptions.gpu.glass import walk
from corruptions.gpu.ice import lay_frost
from corruptions.gpu.noise import Rngs
from corruptions.gpu.sampling import mix_inwards, sum_along
from corruptions.gpu.snowfall import add_flakes
from corruptions.gpu.tables import look_up, number, place, precise, to_bytes, units
from corruptions.ice import choose_picture, cut_enlarged, frost_texture
from corruptions.published import GLASS_WINDOW
from corruptions.published_lines import SIXTEEN_BITS, Stretch
from corruptions.published_weather import enlargement


def snow(
    images: Tensor,
    rngs: Rngs,
    *,
    mean: float,
    deviation: float,
    zoom: float,
    threshold: float,
    radius: int,
    sigma: float,
    image_weight: float,
) -> Tensor:
    """Let flakes fall: `corruptions.published_weather.snow` of every picture.

    Draws the noise on the host and moves it, 8 bytes a pixel; and 24 bytes a sample of each fall.

    Args:
        images: (B, 3, H, W), uint8.
        rngs: a generator a picture.
        mean: of the noise the flakes are cut from, 0..1.
        deviation: of that noise.
        zoom: size of a flake, in pixels.
        threshold: noise below it is no flake.
        radius: of the fall's motion blur, in pixels.
        sigma: of the fall's motion blur, in pixels.
        image_weight: share of the picture as it was.
    """
    size, device = tuple(images.shape[2:]), images.device
    noise = np.stack([mean + deviation * rng.standard_normal(size) for rng in rngs])
    flakes = _stretched(place(noise, device), zoom)
    flakes = torch.where(flakes < threshold, 0, flakes).mul_(255).clamp_(min=0)
    angles = [rng.uniform(-135, -45) for rng in rngs]
    layer = _dragged(to_bytes(flakes)[:, None], radius, sigma, angles)
    return add_flakes(images, layer[:, 0], image_weight)


def _stretched(planes: Tensor, zoom: float) -> Tensor:
    """The enlarged middles, `published_lines.stretch_plane` of (B, H, W)."""
    down, across = (_stretch_on(size, zoom, planes.device) for size in planes.shape[1:])
    total = torch.zeros_like(planes)
    for row, row_share in down:
        tall = planes.index_select(1, row).mul_(row_share[:, None])
        for column, column_share in across:
            total += tall.index_select(2, column).mul_(column_share)
    return total


@lru_cache(maxsize=256)
def _stretch_on(
    size: int, zoom: float, device: torch.device
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Index and share of the pixel before, and of that behind."""
    line = Stretch.of(size, zoom)
    return (
        (place(line.before, device), place(line.before_share, device)),
        (place(line.after, device), place(line.after_share, device)),
    )


def _dragged(images: Tensor, radius: int, sigma: float, angles: Sequence[float]) -> Tensor:
    """Averages along lines, `published_lines.drag` of (B, C, H, W) bytes."""
    sums = sum_along(images, [line(radius, sigma, angle) for angle in angles])
    sixteen = sums.mul_(SIXTEEN_BITS).add_(0.5).floor_()
    return (sixteen / number(SIXTEEN_BITS, images.device)).to(torch.uint8)


def frost(images: Tensor, rngs: Rngs, *, image_weight: float, frost_weight: float) -> Tensor:
    """Lay ice enlarged five times over: `corruptions.published_weather.frost` of every picture.

    Cuts and enlarges the ice on the host and moves it, 3 bytes a pixel.

    Args:
        images: (B, 3, H, W), uint8.
        rngs: a generator a picture.
        image_weight: factor for the picture.
        frost_weight: factor for the ice.
    """
    height, width = images.shape[2:]

    def cut(rng: np.random.Generator) -> NDArray[np.uint8]:
        ice = frost_texture(choose_picture(rng, None))
        scale = enlargement(ice, height, width)
        return cut_enlarged(ice, scale, (height, width), rng, top=None, left=None)

    ice = place(np.stack([cut(rng) for rng in rngs]), images.device).permute(0, 3, 1, 2)
    return lay_frost(images, ice, image_weight=image_weight, frost_weight=frost_weight)


def glass_blur(
    images: Tensor, rngs: Rngs, *, sigma: float, max_shift: int, iterations: int
) -> Tensor:
    """Blur, shuffle the top left corner, blur: `corruptions.published.glass_blur`.

    Draws the shifts on the host and moves them, up to 100 KB a picture and iteration.

    Args:
        images: (B, 3, H, W), uint8.
        rngs: a generator a picture.
        sigma: of both Gaussian blurs, in pixels.
        max_shift: how far a pixel travels, in pixels.
        iterations: how often the pixels travel.
    """
    blurred = _softened(images, sigma)
    window = blurred[:, :, :GLASS_WINDOW, :GLASS_WINDOW].contiguous()
    height, width = window.shape[2:]
    shape, first = (height - 2 * max_shift, width - 2 * max_shift), max_shift + 1
    inner = (slice(first, first + shape[0]), slice(first, first + shape[1]))
    for _ in range(iterations):
        drawn = [
            [rng.integers(-max_shift, max_shift, shape, dtype=np.int8) for _ in range(2)]
            for rng in rngs
        ]
        rows, columns = place(np.array(drawn), images.device).to(torch.int64).unbind(1)
        shifts = torch.zeros((len(images), height, width), dtype=torch.int64, device=images.device)
        shifts[:, inner[0], inner[1]] = rows * width + columns
        window = walk(window, shifts)
    blurred[:, :, :GLASS_WINDOW, :GLASS_WINDOW] = window
    return _softened(blurred, sigma)


def _softened(images: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of bytes, rounded down; channel by channel, for the memory's sake."""
    real, white = precise(images.device), number(255, images.device)
    weights = _weights(sigma)
    softened = torch.empty_like(images)
    for channel in range(3):
        unit = images[:, channel].to(real) / white
        unit = mix_inwards(mix_inwards(unit, 1, weights), 2, weights)
        softened[:, channel] = to_bytes(unit.mul_(255))
    return softened


@lru_cache(maxsize=16)
def _weights(sigma: float) -> NDArray[np.float64]:
    """Weights of SciPy's Gaussian at 0, 1, ... pixels, by what it makes of a single 1."""
    reach = int(4.0 * sigma + 0.5)
    single = np.zeros(4 * reach + 1)
    single[2 * reach] = 1
    spread = np.asarray(ndimage.gaussian_filter1d(single, sigma, truncate=4.0))
    return spread[2 * reach : 3 * reach + 1]


def motion_blur(images: Tensor, rngs: Rngs, *, radius: int, sigma: float) -> Tensor:
    """Drag along lines, by 16 bits a channel: `corruptions.published.motion_blur`.

    Angles are drawn on the host, which moves 24 bytes a sample of each line: up to 984 a picture.

    Args:
        images: (B, 3, H, W), uint8.
        rngs: a generator a picture.
        radius: 2 radius + 1 samples are averaged.
        sigma: how slowly their weights fall, in pixels.
    """
    reach = MOTION_BLUR_MAX_DEGREES
    return _dragged(images, radius, sigma, [rng.uniform(-reach, reach) for rng in rngs])


def zoom_blur(images: Tensor, _rngs: Rngs, *, layers: int, step: float) -> Tensor:
    """Average every picture with versions that are closer: `corruptions.published.zoom_blur`.

    Moves tables of 32 bytes a row and a column for each layer, once a size.

    Args:
        images: (B, 3, H, W), uint8.
        layers: number of versions; the first is the picture itself.
        step: by which the zoom grows from one to the next.
    """
    device, real = images.device, precise(images.device)
    blurred = torch.empty_like(images)
    for channel in range(3):  # for the memory's sake
        unit = look_up(units(device), images[:, channel])
        total, exact = unit.clone(), unit.to(real)
        # arange and not 1 + layer * step: lengths are rounded, where the last bit can add a pixel
        for zoom in np.arange(1, 1 + (layers - 0.5) * step, step)[1:]:
            total += _stretched(exact, float(zoom)).to(torch.float32)
        mean = total.add_(unit) / number(layers + 1, device).to(torch.float32)
        blurred[:, channel] = to_bytes(mean.mul_(255))
    return blurred
