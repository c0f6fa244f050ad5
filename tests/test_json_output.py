import contextlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from corruptions import CORRUPTIONS
from cvgl_bench import hub
from cvgl_bench.cli import COMMANDS, demo, log_lines, main, options, output
from cvgl_bench.models import MODELS
from cvgl_bench.suite import suite_names


def commands(group=main, *names):
    """Every command, subcommands too, with the words that call it."""
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        if isinstance(command, click.Group):
            yield from commands(command, *names, name)
        else:
            yield (*names, name), command


@pytest.mark.parametrize(("words", "command"), list(commands()), ids=str)
def test_every_command_has_json(words, command):
    flags = [option for option in command.params if "--json" in option.opts]
    assert len(flags) == 1, f"{' '.join(words)} has no --json: add @output.json_option"
    assert flags[0].is_flag


def called(*arguments, status=0):
    """The document of a command, which is all that it prints."""
    result = CliRunner().invoke(main, [*map(str, arguments), "--json"])
    assert result.exit_code == status, result.output
    return json.loads(result.stdout)


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """Where `world` keeps what it made, once for all tests of a process."""
    return tmp_path_factory.mktemp("made")


@pytest.fixture
def world(made, make_town_folder, suite_file):
    """A fake town, its set and two runs, each with the document of the command that made it."""
    if not (made / "documents.json").is_file():
        root = shutil.copytree(make_town_folder(3), made / "town")
        suite = suite_file(
            name="small-town-c", dataset="cvtown", split="val-small", mce_reference="random"
        )
        suite = Path(shutil.copy(suite, made))
        options = ("--data", root)
        documents = {
            "dry": called("generate", suite, *options, "--out", "x", "--dry-run", "--calibrate", 1),
            "generate": called("generate", suite, *options, "--out", made / "set"),
        }
        for model in ("random", "mean-color"):
            how = ("--model", model, "--set", made / "set", "--out", made / "runs" / model)
            documents[model] = called("evaluate", suite, *options, *how)
        (made / "documents.json").write_text(json.dumps(documents))
    return made, json.loads((made / "documents.json").read_text())


def test_what_there_is_to_name_is_told_with_what_it_is():
    suites = called("list", "suites")["suites"]
    assert [suite["name"] for suite in suites] == suite_names()
    assert {"title", "version", "dataset", "views", "cells"} <= set(suites[0])
    assert [model["name"] for model in called("list", "models")["models"]] == sorted(MODELS)
    corruptions = {each["name"]: each for each in called("list", "corruptions")["corruptions"]}
    assert corruptions.keys() == CORRUPTIONS.keys()
    assert corruptions["fog"]["family"] == "weather"
    assert not corruptions["fog"]["deterministic"]
    assert len(corruptions["pixelate"]["parameters"]["scale"]) == 5
    assert {"name": "cvusa", "splits": ["train", "val"]} in called("list", "datasets")["datasets"]


def test_a_set_is_priced_made_and_verified(world):
    made, documents = world
    dry, page = documents["dry"], documents["generate"]["set"]
    assert dry["images"] == page["images"] == 18
    assert dry["core_seconds"] > 0
    assert dry["fits"] is True
    assert not Path("x").exists()
    assert documents["generate"]["complete"] is True
    found = called("verify", made / "set")
    assert found == {
        "folder": str(made / "set"),
        "images": 18,
        "faults": [],
        "repaired": [],
        "left": 0,
    }


def test_faults_are_in_the_document_and_in_the_exit_status(world, tmp_path):
    made, _ = world
    copy = shutil.copytree(made / "set", tmp_path / "set")
    (copy / "clean/0000001.jpg").unlink()
    found = called("verify", copy, status=1)
    assert found["faults"] == [{"kind": "missing", "path": "clean/0000001.jpg"}]
    mend = ("--repair", "--data", made / "town", "--suite", made / "small-c.toml")
    found = called("verify", copy, *mend)
    assert found["repaired"] == ["clean/0000001.jpg"]
    assert found["left"] == 0


def test_a_run_has_its_averages_as_fractions_and_its_files(world):
    made, documents = world
    run = documents["random"]["run"]
    record = json.loads((made / "runs/random/record.json").read_text())
    assert run["model"] == "random"
    assert run["fingerprint"] == record["fingerprint"]
    assert run["views"]["full"]["r1_clean"] == record["cells"][0]["r1"]
    assert all(Path(file).is_file() for file in run["files"])
    assert run["mce_reference"] is None
    assert run["views"]["full"]["mce"] is None
    again = called("score", made / "runs/random/ranks.parquet", "--out", made / "scored")
    assert again["runs"][0]["views"] == run["views"]


