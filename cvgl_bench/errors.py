"""The errors a user can cause: one sentence each, shown without a traceback, exit status 1."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


class CvglBenchError(Exception):
    """Says what was asked, what was found and what to do."""


class DataError(CvglBenchError):
    """A picture, a split or a generated set is not what it must be."""


class SuiteError(CvglBenchError):
    """A suite is unknown, malformed, or another one than the set was made with."""


class ModelError(CvglBenchError):
    """A model is unknown, its weights do not fit, or its embeddings are broken."""


class RecordError(CvglBenchError):
    """A record is malformed, or may not stand where it was asked to."""


def first_fault(error: ValidationError) -> str:
    """Word the first of a validation's faults: the field, and what is wrong with it."""
    first = error.errors(include_url=False, include_context=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg']}" if where else str(first["msg"])


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """Word the failure of a look-up, with the nearest known name.

    Args:
        what: the kind of thing, such as "suite".
        name: what the user typed.
        known: every name that would have worked.
    """
    choices = sorted(known)
    near = difflib.get_close_matches(name, choices, n=1)
    guess = f" Did you mean '{near[0]}'?" if near else ""
    return f"unknown {what} '{name}'.{guess} Known: {', '.join(choices)}."
