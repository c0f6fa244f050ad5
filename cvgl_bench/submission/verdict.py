"""What a verification found: one line a check."""

from dataclasses import dataclass
from typing import Final, Literal

Outcome = Literal["passed", "failed", "note"]

_LONGEST: Final = 400


@dataclass(frozen=True)
class Check:
    """One check of a submission.

    Attributes:
        name: which.
        outcome: "passed"; "failed", which refuses the submission; "note", which asks whoever
            reviews it to look.
        text: what was found, printable ASCII.
    """

    name: str
    outcome: Outcome
    text: str


@dataclass(frozen=True)
class Report:
    """All checks of one submission.

    Attributes:
        file: its name, printable ASCII.
        checks: in the order in which they were made; after a failure that leaves nothing to go on
            with, the last is that failure.
    """

    file: str
    checks: tuple[Check, ...]

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that refuse it."""
        return tuple(check for check in self.checks if check.outcome == "failed")

    @property
    def accepted(self) -> bool:
        """Whether every check was made and none failed."""
        return bool(self.checks) and not self.failed

    @property
    def text(self) -> str:
        """The report for people, a line a check."""
        width = max((len(check.name) for check in self.checks), default=0)
        lines = [
            f"  {check.outcome:<6}  {check.name:<{width}}  {check.text}" for check in self.checks
        ]
        return "\n".join([self.file, *lines, f"  {self.verdict}"])

    @property
    def verdict(self) -> str:
        """The last line: accepted or refused."""
        if self.accepted:
            return "accepted: every number follows from the ranks"
        return f"refused: {', '.join(check.name for check in self.failed)}"

    @property
    def as_json(self) -> dict[str, object]:
        """The report for programs."""
        checks = [
            {"check": check.name, "outcome": check.outcome, "text": check.text}
            for check in self.checks
        ]
        return {"file": self.file, "accepted": self.accepted, "checks": checks}


def shown(text: str, longest: int = _LONGEST) -> str:
    """Make a stranger's text fit for a terminal, a log and a page of Markdown.

    Args:
        text: whatever it is.
        longest: more characters than these are cut off.

    Returns:
        Printable ASCII on one line, without backticks; the rest as escapes.
    """
    cut = text if len(text) <= longest else f"{text[:longest]}..."
    ascii_only = cut.encode("ascii", "backslashreplace").decode("ascii").replace("`", "'")
    return "".join(sign if sign.isprintable() else f"\\x{ord(sign):02x}" for sign in ascii_only)
