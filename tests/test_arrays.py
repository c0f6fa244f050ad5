import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cvgl_bench.arrays import read_embeddings
from cvgl_bench.errors import ModelError, RecordError


@pytest.fixture
def rows():
    drawn = np.random.default_rng(1).normal(size=(7, 5))
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)


def lists_of(rows, kind):
    return pa.array(list(rows), type=pa.list_(pa.float32(), *kind))


def test_every_kind_of_file_gives_the_same_rows(rows, tmp_path):
    np.save(tmp_path / "a.npy", rows)
    np.savez(tmp_path / "one.npz", rows)
    np.savez_compressed(tmp_path / "two.npz", clean=rows, fog=-rows)
    pq.write_table(pa.table({"embedding": lists_of(rows, ())}), tmp_path / "list.parquet")
    pq.write_table(pa.table({"fog": lists_of(rows, (5,))}), tmp_path / "fixed.parquet")
    for file, array in (
        ("a.npy", ""),
        ("one.npz", ""),
        ("two.npz", "clean"),
        ("list.parquet", ""),
        ("fixed.parquet", "fog"),
    ):
        found = read_embeddings(tmp_path / file, 7, "x", array)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, rows)


def test_half_precision_is_read_in_full_and_double_is_shortened(rows, tmp_path):
    for kind in (np.float16, np.float64):
        np.save(tmp_path / "a.npy", rows.astype(kind))
        found = read_embeddings(tmp_path / "a.npy", 7, "x")
        np.testing.assert_array_equal(found, rows.astype(kind).astype(np.float32))


def test_an_array_that_is_not_named_or_not_there_is_missed(rows, tmp_path):
    np.savez(tmp_path / "two.npz", clean=rows, fog=rows)
    np.save(tmp_path / "a.npy", rows)
    pq.write_table(pa.table({"rank": [1] * 7}), tmp_path / "a.parquet")
    for file, array, message in (
        ("two.npz", "", "arrays clean, fog: name one"),
        ("two.npz", "snow", "no array 'snow', only clean, fog"),
        ("a.npy", "clean", "no array 'clean'"),
        ("a.parquet", "", "no column 'embedding', only rank"),
        ("a.parquet", "rank", "not lists of numbers"),
    ):
        with pytest.raises(RecordError, match=message):
            read_embeddings(tmp_path / file, 7, "x", array)


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".parquet"])
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04broken", b"PAR1", b"\x93NUMPY\x01\x00"])
def test_damaged_files_are_named(suffix, content, tmp_path):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    with pytest.raises((RecordError, ModelError), match=r"^[^\n]*a\.[a-z]+[^\n]*$"):
        read_embeddings(path, 7, "x")


def test_arrays_of_another_form_are_refused(rows, tmp_path):
    for number, array in enumerate((rows[:6], rows[:, 0], rows.astype(int), rows.astype(str))):
        np.save(tmp_path / f"{number}.npy", array)
        with pytest.raises(RecordError, match="floats in 7 rows were expected"):
            read_embeddings(tmp_path / f"{number}.npy", 7, "x")
    ragged = pa.array([[1.0]] * 6 + [[1.0, 0.0]])
    pq.write_table(pa.table({"embedding": ragged}), tmp_path / "ragged.parquet")
    with pytest.raises(RecordError, match="different lengths"):
        read_embeddings(tmp_path / "ragged.parquet", 7, "x")


def test_pickles_are_never_loaded(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{}] * 7, dtype=object), allow_pickle=True)
    np.savez(tmp_path / "a.npz", np.array([{}] * 7, dtype=object))
    for file in ("a.npy", "a.npz"):
        with pytest.raises(RecordError, match="no readable array"):
            read_embeddings(tmp_path / file, 7, "x")
