"""The one seam between a model and the benchmark."""

from typing import Literal, Protocol

from torch import Tensor

Side = Literal["ground", "aerial"]


class Adapter(Protocol):
    """Two encoders into one space, in which the dot product is the similarity.

    Images come as float32 RGB in 0..1, (B, 3, H, W), at the size they have on disk. Resizing and
    normalizing are the adapter's: the benchmark does neither. An adapter may be an `nn.Module`; it
    is then moved to the device and set to evaluation before the first image.

    A view of fewer than 360 degrees comes as a picture of fewer columns, not as a padded panorama.
    What it shows cannot be seen from its size alone, so `encode_ground(self, images, fov_degrees)`
    is told: a second parameter of that name gets the field of view as a keyword, in degrees in
    (0, 360], one for the whole batch. An adapter without it is called with the images only.

    An attribute `remarks`, if there is one, stands in every record: what must be known before its
    numbers are compared.

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
