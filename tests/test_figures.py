import xml.etree.ElementTree as ET

import numpy as np
import pytest

from cvgl_bench.answers import Answers
from cvgl_bench.cost_figures import draw_latency
from cvgl_bench.figures import (
    draw_corruptions,
    draw_heat_map,
    draw_radar,
    draw_report,
    draw_severity,
    file_name,
)
from cvgl_bench.plots import line_style, plot_all, style, wrapped
from cvgl_bench.ranks_file import RunAnswers
from cvgl_bench.record import DataCard, ModelCard, Provenance, make_record
from cvgl_bench.report import build_report
from cvgl_bench.runs import Run

THREE_FAMILIES = [
    *("gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise"),
    *("contrast", "pixelate", "jpeg_compression"),
    *("defocus_blur", "glass_blur", "motion_blur", "zoom_blur"),
]


@pytest.fixture
def make(small_suite):
    """A function that makes a run that finds `clean` of 40 queries, and fewer when corrupted."""

    def build(name="good", clean=36, *, queries=40, cells=None, environment=None, **suite):
        definition = small_suite(pairs=queries, **suite)
        answers = {
            cell: Answers(np.where(np.arange(queries) < clean - 2 * cell.severity, 1, queries))
            for cell in definition.cells[:cells]
        }
        card = Provenance(
            suite=definition,
            fingerprint=definition.fingerprint,
            model=ModelCard.model_construct(name=name),
            data=DataCard(queries=queries, references=queries, gallery_sha256="a" * 64),
            environment=environment or {},
            date="2026-01-31",
        )
        ids = tuple(map(str, range(queries)))
        return Run(make_record(card, answers), RunAnswers(card, ids, answers))

    return build


@pytest.fixture(autouse=True)
def _style():
    with style():
        yield


def lines_of(axes):
    return {line.get_label(): line for line in axes.lines}


def test_a_severity_curve_is_the_mean_over_corruptions_with_a_band(make):
    (axes,) = draw_severity(build_report([make()]), "full").axes
    line = lines_of(axes)["good"]
    assert line.get_xdata().tolist() == [0, 1, 5]
    assert line.get_ydata().tolist() == pytest.approx([90, 85, 65])
    assert len(axes.collections) == 1
    (axes,) = draw_severity(build_report([make()], with_intervals=False), "full").axes
    assert not axes.collections


def test_a_run_that_lacks_cells_has_no_curve_but_its_panels(make):
    report = build_report([make(), make("part", cells=5)], with_intervals=False)
    assert "part*" not in lines_of(draw_severity(report, "full").axes[0])
    noise, contrast = draw_corruptions(report, "full").axes
    assert lines_of(noise)["part*"].get_xdata().tolist() == [0, 1, 5]
    assert lines_of(contrast)["part*"].get_xdata().tolist() == [0, 1]
    alone = build_report([make("part", cells=2)], with_intervals=False)
    assert draw_severity(alone, "full") is None
    assert draw_corruptions(alone, "full") is None


def test_models_differ_in_colour_line_and_marker_and_look_alike_in_every_picture(make):
    styles = [line_style(number) for number in range(28)]
    assert len({(each["color"], each["ls"]) for each in styles}) == 28
    assert len({each["color"] for each in styles[:7]}) == 7
    assert len({each["marker"] for each in styles[:7]}) == 7
    runs = [make("bad", 20), make("good", 36)]
    report = build_report(runs, with_intervals=False)
    pictures = [draw(report, "full").axes[0] for draw in (draw_severity, draw_corruptions)]
    for name in ("bad", "good"):
        assert len({lines_of(axes)[name].get_color() for axes in pictures}) == 1


def test_a_heat_map_prints_every_cell_in_a_text_that_contrasts_with_it(make):
    report = build_report([make(cells=5)], with_intervals=False)
    (axes,) = draw_heat_map(report, report.entries[0]).axes
    texts = [(text.get_text(), text.get_color()) for text in axes.texts]
    # Both severities of both corruptions, then their means.
    assert [text for text, _ in texts] == ["85.0", "65.0", "85.0", "-", "75.0", "-"]
    assert {color for _, color in texts} == {"black"}
    dark = build_report([make(clean=12)], with_intervals=False)
    (axes,) = draw_heat_map(dark, dark.entries[0]).axes
    assert {text.get_color() for text in axes.texts} == {"white"}


