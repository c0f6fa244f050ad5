import csv
import io
import itertools
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from filelock import FileLock

from cvgl_bench import board_folder, leaderboard
from cvgl_bench.answers import Answers
from cvgl_bench.cli import main
from cvgl_bench.errors import RecordError
from cvgl_bench.ranks_file import RunAnswers
from cvgl_bench.record import DataCard, ModelCard, Provenance, make_record, record_json
from cvgl_bench.runs import Run


@pytest.fixture
def make(small_suite):
    """A function that makes a run whose first `found` of 100 queries are found in each cell."""

    def build(name="good", found=(90, 88, 50, 10, 60, 40), suite=None, **provenance):
        suite = suite or small_suite(pairs=100, mce_reference="good")
        ranks = {
            cell: Answers(np.where(np.arange(100) < count, 1, 50))
            for cell, count in zip(suite.cells, itertools.cycle(found), strict=False)
        }
        fields = {
            "suite": suite,
            "fingerprint": suite.fingerprint,
            "model": ModelCard(name=name),
            "data": DataCard(queries=100, references=100, gallery_sha256="a" * 64),
            "date": "2026-01-31",
        }
        card = Provenance.model_validate(fields | provenance)
        ids = tuple(f"{number:03d}" for number in range(100))
        return Run(make_record(card, ranks), RunAnswers(card, ids, ranks))

    return build


def changed(run, **fields):
    """The run with other facts in its record."""
    return replace(run, record=run.record.model_copy(update=fields))


def rows(path):
    return list(csv.DictReader(io.StringIO(path.read_text())))


def test_a_table_has_a_row_a_model_best_first_in_percent(make, tmp_path):
    worse = make("worse", (80, 79, 25, 5, 30, 20))
    leaderboard.add_runs(tmp_path, [worse, make()])
    (path,) = leaderboard.write_derived(tmp_path)
    assert path == tmp_path / "small-c-1.csv"
    first, second = rows(path)
    assert (first["model"], second["model"]) == ("good", "worse")
    assert (first["r1_clean"], first["r1_cor"], first["rce"]) == ("90.00", "40.00", "55.56")
    assert (first["r1_codec"], first["profile"], first["codec"]) == ("88.00", "standard", "pillow")
    assert (first["mce"], first["mce_reference"]) == ("100.00", "good")
    # contrast: errors 75 % and 50 % against 55 %; noise: 85 % against 70 %
    assert float(second["mce"]) == pytest.approx(100 * (0.75 / 0.5 + 0.85 / 0.7) / 2, abs=0.01)
    assert (first["r1_gaussian_noise"], first["r1_contrast"]) == ("30.00", "50.00")
    assert first["status"] == "measured"


def test_without_the_reference_there_is_no_mce(make, tmp_path):
    leaderboard.add_runs(tmp_path, [make("other")])
    (row,) = rows(leaderboard.write_derived(tmp_path)[0])
    assert (row["mce"], row["mce_reference"]) == ("", "")


def test_publishing_twice_changes_no_byte_and_adds_no_row(make, tmp_path):
    leaderboard.add_runs(tmp_path, [make(), make("worse")])
    (path,) = leaderboard.write_derived(tmp_path)
    before = path.read_bytes()
    leaderboard.add_runs(tmp_path, [make("worse"), make()])
    leaderboard.write_derived(tmp_path)
    assert path.read_bytes() == before


def test_check_finds_every_difference(make, tmp_path):
    leaderboard.add_runs(tmp_path, [make()])
    assert leaderboard.check(tmp_path) == [f"{tmp_path / 'small-c-1.csv'} is missing"]
    (path,) = leaderboard.write_derived(tmp_path)
    assert leaderboard.check(tmp_path) == []
    path.write_text(path.read_text().replace("90.00", "91.00"))
    (tmp_path / "invented-1.csv").write_text("model\n")
    assert len(leaderboard.check(tmp_path)) == 2


