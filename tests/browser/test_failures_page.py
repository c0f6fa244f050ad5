"""The failure explorer and the gallery in a real browser."""

import numpy as np
import pytest

from cvgl_bench.answers import Answers
from cvgl_bench.files import sha256
from cvgl_bench.leaderboard import Board
from cvgl_bench.ranks_file import RunAnswers
from cvgl_bench.record import DataCard, ModelCard, Provenance, make_record
from cvgl_bench.runs import Run
from cvgl_bench.site import failures, gallery
from cvgl_bench.site.pages import Site, static_pages
from cvgl_bench.suite import CLEAN, Cell

pytest.importorskip("selenium", reason="selenium is not installed")

from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

pytestmark = [
    pytest.mark.browser,
    # selenium's own sockets to the driver are closed when the interpreter ends.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

IDS = tuple(f"{number:07d}" for number in range(1, 31))
MODELS = ("first", "second", "third")
PAGE = "failures/small-c-1.html"


@pytest.fixture(autouse=True)
def quiet(browser, look):
    yield
    assert browser.get_log("browser") == []


def make_board(suite, ids=IDS, gallery_sha256="a" * 64):
    runs = {}
    for number, name in enumerate(MODELS):
        rng = np.random.default_rng(number)
        cells = {cell: _answers(ids, rng) for cell in suite.cells}
        provenance = Provenance(
            suite=suite,
            fingerprint=suite.fingerprint,
            model=ModelCard(name=name),
            data=DataCard(queries=len(ids), references=len(ids), gallery_sha256=gallery_sha256),
            date="2026-01-31",
        )
        record = make_record(provenance, cells)
        runs[name] = Run(record, RunAnswers(provenance, ids, cells))
    return Board(suite, runs)


def _answers(ids, rng):
    ranks = np.where(rng.random(len(ids)) < 0.6, 1, rng.integers(2, len(ids) + 1, len(ids)))
    tops = []
    for row, rank in enumerate(ranks):
        others = [one for number, one in enumerate(ids) if number != row]
        rng.shuffle(others)
        tops.append([*others[: rank - 1], ids[row], *others[rank - 1 :]][:5])
    names = np.array(tops, dtype=object)
    return Answers(ranks, names[:, 0], None, rng.uniform(0, 900, len(ids)), names[:, 1:])


@pytest.fixture
def board(small_suite):
    return make_board(small_suite(pairs=len(IDS), severities=[1, 3, 5]))


@pytest.fixture
def publish(tmp_path):
    """A function that writes the pages of a leaderboard and returns their folder."""

    def write(board, pictures=None, limits=failures.DEFAULT):
        site = Site((board,), (), {}, "1.0")
        made = static_pages() | failures.pages(site, pictures, limits)
        made |= gallery.pages(site, pictures)
        for path, data in made.items():
            file = tmp_path / "site" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
        return tmp_path / "site"

    return write


@pytest.fixture
def town(publish, make_town_folder, small_suite):
    """The pages of a leaderboard whose pictures are shown."""
    folder = make_town_folder(len(IDS))
    tiles = sorted((folder / "bingmap" / "19").iterdir())
    digest = sha256("\n".join(sha256(tile.read_bytes()) for tile in tiles).encode())
    suite = small_suite(pairs=len(IDS), dataset="cvtown", split="val-small", severities=[1, 3, 5])
    return publish(make_board(suite, gallery_sha256=digest), folder, failures.Limits(pictures=40))


def go(browser, folder, page=PAGE):
    # Where only what follows # differs, the browser would not load the page again.
    browser.get("about:blank")
    browser.get(f"{folder.as_uri()}/{page}")


def count(browser):
    def told(driver):
        return driver.find_element(By.ID, "count").text

    WebDriverWait(browser, 10, 0.05).until(told)
    return told(browser)


def ask(browser, folder, **choices):
    told = "&".join(f"{name}={value}" for name, value in choices.items())
    go(browser, folder, f"{PAGE}#{told}")
    return count(browser)


def listed(browser):
    """The ids of the queries, after all of them were asked for."""
    more = browser.find_element(By.ID, "more")
    while more.is_displayed():
        more.click()
    return [item.text for item in browser.find_elements(By.CSS_SELECTOR, "#queries h2")]


def ranks_of(board, model, corruption="contrast", severity=5):
    cell = Cell(view="full", corruption=corruption, severity=severity)
    return dict(zip(IDS, board.runs[model].answers.cells[cell].ranks.tolist(), strict=True))


def wanted(board, show, model="first", other="second"):
    """The ids that a filter leaves in contrast 5, computed from the runs."""
    here, there = ranks_of(board, model), ranks_of(board, other)
    clean = ranks_of(board, model, CLEAN, 0)
    always = [ranks_of(board, model, "contrast", severity) for severity in (1, 3, 5)]
    everyone = [ranks_of(board, name) for name in MODELS]
    keeps = {
        "all": lambda one: True,
        "wrong": lambda one: here[one] > 1,
        "lost": lambda one: clean[one] == 1 and here[one] > 1,
        "right": lambda one: here[one] == 1,
        "throughout": lambda one: all(ranks[one] > 1 for ranks in always),
        "versus": lambda one: here[one] == 1 and there[one] > 1,
        "nobody": lambda one: all(ranks[one] > 1 for ranks in everyone),
        "everybody": lambda one: all(ranks[one] == 1 for ranks in everyone),
        "some": lambda one: len({ranks[one] == 1 for ranks in everyone}) == 2,
    }
    return {one for one in IDS if keeps[show](one)}


@pytest.mark.parametrize(
    "show", ["all", "wrong", "lost", "right", "throughout", "versus", "nobody", "everybody"]
)
def test_a_filter_leaves_the_queries_that_the_runs_say(browser, publish, board, show):
    choices = {"model": "first", "corruption": "contrast", "severity": 5, "show": show}
    text = ask(browser, publish(board), **choices, other="second")
    expected = wanted(board, show)
    assert expected
    assert text.startswith(f"{len(expected)} of 30 queries")
    right = sum(rank == 1 for rank in ranks_of(board, "first").values())
    assert f"first gets {right} of 30 right in contrast 5" in text
    assert set(listed(browser)) == expected


def test_a_page_of_the_hardest_queries_says_that_its_counts_are_of_these(
    browser, publish, small_suite
):
    board = make_board(small_suite(pairs=len(IDS), severities=[1, 2, 3, 4, 5]))
    cells = [cell for cell in board.suite.cells if cell.severity in (0, 1, 3, 5)]
    folder = publish(board, limits=failures.Limits(answers=12 * len(cells)))
    text = ask(browser, folder, model="first", corruption="contrast", severity=5)
    ranks = ranks_of(board, "first")
    right = [one for one in listed(browser) if ranks[one] == 1]
    in_all = sum(rank == 1 for rank in ranks.values())
    assert len(right) < in_all
    assert text == (
        f"12 of the 12 hardest queries, of 30. Of the 12 hardest, first gets {len(right)} right in "
        f"contrast 5; {in_all} of 30 in all."
    )
    options = {
        each.get_attribute("value"): each.text for each in Select(show_field(browser)).options
    }
    assert options["throughout"] == "wrong at all of severities 1, 3, 5"
    assert options["all"] == "all queries shown here"


def show_field(browser):
    return browser.find_element(By.ID, "show")


@pytest.mark.parametrize("metres", [1e300, 20_038_001])
def test_a_distance_that_is_none_on_earth_is_a_dash(browser, look, publish, board, metres):
    board.runs["first"].answers.cells[board.suite.cells[0]].metres[0] = metres
    look(width=390)
    ask(browser, publish(board), model="first", corruption=CLEAN, sort="id")
    facts = browser.find_element(By.CLASS_NAME, "facts").text
    assert "found \N{EN DASH} m away" in facts
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 390
    ask(browser, publish(board), model="first", corruption=CLEAN, sort="far")
    assert listed(browser)[-1] == IDS[0]


@pytest.mark.parametrize("show", ["all", "nobody", "some", "everybody"])
def test_all_models_are_looked_at_together(browser, publish, board, show):
    text = ask(browser, publish(board), corruption="contrast", severity=5, show=show)
    expected = wanted(board, show)
    assert text.startswith(f"{len(expected)} of 30 queries")
    assert set(listed(browser)) == expected
    hidden = browser.execute_script(
        "return [...document.querySelectorAll('#show option')].filter(o => o.disabled)"
        ".map(o => o.value)"
    )
    assert hidden == ["wrong", "lost", "right", "throughout", "versus"]
    for item in browser.find_elements(By.CSS_SELECTOR, "#queries > li"):
        one = item.find_element(By.TAG_NAME, "h2").text
        right = [name for name in MODELS if ranks_of(board, name)[one] == 1]
        wrong = [name for name in MODELS if name not in right]
        named = {1: f": {right[:1]}", 2: f", wrong for {wrong[:1]}"}.get(len(right), "")
        words = f"right for {len(right)} of 3 models" + named.replace("['", "").replace("']", "")
        assert item.find_element(By.CLASS_NAME, "facts").text == words


def test_queries_are_sorted_as_asked(browser, publish, board):
    folder = publish(board)
    cell = Cell(view="full", corruption="contrast", severity=5)
    answers = board.runs["first"].answers.cells[cell]
    ranks = ranks_of(board, "first")
    metres = dict(zip(IDS, np.round(answers.metres), strict=True))
    keys = {
        "worst": lambda one: (-ranks[one], one),
        "best": lambda one: (ranks[one], one),
        "far": lambda one: (-metres[one], one),
        "id": lambda one: one,
    }
    for sort, key in keys.items():
        ask(browser, folder, model="first", corruption="contrast", severity=5, sort=sort)
        assert listed(browser) == sorted(IDS, key=key)


def test_a_failure_shows_what_was_found_and_where_the_true_tile_stands(browser, publish, board):
    ask(browser, publish(board), model="second", corruption="contrast", severity=5, show="wrong")
    cell = Cell(view="full", corruption="contrast", severity=5)
    answers = board.runs["second"].answers.cells[cell]
    for item in browser.find_elements(By.CSS_SELECTOR, "#queries > li")[:5]:
        one = item.find_element(By.TAG_NAME, "h2").text
        row = IDS.index(one)
        rank, metres = answers.ranks[row], round(answers.metres[row])
        facts = item.find_element(By.CLASS_NAME, "facts").text
        assert facts.startswith(f"wrong: the true tile has rank {rank}; found {metres} m away; ")
        tiles = item.find_elements(By.CLASS_NAME, "tile")
        ids = [tile.find_element(By.CLASS_NAME, "id").text for tile in tiles]
        top = [answers.found[row], *answers.runners_up[row]]
        assert ids == (top if one in top else [*top, one])
        true = [tile for tile in tiles if "true tile" in tile.text]
        assert [tile.find_element(By.CLASS_NAME, "id").text for tile in true] == [one]


def test_a_link_keeps_what_was_chosen(browser, publish, board):
    folder = publish(board)
    go(browser, folder)
    for name, value in (("model", "third"), ("corruption", "contrast"), ("show", "lost")):
        Select(browser.find_element(By.ID, name)).select_by_value(value)
    browser.find_element(By.CSS_SELECTOR, "input[name=severity][value='1']").click()
    text = count(browser)
    link = browser.current_url
    assert link.endswith("#model=third&corruption=contrast&severity=1&show=lost&sort=worst")
    browser.get("about:blank")
    browser.get(link)
    WebDriverWait(browser, 10).until(lambda driver: count(driver) == text)
    assert Select(browser.find_element(By.ID, "model")).first_selected_option.text == "third"


def test_nonsense_in_a_link_is_passed_over(browser, publish, board):
    text = ask(
        browser, publish(board), model="nobody%3Cimg%3E", severity="9", show="wrong", view="x"
    )
    assert text == "30 of 30 queries."
    assert browser.current_url.endswith("#corruption=gaussian_noise&severity=3&show=all&sort=worst")


def test_another_view_has_answers_of_its_own(browser, publish, small_suite):
    suite = small_suite(pairs=len(IDS), severities=[3], views=["full", "fov90"])
    board = make_board(suite)
    folder = publish(board)
    choices = {"model": "first", "corruption": "contrast", "severity": 3, "show": "lost"}
    for view in suite.views:
        clean, here = (
            board.runs["first"].answers.cells[Cell(view=view, corruption=name, severity=severity)]
            for name, severity in ((CLEAN, 0), ("contrast", 3))
        )
        lost = np.flatnonzero((clean.ranks == 1) & (here.ranks > 1))
        assert ask(browser, folder, view=view, **choices).startswith(f"{len(lost)} of 30 queries")
        assert set(listed(browser)) == {IDS[row] for row in lost}
        assert f"view={view}&" in browser.current_url


def test_without_a_severity_there_is_none_to_choose(browser, publish, board):
    ask(browser, publish(board), model="first", corruption=CLEAN)
    assert not browser.find_element(By.NAME, "severity").is_enabled()
    assert "right in clean" in count(browser)


def test_the_keyboard_is_enough(browser, publish, board):
    go(browser, publish(board))
    assert count(browser) == "30 of 30 queries."

    def focused():
        return browser.switch_to.active_element

    def tab_to(name):
        for _ in range(40):
            focused().send_keys(Keys.TAB)
            if name in (focused().get_attribute("id"), focused().get_attribute("name")):
                return
        pytest.fail(f"the tab key never comes to {name}")

    tab_to("model")
    focused().send_keys("first")
    tab_to("corruption")
    focused().send_keys("contrast")
    tab_to("severity")
    focused().send_keys(Keys.ARROW_RIGHT)
    tab_to("show")
    focused().send_keys("wrong here")
    expected = wanted(board, "wrong")
    assert count(browser).startswith(f"{len(expected)} of 30 queries: wrong here.")
    Select(browser.find_element(By.ID, "show")).select_by_value("all")
    tab_to("more")
    focused().send_keys(Keys.ENTER)
    WebDriverWait(browser, 10).until(lambda driver: focused().tag_name == "li")
    items = browser.find_elements(By.CSS_SELECTOR, "#queries > li")
    assert len(items) == 30
    assert focused() == items[20]


@pytest.mark.parametrize("scheme", ["file", "http"])
def test_pictures_and_scripts_load_from_disk_and_from_a_server(browser, town, served, scheme):
    start = f"{town.as_uri()}/" if scheme == "file" else served(town)
    for page in (f"{PAGE}#model=first&corruption=contrast&severity=3", "gallery.html"):
        browser.get("about:blank")
        browser.get(f"{start}{page}")
        broken = browser.execute_async_script(
            """
            const done = arguments[0];
            const wait = () => new Promise((resolve) => setTimeout(resolve, 50));
            (async () => {
              for (let i = 0; i < 100 && !document.images.length; i++) await wait();
              const images = [...document.images];
              images.forEach((image) => { image.loading = "eager"; });
              await Promise.all(images.map((image) => image.decode().catch(() => null)));
              const broken = images.filter((image) => !image.naturalWidth);
              done(images.length ? broken.map((image) => image.src) : ["none"]);
            })();
            """
        )
        assert broken == []


def test_a_query_without_a_picture_says_so(browser, town):
    ask(browser, town, model="first", corruption="contrast", severity=1)
    item = browser.find_element(By.CSS_SELECTOR, "#queries > li")
    assert "picture not included" in item.text
    names = [image.get_attribute("alt") for image in item.find_elements(By.TAG_NAME, "img")]
    assert names[0].endswith(", clean")
    assert all(name.startswith("Tile ") for name in names[1:])


@pytest.mark.parametrize("page", [PAGE, f"{PAGE}#model=first", "gallery.html"])
def test_a_phone_scrolls_down_only(browser, look, town, page):
    look(width=390)
    go(browser, town, page)
    if page != "gallery.html":
        count(browser)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("page", [PAGE, f"{PAGE}#model=first&show=wrong", "gallery.html"])
def test_axe_finds_no_serious_fault(browser, look, serious_faults, town, page):
    go(browser, town, page)
    if page == "gallery.html":
        browser.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")
    else:
        count(browser)
    for scheme in ("light", "dark"):
        look(scheme=scheme)
        assert serious_faults() == []


def test_hostile_ids_come_out_as_text(browser, publish, small_suite):
    ids = (
        "<img src=x onerror=hacked=1>",
        "</script><script>hacked=1</script>",
        '"onclick="hacked=1',
        "javascript:hacked=1",
        "\u202e\u2028'",
    )
    folder = publish(make_board(small_suite(pairs=len(ids)), ids))
    ask(browser, folder, model="first", sort="id")
    # A browser shows a line separator as it is, and the driver strips what is around a text.
    texts = browser.execute_script(
        "return [...document.querySelectorAll('#queries h2')].map(e => e.textContent)"
    )
    assert sorted(texts) == sorted(ids)
    assert browser.execute_script("return typeof hacked") == "undefined"
    assert not browser.find_elements(By.CSS_SELECTOR, "#queries img, #queries script, [onclick]")


def test_answers_that_cannot_be_loaded_are_said_to_be_missing(browser, publish, board):
    folder = publish(board)
    (folder / "failures/small-c-1/second.js").unlink()
    text = ask(browser, folder, model="second")
    assert text == "Nothing to show: the answers of second cannot be loaded."
    assert not browser.find_elements(By.CSS_SELECTOR, "#queries > li")
    Select(browser.find_element(By.ID, "model")).select_by_value("first")
    WebDriverWait(browser, 10).until(lambda driver: "30 of 30" in count(driver))
    # The browser itself reports the missing file; nothing else.
    faults = [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    assert faults
    assert all("second.js" in entry["message"] for entry in faults)
