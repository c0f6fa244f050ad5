"""What the pages of the site say is what the runs say."""

import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cvgl_bench.answers import Answers
from cvgl_bench.consistency import consistency_table
from cvgl_bench.leaderboard import Board
from cvgl_bench.pairing import compare
from cvgl_bench.published import DATA, Published, Source
from cvgl_bench.ranks_file import RunAnswers
from cvgl_bench.record import DataCard, ModelCard, Provenance, make_record
from cvgl_bench.runs import Run
from cvgl_bench.site import (
    boards,
    comparing,
    curves,
    fields,
    itself,
    models,
    reported,
    risk,
    tables,
)
from cvgl_bench.site.pages import Site, distance, number
from cvgl_bench.suite import load_suite
from cvgl_bench.trust import trust_table

QUERIES = 40
NOISE = ["gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise", "contrast"]


@pytest.fixture
def make_run(small_suite):
    """A function that makes a run whose queries are found by chance, with margins that help."""

    def build(name="good", share=0.9, *, margins=True, seed=0, environment=None, **changes):
        suite = small_suite(
            **{"pairs": QUERIES, "corruptions": NOISE, "mce_reference": "good"} | changes
        )
        rng = np.random.default_rng(seed)
        cells = {}
        for cell in suite.cells:
            found = rng.random(QUERIES) < share * (1 - 0.1 * cell.severity)
            ranks = np.where(found, 1, rng.integers(2, QUERIES + 1, QUERIES))
            sure = (rng.random(QUERIES) + found).astype(np.float32) if margins else None
            cells[cell] = Answers(ranks, margins=sure)
        card = Provenance(
            suite=suite,
            fingerprint=suite.fingerprint,
            model=ModelCard(name=name),
            data=DataCard(queries=QUERIES, references=QUERIES, gallery_sha256="a" * 64),
            environment=environment or {},
            date="2026-01-31",
        )
        ids = tuple(map(str, range(QUERIES)))
        return Run(make_record(card, cells), RunAnswers(card, ids, cells))

    return build


def entry_of(run):
    (entry,) = boards.report_of(Board(run.record.suite, {run.name: run})).of_view("full")
    return entry


@pytest.mark.parametrize("seeds", [(0, 1), (5, 6)])
@pytest.mark.parametrize("shares", [(0.9, 0.5), (0.8, 0.8)])
def test_a_pair_differs_by_what_the_command_says(make_run, seeds, shares):
    one, other = (make_run(share=s, seed=seed) for s, seed in zip(shares, seeds, strict=True))
    suite = one.record.suite
    expected = compare(one.sample(), other.sample())
    found = comparing.pair(comparing.draw(one.sample()), comparing.draw(other.sample()), suite)
    rows = dict(zip(comparing.metrics_of(suite), found["d"], strict=True))
    for key in ("r1_clean", "r1_codec", "r1_cor", "rce", "auc"):
        each = expected.overall[key]
        value, low, high = rows[key]
        assert value == pytest.approx(100 * each.value, abs=0.00501)
        assert (low, high) == pytest.approx((100 * each.low, 100 * each.high), abs=0.00501)
    corrupted = [each for cell, each in expected.cells.items() if cell.severity]
    assert len(found["c"]) == len(corrupted) == 10
    for mark, each in zip(found["c"], corrupted, strict=True):
        better = "a" if each.only_first > each.only_second else "b"
        assert mark == (better if each.adjusted < 0.05 else "-")
    assert found["p"] == pytest.approx(expected.p, rel=0.006)


def test_a_pair_says_nothing_of_what_is_not_defined(make_run):
    """Nothing found when clean: what is lost of it is a share of nothing."""
    one, other = make_run(), make_run(share=0.0)
    found = comparing.pair(
        comparing.draw(one.sample()), comparing.draw(other.sample()), one.record.suite
    )
    rows = dict(zip(comparing.metrics_of(one.record.suite), found["d"], strict=True))
    assert rows["rce"] == (None, None, None)
    assert None not in rows["r1_cor"]


def test_every_pair_of_a_board_is_stored_once(make_run):
    runs = {name: make_run(name, seed=at) for at, name in enumerate(("a", "b", "c", "d"))}
    board = Board(runs["a"].record.suite, runs)
    pages = comparing.pages(Site((board,), (), {}, "1"), {"small-c-1": boards.report_of(board)})
    assert [path for path in pages if path.endswith(".js")] == [
        f"data/small-c-1/{name}.js" for name in "abcd"
    ]
    text = b"".join(data for path, data in pages.items() if path.endswith(".js"))
    assert text.count(b'"d":[') == 6
    assert b"NaN" not in text


