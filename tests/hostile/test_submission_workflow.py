"""The workflow's own step, run as it stands on a repository with a pull request."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

PATH = Path(__file__).parents[2] / ".github" / "workflows" / "verify-submission.yml"
PAGE = yaml.safe_load(PATH.read_text())
STEPS = {step.get("name", step.get("uses")): step for step in PAGE["jobs"]["verify"]["steps"]}
TAKE = STEPS["Take the submitted files as bytes"]

pytestmark = pytest.mark.skipif(
    shutil.which("git") is None or shutil.which("bash") is None, reason="needs git and bash"
)


def git(folder, *arguments):
    settings = ("user.name=a", "user.email=a@a.example", "init.defaultBranch=main")
    options = [word for setting in settings for word in ("-c", setting)]
    command = ["git", "-C", str(folder), *options, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def take(tmp_path):
    """A function that runs the step on a pull request that adds such files."""

    def run(files, *, link=None, most_bytes="1000", most_files="3", moved_on=False):
        origin, work = tmp_path / "origin", tmp_path / "work"
        folder = origin / "leaderboards" / "submissions"
        folder.mkdir(parents=True)
        git(origin, "init")
        (folder / "old.zip").write_text("was there")
        git(origin, "add", ".")
        git(origin, "commit", "-m", "base")
        base = git(origin, "rev-parse", "HEAD")
        git(tmp_path, "clone", "--depth=1", f"file://{origin}", str(work))
        for name, text in files.items():
            (origin / name).parent.mkdir(parents=True, exist_ok=True)
            (origin / name).write_text(text)
        if link is not None:
            (folder / "link.zip").symlink_to(link)
        git(origin, "add", ".")
        git(origin, "commit", "-m", "head")
        head = git(origin, "rev-parse", "HEAD")
        git(origin, "update-ref", "refs/pull/7/head", base if moved_on else head)
        out = tmp_path / "out"
        env = {"BASE": base, "HEAD": head, "NUMBER": "7", "OUT": str(out)}
        env |= {"MOST_BYTES": most_bytes, "MOST_FILES": most_files, "RUNNER_TEMP": str(tmp_path)}
        result = subprocess.run(
            ["bash", "-e", "-c", TAKE["run"]],
            cwd=work,
            env=os.environ | env,
            capture_output=True,
            text=True,
            check=False,
        )
        return result, {path.name: path.read_text() for path in out.glob("*")}, work

    return run


HERE = "leaderboards/submissions"


def test_added_zips_are_taken_and_nothing_else(take):
    code = "raise SystemExit('run')"
    files = {f"{HERE}/mine.zip": "PK", "setup.py": code, "cvgl_bench/__init__.py": code}
    result, found, work = take(files)
    assert result.returncode == 0, result.stderr
    assert found == {"mine.zip": "PK"}
    assert not (work / "setup.py").exists()


@pytest.mark.parametrize(
    "name",
    ["run.sh", "deeper/mine.zip", "-rf.zip", "a b.zip", "$(touch x).zip", "A.zip", "a\n::x.zip"],
)
def test_other_names_are_refused(take, name):
    result, found, work = take({f"{HERE}/{name}": "PK"})
    assert result.returncode == 1
    assert "Not the name of a submission" in result.stdout
    assert not any(line.startswith("::") for line in result.stdout.splitlines())
    assert found == {}
    assert not (work / "x").exists()


def test_links_are_refused(take):
    result, found, _ = take({}, link="/etc/passwd")
    assert (result.returncode, found) == (1, {})
    assert "is not a plain file (mode 120000)" in result.stdout


def test_large_files_are_refused(take):
    result, found, _ = take({f"{HERE}/mine.zip": "x" * 1001})
    assert (result.returncode, found) == (1, {})
    assert "has more than 1000 bytes" in result.stdout


def test_very_many_files_are_refused(take):
    result, _, _ = take({f"{HERE}/{number}.zip": "PK" for number in range(4)})
    assert result.returncode == 1
    assert "More than 3 submissions" in result.stdout


def test_another_commit_than_the_one_asked_for_is_refused(take):
    result, found, _ = take({f"{HERE}/mine.zip": "PK"}, moved_on=True)
    assert (result.returncode, found) == (1, {})
    assert "has moved on" in result.stdout


def test_a_pull_request_gets_no_rights_and_runs_nothing_of_its_own():
    assert PAGE[True] == {"pull_request": {"paths": ["leaderboards/submissions/**"]}}
    assert PAGE["permissions"] == {"contents": "read"}
    assert "permissions" not in PAGE["jobs"]["verify"]
    assert "secrets" not in PATH.read_text().split("name: verify submission")[1]
    assert PAGE["jobs"]["verify"]["timeout-minutes"] <= 30
    checkout = STEPS["Check out the base branch"]["with"]
    assert checkout["ref"] == "${{ github.event.pull_request.base.sha }}"
    assert checkout["persist-credentials"] is False
    for name, step in STEPS.items():
        assert "${{" not in step.get("run", ""), f"{name} puts what it is given into a script"


def test_the_step_and_the_toolkit_agree_on_the_largest_file():
    from cvgl_bench.submission.archive import MAX_BYTES

    assert TAKE["env"]["MOST_BYTES"] == MAX_BYTES
