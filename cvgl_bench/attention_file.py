"""The attention of a run in its folder: numbers, and a few maps to be drawn; no torch.

FOLDER/attention.json     agreement under headings, fields of view and turned tiles; written last
FOLDER/attention.npz      the first samples' pictures, grey and small, and their maps
"""

import io
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cvgl_bench.attention_maps import KINDS, LONGEST, AttentionAgreement, Maps, grey, shrunk
from cvgl_bench.errors import RecordError, first_fault
from cvgl_bench.files import sha256, write_atomically
from cvgl_bench.record import Fraction, ModelCard, Record, Sha256, Slug
from cvgl_bench.statistics import resampled
from cvgl_bench.views import Image

PAGE: Final = "attention.json"
MAPS: Final = "attention.npz"
SAMPLES: Final = 3  # The most that are kept.
_LARGEST = 1 << 26  # Bytes; more is nothing that `write_attention` wrote.
_AGAIN = "evaluate it with --attention again"

Arrays = dict[str, NDArray[np.generic]]
Count = Annotated[int, Field(ge=0)]
Size = Annotated[int, Field(ge=1)]
Words = Annotated[str, Field(min_length=1, max_length=40)]


class Agreement(BaseModel):
    """How far maps agree.

    Attributes:
        score: the mean of (1 + SSIM) / 2.
        low: lower end of its 95 % interval over samples; None of a single sample.
        high: its upper end.
        without_attention: comparisons in which a map was nought everywhere.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    score: Fraction
    low: Fraction | None
    high: Fraction | None
    without_attention: Count


class KindAgreement(Agreement):
    """The same over all conditions of a kind.

    Attributes:
        places: height and width of the maps that are compared, at the pictures as they are.
        by_condition: the agreement under each condition alone.
    """

    places: tuple[Size, Size]
    by_condition: Annotated[dict[Words, Agreement], Field(min_length=1, max_length=12)]


class AttentionPage(BaseModel):
    """`attention.json`.

    Attributes:
        model: whose attention it is.
        weights_sha256: of which weights.
        fingerprint: of the suite that the run is of.
        samples: how many queries were looked at, from the first.
        maps_sha256: of `attention.npz`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    model: Slug
    weights_sha256: Sha256
    fingerprint: Sha256
    samples: Size
    maps_sha256: Sha256
    heading: KindAgreement
    fov: KindAgreement
    tile: KindAgreement

    @property
    def kinds(self) -> dict[str, KindAgreement]:
        """The agreement by kind."""
        return {kind: getattr(self, kind) for kind in KINDS}


@dataclass(frozen=True)
class Kept:
    """What is kept of one kind, to be drawn.

    Attributes:
        pictures: as they are, grey uint8, (n, H, W); n is at most `SAMPLES`.
        found: their maps.
    """

    pictures: Image
    found: AttentionAgreement


@dataclass(frozen=True)
class Attention:
    """The attention of a run.

    Attributes:
        page: its numbers.
        kept: pictures and maps by kind; None if `attention.npz` is not there.
    """

    page: AttentionPage
    kept: Mapping[str, Kept] | None


def write_attention(
    out: Path,
    model: ModelCard,
    fingerprint: str,
    found: Mapping[str, AttentionAgreement],
    images: Mapping[str, Sequence[Image]],
) -> AttentionPage:
    """Write what maps agree on, and keep the first samples of them.

    Args:
        out: the run's folder.
        model: its name and weights.
        fingerprint: of the suite.
        found: maps by kind, of the same N samples.
        images: the N pictures as they are, by kind, RGB uint8.
    """
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **_arrays(found, images))
    kinds = {kind: _agreement(each) for kind, each in found.items()}
    page = AttentionPage(
        model=model.name,
        weights_sha256=model.weights_sha256,
        fingerprint=fingerprint,
        samples=len(found[KINDS[0]].ssim),
        maps_sha256=sha256(buffer.getvalue()),
        **kinds,
    )
    # Numbers of an earlier look must not stand beside maps of this one.
    (out / PAGE).unlink(missing_ok=True)
    write_atomically(out / MAPS, buffer.getvalue())
    write_atomically(out / PAGE, (page.model_dump_json(indent=1) + "\n").encode())
    return page


def read_attention(folder: Path, record: Record) -> Attention | None:
    """Read the attention of a run.

    Args:
        folder: the run's.
        record: its record.

    Returns:
        None if the run was evaluated without.

    Raises:
        RecordError: a file is broken, or of another run.
    """
    path = folder / PAGE
    try:
        page = AttentionPage.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RecordError(f"cannot read {path}: {error.strerror}.") from error
    except ValidationError as error:
        fault = first_fault(error)
        raise RecordError(f"{path} holds no attention: {fault}; {_AGAIN}.") from error
    theirs = record.model.name, record.model.weights_sha256, record.fingerprint
    if (page.model, page.weights_sha256, page.fingerprint) != theirs:
        raise RecordError(
            f"{path} is of {page.model}, weights '{page.weights_sha256[:12]}', and the record "
            f"beside it of {record.model.name}, weights '{record.model.weights_sha256[:12]}', or "
            f"their suites differ: {_AGAIN}."
        )
    return Attention(page, _read_maps(folder / MAPS, page))


