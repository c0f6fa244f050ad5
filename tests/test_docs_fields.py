import re
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from cvgl_bench.answers import Answers
from cvgl_bench.cost import Cost
from cvgl_bench.manifest import SCHEMA, SetPage
from cvgl_bench.ranks_file import RunAnswers, write_ranks
from cvgl_bench.record import CellScore, DataCard, Distances, ModelCard, Provenance, Record
from cvgl_bench.scoring import CellFile, EmbeddingsIndex
from cvgl_bench.suite import Cell, Suite

PAGE = (Path(__file__).parents[1] / "docs/results.md").read_text()
CODE = re.compile(r"`([^`]+)`")


def fields_under(heading):
    """What the tables of a section name in their first column."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return {name for row in rows for name in CODE.findall(row)}


@pytest.mark.parametrize(
    ("heading", "models"),
    [
        ("record.json", (Record, ModelCard, DataCard, CellScore, Distances, Suite, Cost)),
        ("set.json", (SetPage,)),
        ("embeddings/index.json", (EmbeddingsIndex,)),
    ],
)
def test_every_field_of_a_json_file_is_on_the_page_and_no_other(heading, models):
    fields = {name for model in models for name in model.model_fields}
    assert fields_under(heading) == fields


def test_every_column_of_the_manifest_is_on_the_page_and_no_other():
    assert fields_under("manifest.parquet") == set(SCHEMA.names)


def test_every_column_of_the_ranks_is_on_the_page_and_no_other(tmp_path):
    one = np.ones(1)
    answers = Answers(
        np.ones(1, np.int64),
        np.array(["a"], object),
        one.astype(np.float32),
        one,
        np.array([["b", "c", "d", "e"]], object),
        true=np.array(["a"], object),
        shows_place=np.array([True]),
        precision=one,
    )
    unset = [name for name, value in vars(answers).items() if value is None]
    assert not unset, "a new kind of answer must be given here, and its column be on the page"
    data = DataCard(queries=1, references=5)
    card = ModelCard(name="mine")
    provenance = Provenance(suite="cvtown-c", model=card, data=data, date="2026-01-31")
    clean = Cell(view="full", corruption="clean", severity=0)
    write_ranks(tmp_path / "ranks.parquet", RunAnswers(provenance, ("q",), {clean: answers}))
    names = pq.read_schema(tmp_path / "ranks.parquet").names
    assert fields_under("ranks.parquet") == set(names)


def test_the_fields_of_a_file_in_the_index_are_named():
    section = PAGE.split("\n## embeddings/index.json\n")[1].split("\n## ")[0]
    assert set(CellFile.model_fields) <= set(CODE.findall(section))