def test_the_heat_map_holds_every_cell_of_the_record(make_run):
    run = make_run()
    part = models._part(entry_of(run))
    shown = {
        (row.corruption, at): tile
        for row in part.heat
        for at, tile in zip((1, 5, "mean") if len(row.tiles) > 1 else (0,), row.tiles, strict=True)
    }
    for score in run.record.cells:
        tile = shown[score.corruption, score.severity]
        assert tile.text == f"{100 * score.r1:.1f}"
        assert tile.step == int(20 * score.r1 + 0.5)
    contrast = [s.r1 for s in run.record.cells if s.corruption == "contrast"]
    assert shown["contrast", "mean"].text == f"{100 * np.mean(contrast):.1f}"


def test_agreement_is_the_mean_over_severities_of_the_tables(make_run):
    entry = entry_of(make_run())
    table = consistency_table(entry.run.answers).groupby("corruption").mean(numeric_only=True)
    rows = {row.corruption: row.numbers for row in itself.agreement_of(entry)}
    assert [*rows] == NOISE
    for name, numbers in rows.items():
        for what, scale in (("lost", 100), ("gained", 100), ("rank_shift", 1)):
            assert numbers[what].value == pytest.approx(scale * table.loc[name, what])
            assert numbers[what].low <= numbers[what].value <= numbers[what].high
        assert "same_found" not in numbers


def test_trust_is_the_mean_over_severities_of_the_tables(make_run):
    entry = entry_of(make_run())
    table = trust_table(entry.run.answers)
    table = table[table.risk == itself.RISK].groupby("corruption").mean(numeric_only=True)
    trust = itself.trust_of(entry)
    assert trust.threshold == pytest.approx(table.loc["clean", "threshold"])
    assert [row.corruption for row in trust.rows] == ["clean", *NOISE]
    for row in trust.rows:
        for name in ("error", "aurc", "excess_aurc", "coverage", "wrongly_accepted"):
            assert getattr(row, name) == pytest.approx(100 * table.loc[row.corruption, name])


def test_a_set_with_one_drawn_corruption_a_query_is_one_row(make_run):
    entry = entry_of(make_run(form="mixed"))
    clean, mixed = entry.run.answers.cells.values()
    (row,) = itself.agreement_of(entry)
    assert row.corruption == "mixed"
    assert row.numbers["lost"].value == 100 * np.mean(clean.hits > mixed.hits)
    assert [each.corruption for each in itself.trust_of(entry).rows] == ["clean", "mixed"]
    assert [line.name for line in risk.risk_chart(entry).lines] == ["clean", "mixed"]


def test_a_suite_of_views_is_ranked_by_the_mean_over_them(make_run):
    form = {"severities": [], "corruptions": [], "views": ["full", "fov90"]}
    runs = {name: make_run(name, share, **form) for name, share in (("bad", 0.2), ("good", 0.9))}
    board = Board(runs["good"].record.suite, runs)
    report = boards.report_of(board)
    table = fields.fields_table(board, report, {"good": "good", "bad": "bad"})
    assert [(row.entry, row.place) for row in table.rows] == [("good", "1"), ("bad", "2")]
    recalls = [100 * score.r1 for score in runs["good"].record.cells]
    shown = [each.text for each in table.rows[0].numbers]
    assert shown[:3] == [f"{each:.1f}" for each in (*recalls, np.mean(recalls))]
    assert table.rows[0].numbers[0].is_best
    (row,) = itself.agreement_of(report.of_view("fov90")[0])
    whole, narrow = runs["good"].answers.cells.values()
    assert row.numbers["lost"].value == pytest.approx(100 * np.mean(whole.hits > narrow.hits))
    assert itself.agreement_of(report.of_view("full")[0]) == ()


def test_without_margins_there_is_no_word_of_trust(make_run):
    assert itself.trust_of(entry_of(make_run(margins=False))) is None


def test_the_chart_draws_families_and_the_mean(make_run):
    entry = entry_of(make_run())
    chart = curves.chart_of(entry)
    assert [line.name for line in chart.lines] == ["noise", "mean"]
    cells = {(s.corruption, s.severity): 100 * s.r1 for s in entry.run.record.cells}
    noise = [np.mean([cells[name, at] for name in NOISE[:4]]) for at in (1, 5)]
    assert chart.values["noise"] == pytest.approx((cells["clean", 0], *noise))
    # Higher is further up, and severity 1 lies a fifth of the way to 5.
    xs = [x for x, _ in chart.lines[0].points]
    assert xs[1] - xs[0] == pytest.approx((xs[2] - xs[0]) / 5, abs=0.02)
    ys = [y for _, y in chart.lines[0].points]
    assert (ys[0] < ys[1]) == (cells["clean", 0] > noise[0])


