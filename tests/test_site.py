"""The site as files: whole, the same bytes always, and no way in for what records say."""

import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cvgl_bench.answers import Answers
from cvgl_bench.errors import RecordError
from cvgl_bench.leaderboard import Board, add_runs, write_derived
from cvgl_bench.ranks_file import RunAnswers
from cvgl_bench.record import DataCard, ModelCard, Provenance, make_record
from cvgl_bench.runs import Run
from cvgl_bench.site import boards, build_site, make_pages, models, read_site
from cvgl_bench.site.pages import Site, joined, render

PUBLISHED = Path(__file__).parents[1] / "leaderboards" / "published"
QUERIES = 20


@pytest.fixture
def make_run(small_suite):
    """A function that makes a run that finds a share of the queries, fewer the more severe."""

    def build(name="good", share=0.9, *, suite=None, weights="", **provenance):
        suite = suite or small_suite(pairs=QUERIES, mce_reference="good")
        rng = np.random.default_rng(len(name))
        cells = {}
        for cell in suite.cells:
            found = rng.random(QUERIES) < share * (1 - 0.1 * cell.severity)
            cells[cell] = Answers(np.where(found, 1, rng.integers(2, QUERIES + 1, QUERIES)))
        fields = {
            "suite": suite,
            "fingerprint": suite.fingerprint,
            "model": ModelCard(name=name, weights_sha256=weights),
            "data": DataCard(queries=QUERIES, references=QUERIES, gallery_sha256="a" * 64),
            "date": "2026-01-31",
        }
        card = Provenance.model_validate(fields | provenance)
        return Run(
            make_record(card, cells), RunAnswers(card, tuple(map(str, range(QUERIES))), cells)
        )

    return build


@pytest.fixture
def folder(make_run, small_suite, tmp_path):
    """A leaderboards folder: a grid of two views, a mixed set, and some published numbers."""
    root = tmp_path / "leaderboards"
    grid = small_suite(pairs=QUERIES, views=["full", "fov90"], mce_reference="good")
    mixed = small_suite(name="small-all", form="mixed", pairs=QUERIES)
    add_runs(
        root, [make_run(suite=grid), make_run("worse", 0.5, suite=grid), make_run(suite=mixed)]
    )
    (root / "published").mkdir()
    for name in ("sources.csv", "cvusa-c.csv"):
        (root / "published" / name).write_bytes((PUBLISHED / name).read_bytes())
    return root


