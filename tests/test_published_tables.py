import csv
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corruptions import CORRUPTIONS, FAMILIES
from cvgl_bench import published
from cvgl_bench.errors import RecordError
from cvgl_bench.published import MEAN, Published, averages, read_published, read_sources
from cvgl_bench.scores import mean_corruption_recall, relative_corruption_error
from cvgl_bench.suite import suite_names

FOLDER = Path(__file__).parents[1] / "leaderboards" / "published"
ROWS = read_published(FOLDER)

# Rows, and the sum of their values: a changed digit shows.
TABLES = {
    "ablations": (112, "9808.98"),
    "c-all": (160, "12737.11"),
    "clean": (34, "3008.33"),
    "cvact-val-c": (189, "12035.01"),
    "cvusa-c": (144, "7324.27"),
    "few-shot": (15, "1393.61"),
    "unknown-orientation": (65, "3486.65"),
}

DISAGREE = {
    ("OriCNN", "cvact-val-c"): ("28.65", "28.644375"),
    ("TransGeo", "cvact-val-c"): ("67.68", "67.67375"),
    ("SinGeo", "cvusa"): ("79.1", "79.175"),
}

HEADER = "method,data,corruption,view,metric,value,source,note"
GOOD = "SAFA,cvusa-c,snow,full,r1,19.32,site,"
SOURCES = "key,citation,where,kind\nsite,A paper,A page,project site\n"


def r1(method, data):
    """R@1 as fractions by corruption, as printed."""
    return {
        row.corruption: float(row.value) / 100
        for row in ROWS
        if (row.method, row.data, row.metric) == (method, data, "r1")
    }


def rce(printed, names):
    return relative_corruption_error(
        printed["clean"], mean_corruption_recall({name: printed[name] for name in names})
    )


