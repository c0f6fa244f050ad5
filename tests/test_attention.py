import io

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import nn
from torch.nn.functional import normalize

from cvgl_bench.attending import attend
from cvgl_bench.attention import (
    Setting,
    aerial_maps,
    fov_consistency,
    ground_maps,
    heading_consistency,
    tile_consistency,
)
from cvgl_bench.attention_file import MAPS, PAGE, AttentionPage
from cvgl_bench.attention_maps import KINDS, draw_maps
from cvgl_bench.datasets import load_dataset
from cvgl_bench.errors import DataError, ModelError
from cvgl_bench.models import backbones
from cvgl_bench.models.config import Config
from cvgl_bench.models.lrfr import LRFR
from cvgl_bench.models.mrgeo import MRGeo
from cvgl_bench.models.reference import Encoders
from cvgl_bench.models.sample4geo import Sample4Geo

torch.set_num_threads(1)

LAYER = Setting(layer="features", batch_size=2)
TINY = {"depths": [1, 1, 1, 1], "dims": [8, 8, 16, 16]}


class Toy(nn.Module):
    """Convolutions that wrap around the seam, then the mean of all places."""

    name, preprocessing, weights_sha256 = "toy", "none", ""

    def __init__(self, kernel=3, stride=4, *, is_linear=False, sign=1.0):
        super().__init__()
        torch.manual_seed(7)
        self.features = nn.Sequential(
            nn.Conv2d(3, 6, kernel, padding=kernel // 2, padding_mode="circular"),
            nn.AvgPool2d(stride),
        )
        self.relu = nn.ReLU(inplace=True)
        self.is_linear, self.sign = is_linear, sign

    def forward(self, images):
        features = self.features(images)
        if self.is_linear:
            return self.sign * features.mean((2, 3))
        return normalize(self.relu(features).mean((2, 3)), dim=1)

    encode_ground = encode_aerial = forward


class Plain:
    """An adapter that is no module of torch's, but holds one."""

    name, preprocessing, weights_sha256 = "plain", "none", ""

    def __init__(self):
        self.net = Toy()

    def encode_ground(self, images):
        return self.net(images)

    encode_aerial = encode_ground


def pictures(count, height, width, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, (height, width, 3), dtype=np.uint8) for _ in range(count)]


def partners(count, width=6, seed=1):
    rows = np.abs(np.random.default_rng(seed).normal(size=(count, width)))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def reference(kind, **changes):
    fields = {
        "method": kind.name,
        "backbone": "convnext_atto",
        "backbone_options": TINY,
        "ground_size": (96, 256),
        "aerial_size": (96, 96),
    }
    config = Config.model_validate(fields | changes)
    torch.manual_seed(3)
    return Encoders(kind.network_class(config), config)


def test_maps_are_those_of_a_literal_computation():
    toy, images, target = Toy(), pictures(3, 16, 24), partners(3)
    found = ground_maps(toy, images, target, setting=LAYER)
    assert found.shape == (3, 4, 6)
    for image, partner, cam in zip(images, target, found, strict=True):
        tensor = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
        activations = toy.features(tensor).detach().double().requires_grad_()
        pooled = torch.stack([activations[0, c].clamp(min=0).mean() for c in range(6)])
        length = torch.sqrt(sum(value**2 for value in pooled))
        sum(pooled[c] / length * float(partner[c]) for c in range(6)).backward()
        literal = np.zeros((4, 6))
        for row in range(4):
            for column in range(6):
                for c in range(6):
                    weight = activations.grad[0, c].mean().item()
                    literal[row, column] += weight * activations[0, c, row, column].item()
        literal = np.maximum(literal, 0)
        np.testing.assert_allclose(cam, literal / literal.max(), atol=1e-5)


@given(
    columns=st.integers(1, 11),
    seed=st.integers(0, 99),
)
@settings(max_examples=12)
def test_a_network_that_turns_with_its_panorama_keeps_its_attention(columns, seed):
    # 48 columns of pixels, 12 of the map: every turn is one of whole columns of both.
    found = heading_consistency(
        Toy(), pictures(1, 24, 48, seed), partners(1), headings=[30 * columns], setting=LAYER
    )
    assert found.scores == pytest.approx([1], abs=1e-5)
    np.testing.assert_allclose(found.maps[0], found.base, atol=1e-5)


def test_a_turn_by_a_part_of_a_column_is_interpolated_and_less_alike():
    one, half = (
        heading_consistency(
            Toy(), pictures(2, 24, 48), partners(2), headings=[angle], setting=LAYER
        ).ssim
        for angle in (30, 15)
    )
    assert (half < one - 0.01).all()
    assert (half > 0.2).all()