def test_unfit_records_are_refused_and_none_of_the_others_is_added(make, small_suite, tmp_path):
    good = make()
    other = make("other")
    lacking = changed(other, cells=other.record.cells[:-1])
    unfit = {
        "not comparable": make("partial", not_comparable=("25 queries where x has 100",)),
        "every query": make("constant", degenerate="every query embedding is the same"),
        "lacks 1 of": lacking,
        "fingerprint": make("old", fingerprint="0" * 64),
        "25 queries where small-c has 100": changed(
            other, data=DataCard(queries=25, references=100)
        ),
        "not measured": changed(other, status="unverified"),
    }
    for message, run in unfit.items():
        with pytest.raises(RecordError, match=message):
            leaderboard.add_runs(tmp_path, [good, run])
    assert not (tmp_path / "records").exists()


def test_a_record_with_a_known_suites_name_must_carry_the_known_suite(make, tmp_path):
    named = make().record.suite.model_copy(update={"name": "cvtown-c"})
    forged = changed(make("forged", suite=named), fingerprint=named.fingerprint)
    with pytest.raises(RecordError, match="the suite that it names has"):
        leaderboard.add_runs(tmp_path, [forged])


def test_a_record_that_does_not_fit_the_others_leaves_them_as_they_are(make, tmp_path):
    leaderboard.add_runs(tmp_path, [make(), make("worse")])
    other = DataCard(queries=100, references=100, gallery_sha256="b" * 64)
    with pytest.raises(RecordError, match="not of the same suite and pictures"):
        leaderboard.add_runs(tmp_path, [make(data=other)])
    leaderboard.write_derived(tmp_path)
    assert leaderboard.check(tmp_path) == []


def test_a_run_of_other_queries_is_refused(make, tmp_path):
    other = make("other")
    ids = tuple(reversed(other.answers.ids))
    with pytest.raises(RecordError, match="other and good were asked other queries"):
        leaderboard.add_runs(
            tmp_path, [make(), replace(other, answers=replace(other.answers, ids=ids))]
        )


def test_records_of_two_profiles_never_share_a_table(make, small_suite, tmp_path):
    """Not even if someone gives both forms of a suite one name and version."""
    published = make("worse", suite=small_suite(pairs=100, profile="published"))
    standard = make(suite=small_suite(pairs=100))
    with pytest.raises(RecordError, match=r"profile published.*profile standard"):
        leaderboard.add_runs(tmp_path, [standard, published])
    assert not (tmp_path / "records").exists()


def test_an_empty_folder_is_nothing_to_check(tmp_path):
    with pytest.raises(RecordError, match="holds no runs"):
        leaderboard.check(tmp_path / "absent")


def test_a_record_in_another_ones_place_is_refused(make, tmp_path):
    (path,) = leaderboard.add_runs(tmp_path, [make()])
    path.rename(path.with_name("better"))
    with pytest.raises(RecordError, match="wrong place"):
        leaderboard.derive(tmp_path)


def test_a_forged_record_does_not_follow_from_its_ranks(make, tmp_path):
    (path,) = leaderboard.add_runs(tmp_path, [make()])
    fields = json.loads(record_json(make().record))
    fields["cells"][0] |= {"r1": 0.97, "r5": 0.97, "r10": 0.97}
    (path / "record.json").write_text(json.dumps(fields))
    with pytest.raises(
        RecordError,
        match=r"from its ranks: r1 of clean is 0\.97 in the record",
    ):
        leaderboard.derive(tmp_path)


def test_other_weights_of_a_model_are_another_row(make, tmp_path):
    first, second = (ModelCard(name="net", weights_sha256=letter * 64) for letter in "ab")
    for _ in range(2):
        leaderboard.add_runs(tmp_path, [make(model=first), make(model=second), make()])
    (path,) = leaderboard.write_derived(tmp_path)
    keys = [(row["model"], row["weights_sha256"][:1]) for row in rows(path)]
    assert sorted(keys) == [("good", ""), ("net", "a"), ("net", "b")]
    (board,) = leaderboard.read_boards(tmp_path)
    assert list(board.runs) == ["good", "net-aaaaaaaaaaaa", "net-bbbbbbbbbbbb"]
    assert board.reference == "good"


def test_the_shipped_leaderboards_follow_from_their_records():
    folder = Path(__file__).parents[1] / "leaderboards"
    assert leaderboard.derive(folder)
    assert leaderboard.check(folder) == []


