import math

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, layer_norm, normalize

from cvgl_bench.errors import ModelError
from cvgl_bench.models import backbones
from cvgl_bench.models.checkpoint import write_checkpoint
from cvgl_bench.models.config import Config
from cvgl_bench.models.enhancement import ChannelCalibration, EnhancementBlock, SpatialAttention
from cvgl_bench.models.mrgeo import MRGeo, MRGeoNet, RegionAggregation

torch.set_num_threads(1)

TINY = {"depths": [1, 1, 1, 1], "dims": [8, 16, 24, 32]}
SWITCHES = [
    {},
    {"sarm": "none", "ccm": "none", "rgam": False},
    {"sarm": "none", "ccm": "none"},
    {"rgam": False},
    {"sarm": "2:1"},
    {"sarm": "1:1"},
    {"sarm": "1:2"},
    {"ccm": "fc"},
    {"ccm": "xcit", "heads": 4},
    {"blocks": 2, "neighbourhood": 5, "heads": 2},
]


def config(backbone="convnext_atto", backbone_options=TINY, sizes=((32, 128), (64, 64)), **options):
    return Config(
        method="mrgeo",
        backbone=backbone,
        backbone_options=backbone_options,
        ground_size=sizes[0],
        aerial_size=sizes[1],
        options=options,
    )


