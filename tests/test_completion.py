import json
import shutil
import subprocess
import sys

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from corruptions import CORRUPTIONS
from cvgl_bench.cli import COMMANDS, completing, main
from cvgl_bench.cli.completion import PROGRAM, SHELLS, VARIABLE
from cvgl_bench.models import MODELS
from cvgl_bench.suite import suite_names
from cvgl_bench.training.recipes import PRESETS
from cvgl_bench.views import parse_view


def completed(*words, incomplete=""):
    """What a shell offers after these words, by its kind where that is not plain."""
    items = ShellComplete(main, {}, PROGRAM, VARIABLE).get_completions([*words], incomplete)
    return [item.value if item.type == "plain" else item.type for item in items]


def test_commands_and_options_are_completed():
    assert set(completed()) == set(COMMANDS)
    assert completed(incomplete="verify-") == ["verify-submission"]
    assert "--corruptions" in completed("generate", incomplete="--")
    assert completed("list") == ["suites", "models", "corruptions", "datasets"]


@pytest.mark.parametrize("command", ["generate", "evaluate"])
def test_suites_are_completed_with_their_titles_and_else_files(command):
    assert completed(command) == suite_names()
    assert completed(command, incomplete="cvtown-c") == [
        name for name in suite_names() if name.startswith("cvtown-c")
    ]
    assert completed(command, incomplete="./my") == ["file"]
    items = ShellComplete(main, {}, PROGRAM, VARIABLE).get_completions([command], "cvtown-f")
    assert all(item.help for item in items)


def test_models_are_completed_and_else_files():
    assert completed("evaluate", "cvtown-c", "--model") == sorted(MODELS)
    assert completed("evaluate", "cvtown-c", "--model", incomplete="si") == ["singeo"]
    assert completed("evaluate", "cvtown-c", "--model", incomplete="runs/my") == ["file"]
    assert completed("train") == sorted(PRESETS["small"])


@pytest.mark.parametrize("command", ["generate", "evaluate"])
def test_corruptions_are_completed_one_by_one(command):
    before = (command, "cvtown-c", "--corruptions")
    assert set(completed(*before)) == {*CORRUPTIONS, "none"}
    assert completed(*before, incomplete="f") == ["frost", "fog"]
    assert completed(*before, incomplete="fog,f") == ["fog,frost"]
    assert "fog,snow,none" not in completed(*before, incomplete="fog,snow,")
    assert len(completed(*before, incomplete="fog,snow,")) == 14


def test_views_and_severities_are_completed_and_mean_something():
    before = ("generate", "cvtown-c")
    offered = completed(*before, "--views")
    assert {"full", "fov90", "fov180", "heading90"} <= set(offered)
    assert all(parse_view(name).name == name for name in offered)
    assert completed(*before, "--views", incomplete="fov90,fov1") == ["fov90,fov180"]
    assert completed(*before, "--severities", incomplete="1,3,") == ["1,3,2", "1,3,4", "1,3,5"]


def test_completing_loads_nothing_that_takes_long():
    words = f"{PROGRAM} generate cvtown-c --corruptions f"
    code = (
        "import os, sys\n"
        f"os.environ.update({VARIABLE}='bash_complete', COMP_WORDS={words!r}, COMP_CWORD='4')\n"
        "from cvgl_bench.cli import main\n"
        f"try: main(prog_name={PROGRAM!r})\n"
        "except SystemExit: pass\n"
        "assert not {'torch', 'numba', 'scipy', 'pandas', 'pydantic'} & {*sys.modules}\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["plain,frost", "plain,fog"]


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_gets_its_script(shell):
    result = CliRunner().invoke(main, ["completion", shell])
    assert result.exit_code == 0
    assert VARIABLE in result.output
    assert PROGRAM in result.output
    document = json.loads(CliRunner().invoke(main, ["completion", shell, "--json"]).stdout)
    assert document == {"shell": shell, "script": result.stdout.rstrip("\n")} | document
    if program := shutil.which(shell):
        subprocess.run([program, "-n"], input=result.stdout, check=True, text=True)


def test_the_shell_that_runs_is_taken_or_named(monkeypatch):
    monkeypatch.setenv("SHELL", "/bin/zsh")
    assert CliRunner().invoke(main, ["completion"]).stdout.startswith("#compdef cvgl-bench")
    monkeypatch.setenv("SHELL", "/bin/tcsh")
    result = CliRunner().invoke(main, ["completion"])
    assert result.exit_code == 1
    assert "the shell here is 'tcsh'" in result.output


def test_names_begin_as_they_were_begun():
    for complete in (completing.suites, completing.models, completing.corruptions):
        offered = [item.value for item in complete(None, None, "s") if item.type == "plain"]
        assert all(name.startswith("s") for name in offered)
