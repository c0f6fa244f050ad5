"""Models that know nothing, or next to nothing: what any real one must beat."""

import hashlib

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

_ONE_GREY_LEVEL = 1 / 255


class Random:
    """Every picture somewhere else: recall is chance, the number of hits allowed over the gallery.

    The place follows from the picture's own bytes and its side, so that neither order nor batch
    changes it, and equal pictures on both sides have nothing to do with each other.
    """

    name = "random"
    preprocessing = "none; 256 normal deviates seeded by the picture's SHA-256, unit length"
    weights_sha256 = ""

    def encode_ground(self, images: Tensor) -> Tensor:
        """Draw a unit vector for each street view; returns (B, 256)."""
        return self._draw("ground", images)

    def encode_aerial(self, images: Tensor) -> Tensor:
        """Draw a unit vector for each overhead view; returns (B, 256)."""
        return self._draw("aerial", images)

    def _draw(self, side: str, images: Tensor) -> Tensor:
        vectors = np.empty((len(images), 256), np.float32)
        for vector, image in zip(vectors, images.cpu().numpy(), strict=True):
            digest = hashlib.sha256(f"{side} {image.shape} ".encode() + image.tobytes()).digest()
            vector[:] = np.random.default_rng(int.from_bytes(digest, "big")).normal(size=256)
        return normalize(torch.from_numpy(vectors).to(images.device), dim=1)


class Constant:
    """One place for every picture: what ties are worth, nothing where they count against it."""

    name = "constant"
    preprocessing = "none; the same unit vector for every picture"
    weights_sha256 = ""

    def encode_ground(self, images: Tensor) -> Tensor:
        """Return the first unit vector of the plane for each picture, (B, 2)."""
        return images.new_tensor([1.0, 0.0]).repeat(len(images), 1)

    def encode_aerial(self, images: Tensor) -> Tensor:
        """Return the first unit vector of the plane for each picture, (B, 2)."""
        return self.encode_ground(images)


class MeanColor:
    """The direction in which a picture's mean colour lies from mid-grey.

    A fourth coordinate of one grey level, 1/255, gives a mid-grey picture a direction too.
    """

    name = "mean-color"
    preprocessing = "mean RGB of the whole picture less 0.5, and a fourth 1/255, unit length"
    weights_sha256 = ""

    def encode_ground(self, images: Tensor) -> Tensor:
        """Average the colours of each picture; returns (B, 4)."""
        centred = images.mean(dim=(2, 3)) - 0.5
        grey = centred.new_full((len(images), 1), _ONE_GREY_LEVEL)
        return normalize(torch.cat([centred, grey], dim=1), dim=1)

    def encode_aerial(self, images: Tensor) -> Tensor:
        """Average the colours of each picture; returns (B, 4)."""
        return self.encode_ground(images)
