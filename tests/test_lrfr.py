import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy, interpolate

from cvgl_bench.embedding import embed
from cvgl_bench.errors import ModelError
from cvgl_bench.models import backbones
from cvgl_bench.models.checkpoint import write_checkpoint
from cvgl_bench.models.config import Config
from cvgl_bench.models.lrfr import (
    GSRA,
    LRFR,
    PAPERS_BACKBONE,
    LRFRNet,
    Relation,
    shuffled,
)

torch.set_num_threads(1)

GROUND, AERIAL = (32, 96), (48, 48)
OPTIONS = {"groups": 8, "clusters": 4, "dims": 5, "hidden": 16, "dropout": 0.0}


def tiny(*, ground=GROUND, aerial=AERIAL, **options):
    return Config(
        method="lrfr",
        backbone="convnext_atto",
        backbone_options={"depths": [1, 1, 1, 1], "dims": [8, 16, 32, 64]},
        ground_size=ground,
        aerial_size=aerial,
        options=OPTIONS | options,
    )


def network(config=None, seed=0):
    torch.manual_seed(seed)
    return LRFRNet(config or tiny())


def maps(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def disturbed(module, seed=1):
    """Norms, too, must have weights and statistics of their own: at first they do nothing."""
    generator = torch.Generator().manual_seed(seed)
    for value in module.state_dict().values():
        if value.is_floating_point() and value.ndim == 1:
            value.uniform_(0.5, 1.5, generator=generator)
    return module


def sigmoid(value):
    return 1 / (1 + math.exp(-value))


def array(tensor):
    return tensor.detach().double().numpy()


def literal_norm(values, norm):
    """Batch norm of (samples, channels, places), with its own statistics or the batch's."""
    result = np.empty_like(values)
    for k in range(values.shape[1]):
        of_channel = values[:, k]
        mean, variance = of_channel.mean(), of_channel.var()
        if not norm.training:
            mean, variance = float(norm.running_mean[k]), float(norm.running_var[k])
        weight, bias = norm.weight[k].item(), norm.bias[k].item()
        result[:, k] = (of_channel - mean) / math.sqrt(variance + norm.eps) * weight + bias
    return result


def literal_relation(relation, theta, phi):
    """Gates, (samples, places): all affinities, one by one, and what they say place by place."""
    samples, channels, places = theta.shape
    joint = np.zeros((samples, 2 * places, places))
    for s in range(samples):
        for i in range(places):
            for j in range(places):
                affinity = sum(theta[s, k, i] * phi[s, k, j] for k in range(channels))
                joint[s, i, j] = affinity
                joint[s, places + j, i] = affinity
    mixed = np.stack([array(relation.mix.weight) @ sample for sample in joint])
    mixed = literal_norm(mixed, relation.mix_norm)
    scores = np.stack([array(relation.score.weight)[:, :, 0] @ sample for sample in mixed])
    scores = literal_norm(scores, relation.score_norm)
    return 1 / (1 + np.exp(-np.maximum(scores, 0)))[:, 0]


def literal_embedding(layers, parts):
    convolution, norm, _ = layers
    mixed = np.stack([array(convolution.weight)[:, :, 0, 0] @ sample for sample in parts])
    return np.maximum(literal_norm(mixed, norm), 0)


def literal_gsra(attention, features, side):
    """The module's formulas group by group and place by place, in float64."""
    channels, rows, columns = features.shape[1:]
    own = channels // attention.groups
    parts = array(features).reshape(-1, own, rows * columns)
    theta = literal_embedding(attention.theta, parts)
    phi = literal_embedding(attention.phi, parts)
    relations = literal_relation(attention.relations[side], theta, phi)
    weight, bias = array(attention.direction.weight)[:, :, 0, 0], array(attention.direction.bias)
    result = np.empty_like(array(features))
    for n, part in enumerate(parts.reshape(-1, own, rows, columns)):
        gated = np.empty_like(part)
        for r in range(rows):
            for c in range(columns):
                down = weight @ part[:, r].mean(axis=1) + bias
                across = weight @ part[:, :, c].mean(axis=1) + bias
                for k in range(own):
                    gate = sigmoid(down[k]) * sigmoid(across[k]) * relations[n, r * columns + c]
                    gated[k, r, c] = part[k, r, c] * gate
        sample, group = divmod(n, attention.groups)
        for k in range(own):
            normed = (gated[k] - gated[k].mean()) / math.sqrt(gated[k].var() + attention.norm.eps)
            normed = normed * attention.norm.weight[k].item() + attention.norm.bias[k].item()
            result[sample, k * attention.groups + group] = normed
    return result


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("side", "size"), [("ground", (2, 5)), ("aerial", (3, 3))])
def test_the_attention_is_that_of_the_formulas(side, size, training):
    torch.manual_seed(3)
    attention = disturbed(GSRA(6, 2, {"ground": (2, 5), "aerial": (3, 3)})).train(training)
    features = maps(3, 6, *size)
    expected = literal_gsra(attention, features, side)
    assert np.allclose(array(attention(features, side)), expected, atol=2e-5)