class Leftish(nn.Module):
    """Shows the left of whatever it is given."""

    def forward(self, features):
        return features.abs() * torch.linspace(1, 0, features.shape[3]) ** 4


def test_a_network_that_looks_to_its_left_whatever_is_there_scores_lower():
    toy = Toy()
    toy.features.append(Leftish())
    found = heading_consistency(toy, pictures(3, 24, 48), partners(3), setting=LAYER)
    assert found.ssim.shape == (3, 3)
    assert ((found.scores > 0.3) & (found.scores < 0.8)).all()


def test_a_narrow_view_is_compared_with_its_own_columns():
    # Where all is linear and no place sees another, weights change by a factor only.
    toy = Toy(kernel=1, is_linear=True)
    images, target = pictures(2, 24, 48), partners(2)
    for heading in (0, 90, 180, 270, -30):
        found = fov_consistency(
            toy, images, target, fovs=[360, 180, 120], heading_degrees=heading, setting=LAYER
        )
        assert [each.shape[2] for each in found.maps] == [12, 6, 4]
        np.testing.assert_allclose(found.ssim, 1, atol=1e-4)
    assert found.parts[1] == (-30, 180)


def test_a_tile_is_turned_by_quarters_and_its_map_back():
    toy = Toy(kernel=1)
    found = tile_consistency(toy, pictures(2, 24, 24), partners(2), setting=LAYER)
    np.testing.assert_allclose(found.scores, 1, atol=1e-5)
    assert found.conditions == ("turned by 90°", "turned by 180°", "turned by 270°")
    assert found.base.max() == 1


def test_maps_without_attention_agree_with_nothing_and_are_counted():
    toy = Toy(is_linear=True, sign=-1.0)
    toy.features.append(nn.ReLU())
    found = heading_consistency(
        toy, pictures(2, 24, 48), partners(2), headings=[90, 180], setting=LAYER
    )
    assert found.is_nought.all()
    assert not found.ssim.any()
    assert found.scores.tolist() == [0.5, 0.5]
    assert draw_maps(pictures(2, 24, 48), found).startswith(b"\x89PNG")


def test_nothing_is_left_behind():
    toy = Toy()
    toy.features[0].bias.requires_grad_(False)
    toy.train()
    before = {name: part.clone() for name, part in toy.state_dict().items()}
    with torch.inference_mode():
        ground_maps(toy, pictures(1, 24, 48), partners(1), setting=LAYER)
    flags = {name: part.requires_grad for name, part in toy.named_parameters()}
    assert flags == {"features.0.weight": True, "features.0.bias": False}
    assert all(part.grad is None for part in toy.parameters())
    assert not toy.training
    assert not any(part._forward_hooks for part in toy.modules())
    assert all(torch.equal(part, before[name]) for name, part in toy.state_dict().items())


def test_an_adapter_that_holds_its_module_names_the_way_to_it():
    images, target = pictures(1, 24, 48), partners(1)
    found = ground_maps(Plain(), images, target, setting=Setting(layer="net.features"))
    np.testing.assert_array_equal(found, ground_maps(Toy(), images, target, setting=LAYER))


def test_the_last_map_of_a_reference_model_is_looked_at():
    adapter = reference(Sample4Geo)
    backbone = adapter.network.model
    images, target = pictures(2, 96, 256), partners(2, 16)
    found = ground_maps(adapter, images, target)
    assert found.shape == (2, 3, 8)
    assert "forward_features" not in vars(backbone)
    assert all(part.requires_grad for part in adapter.parameters())
    named = ground_maps(
        adapter, images, target, setting=Setting(layer="network.model.norm_pre", batch_size=1)
    )
    np.testing.assert_allclose(found, named, atol=1e-5)
    tensor = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255
    features = []
    original = backbone.forward_features
    backbone.forward_features = lambda x: features.append(original(x)) or features[-1]
    rows = adapter.encode_ground(tensor)
    (gradient,) = torch.autograd.grad((rows * torch.from_numpy(target)).sum(), features[0])
    literal = (gradient.mean((2, 3), keepdim=True) * features[0]).sum(1).relu().detach().numpy()
    highest = np.maximum(literal.max(axis=(1, 2), keepdims=True), 1e-30)
    np.testing.assert_allclose(found, literal / highest, atol=1e-5)


VIT = {"depth": 1, "embed_dim": 32, "num_heads": 2}


