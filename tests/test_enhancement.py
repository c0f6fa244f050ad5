import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import layer_norm

from cvgl_bench.models.enhancement import (
    ChannelCalibration,
    CrossCovariance,
    FullyConnected,
    SpatialAttention,
    global_attention,
    local_attention,
)

torch.set_num_threads(1)


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def stirred(module, seed=0):
    """The module with weights so large that nothing it does is lost in rounding."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in module.parameters():
            tensor.copy_(torch.randn(tensor.shape, generator=generator) * 0.5 + 0.2)
    return module.eval()


def dot(a, b):
    return sum(float(x) * float(y) for x, y in zip(a, b, strict=True))


def shares_of(scores):
    powers = [math.exp(score - max(scores)) for score in scores]
    return [power / sum(powers) for power in powers]


def attended(query, keys, values, factor):
    """One query's output, by loops over the places that it sees."""
    shares = shares_of([factor * dot(query, key) for key in keys])
    return sum(
        (share * value.double() for share, value in zip(shares, values, strict=True)),
        torch.zeros(len(values[0]), dtype=torch.float64),
    )


def around(place, size, neighbourhood, wraps):
    """The places of a square on the map, each once."""
    (row, column), (height, width) = place, size
    reach = neighbourhood // 2
    seen = set()
    for y in range(row - reach, row + reach + 1):
        for x in range(column - reach, column + reach + 1):
            if 0 <= y < height and (wraps or 0 <= x < width):
                seen.add((y, x % width))
    return sorted(seen)


def literal_attention(query, key, value, seen_from):
    """Attention with one head on (h, w, d), each place seeing the places that it is told."""
    height, width, size = query.shape
    out = torch.zeros(height, width, size, dtype=torch.float64)
    for row in range(height):
        for column in range(width):
            seen = seen_from(row, column)
            keys, values = ([each[y, x] for y, x in seen] for each in (key, value))
            out[row, column] = attended(query[row, column], keys, values, 1 / math.sqrt(size))
    return out


@settings(max_examples=25)
@given(
    height=st.integers(1, 4),
    width=st.integers(1, 6),
    neighbourhood=st.sampled_from([3, 5, 7]),
    wraps=st.booleans(),
)
def test_local_attention_sees_each_place_of_its_square_once(height, width, neighbourhood, wraps):
    query, key, value = (drawn(1, height, width, 2, 3, seed=seed) for seed in range(3))
    found = local_attention(query, key, value, neighbourhood=neighbourhood, wraps=wraps)
    for head in range(2):
        wanted = literal_attention(
            *(each[0, :, :, head] for each in (query, key, value)),
            lambda row, column: around((row, column), (height, width), neighbourhood, wraps),
        )
        torch.testing.assert_close(found[0, :, :, head].double(), wanted, atol=1e-5, rtol=1e-5)


def test_global_attention_sees_every_place():
    query, key, value = (drawn(2, 2, 3, 2, 5, seed=seed) for seed in range(3))
    found = global_attention(query, key, value)
    everywhere = [(row, column) for row in range(2) for column in range(3)]
    for picture in range(2):
        for head in range(2):
            wanted = literal_attention(
                *(each[picture, :, :, head] for each in (query, key, value)),
                lambda row, column: everywhere,
            )
            torch.testing.assert_close(
                found[picture, :, :, head].double(), wanted, atol=1e-5, rtol=1e-5
            )


def test_attention_keeps_its_32_bits_under_autocast():
    query, key, value = (drawn(1, 3, 4, 1, 8, seed=seed) for seed in range(3))
    calibration = stirred(ChannelCalibration(8))

    def found():
        near = local_attention(query, key, value, neighbourhood=3, wraps=True)
        return global_attention(query, key, value), near, calibration(drawn(1, 8, 3, 4))

    with torch.autocast("cpu", dtype=torch.bfloat16):
        in_16_bits = found()
    for mixed, full in zip(in_16_bits, found(), strict=True):
        assert mixed.dtype == torch.float32
        assert torch.equal(mixed, full)


def literal_sarm(module, features, fusion, wraps):
    """SARM with one head on (C, h, w), token by token."""
    size, height, width = features.shape
    tokens = layer_norm(
        features.permute(1, 2, 0).double(),
        (size,),
        module.norm.weight.double(),
        module.norm.bias.double(),
        1e-6,
    )
    far, near = (
        literal_attention(*(tokens @ part.double().T for part in weight.chunk(3)), seen_from)
        for weight, seen_from in (
            (
                module.global_projection.weight,
                lambda *_: [(y, x) for y in range(height) for x in range(width)],
            ),
            (
                module.local_projection.weight,
                lambda row, column: around((row, column), (height, width), 3, wraps),
            ),
        )
    )
    out = features.double().clone()
    for row in range(height):
        for column in range(width):
            a, b = far[row, column], near[row, column]
            if fusion == "gated":
                logits = module.gate.weight.double() @ torch.cat([a, b])
                joined = a + 1 / (1 + torch.exp(-(logits + module.gate.bias.double()))) * b
            else:
                first, second = map(int, fusion.split(":"))
                joined = (first * a + second * b) / (first + second)
            out[:, row, column] += module.scale.double() * joined
    return out


