"""Every message that the troubleshooting page quotes is still in the code."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/troubleshooting.md").read_text()
QUOTED = re.compile(r"^\| `([^`]+)`", re.MULTILINE)
MESSAGES = QUOTED.findall(PAGE)


def wording(node):
    """A string as it is written, with an ellipsis for each part that is computed."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if not isinstance(node, ast.JoinedStr):
        return "…"
    return "".join(
        str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values
    )


def wordings():
    """All texts of the code but docstrings; what `unknown` makes of its first argument, too."""
    for path in [*(ROOT / "cvgl_bench").rglob("*.py"), *(ROOT / "corruptions").rglob("*.py")]:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                yield wording(node)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                if id(node) not in docstrings:
                    yield node.value
            elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "unknown":
                yield f"unknown {wording(node.args[0])} '…'"


CODE = list(wordings())


def is_said(message):
    return any(message in text for text in CODE)


@pytest.mark.parametrize("message", MESSAGES)
def test_a_quoted_message_is_in_the_code(message):
    assert is_said(message)


def test_messages_are_quoted_once_and_wrong_ones_would_be_found():
    assert len(MESSAGES) == len(set(MESSAGES)) > 50
    assert not is_said("this sentence stands in no file")
    assert not is_said("unknown colour '…'")