def test_comparison_and_report_have_intervals(world, tmp_path):
    made, _ = world
    runs = [made / "runs" / model for model in ("random", "mean-color")]
    compared = called("compare", *runs, "--out", tmp_path / "cells.csv")
    assert (compared["first"], compared["second"]) == ("random", "mean-color")
    assert len(compared["cells"]) == 6
    cell = compared["cells"][0]
    assert cell["low"] <= cell["difference"] <= cell["high"]
    assert compared["overall"]["r1_clean"]["difference"] == cell["difference"]
    assert compared["files"] == [str(tmp_path / "cells.csv")]
    report = called("report", *runs, "--out", tmp_path / "report", "--formats", "none")
    assert {entry["model"] for entry in report["entries"]} == {"random", "mean-color"}
    r1 = report["entries"][0]["averages"]["r1_clean"]
    assert 0 <= r1["low"] <= r1["value"] <= r1["high"] <= 1
    assert all(Path(file).is_file() for file in report["files"])
    plain = called(
        *("report", *runs, "--out", tmp_path / "plain", "--formats", "none", "--no-intervals")
    )
    assert plain["entries"][0]["averages"]["r1_clean"]["low"] is None


def test_boards_and_submissions(world, tmp_path):
    made, _ = world
    run, boards = made / "runs/mean-color", tmp_path / "boards"
    published = called("publish", run, "--folder", boards, "--site", tmp_path / "site")
    assert Path(published["site"]).is_file()
    assert all(Path(file).is_file() for file in published["files"])
    assert called("publish", "--check", "--folder", boards)["faults"] == []
    (boards / "small-town-c-1.csv").write_text("edited by hand")
    assert len(called("publish", "--check", "--folder", boards, status=1)["faults"]) == 1
    # The suite is of the tests' own, which no board takes.
    packed = called("submit", run, "--out", tmp_path / "run.zip", "--folder", boards, status=1)
    assert packed["accepted"] is False
    assert packed["files"] == []
    assert not (tmp_path / "run.zip").exists()
    (tmp_path / "no.zip").write_bytes(b"no archive")
    reports = called("verify-submission", tmp_path / "no.zip", "--folder", boards, status=1)
    assert [report["accepted"] for report in reports] == [False]


def test_a_town_and_the_shards_of_it(tmp_path):
    town = called("town", "--out", tmp_path, "--split", "val", "--size", "small", "--pairs", 1)
    assert town["complete"] is True
    assert town["pairs"] == 1
    assert town["districts_left"] == 0


def test_what_commands_run_themselves_print_nothing_of_their_own(monkeypatch):
    @click.command()
    @output.json_option
    def inner():
        output.show("a line")
        output.document({"inner": True})

    @click.command()
    @output.json_option
    @click.pass_context
    def outer(ctx):
        ctx.invoke(inner)
        output.document({"outer": True})

    assert json.loads(CliRunner().invoke(outer, ["--json"]).stdout) == {"outer": True}
    assert CliRunner().invoke(outer).stdout == "a line\n"
    assert json.loads(CliRunner().invoke(inner, ["--json"]).stdout) == {"inner": True}
    output.show("beside any command")


def test_the_demo_prints_one_document(monkeypatch, tmp_path, world):
    made, _ = world
    for model in demo.MODELS:
        source = made / "runs" / ("random" if model == "polar" else "mean-color")
        shutil.copytree(source, tmp_path / "runs" / model)
    ran = []
    monkeypatch.setattr(click.Context, "invoke", invoked_but(ran))
    document = called("demo", "--out", tmp_path)
    assert len(ran) == 2 + len(demo.MODELS) + 1
    assert [run["model"] for run in document["runs"]] == ["random", *["mean-color"] * 3]
    assert document["runs"][1]["mce_reference"] == "random"


def invoked_but(ran):
    """Context.invoke without the commands that a command runs itself."""
    original = click.Context.invoke

    def invoke(self, callback, *args, **kwargs):
        if isinstance(callback, click.Command):
            ran.append(callback.name)
            return None
        return original(self, callback, *args, **kwargs)

    return invoke


