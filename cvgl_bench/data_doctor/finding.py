"""What one check of a data set's folder found."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes:
        check: what was checked, in a few words.
        passed: whether it is as it must be; None if it could not be checked, or need not be so.
        detail: figures, or what is wrong, in one line.
        fix: a command or a sentence that says what to do; "" if there is nothing to do.
    """

    check: str
    passed: bool | None
    detail: str
    fix: str = ""
