import functools
import threading

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cvgl_bench.batch_size import BatchSize
from cvgl_bench.embedding import Encoding, embed, embed_batches, is_told_fov, resolve_device
from cvgl_bench.errors import DataError, ModelError

torch.set_num_threads(1)


class Means:
    """Embeds a picture by its mean colour; remembers the batches it saw."""

    name = "means"
    preprocessing = "none"
    weights_sha256 = ""

    def __init__(self):
        self.batches = []

    def encode_ground(self, images):
        self.batches.append(images)
        return torch.nn.functional.normalize(images.mean(dim=(2, 3)) + 0.1, dim=1)

    def encode_aerial(self, images):
        return -self.encode_ground(images)


def ground(model):
    return Encoding(model, "ground", torch.device("cpu"))


class Returning(Means):
    """Returns what it was made with, whatever it is given."""

    def __init__(self, *answers):
        super().__init__()
        self.answers = list(answers)

    def encode_ground(self, images):
        return self.answers.pop(0)


class Network(torch.nn.Module):
    """One linear layer with dropout, which must be off."""

    name = "network"
    preprocessing = "none"
    weights_sha256 = ""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(3, 4)
        self.dropout = torch.nn.Dropout(0.9)
        self.modes = []

    def encode_ground(self, images):
        self.modes.append((self.training, torch.is_inference_mode_enabled()))
        colours = self.dropout(images.mean(dim=(2, 3)))
        return torch.nn.functional.normalize(self.layer(colours), dim=1)

    encode_aerial = encode_ground


def pictures(count, height=5, width=7, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, (height, width, 3), np.uint8) for _ in range(count)]


def unit_rows(count, width=3):
    return torch.nn.functional.normalize(torch.ones(count, width), dim=1)


def test_images_reach_the_encoder_as_rgb_floats_from_0_to_1_channels_first():
    image = np.zeros((2, 3, 3), np.uint8)
    image[1, 2] = 255, 51, 0
    adapter = Means()
    embed(adapter, [image], side="ground")
    (seen,) = adapter.batches
    assert seen.dtype == torch.float32
    assert seen.shape == (1, 3, 2, 3)
    assert seen[0, :, 1, 2].tolist() == pytest.approx([1, 0.2, 0])
    assert seen.is_contiguous()


def test_rows_come_back_in_order_as_float32():
    images = pictures(7)
    rows = embed(Means(), images, side="ground", batch_size=3)
    expected = np.stack([image.mean(axis=(0, 1)) / 255 + 0.1 for image in images])
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert rows.dtype == np.float32
    assert np.allclose(rows, expected, atol=1e-5)


def test_the_side_chooses_the_encoder():
    images = pictures(2)
    ground = embed(Means(), images, side="ground")
    assert np.array_equal(embed(Means(), images, side="aerial"), -ground)


def test_a_batch_ends_where_it_is_full_or_the_size_changes():
    images = pictures(5) + pictures(2, height=6) + pictures(1)
    adapter = Means()
    embed(adapter, images, side="ground", batch_size=3)
    assert [len(batch) for batch in adapter.batches] == [3, 2, 2, 1]


@settings(max_examples=20)
@given(st.lists(st.sampled_from([4, 5]), min_size=1, max_size=9), st.integers(1, 10))
def test_the_batch_size_changes_nothing_but_rounding(heights, batch_size):
    images = [pictures(1, height, seed=seed)[0] for seed, height in enumerate(heights)]
    alone = embed(Means(), images, side="ground", batch_size=1)
    together = embed(Means(), images, side="ground", batch_size=batch_size)
    assert np.allclose(alone, together, atol=1e-6)


def test_a_module_runs_in_evaluation_and_inference_mode_without_a_gradient():
    network = Network().train()
    rows = embed(network, pictures(3), side="aerial", batch_size=2)
    assert network.modes == [(False, True)] * 2
    assert np.array_equal(rows, embed(network, pictures(3), side="aerial", batch_size=2))


