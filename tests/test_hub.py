import hashlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, errors
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from cvgl_bench import hub
from cvgl_bench.answers import Answers
from cvgl_bench.cli import main
from cvgl_bench.datasets import load_dataset
from cvgl_bench.generation import generate, make_plan
from cvgl_bench.hub.page import CARD, PAGE, Entry, Page
from cvgl_bench.ranks_file import RunAnswers, write_ranks
from cvgl_bench.record import DataCard, ModelCard, Provenance, make_record, write_record
from cvgl_bench.verification import verify

REPO = "somebody/some-model"
RECORD_PATH = "runs/small-c-1/good/record.json"


def answered(kind, status):
    """An error as the Hub's answers cause it."""
    response = SimpleNamespace(status_code=status, headers={}, request=None)
    return kind("said the Hub", response=response)


@dataclass
class FakeHub:
    """Repositories in memory, with the errors of the real one."""

    repos: dict = field(default_factory=dict)
    failing: dict = field(default_factory=dict)
    calls: list = field(default_factory=list)

    def _called(self, name):
        self.calls.append(name)
        if name in self.failing:
            raise self.failing[name]

    def _commits(self, repo_type, repo_id):
        if (repo_type, repo_id) not in self.repos:
            raise answered(errors.RepositoryNotFoundError, 404)
        return self.repos[repo_type, repo_id]

    def _at(self, repo_type, repo_id, revision):
        commits = self._commits(repo_type, repo_id)
        for sha, files in reversed(commits):
            if revision in (None, "main", sha):
                return sha, files
        raise answered(errors.RevisionNotFoundError, 404)

    def _add(self, key, files):
        commits = self.repos.setdefault(key, [])
        commits.append((hashlib.sha1(f"{key}{len(commits)}".encode()).hexdigest(), files))
        return commits[-1][0]

    def create_repo(self, repo_id, *, repo_type, private, exist_ok):
        self._called("create_repo")
        assert exist_ok
        if (repo_type, repo_id) not in self.repos:
            self._add((repo_type, repo_id), {".gitattributes": b"*.safetensors filter=lfs"})

    def repo_info(self, repo_id, *, repo_type, revision):
        self._called("repo_info")
        sha, files = self._at(repo_type, repo_id, revision)
        return SimpleNamespace(
            sha=sha, siblings=[SimpleNamespace(rfilename=name) for name in files]
        )

    def create_commit(
        self, repo_id, operations, *, commit_message, repo_type, revision, parent_commit
    ):
        self._called("create_commit")
        sha, files = self._at(repo_type, repo_id, revision)
        if parent_commit != sha:
            raise answered(errors.HfHubHTTPError, 412)
        files = dict(files)
        for operation in operations:
            if isinstance(operation, CommitOperationAdd):
                with operation.as_file() as file:
                    files[operation.path_in_repo] = file.read()
            else:
                assert isinstance(operation, CommitOperationDelete)
                del files[operation.path_in_repo]
        sha = self._add((repo_type, repo_id), files)
        return SimpleNamespace(oid=sha, commit_url=f"https://hub/{repo_id}/commit/{sha}")

    def hf_hub_download(self, repo_id, filename, *, repo_type, revision, local_dir):
        self._called(f"hf_hub_download {filename}")
        sha, files = self._at(repo_type, repo_id, revision)
        assert revision == sha, "a file of a branch may be another by now"
        if filename not in files:
            raise answered(errors.RemoteEntryNotFoundError, 404)
        path = Path(local_dir) / filename
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(files[filename])
        return str(path)

    def files(self, repo_id=REPO, repo_type="model"):
        return self.repos[repo_type, repo_id][-1][1]


@pytest.fixture
def api(monkeypatch):
    fake = FakeHub()
    monkeypatch.setattr(hub, "connect", lambda: fake)
    return fake


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "training" / "weights.safetensors"
    path.parent.mkdir()
    save_file({"layer": np.arange(6.0)}, path, metadata={"cvgl_bench": '{"config": "```\\n# x"}'})
    return path


