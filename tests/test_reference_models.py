import math
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from torch.nn.functional import interpolate, normalize

from cvgl_bench.embedding import embed, is_told_fov
from cvgl_bench.errors import ModelError
from cvgl_bench.evaluation import model_card
from cvgl_bench.models import MODELS, load
from cvgl_bench.models.checkpoint import write_checkpoint
from cvgl_bench.models.config import Config
from cvgl_bench.models.inputs import DEVIATION, MEAN, padded, resize_ground, view_columns
from cvgl_bench.models.reference import Reference
from cvgl_bench.models.sample4geo import PAPERS_BACKBONE, Sample4Geo, SharedEncoder
from cvgl_bench.models.singeo import SinGeo

torch.set_num_threads(1)

TINY = {"depths": [1, 1, 1, 1], "dims": [8, 16, 32, 64]}
VIT = {"depth": 1, "embed_dim": 32, "num_heads": 2}
CLASSES = {"sample4geo": Sample4Geo, "singeo": SinGeo}


def configured(method="sample4geo", **changes):
    fields = {
        "method": method,
        "backbone": "convnext_atto",
        "backbone_options": TINY,
        "ground_size": (48, 256),
        "aerial_size": (96, 96),
    }
    return Config.model_validate(fields | changes)


def published_tensors(seed=0):
    """A small network's tensors under the names of the authors' checkpoints."""
    torch.manual_seed(seed)
    network = timm.create_model("convnext_atto", num_classes=0, **TINY)
    tensors = {f"model.{key}": value for key, value in network.state_dict().items()}
    return network.eval(), {**tensors, "logit_scale": torch.tensor(math.log(1 / 0.07))}


@pytest.fixture(params=["sample4geo", "singeo"])
def method(request, monkeypatch):
    """A method whose authors' checkpoints hold a small network instead of a large one."""
    monkeypatch.setattr(CLASSES[request.param], "published", configured(request.param))
    return request.param


@pytest.fixture
def checkpoint(tmp_path):
    """A function that writes a checkpoint with drawn weights."""

    def write(config):
        torch.manual_seed(1)
        path = tmp_path / "drawn.safetensors"
        write_checkpoint(path, config, SharedEncoder(config).state_dict())
        return path

    return write


def pictures(count, height, width):
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(2))


def by_hand(network, images, size):
    resized = interpolate(images, size, mode="bilinear", align_corners=False)
    for channel in range(3):
        resized[:, channel] = (resized[:, channel] - MEAN[channel]) / DEVIATION[channel]
    with torch.inference_mode():
        return normalize(network(resized), dim=1)


def test_a_published_file_gives_what_its_network_gives(method, tmp_path):
    network, tensors = published_tensors()
    path = tmp_path / "weights_e40_0.9868.pth"
    torch.save(tensors, path)
    model = load(method, path)
    ground, aerial = pictures(2, 64, 352), pictures(2, 120, 120)
    with torch.inference_mode():
        found = model.encode_ground(ground), model.encode_aerial(aerial)
    torch.testing.assert_close(found[0], by_hand(network, ground, (48, 256)))
    torch.testing.assert_close(found[1], by_hand(network, aerial, (96, 96)))
    assert model.name == method
    assert len(model.weights_sha256) == 64
    assert not model.training


@pytest.mark.parametrize("name", CLASSES)
def test_the_published_network_has_the_tensors_of_convnext_base_under_the_authors_names(name):
    network = SharedEncoder(CLASSES[name].published)
    shapes = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    # ConvNeXt-B has 88,591,464 weights with its classifier of 1000 classes.
    assert sum(map(math.prod, shapes.values())) == 88_591_464 - 1_025_000 + 1
    expected = {
        "logit_scale": (),
        "model.stem.0.weight": (128, 3, 4, 4),
        "model.stages.2.blocks.26.gamma": (512,),
        "model.stages.2.blocks.26.conv_dw.weight": (512, 1, 7, 7),
        "model.stages.3.downsample.1.weight": (1024, 512, 2, 2),
        "model.stages.3.blocks.2.mlp.fc2.weight": (1024, 4096),
        "model.head.norm.bias": (1024,),
    }
    assert {key: shapes.get(key) for key in expected} == expected
    assert all(key == "logit_scale" or key.startswith("model.") for key in shapes)


