import io
import json
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from corruptions import CORRUPTIONS
from cvgl_bench.answers import Answers
from cvgl_bench.datasets import load_dataset
from cvgl_bench.errors import DataError, RecordError
from cvgl_bench.files import sha256
from cvgl_bench.leaderboard import Board
from cvgl_bench.pictures import RenderedPictures
from cvgl_bench.ranks_file import RunAnswers
from cvgl_bench.record import DataCard, ModelCard, Provenance, make_record
from cvgl_bench.runs import Run
from cvgl_bench.site import failure_data, failures, gallery
from cvgl_bench.site.pages import Site
from cvgl_bench.site.pictures import MAY_BE_SHOWN, open_pictures, thumbnail
from cvgl_bench.suite import Cell

TOWN = {"dataset": "cvtown", "split": "val-small"}
IDS = tuple(f"{number:07d}" for number in range(1, 7))


def invented(ids, rng, top=5, metres=True):
    """Answers to all queries, whose true reference comes first in a third of them."""
    ranks = np.where(rng.random(len(ids)) < 1 / 3, 1, rng.integers(2, len(ids) + 1, len(ids)))
    orders = []
    for row, rank in enumerate(ranks):
        others = [one for number, one in enumerate(ids) if number != row]
        rng.shuffle(others)
        orders.append([*others[: rank - 1], ids[row], *others[rank - 1 :]][:top])
    names = np.array(orders, dtype=object)
    far = rng.uniform(0, 900, len(ids)) if metres else None
    if not top:
        return Answers(ranks, metres=far)
    return Answers(ranks, names[:, 0], None, far, names[:, 1:] if top > 1 else None)


def make_board(suite, models=("good", "bad"), ids=IDS, gallery_sha256="a" * 64, **options):
    runs = {}
    for number, name in enumerate(models):
        rng = np.random.default_rng(number)
        cells = {cell: invented(ids, rng, **options) for cell in suite.cells}
        provenance = Provenance(
            suite=suite,
            fingerprint=suite.fingerprint,
            model=ModelCard(name=name),
            data=DataCard(queries=len(ids), references=len(ids), gallery_sha256=gallery_sha256),
            date="2026-01-31",
        )
        answers = RunAnswers(provenance, ids, cells)
        runs[name] = Run(make_record(provenance, cells), answers)
    return Board(suite, runs)


def site_of(*boards):
    return Site(boards, (), {}, "1.0")


def told(data, function):
    """What a script tells the page."""
    text = data.decode("ascii")
    start, end = f"cvglFailures.{function}(", ");\n"
    assert text.startswith(start)
    assert text.endswith(end)
    assert text.count("\n") == 1
    return json.loads(text[len(start) : -len(end)])


@pytest.fixture
def town(make_town_folder, small_suite):
    """A CVTown folder with six pairs, and a leaderboard on it."""
    folder = make_town_folder(len(IDS))
    tiles = sorted((folder / "bingmap" / "19").iterdir())
    digest = sha256("\n".join(sha256(tile.read_bytes()) for tile in tiles).encode())
    return folder, make_board(small_suite(pairs=len(IDS), **TOWN), gallery_sha256=digest)


def test_a_models_script_says_what_its_run_says(small_suite):
    board = make_board(small_suite(pairs=len(IDS)))
    made = failures.pages(site_of(board), None)
    shared = told(made["failures/small-c-1.js"], "board")
    assert [tuple(cell) for cell in shared["cells"]] == [
        (cell.view, cell.corruption, cell.severity) for cell in board.suite.cells
    ]
    assert shared["models"] == shared["names"] == ["good", "bad"]
    assert (shared["shown"], shared["queries"]) == (len(IDS), len(IDS))
    assert shared["pictures"] is None
    ids = np.array(shared["ids"], dtype=object)
    assert tuple(ids[: len(IDS)]) == IDS
    for entry, run in board.runs.items():
        own = told(made[f"failures/small-c-1/{entry}.js"], "answers")
        assert own["model"] == entry
        for number, cell in enumerate(board.suite.cells):
            answers = run.answers.cells[cell]
            assert own["ranks"][number] == answers.ranks.tolist()
            top = ids[np.array(own["top"][number]).reshape(len(IDS), 5)]
            assert (top[:, 0] == answers.found).all()
            assert (top[:, 1:] == answers.runners_up).all()
            assert np.abs(np.array(own["metres"][number]) - answers.metres).max() <= 0.5


