import csv
import io
import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from cvgl_bench.answers import Answers
from cvgl_bench.attention_file import MAPS, PAGE, read_attention, write_attention
from cvgl_bench.attention_maps import KINDS, LONGEST, AttentionAgreement, Row, draw_rows, grey
from cvgl_bench.cli.report import command
from cvgl_bench.errors import RecordError
from cvgl_bench.files import sha256
from cvgl_bench.plots import FORMATS, as_bytes, style, wrapped
from cvgl_bench.ranks_file import RunAnswers, write_ranks
from cvgl_bench.record import (
    DataCard,
    ModelCard,
    Provenance,
    make_record,
    read_record,
    write_record,
)
from cvgl_bench.report import build_report
from cvgl_bench.report_attention import (
    attention_files,
    attention_frame,
    attention_tables,
    read_attentions,
)
from cvgl_bench.runs import read_runs
from cvgl_bench.suite import load_suite

QUERIES = 6
PARTS = {
    "heading": ((0.0, 360.0), (0.0, 360.0)),
    "fov": ((0.0, 180.0), (0.0, 70.0)),
    "tile": ((0.0, 360.0), (0.0, 360.0)),
}


def pictures(count, seed=0, *, panorama=(24, 96), tile=(32, 32)):
    rng = np.random.default_rng(seed)
    sizes = {"heading": panorama, "fov": panorama, "tile": tile}
    drawn = {
        size: [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for _ in range(count)]
        for size in dict.fromkeys(sizes.values())
    }
    return {kind: drawn[size] for kind, size in sizes.items()}


def agreement(kind, count=4, *, ssim=0.5, conditions=("one", "other"), size=(3, 12)):
    """Maps whose only place is the first, with the SSIM that is wanted."""
    base = np.zeros((count, *size), np.float32)
    base[:, 0, 0] = 1
    found = np.full((count, len(conditions)), ssim)
    maps = tuple(base.copy() for _ in conditions)
    nought = np.zeros(found.shape, bool)
    return AttentionAgreement(conditions, found, nought, base, maps, PARTS[kind])


@pytest.fixture
def make(small_suite, tmp_path):
    """A function that writes a run, with attention unless `count` is 0, and gives its folder."""

    def build(name="good", count=4, *, weights="", seed=0, **options):
        suite = small_suite(pairs=QUERIES)
        card = Provenance(
            suite=suite,
            fingerprint=suite.fingerprint,
            model=ModelCard(name=name, weights_sha256=weights),
            data=DataCard(queries=QUERIES, references=QUERIES, gallery_sha256="a" * 64),
            date="2026-01-31",
        )
        answers = {cell: Answers(np.arange(1, QUERIES + 1)) for cell in suite.cells}
        folder = tmp_path / name
        write_record(folder / "record.json", make_record(card, answers))
        ids = tuple(f"query{number}" for number in range(QUERIES))
        write_ranks(folder / "ranks.parquet", RunAnswers(card, ids, answers))
        if count:
            found = {kind: agreement(kind, count, **options) for kind in KINDS}
            write_attention(folder, card.model, card.fingerprint, found, pictures(count, seed))
        return folder

    return build


def read(folder):
    return read_attention(folder, read_record(folder / "record.json"))


def invoke(*arguments):
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def test_what_is_written_is_read(make):
    attention = read(make(ssim=0.25))
    assert attention.page.samples == 4
    kept = attention.kept["heading"]
    np.testing.assert_array_equal(kept.pictures, grey(pictures(4)["heading"][:3]))
    assert kept.found.base.shape == (3, 3, 12)
    assert kept.found.base.dtype == np.float32
    assert kept.found.base[:, 0, 0].tolist() == [1, 1, 1]
    assert kept.found.ssim.tolist() == [[0.25, 0.25]] * 3
    assert attention.kept["fov"].found.parts == PARTS["fov"]
    assert attention.kept["tile"].found.conditions == ("one", "other")