def test_channels_are_dealt_from_the_groups_in_turn():
    features = torch.arange(6.0).reshape(1, 6, 1, 1)
    assert shuffled(features, 2).flatten().tolist() == [0, 3, 1, 4, 2, 5]
    assert shuffled(features, 3).flatten().tolist() == [0, 2, 4, 1, 3, 5]


@given(st.integers(1, 5), st.integers(1, 5))
def test_shuffling_by_the_other_factor_undoes_it(groups, own):
    features = maps(2, groups * own, 2, 3)
    assert torch.equal(shuffled(shuffled(features, groups), own), features)


@settings(max_examples=10)
@given(st.permutations(range(4)))
def test_groups_share_their_weights(order):
    attention = disturbed(GSRA(12, 4, {"ground": (2, 3)})).eval()
    parts = maps(2, 4, 3, 2, 3)
    # The shuffle undone, a group's channels stand together again.
    apart, mixed = (
        shuffled(attention(given.flatten(1, 2), "ground"), 3).reshape(2, 4, 3, 2, 3)
        for given in (parts, parts[:, order])
    )
    assert torch.allclose(apart[:, order], mixed, atol=1e-5)


@settings(max_examples=20)
@given(st.integers(0, 99))
def test_relations_dampen_by_half_at_most(seed):
    relation = disturbed(Relation((2, 3)), seed).eval()
    gates = relation(maps(4, 3, 2, 3, seed=seed), maps(4, 3, 2, 3, seed=seed + 100))
    assert gates.shape == (4, 1, 2, 3)
    assert gates.min() >= 0.5
    assert gates.max() <= 1


def test_a_map_of_another_width_is_resized_for_its_relations_and_their_gates_back():
    relation = disturbed(Relation((1, 2))).eval()
    theta, phi = maps(2, 3, 1, 4).relu(), maps(2, 3, 1, 4, seed=1).relu()
    halves = [(part[..., 0::2] + part[..., 1::2]) / 2 for part in (theta, phi)]
    first, second = relation(*halves).unbind(dim=3)
    between = [0.75 * first + 0.25 * second, 0.25 * first + 0.75 * second]
    expected = torch.stack([first, *between, second], dim=3)
    assert (first - second).abs().max() > 1e-3
    assert torch.allclose(relation(theta, phi), expected, atol=1e-6)


def with_backbone(config, name, **options):
    return config.model_copy(update={"backbone": name, "backbone_options": options})


# ConvNeXt drops what is left over at the edges, MobileNet pads it.
@pytest.mark.parametrize(
    ("backbone", "grids"),
    [("convnext_atto", [(8, 48), (2, 2)]), ("mobilenetv3_small_050", [(9, 48), (3, 3)])],
)
def test_relations_are_made_for_the_grid_that_the_backbone_gives(backbone, grids):
    config = with_backbone(tiny(ground=(140, 768), aerial=(33, 47), groups=4), backbone)
    made = network(config).eval()
    assert [made.attention.relations[side].grid for side in ("ground", "aerial")] == grids
    for size, grid in zip((config.ground_size, config.aerial_size), grids, strict=True):
        with torch.no_grad():
            features = backbones.feature_map(made.backbone, maps(1, 3, *size))
        assert tuple(features.shape[2:]) == grid


@pytest.mark.parametrize(
    ("side", "size"),
    [
        ("ground", (32, 96)),
        ("ground", (32, 48)),
        ("ground", (32, 18)),
        ("ground", (33, 47)),
        ("ground", (48, 256)),
        ("aerial", (48, 48)),
        ("aerial", (32, 32)),
        ("aerial", (51, 65)),
        ("aerial", (96, 96)),
    ],
)
def test_views_and_tiles_of_any_size_have_descriptors_of_one_width_and_unit_length(side, size):
    with torch.no_grad():
        rows = network().eval()(maps(2, 3, *size), side, fov_degrees=360 * size[1] / 96)
    assert rows.shape == (2, 20)
    assert rows.dtype == torch.float32
    assert torch.allclose(rows.norm(dim=1), torch.ones(2), atol=1e-5)
    assert not torch.allclose(rows[0], rows[1], atol=1e-3)


def trunk_parameters(dims, depths):
    """ConvNeXt's stem and stages: 7 x 7 and two 1 x 1 layers a block, halving before a stage."""
    total = 3 * 16 * dims[0] + dims[0] + 2 * dims[0]
    for stage, (dim, depth) in enumerate(zip(dims, depths, strict=True)):
        total += depth * (49 * dim + dim + 2 * dim + 8 * dim * dim + 5 * dim + dim)
        if stage:
            before = dims[stage - 1]
            total += 2 * before + 4 * before * dim + dim
    return total