def write(folder, *lines, sources=SOURCES):
    (folder / "sources.csv").write_text(sources, encoding="utf-8")
    (folder / "table.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def test_no_digit_has_changed():
    tables = {}
    for path in sorted(FOLDER.glob("*.csv")):
        if path.name != "sources.csv":
            with path.open(encoding="utf-8", newline="") as file:
                values = [Decimal(row["value"]) for row in csv.DictReader(file)]
            tables[path.stem] = (len(values), str(sum(values)))
    assert tables == TABLES
    assert len(ROWS) == sum(count for count, _ in tables.values())


def test_every_source_is_used():
    assert {row.source for row in ROWS} == set(read_sources(FOLDER))


def test_words_are_those_of_the_suites():
    suites = {name for name in published.DATA if name.endswith(("-c", "-c-all"))}
    assert suites <= set(suite_names())
    for row in ROWS:
        assert (row.corruption == "mixed") == row.data.endswith("-c-all")
        if row.corruption in {*CORRUPTIONS, MEAN}:
            assert row.data in {"cvusa-c", "cvact-val-c"}


def test_rows_of_a_corruption_table_are_whole():
    for data, methods in (("cvusa-c", 8), ("cvact-val-c", 10)):
        whole = {row.method for row in ROWS if row.data == data and row.corruption == "clean"}
        assert len(whole) == methods
        for method in whole:
            assert list(r1(method, data)) == ["clean", *CORRUPTIONS, MEAN]


def test_recall_grows_with_k():
    cells = {}
    for row in ROWS:
        cells.setdefault((*row.cell[:4], row.source), {})[row.metric] = float(row.value)
    four = [cell for cell in cells.values() if len(cell) == 4]
    assert len(four) == 14 * 3 - 2 + 11 * 2 + 5
    for cell in four:
        assert cell["r1"] < cell["r5"] < cell["r10"] < cell["r1p"]


def test_printed_averages_are_the_means_of_their_columns_but_for_three():
    computed = averages(ROWS)
    assert len(computed) == sum(MEAN in (row.corruption, row.view) for row in ROWS) == 26
    differ = {
        (average.method, average.data): (average.printed, str(average.recomputed))
        for average in computed
        if not average.agrees
    }
    assert differ == DISAGREE


@pytest.mark.parametrize("average", averages(ROWS), ids=lambda average: average.method)
def test_no_average_is_a_unit_of_its_last_digit_off(average):
    assert abs(average.difference) < Decimal(1).scaleb(Decimal(average.printed).as_tuple()[2])
    if average.data != "cvusa":
        # RPF averages four of the corruptions.
        assert average.columns == (4 if average.source == "rpf" else 16)
        assert abs(average.difference) <= Decimal("0.01")


def test_the_plain_mean_is_that_of_the_scores():
    for average in averages(ROWS):
        if average.columns == 16:
            printed = r1(average.method, average.data)
            mean = mean_corruption_recall({name: printed[name] for name in CORRUPTIONS})
            assert 100 * mean == pytest.approx(float(average.recomputed), abs=1e-9)


def test_safa_on_cvusa_c():
    printed = r1("SAFA", "cvusa-c")
    (average,) = [a for a in averages(ROWS) if (a.method, a.data) == ("SAFA", "cvusa-c")]
    assert average.printed == "50.52"
    assert average.recomputed == Decimal("50.51875")
    assert relative_corruption_error(printed["clean"], printed[MEAN]) == pytest.approx(
        0.4377, abs=5e-5
    )


@pytest.mark.parametrize(
    ("method", "data", "overall", "families"),
    [
        ("SAFA", "cvusa-c", 43.77, (37.85, 44.70, 63.96, 25.47)),
        ("L2LTR", "cvusa-c", 11.88, (12.46, 16.83, 12.01, 4.11)),
        ("TransGeo", "cvact-val-c", 20.33, (34.34, 16.30, 3.28, 25.12)),
        ("Sample4Geo", "cvact-val-c", 14.18, (6.57, 12.34, 24.97, 14.93)),
        ("MRGeo", "cvact-val-c", 7.60, (2.20, 8.03, 13.85, 7.66)),
    ],
)
def test_corruption_errors_follow_from_the_columns(method, data, overall, families):
    printed = r1(method, data)
    assert 100 * relative_corruption_error(printed["clean"], printed[MEAN]) == pytest.approx(
        overall, abs=0.0051
    )
    computed = [100 * rce(printed, names) for names in FAMILIES.values()]
    assert computed == pytest.approx(families, abs=0.0051)


def test_mrgeos_claimed_gain_is_not_that_of_its_rows():
    recall = {(row.method, row.data): float(row.value) for row in ROWS if row.metric == "r1"}
    sets = ("cvusa-c-all", "cvact-val-c-all", "cvact-test-c-all")
    gains = [recall["MRGeo", data] - recall["Sample4Geo", data] for data in sets]
    assert sum(gains) / 3 == pytest.approx(3.43, abs=0.005)
    assert "3.43" in (FOLDER / "README.md").read_text(encoding="utf-8")


def test_the_page_has_every_column_table_and_disagreement():
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    for column in Published.model_fields:
        assert f"| `{column}` |" in text, column
    for path in FOLDER.glob("*.csv"):
        assert path.name in text
    section = text.partition("## Averages")[2].partition("##")[0]
    _, *listed = [line for line in section.splitlines() if line.startswith("| ")]
    assert listed == [
        f"| {a.method} | {a.data} | {a.printed} | {a.recomputed} | {a.difference:+} |"
        for a in averages(ROWS)
        if not a.agrees
    ]


def test_a_good_table_is_read_and_an_average_without_columns_left_out(tmp_path):
    lonely = GOOD.replace("snow", MEAN)
    (row, mean) = read_published(write(tmp_path, HEADER, GOOD, lonely.replace("SAFA", "DSM")))
    assert (row.method, row.value, mean.corruption) == ("SAFA", "19.32", MEAN)
    assert averages([row, mean]) == ()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("19.32", "many", "'many' is no number in percent"),
        ("19.32", "", "'' is no number"),
        ("19.32", "nan", "'nan' is no number"),
        ("19.32", "-1", "'-1' is no number"),
        ("19.32", "1e1", "'1e1' is no number"),
        ("19.32", "~80.5", "'~80.5' is no number"),
        ("19.32", "١٩", "is no number"),
        ("19.32", "101", "101 is more than 100"),
        ("19.32", "100.01", "100.01 is more than 100"),
        ("site", "cite", "unknown source 'cite'. Did you mean 'site'"),
        ("snow", "snwo", "unknown corruption 'snwo'. Did you mean 'snow'"),
        ("cvusa-c", "cvusa_c", "unknown data 'cvusa_c'. Did you mean 'cvusa-c'"),
        ("full", "fov", "unknown view 'fov'"),
        ("full", "fov090", "view 'fov090' is spelled fov90"),
        (",r1,", ",r2,", "metric: Input should be 'r1'"),
        ("SAFA", "", "method: .*at least 1"),
        ("SAFA", "=1+1", "must be one line that begins with a letter"),
        ("SAFA", "<b>SAFA</b>", "must be one line"),
        ("SAFA", "SAFA|DSM", "must be one line"),
        ("SAFA", " SAFA", "must be one line"),
        ("SAFA", '"SA\nFA"', "must be one line"),
        ("SAFA", "SAFA\u202e", "must be one line"),
        ("SAFA", "SAFA\x1b[31m", "must be one line"),
        ("SAFA", "S" * 201, "at most 200"),
        ("SAFA", '"SAFA', "is no CSV"),
        ("SAFA,", "SAFA,SAFA,", "has 9 cells; there are 8 columns"),
        ("SAFA,", "", "has 7 cells; there are 8 columns"),
    ],
)
def test_a_broken_row_is_refused_in_one_sentence_with_its_line(tmp_path, old, new, message):
    other = GOOD.replace("snow", "fog")
    with pytest.raises(RecordError, match=message) as caught:
        read_published(write(tmp_path, HEADER, other, GOOD.replace(old, new, 1)))
    text = str(caught.value)
    assert text.startswith(f"{tmp_path / 'table.csv'}, line ")
    assert text.isprintable()
    assert text.endswith(".")
    assert not text.endswith("..")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([HEADER.replace("value,", ""), GOOD], "line 1 lacks 'value'"),
        ([HEADER + ",mood", GOOD], "line 1 has others"),
        ([GOOD], "line 1 lacks 'method'"),
        ([""], "line 1 lacks 'method'"),
        ([HEADER], "holds no published numbers"),
        ([HEADER, GOOD, GOOD], r"line 3: the same cell is at .*line 2 already"),
        ([HEADER, GOOD, ""], "line 3 has 0 cells"),
    ],
)
def test_a_broken_table_is_refused(tmp_path, lines, message):
    with pytest.raises(RecordError, match=message):
        read_published(write(tmp_path, *lines))


