import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from cvgl_bench.cli import COMMANDS, main
from cvgl_bench.codec import codec_name


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.mark.parametrize(
    "code",
    [
        "import cvgl_bench.cli",
        "from cvgl_bench.cli import main; main(['--help'], standalone_mode=False)",
        "from cvgl_bench.cli import main; main(['list', 'suites'], standalone_mode=False)",
        "from cvgl_bench.cli import main; main(['list', 'models'], standalone_mode=False)",
        "import cvgl_bench.scoring, cvgl_bench.leaderboard, cvgl_bench.generation",
    ],
)
def test_what_is_slow_to_load_is_not_loaded_where_it_is_not_needed(code):
    check = f"import sys\n{code}\nassert not {{'torch', 'skimage', 'jpeglib'}} & {{*sys.modules}}"
    subprocess.run([sys.executable, "-c", check], check=True, capture_output=True)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name):
    result = run(name, "--help")
    assert result.exit_code == 0
    assert "Usage: main" in result.output


@pytest.fixture
def town(make_town_folder, suite_file):
    """A fake town with its own small suite file."""
    root = make_town_folder(3)
    return root, suite_file(name="small-town-c", dataset="cvtown", split="val-small")


def test_the_whole_way_from_a_data_set_to_a_leaderboard(town, tmp_path):
    root, suite = town
    made, boards = tmp_path / "set", tmp_path / "boards"
    result = run("generate", suite, "--data", root, "--out", made)
    assert result.exit_code == 0
    assert "18 images of small-town-c version 1, profile standard, complete." in result.output
    assert run("verify", made).exit_code == 0
    for model in ("random", "mean-color"):
        out = tmp_path / "runs" / model
        result = run(
            *("evaluate", suite, "--model", model, "--set", made, "--data", root, "--out", out)
        )
        assert result.exit_code == 0, result.output
        assert "R@1_cor" in result.output
        assert (out / "ranks.parquet").is_file()
    records = [tmp_path / "runs" / model / "record.json" for model in ("random", "mean-color")]
    assert run("publish", *records, "--folder", boards).exit_code == 0
    assert len((boards / "small-town-c-1.csv").read_text().splitlines()) == 3
    assert run("publish", "--check", "--folder", boards).exit_code == 0
    (boards / "small-town-c-1.csv").write_text("edited by hand")
    assert run("publish", "--check", "--folder", boards).exit_code == 1


def test_score_makes_the_record_again_with_mce_against_itself(town, tmp_path):
    root, suite = town
    out = tmp_path / "runs" / "random"
    options = ("--model", "random", "--data", root, "--on-the-fly", "--out", out)
    assert run("evaluate", suite, *options, "--no-cost").exit_code == 0
    before = json.loads((out / "record.json").read_text())
    result = run("score", out / "ranks.parquet", "--out", tmp_path / "again")
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "again/random/record.json").read_text()) == before
    result = run("evaluate", suite, *options, "--reference", out / "record.json")
    assert "mCE (vs random)" in result.output
    assert "100.00" in result.output


def test_verify_names_the_faults_and_repair_mends_them(town, tmp_path):
    root, suite = town
    made = tmp_path / "set"
    run("generate", suite, "--data", root, "--out", made)
    (made / "clean/0000001.jpg").unlink()
    result = run("verify", made)
    assert result.exit_code == 1
    assert "missing: clean/0000001.jpg" in result.output
    mend = ("verify", made, "--repair", "--data", root, "--suite", suite)
    for said in ("made again, to the same bytes: 1.", "all 18 images are what the manifest says"):
        result = run(*mend)
        assert result.exit_code == 0, result.output
        assert said in result.output
    assert run("verify", made).exit_code == 0


def test_the_readmes_model_of_your_own_is_evaluated(town, tmp_path):
    root, suite = town
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    code = readme.split("```python\n")[1].split("```")[0]
    (tmp_path / "my_model.py").write_text(code)
    result = run(
        *("evaluate", suite, "--model", f"{tmp_path / 'my_model.py'}:Colors", "--data", root),
        *("--on-the-fly", "--out", tmp_path / "run", "--corruptions", "none"),
    )
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "run/record.json").read_text())["model"]["name"] == "colors"