@pytest.fixture
def write_run(small_suite, tmp_path):
    def write(name="good", share=0.8, *, weights=None, **provenance):
        suite = small_suite(pairs=100)
        cells = {
            cell: Answers(np.where(np.arange(100) < 100 * share - place, 1, 7))
            for place, cell in enumerate(suite.cells)
        }
        digest = hashlib.sha256(weights.read_bytes()).hexdigest() if weights else ""
        fields = {
            "suite": suite,
            "fingerprint": suite.fingerprint,
            "model": ModelCard(name=name, weights_sha256=digest, remarks="see <b>``` | here"),
            "data": DataCard(queries=100, references=100, gallery_sha256="a" * 64),
            "date": "2026-01-31",
        }
        card = Provenance.model_validate(fields | provenance)
        folder = tmp_path / "runs" / name
        ids = tuple(f"{number:03d}" for number in range(100))
        write_ranks(folder / "ranks.parquet", RunAnswers(card, ids, cells))
        write_record(folder / "record.json", make_record(card, cells))
        return folder

    return write


@pytest.fixture
def town_set(make_town_folder, small_suite, tmp_path):
    """A function that makes a set of the fake town."""

    def make(form="parquet", dataset="cvtown"):
        suite = small_suite(name="town-c", dataset="cvtown", split="val-small")
        data = load_dataset("cvtown", make_town_folder(3), "val-small")
        folder = tmp_path / "set"
        generate(make_plan(suite, data, suite.cells, form=form), folder)
        if dataset != "cvtown":
            page = json.loads((folder / "set.json").read_text()) | {"dataset": dataset}
            (folder / "set.json").write_text(json.dumps(page))
        return folder

    return make


