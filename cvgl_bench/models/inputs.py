"""What reference models do to a picture before their network: size, and the colours' scale."""

import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

from cvgl_bench.models.config import Config

# The usual networks halve a picture five times, so that with fewer columns nothing would be left.
FEWEST = 32
# Mean and deviation of ImageNet's colours, with which timm's networks were trained.
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def normalised(images: Tensor) -> Tensor:
    """Scale colours in 0..1, (B, 3, H, W), as ImageNet's networks expect them."""
    mean, deviation = (torch.tensor(rgb).to(images)[:, None, None] for rgb in (MEAN, DEVIATION))
    return (images - mean) / deviation


def view_columns(config: Config, fov_degrees: float) -> int:
    """Columns of a view of so many degrees: its share of the panorama's, and at least FEWEST."""
    share = int(config.ground_size[1] * fov_degrees / 360)
    return max(share, min(FEWEST, config.ground_size[1]))


def resize_ground(images: Tensor, config: Config, fov_degrees: float = 360.0) -> Tensor:
    """Resize views, (B, 3, H, W), to the configuration's height and their share of its width."""
    size = (config.ground_size[0], view_columns(config, fov_degrees))
    return interpolate(images, size, mode="bilinear", antialias=config.antialias)


def resize_aerial(images: Tensor, config: Config) -> Tensor:
    """Resize tiles, (B, 3, S, S), to the configuration's size."""
    return interpolate(images, config.aerial_size, mode="bilinear", antialias=config.antialias)


def padded(images: Tensor, config: Config) -> Tensor:
    """Put normalised narrow views in the middle of a panorama of noughts, if the model wants it."""
    missing = config.ground_size[1] - images.shape[3]
    if config.narrow == "crop" or missing == 0:
        return images
    return pad(images, (missing // 2, missing - missing // 2))


def described(config: Config) -> str:
    """Word what is done to both views, for records."""
    ground, aerial = ("x".join(map(str, size)) for size in (config.ground_size, config.aerial_size))
    narrow = (
        f"their share of the columns (at least {FEWEST})"
        if config.narrow == "crop"
        else f"their share of the columns (at least {FEWEST}), noughts on both sides"
    )
    smooth = "antialiased" if config.antialias else "not antialiased"
    return (
        f"ground: to {ground}, narrow views to {narrow}; aerial: to {aerial}; bilinear, {smooth}; "
        f"both: (rgb - {MEAN}) / {DEVIATION}"
    )