@pytest.mark.parametrize("fusion", ["gated", "2:1", "1:1", "1:2"])
@pytest.mark.parametrize("wraps", [True, False])
@torch.no_grad()
def test_sarm_is_its_formula(fusion, wraps):
    module = stirred(SpatialAttention(6, heads=1, neighbourhood=3, fusion=fusion))
    features = drawn(2, 6, 3, 4)
    found = module(features, wraps=wraps)
    for picture in range(2):
        wanted = literal_sarm(module, features[picture], fusion, wraps)
        torch.testing.assert_close(found[picture].double(), wanted, atol=1e-4, rtol=1e-4)


def pooled_by_hand(module, features):
    mean = features.double().mean((1, 2))
    centred = mean - mean.mean()
    normed = centred / torch.sqrt((centred**2).mean() + 1e-6)
    return normed * module.norm.weight.double() + module.norm.bias.double()


@torch.no_grad()
def test_ccm_is_its_formula():
    size = 7
    module = stirred(ChannelCalibration(size))
    features = drawn(2, size, 3, 4)
    found = module(features)
    kernel = module.near.weight.double().flatten()
    for picture in range(2):
        f = pooled_by_hand(module, features[picture])
        near, whole = [], []
        for channel in range(size):
            reached = [k for k in range(5) if 0 <= channel + k - 2 < size]
            summed = sum(float(kernel[k] * f[channel + k - 2]) for k in reached)
            near.append(summed + float(module.near.bias))
            weights = module.all.weight[channel].double()
            whole.append(dot(weights, f) + float(module.all.bias[channel]))
        for channel in range(size):
            added = 0.0
            for rows, columns in ((whole, near), (near, whole)):
                added += dot(shares_of([rows[channel] * column for column in columns]), f)
            wanted = features[picture, channel].double() + float(module.alpha) * added
            torch.testing.assert_close(
                found[picture, channel].double(), wanted, atol=1e-4, rtol=1e-4
            )


@torch.no_grad()
def test_a_fully_connected_layer_adds_the_same_to_every_place():
    module = stirred(FullyConnected(5))
    features = drawn(1, 5, 2, 3)
    pooled = pooled_by_hand(module, features[0])
    mixed = module.all.weight.double() @ pooled + module.all.bias.double()
    wanted = features[0].double() + (float(module.alpha) * mixed)[:, None, None]
    torch.testing.assert_close(module(features)[0].double(), wanted, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_cross_covariance_attends_among_channels_of_a_head():
    module = stirred(CrossCovariance(6, heads=2))
    features = drawn(1, 6, 2, 3)
    tokens = layer_norm(
        features[0].flatten(1).T.double(),
        (6,),
        module.norm.weight.double(),
        module.norm.bias.double(),
        1e-6,
    )
    query, key, value = ((tokens @ p.double().T).T for p in module.projection.weight.chunk(3))
    wanted = features[0].flatten(1).double().clone()
    for head, channels in enumerate(([0, 1, 2], [3, 4, 5])):
        for channel in channels:
            asked = query[channel] / query[channel].norm()
            keys = [key[other] / key[other].norm() for other in channels]
            values = [value[other] for other in channels]
            factor = float(module.factor[head])
            wanted[channel] += float(module.alpha) * attended(asked, keys, values, factor)
    found = module(features)[0].flatten(1).double()
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


@settings(max_examples=20)
@given(width=st.integers(1, 9), columns=st.integers(-9, 9), neighbourhood=st.sampled_from([3, 5]))
def test_sarm_does_not_feel_where_a_panoramas_seam_is(width, columns, neighbourhood):
    module = stirred(SpatialAttention(4, heads=1, neighbourhood=neighbourhood, fusion="gated"))
    features = drawn(1, 4, 2, width)
    with torch.no_grad():
        moved = module(features.roll(columns, dims=3), wraps=True)
        wanted = module(features, wraps=True).roll(columns, dims=3)
    torch.testing.assert_close(moved, wanted, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_a_map_that_does_not_wrap_ends_at_its_edges():
    features, far_end = drawn(1, 4, 1, 8), drawn(1, 4, 1, 8)
    far_end[:, 0, :, -1] += 1
    module = stirred(SpatialAttention(4, heads=1, neighbourhood=3, fusion="gated"))
    module.global_projection.weight.zero_()
    first = {
        wraps: [module(each, wraps=wraps)[..., 0] for each in (features, far_end)]
        for wraps in (True, False)
    }
    assert torch.equal(*first[False])
    assert not torch.allclose(*first[True], atol=1e-3)
