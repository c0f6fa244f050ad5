import csv
import io
import re

import numpy as np
import pytest
from click.testing import CliRunner

from cvgl_bench import latex
from cvgl_bench.answers import Answers
from cvgl_bench.cli.report import command
from cvgl_bench.errors import RecordError
from cvgl_bench.ranks_file import RunAnswers, write_ranks
from cvgl_bench.record import DataCard, ModelCard, Provenance, make_record, write_record
from cvgl_bench.report import build_report
from cvgl_bench.report_columns import cell_frame, model_frame
from cvgl_bench.report_tables import (
    averages_table,
    corruptions_table,
    models_page,
    severity_tables,
    table_markdown,
)
from cvgl_bench.runs import Run
from cvgl_bench.suite import load_suite

# Queries found of 100: clean, codec_only, gaussian_noise 1 and 5, contrast 1 and 5.
GOOD, WORSE = (90, 88, 50, 10, 60, 40), (80, 79, 25, 5, 30, 20)


@pytest.fixture
def make(small_suite):
    """A function that makes a run whose first `found` queries are found in each cell."""

    def build(name="good", found=GOOD, *, suite=None, queries=100, cells=None, **provenance):
        suite = suite or small_suite(pairs=queries, mce_reference="good")
        chosen = list(suite.cells)[:cells]
        answers = {
            cell: Answers(np.where(np.arange(queries) < found[place % len(found)], 1, queries))
            for place, cell in enumerate(chosen)
        }
        fields = {
            "suite": suite,
            "fingerprint": suite.fingerprint,
            "model": ModelCard(name=name),
            "data": DataCard(queries=queries, references=queries, gallery_sha256="a" * 64),
            "date": "2026-01-31",
        }
        card = Provenance.model_validate(fields | provenance)
        ids = tuple(map(str, range(queries)))
        return Run(make_record(card, answers), RunAnswers(card, ids, answers))

    return build


def renamed(run, name):
    """The run under a name that no record may have."""
    card = run.record.model.model_copy(update={"name": name})
    return Run(run.record.model_copy(update={"model": card}), run.answers)


def rows(frame):
    return list(csv.DictReader(io.StringIO(frame.to_csv())))


def test_averages_are_those_worked_out_by_hand(make):
    report = build_report([make("worse", WORSE), make()], with_intervals=False)
    first, second = rows(model_frame(report))
    assert (first["model"], second["model"]) == ("good", "worse")
    assert float(first["r1_clean"]) == pytest.approx(90)
    assert float(first["r1_gaussian_noise"]) == pytest.approx(30)
    assert float(first["r1_contrast"]) == pytest.approx(50)
    assert float(first["r1_cor"]) == pytest.approx(40)
    assert float(first["rce"]) == pytest.approx(100 * 50 / 90)
    assert float(second["mce"]) == pytest.approx(100 * (0.75 / 0.5 + 0.85 / 0.7) / 2)
    lost = (0.80 - 0.15) / (0.90 - 0.30), (0.80 - 0.25) / (0.90 - 0.50)
    assert float(second["relative_mce"]) == pytest.approx(100 * sum(lost) / 2)
    # Heights 90, 55 and 25 at the severities 0, 1 and 5; half of 90 lies a third of the way down.
    assert float(first["auc"]) == pytest.approx(((90 + 55) / 2 + 4 * (55 + 25) / 2) / 5)
    assert float(first["breaking_severity"]) == pytest.approx(1 + 4 * 10 / 30)
    assert (first["mce_reference"], first["marks"]) == ("good", "")
    assert (first["place_best"], first["place_worst"]) == ("1", "1")
    assert (second["place_best"], second["place_worst"]) == ("2", "2")


def test_columns_stand_in_the_order_of_papers(make):
    suite = load_suite("cvtown-c").model_copy(update={"pairs": 20})
    runs = [make("polar", (9, 9, 5), suite=suite, queries=20)]
    header = list(model_frame(build_report(runs, with_intervals=False)).columns)
    corruptions = [f"r1_{name}" for name in suite.corruptions]
    assert header[: 1 + len(corruptions)] == ["r1_clean", *corruptions]
    assert header[1 + len(corruptions) :] == [
        *("r1_cor", "rce", "rce_weather", "rce_blur", "rce_noise", "rce_digital"),
        *("mce", "relative_mce", "auc", "breaking_severity"),
        *("place_best", "place_worst", "mce_reference", "marks"),
    ]


