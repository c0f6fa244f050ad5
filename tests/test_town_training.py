import sys
from importlib import import_module

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from cvgl_bench.datasets import cvusa
from cvgl_bench.errors import CvglBenchError, DataError, ModelError
from cvgl_bench.models import load
from cvgl_bench.ranking import rank_all
from cvgl_bench.scores import recall_at

pytest.importorskip("safetensors")
model = import_module("benchmarks.town_model")
pictures = import_module("benchmarks.town_pictures")
training = import_module("benchmarks.town_training")

torch.set_num_threads(1)
TOWN_NET = f"{model.__file__}:TownNet"


@pytest.fixture(scope="module")
def pairs():
    """16 pairs whose two pictures share little but their colours."""
    draw = torch.Generator().manual_seed(5)
    colours = torch.rand(16, 3, 1, 1, generator=draw)

    def picture(height, width):
        patches = colours + 0.3 * (torch.rand(16, 3, 4, 4, generator=draw) - 0.5)
        return (interpolate(patches, (height, width)).clamp(0, 1) * 255).byte()

    size = (model.HEIGHT, model.FULL_WIDTH)
    return pictures.Pairs(picture(*size), picture(*size))


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "new.safetensors"
    training.write_weights(model.TwoBranch(), path)
    return path


@pytest.mark.slow
def test_the_loss_falls_and_pairs_are_found(pairs):
    losses = []
    plan = training.Plan(batch=16, steps=25)
    network = training.train(pairs, plan, lambda _, loss: losses.append(loss)).eval()
    with torch.inference_mode():
        queries = network.encode_ground(pairs.ground / 255).numpy()
        references = network.encode_aerial(pairs.aerial / 255).numpy()
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])
    assert recall_at(rank_all(queries, references, range(16)).ranks, 1) >= 0.5


@pytest.mark.parametrize("views", ["aligned", "narrow"])
def test_the_same_seed_and_steps_give_the_same_weights(pairs, views):
    plan = training.Plan(batch=4, steps=2, views=views)
    first, second = (training.train(pairs, plan).state_dict() for _ in range(2))
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_a_deadline_ends_the_training(pairs):
    now = training.time.monotonic()
    network = training.train(pairs, training.Plan(batch=4, deadline=now + 0.3))
    assert isinstance(network, model.TwoBranch)
    assert training.time.monotonic() < now + 10
    with pytest.raises(DataError, match="a number of steps or a deadline"):
        training.train(pairs, training.Plan())


def test_panorama_and_unrolled_tile_turn_and_mirror_together():
    columns = torch.arange(80, dtype=torch.uint8).expand(64, 3, 8, 80)
    both = pictures.turned_together(columns, columns + 100, torch.Generator().manual_seed(1))
    assert torch.equal(both.aerial, both.ground + 100)
    steps = np.diff(both.ground[:, 0, 0].numpy().astype(int), axis=1) % 80
    assert ((steps == 1).all(axis=1) | (steps == 79).all(axis=1)).all()
    assert 10 < (steps[:, 0] == 1).sum() < 54
    assert len(set(both.ground[:, 0, 0, 0].tolist())) > 20


def test_a_tile_is_unrolled_with_north_in_the_middle_and_east_to_the_right():
    tile = torch.zeros(1, 3, 64, 64)
    tile[:, 0, :8, 28:36] = 1  # north
    tile[:, 1, 28:36, -8:] = 1  # east
    unrolled = model.aerial_input(tile)[0].numpy()
    for band, column in ((0, 128), (1, 192)):
        assert np.argwhere(unrolled[band] > 0.5)[:, 1].mean() + 0.5 == pytest.approx(column, abs=2)


def test_views_narrow_from_wide_to_90_degrees():
    widths = [training._width(training.WHOLE + 0.01 * step) for step in range(60)]
    assert widths[0] == 240
    assert widths == sorted(widths, reverse=True)
    assert all(width % model.STRIDE == 0 for width in widths)
    assert set(widths[25:]) == {64}