def test_a_radar_shows_what_each_family_leaves(make):
    report = build_report([make(corruptions=THREE_FAMILIES)], with_intervals=False)
    (axes,) = draw_radar(report, "full").axes
    (line,) = axes.lines
    assert [label.get_text() for label in axes.get_xticklabels()] == ["blur", "noise", "digital"]
    assert line.get_ydata().tolist() == pytest.approx([100 * 30 / 36] * 4)
    assert draw_radar(build_report([make()], with_intervals=False), "full") is None


def test_a_radar_has_no_ring_for_what_chance_would_find(make):
    runs = [make(corruptions=THREE_FAMILIES), make("low", 3, corruptions=THREE_FAMILIES)]
    (axes,) = draw_radar(build_report(runs), "full").axes
    labels = {line.get_label(): len(line.get_xdata()) for line in axes.lines}
    assert labels == {"good (clean 90.0)": 4, "(low: chance)": 0}


def test_latency_is_drawn_only_if_every_record_has_it(make):
    known = [make(str(time), environment={"ground_ms_per_image": str(time)}) for time in (3, 50)]
    (axes,) = draw_latency(build_report(known), "full").axes
    assert axes.get_xscale() == "log"
    assert sorted(line.get_xdata()[0] for line in axes.lines if len(line.get_xdata()) == 1)[0] == 3
    for wrong in ({}, {"ground_ms_per_image": "fast"}, {"ground_ms_per_image": "nan"}):
        runs = [*known, make("other", environment=wrong)]
        report = build_report(runs, with_intervals=False)
        assert draw_latency(report, "full") is None
    _, left_out = draw_report(report, [])
    assert any("ground_ms_per_image" in line for line in left_out)


HOSTILE = ["$x_{$", "a_b^c", "{}<b>&amp;--", "\\frac{", "x" * 300, "模型\n\0", " "]


def test_hostile_names_break_no_picture(make, tmp_path):
    runs = [make(corruptions=THREE_FAMILIES)]
    for name in HOSTILE:
        card = runs[0].record.model.model_copy(update={"name": name})
        runs.append(Run(runs[0].record.model_copy(update={"model": card}), runs[0].answers))
    report = build_report(runs, with_intervals=False)
    files, _ = draw_report(report, ["svg"])
    assert len(files) == 3 + len(runs)
    assert all(path.startswith("full/") and path.count("/") == 1 for path in files)
    for data in files.values():
        ET.fromstring(data)


def test_a_hostile_view_cannot_leave_the_folder():
    names = [file_name(text) for text in ("../../etc", "a/b", "..", "", "a b", "a:b")]
    assert not any("/" in name or name.startswith(".") for name in names)
    assert len(set(names)) == len(names)
    assert file_name("fov90-heading45") == "fov90-heading45"


def test_long_names_are_broken_into_lines_and_stay_different():
    one, other = (wrapped("a-long-name-" * 4 + end) for end in ("one", "two"))
    assert one != other
    assert max(map(len, wrapped("x" * 300).splitlines())) <= 26
    assert wrapped("x" * 300).count("\n") == 2


def test_legends_cover_no_data(make):
    runs = [make("a-model-with-a-long-name-" + letter * 20) for letter in "abcdefg"]
    report = build_report(runs, with_intervals=False)
    for draw in (draw_severity, draw_corruptions):
        figure = draw(report, "full")
        figure.draw_without_rendering()
        box = figure.legends[0].get_window_extent()
        for axes in figure.axes:
            assert axes.get_window_extent().height > 40
            assert not box.overlaps(axes.get_tightbbox())
        assert box.x0 >= 0
        assert box.x1 <= figure.bbox.x1


def test_the_same_run_gives_the_same_bytes_and_no_date(make):
    one, other = (draw_report(build_report([make()]), ["svg", "pdf", "png"])[0] for _ in "ab")
    assert one == other
    assert {path.rpartition(".")[2] for path in one} == {"svg", "pdf", "png"}
    for path, data in one.items():
        assert b"CreationDate" not in data, path
        assert b"<dc:date>" not in data, path
        assert b"atplotlib v" not in data, path


def test_every_view_has_a_folder_of_pictures(make):
    report = build_report([make(views=["full", "fov90"])], with_intervals=False)
    files, _ = draw_report(report, ["png"])
    assert {path.partition("/")[0] for path in files} == {"full", "fov90"}


def test_the_picture_of_an_evaluation_is_drawn_as_before(make, tmp_path):
    record = make(corruptions=THREE_FAMILIES).record
    (path,) = plot_all(record, tmp_path)
    assert path.name == "severity.png"
    first = path.read_bytes()
    plot_all(record, tmp_path)
    assert path.read_bytes() == first