def test_a_training_tells_its_epochs(monkeypatch, tmp_path, make_town_folder):
    from cvgl_bench.training import loop
    from cvgl_bench.training.run import State

    rows = [{"epoch": 1, "loss": 2.5, "seconds": 1.0, "validation_r1": None, "learning_rate": 0.1}]
    monkeypatch.setattr(loop, "train", lambda job, report: State(1, rows=rows, best=0.25))
    root = make_town_folder(4, split="train")
    page = json.loads((root / "val.json").read_text())
    (root / "train.json").write_text(json.dumps(page))
    shutil.copy(root / "split_locations/val.csv", root / "split_locations/train.csv")
    arguments = ("train", "mrgeo", "--data", root, "--held-out", 1, "--out", tmp_path / "run")
    document = called(*arguments)
    assert document["best_validation_r1"] == 0.25
    assert document["epochs"] == rows
    assert document["weights"] == str(tmp_path / "run/weights.safetensors")
    monkeypatch.setenv("RANK", "1")
    assert CliRunner().invoke(main, [*map(str, arguments), "--json"]).stdout == ""


def test_pushes_and_pulls_are_told(monkeypatch, tmp_path, world):
    made, _ = world
    done = hub.Pushed(hub.Repo("model", "a/b", "c" * 40), "https://x", ("README.md",), (), False)
    monkeypatch.setattr(hub, "connect", lambda: None)
    monkeypatch.setattr(hub, "push", lambda *given, **options: done)
    assert called("push", made / "runs/random", "a/b")["commit"] == "c" * 40
    got = hub.Pulled(hub.Repo("model", "a/b", "c" * 40), tmp_path, ("weights.safetensors",))
    monkeypatch.setattr(hub, "pull", lambda *given: got)
    document = called("pull", "a/b@main", "--out", tmp_path)
    assert document["files"] == [str(tmp_path / "weights.safetensors")]
    assert document["repo"] == "a/b"


@pytest.mark.parametrize("name", COMMANDS)
def test_help_says_what_json_does(name):
    text = CliRunner().invoke(main, [name, "--help"]).output
    is_group = "Commands:" in text
    assert is_group or re.search(r"--json\s+\S", text)


def test_an_error_is_one_sentence_on_standard_error_and_no_document(tmp_path):
    for words in (("verify", tmp_path), ("compare", tmp_path, tmp_path), ("score", "no.parquet")):
        result = CliRunner().invoke(main, [*map(str, words), "--json"])
        assert result.exit_code == 1
        assert result.stdout == ""
        assert result.stderr.startswith("cvgl-bench: ")
        assert result.stderr.count("\n") == 1


def test_a_reader_that_has_read_enough_is_no_error():
    line = f"{sys.executable} -m cvgl_bench list corruptions --json | head -n 1"
    done = subprocess.run(line, shell=True, check=True, capture_output=True, text=True)
    assert done.stdout == "{\n"
    assert done.stderr == ""


def test_documents_hold_what_json_knows():
    @click.command()
    @output.json_option
    def command():
        import numpy as np

        numbers = {"nan": float("nan"), "infinity": float("inf"), "numpy": np.float32(0.5)}
        output.document({"path": Path("a/b"), "text": "\u00e4", **numbers})

    document = json.loads(CliRunner().invoke(command, ["--json"]).stdout)
    assert document == {
        "path": "a/b",
        "text": "\u00e4",
        "nan": None,
        "infinity": None,
        "numpy": 0.5,
    }


LONG = """
import time
from cvgl_bench.cli import log_lines, options
log_lines.EVERY_SECONDS = 0.2
with options.progress_bar(6, "cvusa-c") as bar:
    for _ in range(6):
        time.sleep(0.25)
        bar.update(1)
"""
SHORT = """
from cvgl_bench.cli import options
with options.progress_bar(6, "cvusa-c") as bar:
    bar.update(6)
"""


def logged(code):
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    return done.stderr.decode()


def test_a_log_has_a_line_a_while_with_its_time_and_no_carriage_return():
    text = logged(LONG)
    assert "\r" not in text
    assert "\x1b" not in text
    lines = text.splitlines()
    assert 3 <= len(lines) <= 8
    form = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4} cvusa-c: \d of 6 images, \d+ %, "
    assert all(re.match(form, line) for line in lines), lines
    assert "6 of 6 images, 100 %" in lines[-1]


def test_what_is_done_soon_leaves_no_line():
    assert logged(SHORT) == ""


def test_a_terminal_gets_a_bar(monkeypatch):
    class Terminal:
        def isatty(self):
            return True

        def write(self, text):
            self.text = getattr(self, "text", "") + text

        def flush(self):
            pass

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with contextlib.closing(options.progress_bar(2, "x")) as bar:
        bar.start_t -= 1
        bar.last_print_t -= 1
        bar.update(1)
    assert "\r" in terminal.text
    assert "50%" in terminal.text
    assert log_lines.EVERY_SECONDS == 30