def test_images_are_drawn_at_most_one_batch_ahead_of_the_model():
    drawn = 0

    def source():
        nonlocal drawn
        for image in pictures(40):
            drawn += 1
            yield image

    class Watching(Means):
        def encode_ground(self, images):
            rows = super().encode_ground(images)
            lead.append(drawn - 4 * (len(self.batches) - 1))
            return rows

    lead = []
    embed(Watching(), source(), side="ground", batch_size=4)
    assert len(lead) == 10
    assert max(lead) <= 8


def test_an_error_in_the_images_comes_through_and_leaves_no_thread_behind():
    def source():
        yield from pictures(5)
        raise DataError("picture 6 is torn")

    before = threading.active_count()
    with pytest.raises(DataError, match="picture 6 is torn"):
        embed(Means(), source(), side="ground", batch_size=2)
    assert threading.active_count() == before


@pytest.mark.parametrize("error", [RuntimeError("out of memory"), SystemExit(0)])
def test_an_error_in_the_model_is_named_and_leaves_no_thread_behind(error):
    class Failing(Means):
        def encode_ground(self, images):
            raise error

    before = threading.active_count()
    with pytest.raises(ModelError, match=r"means \(ground\) failed at images 0 to 1") as caught:
        embed(Failing(), iter(pictures(50)), side="ground", batch_size=2)
    assert caught.value.__cause__ is error
    assert threading.active_count() == before


OUT_OF_MEMORY = [
    torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried ..."),
    MemoryError(),
]


class Small(Means):
    """Has memory for so many pictures at a time."""

    def __init__(self, room, error=OUT_OF_MEMORY[0]):
        super().__init__()
        self.room, self.error, self.refused = room, error, 0

    def encode_ground(self, images):
        if len(images) > self.room:
            self.refused += 1
            raise self.error
        return super().encode_ground(images)


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=lambda error: type(error).__name__)
def test_a_batch_that_does_not_fit_is_halved_and_the_size_that_went_is_kept(error):
    images = pictures(45)
    model, size = Small(5, error), BatchSize(16)
    rows = np.concatenate([*embed_batches(ground(model), images, size=size)])
    np.testing.assert_allclose(rows, embed(Means(), images, side="ground"), atol=1e-6)
    assert (size.asked, size.now) == (16, 4)
    assert model.refused == 2, "16 and 8; never again"
    assert [len(batch) for batch in model.batches] == [4] * 11 + [1]
    list(embed_batches(ground(model), pictures(9), size=size))
    assert model.refused == 2


@settings(max_examples=30)
@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 20))
def test_every_picture_is_embedded_once_and_in_order_however_little_memory_there_is(
    count, batch_size, room
):
    images = pictures(count)
    model = Small(room)
    rows = embed(model, images, side="ground", batch_size=batch_size)
    alone = np.concatenate([embed(Means(), [image], side="ground") for image in images])
    np.testing.assert_allclose(rows, alone, atol=1e-6)
    assert sum(map(len, model.batches)) == count


def test_a_last_batch_that_does_not_fit_is_halved_by_its_own_size():
    model, size = Small(2), BatchSize(16)
    list(embed_batches(ground(model), pictures(3), size=size))
    assert size.now == 1


def test_no_memory_for_one_picture_is_one_sentence_with_its_size():
    with pytest.raises(ModelError, match=r"ran out of memory at image 0, alone .*7 x 5 pixels"):
        embed(Small(0), pictures(4), side="ground", batch_size=4)


def test_a_model_may_hand_out_the_same_buffer_again_and_again():
    class Buffered(Means):
        def encode_ground(self, images):
            if not hasattr(self, "buffer"):
                self.buffer = super().encode_ground(images).clone()
            self.buffer[: len(images)] = super().encode_ground(images)
            return self.buffer[: len(images)]

    images = pictures(7)
    plain = embed(Means(), images, side="ground", batch_size=2)
    np.testing.assert_array_equal(embed(Buffered(), images, side="ground", batch_size=2), plain)