def network(seed=0, **options):
    torch.manual_seed(seed)
    return MRGeoNet(config(**options)).eval()


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def stirred(module, seed=0):
    """The module with weights so large that nothing it does is lost in rounding."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in module.parameters():
            tensor.copy_(torch.randn(tensor.shape, generator=generator) * 0.5 + 0.2)
    return module.eval()


@torch.no_grad()
def test_regions_are_normed_means_in_the_order_of_the_strips():
    norm = stirred(nn.LayerNorm(5, eps=1e-6))
    aggregation = RegionAggregation(norm, regions=True)
    panorama, tile = drawn(1, 5, 2, 8), drawn(1, 5, 4, 6)
    strips = [panorama[0, :, :, 2 * k : 2 * k + 2] for k in range(4)]
    south, north, west, east = slice(2, 4), slice(0, 2), slice(0, 3), slice(3, 6)
    order = [(south, west), (north, west), (north, east), (south, east)]
    quadrants = [tile[0, :, rows, columns] for rows, columns in order]
    for features, side, regions in ((panorama, "ground", strips), (tile, "aerial", quadrants)):
        means = torch.stack([region.double().mean((1, 2)) for region in regions])
        wanted = layer_norm(means, (5,), norm.weight.double(), norm.bias.double(), 1e-6).flatten()
        found = aggregation(features, side, is_whole=True)[0].double()
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_regions_of_sides_that_cannot_be_divided_share_their_border():
    aggregation = RegionAggregation(nn.LayerNorm(2, eps=0.0), regions=True)
    means = []
    aggregation.norm.register_forward_pre_hook(lambda _, given_: means.append(given_[0]))
    panorama = torch.arange(6.0).expand(1, 2, 3, 6)
    tile = torch.arange(9.0).reshape(1, 1, 3, 3).expand(1, 2, 3, 3)
    aggregation(panorama, "ground", is_whole=True)
    aggregation(tile, "aerial", is_whole=False)
    assert means[0][0, :, 0].tolist() == [0.5, 1.5, 3.5, 4.5]
    assert means[1][0, :, 0].tolist() == [5.0, 2.0, 3.0, 6.0]


def head(seed=0):
    """Blocks and regions behind a backbone, on features of 8 channels, all of them stirred."""
    spatial = SpatialAttention(8, heads=2, neighbourhood=3, fusion="gated")
    block = stirred(EnhancementBlock(spatial, ChannelCalibration(8)), seed)
    regions = RegionAggregation(stirred(nn.LayerNorm(8), seed), regions=True)

    def described(features, side):
        is_whole = side == "ground"
        return regions(block(features, wraps=is_whole), side, is_whole=is_whole).reshape(-1, 4, 8)

    return described


@torch.no_grad()
def test_turning_the_world_by_quarters_moves_both_views_parts_alike():
    described = head()
    panorama, tile = drawn(2, 8, 3, 12), drawn(2, 8, 6, 6, seed=1)
    for quarters in range(1, 4):
        # The world turned clockwise: what was seen in the north is now seen in the east.
        rolled = panorama.roll(3 * quarters, dims=3)
        turned = torch.rot90(tile, -quarters, dims=(2, 3))
        for whole, moved, side in ((panorama, rolled, "ground"), (tile, turned, "aerial")):
            wanted = described(whole, side).roll(quarters, dims=1)
            torch.testing.assert_close(described(moved, side), wanted, atol=1e-5, rtol=1e-5)
            assert not torch.allclose(described(moved, side), described(whole, side), atol=1e-2)


@torch.no_grad()
def test_only_a_whole_panorama_wraps():
    net, told = network(), []
    net.blocks[0].spatial.register_forward_pre_hook(
        lambda _, args, kwargs: told.append(kwargs["wraps"]), with_kwargs=True
    )
    net(drawn(1, 3, 32, 128), "ground")
    net(drawn(1, 3, 32, 64), "ground", fov_degrees=180.0)
    net(drawn(1, 3, 64, 64), "aerial")
    assert told == [True, False, False]


def info_nce(ground, aerial, log_scale):
    logits, truth = log_scale.exp() * ground @ aerial.T, torch.arange(len(ground))
    return (cross_entropy(logits, truth) + cross_entropy(logits.T, truth)) / 2


@pytest.mark.parametrize("options", SWITCHES, ids=str)
def test_every_switch_trains_every_tensor(options):
    net = network(**options).train()
    before = {name: tensor.detach().clone() for name, tensor in net.named_parameters()}
    optimiser = torch.optim.SGD(net.parameters(), lr=100.0)
    ground = net(drawn(4, 3, 64, 128), "ground")
    aerial = net(drawn(4, 3, 64, 64, seed=1), "aerial")
    assert ground.shape == aerial.shape == (4, 32 if options.get("rgam") is False else 128)
    info_nce(ground, aerial, net.logit_scale).backward()
    optimiser.step()
    kept = [name for name, tensor in net.named_parameters() if torch.equal(tensor, before[name])]
    assert kept == []


def test_switched_off_modules_have_no_tensors():
    names = {
        switch: {
            name.split(".")[2]
            for name in network(**options).state_dict()
            if name.startswith("blocks")
        }
        for switch, options in {
            "all": {},
            "no sarm": {"sarm": "none"},
            "no ccm": {"ccm": "none"},
            "neither": {"sarm": "none", "ccm": "none"},
        }.items()
    }
    assert names == {
        "all": {"spatial", "channel"},
        "no sarm": {"channel"},
        "no ccm": {"spatial"},
        "neither": set(),
    }


@pytest.mark.parametrize("options", [{}, {"ccm": "xcit"}, {"ccm": "fc", "sarm": "1:1"}], ids=str)
def test_gradients_are_finite_in_bf16(options):
    net = network(**options).train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ground = net(50 * drawn(4, 3, 32, 128), "ground")
        aerial = net(50 * drawn(4, 3, 64, 64, seed=1), "aerial")
    assert ground.dtype == aerial.dtype == torch.float32
    info_nce(ground, aerial, net.logit_scale).backward()
    assert all(torch.isfinite(tensor.grad).all() for tensor in net.parameters())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sarm": "3:1"}, "sarm: Input should be 'gated', '2:1', '1:1', '1:2' or 'none'"),
        ({"ccm": "mfcm"}, "ccm: Input should be"),
        ({"neighbourhood": 4}, "neighbourhood: Input should be 3, 5, 7 or 9"),
        ({"rgam": "yes"}, "rgam: Input should be a valid boolean"),
        ({"blocks": 0}, "blocks: Input should be greater than or equal to 1"),
        ({"strips": 4}, "strips: Unexpected keyword argument"),
        ({"heads": 5}, "5 heads do not divide the 32 channels of 'convnext_atto'"),
    ],
    ids=str,
)
def test_options_that_are_not_its_own_are_refused(options, message):
    with pytest.raises(ModelError, match="mrgeo's options: ") as caught:
        network(**options)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("backbone", "backbone_options"),
    [
        ("convnext_atto", TINY),
        ("vit_tiny_patch16_224", {"depth": 1, "embed_dim": 32, "num_heads": 2}),
        ("test_resnet", {}),
    ],
)
@pytest.mark.parametrize(
    "sizes", [((140, 768), (384, 384)), ((48, 256), (96, 96)), ((33, 47), (45, 32))], ids=str
)
@torch.no_grad()
def test_any_backbone_and_size_gives_descriptors_of_one_kind(backbone, backbone_options, sizes):
    net = network(backbone=backbone, backbone_options=backbone_options, sizes=sizes)
    (height, width), tile = sizes
    views = [net(drawn(2, 3, *tile), "aerial")]
    for fov_degrees in (360.0, 180.0, 90.0, 70.0):
        columns = max(32, int(width * fov_degrees / 360))
        views.append(net(drawn(2, 3, height, columns), "ground", fov_degrees=fov_degrees))
    assert {tuple(view.shape) for view in views} == {(2, 4 * backbones.channels(net.backbone))}
    for view in views:
        torch.testing.assert_close(view.norm(dim=1), torch.ones(2))


@torch.no_grad()
def test_a_narrow_view_is_compared_by_the_mean_of_the_quadrants():
    net = network()
    narrow = net(drawn(2, 3, 32, 64), "ground", fov_degrees=180.0).reshape(2, 4, 32)
    assert torch.equal(narrow, narrow[:, :1].expand_as(narrow))
    whole = net(drawn(2, 3, 32, 128), "ground").reshape(2, 4, 32)
    assert not torch.allclose(whole, whole[:, :1].expand_as(whole), atol=1e-3)
    tile = net(drawn(2, 3, 64, 64), "aerial").reshape(2, 4, 32)
    torch.testing.assert_close(
        (narrow * tile).sum((1, 2)), (4 * narrow[:, 0] * tile.mean(1)).sum(1)
    )


@torch.no_grad()
def test_it_starts_as_the_plain_backbone_with_the_norm_of_its_head(monkeypatch):
    torch.manual_seed(0)
    plain = backbones.create("convnext_atto", TINY).eval()
    plain.head.norm.weight.copy_(drawn(32))
    plain.head.norm.bias.copy_(drawn(32, seed=1))
    pictures = drawn(2, 3, 64, 64)
    wanted = normalize(plain(pictures), dim=1)
    monkeypatch.setattr(backbones, "create", lambda *_, **__: plain)
    net = MRGeoNet(config(rgam=False)).eval()
    assert not any(name.startswith("backbone.head") for name in net.state_dict())
    assert (net(pictures, "aerial") * wanted).sum(1).min() > 0.99


@torch.no_grad()
def test_its_checkpoint_describes_as_the_network_did(tmp_path):
    net = network(sarm="1:1", heads=2)
    path = tmp_path / "mrgeo.safetensors"
    write_checkpoint(path, config(sarm="1:1", heads=2), net.state_dict())
    model = MRGeo(path)
    pictures = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    colours = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    mean, deviation = (each[:, None, None] for each in colours)
    wanted = net((pictures - mean) / deviation, "aerial")
    torch.testing.assert_close(model.encode_aerial(pictures), wanted)
    narrow = model.encode_ground(torch.rand(2, 3, 32, 64), fov_degrees=180.0).reshape(2, 4, 32)
    assert torch.equal(narrow[:, 0], narrow[:, 3])


def towns(count):
    """Panoramas of eight directions, and tiles that show the same in quite other colours.

    All places have the same eight colours: they differ by what lies where, and by nothing else.
    """
    generator = torch.Generator().manual_seed(3)
    seen, from_above = torch.randn(2, 8, 3, generator=generator)
    orders = torch.stack([torch.randperm(8, generator=generator) for _ in range(count)])
    columns = orders.repeat_interleave(16, dim=1)
    panoramas = seen[columns].permute(0, 2, 1)[:, :, None].expand(-1, -1, 32, -1)
    place = torch.arange(64) - 31.5
    heading = torch.atan2(place[None, :], -place[:, None])
    octant = ((heading / (2 * math.pi) + 0.5) * 8).long().clamp(0, 7)
    return panoramas.contiguous(), from_above[orders[:, octant]].permute(0, 3, 1, 2).contiguous()


def test_it_learns_to_find_32_places():
    torch.manual_seed(0)
    options = {"depths": [1, 1, 1, 1], "dims": [8, 16, 32, 64]}
    net = MRGeoNet(config(backbone_options=options))
    panoramas, tiles = towns(32)
    optimiser = torch.optim.AdamW(net.parameters(), lr=3e-3)
    found = []
    for _ in range(120):
        ground, aerial = net(panoramas, "ground"), net(tiles, "aerial")
        found.append(int(((ground @ aerial.T).argmax(1) == torch.arange(32)).sum()))
        if found[-1] == 32:
            break
        optimiser.zero_grad()
        info_nce(ground, aerial, net.logit_scale).backward()
        optimiser.step()
    assert found[0] < 8
    assert found[-1] == 32