@pytest.mark.parametrize("name", CLASSES)
def test_the_published_sizes_are_the_papers(name):
    config = CLASSES[name].published
    assert (config.method, config.backbone) == (name, PAPERS_BACKBONE)
    assert (config.ground_size, config.aerial_size) == ((140, 768), (384, 384))
    assert not config.antialias


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("logit_scale"), r"lacks 1 \(logit_scale\)"),
        (lambda t: t.pop("model.stem.0.bias"), r"lacks 1 \(model\.stem\.0\.bias\)"),
        (lambda t: t.update(fc=torch.ones(2)), r"on top 1 \(fc\)"),
        (
            lambda t: t.update({"model.stem.0.bias": torch.ones(8, 1)}),
            r"another shape 1 \(model\.stem\.0\.bias\)",
        ),
        (
            lambda t: [t.update({key[6:]: t.pop(key)}) for key in list(t) if key != "logit_scale"],
            r"lacks \d+ \(model\..*on top \d+ \(stem\.0\.weight",
        ),
    ],
)
def test_a_published_file_with_other_tensors_is_refused_with_a_list(
    method, tmp_path, change, message
):
    _, tensors = published_tensors()
    change(tensors)
    path = tmp_path / "other.pth"
    torch.save(tensors, path)
    with pytest.raises(ModelError, match=rf"other\.pth' does not hold the \d+ tensors.*{message}"):
        load(method, path)


def test_a_pickle_that_would_run_code_is_refused_unrun(method, tmp_path):
    class Harmful:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    path = tmp_path / "harmful.pth"
    torch.save({"model.stem.0.bias": Harmful()}, path)
    with pytest.raises(ModelError, match="is not a PyTorch checkpoint"):
        load(method, path)
    assert not (tmp_path / "ran").exists()


def test_a_file_of_another_method_is_refused_by_name(checkpoint):
    path = checkpoint(configured("singeo"))
    assert load("singeo", path).name == "singeo"
    with pytest.raises(ModelError, match="is a checkpoint of singeo, not of sample4geo"):
        load("sample4geo", path)


@pytest.mark.parametrize("name", CLASSES)
def test_without_a_file_the_one_of_the_package_is_read_or_missed_by_name(name, monkeypatch):
    monkeypatch.setattr("cvgl_bench.models.reference.files", lambda package: Path("/nowhere"))
    with pytest.raises(ModelError, match=f"no checkpoint of '{name}' comes with.*--weights"):
        load(name)


def test_a_trained_checkpoint_brings_its_own_sizes_which_records_name(checkpoint):
    config = configured(ground_size=(64, 320), aerial_size=(80, 80), antialias=True)
    model = load("sample4geo", checkpoint(config))
    assert model.config == config
    assert "64x320" in model.preprocessing
    assert "80x80" in model.preprocessing
    assert ", antialiased" in model.preprocessing


@pytest.mark.parametrize("name", ["sample4geo", "mrgeo", "singeo", "lrfr"])
def test_the_four_are_registered_under_their_names_and_are_told_the_field_of_view(name):
    module, _, class_name = MODELS[name].rpartition(":")
    model_class = getattr(import_module(module), class_name)
    assert issubclass(model_class, Reference)
    assert model_class.name == name
    assert is_told_fov(model_class)


@pytest.mark.parametrize(
    ("fov_degrees", "columns"), [(360, 768), (180, 384), (90, 192), (70, 149), (0.1, 32)]
)
def test_a_view_gets_its_share_of_the_columns_rounded_down_but_32_at_least(fov_degrees, columns):
    config = configured(ground_size=(140, 768))
    assert view_columns(config, fov_degrees) == columns
    assert resize_ground(pictures(1, 112, 99), config, fov_degrees).shape == (1, 3, 140, columns)


@pytest.mark.parametrize("columns", [64, 63, 1, 256])
def test_a_padded_view_lies_in_the_middle_between_noughts(columns):
    views = 1 + pictures(2, 48, columns)
    whole = padded(views, configured(narrow="pad"))
    left = (256 - columns) // 2
    assert whole.shape == (2, 3, 48, 256)
    assert torch.equal(whole[..., left : left + columns], views)
    assert whole[..., :left].count_nonzero() == 0
    assert whole[..., left + columns :].count_nonzero() == 0
    assert torch.equal(padded(views, configured(narrow="crop")), views)