def test_a_network_inside_a_plain_adapter_is_set_to_evaluation():
    class Holding(Means):
        network: torch.nn.Module

    adapter = Holding()
    adapter.network = torch.nn.Dropout(0.5)
    embed(adapter, pictures(2), side="ground")
    assert not adapter.network.training


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_nan_or_infinity_is_refused_with_the_model_the_side_and_the_image(value):
    bad = unit_rows(2)
    bad[1, 2] = value
    adapter = Returning(unit_rows(2), bad)
    with pytest.raises(ModelError, match=r"means \(ground\).*for image 3. Nothing was scored"):
        embed(adapter, pictures(4), side="ground", batch_size=2)


def test_a_row_that_is_not_of_unit_length_is_refused_with_its_length_and_image():
    bad = unit_rows(3)
    bad[2] *= 1.01
    with pytest.raises(ModelError, match=r"length 1.01 instead of 1 for image 2"):
        embed(Returning(bad), pictures(3), side="ground")


def test_a_row_of_unit_length_up_to_rounding_is_taken():
    rows = unit_rows(3) * 1.0005
    assert embed(Returning(rows), pictures(3), side="ground").shape == (3, 3)


def test_half_precision_comes_back_as_float32():
    rows = embed(Returning(unit_rows(3, width=4).half()), pictures(3), side="ground")
    assert rows.dtype == np.float32


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (None, "NoneType"),
        (np.ones((3, 2), np.float32), "ndarray"),
        (torch.ones(3), r"torch.float32 \(3,\)"),
        (torch.ones(3, 2, 1), r"torch.float32 \(3, 2, 1\)"),
        (torch.ones(3, 2, dtype=torch.int64), r"torch.int64 \(3, 2\)"),
        (unit_rows(2), "2 rows for 3 images"),
        (torch.ones(3, 0), "length 0 instead of 1"),
    ],
)
def test_anything_but_one_floating_row_an_image_is_refused(answer, message):
    with pytest.raises(ModelError, match=message):
        embed(Returning(answer), pictures(3), side="ground")


def test_a_width_that_changes_between_batches_is_refused():
    adapter = Returning(unit_rows(2, width=3), unit_rows(2, width=4))
    with pytest.raises(ModelError, match="4 numbers for image 2 and 3 for those before it"):
        embed(adapter, pictures(4), side="ground", batch_size=2)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4, 3), np.float32),
        np.zeros((4, 4), np.uint8),
        np.zeros((3, 4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
    ],
)
def test_an_image_that_is_not_rgb_bytes_is_refused_with_its_place(image):
    with pytest.raises(DataError, match=r"image 1 is .* not \(H, W, 3\) uint8"):
        embed(Means(), [*pictures(1), image], side="ground")


def test_no_image_at_all_is_refused():
    with pytest.raises(DataError, match="not one aerial image"):
        embed(Means(), [], side="aerial")


@pytest.mark.parametrize("batch_size", [0, -1])
def test_a_batch_of_less_than_one_image_is_refused(batch_size):
    with pytest.raises(ModelError, match="at least one image"):
        embed(Means(), pictures(1), side="ground", batch_size=batch_size)


def test_an_unknown_side_is_refused():
    with pytest.raises(ModelError, match="unknown side 'arial'"):
        embed(Means(), pictures(1), side="arial")


class Told(Means):
    """Has the parameter that says how much of the panorama its views show."""

    def __init__(self):
        super().__init__()
        self.told = []

    def encode_ground(self, images, fov_degrees=360.0):
        self.told.append(fov_degrees)
        return super().encode_ground(images)

    def encode_aerial(self, images):
        return Means.encode_ground(self, images)


def test_an_adapter_that_wants_the_field_of_view_is_told_it_with_every_batch():
    adapter = Told()
    embed(adapter, pictures(3), side="ground", batch_size=2, fov_degrees=90)
    embed(adapter, pictures(1), side="ground")
    assert adapter.told == [90, 90, 360]


