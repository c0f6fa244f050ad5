import pickle
import subprocess
import sys
from collections import namedtuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import tv_tensors
from torchvision.transforms import v2

from corruptions import CORRUPTIONS, corrupt
from corruptions.transforms import (
    Corrupted,
    Corruption,
    RandomCorruption,
    corrupt_picture,
    picture_seed,
)

Pair = namedtuple("Pair", ["ground", "aerial"])


def pixels(seed=0, height=24, width=40):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def as_tensor(array):
    return torch.from_numpy(array).movedim(-1, 0).contiguous()


class Pictures(Dataset):
    """Tensors that a seed each makes, and their numbers."""

    def __init__(self, count=8, transform=None):
        self.count, self.transform = count, transform

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        if index >= self.count:
            raise IndexError(index)
        picture = as_tensor(pixels(index))
        return (picture if self.transform is None else self.transform(picture)), index


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize("profile", ["standard", "published"])
def test_every_kind_of_picture_gets_the_functions_values(name, profile):
    array = pixels()
    wanted = corrupt(array, name, 4, rng=7, profile=profile)
    how = {"rng": 7, "profile": profile}
    made = corrupt_picture(array, name, 4, **how)
    assert isinstance(made, np.ndarray)
    assert np.array_equal(made, wanted)
    made = corrupt_picture(Image.fromarray(array), name, 4, **how)
    assert isinstance(made, Image.Image)
    assert np.array_equal(np.asarray(made), wanted)
    made = corrupt_picture(as_tensor(array), name, 4, **how)
    assert type(made) is torch.Tensor
    assert torch.equal(made, as_tensor(wanted))
    made = corrupt_picture(tv_tensors.Image(as_tensor(array)), name, 4, **how)
    assert type(made) is tv_tensors.Image
    assert torch.equal(made.as_subclass(torch.Tensor), as_tensor(wanted))


@given(
    name=st.sampled_from(sorted(CORRUPTIONS)),
    severity=st.integers(1, 5),
    seed=st.integers(0, 2**70),
    size=st.tuples(st.integers(16, 40), st.integers(16, 40)),
    flipped=st.booleans(),
)
@settings(max_examples=25)
def test_a_seeded_transform_equals_corrupt_with_the_pictures_seed(
    name, severity, seed, size, flipped
):
    array = pixels(seed % 1000, *size)
    array = array[:, ::-1] if flipped else array
    before = array.copy()
    wanted = corrupt(array, name, severity, rng=picture_seed(seed, array))
    transform = Corruption(name, severity, seed=seed)
    assert np.array_equal(transform(array), wanted)
    tensor = torch.from_numpy(array.copy()).movedim(-1, 0)
    assert torch.equal(transform(tensor), as_tensor(wanted))
    assert np.array_equal(array, before)


def test_a_picture_has_the_same_seed_in_every_form_and_another_when_it_differs():
    array = pixels()
    forms = (array, Image.fromarray(array), as_tensor(array), tv_tensors.Image(as_tensor(array)))
    assert len({picture_seed(3, form) for form in forms}) == 1
    other = array.copy()
    other[0, 0, 0] ^= 1
    wider = array.reshape(20, 48, 3)
    seeds = [picture_seed(3, array), picture_seed(4, array)]
    seeds += [picture_seed(3, other), picture_seed(3, wider)]
    assert len({*seeds}) == 4


def test_a_transform_works_in_compose_before_the_floats():
    chain = v2.Compose(
        [
            v2.ToImage(),
            Corruption("contrast", 5),
            v2.Resize((16, 16)),
            v2.ToDtype(torch.float32, scale=True),
        ]
    )
    made = chain(Image.fromarray(pixels()))
    assert made.shape == (3, 16, 16)
    assert made.dtype == torch.float32
    dull = corrupt(pixels(), "contrast", 5)
    assert abs(float(made.mean()) - dull.mean() / 255) < 0.01


def test_a_sample_keeps_its_structure_and_what_is_no_picture():
    boxes = tv_tensors.BoundingBoxes([[1, 2, 3, 4]], format="XYXY", canvas_size=(24, 40))
    mask = tv_tensors.Mask(torch.ones(24, 40, dtype=torch.uint8))
    sample = {
        "ground": tv_tensors.Image(as_tensor(pixels())),
        "boxes": boxes,
        "mask": mask,
        "label": torch.tensor(3),
        "id": "0000001",
    }
    made = Corruption("contrast", 5)(sample)
    assert list(made) == list(sample)
    assert torch.equal(made["ground"], as_tensor(corrupt(pixels(), "contrast", 5)))
    assert all(made[key] is sample[key] for key in ("boxes", "mask", "label", "id"))
    ground, label = Corruption("contrast", 5)(as_tensor(pixels()), torch.tensor(4))
    assert torch.equal(ground, made["ground"].as_subclass(torch.Tensor))
    assert label == 4