def test_the_risk_chart_ends_at_the_error_and_begins_with_the_surest(make_run):
    entry = entry_of(make_run(share=0.7))
    chart = risk.risk_chart(entry)
    assert [line.name for line in chart.lines] == ["clean", "severity 1", "severity 5"]
    answers = entry.run.answers.cells
    for line, severity in zip(chart.lines, (0, 1, 5), strict=True):
        pool = [
            each
            for cell, each in answers.items()
            if cell.severity == severity and cell.corruption != "codec_only"
        ]
        hits = np.concatenate([each.hits for each in pool])
        order = np.argsort(-np.concatenate([each.margins for each in pool]))
        surer = hits[order][: len(hits) // 2]
        assert line.at_half == pytest.approx(100 * (1 - surer.mean()))
        assert len(line.points) == 50
    ends = [line.points[-1][1] for line in chart.lines]
    assert ends[2] < ends[0]


@given(st.lists(st.floats(12, 260), min_size=1, max_size=5))
def test_no_label_covers_another_or_leaves_the_chart(places):
    found = sorted(curves.spread(places, 12, 264))
    assert all(b - a >= 13.98 for a, b in pairwise(found))
    assert found[0] >= 11.99
    assert found[-1] <= 264.01


@pytest.mark.parametrize(
    "text", ["", "fast", "nan", "inf", "-3", "1e5", "1_000", " 3", "1000000.1", "9" * 400, "٣"]
)
def test_a_cost_that_is_no_number_is_none(make_run, text):
    assert tables.milliseconds_of(make_run(environment={"ground_ms_per_image": text})) is None


@pytest.mark.parametrize(("text", "value"), [("0", 0), ("12.50", 12.5), ("1000000", 1e6)])
def test_a_cost_that_is_a_plain_decimal_is_shown(make_run, text, value):
    assert tables.milliseconds_of(make_run(environment={"ground_ms_per_image": text})) == value


@pytest.mark.parametrize("metres", [None, float("nan"), float("inf"), 1e300, 20_038_001])
def test_a_distance_that_is_none_on_earth_is_a_dash(metres):
    assert distance(metres) == "\N{EN DASH}"
    assert distance(20_037_508.3) == "20037508.3"


def test_a_run_of_a_known_suite_is_made_again_by_these_commands(make_run):
    suite = load_suite("cvtown-c")
    run = make_run(name="polar")
    assert models.commands(suite, run) == [
        "cvgl-bench town --out DATA --split val --size small --pairs 100",
        "cvgl-bench generate cvtown-c --data DATA --out SET",
        "cvgl-bench evaluate cvtown-c --model polar --set SET --data DATA --out RUN",
        "cvgl-bench publish RUN",
    ]


def test_a_split_with_shell_words_is_in_no_command(make_run):
    run = make_run(dataset="cvtown", split="val; rm -rf ~")
    lines = models.commands(run.record.suite, run)
    assert "rm" not in " ".join(lines)


def printed(method="A", value="50.00", **changes):
    fields = {"data": "cvusa-c", "corruption": "clean", "view": "full", "metric": "r1"}
    return Published(method=method, value=value, source="s", **fields | changes)


def reported_page(*rows, where="https://example.org at 1234: Table 2"):
    sources = {"s": Source(key="s", citation="Somebody 2024", where=where, kind="paper")}
    return reported.pages(Site((), rows, sources, "1"))["reported.html"].decode()


def test_every_reported_number_stands_under_its_data_set_with_its_source():
    page = reported_page(printed(), printed("B", "61.5"), printed("C", "7.25", data="cvact-val-c"))
    assert DATA.index("cvusa-c") < DATA.index("cvact-val-c")
    cvusa, cvact = page.split('<h2 id="cvact-val-c">')
    assert "50.00" in cvusa
    assert "61.5" in cvusa
    assert "7.25" not in cvusa
    assert "7.25" in cvact
    assert page.count('href="#source-s"') == 3
    assert '<a href="https://example.org"' in page


def test_an_average_that_does_not_agree_is_marked_and_explained():
    rows = [printed(value="10.00", corruption="snow"), printed(value="20.00", corruption="fog")]
    agreeing = reported_page(*rows, printed(value="15.00", corruption="mean"))
    wrong = reported_page(*rows, printed(value="16.00", corruption="mean"))
    assert "disagrees" not in agreeing
    assert '<td class="disagrees">16.00' in wrong
    assert "not the mean of its 2 printed columns, 15" in wrong


@given(st.text(max_size=80) | st.sampled_from(["javascript:alert(1)", "http://a.org", "https://"]))
def test_only_whole_https_addresses_become_links(text):
    address = reported.address_of(text)
    assert address == "" or re.fullmatch(r"https://[\w-]+(\.[\w-]+)+[\w./~-]*", address, re.ASCII)


def test_an_address_ends_where_the_words_begin():
    where = "https://github.com/somebody/code: README, and more"
    assert reported.address_of(where) == "https://github.com/somebody/code"


@given(st.floats(-100, 100))
def test_a_number_is_read_back_to_its_decimals(value):
    text = number(value)
    assert re.fullmatch(r"\N{MINUS SIGN}?\d+\.\d", text)
    assert float(text.replace("\N{MINUS SIGN}", "-")) == pytest.approx(value, abs=0.0501)
    assert text != "\N{MINUS SIGN}0.0"


def test_no_number_is_a_dash():
    assert number(None) == number(float("nan")) == "\N{EN DASH}"
