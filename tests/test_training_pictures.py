import multiprocessing
import os
import signal

import numpy as np
import pytest
import torch
from PIL import Image

from cvgl_bench.datasets import Pair
from cvgl_bench.errors import CvglBenchError, DataError
from cvgl_bench.models.config import Config
from cvgl_bench.models.inputs import resize_aerial, resize_ground
from cvgl_bench.training.pictures import Batches, InMemory, PairPictures, in_memory, needed_bytes

torch.set_num_threads(1)

CONFIG = Config(method="any", backbone="any", ground_size=(16, 48), aerial_size=(24, 24))


@pytest.fixture
def pairs(tmp_path):
    rng = np.random.default_rng(3)
    made = []
    for number in range(10):
        files = tmp_path / f"{number}-ground.png", tmp_path / f"{number}-aerial.jpg"
        for file, size in zip(files, ((20, 70, 3), (33, 33, 3)), strict=True):
            Image.fromarray(rng.integers(0, 256, size, np.uint8)).save(file)
        made.append(Pair(str(number), *files))
    return made


def floats(path):
    with Image.open(path) as picture:
        return torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None] / 255


def test_pictures_are_what_an_evaluation_shows_the_network_rounded_to_bytes(pairs):
    for antialias in (False, True):
        config = CONFIG.model_copy(update={"antialias": antialias})
        ground, aerial = PairPictures(pairs, config)[4]
        for bytes_, exact in (
            (ground, resize_ground(floats(pairs[4].ground), config)[0]),
            (aerial, resize_aerial(floats(pairs[4].aerial), config)[0]),
        ):
            assert bytes_.dtype == torch.uint8
            assert bytes_.shape == exact.shape
            assert (bytes_ - 255 * exact).abs().max() < 0.501


def test_either_side_can_be_asked_for_alone(pairs):
    lazy = PairPictures(pairs, CONFIG)
    for pictures in (lazy, in_memory(lazy)):
        assert len(pictures) == 10
        assert torch.equal(pictures.ground(3), lazy[3][0])
        assert torch.equal(pictures.aerial(3), lazy[3][1])


@pytest.mark.parametrize("readers", [1, 3])
def test_pictures_in_memory_are_the_same_and_take_the_stated_bytes(pairs, readers):
    lazy, told = PairPictures(pairs, CONFIG), []
    kept = in_memory(lazy, readers=readers, progress=told.append)
    for one, other in zip(kept, lazy, strict=False):
        assert torch.equal(one[0], other[0])
        assert torch.equal(one[1], other[1])
    assert kept.grounds.nbytes + kept.aerials.nbytes == needed_bytes(lazy)
    assert sum(told) == 10


PLAN = np.array([[7, 2, 0], [1, 1, 9], [4, 8, 3], [0, 5, 6]])


def check_follows_the_plan(pictures, expected, plan, reader=None, workers=0):
    state = torch.get_rng_state()
    found = list((reader or Batches(pictures, workers=workers)).of(plan))
    assert torch.equal(torch.get_rng_state(), state)
    assert len(found) == len(plan)
    for batch, numbers in zip(found, plan, strict=True):
        assert isinstance(batch, tuple)
        for side in (0, 1):
            assert torch.equal(batch[side], torch.stack([expected[n][side] for n in numbers]))


def test_batches_follow_the_plan_and_draw_nothing(pairs):
    lazy = PairPictures(pairs, CONFIG)
    for plan in (PLAN, PLAN[:, 1:], PLAN[:0]):
        check_follows_the_plan(lazy, lazy, plan)
        check_follows_the_plan(in_memory(lazy), lazy, plan, workers=2)


def break_picture(pair):
    pair.aerial.write_bytes(pair.aerial.read_bytes()[:300])


def test_a_broken_or_missing_picture_is_named(pairs):
    break_picture(pairs[3])
    pairs[6].ground.unlink()
    lazy = PairPictures(pairs, CONFIG)
    with pytest.raises(DataError, match=r"3-aerial\.jpg"):
        in_memory(lazy)
    reading = Batches(lazy).of(PLAN)
    next(reading)
    next(reading)
    with pytest.raises(DataError, match=r"3-aerial\.jpg"):
        next(reading)
    with pytest.raises(DataError, match=r"cannot read .*6-ground\.png: No such file"):
        next(Batches(lazy).of(PLAN[3:]))


@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")
def test_worker_processes_keep_the_order_name_a_broken_picture_and_are_missed_when_they_die(pairs):
    # One test, because the first worker of a session takes seconds to start.
    lazy = PairPictures(pairs, CONFIG)
    both = Batches(lazy, workers=2)
    for plan in (PLAN, PLAN[::-1].copy(), PLAN[:0], PLAN[:, 1:]):
        check_follows_the_plan(lazy, lazy, plan, reader=both)
    workers = {child.pid for child in multiprocessing.active_children()}
    next(both.of(PLAN))
    assert len(list(both.of(PLAN))) == len(PLAN), "a plan that was left half-way is forgotten"
    assert {child.pid for child in multiprocessing.active_children()} == workers
    break_picture(pairs[3])
    reading = both.of(PLAN)
    next(reading)
    next(reading)
    with pytest.raises(DataError, match=r"^[^\n]*3-aerial\.jpg[^\n]*$"):
        next(reading)
    reading = Batches(lazy, workers=1).of(np.repeat(PLAN[:1], 50, axis=0))
    next(reading)
    for worker in multiprocessing.active_children():
        os.kill(worker.pid, signal.SIGKILL)
    with pytest.raises(CvglBenchError, match="process that decodes pictures died"):
        list(reading)


def test_batches_lie_where_the_pictures_lie():
    kept = InMemory(torch.zeros(4, 3, 2, 2, device="meta"), torch.zeros(4, 3, 2, 2, device="meta"))
    (batch,) = Batches(kept).of(np.array([[0, 3]]))
    assert [side.device.type for side in batch] == ["meta", "meta"]
