"""One output of a set: what it is, and its bytes."""

import hashlib
import json
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from corruptions import corrupt, parameters
from corruptions.codecs import CODECS, Codec
from cvgl_bench.codec import codec_name, decode
from cvgl_bench.datasets import Pair
from cvgl_bench.errors import DataError
from cvgl_bench.files import read, sha256
from cvgl_bench.seeding import generator, identity_seed
from cvgl_bench.suite import CLEAN, CODEC_ONLY, MIXED, Cell, Suite
from cvgl_bench.views import FULL, crop, draw_heading, parse_view

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class Output:
    """A picture that a suite asks for.

    Attributes:
        image_id: the query.
        cell: the cell that it belongs to.
        corruption: what is done to it; in a mixed suite, what was drawn.
        severity: 1 to 5; 0 for clean and codec_only.
        heading_degrees: where the camera looks.
        fov_degrees: how wide.
        seed: the identity's seed, from which the corruption draws.
        path: where the file goes, relative to the set.
    """

    image_id: str
    cell: Cell
    corruption: str
    severity: int
    heading_degrees: float
    fov_degrees: float
    seed: int
    path: str


@dataclass(frozen=True)
class Source:
    """A query's panorama, read and decoded once for all its outputs."""

    data: bytes
    pixels: Image
    sha256: str


@dataclass(frozen=True)
class Rendered:
    """An output's file content and the pixels that were encoded."""

    data: bytes
    pixels: Image
    codec: str


def plan_output(suite: Suite, dataset: str, pair: Pair, cell: Cell) -> Output:
    """Say what a query's output in a cell is; the same answer in any process and order."""
    corruption, severity = cell.corruption, cell.severity
    if corruption == MIXED:
        corruption, severity = draw_corruption(suite, dataset, pair.id)
    view = parse_view(cell.view)
    heading = view.heading_degrees
    if heading is None:
        heading = draw_heading(suite.seed, dataset, pair.id)
    return Output(
        image_id=pair.id,
        cell=cell,
        corruption=corruption,
        severity=severity,
        heading_degrees=float(heading),
        fov_degrees=view.fov_degrees,
        seed=identity_seed(
            suite.seed, dataset, pair.id, corruption, severity, cell.view, suite.form
        ),
        path="/".join(filter(None, (cell.folder, pair.file_name))),
    )


def draw_corruption(suite: Suite, dataset: str, image_id: str) -> tuple[str, int]:
    """Draw what a query gets in a mixed set: uniform over the suite's corruptions x severities.

    The rule of the published -C-ALL sets is not known; theirs are easier than a uniform draw, so
    scores on the two must not be compared.
    """
    rng = generator(identity_seed(suite.seed, dataset, image_id, "mixed"))
    corruption = suite.corruptions[int(rng.integers(len(suite.corruptions)))]
    return corruption, suite.severities[int(rng.integers(len(suite.severities)))]


def read_source(pair: Pair, codec: Codec) -> Source:
    """Read and decode a query's panorama.

    Args:
        pair: the query.
        codec: the suite's.

    Raises:
        DataError: it is missing, truncated or no RGB picture.
    """
    data = read(pair.ground)
    return Source(data, decode(data, str(pair.ground), codec), sha256(data))


def clean_view(source: Source, output: Output) -> Image:
    """What the output's camera sees before any corruption, RGB uint8, (H, W, 3)."""
    if output.cell.view == FULL.name:
        return source.pixels
    return crop(
        source.pixels, heading_degrees=output.heading_degrees, fov_degrees=output.fov_degrees
    )


def render(suite: Suite, source: Source, output: Output) -> Rendered:
    """Make an output: crop the view, corrupt the crop, encode.

    The view comes first, because a camera's faults happen to the picture that it takes. A clean
    panorama in full is the source file itself, byte for byte.

    Raises:
        DataError: the picture is too small for the corruption.
    """
    if output.corruption == CLEAN and output.cell.view == FULL.name:
        return Rendered(source.data, source.pixels, "source file")
    codec = CODECS[suite.codec]
    pixels = clean_view(source, output)
    if output.corruption not in (CLEAN, CODEC_ONLY):
        try:
            pixels = corrupt(
                pixels,
                output.corruption,
                output.severity,
                rng=generator(output.seed),
                profile=suite.profile,
                codec=codec,
            )
        except ValueError as error:
            raise DataError(f"query {output.image_id}, {output.cell}: {error}") from error
    data = codec.encode(pixels, suite.jpeg_quality)
    return Rendered(data, pixels, codec_name(suite.codec, suite.jpeg_quality))


def parameters_json(output: Output) -> str:
    """The corruption's named parameters, as the manifest records them; {} if there is none."""
    if output.corruption in (CLEAN, CODEC_ONLY):
        return "{}"
    return json.dumps(parameters(output.corruption, output.severity), sort_keys=True)


def pixel_sha256(pixels: Image) -> str:
    """SHA-256 of a picture's shape and values, whatever the codec made of them."""
    digest = hashlib.sha256(",".join(str(side) for side in pixels.shape).encode() + b"\0")
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()
