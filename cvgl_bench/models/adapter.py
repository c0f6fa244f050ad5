"""The one seam between a model and the benchmark."""

from typing import Protocol

from torch import Tensor


class Adapter(Protocol):
    """Two encoders into one space, in which the dot product is the similarity.

    Images come as float32 RGB in 0..1, (B, 3, H, W), at the size they have on disk. Resizing and
    normalizing are the adapter's: the benchmark does neither. An adapter may be an `nn.Module`; it
    is then moved to the device and set to evaluation before the first image.

    Attributes:
        name: what the model is called in records and tables.
        preprocessing: what the encoders do to an image before the network, in words and numbers.
        weights_sha256: SHA-256 of the weight file, "" for a model without weights.
    """

    name: str
    preprocessing: str
    weights_sha256: str

    def encode_ground(self, images: Tensor) -> Tensor:
        """Embed street views, (B, 3, H, W); returns (B, D) float32 of unit length."""
        ...

    def encode_aerial(self, images: Tensor) -> Tensor:
        """Embed overhead views, (B, 3, H, W); returns (B, D) float32 of unit length."""
        ...