def test_every_column_is_described(make, tmp_path):
    leaderboard.add_runs(tmp_path, [make()])
    (path,) = leaderboard.write_derived(tmp_path)
    text = (Path(__file__).parents[1] / "leaderboards" / "README.md").read_text()
    for column in rows(path)[0]:
        if not column.startswith(("r1_gaussian", "r1_contrast")):
            assert f"`{column}`" in text, column


def tampered(path, change):
    fields = json.loads(path.read_text())
    change(fields)
    path.write_text(json.dumps(fields))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda page: page["cells"][0].update(r5=1.0, r10=1.0), "r5 of clean is 1 in the record"),
        (lambda page: page["cells"][0].update(r10=1.0), "r10 of clean is 1 in the record"),
        (lambda page: page["cells"][0].update(r1p=0.99), "r1p of clean is 0.99 in the record"),
        (lambda page: page["cells"][0]["metres"].update(median=0), "median of clean is 0 in the"),
        (lambda page: page["cells"][0].update(metres=None), "metres.*there in the ranks alone"),
        (lambda page: page["model"].update(remarks="anything"), "differ in 'model'"),
        (lambda page: page["environment"].update(ground_ms_per_image="0"), "in 'environment'"),
        (lambda page: page.update(date="2031-01-01"), "differ in 'date'"),
        (lambda page: page.update(status="unverified"), "differ in 'status'"),
        (lambda page: page["data"].update(ids_sha256="0" * 64), "differ in 'data'"),
    ],
)
def test_check_believes_no_field_of_a_record(make, tmp_path, change, message):
    run = make()
    cells = {
        cell: replace(each, metres=np.where(each.ranks == 1, 1.5, 70.0))
        for cell, each in run.answers.cells.items()
    }
    answers = replace(run.answers, cells=cells)
    run = Run(make_record(answers.provenance, cells), answers)
    (path,) = leaderboard.add_runs(tmp_path, [run])
    leaderboard.write_derived(tmp_path)
    assert leaderboard.check(tmp_path) == []
    tampered(path / "record.json", change)
    with pytest.raises(RecordError, match=f"does not follow from its ranks: .*{message}"):
        leaderboard.check(tmp_path)


class Killed(BaseException):
    """As if the process ended here."""


@pytest.mark.parametrize("known", [False, True])
def test_a_kill_between_ranks_and_record_leaves_the_board_as_it_was(
    make, tmp_path, monkeypatch, known
):
    leaderboard.add_runs(tmp_path, [make("worse"), make()] if known else [make("worse")])
    leaderboard.write_derived(tmp_path)

    def killed(*_):
        raise Killed

    better = make(found=(95, 94, 80, 70, 80, 70))
    with monkeypatch.context() as patched:
        patched.setattr("cvgl_bench.board_folder.write_record", killed)
        with pytest.raises(Killed):
            leaderboard.add_runs(tmp_path, [better])
    assert leaderboard.check(tmp_path) == []
    leaderboard.add_runs(tmp_path, [better])
    (path,) = leaderboard.write_derived(tmp_path)
    assert [row["r1_clean"] for row in rows(path)] == ["95.00", "90.00"]
    assert [each.name for each in sorted((tmp_path / "records/small-c-1").iterdir())] == [
        "good",
        "worse",
    ]


def test_a_kill_between_taking_the_old_run_away_and_putting_the_new_one_loses_neither(
    make, tmp_path
):
    (path,) = leaderboard.add_runs(tmp_path, [make()])
    path.rename(path.with_name(".replaced-good"))
    (path.with_name(".writing-good")).mkdir()
    leaderboard.add_runs(tmp_path, [make("worse")])
    assert [each.name for each in sorted(path.parent.iterdir())] == ["good", "worse"]
    (path.with_name(".replaced-good")).mkdir()
    leaderboard.add_runs(tmp_path, [make("worse")])
    assert [each.name for each in sorted(path.parent.iterdir())] == ["good", "worse"]


@pytest.mark.parametrize("broken", ["ranks.parquet", "record.json"])
def test_a_broken_run_can_be_published_again(make, tmp_path, broken):
    (path,) = leaderboard.add_runs(tmp_path, [make()])
    (path / broken).write_bytes(b"PAR1")
    with pytest.raises(RecordError, match="good"):
        leaderboard.derive(tmp_path)
    leaderboard.add_runs(tmp_path, [make()])
    assert leaderboard.derive(tmp_path)