def test_every_picture_of_a_batch_has_draws_of_its_own():
    batch = torch.stack([as_tensor(pixels())] * 3)
    torch.manual_seed(1)
    made = Corruption("gaussian_noise", 3)(batch)
    assert made.shape == batch.shape
    assert not torch.equal(made[0], made[1])
    seeded = Corruption("gaussian_noise", 3, seed=1)
    different = torch.stack([as_tensor(pixels(number)) for number in range(3)])
    assert torch.equal(seeded(different), torch.stack([seeded(one) for one in different]))
    video = tv_tensors.Video(different[None])
    made = seeded(video)
    assert type(made) is tv_tensors.Video
    assert torch.equal(made[0].as_subclass(torch.Tensor), seeded(different))


def test_without_a_seed_torchs_generator_says_what_is_drawn():
    picture = as_tensor(pixels())
    transform = Corruption("gaussian_noise", 3)
    torch.manual_seed(5)
    first, second = transform(picture), transform(picture)
    torch.manual_seed(5)
    assert torch.equal(transform(picture), first)
    assert not torch.equal(first, second)


class OnAnotherDevice(torch.Tensor):
    """A tensor of this machine's memory that says it is on a GPU."""

    @property
    def device(self):
        return torch.device("cuda")


def test_pictures_on_a_gpu_go_through_the_batch_function(monkeypatch):
    seen = []

    def batch_function(images, name, severity, *, rngs, profile):
        seen.append((tuple(images.shape), name, severity, len(rngs), profile))
        return 255 - images

    for module in ("transforms", "pictures"):
        monkeypatch.setattr(f"corruptions.transforms.{module}.corrupt_batch", batch_function)
    transform = Corruption("fog", 2, profile="published", seed=0)
    batch = torch.stack([as_tensor(pixels(number)) for number in range(2)])
    transform._corrupt_all(batch.as_subclass(OnAnotherDevice), [np.random.default_rng()] * 2)
    corrupt_picture(batch[0].as_subclass(OnAnotherDevice), "snow", 1, rng=3)
    assert seen == [
        ((2, 3, 24, 40), "fog", 2, 2, "published"),
        ((1, 3, 24, 40), "snow", 1, 1, "standard"),
    ]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", CORRUPTIONS)
def test_pictures_stay_on_the_gpu_with_the_same_values(name):
    batch = torch.stack([as_tensor(pixels(number)) for number in range(3)])
    for transform in (Corruption(name, 3, seed=1), RandomCorruption([name], p=0.7, seed=1)):
        made = transform(batch.cuda())
        assert made.is_cuda
        assert torch.equal(made.cpu(), transform(batch))


def test_the_transforms_survive_pickling_and_name_themselves():
    for transform in (Corruption("fog", 3, seed=2), RandomCorruption(["snow", "fog"], [1], seed=2)):
        again = pickle.loads(pickle.dumps(transform))
        assert repr(again) == repr(transform)
        assert np.array_equal(again(pixels()), transform(pixels()))
    assert "fog" in repr(transform)


# Up to Python 3.13 DataLoader forks on Linux; from 3.12 on that warns where there are threads.
forking = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


def loaded(dataset, workers):
    context = "fork" if workers else None
    loader = DataLoader(dataset, batch_size=2, num_workers=workers, multiprocessing_context=context)
    batches = [picture for picture, _ in loader]
    return torch.cat(batches)


@forking
def test_workers_do_not_repeat_each_other_nor_do_epochs():
    # Every item is the same picture, so equal outputs would be equal draws.
    dataset = [(as_tensor(pixels()), 0)] * 8
    transform = Corruption("gaussian_noise", 3)
    noisy = Transformed(dataset, transform)
    torch.manual_seed(0)
    epochs = [loaded(noisy, workers=2) for _ in range(2)]
    everything = torch.cat(epochs).flatten(1)
    assert len(torch.unique(everything, dim=0)) == 16


class Transformed(Dataset):
    def __init__(self, dataset, transform):
        self.dataset, self.transform = dataset, transform

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, index):
        picture, label = self.dataset[index]
        return self.transform(picture), label


@forking
def test_a_seeded_transform_is_the_same_whatever_the_workers():
    transform = RandomCorruption(p=0.8, seed=3)
    assert torch.equal(
        loaded(Pictures(transform=transform), workers=0),
        loaded(Pictures(transform=transform), workers=2),
    )