@given(
    values=st.lists(st.floats(0, 1, width=32), min_size=1, max_size=4),
    height=st.integers(1, 1100),
    width=st.integers(1, 1100),
)
@settings(max_examples=12)
def test_maps_and_pictures_of_any_size_keep_their_values_and_become_small(
    tmp_path_factory, values, height, width
):
    folder, suite = tmp_path_factory.mktemp("run"), load_suite("cvtown-c")
    base = np.tile(np.array(values, np.float32)[:, None, None], (1, height, width))
    found = {}
    for kind in KINDS:
        own = agreement(kind, len(values))
        found[kind] = AttentionAgreement(
            own.conditions, own.ssim, own.is_nought, base, (base, base), own.parts
        )
    images = pictures(len(values), panorama=(height, width), tile=(height, width))
    page = write_attention(folder, ModelCard(name="m"), suite.fingerprint, found, images)
    card = Provenance(
        suite=suite,
        fingerprint=suite.fingerprint,
        model=ModelCard(name="m"),
        data=DataCard(queries=1, references=1),
        date="2026-01-31",
    )
    record = make_record(card, {suite.cells[0]: Answers(np.array([1]))})
    attention = read_attention(folder, record)
    assert attention.page == page
    for kept in attention.kept.values():
        assert max(kept.found.base.shape[1:]) == min(LONGEST, max(height, width))
        assert max(kept.pictures.shape[1:]) == min(LONGEST, max(height, width))
        for stored, value in zip(kept.found.base, values, strict=False):
            np.testing.assert_allclose(stored, value, atol=0.5 / 255 + 1e-6)


def test_a_run_without_attention_has_none_and_one_without_maps_has_numbers(make):
    assert read(make("bare", 0)) is None
    folder = make()
    (folder / MAPS).unlink()
    attention = read(folder)
    assert attention.kept is None
    assert attention.page.heading.score == pytest.approx(0.75)


def test_attention_of_another_model_weights_or_suite_is_refused(make):
    folder, other = make(weights="a" * 64), make("other")
    for names in ((PAGE,), (PAGE, MAPS)):
        for name in names:
            (folder / name).write_bytes((other / name).read_bytes())
        with pytest.raises(RecordError, match=r"of other, .* of good, weights 'aaaaaaaaaaaa'"):
            read(folder)
    for field in ("weights_sha256", "fingerprint"):
        folder = make()
        page = json.loads((folder / PAGE).read_text())
        (folder / PAGE).write_text(json.dumps(page | {field: "b" * 64}))
        with pytest.raises(RecordError, match="evaluate it with --attention again"):
            read(folder)


def test_maps_of_another_look_are_refused(make):
    folder, other = make(), make("other", seed=1)
    (folder / MAPS).write_bytes((other / MAPS).read_bytes())
    with pytest.raises(
        RecordError, match=r"is not what attention\.json beside it was written with"
    ):
        read(folder)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", '{"model": "good"}', "\x00", "null"],
)
def test_a_broken_page_is_refused_in_a_sentence(make, text):
    folder = make()
    (folder / PAGE).write_text(text)
    with pytest.raises(RecordError, match="holds no attention") as caught:
        read(folder)
    assert "\n" not in str(caught.value)


def put(folder, data):
    """Put other maps in place, and their hash where it must be."""
    (folder / MAPS).write_bytes(data)
    page = json.loads((folder / PAGE).read_text())
    (folder / PAGE).write_text(json.dumps(page | {"maps_sha256": sha256(data)}))


