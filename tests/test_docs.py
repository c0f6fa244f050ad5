"""Links, anchors, commands and figures of the README and the documentation."""

import importlib
import re
import runpy
import shlex
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import click
import pytest
from markdown_it import MarkdownIt
from mdit_py_plugins.anchors import anchors_plugin

from cvgl_bench.cli import main
from cvgl_bench.models import MODELS
from cvgl_bench.suite import suite_names

ROOT = Path(__file__).parents[1]
TEXTS = sorted(
    [
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "leaderboards").glob("**/README.md"),
        *(ROOT / "corruptions").glob("**/README.md"),
    ]
)
NAMES = [path.relative_to(ROOT).as_posix() for path in TEXTS]
PROMPT = re.compile(r"^(\$ )?(\w+=\S* )*cvgl-bench ")
# What ends a command in a shell, or is a remark.
END = re.compile(r"\s{4,}|\s(#|&&?|\||>|;|<)(\s|$)")
DRAWINGS = runpy.run_path(str(ROOT / "docs/make_figures.py"))["DRAWINGS"]


@cache
def tokens(path):
    markdown = MarkdownIt("commonmark").enable("table").use(anchors_plugin, max_level=6)
    return markdown.parse(path.read_text(encoding="utf-8"))


def inline(path):
    return [child for token in tokens(path) for child in token.children or ()]


def anchors(path):
    return {token.attrs["id"] for token in tokens(path) if token.type == "heading_open"}


def targets(path):
    for token in inline(path):
        if token.type in ("link_open", "image"):
            yield unquote(str(token.attrs.get("href", token.attrs.get("src"))))


@pytest.mark.parametrize("name", NAMES)
def test_every_relative_link_leads_to_a_file_and_an_anchor(name):
    broken = []
    for target in targets(ROOT / name):
        parts = urlsplit(target)
        if parts.scheme or parts.netloc:
            continue
        path = (ROOT / name).parent / parts.path if parts.path else ROOT / name
        path = path / "README.md" if path.is_dir() else path
        known = path.is_file() and ROOT in path.resolve().parents
        if not known or (parts.fragment and parts.fragment not in anchors(path)):
            broken.append(target)
    assert not broken


def code_lines(path):
    """Lines of code blocks, continued ones joined."""
    for token in tokens(path):
        if token.type in ("fence", "code_block"):
            yield from re.sub(r"\\\n\s*", " ", token.content).splitlines()


def commands(path):
    """The words after `cvgl-bench` of every command line in a text's code blocks."""
    for line in code_lines(path):
        if PROMPT.match(line.strip()):
            words = END.split(PROMPT.sub("", line.strip()), maxsplit=1)[0]
            yield shlex.split(words)


LINES = [
    pytest.param(words, id=f"{path.stem}: {' '.join(words)[:60]}")
    for path in TEXTS
    if path.name != "CHANGELOG.md"
    for words in commands(path)
]


def parsed(words):
    """Read a command line with click as far as options go; nothing is run.

    Returns:
        the command, its options by name, and what was not an option.
    """
    command, context = main, click.Context(main)
    words = [word for word in words if word != "--traceback"]
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        command = command.get_command(context, words.pop(0))
        assert command is not None, "there is no such command"
        context = click.Context(command, parent=context)
    options, rest, _ = command.make_parser(context).parse_args(words)
    return command, options, rest


@pytest.mark.parametrize("words", LINES)
def test_every_command_line_has_options_that_exist(words):
    command, options, _ = parsed(words)
    given = {param.name: param for param in command.params if param.name in options}
    for name, param in given.items():
        if isinstance(param.type, click.Choice) and isinstance(options[name], str):
            param.type.convert(options[name], param, None)
    if "..." not in words and not {"-h", "--help"} & set(words):
        required = {param.name for param in command.params if param.required}
        assert required <= {name for name, value in options.items() if value not in (None, ())}


@pytest.mark.parametrize("words", LINES)
def test_every_command_line_names_suites_and_models_that_exist(words):
    _, options, _ = parsed(words)
    suite, model = options.get("suite"), options.get("model")
    for said, known in ((suite, suite_names()), (model, MODELS)):
        if isinstance(said, str) and not said.isupper() and said != "...":
            assert said in known or ".py:" in said or said.endswith((".toml", ".py"))


@pytest.mark.parametrize("name", NAMES)
def test_commands_within_sentences_exist(name):
    for token in inline(ROOT / name):
        words = token.content.split()
        if token.type == "code_inline" and words[:1] == ["cvgl-bench"] and words[1:]:
            if words[1][0] in "-.C":
                continue
            command, context = main, click.Context(main)
            while isinstance(command, click.Group) and len(words) > 1 and words[1].islower():
                command = command.get_command(context, words.pop(1))
                assert command is not None, token.content
            flags = {
                flag for param in command.params for flag in (*param.opts, *param.secondary_opts)
            }
            assert {word for word in words if word.startswith("--")} <= flags | {"--help"}


def test_every_figure_is_drawn_by_the_script_and_shown():
    figures = {path.stem for path in (ROOT / "docs/figures").glob("*.svg")} - {"compass"}
    assert figures == set(DRAWINGS)
    shown = {Path(target).stem for path in TEXTS for target in targets(path)}
    assert figures <= shown


@pytest.mark.parametrize("name", DRAWINGS)
def test_boxes_of_figures_name_code_that_exists(name):
    codes = [box.code for box in DRAWINGS[name].boxes.values() if box.code]
    for code in codes:
        module, _, attribute = code.partition(":")
        assert hasattr(importlib.import_module(module), attribute)
    for start, end in DRAWINGS[name].links:
        assert {start, end} <= set(DRAWINGS[name].boxes)


@pytest.mark.parametrize("name", DRAWINGS)
def test_boxes_of_figures_lie_inside_and_apart(name):
    width, height = DRAWINGS[name].size
    boxes = list(DRAWINGS[name].boxes.values())
    for number, box in enumerate(boxes):
        assert box.size[0] / 2 <= box.at[0] <= width - box.size[0] / 2
        assert box.size[1] / 2 <= box.at[1] <= height - box.size[1] / 2
        for other in boxes[:number]:
            apart = (abs(box.at[axis] - other.at[axis]) for axis in (0, 1))
            reach = ((box.size[axis] + other.size[axis]) / 2 for axis in (0, 1))
            assert any(gap > least for gap, least in zip(apart, reach, strict=True))


@pytest.mark.parametrize(
    "page", sorted((ROOT / "docs/models").glob("[!i]*.md")), ids=lambda p: p.stem
)
def test_a_reference_models_page_has_picture_equations_and_list_of_differences(page):
    text = page.read_text()
    assert f"figures/{page.stem}.svg" in text
    assert "```math" in text
    module, _, class_name = MODELS[page.stem].partition(":")
    assert f"::: {module}.{class_name}\n" in text
    docstring = getattr(importlib.import_module(module), class_name).__doc__
    assert "Differs from the paper:" in docstring
    assert "Not stated in the paper; chosen here:" in docstring
