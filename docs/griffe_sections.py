"""How docstrings name their sources and what they do in another way than a paper, for the site.

The parser of docstrings knows arguments and the like, and takes the rest for notes or code. This
turns `Source:` into a paragraph, and the sections in `SECTIONS` into a heading and a list, before
it parses.
"""

import inspect
import re

import griffe

SECTIONS = ("Differs from the paper:", "Not stated in the paper; chosen here:")
_KEY = re.compile(r"^[A-Z][\w ]{0,40}: ")
_INDENT = "    "


class Sections(griffe.Extension):  # type: ignore[misc, unused-ignore]
    """Rewrites the docstring of every object as it is loaded."""

    def on_object(self, *, obj: griffe.Object, **_: object) -> None:
        """Rewrite one docstring; the object stays as it is otherwise."""
        if obj.docstring is not None:
            obj.docstring.value = rewritten(obj.docstring.value)


def rewritten(docstring: str) -> str:
    """A docstring in which sources and sections are Markdown.

    Args:
        docstring: dedented or not, as it stands in the code.
    """
    lines = inspect.cleandoc(docstring).splitlines()
    out: list[str] = []
    while lines:
        line = lines.pop(0)
        if line in SECTIONS:
            out += [f"**{line.removesuffix(':')}**", "", *_listed(_block(lines)), ""]
        elif line.startswith("Source: "):
            said = " ".join(
                [line.removeprefix("Source: "), *(each.strip() for each in _block(lines))]
            )
            out += [f"**Source.** {said}", ""]
        else:
            out.append(line)
    return "\n".join(out)


def _block(lines: list[str]) -> list[str]:
    """Take the indented lines from the start of what is left, without their indent."""
    block = []
    while lines and lines[0].startswith(_INDENT):
        block.append(lines.pop(0).removeprefix(_INDENT))
    return block


def _listed(block: list[str]) -> list[str]:
    """A section's items: each `Key: text`, and each run of sentences that has no key."""
    items: list[str] = []
    in_keyed = False
    for line in block:
        if line.startswith(_INDENT) and items:
            items[-1] += f" {line.strip()}"
        elif key := _KEY.match(line):
            items.append(f"*{key[0].removesuffix(': ')}*: {line[key.end() :]}")
            in_keyed = True
        elif items and not in_keyed and not items[-1].endswith("."):
            items[-1] += f" {line}"
        else:
            items.append(line)
            in_keyed = False
    return [f"- {item}" for item in items]