def changed(folder, **arrays):
    """The file's bytes with other arrays; None leaves one out."""
    with np.load(folder / MAPS) as stored:
        kept = dict(stored) | arrays
    buffer = io.BytesIO()
    np.savez(buffer, **{name: each for name, each in kept.items() if each is not None})
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("heading.pictures", None),
        ("heading.pictures", np.zeros((3, 24, 96), np.float32)),
        ("heading.pictures", np.zeros((2, 24, 96), np.uint8)),
        ("heading.pictures", np.zeros((3, 24, 0), np.uint8)),
        ("heading.pictures", np.zeros((3, 24, LONGEST + 1), np.uint8)),
        ("fov.maps0", np.zeros((3, 3), np.uint8)),
        ("fov.maps2", None),
        ("fov.parts", np.full((2, 2), np.nan)),
        ("fov.parts", np.array([[0.0, 0.0], [0.0, 90.0]])),
        ("fov.parts", np.array([[1e300, 90.0], [0.0, 90.0]])),
        ("tile.ssim", np.full((3, 2), 1.5)),
        ("tile.ssim", np.full((3, 3), 0.5)),
        ("tile.is_nought", np.zeros((3, 2), np.uint8)),
        ("tile.maps1", np.array([{}] * 3, object)),
    ],
)
def test_maps_that_do_not_fit_are_refused_in_a_sentence(make, name, array):
    folder = make()
    put(folder, changed(folder, **{name: array}))
    with pytest.raises(RecordError, match="holds no attention maps") as caught:
        read(folder)
    assert "\n" not in str(caught.value)


