import pytest
import timm
import torch

from cvgl_bench.errors import ModelError
from cvgl_bench.models import backbones

torch.set_num_threads(1)

CONVNEXT = "convnext_atto", {"depths": [1, 1, 1, 1], "dims": [8, 16, 32, 64]}
RESNET = "resnet10t", {"stem_width": 8, "channels": [8, 8, 16, 24]}
VIT = "vit_tiny_patch16_224", {"depth": 4, "embed_dim": 32, "num_heads": 2}
VIT_14 = "vit_small_patch14_reg4_dinov2", {"depth": 1, "embed_dim": 32, "num_heads": 2}
DEIT = "deit_tiny_distilled_patch16_224", {"depth": 1, "embed_dim": 32, "num_heads": 2}
SIZES = [(140, 768), (48, 256), (96, 96), (33, 97), (32, 32)]


def rounded_up(size, stride):
    return tuple(-(-side // stride) for side in size)


def rounded_down(size, stride):
    return tuple(side // stride for side in size)


# A ConvNeXt drops the pixels that fill no patch, the others pad them.
EXPECTED = [(CONVNEXT, 32, rounded_down), (RESNET, 32, rounded_up), (VIT, 16, rounded_up)]
EXPECTED += [(VIT_14, 14, rounded_up), (DEIT, 16, rounded_up)]


def ids(values):
    return [value[0][0] for value in values]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("made_of", "stride", "rounded"), EXPECTED, ids=ids(EXPECTED))
def test_any_size_gives_a_descriptor_and_a_map_of_the_networks_stride(
    made_of, stride, rounded, size
):
    network = backbones.create(*made_of).eval()
    images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        features, descriptors = backbones.feature_map(network, images), network(images)
    channels = backbones.channels(network)
    assert features.shape == (2, channels, *rounded(size, stride))
    assert descriptors.shape == (2, channels)
    assert features.isfinite().all()
    assert descriptors.isfinite().all()


@pytest.mark.parametrize(
    ("made_of", "stride", "channels"),
    [(CONVNEXT, 8, 16), (CONVNEXT, 16, 32), (RESNET, 16, 16), (VIT, 16, 32)],
)
@pytest.mark.parametrize("size", [(140, 768), (33, 97)])
def test_a_network_may_end_at_a_stride(made_of, stride, channels, size):
    network = backbones.create(*made_of, stride=stride).eval()
    with torch.inference_mode():
        features = backbones.feature_map(network, torch.randn(2, 3, *size))
    rounded = rounded_down if made_of is CONVNEXT else rounded_up
    assert features.shape == (2, channels, *rounded(size, stride))
    assert backbones.channels(network) == channels


def test_a_network_cut_at_a_stride_has_fewer_tensors_and_none_of_later_stages():
    whole, cut = backbones.create(*CONVNEXT), backbones.create(*CONVNEXT, stride=16)
    assert len(cut.state_dict()) < len(whole.state_dict())
    assert not any("stages_3" in key or "stages.3" in key for key in cut.state_dict())


def test_the_descriptor_of_a_convnext_is_its_normed_mean_as_the_papers_have_it():
    network = backbones.create(*CONVNEXT).eval()
    images = torch.randn(2, 3, 96, 160)
    with torch.inference_mode():
        mean = backbones.feature_map(network, images).mean(dim=(2, 3))
        centred = mean - mean.mean(dim=1, keepdim=True)
        expected = centred / (centred.square().mean(dim=1, keepdim=True) + 1e-6).sqrt()
        torch.testing.assert_close(network(images), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("made_of", "patch"), [(VIT, 16), (VIT_14, 14), (DEIT, 16)])
def test_tokens_are_put_back_where_their_patches_were(made_of, patch):
    name, options = made_of
    network = backbones.create(name, options | {"depth": 0}).eval()
    images = torch.randn(1, 3, 3 * patch, 5 * patch)
    changed = images.clone()
    changed[:, :, patch : 2 * patch, 3 * patch : 4 * patch] += 1
    with torch.inference_mode():
        before, after = (backbones.feature_map(network, x) for x in (images, changed))
    differs = (before != after).any(dim=1)[0]
    assert differs.nonzero().tolist() == [[1, 3]]


def test_channels_that_come_last_are_put_first():
    options = {"depths": (1, 1, 1, 1), "embed_dim": 12, "num_heads": (1, 1, 2, 3)}
    network = backbones.create("swin_tiny_patch4_window7_224", options).eval()
    images = torch.randn(1, 3, 224, 224)
    with torch.inference_mode():
        features = backbones.feature_map(network, images)
        assert features.shape == (1, 96, 7, 7)
        mean = network.forward_features(images).mean(dim=(1, 2))
        torch.testing.assert_close(features.mean(dim=(2, 3)), mean)


@pytest.mark.parametrize("made_of", [CONVNEXT, VIT])
def test_bfloat16_autocast_gives_finite_features_and_gradients(made_of):
    network = backbones.create(*made_of)
    with torch.autocast("cpu", torch.bfloat16):
        features = backbones.feature_map(network, torch.randn(2, 3, 48, 80))
    features.float().square().mean().backward()
    gradients = [weight.grad for weight in network.parameters() if weight.grad is not None]
    assert gradients
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_an_unknown_backbone_is_refused_with_the_nearest_name():
    with pytest.raises(ModelError, match=r"has no network 'convnext_ato'\. Did you mean convnext"):
        backbones.create("convnext_ato", {})


@pytest.mark.parametrize(
    ("name", "options"), [("vit_tiny_patch16_224", {"depht": 1}), ("convnext_atto.no_tag", {})]
)
def test_options_and_tags_that_do_not_fit_are_refused_in_one_line(name, options):
    with pytest.raises(ModelError, match=f"backbone '{name}' cannot be made with") as caught:
        backbones.create(name, options)
    assert "\n" not in str(caught.value)


def test_a_stride_that_a_network_has_not_is_refused_with_those_it_has():
    with pytest.raises(ModelError, match=r"no features of stride 7, only \[4, 8, 16, 32\]"):
        backbones.create(*CONVNEXT, stride=7)


def test_features_that_are_no_map_are_refused():
    class Flat(torch.nn.Module):
        def forward_features(self, images):
            return images.flatten(1)

    with pytest.raises(ModelError, match=r"a feature map was expected, not .*\(2, 192\)"):
        backbones.feature_map(Flat(), torch.randn(2, 3, 8, 8))


def test_pretrained_weights_that_cannot_be_had_are_an_error_with_a_way_out(monkeypatch):
    def offline(name, *, pretrained, **options):
        assert pretrained
        raise OSError("no route to host\nand more")

    monkeypatch.setattr(timm, "create_model", offline)
    message = r"pretrained weights of 'convnext_atto' cannot be had \(OSError: no route to host\).*"
    with pytest.raises(ModelError, match=message + "--no-pretrained") as caught:
        backbones.create("convnext_atto", {}, pretrained=True)
    assert "and more" not in str(caught.value)