def test_broken_sources_are_refused(tmp_path):
    line = "site,A paper,A page,code\n"
    for sources, message in (
        (SOURCES + line, "line 3: the source site is there twice"),
        (SOURCES.replace("project site", "rumour"), "kind: Input should be 'paper'"),
        (SOURCES.replace("A paper", ""), "citation"),
        ("", "lacks 'key'"),
    ):
        with pytest.raises(RecordError, match=message):
            read_published(write(tmp_path, HEADER, GOOD, sources=sources))


def test_what_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(RecordError, match=r"cannot read .*sources.csv: No such file"):
        read_published(tmp_path)
    write(tmp_path, HEADER, GOOD)
    (tmp_path / "table.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(RecordError, match="is not UTF-8"):
        read_published(tmp_path)


@given(
    field=st.sampled_from(list(Published.model_fields)),
    text=st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=60),
)
def test_any_text_is_read_or_refused_with_its_line(tmp_path_factory, field, text):
    folder = write(tmp_path_factory.mktemp("hostile"), HEADER)
    row = dict(zip(Published.model_fields, GOOD.split(","), strict=True)) | {field: text}
    with (folder / "table.csv").open("a", encoding="utf-8", newline="") as file:
        csv.DictWriter(file, list(row)).writerow(row)
    try:
        (read,) = read_published(folder)
    except RecordError as error:
        refusal = str(error)
    else:
        assert getattr(read, field) == text
        return
    assert refusal.startswith(f"{folder / 'table.csv'}, line ")
    assert refusal.isprintable()
