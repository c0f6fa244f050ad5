import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvgl_bench.embedding_identity import key_of
from cvgl_bench.embedding_store import ArrayPage, EmbeddingStore, link
from cvgl_bench.errors import DataError

IDENTITY = {"model": {"name": "a"}, "images": {"files": "x"}, "fov_degrees": 90.0}


def rows(count, width=3, seed=0):
    numbers = np.random.default_rng(seed).normal(size=(count, width)).astype(np.float32)
    return numbers / np.linalg.norm(numbers, axis=1, keepdims=True)


def put(store, array, identity=IDENTITY, **changes):
    key = key_of(identity)
    digest, width = store.write(key, [array], len(array))
    facts = {"identity": identity, "rows": len(array), "width": width, "sha256": digest}
    return store.settle(ArrayPage(**facts | {"seconds": 1.5, "environment": {}} | changes))


@settings(max_examples=25)
@given(sizes=st.lists(st.integers(1, 9), min_size=1, max_size=6), width=st.integers(1, 5))
def test_an_array_written_in_parts_is_the_file_that_numpy_writes(tmp_path_factory, sizes, width):
    store = EmbeddingStore(tmp_path_factory.mktemp("store"))
    parts = [rows(size, width, seed) for seed, size in enumerate(sizes)]
    assert store.write("key", iter(parts), sum(sizes))[1] == width
    expected = io.BytesIO()
    np.save(expected, np.concatenate(parts))
    assert store.array("key").read_bytes() == expected.getvalue()


def test_what_was_put_is_found_and_nothing_else(tmp_path):
    store = EmbeddingStore(tmp_path / "new" / "folder")
    assert store.find(IDENTITY, 4, "x") is None
    assert store.keys() == set()
    page = put(store, rows(4))
    assert store.find(IDENTITY, 4, "x") == page
    assert store.find({**IDENTITY, "fov_degrees": 70.0}, 4, "x") is None
    assert store.keys() == {key_of(IDENTITY)}


def test_an_array_without_a_page_is_none(tmp_path):
    store = EmbeddingStore(tmp_path)
    store.write(key_of(IDENTITY), [rows(4)], 4)
    assert store.find(IDENTITY, 4, "x") is None


def test_the_key_depends_on_every_part_and_not_on_their_order():
    assert key_of(IDENTITY) == key_of(dict(reversed(IDENTITY.items())))
    assert key_of(IDENTITY) != key_of(IDENTITY | {"model": {"name": "b"}})


@pytest.mark.parametrize("given_", [3, 5])
def test_more_or_fewer_rows_than_pictures_are_refused_and_leave_no_file(tmp_path, given_):
    store = EmbeddingStore(tmp_path)
    with pytest.raises(DataError, match=f"got {given_} rows where 4 were expected"):
        store.write("key", [rows(given_)], 4)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rows": 3}, "another shape than its page"),
        ({"width": 2}, "another shape than its page"),
        ({"sha256": "0" * 64}, "not the array that its page was written for"),
    ],
)
def test_a_page_that_lies_is_refused(tmp_path, changes, message):
    store = EmbeddingStore(tmp_path)
    put(store, rows(4), **changes)
    with pytest.raises(DataError, match=message):
        store.find(IDENTITY, 4, "x")


def test_an_array_of_another_number_of_pictures_is_refused(tmp_path):
    store = EmbeddingStore(tmp_path)
    put(store, rows(4))
    with pytest.raises(DataError, match=r"floats in 5 rows were expected"):
        store.find(IDENTITY, 5, "x")


def test_a_page_of_another_identity_under_this_key_is_refused(tmp_path):
    store = EmbeddingStore(tmp_path)
    put(store, rows(4))
    other = IDENTITY | {"more": 1}
    for path in (store.page, store.array):
        path(key_of(IDENTITY)).rename(path(key_of(other)))
    with pytest.raises(DataError, match="not the array that its page was written for"):
        store.find(other, 4, "x")


def test_an_error_while_rows_come_leaves_no_file(tmp_path):
    def coming():
        yield rows(2)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        EmbeddingStore(tmp_path).write("key", coming(), 4)
    assert list(tmp_path.iterdir()) == []


def test_a_taken_array_is_one_file_with_two_names_or_a_copy(tmp_path, monkeypatch):
    ours, theirs, copied = (EmbeddingStore(tmp_path / name) for name in "abc")
    page = put(ours, rows(4))
    theirs.take(page, ours)
    key = key_of(IDENTITY)
    assert theirs.array(key).samefile(ours.array(key))
    theirs.take(page, ours)

    def no_second_names(*_):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr("os.link", no_second_names)
    copied.take(page, ours)
    assert not copied.array(key).samefile(ours.array(key))
    for store in (theirs, copied):
        assert store.find(IDENTITY, 4, "x") == page
        assert len(list(store.folder.iterdir())) == 2


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    inside = EmbeddingStore(tmp_path / "file")
    with pytest.raises(DataError, match=r"cannot write .*key\.npy"):
        inside.write("key", [rows(2)], 2)
    with pytest.raises(DataError, match="cannot write"):
        link(tmp_path / "absent", tmp_path / "b.npy")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]
