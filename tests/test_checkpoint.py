import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import nn

from cvgl_bench.errors import ModelError
from cvgl_bench.files import sha256
from cvgl_bench.models.checkpoint import (
    ABOUT,
    load_strictly,
    read_checkpoint,
    read_state_dict,
    write_checkpoint,
)
from cvgl_bench.models.config import Config

CONFIGURED = Config(
    method="sample4geo",
    backbone="convnext_atto",
    backbone_options={"depths": [1, 1, 1, 1]},
    ground_size=(48, 256),
    aerial_size=(96, 96),
    antialias=True,
    narrow="pad",
    options={"blocks": 2},
)


def network():
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "small.safetensors"
    write_checkpoint(path, CONFIGURED, network().state_dict(), training={"epochs": 3})
    return path


def test_a_checkpoint_comes_back_as_it_was_written(written):
    found = read_checkpoint(written)
    assert (found.path, found.config, found.training) == (written, CONFIGURED, {"epochs": 3})
    assert found.sha256 == sha256(written.read_bytes())
    expected = network().state_dict()
    assert found.tensors.keys() == expected.keys()
    for key, value in expected.items():
        assert torch.equal(found.tensors[key], value)
        assert found.tensors[key].dtype == value.dtype


def test_the_same_tensors_give_the_same_bytes(written, tmp_path):
    again = tmp_path / "again.safetensors"
    write_checkpoint(again, CONFIGURED, network().state_dict(), training={"epochs": 3})
    assert again.read_bytes() == written.read_bytes()


@settings(max_examples=20)
@given(st.lists(st.floats(-6e4, 6e4, width=16), min_size=1, max_size=9))
def test_what_16_bits_can_hold_survives_half_a_file(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("half") / "half.safetensors"
    tensors = {"a": torch.tensor(values), "count": torch.tensor(2**40)}
    write_checkpoint(path, CONFIGURED, tensors, half=True)
    assert load_file(path)["a"].dtype == torch.float16
    found = read_checkpoint(path).tensors
    assert found["a"].dtype == torch.float32
    assert torch.equal(found["a"], tensors["a"])
    assert found["count"] == 2**40


def test_tensors_that_are_no_contiguous_or_need_gradients_are_written_too(tmp_path):
    path = tmp_path / "views.safetensors"
    table = torch.arange(6.0).view(2, 3)
    write_checkpoint(path, CONFIGURED, {"turned": table.T, "learnt": nn.Parameter(table)})
    found = read_checkpoint(path).tensors
    assert torch.equal(found["turned"], table.T)
    assert torch.equal(found["learnt"], table)


@pytest.mark.parametrize("suffix", ["pth", "pt", "bin"])
def test_a_state_dict_that_torch_saved_is_read_without_a_configuration(tmp_path, suffix):
    path = tmp_path / f"published.{suffix}"
    state = {key: value.half() for key, value in nn.Linear(3, 2).state_dict().items()}
    torch.save(state, path)
    found = read_checkpoint(path)
    assert (found.config, found.training) == (None, {})
    assert {key: value.dtype for key, value in found.tensors.items()} == {
        "weight": torch.float32,
        "bias": torch.float32,
    }


def test_safetensors_without_a_configuration_are_read(tmp_path):
    path = tmp_path / "plain.safetensors"
    save_file({"a": torch.ones(2)}, path)
    assert read_checkpoint(path).config is None


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ("3", "validation|valid dictionary"),
        (json.dumps(CONFIGURED.model_dump() | {"colour": "red"}), "colour: Extra inputs"),
        (json.dumps({"method": "sample4geo"}), "backbone: Field required"),
        (json.dumps(CONFIGURED.model_dump() | {"ground_size": [1, 256]}), "ground_size.0: "),
    ],
)
def test_a_configuration_that_is_not_known_here_is_refused_with_its_fault(tmp_path, about, message):
    path = tmp_path / "strange.safetensors"
    text = f'{{"config": {about}, "training": {{}}}}'
    save_file({"a": torch.ones(2)}, path, {ABOUT: text})
    with pytest.raises(ModelError, match=message):
        read_checkpoint(path)


def test_a_missing_checkpoint_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"there is no checkpoint '.*absent.pth'"):
        read_checkpoint(tmp_path / "absent.pth")