def test_a_random_corruption_follows_its_probability_and_choice():
    picture = pixels()
    never, always = RandomCorruption(p=0), RandomCorruption(["contrast"], [5], p=1)
    assert never(picture) is picture
    assert np.array_equal(always(picture), corrupt(picture, "contrast", 5))
    torch.manual_seed(0)
    half = RandomCorruption(["contrast", "pixelate"], [4, 5], p=0.5)
    wanted = [corrupt(picture, name, s) for name in ("contrast", "pixelate") for s in (4, 5)]
    found = [half(picture) for _ in range(200)]
    counts = [sum(np.array_equal(one, each) for one in found) for each in (picture, *wanted)]
    assert sum(counts) == 200
    assert 70 < counts[0] < 130
    assert all(10 < count < 45 for count in counts[1:])


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Corruption("fogg", 3), "Did you mean 'fog'"),
        (lambda: Corruption("fog", 6), "from 1 to 5"),
        (lambda: Corruption("fog", 3, profile="mine"), "standard, published"),
        (lambda: Corruption("fog", 3, seed=-1), "whole number from 0"),
        (lambda: Corruption("fog", 3, seed="a"), "whole number from 0"),
        (lambda: RandomCorruption("fog"), "a list of at least one"),
        (lambda: RandomCorruption([]), "a list of at least one"),
        (lambda: RandomCorruption(["fog"], [0]), "from 1 to 5"),
        (lambda: RandomCorruption(p=1.5), "probability"),
        (lambda: RandomCorruption(p=float("nan")), "probability"),
        (lambda: Corrupted([], "fog", 9), "from 1 to 5"),
        (lambda: Corrupted([], "fog", 1, seed=None), "give one from 0"),
    ],
)
def test_arguments_that_cannot_be_are_refused_when_it_is_made(make, said):
    with pytest.raises(ValueError, match=said):
        make()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (torch.zeros(3, 24, 40), "ToDtype"),
        (torch.zeros(24, 40, 3, dtype=torch.uint8), "movedim"),
        (torch.zeros(1, 24, 40, dtype=torch.uint8), "RGB"),
        (torch.zeros(3, 8, 8, dtype=torch.uint8), "at least 16 pixels"),
        (np.zeros((24, 40, 3), np.float32), "uint8"),
        (Image.new("I;16", (40, 24)), "I;16"),
        ("a text", "no picture in the sample"),
        ({}, "no picture in the sample"),
        (np.int64(3), "no picture in the sample"),
    ],
)
def test_what_is_no_picture_is_refused_and_not_passed_on(given, said):
    with pytest.raises(ValueError, match=said):
        Corruption("contrast", 1)(given)


@forking
def test_item_i_of_a_corrupted_set_is_the_same_whatever_makes_it():
    dataset = Corrupted(Pictures(), "snow", 3, seed=4, at=0)
    picture, label = dataset[5]
    wanted = corrupt(pixels(5), "snow", 3, rng=np.random.default_rng([4, 5]))
    assert torch.equal(picture, as_tensor(wanted))
    assert label == 5
    assert torch.equal(dataset[-3][0], picture)
    assert len(dataset) == 8
    assert torch.equal(loaded(dataset, workers=0), loaded(dataset, workers=2))
    with pytest.raises(IndexError):
        dataset[8]
    assert len(list(dataset)) == 8
    other = Corrupted(Pictures(), "snow", 3, seed=5, at=0)
    assert not torch.equal(other[5][0], picture)


@pytest.mark.parametrize(
    ("item", "at"),
    [
        (pixels(), None),
        ([pixels(), "label"], 0),
        ((1, pixels()), -1),
        (Pair(pixels(), pixels(1)), 0),
        ({"ground": pixels(), "aerial": pixels(1)}, "ground"),
    ],
    ids=["picture", "list", "tuple", "namedtuple", "mapping"],
)
def test_items_keep_their_form_and_are_not_changed_themselves(item, at):
    before = pickle.dumps(item)
    made = Corrupted([item], "contrast", 5, at=at)[0]
    assert type(made) is type(item)
    picture = made if at is None else made[at]
    assert np.array_equal(picture, corrupt(pixels(), "contrast", 5))
    assert pickle.dumps(item) == before


@pytest.mark.parametrize(
    ("item", "at", "said"),
    [
        ((pixels(), 1), None, "at=0"),
        ((pixels(), 1), 1, "A int is no picture"),
        ((pixels(), 1), 2, "nothing at 2"),
        ({"ground": pixels()}, "aerial", "nothing at 'aerial'"),
        (3, 0, "nothing at 0"),
    ],
)
def test_an_item_without_a_picture_there_is_refused(item, at, said):
    with pytest.raises(ValueError, match=said):
        Corrupted([item], "fog", 1, at=at)[0]


def test_the_library_alone_does_not_bring_torch():
    check = "import sys, corruptions; assert not {'torch', 'torchvision'} & {*sys.modules}"
    subprocess.run([sys.executable, "-c", check], check=True, capture_output=True)


def test_grey_pictures_come_back_in_colour_whether_they_are_drawn_or_not():
    grey = np.full((32, 32), 90, np.uint8)
    for picture in (grey, Image.fromarray(grey)):
        never = RandomCorruption(["contrast"], [1], p=0.0)(picture)
        always = RandomCorruption(["contrast"], [1], p=1.0)(picture)
        assert np.asarray(never).shape == np.asarray(always).shape == (32, 32, 3)
        np.testing.assert_array_equal(np.asarray(never), 90)