def test_as_many_narrow_views_are_drawn_as_fill_the_panorama():
    draw = torch.Generator().manual_seed(0)
    grounds, aerials = (
        torch.randint(0, 256, (6, 3, 48, 256), generator=draw, dtype=torch.uint8) for _ in range(2)
    )
    plan = training.Plan(views="narrow", batch=4)
    pairs = pictures.Pairs(grounds, aerials)
    for done, shape in ((0.0, (1, 4, 3, 48, 256)), (0.9, (4, 4, 3, 48, 64))):
        views, tiles = next(training.batches(pairs, plan, lambda share=done: share))
        assert views.shape == shape
        assert tiles.shape == (4, 3, 48, 256)


def test_a_cut_is_a_piece_of_the_panorama_that_may_cross_the_seam():
    columns = torch.arange(80, dtype=torch.uint8).expand(32, 3, 8, 80)
    cut = pictures.cut_anywhere(columns, 20, torch.Generator().manual_seed(2))
    assert cut.shape == (32, 3, 8, 20)
    steps = np.diff(cut[:, 0, 0].numpy().astype(int), axis=1) % 80
    assert (steps == 1).all()
    assert len(set(cut[:, 0, 0, 0].tolist())) > 10


@pytest.mark.parametrize("size", [(112, 616), (112, 154), (112, 120), (224, 308), (30, 7)])
def test_views_of_any_width_get_unit_vectors(weights, size):
    adapter = load(TOWN_NET, weights)
    with torch.inference_mode():
        rows = adapter.encode_ground(torch.rand(2, 3, *size))
    assert rows.shape == (2, model.DIMENSIONS)
    assert rows.dtype == torch.float32
    np.testing.assert_allclose(rows.norm(dim=1), 1, atol=1e-5)


def test_tiles_of_any_size_get_unit_vectors(weights):
    adapter = load(TOWN_NET, weights)
    with torch.inference_mode():
        rows = adapter.encode_aerial(torch.rand(2, 3, 70, 70))
    np.testing.assert_allclose(rows.norm(dim=1), 1, atol=1e-5)


def test_weights_are_read_as_they_were_written(tmp_path, weights):
    adapter = load(TOWN_NET, weights)
    training.write_weights(adapter.network, tmp_path / "again.safetensors")
    again = load(TOWN_NET, tmp_path / "again.safetensors")
    assert adapter.weights_sha256 == again.weights_sha256 != ""


@pytest.mark.parametrize("kind", ["other network", "no safetensors"])
def test_wrong_weights_are_refused_in_one_sentence(tmp_path, kind):
    path = tmp_path / "wrong.safetensors"
    if kind == "other network":
        training.write_weights(torch.nn.Linear(2, 2), path)
    else:
        path.write_bytes(b"hello")
    with pytest.raises(ModelError, match=r"wrong.safetensors' (does not hold|is not a)") as caught:
        load(TOWN_NET, path)
    assert "\n" not in str(caught.value)


def test_the_command_trains_and_scores(tmp_path, make_cvusa, monkeypatch, capsys):
    root = make_cvusa(6, panorama=(24, 132))
    monkeypatch.setattr(
        training, "load_dataset", lambda _, root, split: cvusa.load(root, split, name="cvtown")
    )
    out = tmp_path / "weights.safetensors"
    words = (
        f"x --data {root} --split val --out {out} --held-out 2 --steps 2 --batch 4 --views narrow"
    )
    monkeypatch.setattr(sys, "argv", words.split())
    training.main()
    assert "R@1 of 2 pairs held out" in capsys.readouterr().out
    assert load(TOWN_NET, out).name == "townnet"


def test_a_file_of_weights_that_could_not_be_read_again_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["x", "--data", str(tmp_path), "--out", str(tmp_path / "w")])
    with pytest.raises(SystemExit, match=r"ends in \.safetensors"):
        training.main()


def test_panoramas_of_another_shape_are_refused(make_cvusa):
    listed = cvusa.load(make_cvusa(1, panorama=(32, 64)), "val").pairs
    with pytest.raises(CvglBenchError, match="CVUSA's shape"):
        pictures.read_pairs(listed)
    with pytest.raises(CvglBenchError, match="no pair"):
        pictures.read_pairs([])