def test_a_cell_has_its_recalls_in_percent_and_metres_where_they_are_known(make):
    run = make()
    (clean, *_, last) = rows(cell_frame(build_report([run], with_intervals=False)))
    assert (last["corruption"], last["severity"], float(last["r1"])) == ("contrast", "5", 40)
    assert (float(clean["r1"]), float(clean["r5"]), float(clean["r1p"])) == (90, 90, 90)
    assert not any(name.endswith("_m") for name in clean)
    metres = np.where(np.arange(100) < 90, 1.0, 30.0)
    cells = {cell: Answers(each.ranks, metres=metres) for cell, each in run.answers.cells.items()}
    known = Run(make_record(run.answers.provenance, cells), run.answers)
    (clean, *_) = rows(cell_frame(build_report([known], with_intervals=False)))
    assert (float(clean["median_m"]), float(clean["within_5_m"])) == (1, 90)


def test_intervals_stand_in_brackets_and_in_columns_of_their_own(make):
    report = build_report([make(), make("worse", WORSE)])
    text = averages_table(report, "full").texts.loc["good", "Clean"]
    found = re.fullmatch(r"90\.00 \[(\d+\.\d), (\d+\.\d)\]", text)
    first = rows(model_frame(report))[0]
    low, high = (float(first[f"r1_clean_{end}"]) for end in ("low", "high"))
    assert (float(found[1]), float(found[2])) == (round(low, 1), round(high, 1))
    assert 80 < low < 90 < high < 100
    assert "breaking_severity_low" not in first
    bare = model_frame(build_report([make()], with_intervals=False))
    assert not any(name.endswith("_low") for name in bare.columns)


def test_what_is_not_defined_is_a_dash(make):
    seldom = averages_table(build_report([make(found=(1, 1, 1, 1, 1, 1))]), "full").texts.loc[
        "good"
    ]
    assert seldom["RCE"] == "0.00 [-]"
    never = averages_table(build_report([make(found=(0,))]), "full").texts.loc["good"]
    assert (never["RCE"], never["breaking severity"]) == ("-", "-")


def test_a_curve_that_never_halves_breaks_above_the_last_severity(make):
    table = averages_table(build_report([make(found=(90, 90, 80, 80, 80, 80))]), "full")
    assert table.texts.loc["good", "breaking severity"] == ">5"


def test_an_incomplete_run_has_cells_but_no_averages_and_no_place(make):
    part = make("part", cells=5)
    report = build_report([part, make()], with_intervals=False)
    table = averages_table(report, "full")
    row = table.texts.loc["part*"]
    assert (row["Clean"], row["R@1_cor"], row["RCE"], row["place"]) == ("90.00", "-", "-", "-")
    assert table.notes == ("part*: INCOMPLETE: 1 of the suite's 6 cells are missing.",)
    assert corruptions_table(report, "full").texts.loc["part*", "Gauss"] == "30.00"
    assert severity_tables(report, "full")[1].texts.loc["part*", "Contr"] == "-"
    assert "INCOMPLETE" in rows(model_frame(report))[1]["marks"]


def test_degenerate_and_partial_runs_are_marked_in_every_form(make):
    runs = [make(), make("flat", degenerate="all the same", not_comparable=("25 of 100",))]
    report = build_report(runs, with_intervals=False)
    for text in (models_page(report), latex.models_file(report)):
        assert "DEGENERATE: all the same." in text
        assert "NOT COMPARABLE: 25 of 100." in text


def test_one_run_alone_is_first_and_not_in_bold(make):
    report = build_report([make()])
    assert averages_table(report, "full").texts.loc["good", "place"] == "1"
    assert "textbf" not in latex.models_file(report)


def test_the_best_of_a_column_is_bold_whichever_way_is_better(make):
    runs = [make(), make("worse", WORSE), make("steady", (50, 50, 50, 50, 50, 50))]
    report = build_report(runs, with_intervals=False)
    best = averages_table(report, "full").best
    assert best["Clean"].to_dict() == {"steady": False, "good": True, "worse": False}
    assert best["RCE"].to_dict() == {"steady": True, "good": False, "worse": False}
    text = latex.models_file(report)
    assert re.search(r"^good & \\textbf\{90\.00\} & 40\.00 & ", text, re.M)
    assert re.search(r"^steady & 50\.00 & \\textbf\{50\.00\} & \\textbf\{0\.00\}", text, re.M)


