"""How a comparison and other tables are printed."""

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from cvgl_bench.answers import Answers
from cvgl_bench.cli import main
from cvgl_bench.pairing import compare
from cvgl_bench.ranks_file import RunAnswers, write_ranks
from cvgl_bench.record import DataCard, ModelCard, Provenance, make_record, write_record
from cvgl_bench.runs import read_runs
from cvgl_bench.tables import as_markdown, p_text

QUERIES = 120


@pytest.fixture
def write_run(small_suite, tmp_path):
    """A function that writes a run in which some queries are found, fewer from cell to cell."""

    def write(name, found, seed=0):
        suite = small_suite(pairs=QUERIES)
        rng = np.random.default_rng(seed)
        cells = {cell: Answers(np.where(rng.random(QUERIES) < found, 1, 7)) for cell in suite.cells}
        provenance = Provenance(
            suite=suite,
            fingerprint=suite.fingerprint,
            model=ModelCard(name=name),
            data=DataCard(queries=QUERIES, references=QUERIES, gallery_sha256="a" * 64),
            date="2026-01-31",
        )
        ids = tuple(f"{number:04d}" for number in range(QUERIES))
        write_ranks(tmp_path / name / "ranks.parquet", RunAnswers(provenance, ids, cells))
        write_record(tmp_path / name / "record.json", make_record(provenance, cells))
        return tmp_path / name

    return write


def printed_p(output):
    """The last two columns of the table of cells."""
    rows = [line.strip("|").split("|") for line in output.splitlines() if line.startswith("| ")]
    start = next(place for place, row in enumerate(rows) if row[-1].strip() == "p adjusted")
    return [[each.strip() for each in row[-2:]] for row in rows[start + 1 :] if len(row) == 8]


@pytest.mark.parametrize("shares", [(0.9, 0.3), (0.6, 0.5)])
def test_a_p_is_printed_to_three_digits_and_written_whole(write_run, tmp_path, shares):
    folders = [write_run(f"run{place}", share, place) for place, share in enumerate(shares)]
    out = tmp_path / "cells.csv"
    done = CliRunner().invoke(main, ["compare", *map(str, folders), "--out", str(out)])
    assert done.exit_code == 0, done.output
    one, other = read_runs(folders)
    comparison = compare(one.sample("full"), other.sample("full"))
    shown = printed_p(done.output)
    assert shown == [[p_text(each.p), p_text(each.adjusted)] for each in comparison.cells.values()]
    assert any(text not in ("<0.001", "1") for row in shown for text in row) == (shares[1] == 0.5)
    assert "p 0.00" not in done.output
    assert not {"0.00", "0"} & {text for row in shown for text in row}
    written = pd.read_csv(out, dtype=str)  # pandas 2 reads a number's last digit as it likes
    assert [float(p) for p in written["p"]] == [each.p for each in comparison.cells.values()]
    words = "p < 0.001" if comparison.p < 0.001 else f"p = {comparison.p:.3g}"
    assert f"({words}, paired t-test over queries)" in done.output


@given(st.floats(0, 1))
def test_a_p_is_never_printed_as_nothing(p):
    text = p_text(p)
    if p < 0.001:
        assert text == "<0.001"
    else:
        assert float(text) == pytest.approx(p, rel=0.006)
        assert len(text.removeprefix("0.").lstrip("0")) <= 5


def test_a_name_that_looks_like_a_number_is_printed_as_it_is():
    frame = pd.DataFrame(
        {"view": ["full", "1e3"], "R@1": [12.345, None], "queries": [3, 4], "p": [0.5, 1e-9]},
        index=pd.Index(["1e5", "007"], name="model"),
    )
    lines = as_markdown(frame, ["p"]).splitlines()
    cells = [[each.strip() for each in line.strip("|").split("|")] for line in lines]
    assert cells[0] == ["model", "view", "R@1", "queries", "p"]
    assert cells[2:] == [["1e5", "full", "12.35", "3", "0.5"], ["007", "1e3", "-", "4", "<0.001"]]
    assert [side.endswith(":") for side in cells[1]] == [False, False, True, True, True]