@pytest.mark.parametrize("models", [1, 8, 11])
def test_the_models_that_are_right_are_told(small_suite, models):
    board = make_board(small_suite(pairs=len(IDS)), [f"m{number:02d}" for number in range(models)])
    made = failures.pages(site_of(board), None)
    hits = told(made["failures/small-c-1.js"], "board")["hits"]
    pairs = -(-models // 8)
    for number, cell in enumerate(board.suite.cells):
        data = bytes.fromhex(hits[number])
        assert len(data) == pairs * len(IDS)
        for model, run in enumerate(board.runs.values()):
            own = [data[query * pairs + model // 8] >> model % 8 & 1 for query in range(len(IDS))]
            assert own == (run.answers.cells[cell].ranks == 1).tolist()


@pytest.mark.parametrize(("top", "width"), [(0, None), (1, 1), (3, 3)])
def test_runs_that_kept_less_show_less(small_suite, top, width):
    board = make_board(small_suite(pairs=len(IDS)), top=top, metres=False)
    own = told(failures.pages(site_of(board), None)["failures/small-c-1/good.js"], "answers")
    assert set(own["metres"]) == {None}
    if width is None:
        assert set(own["top"]) == {None}
    else:
        assert {len(places) for places in own["top"]} == {width * len(IDS)}


def test_two_entries_of_one_model_have_names_of_their_own(small_suite):
    board = make_board(small_suite(pairs=len(IDS)))
    runs = {}
    for digit, run in zip("ab", board.runs.values(), strict=True):
        card = ModelCard(name="same", weights_sha256=digit * 64)
        runs[f"same-{digit * 12}"] = Run(run.record.model_copy(update={"model": card}), run.answers)
    made = failures.pages(site_of(Board(board.suite, runs)), None)
    shared = told(made["failures/small-c-1.js"], "board")
    assert shared["models"] == ["same-aaaaaaaaaaaa", "same-bbbbbbbbbbbb"]
    assert shared["names"] == ["same (aaaaaaaa)", "same (bbbbbbbb)"]
    assert {f"failures/small-c-1/{entry}.js" for entry in shared["models"]} <= set(made)


def test_a_reference_that_is_no_query_has_an_id_too(small_suite):
    suite = small_suite(pairs=len(IDS))
    board = make_board(suite)
    answers = board.runs["good"].answers.cells[suite.cells[0]]
    answers.found[2] = "a tile of its own"
    made = failures.pages(site_of(board), None)
    ids = told(made["failures/small-c-1.js"], "board")["ids"]
    assert ids == [*IDS, "a tile of its own"]
    own = told(made["failures/small-c-1/good.js"], "answers")
    assert own["top"][0][2 * 5] == len(IDS)


def test_a_large_leaderboard_shows_the_queries_that_most_get_wrong(small_suite):
    ids = tuple(f"{number:03d}" for number in range(40))
    suite = small_suite(pairs=40, severities=[1, 2, 3, 4, 5])
    board = make_board(suite, ids=ids)
    extent = failure_data.extent_of(board, most_answers=100)
    assert {cell.severity for cell in extent.cells} == {0, 1, 3, 5}
    assert len(extent.cells) * len(extent.rows) <= 100
    assert len(extent.rows) == 100 // len(extent.cells)
    wrong = {
        one: sum(
            run.answers.cells[cell].ranks[row] > 1
            for run in board.runs.values()
            for cell in extent.cells
        )
        for row, one in enumerate(ids)
    }
    worst = sorted(ids, key=lambda one: (-wrong[one], one))[: len(extent.rows)]
    assert extent.ids[: len(extent.rows)] == tuple(sorted(worst))
    page = failures.pages(site_of(board), None, failures.Limits(answers=100))
    text = " ".join(page["failures/small-c-1.html"].decode().split())
    assert f"holds the {len(extent.rows)} of 40 queries that most models get wrong" in text
    assert "at severities 1, 3, 5" in text


def test_a_model_is_told_how_many_of_all_queries_it_gets_right(small_suite):
    board = make_board(small_suite(pairs=len(IDS)))
    extent = failure_data.extent_of(board, 4 * len(board.suite.cells))
    assert len(extent.rows) == 4
    run = board.runs["good"]
    answers = told(failure_data.model_script("good", run, extent), "answers")
    whole = [int((run.answers.cells[cell].ranks == 1).sum()) for cell in extent.cells]
    assert answers["right"] == whole
    assert whole != [ranks.count(1) for ranks in answers["ranks"]]


def test_a_distance_that_is_none_on_earth_is_not_told(small_suite):
    board = make_board(small_suite(pairs=len(IDS)))
    run = board.runs["good"]
    far = run.answers.cells[board.suite.cells[0]].metres
    far[:3] = 1e300, 20_038_001, 20_037_508.4
    data = failure_data.model_script("good", run, failure_data.extent_of(board))
    assert told(data, "answers")["metres"][0][:3] == [None, None, 20_037_508]


def test_other_severities_are_all_kept(small_suite):
    suite = small_suite(pairs=len(IDS), severities=[2, 4])
    extent = failure_data.extent_of(make_board(suite), most_answers=12)
    assert extent.cells == suite.cells
    assert len(extent.rows) == 2


def test_a_leaderboard_within_the_limit_is_shown_whole(small_suite):
    suite = small_suite(pairs=len(IDS), severities=[1, 2, 3, 4, 5])
    extent = failure_data.extent_of(make_board(suite), most_answers=len(suite.cells) * len(IDS))
    assert extent.cells == suite.cells
    assert extent.rows.tolist() == list(range(len(IDS)))


def test_runs_that_were_asked_other_queries_share_no_page(small_suite):
    suite = small_suite(pairs=len(IDS))
    one, other = make_board(suite, ["one"]), make_board(suite, ["other"], IDS[::-1])
    board = Board(suite, {**one.runs, **other.runs})
    with pytest.raises(RecordError, match="other and one on small-c-1 were asked other queries"):
        failures.pages(site_of(board), None)


@settings(max_examples=60)
@given(st.data(), st.integers(1, 9), st.integers(0, 60))
def test_the_pictures_are_of_what_most_models_lose(small_suite_cells, data, queries, most):
    hits = data.draw(arrays.arrays(np.bool_, (3, len(small_suite_cells), queries)))
    ids = tuple("abcdefghi"[:queries])
    extent = failure_data.Extent(small_suite_cells, np.arange(queries), ids, hits, queries)
    lost = [(hits[:, 0] & ~hits[:, cell]).sum(axis=0) for cell in range(4)]
    right = [hits[:, cell].sum(axis=0) for cell in range(4)]
    chosen = failure_data.worth_a_picture(extent, (5,), most)
    assert all(small_suite_cells[number].severity == 5 for number in chosen)
    assert len({len(rows) for rows in chosen.values()}) == 1
    assert sum(map(len, chosen.values())) <= most
    for number, rows in chosen.items():
        worth = {row: (lost[number][row], -right[number][row], -row) for row in range(queries)}
        rest = set(worth) - set(rows)
        assert not rest or not rows or min(worth[row] for row in rows) > max(map(worth.get, rest))


@pytest.fixture(scope="module")
def small_suite_cells():
    return tuple(
        Cell(view="full", corruption=name, severity=severity)
        for name, severity in (("clean", 0), ("fog", 1), ("fog", 5), ("snow", 5))
    )


def test_every_picture_that_the_page_is_told_of_is_there(town):
    folder, board = town
    limits = failures.Limits(pictures=4, severities=(5,))
    made = failures.pages(site_of(board), folder, limits)
    shared = told(made["failures/small-c-1.js"], "board")
    pictures = shared["pictures"]
    assert pictures["tiles"] == list(range(len(IDS)))
    named = {f"failures/small-c-1/tile-{number}.webp" for number in pictures["tiles"]}
    for cell, rows in pictures["cells"].items():
        _, corruption, severity = shared["cells"][int(cell)]
        assert len(rows) == (len(IDS) if corruption == "clean" else 2)
        assert corruption == "clean" or severity == 5
        named |= {f"failures/small-c-1/query-{cell}-{row}.webp" for row in rows}
    assert {path for path in made if path.endswith(".webp")} == named


def test_a_picture_shows_the_query_that_it_names(town):
    folder, board = town
    limits = failures.Limits(pictures=10**4, severities=(5,))
    made = failures.pages(site_of(board), folder, limits)
    pairs = load_dataset("cvtown", folder, "val-small").pairs
    rendered = RenderedPictures(board.suite, "cvtown", pairs)
    for number, cell in enumerate(board.suite.cells):
        if cell.corruption not in ("clean", "contrast") or cell.severity == 1:
            continue
        for row, image in enumerate(rendered.images(cell)):
            shown = decoded(made[f"failures/small-c-1/query-{number}-{row}.webp"])
            assert shown.shape == image.shape
            assert np.abs(shown - image.astype(float)).mean() < 8
    for row, pair in enumerate(pairs):
        shown = decoded(made[f"failures/small-c-1/tile-{row}.webp"])
        assert np.abs(shown - decoded(pair.aerial.read_bytes())).mean() < 8


def decoded(data):
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(float)


def test_a_view_shows_what_its_camera_saw(make_town_folder, small_suite):
    folder = make_town_folder(len(IDS))
    tiles = sorted((folder / "bingmap" / "19").iterdir())
    digest = sha256("\n".join(sha256(tile.read_bytes()) for tile in tiles).encode())
    suite = small_suite(pairs=len(IDS), views=["full", "fov90"], **TOWN)
    board = make_board(suite, gallery_sha256=digest)
    made = failures.pages(site_of(board), folder)
    clean = [n for n, cell in enumerate(suite.cells) if cell.corruption == "clean"]
    widths = [
        decoded(made[f"failures/small-c-1/query-{number}-0.webp"]).shape[1] for number in clean
    ]
    assert widths == [96, 24]


def test_another_towns_pictures_are_refused(town):
    folder, board = town
    other = make_board(board.suite, gallery_sha256="b" * 64)
    with pytest.raises(DataError, match="does not hold the pictures that good was measured on"):
        failures.pages(site_of(other), folder)


def test_only_pictures_that_may_be_shown_are_shown(make_cvusa, small_suite):
    board = make_board(small_suite(pairs=len(IDS)))
    folder = make_cvusa(len(IDS))
    made = failures.pages(site_of(board), folder)
    assert not [path for path in made if path.endswith(".webp")]
    text = " ".join(made["failures/small-c-1.html"].decode().split())
    assert "The licence of cvusa does not let this page hold its pictures" in text
    with pytest.raises(DataError, match="pages may not hold pictures of cvusa, only of cvtown"):
        open_pictures(board.suite, folder)


def test_the_pictures_that_may_be_shown_are_the_packages_own():
    assert set(MAY_BE_SHOWN) == {"cvtown"}


def test_without_a_folder_a_page_says_how_to_get_pictures(town):
    _, board = town
    made = failures.pages(site_of(board), None) | gallery.pages(site_of(board), None)
    assert not [path for path in made if path.endswith(".webp")]
    for page in ("failures/small-c-1.html", "gallery.html"):
        assert b"built without pictures" in made[page]


def test_two_builds_have_the_same_bytes(town):
    folder, board = town
    builds = [
        failures.pages(site_of(board), folder) | gallery.pages(site_of(board), folder)
        for _ in range(2)
    ]
    assert builds[0] == builds[1]
    assert not [name for name, data in builds[0].items() if str(folder).encode() in data]


class Elements(HTMLParser):
    """The elements of a page: tag and attributes."""

    def __init__(self, data):
        super().__init__()
        self.found = []
        self.feed(data.decode())

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def all(self, tag):
        return [attributes for name, attributes in self.found if name == tag]


HOSTILE = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(
    [
        "</script><script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        '\u202e\u2028");//',
        "javascript:alert(1)",
    ]
)


@settings(max_examples=30)
@given(identity=HOSTILE)
def test_a_hostile_id_stays_data(hostile_suite, identity):
    ids = tuple(dict.fromkeys([identity, "plain"]))
    board = make_board(hostile_suite, ids=ids, top=2)
    made = failures.pages(site_of(board), None)
    assert told(made["failures/small-c-1.js"], "board")["ids"] == list(ids)
    usual = failures.pages(site_of(make_board(hostile_suite, ids=("other", "plain"), top=2)), None)
    assert set(made) == set(usual)
    assert made["failures/small-c-1.html"] == usual["failures/small-c-1.html"]


@pytest.fixture(scope="module")
def hostile_suite():
    from cvgl_bench.suite import Suite

    return Suite(
        name="small-c",
        version=1,
        title="",
        dataset="<b>cvusa",
        split="val",
        pairs=2,
        form="grid",
        profile="standard",
        codec="pillow",
        seed=1,
        jpeg_quality=75,
        views=("full",),
        severities=(1,),
        corruptions=("contrast",),
    )


def test_a_hostile_name_of_a_data_set_comes_out_as_text(hostile_suite):
    board = make_board(hostile_suite, ids=("a", "b"), top=2)
    page = Elements(failures.pages(site_of(board), None)["failures/small-c-1.html"])
    assert not page.all("b")


def test_every_field_of_the_explorer_has_a_label(town):
    folder, board = town
    page = Elements(failures.pages(site_of(board), folder)["failures/small-c-1.html"])
    labelled = {attributes.get("for") for attributes in page.all("label")}
    selects = {attributes["id"] for attributes in page.all("select")}
    assert selects == {"model", "corruption", "show", "other", "sort"}
    assert selects <= labelled
    assert [radio["value"] for radio in page.all("input") if radio["type"] == "radio"] == ["1", "5"]


def test_the_gallery_shows_every_corruption_at_every_severity(town):
    folder, board = town
    made = gallery.pages(site_of(board), folder)
    images = Elements(made["gallery.html"]).all("img")
    assert {image["src"] for image in images} == set(made) - {"gallery.html"}
    shown = {image["src"] for image in images}
    assert shown == {"gallery/clean-0.webp"} | {
        f"gallery/{name}-{severity}.webp"
        for name in ("gaussian_noise", "contrast")
        for severity in (1, 5)
    }
    assert all(image["alt"] and image["loading"] == "lazy" for image in images)
    assert len({image["alt"] for image in images}) == len(shown)


def test_the_gallery_grows_paler_as_contrast_is_lost(town):
    folder, board = town
    made = gallery.pages(site_of(board), folder)
    names = ("clean-0", "contrast-1", "contrast-5")
    deviations = [decoded(made[f"gallery/{name}.webp"]).std() for name in names]
    assert deviations == sorted(deviations, reverse=True)
    assert deviations[2] < deviations[0] / 4


def test_every_corruption_is_explained():
    assert set(gallery.MEANING) == set(CORRUPTIONS)


def test_a_site_without_a_town_has_a_gallery_of_the_town(make_cvusa, small_suite):
    made = gallery.pages(site_of(make_board(small_suite(pairs=len(IDS)))), None)
    text = " ".join(made["gallery.html"].decode().split())
    assert "16 ways to make a panorama worse, at 5 severities each, as cvtown-c-" in text
    assert 'href="failures/cvtown-c' not in text


@settings(max_examples=40)
@given(
    arrays.arrays(np.uint8, st.tuples(st.integers(1, 90), st.integers(1, 300), st.just(3))),
    st.integers(1, 128),
    st.integers(1, 128),
)
def test_a_thumbnail_fits_its_box_and_is_never_enlarged(image, width, height):
    data = thumbnail(image, (width, height))
    small = Image.open(io.BytesIO(data))
    assert small.format == "WEBP"
    assert small.width <= min(width, image.shape[1])
    assert small.height <= min(height, image.shape[0])
    assert data == thumbnail(image.copy(), (width, height))
