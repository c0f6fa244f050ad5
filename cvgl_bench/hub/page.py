"""What a repository holds: the page that `push` writes and `pull` reads; and its name."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from cvgl_bench.errors import first_fault
from cvgl_bench.hub.connection import HubError
from cvgl_bench.submission.verdict import shown

Kind = Literal["model", "dataset"]
PAGE: Final = "cvgl-bench.json"
CARD: Final = "README.md"
LARGEST_PAGE: Final = 32 << 20

# Nothing hidden, nothing that goes up, nothing that a shell or another system reads otherwise.
_PART: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", re.ASCII)
_KINDS_OF_FILES: Final = (".csv", ".json", ".parquet", ".safetensors")
_REPO: Final = re.compile(
    r"(?:hf://)?(?P<datasets>datasets/)?(?P<id>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?",
    re.ASCII,
)


def _is_safe(path: str) -> str:
    parts = path.split("/")
    if not all(_PART.fullmatch(part) for part in parts) or len(parts) > 8:
        raise ValueError(f"{path!r} is no path that push writes")
    if PurePosixPath(path).suffix not in _KINDS_OF_FILES:
        raise ValueError(f"{path!r} is of a kind that push does not write")
    if path == PAGE:
        raise ValueError(f"{path!r} is the page itself")
    return path


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Entry(_Frozen):
    """A file's SHA-256 and its size in bytes."""

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    bytes: Annotated[int, Field(ge=0)]


class Page(_Frozen):
    """`cvgl-bench.json`.

    Attributes:
        kind: of repository.
        cvgl_bench: the version that pushed it.
        card_sha256: of the card, which is replaced only as long as nobody has edited it.
        files: by path in the repository; page and card are not among them.
    """

    schema_version: Literal[1] = 1
    kind: Kind
    cvgl_bench: Annotated[str, Field(max_length=64)]
    card_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    files: Annotated[
        Mapping[Annotated[str, AfterValidator(_is_safe)], Entry],
        Field(min_length=1, max_length=200_000),
    ]

    @property
    def text(self) -> bytes:
        """The file's bytes."""
        return (json.dumps(self.model_dump(mode="json"), indent=1, sort_keys=True) + "\n").encode()


def read_page(data: bytes, repo: "Repo") -> Page:
    """Read a page.

    Raises:
        HubError: it is not one.
    """
    try:
        return Page.model_validate_json(data)
    except ValidationError as error:
        # A fault is told with the words of the page, which are a stranger's.
        fault = shown(first_fault(error))
        raise HubError(f"{PAGE} of {repo} is not what push writes: {fault}.") from error


@dataclass(frozen=True)
class Repo:
    """A repository of the Hub.

    Attributes:
        kind: what it holds.
        id: owner and name.
        revision: a branch, tag or commit; None is the branch main.
    """

    kind: Kind
    id: str
    revision: str | None = None

    def __str__(self) -> str:
        name = f"datasets/{self.id}" if self.kind == "dataset" else self.id
        return f"{name}@{self.revision}" if self.revision else name


def parse_repo(text: str) -> Repo:
    """Read a repository's name.

    Args:
        text: OWNER/NAME, or datasets/OWNER/NAME for a data set; then @ and a revision, or nothing.

    Raises:
        HubError: it is no such name.
    """
    match = _REPO.fullmatch(text)
    if not match or ".." in text or "--" in match["id"]:
        raise HubError(
            f"'{shown(text, 200)}' names no repository: give OWNER/NAME, or datasets/OWNER/NAME "
            "for a data set, and @REVISION if it is not main."
        )
    return Repo("dataset" if match["datasets"] else "model", match["id"], match["revision"])
