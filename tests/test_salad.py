import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import normalize

from cvgl_bench.models.salad import Salad, cluster_mass, transport

torch.set_num_threads(1)


def maps(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def salad(channels=6, *, clusters=4, dims=3, seed=0, **options):
    torch.manual_seed(seed)
    return Salad(channels, clusters=clusters, dims=dims, hidden=5, **options)


def literal_plan(scores, masses, iterations):
    """Sinkhorn as it is told: scale rows to their masses, then columns to 1, again and again."""
    plan = [[math.exp(value) for value in row] for row in scores]
    for _ in range(iterations):
        for row, mass in zip(plan, masses, strict=True):
            total = sum(row)
            row[:] = [value * mass / total for value in row]
        for place in range(len(plan[0])):
            total = sum(row[place] for row in plan)
            for row in plan:
                row[place] /= total
    return plan


def literal_masses(positions, clusters):
    if positions > clusters:
        return [1.0] * clusters + [float(positions - clusters)]
    return [positions / (clusters + 1)] * (clusters + 1)


def literal_perceptron(network, column):
    tensors = [value.detach().double().numpy() for value in network.parameters()]
    first, first_bias, second, second_bias = tensors
    hidden = np.maximum(first[:, :, 0, 0] @ column + first_bias, 0)
    return second[:, :, 0, 0] @ hidden + second_bias


def literal_salad(network, features):
    """One picture's descriptor, place by place and cluster by cluster, in float64."""
    columns = features.double().flatten(1).T.numpy()
    described = [literal_perceptron(network.describe, column) for column in columns]
    scores = [literal_perceptron(network.score, column) for column in columns]
    rows = [[score[k] for score in scores] for k in range(network.clusters)]
    rows.append([network.dustbin.item()] * len(columns))
    masses = literal_masses(len(columns), network.clusters)
    plan = literal_plan(rows, masses, network.iterations)
    parts = []
    for k in range(network.clusters):
        total = sum(plan[k][i] * described[i] for i in range(len(columns)))
        parts.append(total / np.linalg.norm(total))
    whole = np.concatenate(parts)
    return whole / np.linalg.norm(whole)


@settings(max_examples=40)
@given(st.integers(1, 5), st.integers(1, 9), st.integers(1, 4), st.integers(0, 99))
def test_the_plan_is_that_of_scaling_rows_and_columns_in_turn(clusters, places, iterations, seed):
    scores = 3 * maps(2, clusters + 1, places, seed=seed)
    masses = literal_masses(places, clusters)
    found = transport(scores, torch.tensor(masses), iterations)
    for sample, plan in zip(scores.tolist(), found, strict=True):
        expected = torch.tensor(literal_plan(sample, masses, iterations))
        assert torch.allclose(plan, expected, atol=1e-5)


def test_one_cluster_and_two_places_end_where_calculus_says():
    # With all masses 1 the plan is (p, 1 - p; 1 - p, p), and scaling keeps the ratio of the two
    # diagonals' products: p^2 / (1 - p)^2 = exp(a - b), whatever the dustbin's score.
    a, b, dustbin = 2.5, -0.5, 7.0
    plan = transport(torch.tensor([[[a, b], [dustbin, dustbin]]]), torch.ones(2), 200)
    assert plan[0, 0, 0].item() == pytest.approx(1 / (1 + math.exp(-(a - b) / 2)), abs=1e-5)


@settings(max_examples=30)
@given(st.integers(1, 6), st.integers(1, 20), st.integers(0, 99))
def test_many_iterations_reach_the_masses_of_sinks_and_places(clusters, places, seed):
    masses = torch.tensor(literal_masses(places, clusters))
    plan = transport(maps(1, clusters + 1, places, seed=seed), masses, 300)
    assert torch.allclose(plan.sum(dim=1), torch.ones(1, places), atol=1e-4)
    assert torch.allclose(plan.sum(dim=2), masses, atol=1e-3)


def test_every_place_is_shared_out_in_full_after_a_single_iteration():
    scores = 5 * maps(3, 5, 11)
    plan = transport(scores, torch.tensor(literal_masses(11, 4)), 1)
    assert torch.allclose(plan.sum(dim=1), torch.ones(3, 11), atol=1e-5)
    assert not torch.allclose(plan.sum(dim=2)[:, :4], torch.ones(3, 4), atol=1e-2)


def test_scores_far_beyond_what_exp_can_hold_give_a_finite_plan():
    plan = transport(1e4 * maps(2, 4, 8), torch.tensor(literal_masses(8, 3)), 3)
    assert plan.isfinite().all()
    assert torch.allclose(plan.sum(dim=1), torch.ones(2, 8), atol=1e-3)


@pytest.mark.parametrize(
    ("places", "mass", "dustbin"),
    [(1, 0.2, 0.2), (3, 0.6, 0.6), (4, 0.8, 0.8), (5, 1.0, 1.0), (6, 1.0, 2.0), (40, 1.0, 36.0)],
)
def test_the_mass_of_four_clusters_and_what_the_dustbin_keeps(places, mass, dustbin):
    assert cluster_mass(places, 4) == pytest.approx(mass)
    assert places - 4 * cluster_mass(places, 4) == pytest.approx(dustbin)


# More places than clusters, one more, as many, fewer, one.
@pytest.mark.parametrize("size", [(3, 4), (1, 5), (2, 2), (3, 1), (1, 1)])
def test_descriptors_are_those_of_the_formulas(size):
    network = salad(clusters=4).eval()
    with torch.no_grad():
        network.dustbin.fill_(0.3)
    features = 2 * maps(2, 6, *size)
    with torch.no_grad():
        found = network(features).numpy()
    for row, sample in zip(found, features, strict=True):
        assert np.allclose(row, literal_salad(network, sample), atol=1e-5)


@settings(max_examples=20)
@given(st.permutations(range(12)))
def test_the_order_of_the_places_changes_nothing(order):
    network = salad().eval()
    features = maps(2, 6, 3, 4)
    mixed = features.flatten(2)[:, :, list(order)].reshape(2, 6, 4, 3)
    assert torch.allclose(network(features), network(mixed), atol=1e-5)


def test_each_cluster_counts_the_same():
    rows = salad().eval()(maps(5, 6, 3, 4))
    assert rows.dtype == torch.float32
    lengths = rows.unflatten(1, (4, 3)).norm(dim=2)
    assert torch.allclose(lengths, torch.full((5, 4), 0.5), atol=1e-5)


def test_hidden_numbers_are_left_out_in_training_only():
    network, features = salad(dropout=0.5), maps(2, 6, 3, 4)
    assert not torch.equal(network(features), network(features))
    network.eval()
    assert torch.equal(network(features), network(features))


def test_every_tensor_learns_and_the_dustbin_among_them():
    network = salad(dropout=0.0)
    target = normalize(maps(2, 12, seed=1), dim=1)
    (network(maps(2, 6, 3, 4)) * target).sum().backward()
    assert all(value.grad.abs().sum() > 0 for value in network.parameters())


def test_in_16_bits_descriptors_and_gradients_are_finite_and_near_those_in_32():
    network, features = salad().eval(), maps(2, 6, 3, 4).requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rows = network(features)
    rows.square().mul(torch.arange(12.0)).sum().backward()
    assert rows.dtype == torch.float32
    assert torch.allclose(rows, network(features), atol=0.05)
    assert features.grad.isfinite().all()
    assert all(value.grad.isfinite().all() for value in network.parameters())