def test_a_damaged_archive_is_refused_whatever_byte_is_hit(make):
    folder = make()
    whole = (folder / MAPS).read_bytes()
    rng = np.random.default_rng(3)
    damaged = [b"", b"PK", whole[: len(whole) // 2], b"x" * 100]
    for place in rng.integers(0, len(whole), 60):
        damaged.append(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
    refused = 0
    for data in damaged:
        put(folder, data)
        try:
            read(folder)
        except RecordError:
            refused += 1
    assert refused > len(damaged) * 0.8, "a changed date within the archive does no harm"


def test_an_archive_that_unpacks_to_far_too_much_is_refused(make):
    folder = make()
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **{"heading.pictures": np.zeros((1, 1 << 13, 1 << 14), np.uint8)})
    assert len(buffer.getvalue()) < 1 << 20
    put(folder, buffer.getvalue())
    with pytest.raises(RecordError, match="too large"):
        read(folder)


def test_numbers_are_means_over_samples_and_conditions_with_intervals(make):
    folder = make()
    ssim = np.array([[1, 0], [1, 0], [0, 0], [0, 0]], float)
    found = {kind: agreement(kind) for kind in KINDS}
    nought = np.array([[0, 1], [0, 1], [0, 0], [0, 0]], bool)
    own = found["tile"]
    found["tile"] = AttentionAgreement(own.conditions, ssim, nought, own.base, own.maps, own.parts)
    record = read_record(folder / "record.json")
    page = write_attention(folder, record.model, record.fingerprint, found, pictures(4))
    assert page.tile.score == pytest.approx((1 + 0.25) / 2)
    assert page.tile.by_condition["one"].score == pytest.approx(0.75)
    assert page.tile.by_condition["one"].low == pytest.approx(0.5)
    assert page.tile.by_condition["one"].high == pytest.approx(1)
    assert page.tile.by_condition["other"].model_dump() == {
        "score": 0.5,
        "low": 0.5,
        "high": 0.5,
        "without_attention": 2,
    }
    assert page.tile.without_attention == 2
    report = build_report(read_runs([folder]), with_intervals=False)
    attentions, left_out = read_attentions(report, [folder])
    assert left_out == []
    rows = list(csv.DictReader(io.StringIO(attention_frame(attentions).to_csv())))
    assert len(rows) == 3 * 3
    assert rows[6] == {
        "model": "good",
        "kind": "tile",
        "condition": "all",
        "score": "0.625",
        "low": "0.5",
        "high": "0.75",
        "without_attention": "2",
        "samples": "4",
        "places": "3 x 12",
    }


def test_one_sample_has_a_score_and_no_interval(make):
    folder = make(count=1)
    report = build_report(read_runs([folder]))
    attentions, _ = read_attentions(report, [folder])
    (table, *_) = attention_tables(report, attentions)
    assert table.texts.loc["good"].to_dict() == {
        "all": "0.750 [-]",
        "one": "0.750 [-]",
        "other": "0.750 [-]",
        "no attention": "0/2",
        "places": "3 x 12",
        "queries": "1",
    }


def files_of(folders, *formats):
    """The files of attention and what is left out of them."""
    report = build_report(read_runs(folders), with_intervals=False)
    return attention_files(report, read_attentions(report, folders)[0], formats)


def test_the_command_writes_tables_and_pictures(make, tmp_path):
    runs = [make(count=1), make("steady", 1, ssim=1.0), make("bare", 0)]
    out = tmp_path / "out"
    done = invoke(*runs, "--out", out, "--formats", "svg", "--view", "full")
    assert done.exit_code == 0, done.output
    assert "attention.csv leaves bare out: it has no attention.json; evaluate it" in done.output
    names = {path.name for path in out.iterdir() if path.name.startswith("attention")}
    assert names == {f"attention.{form}" for form in ("csv", "md", "tex")} | {
        f"attention-{kind}-1.svg" for kind in KINDS
    }
    frame = (out / "attention.csv").read_text()
    assert frame.count("\nsteady,") == 9
    assert "bare" not in frame


def test_there_is_a_picture_a_kind_and_sample(make):
    files, left_out = files_of([make(count=2), make("steady", 2)], "svg")
    assert left_out == []
    assert set(files) == {f"attention.{form}" for form in ("csv", "md", "tex")} | {
        f"attention-{kind}-{sample}.svg" for kind in KINDS for sample in (1, 2)
    }
    assert files["attention-tile-2.svg"] != files["attention-tile-1.svg"]


@pytest.mark.parametrize("form", FORMATS)
def test_the_same_maps_give_the_same_bytes(form):
    picture, own = grey(pictures(1)["fov"])[0], agreement("fov")
    one, other = (as_bytes(draw_rows([Row("a", picture, own, 0)]), form) for _ in "ab")
    assert one == other


def test_tables_have_a_row_a_model_in_markdown_and_latex(make):
    report = build_report(read_runs(folders := [make(), make("steady", ssim=1.0)]))
    files, _ = attention_files(report, read_attentions(report, folders)[0], [])
    page, tex = (files[f"attention.{form}"].decode() for form in ("md", "tex"))
    assert len(re.findall(r"^\| steady +\| 1\.000 \[1\.000, 1\.000\] \|", page, re.M)) == 3
    assert len(re.findall(r"^good & 0\.750 \[0\.750, 0\.750\] & ", tex, re.M)) == 3
    for each in ("tabular", "table*"):
        assert tex.count(f"\\begin{{{each}}}") == tex.count(f"\\end{{{each}}}") == 3
    assert max(map(len, tex.splitlines())) < 500


def test_tables_alone_and_without_intervals(make, tmp_path):
    folder, out = make(), tmp_path / "out"
    done = invoke(folder / "record.json", "--out", out, "--formats", "none", "--no-intervals")
    assert done.exit_code == 0, done.output
    assert not list(out.glob("attention-*"))
    assert "[" not in (out / "attention.md").read_text()


def test_a_broken_run_leaves_nothing_behind(make, tmp_path):
    folder = make()
    (folder / MAPS).write_bytes(b"no maps")
    done = invoke(folder, "--out", tmp_path / "out")
    assert isinstance(done.exception, RecordError)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("change", [{"seed": 1}, {"count": 2}, {"conditions": ("one", "two")}])
def test_a_run_that_was_shown_other_pictures_is_in_the_tables_only(make, change):
    files, left_out = files_of([make(count=1), make("odd", **{"count": 1} | change)], "svg")
    (sentence,) = left_out
    assert "pictures leave odd out: it was shown other pictures" in sentence
    assert b"\nodd," in files["attention.csv"]
    assert "attention-tile-1.svg" in files
    assert "attention-tile-2.svg" not in files


def test_a_run_whose_maps_were_not_kept_is_in_the_tables_only(make):
    folders = [make("first", 1), make(count=1)]
    (folders[0] / MAPS).unlink()
    files, left_out = files_of(folders, "svg")
    assert left_out == ["attention pictures leave first out: it has no attention.npz."]
    assert b"\nfirst," in files["attention.csv"]
    assert "attention-tile-1.svg" in files
    (folders[1] / MAPS).unlink()
    files, left_out = files_of(folders, "svg")
    assert len(left_out) == 2
    assert len(files) == 3


def test_a_row_is_a_model_and_a_column_a_condition():
    found = {"a": agreement("fov", ssim=0.25), "b": agreement("fov", ssim=-0.5)}
    nought = found["b"].is_nought.copy()
    nought[1, 0] = True
    found["b"] = AttentionAgreement(
        *(found["b"].conditions, found["b"].ssim, nought),
        *(found["b"].base, found["b"].maps, found["b"].parts),
    )
    picture = grey(pictures(2)["fov"])[1]
    with style():
        figure = draw_rows([Row(name, picture, each, 1) for name, each in found.items()], "title")
        figure.draw_without_rendering()
    first, second, third, fourth, _, sixth, _ = figure.axes
    assert [axes.get_title() for axes in (first, second, third)] == ["as it is", "one", "other"]
    assert (first.get_ylabel(), fourth.get_ylabel()) == ("a", "b")
    assert [axes.get_xlabel() for axes in (second, third, sixth)] == ["SSIM 0.25"] * 2 + [
        "SSIM -0.50"
    ]
    assert figure.axes[4].get_xlabel() == "no attention"
    shown = [np.asarray(axes.images[0].get_array()) for axes in (first, second)]
    np.testing.assert_array_equal(shown[1], shown[0][:, 24:72])
    # A narrow view is as large as in its panorama.
    widths = [axes.get_window_extent().width for axes in (first, second)]
    assert widths[0] == pytest.approx(2 * widths[1], rel=0.05)


@pytest.mark.parametrize(
    ("kind", "count"), [("heading", 1), ("heading", 14), ("fov", 5), ("tile", 3), ("tile", 14)]
)
def test_nothing_is_drawn_over_anything_else(kind, count):
    own, picture = agreement(kind), grey(pictures(1)[kind])[0]
    rows = [Row(f"model-{'m' * (place % 40)}", picture, own, 0) for place in range(count)]
    with style():
        figure = draw_rows(rows, "a title\n* and a note")
        figure.draw_without_rendering()
        boxes = [axes.get_tightbbox() for axes in figure.axes]
        for place, box in enumerate(boxes):
            assert figure.axes[place].get_window_extent().height > 4
            assert box.x0 >= -1
            assert box.x1 <= figure.bbox.x1 + 1
            assert not any(box.overlaps(other.padded(-0.5)) for other in boxes[:place])


def test_maps_of_other_conditions_are_no_rows_of_one_picture():
    picture = grey(pictures(1)["tile"])[0]
    rows = [Row("a", picture, agreement("tile"), 0), Row("b", picture, agreement("fov"), 0)]
    with pytest.raises(RecordError, match="several conditions"):
        draw_rows(rows)


def test_a_hostile_query_or_name_breaks_no_picture():
    picture, own = grey(pictures(1)["tile"])[0], agreement("tile")
    names = ("$x_{$", "<b>&amp;", "x" * 300, "模型\n\0", " ")
    with style():
        rows = [Row(name, picture, own, 0) for name in names]
        ET.fromstring(as_bytes(draw_rows(rows, wrapped(names[0] + names[3])), "svg"))
        draw_rows([Row(" ", picture, own, 0)])


def test_attention_is_reported_without_torch(make, tmp_path):
    code = (
        "import sys\n"
        "class NoTorch:\n"
        "    def find_spec(self, name, *others):\n"
        "        if name.partition('.')[0] in ('torch', 'timm'):\n"
        "            raise ImportError(name)\n"
        "sys.meta_path.insert(0, NoTorch())\n"
        "from cvgl_bench.cli import main\n"
        f"main(['report', {str(make(count=1))!r}, '--out', {str(tmp_path / 'out')!r},\n"
        "      '--formats', 'png', '--no-intervals'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "attention-fov-1.png").exists()
