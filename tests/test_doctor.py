import json
import re
import runpy
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file

from cvgl_bench import doctor
from cvgl_bench.cli import main
from cvgl_bench.doctor import examine_model
from cvgl_bench.errors import ModelError
from cvgl_bench.models.checkpoint import write_checkpoint
from cvgl_bench.models.config import Config
from cvgl_bench.models.sample4geo import SharedEncoder

torch.set_num_threads(1)

DOCS = Path(__file__).parents[1] / "docs" / "add-a-model.md"
OWN = """
import torch
from torch.nn.functional import adaptive_avg_pool2d, normalize
from cvgl_bench.files import sha256_of_file

class Good:
    name, preprocessing, weights_sha256 = "good", "none", ""

    def encode_ground(self, images):
        return normalize(adaptive_avg_pool2d(images, 2).flatten(1) - 0.5)

    def encode_aerial(self, images):
        return Good.encode_ground(self, images)

class Told(Good):
    def encode_ground(self, images, fov_degrees):
        return super().encode_ground(images)

class NoNarrowViews(Told):
    def encode_ground(self, images, fov_degrees):
        rows = super().encode_ground(images, fov_degrees)
        return rows if fov_degrees > 80 else rows * torch.nan

class Long(Good):
    def encode_aerial(self, images):
        return 2 * super().encode_aerial(images)

class Unequal(Good):
    def encode_aerial(self, images):
        return normalize(images.mean(dim=(2, 3)))

class Changing(Good):
    calls = 0

    def encode_ground(self, images):
        self.calls += 1
        rows = super().encode_ground(images)
        return normalize(rows + 1e-4 * self.calls * rows.new_tensor([1.0, -1.0] * 6))

class OfTheBatch(Good):
    def encode_ground(self, images):
        rows = super().encode_ground(images)
        return normalize(rows + rows.mean(dim=0))

class OfThePlace(Good):
    def encode_aerial(self, images):
        rows = super().encode_aerial(images)
        return normalize(rows + 0.1 * torch.arange(len(rows))[:, None])

class Raising(Good):
    def encode_ground(self, images):
        raise RuntimeError("first line\\nsecond line " + "x" * 1000)

class BadName(Good):
    name = "Good Model"

class Strict(Good):
    strict = True

    def __init__(self, weights):
        self.weights_sha256 = sha256_of_file(weights)
        self.layer = torch.nn.Linear(3, 2)
        self.layer.load_state_dict(torch.load(weights, weights_only=True), strict=self.strict)

class Lax(Strict):
    strict = False

class Careless(Strict):
    def __init__(self, weights):
        self.weights_sha256 = sha256_of_file(weights)

class Unnamed(Strict):
    def __init__(self, weights):
        super().__init__(weights)
        self.weights_sha256 = ""

class Nested(Strict):
    def __init__(self, weights):
        self.weights_sha256 = sha256_of_file(weights)
        torch.load(weights, weights_only=True)["model"]

class Sealed(Strict):
    def __init__(self, weights):
        self.weights_sha256 = sha256_of_file(weights)
        if "cvgl-bench-doctor" in str(weights):
            raise ValueError("another file than the released one")
"""
SIZES = {"_PANORAMAS": ((32, 176), (48, 96)), "_TILES": ((40, 40), (64, 64))}


@pytest.fixture
def own(tmp_path):
    path = tmp_path / "own.py"
    path.write_text(OWN)
    return path


@pytest.fixture
def small(monkeypatch):
    """Small pictures instead of the usual sizes."""
    for name, sizes in SIZES.items():
        monkeypatch.setattr(doctor, name, sizes)


@pytest.fixture
def linear(tmp_path):
    path = tmp_path / "linear.pth"
    torch.save(torch.nn.Linear(3, 2).state_dict(), path)
    return path


def examine(name, weights=None):
    return {found.check: found for found in examine_model(str(name), weights, device="cpu")}


def failed(found):
    return [check for check, finding in found.items() if finding.passed is False]


def unknown(found):
    return [check for check, finding in found.items() if finding.passed is None]


def test_a_sound_model_passes_at_the_usual_sizes(own):
    found = examine(f"{own}:Good")
    assert all(finding.passed for finding in found.values())
    assert "12 numbers, finite, length 1" in found["ground 308 x 224, 90 degrees"].detail
    assert "ground 1664 x 832" in found
    assert "aerial 750 x 750" in found
    assert len(found) == 18


@pytest.mark.parametrize("name", ["random", "constant", "mean-color"])
def test_the_floors_pass(small, name):
    found = examine(name)
    assert not failed(found)
    assert "no weights, takes no field of view" in found["loads"].detail


def test_it_says_who_is_told_the_field_of_view(small, own):
    found = examine(f"{own}:Told")
    assert not failed(found)
    assert "is told the field of view" in found["loads"].detail


@pytest.mark.parametrize(
    ("class_name", "checks", "detail"),
    [
        ("NoNarrowViews", ["ground 34 x 32, 70 degrees", "ground 10 x 32, 20 degrees"], "NaN"),
        ("Unequal", ["equal widths of both sides"], "ground 12; aerial 3 numbers"),
        (
            "Changing",
            ["ground the same twice"],
            r"difference [1-9]\.\de-04, allowed 1e-05",
        ),
        (
            "OfTheBatch",
            ["ground alone and in a batch"],
            r"difference [1-9]\.\de-0[12], allowed 1e-02",
        ),
        (
            "OfThePlace",
            ["aerial alone and in a batch", "aerial in another order"],
            r"difference [1-9]\.\de-0[12], allowed 1e-02",
        ),
    ],
)
def test_a_fault_fails_the_checks_of_its_kind_only(small, own, class_name, checks, detail):
    found = examine(f"{own}:{class_name}")
    assert failed(found) == checks
    assert re.search(detail, found[checks[0]].detail)