def test_a_model_at_chance_is_never_best_at_what_it_loses(make):
    runs = [make(), make("worse", WORSE), make("guesses", (2, 2, 2, 2, 2, 2))]
    table = averages_table(build_report(runs, with_intervals=False), "full")
    assert table.texts.loc["guesses", "RCE"] == "0.00"
    for title in ("RCE", "relative mCE", "breaking severity"):
        assert not table.best.loc["guesses", title]
        assert table.best[title].any()
    assert any("guesses finds no more than chance" in note for note in table.notes)
    assert models_page(build_report(runs)).count("CHANCE: it finds no more than chance") == 1


def test_numbers_that_print_alike_are_best_together_and_intervals_are_not_bold(make):
    report = build_report([make(), make("twin")])
    assert averages_table(report, "full").best["Clean"].all()
    assert re.search(
        r"^good & \\textbf\{90\.00\} \[\d\d\.\d, \d\d\.\d\] & ", latex.models_file(report), re.M
    )
    assert "1--2" in latex.models_file(report)


def test_a_negative_number_has_a_minus_and_a_missing_one_a_dash(make):
    runs = [make(found=(50, 50, 60, 60, 60, 60)), make("part", cells=5)]
    text = latex.models_file(build_report(runs, with_intervals=False))
    assert "$-$20.00" in text
    assert "part{*} & \\textbf{90.00} & -- & --" in text


@pytest.mark.parametrize(
    ("name", "printed"),
    [
        ("a_b", r"a\_b"),
        ("50%&$#", r"50\%\&\$\#"),
        ("{x}~^", r"\{x\}\textasciitilde{}\textasciicircum{}"),
        ("\\input", r"\textbackslash{}input"),
        ("<a>", "$<$a$>$"),
        ("[x]*", "{[}x]{*}"),
        ("a--b", "a-{}-b"),
        ("模\n", "? "),
    ],
)
def test_latex_prints_names_as_they_are(name, printed):
    assert latex.escape(name) == printed


@pytest.mark.parametrize("name", ["a|b", "<script>", "x`y`", "a\nb", "[a](b)", "$x$", "a\\|b"])
def test_a_hostile_name_breaks_no_table(make, name):
    report = build_report([renamed(make(), name), make("worse", WORSE)], with_intervals=False)
    lines = table_markdown(averages_table(report, "full")).splitlines()
    assert len(lines) == 4
    assert len({len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) for line in lines}) == 1
    assert "<script" not in models_page(report).replace("\\<", "")
    text = latex.models_file(report)
    for line in text.splitlines():
        if line.endswith("\\\\"):
            assert len(re.findall(r"(?<!\\)&", line)) in (6, 3)
    assert text.count("{") - text.count("\\{") == text.count("}") - text.count("\\}")


def test_a_wide_latex_table_becomes_several_that_hold_every_column_once(make):
    suite = load_suite("cvtown-c").model_copy(update={"pairs": 20})
    runs = [make(name, (9, 9, 5), suite=suite, queries=20) for name in ("polar", "x" * 60)]
    for with_intervals in (False, True):
        text = latex.models_file(build_report(runs, with_intervals=with_intervals))
        heads = re.findall(r"^model & (.*) \\\\$", text, re.M)
        found = [head for line in heads for head in line.split(" & ")]
        assert found.count("Snow") == found.count("JPEG") == found.count("place") == 1
        assert len(found) == 12 + 17
        assert (len(heads) > 4) == with_intervals
    assert len(set(re.findall(r"\\label\{(.*)\}", text))) == text.count("\\begin{table*}")
    assert all(
        text.count(f"\\begin{{{each}}}") == text.count(f"\\end{{{each}}}")
        for each in ("tabular", "table*")
    )


def test_every_view_has_tables_and_a_run_without_it_is_said_to_have_none(make, small_suite):
    suite = small_suite(pairs=100, views=["full", "fov90"], mce_reference="good")
    runs = [
        make(suite=suite, found=(*GOOD, 40, 20, 10, 10, 10)),
        make("worse", WORSE, suite=suite, cells=6),
    ]
    report = build_report(runs, with_intervals=False)
    assert report.views == ("full", "fov90")
    assert [entry.run.name for entry in report.of_view("fov90")] == ["good"]
    page = models_page(report)
    assert "view fov90" in page
    assert "worse has no view fov90." in page
    only = build_report(runs, views=["fov90"], with_intervals=False)
    assert {row["view"] for row in rows(model_frame(only))} == {"fov90"}
    assert float(rows(model_frame(only))[0]["r1_clean"]) == 40


