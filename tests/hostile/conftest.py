"""An honest submission, a leaderboard for it, and the tools to make it hostile."""

import io
import json
import re
import time
import zipfile
from dataclasses import replace
from unittest.mock import ANY

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cvgl_bench import leaderboard
from cvgl_bench.answers import Answers
from cvgl_bench.board_folder import RECORDS
from cvgl_bench.files import sha256
from cvgl_bench.ranks_file import RunAnswers, write_ranks
from cvgl_bench.record import DataCard, ModelCard, Provenance, make_record, record_json
from cvgl_bench.runs import Run
from cvgl_bench.submission import table, verify
from cvgl_bench.submission.archive import Members, pack

QUERIES = 100
IDS = np.array([f"{number:07d}" for number in range(QUERIES)], dtype=object)
# How many queries are found in clean, codec_only, gaussian_noise 1 and 5, contrast 1 and 5.
FOUND = (90, 88, 70, 40, 75, 50)


class Forge:
    """Makes runs and submissions of one small suite.

    Attributes:
        suite: the benchmark.
        board: a leaderboards folder with one run of it, `there`.
    """

    def __init__(self, suite, board, scratch):
        self.suite, self.board, self._scratch = suite, board, scratch

    def answers(self, found=FOUND, seed=1):
        """Answers by cell; in each, the first so many of the queries found their tiles."""
        order = np.random.default_rng(seed).permutation(QUERIES)
        return dict(
            zip(self.suite.cells, (self._cell(order < count) for count in found), strict=True)
        )

    def _cell(self, hits):
        number = np.arange(QUERIES)
        first = np.where(hits, number, (number + 1) % QUERIES)
        return Answers(
            ranks=np.where(hits, 1, 7 + number % 20),
            found=IDS[first],
            margins=np.where(hits, 0.25, 0.01).astype(np.float32),
            metres=np.where(hits, 1.5, 60.0 + number),
            runners_up=np.stack([IDS[(number + step) % QUERIES] for step in (2, 3, 4, 5)], axis=1),
        )

    def provenance(self, **changes):
        """Provenance of an honest run."""
        fields = {
            "suite": self.suite,
            "fingerprint": self.suite.fingerprint,
            "model": ModelCard(name="mine", weights_sha256="c" * 64, remarks="Trained on CVTown."),
            "data": DataCard(
                queries=QUERIES,
                references=QUERIES,
                ids_sha256=sha256("\n".join(IDS).encode()),
                gallery_sha256="a" * 64,
            ),
            "environment": {"device": "cpu"},
            "date": "2026-01-31",
        }
        return Provenance.model_validate(fields | changes)

    def run(self, answers=None, ids=tuple(IDS), **changes):
        """A run whose record follows from its answers."""
        provenance = self.provenance(**changes)
        cells = self.answers() if answers is None else answers
        return Run(make_record(provenance, cells), RunAnswers(provenance, tuple(ids), cells))

    def folder(self, name="mine", run=None):
        """A run's folder, as evaluate writes it."""
        run = run or self.run()
        folder = self._scratch / name
        write_ranks(folder / "ranks.parquet", run.answers)
        (folder / "record.json").write_text(record_json(run.record))
        return folder

    def page(self, run=None):
        """The record as JSON has it, to be changed."""
        return json.loads(record_json((run or self.run()).record))

    def ranks(self, run=None):
        """The bytes of a submission's ranks.parquet."""
        return table.submitted_ranks(self.folder("ranks", run) / "ranks.parquet")

    def rows(self, run=None):
        """The same as a table, to be changed."""
        return pq.read_table(io.BytesIO(self.ranks(run)))

    def header(self, run=None):
        """The provenance in ranks.parquet."""
        return (run or self.run()).answers.provenance.model_dump_json().encode()

    def pack(self, *, run=None, page=None, ranks=None):
        """A submission of a run, with another record (bytes or page) or ranks (bytes or table)."""
        run = run or self.run()
        if page is None or isinstance(page, dict):
            page = json.dumps(page or self.page(run)).encode()
        if ranks is None or isinstance(ranks, pa.Table):
            ranks = table.encode(self.rows(run) if ranks is None else ranks, self.header(run))
        return pack(Members(page, ranks))

    def changed(self, cell, **fields):
        """Answers in which one cell has other fields; `cell` is its place."""
        answers = self.answers()
        at = self.suite.cells[cell]
        answers[at] = replace(answers[at], **fields)
        return answers

    def zip(self, members, **options):
        """A zip of any members: (name or ZipInfo, bytes)."""
        sink = io.BytesIO()
        with zipfile.ZipFile(sink, "w", **options) as archive:
            for name, data in members:
                archive.writestr(name, data)
        return sink.getvalue()

    def verify(self, data):
        """The report on a submission."""
        return verify(data, "mine.zip", self.board)[0]

    def refuses(self, data, check, message):
        """Assert that one check fails, this one, with this message, and at once."""
        began = time.process_time()
        report = self.verify(data)
        assert time.process_time() - began < 2
        assert [(each.name, each.text) for each in report.failed] == [(check, ANY)], report.text
        assert re.search(message, report.failed[0].text), report.text
        assert not report.accepted
        assert report.text.replace("\n", "").isascii()
        assert report.text.replace("\n", "").isprintable()


@pytest.fixture(scope="session")
def boards(tmp_path_factory):
    """Where the one leaderboard is; no test may change it."""
    return tmp_path_factory.mktemp("boards")


@pytest.fixture
def forge(small_suite, boards, tmp_path):
    """A forge beside a leaderboard that holds one honest run."""
    forge = Forge(small_suite(pairs=QUERIES), boards, tmp_path)
    if not (boards / RECORDS).exists():
        answers = forge.answers((80, 79, 60, 30, 66, 41), seed=2)
        leaderboard.add_runs(boards, [forge.run(answers, model=ModelCard(name="there"))])
    return forge