def _agreement(found: AttentionAgreement) -> KindAgreement:
    nought = found.is_nought.sum(axis=0).tolist()
    each = zip(_scored(found.by_condition.T), nought, strict=True)
    by_condition = [Agreement(**limits, without_attention=count) for limits, count in each]
    return KindAgreement(
        **_scored(found.scores[None])[0],
        without_attention=sum(nought),
        places=found.base.shape[1:],
        by_condition=dict(zip(found.conditions, by_condition, strict=True)),
    )


def _scored(scores: NDArray[np.float64]) -> list[dict[str, float | None]]:
    """Means of each row, (rows, N), with intervals from the same draws of samples."""
    low, high = resampled(scores, lambda means: means)
    # Rounding must not carry them over their ends.
    ends = np.clip(np.stack([scores.mean(axis=1), low, high], axis=1), 0, 1)
    rows = [[None if np.isnan(each) else float(each) for each in row] for row in ends]
    return [dict(zip(("score", "low", "high"), row, strict=True)) for row in rows]


def _arrays(
    found: Mapping[str, AttentionAgreement], images: Mapping[str, Sequence[Image]]
) -> Arrays:
    """What is kept, by names in the file."""
    arrays: Arrays = {}
    for kind, each in found.items():
        arrays[f"{kind}.pictures"] = grey(images[kind][:SAMPLES])
        arrays[f"{kind}.ssim"] = each.ssim[:SAMPLES]
        arrays[f"{kind}.is_nought"] = each.is_nought[:SAMPLES]
        arrays[f"{kind}.parts"] = np.array(each.parts, np.float64)
        for place, maps in enumerate((each.base, *each.maps)):
            arrays[f"{kind}.maps{place}"] = np.stack([_eight_bits(one) for one in maps[:SAMPLES]])
    return arrays


def _eight_bits(attention: NDArray[np.float32]) -> Image:
    """A map as a picture, which is all that drawing needs."""
    return shrunk(np.rint(255 * attention).astype(np.uint8))


def _read_maps(path: Path, page: AttentionPage) -> dict[str, Kept] | None:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RecordError(f"cannot read {path}: {error.strerror}.") from error
    if sha256(data) != page.maps_sha256:
        raise RecordError(f"{path} is not what {PAGE} beside it was written with: {_AGAIN}.")
    try:
        arrays = _unpacked(data)
        return {kind: _kept(arrays, kind, each, page.samples) for kind, each in page.kinds.items()}
    except (
        *(OSError, ValueError, EOFError, MemoryError, OverflowError, KeyError, RuntimeError),
        *(zipfile.BadZipFile, zlib.error),
    ) as error:
        raise RecordError(f"{path} holds no attention maps ({error}): {_AGAIN}.") from error


def _unpacked(data: bytes) -> Arrays:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if sum(each.file_size for each in archive.infolist()) > _LARGEST:
            raise ValueError("it is too large")
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def _kept(arrays: Arrays, kind: str, numbers: KindAgreement, samples: int) -> Kept:
    """Take one kind out of the file's arrays; ValueError or KeyError if it is not as written."""
    conditions, count = tuple(numbers.by_condition), min(samples, SAMPLES)
    compared = count, len(conditions)

    def taken(name: str, kind_of: str, shape: tuple[int, ...] | None) -> NDArray[np.generic]:
        array = arrays[f"{kind}.{name}"]
        is_picture = array.ndim == 3 and len(array) == count and min(array.shape) >= 1
        fits = is_picture and max(array.shape) <= LONGEST if shape is None else array.shape == shape
        if array.dtype != kind_of or not fits:
            raise ValueError(f"{kind}.{name} is {array.dtype} of shape {array.shape}")
        return array

    pictures = taken("pictures", "uint8", None).astype(np.uint8)
    ssim = taken("ssim", "float64", compared).astype(np.float64)
    parts = taken("parts", "float64", (len(conditions), 2)).astype(np.float64)
    if not ((np.abs(ssim) <= 1 + 1e-9).all() and (np.abs(parts) <= 360).all()):
        raise ValueError(f"{kind} has a similarity or a heading that there cannot be")
    if not (parts[:, 1] > 0).all():
        raise ValueError(f"{kind} has a field of view of nothing")
    base, *others = (_maps(taken(f"maps{n}", "uint8", None)) for n in range(1 + len(conditions)))
    is_nought = taken("is_nought", "bool", compared).astype(np.bool_)
    spans = tuple((float(heading), float(fov)) for heading, fov in parts)
    found = AttentionAgreement(conditions, ssim, is_nought, base, tuple(others), spans)
    return Kept(pictures, found)


def _maps(stored: NDArray[np.generic]) -> Maps:
    return stored.astype(np.float32) / np.float32(255)
