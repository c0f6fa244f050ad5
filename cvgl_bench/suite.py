"""A suite is one benchmark: data, views, corruptions, severities and seed, in one TOML file."""

import hashlib
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)

from corruptions import CORRUPTIONS, FAMILY_OF, SEVERITIES
from cvgl_bench.errors import SuiteError, first_fault, unknown
from cvgl_bench.views import FULL, parse_view

if sys.version_info >= (3, 11):
    from typing import Self

    import tomllib
else:
    import tomli as tomllib
    from typing_extensions import Self

SUITES_FOLDER = Path(__file__).parent / "suites"
CLEAN = "clean"
CODEC_ONLY = "codec_only"
MIXED = "mixed"

Profile = Literal["standard", "published"]
_PUBLISHED = "-published"


class Cell(BaseModel):
    """One condition under which all queries are scored.

    Attributes:
        view: a view's name, "full" for the panorama as it is.
        corruption: a corruption's name, "clean" for none, "codec_only" for the clean panorama
            encoded like the corrupted ones, "mixed" for one drawn a query.
        severity: 1 (mild) to 5 (severe); 0 for clean, codec_only and mixed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    view: str
    corruption: str
    severity: Annotated[int, Field(ge=0, le=5)]

    @property
    def folder(self) -> str:
        """The cell's folder in a set, as the published sets name it; "" is the set's root."""
        parts = [] if self.view == "full" else [f"view-{self.view}"]
        if self.corruption in (CLEAN, CODEC_ONLY):
            parts.append(self.corruption)
        elif self.corruption != MIXED:
            parts += [f"severity-{self.severity}", FAMILY_OF[self.corruption], self.corruption]
        return "/".join(parts)

    def __str__(self) -> str:
        name = self.corruption if self.severity == 0 else f"{self.corruption} {self.severity}"
        return name if self.view == "full" else f"{name} ({self.view})"


class Suite(BaseModel):
    """A benchmark's definition, read from TOML; see the comments in `suites/cvusa-c.toml`.

    `pairs` is how many queries there are; `references`, how many pictures are searched, where they
    are not as many.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
    version: Annotated[int, Field(ge=1)]
    title: str
    dataset: str
    split: str
    pairs: Annotated[int, Field(ge=1)]
    references: Annotated[int, Field(ge=1)] | None = None
    form: Literal["grid", "mixed"]
    profile: Profile
    codec: Literal["pillow", "ijg9d"]
    seed: Annotated[int, Field(ge=0)]
    jpeg_quality: Annotated[int, Field(ge=1, le=100)]
    views: Annotated[tuple[str, ...], Field(min_length=1)]
    severities: tuple[Annotated[int, Field(ge=1, le=5)], ...]
    corruptions: tuple[str, ...]
    mce_reference: str = ""

    @field_validator("views")
    @classmethod
    def _views_exist(cls, views: tuple[str, ...]) -> tuple[str, ...]:
        return unique("view", (parse_view(view).name for view in views))

    @field_validator("corruptions")
    @classmethod
    def _corruptions_exist(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in CORRUPTIONS:
                raise SuiteError(unknown("corruption", name, CORRUPTIONS))
        return unique("corruption", names)

    @field_validator("severities")
    @classmethod
    def _severities_differ(cls, severities: tuple[int, ...]) -> tuple[int, ...]:
        unique("severity", map(str, severities))
        return severities

    @model_serializer(mode="wrap")
    def _without_nothing(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what most suites do not say, so that their texts stay as they were."""
        fields: dict[str, Any] = handler(self)
        return {key: value for key, value in fields.items() if value is not None}

    @model_validator(mode="after")
    def _grid_has_two_sides(self) -> Self:
        if bool(self.severities) != bool(self.corruptions):
            raise SuiteError(
                "corruptions and severities are both there, or neither, for clean pictures only."
            )
        if self.form == "mixed" and not self.corruptions:
            raise SuiteError("a mixed suite has corruptions to draw from.")
        return self

    @property
    def label(self) -> str:
        """Name and version in one word, as in file names and tables."""
        return f"{self.name}-{self.version}"

    @property
    def fingerprint(self) -> str:
        """SHA-256 of everything that changes a pixel or a score, corruption parameters included."""
        definition = self.model_dump(mode="json", exclude={"title"})
        definition["parameters"] = {name: SEVERITIES[name] for name in self.corruptions}
        text = json.dumps(definition, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def cells(self) -> tuple[Cell, ...]:
        """Every cell that a complete record of this suite holds, clean ones first in each view."""
        return self.select()

    def select(
        self,
        *,
        views: Sequence[str] | None = None,
        corruptions: Sequence[str] | None = None,
        severities: Sequence[int] | None = None,
    ) -> tuple[Cell, ...]:
        """Pick cells, in the suite's own order.

        The clean ones are always among them. codec_only comes with the corrupted cells of the full
        view, whose control it is; in other views the clean picture is encoded too.

        Args:
            views: any views, also ones that the suite does not list; the suite's own if None.
            corruptions: some of the suite's; all if None, only clean cells if empty.
            severities: some of the suite's; all if None.

        Raises:
            SuiteError: the suite does not have it, or cannot be cut that way.
        """
        if self.form == "mixed" and (corruptions or severities is not None):
            raise SuiteError(
                f"{self.name} draws one corruption and severity for each query; "
                "it has no corruptions or severities to choose from."
            )
        for name in corruptions or ():
            if name in (CLEAN, CODEC_ONLY):
                raise SuiteError(
                    f"{name} is no corruption to choose: clean is always there, and codec_only "
                    "comes with any corruption of the full view."
                )
            if name not in self.corruptions:
                raise SuiteError(unknown(f"corruption of {self.name}", name, self.corruptions))
        for severity in severities or ():
            if severity not in self.severities:
                raise SuiteError(f"{self.name} has no severity {severity}.")
        if views is not None and not views:
            raise SuiteError('no view was chosen; "full" is the whole panorama.')
        chosen = self.views if views is None else [parse_view(view).name for view in views]
        cells = []
        for view in unique("view", chosen):
            cells.append(Cell(view=view, corruption=CLEAN, severity=0))
            corrupted = self._corrupted(view, corruptions, severities)
            if corrupted and view == FULL.name and self.form == "grid":
                cells.append(Cell(view=view, corruption=CODEC_ONLY, severity=0))
            cells += corrupted
        return tuple(cells)

    def _corrupted(
        self, view: str, corruptions: Sequence[str] | None, severities: Sequence[int] | None
    ) -> list[Cell]:
        if self.form == "mixed":
            if corruptions is not None:
                return []
            return [Cell(view=view, corruption=MIXED, severity=0)]
        return [
            Cell(view=view, corruption=corruption, severity=severity)
            for corruption in self.corruptions
            if corruptions is None or corruption in corruptions
            for severity in self.severities
            if severities is None or severity in severities
        ]


def check_size(suite: Suite, queries: int, references: int, *, partial: bool) -> tuple[str, ...]:
    """Compare the pictures at hand with those that the suite asks for.

    Args:
        suite: the benchmark.
        queries: how many there are.
        references: how many tiles the gallery has.
        partial: the user has said that fewer or other pictures are meant.

    Returns:
        Why scores on them compare with no others; empty if they do.

    Raises:
        SuiteError: they are not the suite's, and `partial` is not set.
    """
    sizes = {
        "queries": (queries, suite.pairs),
        "references": (references, suite.references or suite.pairs),
    }
    reasons = tuple(
        f"{count:,} {what} where {suite.name} has {wanted:,}"
        for what, (count, wanted) in sizes.items()
        if count != wanted
    )
    if reasons and not partial:
        raise SuiteError(
            f"{' and '.join(reasons)}: scores on them compare with no others. Complete the data, "
            "or go on with --partial, which marks every later record as not comparable."
        )
    return reasons


def unique(what: str, names: Iterable[str]) -> tuple[str, ...]:
    """Return the names as a tuple.

    Raises:
        SuiteError: one is named twice.
    """
    result = tuple(names)
    twice = sorted({name for name in result if result.count(name) > 1})
    if twice:
        raise SuiteError(f"{what} '{twice[0]}' is named twice.")
    return result


def suite_names() -> list[str]:
    """Names of the suites that come with the package."""
    return sorted(path.stem for path in SUITES_FOLDER.glob("*.toml"))


def load_suite(name: str, profile: Profile | None = None) -> Suite:
    """Read a suite.

    Args:
        name: a suite that comes with the package, or the path of a TOML file.
        profile: take the suite's form of this profile; None takes the suite that is named. A TOML
            file has one profile, which must be this one.

    Raises:
        SuiteError: there is none of that name or profile, or the file says something it may not.
    """
    if profile is None:
        return _read_suite(name)
    if name.endswith(".toml"):
        suite = _read_suite(name)
        if suite.profile != profile:
            raise SuiteError(
                f"{name} has the profile {suite.profile}, not {profile}. Write a suite of that "
                "profile, or leave --profile out."
            )
        return suite
    base = _read_suite(name).name.removesuffix(_PUBLISHED)
    wanted = base + _PUBLISHED if profile == "published" else base
    if wanted not in suite_names():
        have = ", ".join(other for other in suite_names() if other.endswith(_PUBLISHED))
        raise SuiteError(f"{name} has no form of the profile {profile}. Of that profile: {have}.")
    return _read_suite(wanted)


def _read_suite(name: str) -> Suite:
    path = Path(name) if name.endswith(".toml") else SUITES_FOLDER / f"{name}.toml"
    if not name.endswith(".toml") and name not in suite_names():
        raise SuiteError(f"{unknown('suite', name, suite_names())} Your own: a .toml file.")
    try:
        return Suite.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise SuiteError(f"cannot read the suite {path}: {error.strerror}.") from error
    except ValidationError as error:
        raise SuiteError(f"{path}: {first_fault(error)}.") from error
    except (ValueError, RecursionError) as error:
        raise SuiteError(f"{path} is not TOML: {error}.") from error