def test_an_entry_of_another_model_is_not_replaced(make, tmp_path):
    first = ModelCard(name="net", weights_sha256="a" * 64)
    leaderboard.add_runs(tmp_path, [make(model=first)])
    before = leaderboard.derive(tmp_path)
    for model in (
        ModelCard(name="net", weights_sha256="a" * 12 + "b" * 52),
        ModelCard(name="net-aaaaaaaaaaaa"),
    ):
        with pytest.raises(RecordError, match="net-aaaaaaaaaaaa is taken by net with the weights"):
            leaderboard.add_runs(tmp_path, [make(model=model)])
    with pytest.raises(RecordError, match="two of the runs to publish are net-aaaaaaaaaaaa"):
        leaderboard.add_runs(tmp_path, [make(model=first), make(model=first)])
    assert leaderboard.derive(tmp_path) == before


def test_there_is_one_model_that_mce_refers_to(make, tmp_path):
    first, second = (ModelCard(name="good", weights_sha256=letter * 64) for letter in "ba")
    leaderboard.add_runs(tmp_path, [make(model=first), make("worse")])
    with pytest.raises(RecordError, match=r"good-aaaaaaaaaaaa has the name .* good-bbbbbbbbbbbb"):
        leaderboard.add_runs(tmp_path, [make(model=second)])
    (path,) = leaderboard.write_derived(tmp_path)
    assert {row["mce_reference"] for row in rows(path)} == {"good-bbbbbbbbbbbb"}


def test_those_who_publish_at_once_wait_for_each_other(make, tmp_path):
    runs = [make(f"m{number}") for number in range(4)]

    def publish(run):
        with board_folder.held(tmp_path):
            leaderboard.add_runs(tmp_path, [run])
            leaderboard.write_derived(tmp_path)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(publish, runs))
    assert len(rows(tmp_path / "small-c-1.csv")) == 4
    assert leaderboard.check(tmp_path) == []


def test_a_folder_that_stays_held_is_named(make, tmp_path, monkeypatch):
    monkeypatch.setattr(board_folder, "_SECONDS", 0.05)
    with (
        FileLock(tmp_path / board_folder.LOCK),
        pytest.raises(RecordError, match="another process is publishing in"),
    ):
        leaderboard.add_runs(tmp_path, [make()])


def publish(*arguments):
    return CliRunner().invoke(main, ["publish", *map(str, arguments)])


def test_publishing_nothing_onto_nothing_is_refused(tmp_path):
    done = publish("--folder", tmp_path / "empty")
    assert (done.exit_code, done.output.count("\n")) == (1, 1)
    assert "empty holds no runs; name one to publish." in done.output
    assert not (tmp_path / "empty").exists()


def test_publishing_names_tables_without_runs(make, tmp_path):
    leaderboard.add_runs(tmp_path, [make()])
    (tmp_path / "old-1.csv").write_text("model\n")
    done = publish("--folder", tmp_path)
    assert done.exit_code == 1
    assert f"{tmp_path / 'old-1.csv'} has no runs" in done.output
    assert (tmp_path / "small-c-1.csv").is_file()


@pytest.mark.parametrize("wrong", ["site", "pictures"])
def test_nothing_is_published_if_the_site_cannot_be_built(make, small_suite, tmp_path, wrong):
    suite = small_suite(pairs=100, dataset="cvtown", split="val-small")
    (made,) = leaderboard.add_runs(tmp_path / "other", [make(suite=suite)])
    site, boards = tmp_path / "site", tmp_path / "boards"
    if wrong == "site":
        site.mkdir()
        (site / "thesis.tex").write_text("years of work")
    options = ("--folder", boards, "--site", site)
    done = publish(made, *options, *(("--pictures", tmp_path) if wrong == "pictures" else ()))
    assert done.exit_code == 1, done.output
    assert ("thesis.tex" in done.output) is (wrong == "site")
    assert not (boards / "records").exists()
    assert not (boards / "small-c-1.csv").exists()
