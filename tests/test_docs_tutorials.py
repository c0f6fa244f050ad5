"""The quickstart and the tutorials, run as they are printed, with the built wheel and no checkout.

Of a page, in order: fenced blocks with a title are written to files of that name, `bash` blocks are
run, and a `text` block is what the block before it prints. In it, `...` stands for any lines, and
numbers may be others. `<!-- not run: why -->` before a block leaves it out.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "docs/quickstart.md", *sorted((ROOT / "docs/tutorials").glob("*.md"))]
PACKED = ("corruptions", "cvgl_bench", "setup.cfg", "pyproject.toml", "README.md")
LICENCES = ("LICENSE", "NOTICE", "MANIFEST.in")
TITLE = re.compile(r'title="([\w.-]+)"')
NUMBER = re.compile(r"\b[0-9a-f]{12}\b|[0-9]+([.,][0-9]+)*(e[-+]?[0-9]+)?")


def blocks(page):
    """A page's blocks as (language, title, content); those that are not run are left out."""
    skipped = False
    for token in MarkdownIt("commonmark").parse(page.read_text(encoding="utf-8")):
        if token.type == "html_block":
            skipped = "not run:" in token.content
        elif token.type == "fence":
            if not skipped:
                title = TITLE.search(token.info)
                yield token.info.split()[0], title and title[1], token.content
            skipped = False


def shape(line):
    """A printed line without its numbers and the widths that follow from them."""
    return re.sub(r" +", " ", re.sub(r"-{2,}", "--", NUMBER.sub("0", line))).strip()


def prints(expected, printed):
    """Whether what was printed is what a page says, up to numbers."""
    pattern = "".join(
        "(?:.*\n)*?" if line.strip() == "..." else re.escape(shape(line)) + "\n"
        for line in expected.strip().splitlines()
    )
    return re.fullmatch(pattern, "".join(f"{shape(line)}\n" for line in printed.splitlines()))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_page_has_commands_and_says_what_is_not_run(page):
    languages = [language for language, _, _ in blocks(page)]
    assert "bash" in languages
    assert languages[0] != "text"
    assert set(languages) <= {"bash", "text", "python", "toml"}


@pytest.mark.parametrize(
    ("expected", "printed", "fits"),
    [
        ("R@1 93.00", "R@1   7.5", True),
        ("a\n...\nb 3", "a\nx\ny\nb 12", True),
        ("a\n...", "a", True),
        ("|:----|\n| fog | 1.00 |", "|:-------|\n| fog |   10.00 |", True),
        ("fingerprint 8f73ea1dbc05", "fingerprint 000000000000", True),
        ("a\nb", "a\nx\nb", False),
        ("20 queries", "20 references", False),
        ("...\nlast", "first\nlast\nmore", False),
    ],
)
def test_outputs_are_compared_by_words(expected, printed, fits):
    assert bool(prints(expected, printed)) == fits


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with the wheel's packages and its script, and the environment to run it in."""
    copy, wheels, target = (tmp_path_factory.mktemp(name) for name in ("copy", "wheel", "target"))
    for name in (*PACKED, *LICENCES):
        source = ROOT / name
        if source.is_dir():
            leave = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, copy / name, ignore=leave)
        elif source.is_file():
            shutil.copy(source, copy)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    flags = ["--no-deps", "--no-index"]
    made = [*pip, "wheel", *flags, "--no-build-isolation", "--wheel-dir", wheels, copy]
    subprocess.run(made, check=True, capture_output=True)
    (wheel,) = wheels.glob("*.whl")
    subprocess.run([*pip, "install", *flags, "--target", target, wheel], check=True)
    paths = f"{target / 'bin'}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}"
    return os.environ | {
        "PATH": paths + os.environ["PATH"],
        "PYTHONPATH": str(target),
        "OMP_NUM_THREADS": "1",
    }


@pytest.mark.docs
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_runs_as_it_is_printed(page, installed, tmp_path):
    where = run("python -c 'import cvgl_bench; print(cvgl_bench.__file__)'", tmp_path, installed)
    assert where.startswith(installed["PYTHONPATH"]), "the wheel is what must be run"
    printed = ""
    for language, title, content in blocks(page):
        if title is not None:
            (tmp_path / title).write_text(content)
        elif language == "bash":
            printed = run(content, tmp_path, installed)
        elif language == "text":
            assert prints(content, printed), f"{content}\nis not what was printed:\n{printed}"


def run(script, folder, environment):
    """Run a block in a shell that stops at the first failure; returns its standard output."""
    shell = ["bash", "-eu", "-o", "pipefail", "-c", script]
    done = subprocess.run(
        shell, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
    return done.stdout