@pytest.mark.parametrize("narrow", ["crop", "pad"])
def test_a_network_sees_a_narrow_view_cropped_or_padded(checkpoint, narrow):
    model = load("sample4geo", checkpoint(configured(narrow=narrow)))
    seen = []
    model.network.model.register_forward_pre_hook(lambda module, images: seen.append(images[0]))
    view = np.full((40, 60, 3), 255, np.uint8)
    embed(model, [view], side="ground", fov_degrees=90)
    white = (1 - torch.tensor(MEAN)) / torch.tensor(DEVIATION)
    if narrow == "crop":
        assert seen[0].shape == (1, 3, 48, 64)
        torch.testing.assert_close(seen[0], white[:, None, None].expand(1, 3, 48, 64))
    else:
        assert seen[0].shape == (1, 3, 48, 256)
        torch.testing.assert_close(seen[0].mean(dim=(0, 2, 3)), white / 4)
        assert seen[0][..., :96].count_nonzero() == 0


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("narrow", ["crop", "pad"])
def test_a_transformer_takes_panoramas_of_140_x_768_and_parts_of_them(checkpoint, name, narrow):
    config = configured(
        name,
        backbone="vit_tiny_patch16_224",
        backbone_options=VIT,
        ground_size=(140, 768),
        aerial_size=(384, 384),
        narrow=narrow,
    )
    model = load(name, checkpoint(config))
    with torch.inference_mode():
        rows = [model.encode_aerial(pictures(1, 200, 200))]
        for fov_degrees, width in ((360, 308), (180, 154), (70, 60)):
            rows.append(model.encode_ground(pictures(1, 56, width), fov_degrees=fov_degrees))
    table = torch.cat(rows)
    assert table.shape == (4, 32)
    torch.testing.assert_close(table.norm(dim=1), torch.ones(4))


def test_both_sides_share_one_network(checkpoint):
    model = load("sample4geo", checkpoint(configured(aerial_size=(48, 256))))
    images = pictures(2, 48, 256)
    with torch.inference_mode():
        assert torch.equal(model.encode_ground(images), model.encode_aerial(images))
    assert model.network.logit_scale.item() == pytest.approx(math.log(1 / 0.07))


def test_bfloat16_autocast_gives_float32_rows_of_unit_length_and_finite_gradients():
    network = SharedEncoder(configured())
    with torch.autocast("cpu", torch.bfloat16):
        rows = network(pictures(2, 48, 256), "ground")
    assert rows.dtype == torch.float32
    torch.testing.assert_close(rows.norm(dim=1), torch.ones(2))
    (rows @ rows.T * network.logit_scale.exp()).logsumexp(1).sum().backward()
    assert all(weight.grad.isfinite().all() for weight in network.parameters())


def test_records_say_that_weights_are_another_codes(method, tmp_path):
    path = tmp_path / "published.pth"
    torch.save(published_tensors()[1], path)
    assert "sizes are taken to be the published ones" in model_card(load(method, path)).remarks


@pytest.mark.parametrize(
    ("data", "remark"),
    [
        ({"selected_on": "val", "selected_on_test": "yes"}, "'val', a split that is tested on"),
        ({"selected_on": "500 pairs", "selected_on_test": "no"}, ""),
        ("nonsense", ""),
        (None, ""),
    ],
)
def test_records_say_that_weights_were_chosen_on_a_test_split(data, remark, tmp_path):
    path = tmp_path / "own.safetensors"
    config = configured()
    tensors = SharedEncoder(config).state_dict()
    write_checkpoint(path, config, tensors, training={"data": data})
    found = load("sample4geo", path).remarks
    assert remark in found
    assert bool(found) == bool(remark)


@pytest.mark.parametrize("option", ["checkpoint_path", "pretrained_cfg", "num_classes"])
def test_a_checkpoint_may_not_make_timm_read_other_files(option, tmp_path):
    path = tmp_path / "hostile.safetensors"
    config = configured(backbone_options={**TINY, option: "/etc/passwd"})
    write_checkpoint(path, config, {"a": torch.ones(1)})
    with pytest.raises(ModelError, match=f"takes no option {option} here"):
        load("sample4geo", path)
