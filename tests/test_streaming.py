"""Cells that are rendered in one stream: the pictures of `generate`, however they are made."""

import numpy as np
import pytest
import torch
from PIL import Image

from corruptions import CORRUPTIONS
from corruptions.codecs import CODECS
from cvgl_bench import streaming
from cvgl_bench.clock import Clock
from cvgl_bench.codec import decode
from cvgl_bench.datasets import load_dataset
from cvgl_bench.embedding_run import Scale
from cvgl_bench.errors import DataError, ModelError, RecordError, SuiteError
from cvgl_bench.evaluation import Arithmetic, evaluate, evaluate_shard, plan_evaluation
from cvgl_bench.makers import Batch, making
from cvgl_bench.pictures import RenderedPictures
from cvgl_bench.record import read_record
from cvgl_bench.rendering import plan_output, read_source, render
from cvgl_bench.suite import CLEAN, Cell

torch.set_num_threads(1)
CPU = torch.device("cpu")
ALONE = Scale(with_cost=False)
PAIRS = 5


class Colors:
    """Every picture's mean colours; keeps how many pictures it saw at a time."""

    name = "colors"
    preprocessing = "none"
    weights_sha256 = ""

    def __init__(self, room=10**6, fails_after=10**6):
        self.seen, self.room, self.fails_after = [], room, fails_after

    def encode_ground(self, images):
        if len(images) > self.room:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        if len(self.seen) == self.fails_after:
            raise ModelError("stopped")
        self.seen.append(len(images))
        parts = torch.nn.functional.adaptive_avg_pool2d(images, (2, 4)).flatten(1) - 0.5
        return torch.nn.functional.normalize(parts, dim=1)

    encode_aerial = encode_ground


@pytest.fixture
def world(make_cvusa, small_suite):
    return small_suite(pairs=PAIRS, views=["full", "fov90"]), make_cvusa(PAIRS)


def run(world, out, adapter=None, scale=ALONE, *, batch_size=32, cells=None, **arithmetic):
    suite, root = world
    job = plan_evaluation(
        suite, root, adapter or Colors(), arithmetic=Arithmetic(**arithmetic), cells=cells
    )
    record = evaluate(job, out, scale=scale, batch_size=batch_size)
    return record, {path.name: np.load(path) for path in (out / "embeddings").glob("*.npy")}


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_allclose(one[name], other[name], atol=1e-6, err_msg=name)


@pytest.mark.parametrize("corrupt_on", ["cpu", "device"])
@pytest.mark.parametrize("form", ["grid", "mixed"])
def test_every_view_and_corruption_is_what_generate_would_have_written(
    make_cvusa, small_suite, corrupt_on, form
):
    root = make_cvusa(3, panorama=(48, 160))
    suite = small_suite(
        form=form,
        corruptions=list(CORRUPTIONS),
        severities=[2, 5],
        views=["full", "fov70", "heading90"],
    )
    pairs = load_dataset("cvusa", root, "val").pairs
    sources = [read_source(pair, CODECS["pillow"]) for pair in pairs]
    rendered = RenderedPictures(suite, "cvusa", pairs, corrupt_on=corrupt_on)
    clean = [Cell(view=view, corruption=CLEAN, severity=0) for view in suite.views]
    cells = [*dict.fromkeys([*clean, *suite.cells])]
    with making(rendered, Clock(CPU), CPU, 48 * 160) as maker:
        views = maker.begin(Batch(pairs, sources))
        for cell in cells:
            views.start(cell)
            made = views.make(cell, slice(0, 3))
            assert made.dtype == torch.uint8
            for picture, pair, source in zip(made, pairs, sources, strict=True):
                output = plan_output(suite, "cvusa", pair, cell)
                data = render(suite, source, output).data
                np.testing.assert_array_equal(
                    picture.permute(1, 2, 0).numpy(), decode(data, output.path), err_msg=str(cell)
                )


def test_a_part_of_a_batch_is_asked_for_again_after_a_larger_one_did_not_fit(world, tmp_path):
    _, whole = run(world, tmp_path / "whole")
    told = []
    model = Colors(room=2)
    _, rows = run(world, tmp_path / "short", model, Scale(tell=told.append, with_cost=False))
    assert_same(whole, rows)
    assert {*model.seen} == {1, 2}
    assert "memory was too short for 32 pictures at a time; 2 went" in told[-1]
    with pytest.raises(ModelError, match="ran out of memory at image 0, alone in its batch"):
        run(world, tmp_path / "none", Colors(room=0))