def test_the_papers_network_has_the_parameters_of_its_formulas():
    config = Config(method="lrfr", backbone=PAPERS_BACKBONE)
    made = LRFRNet(config)
    own = 384 // 32
    relations = sum(n * n + 2 * (n // 2) + n // 2 + 2 for n in (8 * 48, 24 * 24))
    attention = own * own + own + 2 * (own * own + 2 * own) + 2 * own + relations
    hidden = 384 * 512 + 512
    aggregation = 2 * hidden + 512 * 64 + 64 + 512 * 128 + 128 + 1
    expected = trunk_parameters([96, 192, 384], [3, 3, 9]) + attention + aggregation + 1
    assert sum(value.numel() for value in made.parameters()) == expected


def test_every_tensor_but_the_scale_that_the_loss_does_not_use_learns():
    made = network()
    target = maps(3, 20, seed=1)
    for side, size in (("ground", GROUND), ("aerial", AERIAL)):
        (made(maps(3, 3, *size), side) * target).sum().backward()
    silent = [key for key, value in made.named_parameters() if value.grad is None]
    assert silent == ["logit_scale"]
    assert made.logit_scale.item() == pytest.approx(math.log(1 / 0.07))


def test_in_16_bits_descriptors_and_gradients_are_finite():
    made = network()
    for side, size in (("ground", (32, 70)), ("ground", GROUND), ("aerial", AERIAL)):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rows = made(5 * maps(3, 3, *size), side)
        assert rows.dtype == torch.float32
        assert torch.allclose(rows.norm(dim=1), torch.ones(3), atol=1e-5)
        (rows * maps(3, 20, seed=1)).sum().backward()
    gradients = [value.grad for value in made.parameters() if value.grad is not None]
    assert all(gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"groups": 5}, r"5 groups do not divide the 32 channels.*1, 2, 4, 8, 16, 32\."),
        ({"groups": 0}, "groups"),
        ({"dropout": 1.0}, "dropout"),
        ({"clusters": "many"}, "clusters"),
        ({"heads": 4}, "heads"),
    ],
)
def test_wrong_options_are_refused_by_name(options, message):
    with pytest.raises(ModelError, match=message):
        network(tiny(**options))


def test_a_backbone_that_does_not_take_the_sizes_is_refused():
    config = with_backbone(tiny(), "mixer_s16_224")
    with pytest.raises(ModelError, match=r"mixer_s16.*does not take pictures of 32 x 96"):
        network(config)


def test_a_checkpoint_embeds_panoramas_and_tiles(tmp_path):
    made = disturbed(network())
    path = tmp_path / "lrfr.safetensors"
    write_checkpoint(path, tiny(), made.state_dict())
    rng = np.random.default_rng(0)
    panoramas = list(rng.integers(0, 256, (3, 40, 120, 3), np.uint8))
    tiles = list(rng.integers(0, 256, (3, 64, 64, 3), np.uint8))
    adapter = LRFR(path)
    ground, aerial = embed(adapter, panoramas, side="ground"), embed(adapter, tiles, side="aerial")
    assert ground.shape == aerial.shape == (3, 20)
    narrow = adapter.encode_ground(torch.rand(2, 3, 40, 23), 70.0)
    assert narrow.shape == (2, 20)


def places(count):
    """Places of four colours: in the tile's quadrants, and where a panorama sees these.

    What is green to the one is blue to the other, which has to be learnt.
    """
    colours = maps(count, 3, 4)
    north_west, north_east, south_east, south_west = range(4)
    quadrants = colours[:, :, [north_west, north_east, south_west, south_east]]
    strips = colours[:, [0, 2, 1]][:, :, [south_west, north_west, north_east, south_east]]
    panoramas = interpolate(strips.reshape(count, 3, 1, 4), (32, 64))
    return panoramas, interpolate(quadrants.reshape(count, 3, 2, 2), (32, 32))


def recall_at_1(made, panoramas, tiles):
    with torch.no_grad():
        similarities = made.eval()(panoramas, "ground") @ made(tiles, "aerial").T
    return (similarities.argmax(dim=1) == torch.arange(len(tiles))).float().mean().item()


def test_thirty_two_places_are_learnt_by_heart():
    panoramas, tiles = places(32)
    made = network(tiny(ground=(32, 64), aerial=(32, 32), dims=8))
    found = [recall_at_1(made, panoramas, tiles)]
    optimiser = torch.optim.AdamW(made.parameters(), lr=6e-3)
    truth = torch.arange(32)
    while found[-1] < 1 and len(found) < 12:
        for _ in range(4):
            made.train()
            similarities = 10 * made(panoramas, "ground") @ made(tiles, "aerial").T
            loss = cross_entropy(similarities, truth) + cross_entropy(similarities.T, truth)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        found.append(recall_at_1(made, panoramas, tiles))
    assert found[0] < 0.5
    assert found[-1] == 1