def test_a_reference_without_the_view_gives_no_mce_there(make, small_suite):
    suite = small_suite(pairs=100, views=["full", "fov90"], mce_reference="good")
    runs = [make(suite=suite, cells=6), make("worse", (*WORSE, 9, 9, 9, 9, 9), suite=suite)]
    found = {
        (row["model"], row["view"]): row["mce"]
        for row in rows(model_frame(build_report(runs, with_intervals=False)))
    }
    assert found["worse", "full"]
    assert not found["worse", "fov90"]


def test_a_mixed_suite_has_three_averages_and_no_corruptions(make, small_suite):
    suite = small_suite(pairs=100, form="mixed")
    report = build_report([make(suite=suite, found=(80, 60))], with_intervals=False)
    table = averages_table(report, "full")
    assert table.texts.loc["good"].to_dict() == {
        "Clean": "80.00",
        "R@1_cor": "60.00",
        "RCE": "25.00",
        "place": "-",
    }
    assert corruptions_table(report, "full") is None
    assert severity_tables(report, "full") == []


def test_one_query_has_no_intervals(make):
    report = build_report([make(queries=1, found=(1, 1, 1, 0, 1, 0))])
    assert averages_table(report, "full").texts.loc["good", "Clean"] == "100.00 [-]"


def test_few_queries_make_a_report(make):
    runs = [
        make(queries=3, found=(3, 3, 2, 0, 1, 1)),
        make("worse", queries=3, found=(1, 1, 0, 0, 0, 0)),
    ]
    assert models_page(build_report(runs)).count("[") > 10


def test_the_reference_is_the_suites_if_it_is_there_or_the_one_that_is_named(make):
    runs = [make(), make("worse", WORSE)]
    assert build_report(runs, with_intervals=False).reference == "good"
    assert build_report(runs, reference="worse", with_intervals=False).reference == "worse"
    alone = build_report(runs[1:], with_intervals=False)
    assert alone.reference == ""
    assert not any("mCE" in title for title in averages_table(alone, "full").texts.columns)


def test_an_unknown_reference_or_view_and_no_run_are_refused(make):
    with pytest.raises(RecordError, match=r"unknown reference 'goof'. Did you mean 'good'"):
        build_report([make()], reference="goof")
    with pytest.raises(RecordError, match="unknown view 'fov90'"):
        build_report([make()], views=["fov90"])
    with pytest.raises(RecordError, match="at least one run"):
        build_report([])


@pytest.fixture
def folders(make, tmp_path):
    """Two runs on disk."""
    places = []
    for run in (make(), make("worse", WORSE)):
        places.append(tmp_path / run.name)
        write_record(places[-1] / "record.json", run.record)
        write_ranks(places[-1] / "ranks.parquet", run.answers)
    return places


def invoke(*arguments):
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def test_the_command_writes_the_same_bytes_twice_and_prints_the_averages(folders, tmp_path):
    contents = []
    for out in (tmp_path / "one", tmp_path / "two"):
        result = invoke(*folders, "--out", out)
        assert result.exit_code == 0, result.output
        contents.append({path.relative_to(out): path.read_bytes() for path in out.rglob("*.*")})
    assert contents[0] == contents[1]
    names = {path.as_posix() for path in contents[0]}
    tables = {f"{what}.{form}" for what in ("models", "cells") for form in ("csv", "md", "tex")}
    assert tables < names
    assert {f"full/severity.{form}" for form in ("svg", "pdf", "png")} < names
    assert re.search(r"\| good +\| +90\.00 \|", result.output)
    assert "full/latency is left out" in result.output
    assert "written to" in result.output


def test_bad_input_leaves_nothing_behind(folders, tmp_path):
    out = tmp_path / "out"
    for arguments in (["--reference", "nobody"], ["--view", "fov90"], [folders[0]], [tmp_path]):
        result = invoke(*folders, *arguments, "--out", out)
        assert isinstance(result.exception, RecordError)
        assert "\n" not in str(result.exception)
    assert invoke(*folders, "--out", out, "--formats", "gif").exit_code == 2
    assert not out.exists()


def test_tables_alone_need_no_pictures(folders, tmp_path):
    result = invoke(*folders, "--out", tmp_path / "out", "--formats", "none", "--no-intervals")
    assert result.exit_code == 0
    tables = {f"{name}.{form}" for name in ("models", "cells") for form in ("csv", "md", "tex")}
    assert {path.name for path in (tmp_path / "out").iterdir()} == tables | {"consistency.csv"}
    assert "trust.csv leaves" in result.output, "these ranks were made elsewhere, without margins"