@pytest.mark.parametrize("corrupt_on", ["cpu", "device"])
@pytest.mark.parametrize("sizes", [(1, 1), (2, 3), (3, 2), (4, 6)])
def test_any_span_batch_and_maker_give_the_same_rows(
    world, tmp_path, monkeypatch, sizes, corrupt_on
):
    most, batch_size = sizes
    _, whole = run(world, tmp_path / "whole")
    monkeypatch.setattr(streaming, "MOST_QUERIES", most)
    record, rows = run(world, tmp_path / "run", batch_size=batch_size, corrupt_on=corrupt_on)
    assert_same(whole, rows)
    assert (
        record.environment["corrupted_on"] == {"cpu": "cpu", "device": "device (cpu)"}[corrupt_on]
    )
    assert not (tmp_path / "run/embeddings.unfinished").exists()


def test_a_panorama_is_read_once_for_all_cells(world, tmp_path, monkeypatch):
    read = []

    def counted(pair, codec):
        read.append(pair.id)
        return read_source(pair, codec)

    monkeypatch.setattr(streaming, "read_source", counted)
    run(world, tmp_path / "run")
    assert sorted(read) == [f"{i:07d}" for i in range(1, PAIRS + 1)]


@pytest.mark.parametrize("after", [3, 7, 20])
def test_a_run_that_stopped_within_a_cell_goes_on_with_the_next_piece(
    world, tmp_path, monkeypatch, after
):
    monkeypatch.setattr(streaming, "MOST_QUERIES", 2)
    whole_model = Colors()
    _, whole = run(world, tmp_path / "whole", whole_model)
    with pytest.raises(ModelError, match="stopped"):
        run(world, tmp_path / "cut", Colors(fails_after=after))
    pieces = tmp_path / "cut/embeddings.unfinished/pieces"
    assert len([*pieces.glob("*.npy")]) == after - 1, "all but the gallery"
    model = Colors()
    _, rows = run(world, tmp_path / "cut", model)
    assert len(model.seen) == len(whole_model.seen) - after
    assert_same(whole, rows)
    assert not (tmp_path / "cut/embeddings.unfinished").exists()


def test_a_piece_that_was_damaged_is_named_and_made_again(world, tmp_path, monkeypatch):
    monkeypatch.setattr(streaming, "MOST_QUERIES", 2)
    _, whole = run(world, tmp_path / "whole")
    with pytest.raises(ModelError, match="stopped"):
        run(world, tmp_path / "cut", Colors(fails_after=4))
    victim = sorted((tmp_path / "cut/embeddings.unfinished/pieces").glob("*.npy"))[0]
    data = bytearray(victim.read_bytes())
    data[-3] ^= 1
    victim.write_bytes(data)
    told = []
    model = Colors()
    _, rows = run(world, tmp_path / "cut", model, Scale(tell=told.append, with_cost=False))
    assert any(f"{victim} is damaged" in sentence for sentence in told)
    assert_same(whole, rows)


def test_little_memory_makes_spans_batches_and_parts_smaller_and_changes_no_row(world, tmp_path):
    _, whole = run(world, tmp_path / "whole")
    model = Colors()
    little = Scale(max_memory=2 << 20, with_cost=False)
    _, rows = run(world, tmp_path / "little", model, little, corrupt_on="device")
    assert_same(whole, rows)
    stream = streaming.Stream(
        plan_evaluation(*world, Colors()), (), CPU, streaming.BatchSize(32), 40_000, print
    )
    assert max(map(len, stream.spans)) == 1
    assert stream._batch == 1
    assert stream._pixels_at_once == 32 * 96


def test_pictures_of_several_sizes_go_through_in_batches_of_a_size(world, tmp_path):
    _, root = world
    for number, width in ((2, 128), (3, 128), (5, 64)):
        path = root / f"streetview/panos/{number:07d}.jpg"
        with Image.open(path) as picture:
            picture.resize((width, 32)).save(path)
    model = Colors()
    on_cpu = run(world, tmp_path / "cpu", model, cells=world[0].select(views=["full"]))[1]
    assert model.seen[1:5] == [1, 2, 1, 1]
    on_device = run(
        world, tmp_path / "device", cells=world[0].select(views=["full"]), corrupt_on="device"
    )[1]
    assert_same(on_cpu, on_device)


def test_a_picture_too_small_for_a_corruption_is_named_by_either_maker(
    make_cvusa, small_suite, tmp_path
):
    world = small_suite(pairs=3), make_cvusa(3, panorama=(12, 96))
    for corrupt_on in ("cpu", "device"):
        with pytest.raises(DataError, match=r"quer(y|ies from) 0000001, .*at least 16 pixels"):
            run(world, tmp_path / corrupt_on, corrupt_on=corrupt_on)
        assert not (tmp_path / corrupt_on / "record.json").exists()


def test_a_codec_that_no_device_has_is_refused_before_anything_is_done(
    make_cvusa, small_suite, tmp_path
):
    world = small_suite(pairs=3, codec="ijg9d"), make_cvusa(3)
    pytest.importorskip("jpeglib")
    with pytest.raises(SuiteError, match="codec 'ijg9d', whose pixels need the processor"):
        run(world, tmp_path / "run", corrupt_on="device")
    assert not (tmp_path / "run").exists()


