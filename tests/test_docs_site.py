"""The documentation's site, built; needs the extra `docs`."""

import importlib.util
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FETCHED = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src"}
pytestmark = pytest.mark.docs


def module(name):
    specification = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    loaded = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(loaded)
    return loaded


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", out]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return out


class Resources(HTMLParser):
    """Collects what a page fetches when it is shown."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        target = dict(attrs).get(FETCHED.get(tag))
        if target:
            self.found.append(target)


def test_the_site_is_built_and_fetches_nothing_from_elsewhere(site):
    pages = list(site.rglob("*.html"))
    assert len(pages) > 30
    for page in pages:
        parser = Resources()
        parser.feed(page.read_text(encoding="utf-8"))
        assert parser.found
        for target in parser.found:
            assert not re.match(r"(https?:)?//", target), f"{page} fetches {target}"
            if not re.match(r"data:|/", target):
                assert (page.parent / target.split("?")[0].split("#")[0]).is_file()


def test_stylesheets_fetch_nothing_from_elsewhere(site):
    for sheet in site.rglob("*.css"):
        urls = re.findall(r"url\(([^)]*)\)", sheet.read_text(encoding="utf-8"))
        assert not [url for url in urls if re.match(r"[\"']?(https?:)?//", url)]


def test_texts_of_the_repository_are_pages_and_linked_files_are_there(site):
    page = (site / "contributing.html").read_text(encoding="utf-8")
    assert "Add a corruption" in page
    assert 'href="add-a-model.html"' in page
    assert 'href="contributing.html#submit-a-result"' in (site / "index.html").read_text()
    linked = site / "files/corruptions/severities.toml"
    assert linked.read_bytes() == (ROOT / "corruptions/severities.toml").read_bytes()


@pytest.mark.parametrize("method", ["sample4geo", "mrgeo", "singeo", "lrfr"])
def test_a_reference_models_page_shows_equations_and_differences(site, method):
    page = (site / f"models/{method}.html").read_text(encoding="utf-8")
    assert page.count("<math ") >= 3
    assert "<strong>Differs from the paper</strong>" in page
    assert "<strong>Not stated in the paper; chosen here</strong>" in page


def test_the_reference_knows_what_users_call(site):
    inventory = (site / "reference/corruptions.html").read_text(encoding="utf-8")
    assert 'id="corruptions.corrupt"' in inventory
    scores = (site / "reference/scores.html").read_text(encoding="utf-8")
    assert 'id="cvgl_bench.record.Record"' in scores
    assert 'id="cvgl_bench.scores.recall_at"' in scores


def test_sections_of_docstrings_become_lists():
    text = module("griffe_sections").rewritten(
        "What it is.\n\n    Source: Who 2020,\n        and another.\n\n"
        "    Differs from the paper:\n        One thing is so\n        and so.\n        Another.\n"
        "        Key: the third\n            goes on.\n\n    Args:\n        x: a number.\n"
    )
    assert "**Source.** Who 2020, and another." in text
    assert "- One thing is so and so.\n- Another.\n- *Key*: the third goes on." in text
    assert "Args:\n    x: a number." in text


def test_formulas_become_mathml_a_line_each():
    shown = module("site_hooks").formula("a = b \\\\\nc = \\frac{1}{2}\n")
    assert shown.count("<math ") == 2
    assert "<mfrac>" in shown