@pytest.mark.parametrize("kept", [0, 0.02, 0.5, 0.999])
@pytest.mark.parametrize("kind", ["safetensors", "pth"])
def test_a_truncated_checkpoint_is_refused_in_one_sentence(written, tmp_path, kind, kept):
    path = tmp_path / f"torn.{kind}"
    if kind == "pth":
        torch.save(network().state_dict(), path)
    else:
        path.write_bytes(written.read_bytes())
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(ModelError, match=r"torn.*is not a .*, or it is damaged") as caught:
        read_checkpoint(path)
    assert "\n" not in str(caught.value)


def test_a_pickle_that_would_run_code_is_refused_unrun(tmp_path):
    class Harmful:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    path = tmp_path / "harmful.pth"
    torch.save({"weight": Harmful()}, path)
    with pytest.raises(ModelError, match="is not a PyTorch checkpoint"):
        read_checkpoint(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [[1], {"epoch": 3}, {"state": {"a": torch.ones(1)}}, {1: 2}])
def test_something_else_than_a_table_of_tensors_is_refused(tmp_path, content):
    path = tmp_path / "other.pth"
    torch.save(content, path)
    with pytest.raises(ModelError, match="does not hold a plain table of tensors"):
        read_state_dict(path)


def test_tensors_that_fit_fill_the_network():
    wanted, other = network().state_dict(), nn.Sequential(*network())
    for weight in other.parameters():
        nn.init.zeros_(weight)
    load_strictly(other, wanted, Path("a.pth"), "a network")
    assert all(torch.equal(value, wanted[key]) for key, value in other.state_dict().items())


def without(key):
    return lambda tensors: tensors.pop(key)


def with_(**more):
    return lambda tensors: tensors.update(more)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("0.bias"), r"it lacks 1 \(0\.bias\)\. Is it"),
        (without("1.num_batches_tracked"), r"it lacks 1 \(1\.num_batches_tracked\)"),
        (with_(head=torch.ones(1)), r"it has on top 1 \(head\)"),
        (lambda t: t.update({"0.bias": torch.ones(1, 4)}), r"has in another shape 1 \(0\.bias\)"),
        (lambda t: t.update({"0.bias": torch.ones(())}), r"has in another shape 1 \(0\.bias\)"),
        (
            lambda t: t.update({"2.w": t.pop("2.weight")}),
            r"lacks 1 \(2\.weight\), has on top 1 \(2\.w\)",
        ),
        (lambda t: t.clear(), r"lacks 9 \(0\.weight, 0\.bias, 1\.weight, \.\.\.\)"),
    ],
)
def test_tensors_that_do_not_fit_are_listed_and_change_nothing(change, message):
    target = network()
    tensors = {key: value + 1 for key, value in target.state_dict().items()}
    before = {key: value.clone() for key, value in target.state_dict().items()}
    change(tensors)
    with pytest.raises(ModelError, match=r"'a.pth' does not hold the 9 tensors of a net.*") as e:
        load_strictly(target, tensors, Path("a.pth"), "a net")
    assert e.match(message)
    assert all(torch.equal(value, before[key]) for key, value in target.state_dict().items())


@pytest.mark.parametrize(
    "about",
    [
        "[]",
        "no json",
        "3",
        "[" * 100_000,
        "{}",
        json.dumps({"config": CONFIGURED.model_dump(), "training": 3}),
        json.dumps({"config": CONFIGURED.model_dump(), "training": "ab"}),
    ],
)
def test_damaged_words_of_a_file_on_itself_are_told(tmp_path, about):
    path = tmp_path / "damaged.safetensors"
    save_file({"a": torch.ones(2)}, path, {ABOUT: about})
    with pytest.raises(ModelError, match="says of itself is damaged"):
        read_checkpoint(path)


def test_numbers_of_another_kind_are_refused():
    tensors = {"weight": torch.ones(2, 3, dtype=torch.int64), "bias": torch.zeros(2)}
    with pytest.raises(ModelError, match=r"of another kind of number 1 \(weight\)"):
        load_strictly(nn.Linear(3, 2), tensors, Path("ints.pth"), "a layer")


@pytest.mark.parametrize("tensor", [torch.ones(2, device="meta"), torch.ones(2) * 1j])
def test_tensors_without_plain_numbers_are_refused(tmp_path, tensor):
    path = tmp_path / "odd.pth"
    torch.save({"a": tensor}, path)
    with pytest.raises(ModelError, match="does not hold a plain table of tensors"):
        read_state_dict(path)


def test_weights_that_16_bits_cannot_hold_are_not_cut_down(tmp_path):
    path = tmp_path / "large.safetensors"
    with pytest.raises(ModelError, match="too large for 16 bits"):
        write_checkpoint(path, CONFIGURED, {"a": torch.tensor([1e6])}, half=True)
    assert not path.exists()