def test_arrays_of_the_two_makers_are_not_taken_for_each_other_but_clean_ones_are(world, tmp_path):
    kept = Scale(cache=tmp_path / "cache", with_cost=False)
    run(world, tmp_path / "cpu", scale=kept)
    model = Colors()
    run(world, tmp_path / "device", model, kept, corrupt_on="device")
    assert len(model.seen) == len(world[0].cells) - 1, "all but the gallery and the clean panoramas"
    model = Colors()
    run(world, tmp_path / "again", model, kept, corrupt_on="device")
    assert model.seen == []


class Rounding(Colors):
    """Sees so little of a picture that bfloat16 loses it."""

    def encode_ground(self, images):
        rows = super().encode_ground(images)
        if torch.is_autocast_enabled("cpu"):
            rows = torch.nn.functional.normalize((rows * 3).round() + 0.01, dim=1)
        return rows

    encode_aerial = encode_ground


def test_bfloat16_is_recorded_with_what_it_changes_and_refused_where_that_is_too_much(
    make_cvusa, small_suite, tmp_path
):
    root = make_cvusa(40)
    for path in (root / "bingmap/19").iterdir():
        with Image.open(root / "streetview/panos" / path.name) as panorama:
            panorama.save(path, quality=95)
    world = small_suite(pairs=40), root
    record, rows = run(world, tmp_path / "run", precision="bfloat16")
    said = "bfloat16 (change at rank 1: 0 of 40 in clean, 0 of 40 in contrast 5)"
    assert record.environment["precision"] == said
    assert all(array.dtype == np.float32 for array in rows.values())
    with pytest.raises(ModelError, match=r"in bfloat16, \d+ of 40 queries of .* use --precision"):
        run(world, tmp_path / "rough", Rounding(), precision="bfloat16")
    assert not (tmp_path / "rough/record.json").exists()
    assert "precision" not in read_record(tmp_path / "run/record.json").model_dump()["model"]


class Buffered(Colors):
    """Hands out the same buffer again and again, as captured graphs do."""

    def encode_ground(self, images):
        rows = super().encode_ground(images)
        if not hasattr(self, "buffer"):
            self.buffer = torch.empty(64, rows.shape[1])
        self.buffer[: len(rows)] = rows
        return self.buffer[: len(rows)]

    encode_aerial = encode_ground


def test_a_model_may_hand_out_the_same_buffer_for_every_batch(world, tmp_path):
    _, rows = run(world, tmp_path / "run", Buffered(), batch_size=2)
    assert_same(rows, run(world, tmp_path / "whole", batch_size=2)[1])


class FailsOnDark(Colors):
    def encode_ground(self, images):
        if images.mean() < 0.02:
            raise ValueError("too dark")
        return super().encode_ground(images)


@pytest.mark.parametrize("most", [2, 512])
def test_a_failure_names_the_number_of_the_picture_whatever_the_span(
    world, tmp_path, monkeypatch, most
):
    monkeypatch.setattr(streaming, "MOST_QUERIES", most)
    Image.new("RGB", (96, 32)).save(world[1] / "streetview/panos/0000005.jpg")
    with pytest.raises(
        ModelError, match=r"\(ground\) failed at images 4 to 4: ValueError: too dark"
    ):
        run(world, tmp_path / "run", FailsOnDark(), batch_size=2)


def test_a_run_of_another_precision_or_maker_is_neither_replaced_nor_taken_for_this_one(
    world, tmp_path
):
    suite, root = world
    run(world, tmp_path / "run")
    before = (tmp_path / "run/record.json").read_bytes()
    for arithmetic, words in (
        (Arithmetic(precision="bfloat16"), "this one is in bfloat16, pictures corrupted by the"),
        (Arithmetic(corrupt_on="device"), "this one is in float32, pictures corrupted on the dev"),
    ):
        job = plan_evaluation(suite, root, Colors(), arithmetic=arithmetic)
        for call in (evaluate, lambda *args, **how: evaluate_shard(*args, (1, 2), **how)):
            with pytest.raises(RecordError, match=words):
                call(job, tmp_path / "run", scale=ALONE)
    assert (tmp_path / "run/record.json").read_bytes() == before


def test_pictures_are_let_go_of_when_their_cell_is_done(make_cvusa, small_suite):
    pairs = load_dataset("cvusa", make_cvusa(3), "val").pairs
    sources = [read_source(pair, CODECS["pillow"]) for pair in pairs]
    suite = small_suite()
    with making(RenderedPictures(suite, "cvusa", pairs), Clock(CPU), CPU, 1 << 20) as maker:
        views = maker.begin(Batch(pairs, sources))
        for cell in suite.cells:
            views.start(cell)
        for cell in suite.cells:
            views.make(cell, slice(0, 3))
            views.finish(cell)
        assert views.rendering == {}