def files(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


class Tags(HTMLParser):
    """What a page is made of: tags with their attributes, and its texts."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.texts = [], []
        self.feed(page.decode())

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def skeleton(self):
        return [(tag, sorted(attrs)) for tag, attrs in self.tags]

    @property
    def addresses(self):
        return [attrs[name] for _, attrs in self.tags for name in ("href", "src") if name in attrs]


def test_building_twice_gives_the_same_bytes_wherever(folder, tmp_path):
    build_site(folder, tmp_path / "one", pictures=None)
    elsewhere = tmp_path / "other place"
    folder.rename(elsewhere)
    build_site(elsewhere, tmp_path / "two", pictures=None)
    one = files(tmp_path / "one")
    assert one == files(tmp_path / "two")
    assert not [path for path, data in one.items() if str(tmp_path).encode() in data]


def test_every_suite_and_entry_has_its_page(folder, tmp_path):
    build_site(folder, tmp_path / "site", pictures=None)
    made = files(tmp_path / "site")
    assert {"index.html", "small-c-1.html", "small-all-1.html", "compare.html"} <= made.keys()
    assert {path for path in made if path.startswith("models/")} == {
        "models/small-all-1/good.html",
        "models/small-c-1/good.html",
        "models/small-c-1/worse.html",
    }
    assert b"mixed" in made["models/small-all-1/good.html"]


def test_every_link_leads_somewhere(folder, tmp_path):
    build_site(folder, tmp_path / "site", pictures=None)
    made = files(tmp_path / "site")
    pages = {path: Tags(data) for path, data in made.items() if path.endswith(".html")}
    ids = {
        path: {attrs["id"] for _, attrs in page.tags if "id" in attrs}
        for path, page in pages.items()
    }
    for path, page in pages.items():
        for address in page.addresses:
            parts = urlsplit(address)
            if parts.scheme:
                assert parts.scheme == "https" or address == "data:,", (path, address)
                continue
            parent = PurePosixPath("/", path).parent
            target = str((Path(parent) / parts.path).resolve()).lstrip("/") if parts.path else path
            assert target in made, (path, address)
            # The pages that are worked by scripts read what they show from the fragment.
            if parts.fragment and target not in ("compare.html",) and "failures/" not in target:
                assert parts.fragment in ids[target], (path, address)


def test_no_page_holds_what_its_policy_forbids(folder, tmp_path):
    build_site(folder, tmp_path / "site", pictures=None)
    for path, data in files(tmp_path / "site").items():
        if not path.endswith(".html"):
            continue
        page = Tags(data)
        policies = [a for t, a in page.tags if a.get("http-equiv") == "Content-Security-Policy"]
        assert "default-src 'none'" in policies[0]["content"]
        assert "unsafe" not in policies[0]["content"]
        # A policy holds from where it stands on.
        assert page.tags.index(("meta", policies[0])) < [t for t, _ in page.tags].index("link")
        for tag, attrs in page.tags:
            assert not [name for name in attrs if name.startswith("on") or name == "style"]
            assert tag not in ("style", "base", "iframe", "object", "embed")
            if tag == "script":
                assert "src" in attrs or attrs["type"] == "application/json"


def test_the_tables_say_what_the_csv_says(folder, tmp_path):
    build_site(folder, tmp_path / "site", pictures=None)
    write_derived(folder)
    texts = Tags((tmp_path / "site" / "small-c-1.html").read_bytes()).texts
    lines = (folder / "small-c-1.csv").read_text().splitlines()
    header = lines[0].split(",")
    for line in lines[1:]:
        row = dict(zip(header, line.split(","), strict=True))
        for column in ("r1_clean", "r1_cor", "r1_contrast", "mce"):
            assert f"{float(row[column]):.1f}" in texts, (row["model"], column)


def test_two_entries_of_one_model_are_told_apart_by_their_weights(make_run, tmp_path):
    add_runs(tmp_path, [make_run("other", weights=each * 32) for each in ("ab", "cd")])
    pages = make_pages(read_site(tmp_path))
    texts = Tags(pages["small-c-1.html"]).texts
    assert {"other (abababab)", "other (cdcdcdcd)"} <= set(texts)
    assert {"models/small-c-1/other-abababababab.html"} <= pages.keys()


def test_entries_of_two_suites_never_share_a_page(make_run, small_suite):
    """`x` of small-c-1-2 and `2-x` of small-c-1 are one and the same joined by a dash."""
    one = make_run("2-x")
    suite = small_suite(name="small-c-1", version=2, pairs=QUERIES)
    other = make_run("x", suite=suite)
    boards_ = (Board(one.record.suite, {"2-x": one}), Board(suite, {"x": other}))
    pages = make_pages(Site(boards_, (), {}, "1.0"))
    assert b">2-x</h1>" in pages["models/small-c-1/2-x.html"]
    assert b">x</h1>" in pages["models/small-c-1-2/x.html"]


def test_an_entry_called_board_hides_no_file_of_its_leaderboard(make_run):
    run = make_run("board")
    pages = make_pages(Site((Board(run.record.suite, {"board": run}),), (), {}, "1.0"))
    assert pages["failures/small-c-1.js"].startswith(b"cvglFailures.board(")
    assert pages["failures/small-c-1/board.js"].startswith(b"cvglFailures.answers(")


def test_pages_of_one_path_are_refused():
    assert joined([{"a": b"1"}, {"b": b"2"}]) == {"a": b"1", "b": b"2"}
    with pytest.raises(RecordError, match=r"two pages of the site would both be a\.html"):
        joined([{"a.html": b"1"}, {"b.html": b"2"}, {"a.html": b"1"}])


def test_no_page_says_of_its_numbers_what_is_not_true_of_them(folder, tmp_path):
    build_site(folder, tmp_path / "site", pictures=None)
    made = files(tmp_path / "site")
    foot = {
        path: " ".join(data.decode().split('<footer class="bottom">')[1].split())
        for path, data in made.items()
        if path.endswith(".html")
    }
    derived = {path for path, text in foot.items() if "derived from" in text}
    assert derived == foot.keys() - {
        "reported.html",
        "gallery.html",
        "failures/small-c-1.html",
        "failures/small-all-1.html",
    }
    assert "copied from the sources" in foot["reported.html"]
    assert "written by hand" in foot["gallery.html"]
    assert "it made the pictures" not in foot["gallery.html"]
    assert not [text for text in foot.values() if "typed" in text]


@pytest.fixture(scope="module")
def plain():
    """What `skeletons` found of a harmless run, to be computed once."""
    return {}


HOSTILE = st.one_of(
    st.text(min_size=1, max_size=60),
    st.sampled_from(
        [
            "<script>alert(1)</script>",
            "</title><img src=x onerror=alert(1)>",
            '" onmouseover="alert(1)',
            "javascript:alert(1)",
            "{{ 7 * 7 }}{% raw %}",
            "</script><svg onload=alert(1)>",
            "\N{RIGHT-TO-LEFT OVERRIDE}txt.exe",
            "--><!--",
        ]
    ),
)


@settings(
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(HOSTILE, HOSTILE, HOSTILE)
def test_whatever_a_record_says_comes_out_as_text(make_run, plain, remarks, key, value):
    def pages(title, remarks, key, value):
        run = make_run(environment={key: value or "-"})
        card = ModelCard(name="good", preprocessing=value or "-", remarks=remarks or "-")
        suite = run.record.suite.model_copy(update={"title": title})
        record = run.record.model_copy(update={"model": card, "suite": suite})
        site = Site((Board(suite, {"good": replace(run, record=record)}),), (), {}, "1.0")
        if "reports" not in plain:
            plain["reports"] = {suite.label: boards.report_of(site.boards[0])}
        report = plain["reports"][suite.label]
        entries = tuple(
            replace(each, run=replace(each.run, record=record)) for each in report.entries
        )
        reports = {suite.label: replace(report, entries=entries)}
        return boards.pages(site, reports) | models.pages(site, reports)

    if "skeletons" not in plain:
        found = pages("harmless", "harmless", "key", "harmless")
        plain["skeletons"] = {path: Tags(data).skeleton for path, data in found.items()}
    hostile = pages(remarks, remarks, key, value)
    for path, data in hostile.items():
        assert Tags(data).skeleton == plain["skeletons"][path]
    # HTML knows no other line ends and has no NUL.
    said = remarks.replace("\r\n", "\n").strip()
    whole = "".join(Tags(hostile["models/small-c-1/good.html"]).texts).replace("\r\n", "\n")
    assert said in whole or "\0" in said


def test_published_numbers_alone_make_a_site(folder, tmp_path):
    only = tmp_path / "only"
    only.mkdir()
    (folder / "published").rename(only / "published")
    build_site(only, tmp_path / "site", pictures=None)
    made = files(tmp_path / "site")
    assert made["reported.html"]
    assert "compare.html" not in made
    assert "no measured entry" in made["index.html"].decode()
    assert {a for a in Tags(made["index.html"]).addresses if a.endswith(".html")} <= made.keys()


def test_nothing_to_show_is_refused(tmp_path):
    with pytest.raises(RecordError, match="neither runs nor published numbers"):
        build_site(tmp_path, tmp_path / "site", pictures=None)


def test_a_forged_record_is_refused_before_anything_is_written(folder, tmp_path):
    path = folder / "records" / "small-c-1" / "good" / "record.json"
    fields = json.loads(path.read_text())
    fields["cells"][0]["r1"] = fields["cells"][0]["r5"] = fields["cells"][0]["r10"] = 1.0
    path.write_text(json.dumps(fields))
    with pytest.raises(RecordError):
        build_site(folder, tmp_path / "site", pictures=None)
    assert not (tmp_path / "site").exists()


def test_a_page_without_its_site_is_an_error():
    with pytest.raises(KeyError):
        render("index.html", page="index.html")