def test_rows_of_another_length_fail_on_their_side_at_every_size(small, own):
    found = examine(f"{own}:Long")
    assert failed(found) == [check for check in found if check.startswith("aerial")]
    assert "length 2 instead of 1" in found["aerial 40 x 40"].detail
    assert unknown(found) == ["equal widths of both sides"]


@pytest.mark.parametrize(
    ("class_name", "detail"),
    [("Goood", "Did you mean 'Good'"), ("BadName", "'Good Model'"), ("Strict", "--weights FILE")],
)
def test_a_model_that_cannot_be_made_or_recorded_ends_the_examination(own, class_name, detail):
    found = examine(f"{own}:{class_name}")
    assert failed(found) == list(found) == ["loads"]
    assert detail in found["loads"].detail


@pytest.mark.parametrize(
    ("class_name", "wrong"),
    [
        ("Strict", []),
        ("Lax", ["a tensor taken away", "a tensor added"]),
        ("Careless", ["a tensor taken away", "a tensor added", "a tensor reshaped"]),
    ],
)
def test_weights_that_do_not_fit_must_be_refused(small, own, linear, class_name, wrong):
    found = examine(f"{own}:{class_name}", linear)
    assert failed(found) == [f"strict weights: {change}" for change in wrong]
    assert len([check for check in found if check.startswith("strict weights: ")]) == 3


def test_weights_under_another_hash_are_told_and_examined_all_the_same(small, own, linear):
    found = examine(f"{own}:Unnamed", linear)
    assert failed(found) == ["weights_sha256 is the file's"]
    assert len([check for check in found if check.startswith("strict weights: ")]) == 3


def test_weights_that_are_refused_unaltered_say_nothing_of_strictness(small, own, linear):
    found = examine(f"{own}:Sealed", linear)
    assert unknown(found) == ["strict weights"]
    assert "another file than the released one" in found["strict weights"].detail


def test_a_table_within_a_table_is_not_altered(small, own, tmp_path):
    path = tmp_path / "nested.pth"
    torch.save({"model": {"a": torch.ones(2)}}, path)
    found = examine(f"{own}:Nested", path)
    assert not failed(found)
    assert "plain table of tensors" in found["strict weights"].detail


def test_a_file_without_a_tensor_is_not_altered(small, own, tmp_path):
    path = tmp_path / "empty.safetensors"
    save_file({}, path)
    found = examine(f"{own}:Careless", path)
    assert "holds no tensor" in found["strict weights"].detail


@pytest.mark.parametrize("given", [True, False], ids=["given", "of the package"])
def test_a_reference_model_passes_with_its_configuration_kept(monkeypatch, small, tmp_path, given):
    fields = {"method": "sample4geo", "backbone": "convnext_atto", "aerial_size": (64, 64)}
    options = {"depths": [1, 1, 1, 1], "dims": [8, 8, 16, 16]}
    config = Config(ground_size=(48, 256), backbone_options=options, **fields)
    path = tmp_path / "checkpoints" / "sample4geo.safetensors"
    write_checkpoint(path, config, SharedEncoder(config).state_dict(), half=True)
    monkeypatch.setattr("cvgl_bench.models.reference.files", lambda package: tmp_path)
    found = examine("sample4geo", path if given else None)
    assert all(finding.passed for finding in found.values())
    assert found["strict weights: a tensor added"].detail == "refused"
    assert "16 numbers" in found["equal widths of both sides"].detail


def test_an_absent_device_is_an_error_and_no_finding(monkeypatch, own):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ModelError, match="no CUDA device"):
        next(examine_model(f"{own}:Good", device="cuda"))


def run(*arguments):
    return CliRunner().invoke(main, ["doctor", "model", *map(str, arguments), "--device", "cpu"])


def test_the_command_prints_a_line_a_check_and_succeeds(small, own):
    result = run(f"{own}:Good")
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert lines[-1].endswith("own.py:Good: none of 16 checks failed.")
    assert [line.split()[0] for line in lines[:-2]] == ["ok"] * 16


def test_the_command_fails_if_a_check_does_and_keeps_to_one_line(small, own):
    result = run(f"{own}:Raising")
    assert result.exit_code == 1
    lines = result.output.splitlines()
    assert re.match(r"FAILED  ground 176 x 32 .*RuntimeError: first line second line x", lines[1])
    assert max(map(len, lines)) < 360
    assert lines[-1].endswith("9 of 16 checks failed.")


def test_the_command_words_one_fault_once(small, own):
    result = run(f"{own}:Raising")
    assert result.output.count("RuntimeError") == 2  # of 9 failed checks; worded in two ways
    assert result.output.count("for the same reason as ground 176 x 32") > 1
    documents = json.loads(run(f"{own}:Raising", "--json").stdout)
    assert not any("same reason" in finding["detail"] for finding in documents["findings"])


def test_the_command_marks_what_could_not_be_checked(small, own, linear):
    result = run(f"{own}:Sealed", "--weights", linear)
    assert result.exit_code == 0
    assert re.search(r"^-       strict weights ", result.output, re.MULTILINE)


def test_the_example_of_the_docs_passes(small, tmp_path):
    (source,) = re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)
    path, weights = tmp_path / "my_model.py", tmp_path / "drawn.pth"
    path.write_text(source)
    torch.save(runpy.run_path(str(path))["make_network"]().state_dict(), weights)
    found = examine(f"{path}:MyModel", weights)
    assert all(finding.passed for finding in found.values())
    assert len([check for check in found if check.startswith("strict weights: ")]) == 3
