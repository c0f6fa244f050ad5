"""The page beside a photo's corrupted pictures: what they were made of and how.

    DIR/<photo>/corrupted.json

It is written anew whenever some more pictures are whole, and names no others.
"""

import json
import re
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from cvgl_bench.errors import DataError, first_fault
from cvgl_bench.files import read, write_atomically

PAGE: Final = "corrupted.json"
WORK: Final = ".corrupting"  # Beside the photos' folders while a run lasts: its lock, half files.
Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_NAME = r"^[a-z0-9_]+(-[0-9]+)?\.(jpg|png)$"


class Picture(BaseModel):
    """A picture of the page.

    Attributes:
        corruption: what was done to the photo; `codec_only` or `clean` for nothing.
        severity: 1 to 5; 0 for nothing.
        seed: of its chance, in hexadecimal.
        sha256: of its file.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    corruption: str
    severity: Annotated[int, Field(ge=0, le=5)]
    seed: Hash
    sha256: Hash


class CorruptedPage(BaseModel):
    """What a folder of corrupted pictures is of.

    Attributes:
        format: of this page.
        photo: the photo's file name, as it can be printed.
        photo_sha256: of its file.
        width: pixels of the pictures.
        height: likewise.
        max_side: the longest side that a photo was shrunk to before; None for its own size.
        seed: what the user gave.
        profile: of the corruptions.
        encoding: of the pictures' files.
        versions: of what shapes a pixel.
        pictures: by file name, in the order of the tables; the first is the photo uncorrupted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["cvgl-bench corrupted photo 1"] = "cvgl-bench corrupted photo 1"
    photo: str
    photo_sha256: Hash
    width: Annotated[int, Field(ge=1)]
    height: Annotated[int, Field(ge=1)]
    max_side: int | None
    seed: int
    profile: str
    encoding: str
    versions: str
    pictures: dict[str, Picture]

    @field_validator("pictures")
    @classmethod
    def _plain_names(cls, pictures: dict[str, Picture]) -> dict[str, Picture]:
        for name in pictures:
            if not re.fullmatch(_NAME, name):
                raise ValueError(f"{name!r} is no name of a corrupted picture")
        return pictures

    @property
    def recipe(self) -> dict[str, object]:
        """All that two runs must agree in to share a folder."""
        return self.model_dump(exclude={"format", "photo", "pictures"})


def read_corrupted_page(folder: Path) -> CorruptedPage:
    """Read the page of a folder.

    Raises:
        DataError: it cannot be read, or is none.
    """
    path = folder / PAGE
    try:
        return CorruptedPage.model_validate_json(read(path))
    except ValidationError as error:
        raise DataError(
            f"{path} is not what cvgl-bench corrupt wrote: {first_fault(error)}. Remove the folder "
            "and make it again."
        ) from error


def write_corrupted_page(folder: Path, page: CorruptedPage) -> None:
    """Write the page of a folder.

    Raises:
        DataError: the folder cannot be written.
    """
    text = json.dumps(page.model_dump(mode="json"), indent=1) + "\n"
    write_atomically(folder / PAGE, text.encode("ascii"), scratch=folder.parent / WORK)
