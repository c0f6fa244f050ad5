import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch.nn.functional import normalize

from cvgl_bench.training.losses import (
    DualWeights,
    dual_discriminative,
    info_nce,
    semi_hard_triplet,
    soft_margin_triplet,
)

LOG_SCALE = torch.tensor(math.log(1 / 0.07))
TRIPLETS = [semi_hard_triplet, soft_margin_triplet]
each_loss = pytest.mark.parametrize("loss", [lambda *rows: info_nce(*rows, LOG_SCALE), *TRIPLETS])
TERMS = {
    "cross": ("ground", "aerial"),
    "ground_view": ("ground_view", "aerial"),
    "aerial_view": ("ground", "aerial_view"),
    "both_views": ("ground_view", "aerial_view"),
    "within_ground": ("ground", "ground_view"),
    "within_aerial": ("aerial", "aerial_view"),
}
NO_WEIGHTS = dict.fromkeys(TERMS, 0.0)


def descriptors(seed, batch=6, width=4, count=2, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(count, batch, width, generator=generator, dtype=torch.float64)
    return [views.to(dtype) for views in normalize(rows, dim=2)]


def on_circle(*degrees):
    radians = torch.tensor(degrees, dtype=torch.float64).deg2rad()
    return torch.stack([radians.cos(), radians.sin()], dim=1)


def cosine(degrees):
    return math.cos(math.radians(degrees))


def softplus(x):
    return max(x, 0) + math.log1p(math.exp(-abs(x)))


def slow_dot(one, other):
    return sum(a * b for a, b in zip(one.tolist(), other.tolist(), strict=True))


def slow_direction_nce(anchors, others, scale, smoothing):
    total = 0.0
    for k, anchor in enumerate(anchors):
        logits = [scale * slow_dot(anchor, other) for other in others]
        whole = sum(math.exp(logit) for logit in logits)
        for j, logit in enumerate(logits):
            target = (1 - smoothing) * (j == k) + smoothing / len(others)
            total -= target * math.log(math.exp(logit) / whole)
    return total / len(anchors)


def slow_nce(ground, aerial, log_scale, smoothing):
    scale = math.exp(log_scale)
    there = slow_direction_nce(ground, aerial, scale, smoothing)
    return (there + slow_direction_nce(aerial, ground, scale, smoothing)) / 2


def slow_semi_hard(positive, negatives):
    nearer = [distance for distance in negatives if distance < positive]
    return [max(nearer) if nearer else min(negatives)]


def slow_triplet(ground, aerial, factor, choose):
    directions = []
    for anchors, others in ((ground, aerial), (aerial, ground)):
        losses = []
        for k, anchor in enumerate(anchors):
            distances = [2 - 2 * slow_dot(anchor, other) for other in others]
            positive = distances.pop(k)
            chosen = choose(positive, distances)
            losses += [softplus(factor * (positive - negative)) for negative in chosen]
        directions.append(sum(losses) / len(losses))
    return sum(directions) / 2


seeds = st.integers(0, 2**32 - 1)


@given(seed=seeds, batch=st.integers(1, 7), log_scale=st.floats(-1, 4), smoothing=st.floats(0, 1))
@settings(max_examples=40)
def test_info_nce_is_its_formula_one_pair_at_a_time(seed, batch, log_scale, smoothing):
    ground, aerial = descriptors(seed, batch, dtype=torch.float64)
    found = info_nce(
        ground,
        aerial,
        torch.tensor(log_scale, dtype=torch.float64),
        label_smoothing=smoothing,
    )
    expected = slow_nce(ground, aerial, log_scale, smoothing)
    assert found.item() == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_info_nce_of_two_orthogonal_places_by_hand(smoothing):
    # Logits s and 0: -log p is log(1 + e^-s) for the truth and s more for the other place.
    scale = 3.0
    found = info_nce(
        torch.eye(2), torch.eye(2), torch.tensor(math.log(scale)), label_smoothing=smoothing
    )
    assert found.item() == pytest.approx(math.log1p(math.exp(-scale)) + smoothing / 2 * scale)


def test_info_nce_smooths_by_a_tenth_unless_told():
    ground, aerial = descriptors(0)
    said = info_nce(ground, aerial, LOG_SCALE, label_smoothing=0.1)
    assert torch.equal(info_nce(ground, aerial, LOG_SCALE), said)
    assert not torch.equal(info_nce(ground, aerial, LOG_SCALE, label_smoothing=0.0), said)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
def test_info_nce_of_descriptors_that_say_nothing_is_the_logarithm_of_the_batch(smoothing):
    same = torch.ones(8, 4) / 2
    assert info_nce(same, same, LOG_SCALE, label_smoothing=smoothing).item() == pytest.approx(
        math.log(8), rel=1e-5
    )


def test_info_nce_stays_finite_at_a_huge_scale():
    ground, aerial = (rows.requires_grad_() for rows in descriptors(1))
    loss = info_nce(ground, aerial, torch.tensor(12.0))
    loss.backward()
    assert loss.isfinite()
    assert ground.grad.isfinite().all()
    assert aerial.grad.isfinite().all()


def test_the_scale_is_learnt_upwards_where_all_is_right_and_downwards_where_all_is_wrong():
    slopes = []
    for aerial in (torch.eye(4), torch.eye(4).roll(1, dims=0)):
        log_scale = torch.tensor(1.0, requires_grad=True)
        info_nce(torch.eye(4), aerial, log_scale, label_smoothing=0.0).backward()
        slopes.append(log_scale.grad.item())
    assert slopes[0] < 0 < slopes[1]


@each_loss
@given(seed=seeds)
@settings(max_examples=15)
def test_neither_the_order_of_the_pairs_nor_which_view_is_first_matters(loss, seed):
    ground, aerial = descriptors(seed, dtype=torch.float64)
    order = torch.randperm(6, generator=torch.Generator().manual_seed(seed))
    expected = loss(ground, aerial).item()
    assert loss(ground[order], aerial[order]).item() == pytest.approx(expected)
    assert loss(aerial, ground).item() == pytest.approx(expected)


@pytest.mark.parametrize("term", TERMS)
def test_each_weight_of_the_dual_loss_belongs_to_its_two_pictures(term):
    views = dict(
        zip(
            ("ground", "aerial", "ground_view", "aerial_view"), descriptors(2, count=4), strict=True
        )
    )
    one, other = (views[name] for name in TERMS[term])
    weights = DualWeights(**{**NO_WEIGHTS, term: 2.0})
    found = dual_discriminative(**views, log_scale=LOG_SCALE, weights=weights)
    assert found.item() == pytest.approx(2 * info_nce(one, other, LOG_SCALE).item())


def test_the_dual_loss_is_singeos_sum_of_six_terms_one_pair_at_a_time():
    rows = descriptors(3, batch=5, count=4, dtype=torch.float64)
    ground, aerial, ground_view, aerial_view = rows
    log_scale = 1.5
    terms = [
        (1.0, ground, aerial),
        (0.5, ground, ground_view),
        (0.5, aerial, aerial_view),
        (0.25, aerial, ground_view),
        (0.25, aerial_view, ground),
        (0.25, aerial_view, ground_view),
    ]
    expected = sum(weight * slow_nce(a, b, log_scale, 0.2) for weight, a, b in terms)
    scale = torch.tensor(log_scale, dtype=torch.float64)
    found = dual_discriminative(*rows, scale, label_smoothing=0.2)
    assert found.item() == pytest.approx(expected)


def test_a_term_without_weight_is_not_looked_at():
    ground, aerial = descriptors(4)
    broken = torch.full_like(ground, torch.nan)
    weights = DualWeights(**{**NO_WEIGHTS, "cross": 1.0})
    found = dual_discriminative(ground, aerial, broken, broken, LOG_SCALE, weights=weights)
    assert torch.equal(found, info_nce(ground, aerial, LOG_SCALE))


def test_all_views_and_the_one_scale_learn_from_the_dual_loss():
    views = [rows.requires_grad_() for rows in descriptors(5, count=4)]
    log_scale = LOG_SCALE.clone().requires_grad_()
    dual_discriminative(*views, log_scale).backward()
    for tensor in (*views, log_scale):
        assert tensor.grad.isfinite().all()
        assert tensor.grad.abs().max() > 0


@pytest.mark.parametrize("weight", [-0.1, math.nan, math.inf])
def test_weights_are_finite_and_not_negative(weight):
    with pytest.raises(ValidationError, match="cross"):
        DualWeights(cross=weight)


def test_a_dual_loss_of_no_terms_is_refused():
    views = descriptors(6, count=4)
    with pytest.raises(ValueError, match="none of the six"):
        dual_discriminative(*views, LOG_SCALE, weights=DualWeights(**NO_WEIGHTS))


@given(seed=seeds, batch=st.integers(2, 7), factor=st.floats(0.5, 20))
@settings(max_examples=40)
def test_both_triplet_losses_are_their_formulas_one_picture_at_a_time(seed, batch, factor):
    ground, aerial = descriptors(seed, batch, width=3, dtype=torch.float64)
    semi = slow_triplet(ground, aerial, factor, slow_semi_hard)
    soft = slow_triplet(ground, aerial, factor, lambda _, negatives: negatives)
    assert semi_hard_triplet(ground, aerial, factor=factor).item() == pytest.approx(semi)
    assert soft_margin_triplet(ground, aerial, factor=factor).item() == pytest.approx(soft)


def test_of_the_nearer_negatives_the_farthest_is_chosen():
    # Every picture lies 130 degrees from its pair and 40, 50 and 140 from the others. A squared
    # distance is 2 - 2 cos: 50 and not 40 is chosen, and cos 130 is -cos 50.
    ground, aerial = on_circle(130, 220, 310, 40), on_circle(0, 90, 180, 270)
    expected = softplus(10 * 4 * cosine(50))
    assert semi_hard_triplet(ground, aerial).item() == pytest.approx(expected)


def test_where_no_negative_is_nearer_the_nearest_of_all_is_chosen():
    # 20 degrees from the pair; 70, 110 and 160 from the others.
    ground, aerial = on_circle(20, 110, 200, 290), on_circle(0, 90, 180, 270)
    expected = softplus(10 * 2 * (cosine(70) - cosine(20)))
    assert semi_hard_triplet(ground, aerial).item() == pytest.approx(expected)


def test_a_negative_as_far_as_the_positive_is_the_nearest_and_not_a_nearer_one():
    # Half way between its pair and a negative, with the other two behind it.
    ground, aerial = on_circle(45, 135, 225, 315), on_circle(0, 90, 180, 270)
    assert semi_hard_triplet(ground, aerial).item() == pytest.approx(math.log(2), abs=1e-9)


def test_the_soft_margin_weighs_all_negatives_alike():
    ground, aerial = on_circle(130, 220, 310, 40), on_circle(0, 90, 180, 270)
    losses = [softplus(10 * 2 * (cosine(angle) - cosine(130))) for angle in (40, 50, 140)]
    assert soft_margin_triplet(ground, aerial).item() == pytest.approx(sum(losses) / 3)


def test_a_picture_learns_from_its_chosen_negative_only():
    # Ground 0 chooses aerial 1, and aerial 2 chooses ground 1, at 104 degrees as at 120.
    slopes = []
    for last in (104, 120):
        ground = on_circle(0, 30, 100).requires_grad_()
        semi_hard_triplet(ground, on_circle(2, 33, last), factor=0.5).backward()
        slopes.append(ground.grad)
    torch.testing.assert_close(slopes[0][0], slopes[1][0])
    assert (slopes[0][1] - slopes[1][1]).abs().max() > 0.01


@each_loss
def test_gradients_agree_with_differences(loss):
    rows = [views.requires_grad_() for views in descriptors(7, batch=4, dtype=torch.float64)]
    assert torch.autograd.gradcheck(loss, rows)


@each_loss
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_descriptors_of_sixteen_bits_are_contrasted_in_float32(loss, dtype):
    rounded = [views.to(dtype).requires_grad_() for views in descriptors(8)]
    found = loss(*rounded)
    found.backward()
    assert found.dtype == torch.float32
    assert torch.equal(found, loss(*(views.float() for views in rounded)))
    for views in rounded:
        assert views.grad.isfinite().all()
        assert views.grad.abs().max() > 0


@each_loss
def test_autocast_changes_nothing(loss):
    rows = descriptors(9)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        within = loss(*rows)
    assert torch.equal(within, loss(*rows))


@each_loss
def test_a_single_pair_has_no_loss_and_no_gradient(loss):
    ground, aerial = (views.requires_grad_() for views in descriptors(10, batch=1))
    found = loss(ground, aerial)
    found.backward()
    assert found.item() == 0
    assert not ground.grad.any()
    assert not aerial.grad.any()


@each_loss
@pytest.mark.parametrize(
    "shapes", [((3, 4), (2, 4)), ((3, 4), (3, 5)), ((0, 4), (0, 4)), ((4,), (4,))]
)
def test_what_is_no_batch_of_pairs_is_refused(loss, shapes):
    with pytest.raises(ValueError, match="no batch of pairs"):
        loss(*(torch.zeros(shape) for shape in shapes))
