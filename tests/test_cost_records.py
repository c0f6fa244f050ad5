"""A cost from its measurement through record, command and submission to tables and pages."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import nn

from cvgl_bench import leaderboard, measuring
from cvgl_bench.answers import Answers
from cvgl_bench.cli import main
from cvgl_bench.cost import MEASURES, Cost
from cvgl_bench.cost_figures import draw_flops, draw_latency
from cvgl_bench.embedding_run import Scale
from cvgl_bench.errors import RecordError
from cvgl_bench.evaluation import evaluate, evaluate_shard, plan_evaluation
from cvgl_bench.ranks_file import RunAnswers, write_ranks
from cvgl_bench.record import (
    DataCard,
    ModelCard,
    Provenance,
    make_record,
    read_record,
    record_json,
    write_record,
)
from cvgl_bench.report import build_report
from cvgl_bench.report_cost import cost_files
from cvgl_bench.runs import Run, read_run
from cvgl_bench.scoring import score
from cvgl_bench.site import build_site
from cvgl_bench.submission import texts

PAIRS = 4
SHIPPED = Path(__file__).parents[1] / "leaderboards" / "records"
COST = Cost(
    latency_ms=12.5,
    latency_p95_ms=14.25,
    images_per_second=200,
    parameters=1_500_000,
    flops_ground=2_500_000_000,
    flops_aerial=None,
    descriptor_bytes=1024,
    peak_memory_bytes=3 << 20,
    device="cpu",
    device_name="Some Processor",
    threads=2,
    batch_size=32,
    ground_size=(112, 616),
    aerial_size=(256, 256),
    fov_degrees=360,
    precision="float32",
)
FAST = COST.model_copy(
    update={"device": "cuda", "device_name": "Some GPU", "latency_ms": 1.25, "latency_p95_ms": 2.0}
)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(measuring, "_SECONDS", 0.02)


class Tiny(nn.Module):
    """A network of 48 x 8 numbers that counts its pictures."""

    name, preprocessing, weights_sha256 = "tiny", "none", ""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.matrix = nn.Parameter(torch.randn(48, 8, generator=generator))
        self.seen = 0

    def encode_ground(self, images):
        self.seen += len(images)
        parts = nn.functional.adaptive_avg_pool2d(images, 4).flatten(1)
        return nn.functional.normalize(parts @ self.matrix, dim=1)

    encode_aerial = encode_ground


@pytest.fixture
def town(make_cvusa, small_suite):
    return small_suite(pairs=PAIRS), make_cvusa(PAIRS)


MEASURED = Scale(with_cost=True)


def test_an_evaluation_that_is_asked_to_measures_once_and_writes_it(town, tmp_path):
    record = evaluate(plan_evaluation(*town, Tiny()), tmp_path / "run", scale=MEASURED)
    assert record == read_record(tmp_path / "run" / "record.json")
    assert record.cost.parameters == 48 * 8
    assert record.cost.flops_ground == record.cost.flops_aerial == 2 * 48 * 8
    assert record.cost.ground_size == (32, 96)
    assert record.cost.aerial_size == (40, 40)
    assert record.cost.batch_size == 32
    assert read_run(tmp_path / "run").record == record


def test_the_first_cells_view_is_what_is_measured(town, tmp_path):
    cells = town[0].select(views=["fov90"], corruptions=[])
    job = plan_evaluation(*town, Tiny(), cells=cells)
    cost = evaluate(job, tmp_path / "run", scale=MEASURED).cost
    assert (cost.fov_degrees, cost.ground_size) == (90, (32, 24))


def test_an_evaluation_that_is_not_asked_shows_the_model_no_more_pictures(town, tmp_path):
    model = Tiny()
    record = evaluate(plan_evaluation(*town, model), tmp_path / "run")
    assert record.cost is None
    assert model.seen == PAIRS * (1 + len(town[0].cells))


def test_a_run_from_a_cache_is_measured_too(town, tmp_path):
    scale = Scale(cache=tmp_path / "cache", with_cost=True)
    for name in ("first", "second"):
        record = evaluate(plan_evaluation(*town, Tiny()), tmp_path / name, scale=scale)
        assert record.cost.parameters == 48 * 8


def test_of_shards_the_last_one_measures(town, tmp_path):
    for number in (1, 2):
        job = plan_evaluation(*town, Tiny())
        record = evaluate_shard(job, tmp_path / "run", (number, 2), scale=MEASURED)
        assert (record is None) == (number == 1)
    assert record.cost.parameters == 48 * 8


def test_a_model_that_runs_elsewhere_has_no_cost(town, tmp_path):
    class Nowhere:
        def embed(self, job, tasks, *, batch_size, max_memory):
            return iter(())

    evaluate(plan_evaluation(*town, Tiny()), tmp_path / "run", scale=Scale(tmp_path / "cache"))
    model = Tiny()
    scale = Scale(tmp_path / "cache", elsewhere=Nowhere(), with_cost=True)
    record = evaluate(plan_evaluation(*town, model), tmp_path / "other", scale=scale)
    assert record.cost is None
    assert model.seen == 0


def test_another_measurement_makes_no_other_run(town, tmp_path):
    first = evaluate(plan_evaluation(*town, Tiny()), tmp_path / "run", scale=MEASURED)
    again = evaluate(plan_evaluation(*town, Tiny()), tmp_path / "run")
    assert again.cost is None
    assert again.ranks_sha256 == first.ranks_sha256
    assert again.fingerprint == first.fingerprint


def test_scoring_without_the_model_measures_nothing(town, tmp_path):
    measured = evaluate(plan_evaluation(*town, Tiny()), tmp_path / "run", scale=MEASURED)
    for source in ("embeddings", "ranks.parquet"):
        record = score(tmp_path / "run" / source, tmp_path / source)
        assert record == measured.model_copy(update={"cost": None})


@pytest.mark.parametrize(
    "path", sorted(SHIPPED.glob("*/*/record.json"))[::5], ids=lambda p: p.parent
)
def test_records_of_before_stay_as_they_are_to_the_byte(path):
    record = read_record(path)
    bare = record.model_copy(update={"cost": None})
    assert "cost" not in json.loads(record_json(bare))
    if record.cost is None:
        assert record_json(record) == path.read_text()
    else:
        again = bare.model_copy(update={"cost": record.cost})
        assert record_json(again) == path.read_text()


@pytest.fixture
def make(small_suite):
    """A function that makes a run of 100 queries whose record states a cost."""

    def build(name="good", cost=COST, found=60, weights=""):
        suite = small_suite(pairs=100, mce_reference="good")
        ranks = {cell: Answers(np.where(np.arange(100) < found, 1, 50)) for cell in suite.cells}
        card = Provenance(
            suite=suite,
            fingerprint=suite.fingerprint,
            model=ModelCard(name=name, weights_sha256=weights),
            data=DataCard(queries=100, references=100, gallery_sha256="a" * 64),
            environment={"ground_ms_per_image": "3.5"},
            date="2026-01-31",
        )
        record = make_record(card, ranks).model_copy(update={"cost": cost})
        ids = tuple(f"{number:03d}" for number in range(100))
        return Run(record, RunAnswers(card, ids, ranks))

    return build


def rows(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_a_cost_survives_its_file_and_changes_nothing_else(make, tmp_path):
    record = make().record
    write_record(tmp_path / "record.json", record)
    assert read_record(tmp_path / "record.json") == record
    page = json.loads(record_json(record))
    assert page.pop("cost")["parameters"] == 1_500_000
    assert page == json.loads(record_json(record.model_copy(update={"cost": None})))


def test_a_leaderboard_has_the_cost_beside_its_machine_and_blanks_without(make, tmp_path):
    leaderboard.add_runs(tmp_path, [make(), make("bare", None, 50)])
    (path,) = leaderboard.write_derived(tmp_path)
    first, second = rows(path.read_text())
    assert (first["latency_ms"], first["latency_p95_ms"]) == ("12.50", "14.25")
    assert (first["images_per_second"], first["cost_batch_size"]) == ("200.0", "32")
    assert (first["parameters_m"], first["gflops_ground"]) == ("1.500", "2.500")
    assert (first["gflops_aerial"], first["descriptor_bytes"]) == ("", "1024")
    assert first["peak_memory_mib"] == "3.0"
    assert first["cost_machine"] == "Some Processor, 2 threads"
    keys = [*(each.key for each in MEASURES), "cost_batch_size", "cost_machine"]
    assert {second[key] for key in keys} == {""}
    assert leaderboard.check(tmp_path) == []


def test_a_report_has_the_cost_as_csv_markdown_and_latex(make):
    report = build_report([make(), make("fast_1", FAST, 50)], with_intervals=False)
    files = cost_files(report)
    assert files.keys() == {"cost.csv", "cost.md", "cost.tex"}
    first, second = rows(files["cost.csv"].decode())
    assert (first["model"], float(first["latency_ms"])) == ("good", 12.5)
    assert (first["machine"], second["machine"]) == ("Some Processor, 2 threads", "Some GPU")
    assert first["gflops_aerial"] == ""
    page = files["cost.md"].decode()
    assert "times compare on one machine only" in page
    assert "Some GPU, batches of 32" in page
    tex = files["cost.tex"].decode()
    assert "fast\\_1" in tex
    assert "textbf" not in tex, "no machine's time is better than another's"


def test_a_report_of_one_machine_names_it_once_and_of_no_cost_has_no_table(make):
    files = cost_files(build_report([make(), make("other")], with_intervals=False))
    assert files["cost.md"].decode().count("Some Processor, 2 threads, batches of 32") == 1
    bare = build_report([make(cost=None)], with_intervals=False)
    assert cost_files(bare) == {}


def test_latency_is_drawn_of_one_machine_only(make):
    one = build_report([make(), make("other")], with_intervals=False)
    (axes,) = draw_latency(one, "full").axes
    assert "Some Processor, 2" in axes.get_xlabel()
    assert 12.5 in [line.get_xdata()[0] for line in axes.lines]
    two = build_report([make(), make("fast", FAST)], with_intervals=False)
    (axes,) = draw_latency(two, "full").axes
    assert axes.get_xlabel() == "milliseconds a ground picture"
    elsewhere = make("elsewhere", None)
    card = {"environment": {"ground_ms_per_image": "3.5", "device_name": "Some GPU"}}
    moved = replace(elsewhere, record=elsewhere.record.model_copy(update=card))
    assert draw_latency(build_report([make(), moved], with_intervals=False), "full") is None


def test_flops_are_drawn_whatever_the_machine_if_all_are_known(make):
    report = build_report([make(), make("fast", FAST)], with_intervals=False)
    (axes,) = draw_flops(report, "full").axes
    assert {line.get_xdata()[0] for line in axes.lines if len(line.get_xdata())} == {2.5}
    unknown = make("unknown", COST.model_copy(update={"flops_ground": None}))
    assert draw_flops(build_report([make(), unknown], with_intervals=False), "full") is None


def test_pages_show_the_cost_and_sort_times_machine_by_machine(make, tmp_path):
    leaderboard.add_runs(tmp_path / "boards", [make(), make("fast", FAST), make("bare", None)])
    build_site(tmp_path / "boards", tmp_path / "site", pictures=None)
    table = (tmp_path / "site" / "small-c-1.html").read_text()
    assert 'data-group="cost"' in table
    assert 'data-key="Some Processor, 2 threads, 32: 000000000000012.500000"' in table
    assert 'data-key="Some GPU, 32: 000000000000001.250000"' in table
    assert 'data-key="000000000000001.500000"' in table, "parameters are of no machine"
    page = (tmp_path / "site" / "models" / "small-c-1" / "fast.html").read_text()
    assert "What it costs" in page
    assert "Some GPU" in page
    assert "What it costs" not in (tmp_path / "site/models/small-c-1/bare.html").read_text()


def test_pages_without_a_cost_have_no_column_of_it(make, tmp_path):
    leaderboard.add_runs(tmp_path / "boards", [make(cost=None)])
    build_site(tmp_path / "boards", tmp_path / "site", pictures=None)
    assert "c-cost" not in (tmp_path / "site" / "small-c-1.html").read_text()


def test_a_submissions_machine_is_plain_text(make):
    named = COST.model_copy(update={"device_name": "GPU <script>"})
    with pytest.raises(RecordError, match=r"cost\.device_name holds '<s'"):
        texts.refuse_texts(make(cost=named).record)
    texts.refuse_texts(make().record)


@pytest.fixture
def command(make_cvusa, suite_file, tmp_path):
    """A function that runs cvgl-bench on a run of mean-color, which is there without a cost."""
    root, suite = make_cvusa(PAIRS), suite_file(pairs=PAIRS)

    def run(*words):
        return CliRunner().invoke(main, [*map(str, words)])

    made = run(
        *("evaluate", suite, "--model", "mean-color", "--data", root, "--on-the-fly"),
        *("--no-cost", "--quiet", "--device", "cpu", "--out", tmp_path / "run"),
    )
    assert made.exit_code == 0, made.output
    assert read_record(tmp_path / "run" / "record.json").cost is None

    def cost(*words, of="run", model="mean-color", data=root):
        return run("cost", tmp_path / of, "--model", model, "--data", data, *words)

    cost.evaluate = lambda *words: run("evaluate", suite, "--data", root, "--on-the-fly", *words)
    return cost


def test_the_command_writes_the_cost_into_a_run_and_changes_nothing_else(command, tmp_path):
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").glob("*.*")}
    result = command("--batch-size", "3")
    assert result.exit_code == 0, result.output
    assert "16 bytes a descriptor" in result.stdout
    record = read_record(tmp_path / "run" / "record.json")
    assert record.cost.batch_size == 3
    after = {path.name: path.read_bytes() for path in (tmp_path / "run").glob("*.*")}
    assert before.pop("record.json") != after.pop("record.json")
    assert before == after
    bare = record.model_copy(update={"cost": None})
    assert command("--json", of="run/record.json").exit_code == 0
    again = read_record(tmp_path / "run" / "record.json")
    assert again.model_copy(update={"cost": None}) == bare


def test_the_command_prints_one_document_for_programs(command, tmp_path):
    page = json.loads(command("--json").stdout)
    assert page["model"] == "mean-color"
    assert page["cost"]["descriptor_bytes"] == 16
    assert page["cost"]["parameters"] is None
    assert page["files"] == [str(tmp_path / "run" / "record.json")]


def test_the_command_refuses_what_is_not_the_runs_own(command, make_cvusa, make, tmp_path):
    before = (tmp_path / "run" / "record.json").read_bytes()
    for words, message in (
        ({"model": "random"}, "whose name is 'mean-color'; that of the model given is 'random'"),
        ({"data": make_cvusa(PAIRS + 1, name="other")}, "queries with the hash"),
        ({"of": "nowhere"}, "cannot read the record"),
    ):
        result = command(**words)
        assert result.exit_code == 1, result.output
        assert message in result.stderr
        assert len(result.stderr.splitlines()) == 1
    other = make()
    write_ranks(tmp_path / "run" / "ranks.parquet", other.answers)
    assert "does not follow from its ranks" in command().stderr
    assert (tmp_path / "run" / "record.json").read_bytes() == before


def test_evaluate_measures_unless_told_not_to_and_says_what_it_found(command, tmp_path):
    words = ("--model", "mean-color", "--device", "cpu", "--out", tmp_path / "measured")
    result = command.evaluate(*words)
    assert result.exit_code == 0, result.output
    assert "Cost on " in result.stdout
    assert read_record(tmp_path / "measured" / "record.json").cost.descriptor_bytes == 16