def test_tiles_have_no_field_of_view():
    adapter = Told()
    embed(adapter, pictures(2), side="aerial", fov_degrees=90)
    assert adapter.told == []


def test_an_adapter_that_does_not_want_the_field_of_view_is_called_as_ever():
    images = pictures(2)
    narrow = embed(Means(), images, side="ground", fov_degrees=90)
    np.testing.assert_array_equal(narrow, embed(Means(), images, side="ground"))


def test_the_field_of_view_is_a_keyword_wherever_the_parameter_stands():
    class Late(Told):
        def encode_ground(self, images, scale=1, *, fov_degrees):
            assert scale == 1
            return super().encode_ground(images, fov_degrees)

    adapter = Late()
    embed(adapter, pictures(1), side="ground", fov_degrees=70)
    assert adapter.told == [70]


def test_who_is_told_the_field_of_view_shows_in_the_signature():
    class Wrapping(Told):
        @functools.wraps(Told.encode_ground)
        def encode_ground(self, *arguments, **keywords):
            return super().encode_ground(*arguments, **keywords)

    class Compiled(Means):
        encode_ground = type

    assert is_told_fov(Told())
    assert is_told_fov(Wrapping())
    assert not is_told_fov(Means())
    assert not is_told_fov(Compiled())


@pytest.mark.parametrize("fov_degrees", [0, -90, 360.5, float("nan"), float("inf")])
def test_a_field_of_view_that_cannot_be_is_refused(fov_degrees):
    with pytest.raises(ModelError, match=r"field of view lies in \(0, 360\]"):
        embed(Told(), pictures(1), side="ground", fov_degrees=fov_degrees)


def test_the_device_follows_what_the_machine_has(monkeypatch):
    for present, chosen in ((False, "cpu"), (True, "cuda")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda present=present: present)
        assert resolve_device("auto") == torch.device(chosen)
        assert resolve_device("cpu") == torch.device("cpu")


def test_an_absent_cuda_device_is_refused_with_a_way_out(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ModelError, match=r"no CUDA device.*--device cpu"):
        embed(Means(), pictures(1), side="ground", device="cuda")


def test_an_unknown_device_is_refused():
    with pytest.raises(ModelError, match="unknown device 'gpu'"):
        resolve_device("gpu")


class Halved(Means):
    """Normalises in 16 bits, as autocast may, and returns what is left of unit length."""

    def __init__(self, length=1.0):
        super().__init__()
        self.length = length

    def encode_ground(self, images):
        return (super().encode_ground(images) * self.length).bfloat16()


def test_rows_that_16_bits_have_rounded_get_unit_length_and_others_are_refused():
    place = torch.device("cpu")
    images = [np.full((5, 7, 3), (10, 60 + i, 110), np.uint8) for i in range(40)]
    encoding = Encoding(Halved(), "ground", place, precision="bfloat16")
    (rows,) = embed_batches(encoding, images, size=BatchSize(40))
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
    assert (
        np.abs(
            np.linalg.norm(Halved().encode_ground(torch.rand(40, 3, 5, 7)).float(), axis=1) - 1
        ).max()
        > 1e-3
    )
    short = Encoding(Halved(0.98), "ground", place, precision="bfloat16")
    with pytest.raises(ModelError, match=r"a row of length 0\.98"):
        list(embed_batches(short, images, size=BatchSize(40)))


def test_the_callers_own_autocast_reaches_the_model():
    class Seeing(Means):
        def encode_ground(self, images):
            self.seen = torch.is_autocast_enabled("cpu")
            return super().encode_ground(images)

    model = Seeing()
    with torch.autocast("cpu", torch.bfloat16):
        embed(model, pictures(2), side="ground")
    assert model.seen
    embed(model, pictures(2), side="ground")
    assert not model.seen
