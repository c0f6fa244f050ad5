"""The site as its readers use it: tables, comparing, keys, phones, screen-readers."""

import sys
import time
from dataclasses import replace

import pytest

from cvgl_bench.leaderboard import Board, read_boards
from cvgl_bench.pairing import compare
from cvgl_bench.site import boards, make_pages, write_pages
from cvgl_bench.site.pages import Site, static_pages

pytest.importorskip("selenium", reason="selenium is not installed")

from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

pytestmark = [
    pytest.mark.browser,
    # selenium's own sockets to the driver are closed when the interpreter ends.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

PAGES = (
    "index.html",
    "small-c-1.html",
    "small-c-all-1.html",
    "small-fov-1.html",
    "models/small-c-1/strong.html",
    "models/small-c-1/guessing.html",
    "models/small-c-all-1/weak.html",
    "models/small-fov-1/strong.html",
    "compare.html",
    "reported.html",
)


@pytest.fixture(autouse=True)
def quiet(browser, look):
    yield
    assert browser.get_log("browser") == []


@pytest.fixture
def open_page(browser, site):
    """A function that opens a page of the site."""

    def go(page):
        browser.get(f"{site.as_uri()}/{page}")
        return browser

    return go


def rows(browser, selector="section.view:not([hidden]) table tbody tr"):
    found = browser.find_elements(By.CSS_SELECTOR, selector)
    return [row for row in found if row.is_displayed()]


def names(browser):
    return [row.find_element(By.TAG_NAME, "th").text for row in rows(browser)]


def head(browser, title):
    path = f"//section[not(@hidden)]//thead//button[normalize-space()='{title}']"
    return browser.find_element(By.XPATH, path)


@pytest.fixture
def full_view(browser, site):
    """The page of a suite, one view of it shown."""
    browser.get((site / "small-c-1.html").as_uri())
    Select(browser.find_element(By.ID, "view")).select_by_visible_text("full")


@pytest.mark.parametrize("page", PAGES)
def test_a_page_works_from_a_folder_and_from_a_server(browser, site, served, page):
    for address in (site.as_uri() + "/", served(site)):
        browser.get(address + page)
        assert browser.find_element(By.TAG_NAME, "h1").is_displayed()
        rule = "return getComputedStyle(document.querySelector('.bottom')).borderTopStyle"
        assert browser.execute_script(rule) == "solid"
        if page in ("compare.html", "small-c-1.html"):
            form = browser.find_element(By.TAG_NAME, "form")
            WebDriverWait(browser, 5).until(lambda _, form=form: form.is_displayed())


def test_a_head_sorts_both_ways_and_says_so(browser, full_view):
    assert names(browser)[0] == "strong"
    button = head(browser, "RCE")
    button.click()
    cell = button.find_element(By.XPATH, "..")
    assert cell.get_attribute("aria-sort") == "ascending"
    ascending = names(browser)
    # Guesses have no RCE, and come last whichever way it goes.
    assert ascending[-1] == "guessing"
    button.click()
    assert cell.get_attribute("aria-sort") == "descending"
    assert names(browser) == [*reversed(ascending[:-1]), "guessing"]
    head(browser, "Model").click()
    assert names(browser) == sorted(names(browser))


def test_the_first_click_brings_the_best_to_the_top(browser, full_view):
    head(browser, "R@1_cor").click()
    assert names(browser)[0] in ("strong", "strong-too")
    head(browser, "ms per query").click()
    assert names(browser)[0] == "weak"


def test_the_filter_shows_what_matches_and_counts_it(browser, full_view):
    browser.find_element(By.ID, "find").send_keys("STRONG")
    assert sorted(names(browser)) == ["strong", "strong-too"]
    assert browser.find_element(By.ID, "count").text == "2 of 5 rows shown"
    Select(browser.find_element(By.ID, "view")).select_by_visible_text("all")
    assert browser.find_element(By.ID, "count").text == "4 of 10 rows shown"


def test_columns_are_shown_and_hidden(browser, full_view):
    def shown(title):
        return bool(
            [each for each in browser.find_elements(By.XPATH, title) if each.is_displayed()]
        )

    digital, fog = "//th[.='RCE digital']", "//th[.='Fog']"
    assert (shown(digital), shown(fog)) == (True, False)
    browser.find_element(By.CSS_SELECTOR, "[data-group=family]").click()
    browser.find_element(By.CSS_SELECTOR, "[data-group=corruption]").click()
    assert (shown(digital), shown(fog)) == (False, True)


def test_the_corruption_columns_show_one_severity_or_the_mean(browser, full_view, boards_folder):
    run = next(b for b in read_boards(boards_folder) if b.suite.label == "small-c-1").runs["strong"]
    recalls = {(s.corruption, s.severity): 100 * s.r1 for s in run.record.cells if s.view == "full"}
    column = "section.view:not([hidden]) tbody tr[data-row='0'] td"
    index = head_index(browser, "Fog")

    def text():
        return browser.find_elements(By.CSS_SELECTOR, column)[index - 1].text.split("\n")[0]

    severity = Select(browser.find_element(By.ID, "severity"))
    severity.select_by_visible_text("severity 3")
    assert text() == f"{recalls['fog', 3]:.1f}"
    severity.select_by_visible_text("mean over severities")
    assert text() == f"{sum(recalls['fog', at] for at in (1, 3, 5)) / 3:.1f}"


def head_index(browser, title):
    script = """return [...document.querySelectorAll("section.view:not([hidden]) thead th")]
        .findIndex((head) => head.textContent === arguments[0])"""
    return browser.execute_script(script, title)


def choose(browser, first, second):
    Select(browser.find_element(By.ID, "one")).select_by_visible_text(first)
    Select(browser.find_element(By.ID, "other")).select_by_visible_text(second)
    head = browser.find_element(By.ID, "head-other")
    WebDriverWait(browser, 5).until(lambda _: head.text == second)


def differences(browser):
    found = {}
    for row in rows(browser, "#averages tbody tr"):
        title, *others = [cell.text for cell in row.find_elements(By.CSS_SELECTOR, "th, td")]
        found[title] = others
    return found


@pytest.mark.parametrize("pair", [("strong", "weak"), ("weak", "strong")])
def test_comparing_shows_the_paired_differences_of_the_command(browser, site, boards_folder, pair):
    browser.get((site / "compare.html").as_uri())
    choose(browser, *pair)
    board = next(b for b in read_boards(boards_folder) if b.suite.label == "small-c-1")
    expected = compare(*(board.runs[name].sample("full") for name in pair))
    shown = differences(browser)
    for title, key in (("R@1 clean", "r1_clean"), ("R@1_cor", "r1_cor"), ("RCE", "rce")):
        each = expected.overall[key]
        plain = [text.replace("\N{MINUS SIGN}", "-") for text in shown[title]]
        assert float(plain[0]) == pytest.approx(100 * each.value, abs=0.06)
        low, high = plain[1].split(" to ")
        assert (float(low), float(high)) == pytest.approx(
            (100 * each.low, 100 * each.high), abs=0.06
        )
    assert shown["R@1_cor"][-1] == "strong"
    assert "strong finds more" in browser.find_element(By.ID, "verdict").text
    signs = [cell.text for cell in browser.find_elements(By.CSS_SELECTOR, "#cells .sign")]
    real = [cell for cell, each in expected.cells.items() if cell.severity and each.adjusted < 0.05]
    assert sum(map(bool, signs)) == len(real) > 0
    assert ("\N{BLACK UP-POINTING TRIANGLE}" in signs) == (pair[0] == "strong")


def test_comparing_calls_models_tied_and_can_be_linked_to(browser, site):
    browser.get((site / "compare.html").as_uri() + "#small-c-1/strong-too/strong/full")
    WebDriverWait(browser, 5).until(lambda _: rows(browser, "#averages tbody tr"))
    assert "tied" in browser.find_element(By.ID, "verdict").text
    assert browser.find_element(By.ID, "head-one").text == "strong-too"
    browser.find_element(By.ID, "swap").click()
    WebDriverWait(browser, 5).until(
        lambda _: browser.find_element(By.ID, "head-one").text == "strong"
    )
    assert browser.current_url.endswith("#small-c-1/strong/strong-too/full")


def test_comparing_a_model_with_itself_asks_for_another(browser, site):
    browser.get((site / "compare.html").as_uri())
    Select(browser.find_element(By.ID, "other")).select_by_visible_text(
        Select(browser.find_element(By.ID, "one")).first_selected_option.text
    )
    verdict = browser.find_element(By.ID, "verdict")
    WebDriverWait(browser, 5).until(lambda _: "two different" in verdict.text)
    assert not browser.find_element(By.ID, "result").is_displayed()


def test_a_suite_with_one_drawn_corruption_a_query_can_be_compared(browser, site):
    browser.get((site / "compare.html").as_uri() + "#small-c-all-1")
    WebDriverWait(browser, 5).until(lambda _: rows(browser, "#averages tbody tr"))
    assert [*differences(browser)] == ["R@1 clean", "R@1_cor", "RCE"]
    assert not browser.find_element(By.ID, "cells-part").is_displayed()


def test_a_suite_of_views_sets_them_side_by_side_and_compares_each(browser, open_page):
    open_page("small-fov-1.html")
    heads = [each.text for each in browser.find_elements(By.CSS_SELECTOR, "thead button")]
    assert heads[2:5] == ["R@1 full", "R@1 fov90", "mean over views"]
    assert names(browser)[0] in ("strong", "strong-too")
    browser.find_element(By.ID, "find").send_keys("weak")
    assert names(browser) == ["weak"]
    open_page("compare.html#small-fov-1/strong/weak/fov90")
    WebDriverWait(browser, 5).until(lambda _: rows(browser, "#averages tbody tr"))
    assert "Without corruption strong finds more" in browser.find_element(By.ID, "verdict").text
    assert [*differences(browser)] == ["R@1 clean"]


def press(browser, *keys):
    for key in keys:
        browser.switch_to.active_element.send_keys(key)
    return browser.switch_to.active_element


def test_everything_is_reached_and_worked_by_keys_alone(browser, site):
    browser.get((site / "small-c-1.html").as_uri())
    skip = press(browser, Keys.TAB)
    assert skip.text == "Skip to the content"
    assert skip.rect["x"] >= 0
    main = press(browser, Keys.ENTER)
    assert main.get_attribute("id") == "main"
    reached = [press(browser, Keys.TAB).accessible_name for _ in range(12)]
    assert "Model contains" in reached
    assert "RCE by family" in reached
    while press(browser, Keys.TAB).text != "RCE":
        reached.append(browser.switch_to.active_element.text)
        assert len(reached) < 60
    outline = "return getComputedStyle(document.activeElement).outlineStyle"
    assert browser.execute_script(outline) == "solid"
    press(browser, Keys.SPACE)
    cell = browser.switch_to.active_element.find_element(By.XPATH, "..")
    assert cell.get_attribute("aria-sort") == "ascending"


def test_without_scripts_tables_are_read_and_nothing_pretends_to_work(browser, open_page):
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        open_page("small-c-1.html")
        assert len(rows(browser)) == 10
        assert not browser.find_elements(By.CSS_SELECTOR, "thead button")
        assert not browser.find_element(By.ID, "controls").is_displayed()
        open_page("compare.html")
        assert "needs JavaScript" in browser.find_element(By.TAG_NAME, "noscript").text
        assert not browser.find_element(By.ID, "choice").is_displayed()
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


@pytest.mark.parametrize("page", PAGES)
def test_no_page_scrolls_sideways_on_a_phone(browser, look, site, page):
    look(width=390)
    browser.get((site / page).as_uri())
    width = "return [document.documentElement.scrollWidth, window.innerWidth]"
    scrolled, screen = browser.execute_script(width)
    assert scrolled <= screen == 390


def test_a_phone_shows_the_differences_without_scrolling(browser, look, open_page):
    look(width=390)
    open_page("compare.html")
    choose(browser, "strong", "weak")
    right = "return arguments[0].getBoundingClientRect().right"
    row = browser.find_element(By.CSS_SELECTOR, "#averages tbody tr")
    difference, interval = row.find_elements(By.TAG_NAME, "td")[:2]
    assert " to " in interval.text
    assert browser.execute_script(right, difference) <= 390
    assert browser.execute_script(right, interval) <= 390


@pytest.fixture
def wordy(wide_board, tmp_path):
    """A site of runs that say everything in one endless word, and numbers as long."""
    word, runs = "w" * 300, {}
    for place, run in enumerate(wide_board.runs.values()):
        name = f"{place}{word[:100]}"
        card = run.record.model.model_copy(
            update={"name": name, "remarks": word, "preprocessing": word}
        )
        suite = run.record.suite.model_copy(update={"title": word})
        said = {"ground_ms_per_image": "9" * 200, word[:60]: word}
        record = run.record.model_copy(update={"model": card, "suite": suite, "environment": said})
        runs[name] = replace(run, record=record)
    suite = wide_board.suite.model_copy(update={"title": word})
    folder = tmp_path / "wordy"
    write_pages(make_pages(Site((Board(suite, runs),), (), {}, "1.0")), folder)
    return folder


def test_no_word_of_a_record_makes_a_page_wider_than_its_window(browser, look, wordy):
    for width in (390, 1280):
        look(width=width)
        for path in [*wordy.glob("*.html"), *wordy.glob("*/*.html"), *wordy.glob("models/*/0*")]:
            browser.get(path.as_uri())
            script = "return document.documentElement.scrollWidth"
            assert browser.execute_script(script) <= width, path.relative_to(wordy)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("page", PAGES)
def test_axe_finds_no_serious_fault(look, open_page, serious_faults, page, scheme):
    look(scheme=scheme)
    browser = open_page(page)
    opened = "for (const each of document.querySelectorAll('details')) each.open = true"
    browser.execute_script(opened)
    if page == "compare.html":
        choose(browser, "strong", "weak")
    assert serious_faults(*["color-contrast"] * (scheme == "dark")) == []


@pytest.fixture
def many(wide_board, tmp_path):
    """The pages of a leaderboard of 200 entries; their names differ, their numbers recur."""
    board = wide_board
    report = boards.report_of(board)
    entries, runs = [], {}
    for number in range(200):
        own = [each for each in report.entries if each.run.name == [*board.runs][number % 5]]
        name = f"{own[0].run.name}-{number:03d}"
        card = own[0].run.record.model.model_copy(update={"name": name})
        record = own[0].run.record.model_copy(update={"model": card})
        run = replace(own[0].run, record=record)
        runs[name] = run
        entries += [replace(each, run=run) for each in own]
    large = replace(board, runs=runs)
    site = Site((large,), (), {}, "1.0")
    reports = {board.suite.label: replace(report, runs=(*runs.values(),), entries=(*entries,))}
    folder = tmp_path / "many"
    write_pages(static_pages() | boards.pages(site, reports), folder)
    return folder


def test_two_hundred_entries_open_quickly_and_stay_small(browser, many):
    page = many / "wide-c-1.html"
    assert page.stat().st_size < 5_000_000
    begin = time.perf_counter()
    browser.get(page.as_uri())
    wall = time.perf_counter() - begin
    ready = browser.execute_script(
        "return performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd"
    )
    size = f"{page.stat().st_size:,} bytes"
    sys.stdout.write(f"200 entries: {size}, ready after {ready:.0f} ms ({wall:.2f} s)\n")
    assert ready < 3000
    assert browser.find_element(By.ID, "count").text == "200 of 200 rows shown"
    begin = time.perf_counter()
    head(browser, "RCE").click()
    assert time.perf_counter() - begin < 3