def test_every_mistake_is_one_sentence_and_exit_1(town, tmp_path):
    root, suite = town
    out = tmp_path / "out"
    set_, fly = ("--set", tmp_path), ("--on-the-fly",)
    mistakes = {
        "unknown suite": ("generate", "cvusa", "--data", root, "--out", out),
        "there is no folder": ("generate", suite, "--data", tmp_path / "no", "--out", out),
        "no CVUSA folder": ("generate", "cvusa-c", "--data", tmp_path, "--out", out),
        "3 queries where cvtown-c has 100": ("generate", "cvtown-c", "--data", root, "--out", out),
        "unknown corruption": (
            *("generate", suite, "--data", root, "--out", out, "--corruptions", "rain"),
        ),
        "codec_only is no corruption to choose": (
            *("generate", suite, "--data", root, "--out", out, "--corruptions", "codec_only"),
        ),
        "unknown view": ("generate", suite, "--data", root, "--out", out, "--views", "wide"),
        "no finished set": ("verify", tmp_path),
        "holds no finished set": (
            *("evaluate", suite, "--model", "random", "--data", root, *set_),
        ),
        "Did you mean 'polar'": ("evaluate", suite, "--model", "polr", "--data", root, *fly),
        "No such file": ("score", tmp_path / "no.parquet"),
        "holds no ranks": ("score", suite),
        "is no record": ("publish", suite, "--folder", out),
        "holds no runs": ("publish", "--check", "--folder", out),
        "no view was chosen": ("generate", suite, "--data", root, "--out", out, "--views", "none"),
        "cannot write": ("generate", suite, "--data", root, "--out", suite / "below"),
        "cvtown-c has no form of the profile published": (
            *("generate", "cvtown-c", "--profile", "published", "--data", root, "--out", out),
        ),
        "has the profile standard, not published": (
            *("evaluate", suite, "--profile", "published", "--model", "random", "--data", root),
            "--on-the-fly",
        ),
        "name too long": ("generate", suite, "--data", root, "--out", tmp_path / ("x" * 300)),
    }
    for message, arguments in mistakes.items():
        result = run(*arguments)
        assert result.exit_code == 1, (arguments, result.output)
        assert message in result.output, (arguments, result.output)
        assert result.output.startswith("cvgl-bench: ")
        assert result.output.count("\n") == 1
        assert isinstance(result.exception, SystemExit)
    assert not out.exists()


def test_a_missing_codec_is_one_sentence_before_any_work(make_cvusa, suite_file, monkeypatch):
    codec_name.cache_clear()
    monkeypatch.setitem(sys.modules, "jpeglib", None)
    root = make_cvusa(3)
    suite, out = suite_file(profile="published", codec="ijg9d"), root / "out"
    for arguments in (
        ("generate", suite, "--data", root, "--out", out),
        ("evaluate", suite, "--data", root, "--out", out, "--model", "random", "--on-the-fly"),
    ):
        result = run(*arguments)
        assert result.exit_code == 1
        assert "cvgl-bench[published]" in result.output
        assert result.output.count("\n") == 1
    assert not out.exists()


def test_a_reference_of_another_profile_is_refused(town, suite_file, tmp_path):
    root, suite = town
    options = ("--model", "random", "--data", root, "--on-the-fly", "--out", tmp_path / "run")
    assert run("evaluate", suite, *options).exit_code == 0
    published = suite_file(
        name="small-town-c", dataset="cvtown", split="val-small", profile="published"
    )
    reference = ("--reference", tmp_path / "run" / "record.json")
    result = run("evaluate", published, *options[:-1], tmp_path / "other", *reference)
    assert result.exit_code == 1
    assert "profile standard, not of small-town-c-1, profile published" in result.output


@pytest.mark.parametrize(("choice", "measured"), [("all", 3), ("2", 2), ("0", 0)])
def test_how_many_queries_are_measured_is_chosen(town, tmp_path, choice, measured):
    root, suite = town
    options = ("--data", root, "--out", tmp_path / "set", "--corruptions", "none")
    assert run("generate", suite, *options, "--measure", choice).exit_code == 0
    page = json.loads((tmp_path / "set/set.json").read_text())
    assert page["measured_queries"] == measured
    assert run("verify", tmp_path / "set").exit_code == 0


@pytest.mark.parametrize("count", ["-1", "some", "1.5", "9" * 5000])
def test_a_number_of_queries_to_measure_is_checked(town, tmp_path, count):
    root, suite = town
    options = ("--data", root, "--out", tmp_path / "set", "--measure", count)
    assert run("generate", suite, *options).exit_code == 2


@pytest.mark.parametrize("shard", ["0/2", "3/2", "1", "a/b", "1/2/3", "-1/2", "1/" + "9" * 5000])
def test_a_shard_is_checked(town, tmp_path, shard):
    root, suite = town
    result = run("generate", suite, "--data", root, "--out", tmp_path / "o", "--shard", shard)
    assert result.exit_code == 2
    assert "I/N" in result.output


def test_evaluate_wants_exactly_one_source_of_pictures(town, tmp_path):
    root, suite = town
    options = ("evaluate", suite, "--model", "random", "--data", root)
    assert run(*options).exit_code == 2
    assert run(*options, "--on-the-fly", "--set", tmp_path).exit_code == 2
