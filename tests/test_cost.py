import time

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import nn
from torch.nn.functional import adaptive_avg_pool2d, normalize

from cvgl_bench import measuring
from cvgl_bench.cost import Cost, describe_cost
from cvgl_bench.errors import DataError, ModelError
from cvgl_bench.measuring import Conditions, measure_cost

GROUND = np.full((8, 16, 3), 77, np.uint8)
AERIAL = np.full((12, 12, 3), 99, np.uint8)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Few repeats: what is counted does not depend on them."""
    monkeypatch.setattr(measuring, "_SECONDS", 0.02)


class Named:
    name, preprocessing, weights_sha256 = "named", "none", ""


class Linear(Named, nn.Module):
    """Sixteen patches of three colours, mapped to seven numbers."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(48, 7)

    def encode_ground(self, images):
        rows = self.layer(adaptive_avg_pool2d(images, 4).flatten(1))
        return normalize(rows.float(), dim=1)

    def encode_aerial(self, images):
        return self.encode_ground(images)


class Convolution(Linear):
    """Two groups of channels, every other place, no bias."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(6, 4, 3, stride=2, padding=1, groups=2, bias=False)

    def encode_ground(self, images):
        return normalize(self.layer(torch.cat([images, images], 1)).mean((2, 3)) + 1, dim=1)


class Colors(Named):
    """No network, and nothing that is counted."""

    def encode_ground(self, images):
        return normalize(adaptive_avg_pool2d(images, 2).flatten(1) + 0.1, dim=1)

    encode_aerial = encode_ground


def cost_of(model, **under):
    return measure_cost(model, GROUND, AERIAL, Conditions(batch_size=4, **under))


def test_a_linear_layer_is_counted_as_by_hand():
    cost = cost_of(Linear())
    assert cost.parameters == 48 * 7 + 7
    assert cost.flops_ground == cost.flops_aerial == 2 * 48 * 7
    assert cost.descriptor_bytes == 7 * 4
    assert (cost.ground_size, cost.aerial_size) == ((8, 16), (12, 12))
    assert (cost.batch_size, cost.device, cost.fov_degrees) == (4, "cpu", 360)
    assert 0 < cost.latency_ms <= cost.latency_p95_ms < 1000
    assert cost.images_per_second > 0
    assert cost.threads == torch.get_num_threads()


def test_a_convolution_is_counted_at_the_size_of_each_side():
    cost = cost_of(Convolution())
    assert cost.parameters == 4 * 3 * 9
    # Each of 4 x 8 places of 4 channels: 3 x 3 places of 3 channels, multiplied and added.
    assert cost.flops_ground == 2 * (4 * 8) * 4 * (3 * 9)
    assert cost.flops_aerial == 2 * (6 * 6) * 4 * (3 * 9)


def test_what_networks_share_counts_once():
    model = Linear()
    model.again = model.layer
    model.tied = nn.Linear(48, 7)
    model.tied.weight = model.layer.weight
    assert cost_of(model).parameters == 48 * 7 + 7 + 7


def test_frozen_parameters_count_and_buffers_do_not():
    model = Linear()
    model.norm = nn.BatchNorm1d(5)
    model.requires_grad_(False)
    assert cost_of(model).parameters == 48 * 7 + 7 + 2 * 5


def test_networks_that_an_adapter_holds_are_found_wherever_they_are():
    class Holding(Colors):
        def __init__(self):
            self.one = nn.Linear(2, 3)
            self.some = {"a": [nn.Linear(4, 5), self.one], "b": "no network"}
            self.some["itself"] = self.some

    assert cost_of(Holding()).parameters == 2 * 3 + 3 + 4 * 5 + 5


def test_an_adapter_without_a_network_has_time_and_descriptor_alone():
    cost = cost_of(Colors())
    assert cost.parameters is cost.flops_ground is cost.flops_aerial is None
    assert cost.peak_memory_bytes is None
    assert cost.descriptor_bytes == 12 * 4
    text = describe_cost(cost)
    assert "48 bytes a descriptor" in text
    assert "FLOP" not in text
    assert "parameters" not in text
    assert "MiB" not in text


def test_arithmetic_without_a_network_is_counted():
    class Projecting(Colors):
        matrix = torch.ones(12, 5)

        def encode_ground(self, images):
            return normalize(super().encode_ground(images) @ self.matrix, dim=1)

        encode_aerial = encode_ground

    cost = cost_of(Projecting())
    assert cost.flops_ground == 2 * 12 * 5
    assert cost.parameters is None
    assert cost.peak_memory_bytes > 0


def test_a_transformers_layer_is_counted_though_torch_fuses_it():
    class Transformer(Linear):
        def __init__(self):
            super().__init__()
            self.layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)

        def encode_ground(self, images):
            tokens = adaptive_avg_pool2d(images, 4).flatten(1).reshape(len(images), 6, 8)
            return normalize(self.layer(tokens).flatten(1), dim=1)

    tokens, width, hidden = 6, 8, 16
    projections = 4 * tokens * width * width
    attention = 2 * tokens * tokens * width
    both_layers = 2 * tokens * width * hidden
    before = torch.backends.mha.get_fastpath_enabled()
    assert cost_of(Transformer()).flops_ground == 2 * (projections + attention + both_layers)
    assert torch.backends.mha.get_fastpath_enabled() == before


def test_a_model_that_no_counter_can_follow_has_no_flops_and_all_else():
    class Shy(Linear):
        def encode_ground(self, images):
            if torch.utils._python_dispatch._get_current_dispatch_mode() is not None:
                raise RuntimeError("not while you look")
            return super().encode_ground(images)

    told = []
    cost = measure_cost(Shy(), GROUND, AERIAL, Conditions(batch_size=2), told.append)
    assert cost.flops_ground is cost.flops_aerial is None
    assert cost.parameters == 48 * 7 + 7
    assert [line.split(":")[0] for line in told] == [
        "the FLOPs of named (ground) cannot be counted",
        "the FLOPs of named (aerial) cannot be counted",
    ]


def test_a_model_that_wants_it_is_told_the_field_of_view():
    heard = set()

    class Told(Linear):
        def encode_ground(self, images, fov_degrees=360.0):
            heard.add(fov_degrees)
            return super().encode_ground(images)

        def encode_aerial(self, images):
            return super().encode_ground(images)

    assert cost_of(Told(), fov_degrees=90.0).fov_degrees == 90
    assert heard == {90}


class Holding(Linear):
    """Holds so many bytes a picture for a while."""

    def encode_ground(self, images):
        held = torch.zeros(len(images), 1_000_000 // 4)
        return super().encode_ground(images + held[0, 0])


@pytest.mark.parametrize("batch", [1, 5])
def test_peak_memory_is_that_of_the_batch_and_of_the_weights(batch):
    model = Holding()
    model.heavy = nn.Linear(1000, 500, bias=False)
    model.register_buffer("more", torch.zeros(250_000))
    cost = measure_cost(model, GROUND, AERIAL, Conditions(batch_size=batch))
    assert cost.peak_memory_bytes == pytest.approx(3_000_000 + batch * 1_000_000, rel=0.02)


def test_memory_that_is_given_back_is_not_added_up():
    class Twice(Holding):
        def encode_ground(self, images):
            super().encode_ground(images)
            return super().encode_ground(images)

    assert cost_of(Twice()).peak_memory_bytes == pytest.approx(4_000_000, rel=0.02)


def test_times_are_those_of_one_picture_alone_and_of_a_whole_batch():
    class Sleeping(Linear):
        def encode_ground(self, images):
            time.sleep(0.02 if len(images) == 1 else 0.05)
            return super().encode_ground(images)

    cost = cost_of(Sleeping())
    assert 20 <= cost.latency_ms < 48
    assert 20 < cost.images_per_second <= 80, "4 in 50 ms"


def test_what_is_slow_at_first_counts_for_no_time():
    seen = set()

    class Waking(Linear):
        def encode_ground(self, images):
            if len(images) not in seen:
                seen.add(len(images))
                time.sleep(0.3)
            return super().encode_ground(images)

    cost = cost_of(Waking())
    assert cost.latency_p95_ms < 200
    assert cost.images_per_second > 4 / 0.2


def test_a_batch_that_does_not_fit_is_halved_and_what_went_is_said():
    class Small(Linear):
        room = 3

        def encode_ground(self, images):
            if len(images) > self.room:
                raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
            return super().encode_ground(images)

    under = Conditions(batch_size=20)
    assert measure_cost(Small(), GROUND, AERIAL, under).batch_size == 2
    Small.room = 0
    with pytest.raises(ModelError, match=r"ran out of memory at image 0, alone in its batch"):
        measure_cost(Small(), GROUND, AERIAL, under)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda images: images.mean(), "not a floating-point tensor"),
        (lambda images: torch.full((len(images), 3), torch.nan), "NaN"),
        (lambda images: 1 / 0, "named \\(ground\\) failed at images 0 to 0: ZeroDivisionError"),
        (lambda images: normalize(torch.ones(len(images), 9)), "gives 9 numbers .* and 12 for an"),
    ],
)
def test_a_model_that_gives_no_embeddings_has_no_cost(change, message):
    class Broken(Colors):
        def encode_ground(self, images):
            return change(images)

    with pytest.raises(ModelError, match=message):
        cost_of(Broken())


def test_conditions_and_pictures_that_cannot_be_are_refused():
    for under, message in (
        ({"fov_degrees": 0.0}, "field of view"),
        ({"precision": "int4"}, "unknown precision"),
        ({"device": "tpu"}, "unknown device"),
    ):
        with pytest.raises(ModelError, match=message):
            cost_of(Linear(), **under)
    with pytest.raises(ModelError, match="at least one image"):
        measure_cost(Linear(), GROUND, AERIAL, Conditions(batch_size=0))
    with pytest.raises(DataError, match=r"uint16 of shape \(8, 16, 3\)"):
        measure_cost(Linear(), GROUND.astype(np.uint16), AERIAL, Conditions())


def test_a_lower_precision_is_named_beside_the_machine():
    cost = cost_of(Linear(), precision="bfloat16")
    assert cost.precision == "bfloat16"
    assert cost.machine.endswith(", bfloat16")
    assert cost_of(Linear()).machine in cost.machine


@pytest.mark.parametrize("name", ["=1+1 GPU", "", "\u200b", "(R)", "Łódź GPU\n"])
def test_a_devices_name_is_plain_text(name, monkeypatch):
    monkeypatch.setattr(measuring, "_processor", lambda: name)
    found = cost_of(Linear()).device_name
    assert found.isascii()
    assert found[0].isalnum()


FIELDS = {
    "latency_ms": 12.5,
    "latency_p95_ms": 14.0,
    "images_per_second": 200.0,
    "parameters": 1_500_000,
    "flops_ground": 2_500_000_000,
    "flops_aerial": None,
    "descriptor_bytes": 1024,
    "peak_memory_bytes": 3 << 20,
    "device": "cpu",
    "device_name": "Some Processor",
    "threads": 1,
    "batch_size": 32,
    "ground_size": (112, 616),
    "aerial_size": (256, 256),
    "fov_degrees": 360.0,
    "precision": "float32",
}


@pytest.mark.parametrize(
    "change",
    [
        {"latency_ms": 0},
        {"latency_ms": float("nan")},
        {"latency_ms": 1e9, "latency_p95_ms": 1e9},
        {"latency_p95_ms": 12.0},
        {"images_per_second": float("inf")},
        {"parameters": -1},
        {"flops_ground": 10**30},
        {"descriptor_bytes": 1023},
        {"device": "tpu"},
        {"device_name": "=HYPERLINK()"},
        {"device_name": ""},
        {"device_name": "x" * 101},
        {"device_name": "a\nb"},
        {"device_name": "a\n"},
        {"threads": 0},
        {"ground_size": (1, 0)},
        {"fov_degrees": 0},
        {"precision": "float64"},
        {"price": 3},
    ],
    ids=str,
)
def test_a_cost_that_cannot_be_is_refused(change):
    Cost.model_validate(FIELDS)
    with pytest.raises(ValidationError):
        Cost.model_validate(FIELDS | change)


def test_a_cost_is_said_in_a_sentence():
    assert describe_cost(Cost.model_validate(FIELDS)) == (
        "Cost on Some Processor, 1 thread: 12.50 ms for a picture of 616 x 112 alone (p95 14.00), "
        "200.0 pictures/s in batches of 32 (3.0 MiB), 1.500 M parameters, 2.500 GFLOPs a ground "
        "picture, 1024 bytes a descriptor."
    )