@pytest.mark.parametrize(
    ("kind", "changes", "size"),
    [
        (MRGeo, {}, (3, 8)),
        (LRFR, {"options": {"groups": 4, "clusters": 4, "dims": 4, "hidden": 8}}, (6, 16)),
        (Sample4Geo, {"backbone": "vit_tiny_patch16_224", "backbone_options": VIT}, (6, 16)),
        (
            Sample4Geo,
            {"backbone": "vit_tiny_patch16_224", "backbone_options": VIT, "narrow": "pad"},
            (6, 16),
        ),
    ],
)
def test_every_reference_model_and_kind_of_backbone_has_maps(kind, changes, size):
    adapter = reference(kind, **changes)
    images = pictures(1, 96, 256)
    tensor = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        target = adapter.eval().encode_aerial(tensor[..., :96]).numpy()
        rows = adapter.encode_ground(tensor)
    assert ground_maps(adapter, images, target).shape == (1, *size)
    found = fov_consistency(adapter, images, target, fovs=[180])
    assert found.maps[0].shape == (1, size[0], size[1] // 2)
    tiles = tile_consistency(adapter, pictures(1, 96, 96), rows.numpy(), quarters=[1])
    assert tiles.base.shape == (1, size[0], size[0])
    with torch.no_grad():
        assert torch.equal(adapter.encode_ground(tensor), rows)


def test_the_layout_of_tokens_is_that_of_the_feature_map():
    adapter = reference(Sample4Geo, backbone="vit_tiny_patch16_224", backbone_options=VIT)
    with torch.no_grad():
        expected = backbones.feature_map(adapter.network.model, torch.ones(1, 3, 96, 256))
    assert expected.shape == (1, 32, 6, 16)


def test_a_picture_of_the_maps_shows_samples_and_conditions():
    images, target = pictures(3, 24, 48), partners(3)
    found = fov_consistency(Toy(), images, target, fovs=[180, 120], setting=LAYER)
    drawn = draw_maps(images, found, samples=2)
    assert drawn == draw_maps(images, found, samples=2)
    with Image.open(io.BytesIO(drawn)) as picture:
        assert picture.width > picture.height > 100


class Blind(Toy):
    @torch.no_grad()
    def encode_ground(self, images):
        return self(images)


@pytest.mark.parametrize(
    ("adapter", "changes", "message"),
    [
        (Toy(), {"setting": Setting()}, "name the layer"),
        (Toy(), {"setting": Setting(layer="fetures")}, "has no module 'fetures'"),
        (Plain(), {"setting": Setting(layer="features")}, "has no module"),
        (Blind(), {}, "no gradient reaches"),
        (Toy(), {"partners": partners(1, 5)}, "partners of the wrong shape"),
        (Toy(), {"partners": partners(2)}, "as many partners"),
        (Toy(stride=24), {}, "1 x 2 places are too small"),
    ],
)
def test_what_has_no_maps_is_refused_in_a_sentence(adapter, changes, message):
    given = {"partners": partners(1), "setting": LAYER} | changes
    with pytest.raises(ModelError, match=message):
        heading_consistency(adapter, pictures(1, 24, 48), **given)


def test_pictures_of_several_sizes_and_no_field_of_view_are_refused():
    with pytest.raises(DataError, match="one size"):
        aerial_maps(Toy(), pictures(1, 24, 24) + pictures(1, 24, 48), partners(2), setting=LAYER)
    with pytest.raises(DataError, match="at least one"):
        ground_maps(Toy(), [], partners(0), setting=LAYER)
    with pytest.raises(ModelError, match="field of view"):
        fov_consistency(Toy(), pictures(1, 24, 48), partners(1), fovs=[0], setting=LAYER)


def test_attending_writes_numbers_maps_and_pictures_of_a_run(make_cvusa, small_suite, tmp_path):
    pairs = load_dataset("cvusa", make_cvusa(5, panorama=(24, 96)), "val").pairs
    suite, out = small_suite(pairs=5), tmp_path / "run"
    found = attend(Toy(), suite, pairs, out, LAYER)
    page = AttentionPage.model_validate_json((out / PAGE).read_text())
    assert {kind: each.model_dump() for kind, each in page.kinds.items()} == found
    assert (page.model, page.fingerprint, page.samples) == ("toy", suite.fingerprint, 5)
    assert found["heading"]["places"] == (6, 24)
    assert found["heading"]["score"] == pytest.approx(1, abs=1e-5), "it turns with its panorama"
    assert list(found["fov"]["by_condition"]) == [f"{fov}° towards 0°" for fov in (180, 90, 70)]
    with np.load(out / MAPS, allow_pickle=False) as arrays:
        assert arrays["tile.pictures"].shape == (3, 40, 40)
        assert arrays["fov.maps3"].shape == (3, 6, 5)
    assert {path.name for path in out.iterdir()} == {
        *(PAGE, MAPS),
        *(f"attention-{kind}.png" for kind in KINDS),
    }
    before = [(out / name).read_bytes() for name in (PAGE, MAPS)]
    attend(Toy(), suite, pairs, out, LAYER)
    assert before == [(out / name).read_bytes() for name in (PAGE, MAPS)]