def tree(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_weights_and_runs_come_back_as_they_were_pushed_at_the_same_commit(
    api, weights, write_run, tmp_path
):
    folder = write_run(weights=weights)
    (folder / "severity.png").write_bytes(b"not pushed")
    result = run("push", folder, weights.parent, REPO, "--license", "apache-2.0")
    assert result.exit_code == 0, result.output
    pushed = {"weights.safetensors", RECORD_PATH, "runs/small-c-1/good/ranks.parquet"}
    assert set(api.files()) == {*pushed, PAGE, CARD, ".gitattributes"}
    result = run("pull", REPO, "--out", tmp_path / "got", "--json")
    assert result.exit_code == 0, result.output
    got = tree(tmp_path / "got")
    assert set(got) == {*pushed, "pulled.json"}
    assert got["weights.safetensors"] == weights.read_bytes()
    assert got[RECORD_PATH] == (folder / "record.json").read_bytes()
    told = json.loads(got["pulled.json"])
    commit = api.repos["model", REPO][-1][0]
    assert told["repo"] == REPO
    assert told["revision"] == "main"
    assert told["commit"] == commit
    assert json.loads(result.stdout)["commit"] == commit
    # What is pushed later changes nothing for those who name the commit.
    other = write_run(share=0.3, weights=weights)
    assert run("push", other, weights, REPO).exit_code == 0
    assert run("pull", f"{REPO}@{commit}", "--out", tmp_path / "again").exit_code == 0
    again = tree(tmp_path / "again")
    assert again.pop("pulled.json")
    assert all(again[name] == got[name] for name in again)


def test_a_card_says_what_is_there_and_strangers_texts_stay_text(api, weights, write_run):
    folder = write_run(weights=weights)
    assert run("push", folder, weights, REPO, "--license", "mit").exit_code == 0
    _, metadata, body = api.files()[CARD].decode().split("---\n", 2)
    read = yaml.safe_load(metadata)
    assert read["license"] == "mit"
    results = read["model-index"][0]["results"]
    values = {each["name"]: each["value"] for each in results[0]["metrics"]}
    assert values["R@1 clean, %"] == 80.0
    assert set(values) == {"R@1 clean, %", "R@1_cor, %", "RCE, %"}
    assert f"cvgl-bench pull {REPO} --out DIR" in body
    assert "| good    | full   |" in body
    # Outside the blocks, which they cannot end, no text of theirs is to be seen.
    blocks = body.split("```")
    assert len(blocks) % 2 == 1
    outside = "".join(blocks[::2])
    assert "<b>" not in outside
    assert "# x" not in outside
    assert "see <b>''' | here" in body


def test_numbers_that_compare_with_none_are_not_offered_for_comparison(api, write_run):
    folder = write_run(not_comparable=("3 queries where small-c has 100",))
    assert run("push", folder, REPO).exit_code == 0
    card = api.files()[CARD].decode()
    assert "model-index" not in card
    assert "NOT COMPARABLE" in card


def test_a_later_push_replaces_what_was_pushed_and_leaves_what_others_put_there(
    api, weights, write_run
):
    first, second = write_run("good"), write_run("other", 0.5)
    assert run("push", first, second, REPO).exit_code == 0
    api.files()["notes.txt"] = b"mine"
    result = run("push", first, REPO)
    assert "removed, of an earlier push: runs/small-c-1/other/ranks.parquet" in result.output
    assert "runs/small-c-1/other/record.json" not in api.files()
    assert api.files()["notes.txt"] == b"mine"
    assert b"## other" not in api.files()[CARD]
    api.files()[CARD] = b"my own words"
    result = run("push", second, REPO, "--json")
    assert json.loads(result.stdout)["kept_card"] is True
    assert api.files()[CARD] == b"my own words"
    assert "runs/small-c-1/other/record.json" in api.files()


def test_a_card_that_was_there_before_is_left_alone(api, write_run):
    api.create_repo(REPO, repo_type="model", private=False, exist_ok=True)
    api.files()[CARD] = b"my own words"
    assert "was left as it is" in run("push", write_run(), REPO).output
    assert api.files()[CARD] == b"my own words"


def test_a_set_of_the_town_comes_back_whole_and_has_a_configuration_a_cell(api, town_set, tmp_path):
    folder = town_set()
    name = "datasets/somebody/town-c"
    result = run("push", folder, name)
    assert result.exit_code == 0, result.output
    files = api.files("somebody/town-c", "dataset")
    metadata = yaml.safe_load(files[CARD].decode().split("---\n", 2)[1])
    dull = [config for config in metadata["configs"] if config["config_name"] == "full-contrast-5"]
    files_of_dull = [{"split": "test", "path": "set/parquet/full-contrast-5/*.parquet"}]
    assert dull == [{"config_name": "full-contrast-5", "data_files": files_of_dull}]
    assert len(metadata["configs"]) == 6
    assert "may not be passed on" in files[CARD].decode()
    assert run("pull", name, "--out", tmp_path / "got").exit_code == 0
    assert verify(tmp_path / "got" / "set") == []
    assert tree(tmp_path / "got" / "set") == tree(folder)


def test_sets_of_lent_pictures_are_neither_pushed_nor_pulled(api, town_set, tmp_path):
    folder = town_set(dataset="cvusa")
    result = run("push", folder, "datasets/somebody/set")
    assert result.exit_code == 1
    assert "cvusa, whose pictures may not be passed on" in result.output
    assert api.calls == []
    # Somebody else has pushed one by hand.
    files = {f"set/{name}": data for name, data in tree(folder).items()}
    lay_out(api, files, "dataset")
    result = run("pull", f"datasets/{REPO}", "--out", tmp_path / "got")
    assert result.exit_code == 1
    assert "pictures made of cvusa, which may not be passed on" in result.output
    assert tree(tmp_path / "got") == {}


def lay_out(api, files, kind="model", **changes):
    """Have a repository with these files, and a page that names them."""
    entries = {
        name: Entry(sha256=hashlib.sha256(data).hexdigest(), bytes=len(data))
        for name, data in files.items()
    }
    page = Page(kind=kind, cvgl_bench="1", card_sha256="0" * 64, files=entries)
    content = json.dumps(json.loads(page.text) | changes).encode()
    return api._add((kind, REPO), {**files, PAGE: content})


def test_what_cannot_be_pushed_is_refused_before_anything_is_sent(
    api, weights, write_run, town_set, tmp_path
):
    good = write_run(weights=weights)
    unlike = write_run("unlike")
    pickled = tmp_path / "model.pth"
    pickled.write_bytes(b"\x80\x04")
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(weights.read_bytes()[:-3])
    broken = write_run("broken")
    (broken / "ranks.parquet").write_bytes((good / "ranks.parquet").read_bytes())
    town = town_set("tree")
    mistakes = {
        "may be a pickle": (pickled, REPO),
        "damaged": (damaged, REPO),
        "there is no checkpoint": (tmp_path / "no.safetensors", REPO),
        "is no run, checkpoint or set": (tmp_path, REPO),
        "does not follow from its ranks": (broken, REPO),
        "made with no weights": (unlike, weights, REPO),
        "one checkpoint": (weights, weights.parent, REPO),
        "two runs of good": (good, good, REPO),
        "generate --format parquet": (town, "datasets/a/b"),
        "without anything else": (town, good, "datasets/a/b"),
        "names no repository": (good, "just-a-name"),
        "a model goes to": (good, f"datasets/{REPO}"),
    }
    for message, arguments in mistakes.items():
        result = run("push", *arguments)
        assert result.exit_code == 1, (arguments, result.output)
        assert message in result.output
        assert result.output.count("\n") == 1
        assert run("push", *arguments, "--dry-run").output == result.output
    assert api.calls == []


def test_a_broken_set_is_not_pushed(api, town_set):
    folder = town_set()
    part = folder / "parquet/full-contrast-5/part-00000.parquet"
    part.write_bytes(part.read_bytes()[:-100])
    result = run("push", folder, "datasets/a/b")
    assert result.exit_code == 1
    assert "is not what its manifest says" in result.output
    assert api.calls == []


def test_a_dry_run_checks_and_sends_nothing(api, write_run):
    result = run("push", write_run(), REPO, "--dry-run", "--json")
    document = json.loads(result.stdout)
    assert document["commit"] is None
    assert RECORD_PATH in document["files"]
    assert "# some-model" in document["card"]
    assert api.calls == []


@pytest.mark.parametrize("name", [RECORD_PATH, "runs/small-c-1/good/ranks.parquet", PAGE])
def test_files_that_were_altered_on_the_way_are_refused(api, write_run, tmp_path, name):
    run("push", write_run(), REPO)
    api.files()[name] = api.files()[name][:-1] + b" "
    result = run("pull", REPO, "--out", tmp_path / "got")
    if name == PAGE:  # another blank at the end of JSON says the same
        assert result.exit_code == 0
        api.files()[name] = b"{}"
        result = run("pull", REPO, "--out", tmp_path / "other")
        assert "is not what push writes" in result.output
    else:
        assert "its SHA-256 is another" in result.output
        assert not (tmp_path / "got/runs").exists()
    assert result.exit_code == 1
    assert not (tmp_path / "other/pulled.json").exists()


def test_numbers_that_do_not_follow_are_refused_even_if_the_page_names_them(
    api, write_run, weights, tmp_path
):
    folder = write_run(weights=weights)
    record = json.loads((folder / "record.json").read_text())
    record["cells"][0]["r1"], record["cells"][0]["r5"] = 0.81, 0.81
    ranks = (folder / "ranks.parquet").read_bytes()
    files = {
        RECORD_PATH: json.dumps(record).encode(),
        RECORD_PATH.replace("record.json", "ranks.parquet"): ranks,
    }
    honest = files | {RECORD_PATH: (folder / "record.json").read_bytes()}
    other = tmp_path / "other.safetensors"
    save_file({"layer": np.zeros(2)}, other)
    for layout, message in (
        (files, "does not follow from its ranks"),
        ({RECORD_PATH: honest[RECORD_PATH]}, "holds no ranks"),
        (honest | {"weights.safetensors": other.read_bytes()}, "name the checkpoint of that run"),
        (honest | {"weights.safetensors": b"pickle"}, "is not a safetensors file"),
        (honest | {"more.safetensors": b"x"}, "has other files than push writes"),
        (honest | {"set/parquet/a.parquet": b"x"}, "has other files than push writes"),
        (
            {name.replace("good", "better"): data for name, data in honest.items()},
            "has other files than push writes",
        ),
    ):
        api.repos.clear()
        lay_out(api, layout)
        result = run("pull", REPO, "--out", tmp_path / "got")
        assert result.exit_code == 1, result.output
        assert message in result.output
        assert result.output.count("\n") == 1
        assert tree(tmp_path / "got") == {}


OUTSIDE = ["../up.json", "/etc/x.json", "a/../b.json", "a//b.json", "a\\b.json", "x.json/", PAGE]
ODD = [".hidden/x.json", "x.py", "weights.bin", "a\nb.json", "a b.json", "a/" * 9 + "x.json"]


@pytest.mark.parametrize("name", [*OUTSIDE, *ODD])
def test_a_page_cannot_name_a_place_outside_or_a_file_that_runs(api, write_run, tmp_path, name):
    run("push", write_run(), REPO)
    page = json.loads(api.files()[PAGE])
    page["files"][name] = {"sha256": "0" * 64, "bytes": 1}
    api.files()[PAGE] = json.dumps(page).encode()
    api.files()[name] = b"x"
    result = run("pull", REPO, "--out", tmp_path / "a/got")
    assert result.exit_code == 1
    assert "is not what push writes" in result.output
    assert result.output.count("\n") == 1
    assert [call for call in api.calls if call.startswith("hf")] == [f"hf_hub_download {PAGE}"]


def test_a_pull_that_was_killed_goes_on_and_a_whole_one_is_left_as_it_is(
    api, write_run, weights, tmp_path, monkeypatch
):
    run("push", write_run(weights=weights), weights, REPO)
    api.failing[f"hf_hub_download {RECORD_PATH}"] = KeyboardInterrupt()
    out = tmp_path / "got"
    assert run("pull", REPO, "--out", out).exit_code == 1
    assert not (out / "pulled.json").exists()
    api.failing.clear()
    assert run("pull", REPO, "--out", out).exit_code == 0
    before = tree(out)
    api.calls.clear()
    assert run("pull", REPO, "--out", out).exit_code == 0
    assert [call for call in api.calls if call.startswith("hf")] == [f"hf_hub_download {PAGE}"]
    assert tree(out) == before
    (out / RECORD_PATH).write_text("altered")
    assert run("pull", REPO, "--out", out).exit_code == 0
    assert tree(out)[RECORD_PATH] == before[RECORD_PATH]


def test_a_folder_that_holds_something_else_is_left_alone(api, write_run, tmp_path):
    run("push", write_run(), REPO)
    used = tmp_path / "used"
    used.mkdir()
    (used / "mine.txt").write_text("mine")
    result = run("pull", REPO, "--out", used)
    assert "holds other files (mine.txt)" in result.output
    assert tree(used) == {"mine.txt": b"mine"}
    assert run("pull", REPO, "--out", tmp_path / "got").exit_code == 0
    run("push", write_run(share=0.4), REPO)
    result = run("pull", REPO, "--out", tmp_path / "got")
    assert "name a new folder" in result.output
    assert result.exit_code == 1


FAILURES = {
    "no such revision": ("repo_info", answered(errors.RevisionNotFoundError, 404)),
    "there is no repository": ("repo_info", answered(errors.RepositoryNotFoundError, 401)),
    "is gated: ask for access": ("repo_info", answered(errors.GatedRepoError, 403)),
    "HF_HUB_OFFLINE is set": ("repo_info", errors.OfflineModeIsEnabled("off")),
    "cannot be reached": ("repo_info", ConnectionError("no route")),
    "the Hub answered 503": ("repo_info", answered(errors.HfHubHTTPError, 503)),
    "is there a network": (f"hf_hub_download {PAGE}", errors.LocalEntryNotFoundError("no file")),
    "No space left": (f"hf_hub_download {RECORD_PATH}", OSError(28, "No space left on device")),
}


@pytest.mark.parametrize("message", FAILURES)
def test_every_failure_of_a_pull_is_one_sentence(api, write_run, tmp_path, message):
    run("push", write_run(), REPO)
    where, error = FAILURES[message]
    api.failing[where] = error
    result = run("pull", REPO, "--out", tmp_path / "got")
    assert result.exit_code == 1
    assert message in result.output
    assert result.output.startswith("cvgl-bench: ")
    assert result.output.count("\n") == 1
    assert not (tmp_path / "got/pulled.json").exists()


@pytest.mark.parametrize(
    ("where", "error", "message"),
    [
        ("create_repo", errors.LocalTokenNotFoundError("none"), "there is no Hugging Face token"),
        ("create_repo", answered(errors.HfHubHTTPError, 401), "your token may not do this"),
        ("create_commit", answered(errors.HfHubHTTPError, 403), "may write there"),
        ("create_commit", answered(errors.HfHubHTTPError, 412), "changed in the meantime"),
        ("create_commit", answered(errors.BadRequestError, 400), "the Hub answered 400"),
    ],
)
def test_every_failure_of_a_push_is_one_sentence(api, write_run, where, error, message):
    api.failing[where] = error
    result = run("push", write_run(), REPO)
    assert result.exit_code == 1
    assert message in result.output
    assert result.output.count("\n") == 1


def test_unknown_repositories_and_those_of_others_are_told_apart(api, tmp_path):
    result = run("pull", "somebody/nothing", "--out", tmp_path / "got")
    assert "there is no repository somebody/nothing" in result.output
    api._add(("model", REPO), {"model.safetensors": b"x"})
    result = run("pull", REPO, "--out", tmp_path / "got")
    assert f"holds no {PAGE}: cvgl-bench has not pushed it" in result.output
    assert not (tmp_path / "got").exists()


def test_the_real_client_without_a_hub_is_one_sentence(monkeypatch, write_run, tmp_path):
    # A port of this machine that nothing listens to.
    client = HfApi(endpoint="http://127.0.0.1:9", token="hf_none")
    monkeypatch.setattr(hub, "connect", lambda: client)
    for arguments in (("pull", REPO, "--out", tmp_path / "got"), ("push", write_run(), REPO)):
        result = run(*arguments)
        assert result.exit_code == 1
        assert "the Hub cannot be reached" in result.output
        assert result.output.count("\n") == 1


def test_a_machine_that_is_told_to_stay_offline_says_so(tmp_path):
    command = [sys.executable, "-m", "cvgl_bench", "pull", REPO, "--out", str(tmp_path / "got")]
    environment = os.environ | {"HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == f"cvgl-bench: {REPO} is out of reach: HF_HUB_OFFLINE is set.\n"
    assert done.stdout == ""


def test_the_client_that_is_used_is_huggingfaces_and_says_who_asks():
    client = hub.connect()
    assert isinstance(client, HfApi)
    assert client.library_name == "cvgl-bench"


def test_without_the_extra_a_sentence_says_how_to_get_it(monkeypatch, write_run):
    folder = write_run()
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    result = run("push", folder, REPO)
    assert result.exit_code == 1
    assert "pip install 'cvgl-bench[hub]'" in result.output


@pytest.mark.parametrize(
    ("text", "kind", "name", "revision"),
    [
        ("a/b", "model", "a/b", None),
        ("a/b@v1.0", "model", "a/b", "v1.0"),
        ("datasets/a/b@refs/pr/1", "dataset", "a/b", "refs/pr/1"),
        ("hf://datasets/a/b", "dataset", "a/b", None),
    ],
)
def test_a_repository_is_named_as_the_hub_names_it(text, kind, name, revision):
    repo = hub.parse_repo(text)
    assert (repo.kind, repo.id, repo.revision) == (kind, name, revision)
    assert hub.parse_repo(str(repo)) == repo


@given(st.text(max_size=40) | st.from_regex(r"[a-z./@-]{0,30}", fullmatch=True))
def test_any_text_is_a_repository_or_one_sentence(text):
    try:
        repo = hub.parse_repo(text)
    except hub.HubError as error:
        sentence = str(error)
    else:
        sentence = ""
        assert hub.parse_repo(str(repo)) == repo
        assert repo.id.count("/") == 1
    assert not sentence or ("names no repository" in sentence and sentence.isprintable())
