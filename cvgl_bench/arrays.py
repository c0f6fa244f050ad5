"""Embeddings in files: `.npy`, an array of an `.npz`, or a column of lists in a Parquet file."""

import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from cvgl_bench import parquet
from cvgl_bench.errors import RecordError
from cvgl_bench.files import read
from cvgl_bench.ranking import Embeddings, check_embeddings

_ROWS_AT_ONCE = 4096
_COLUMN = "embedding"


def read_embeddings(path: Path, rows: int, what: str, array: str = "") -> Embeddings:
    """Read embeddings and check that they can be scored.

    Args:
        path: `.npy`, `.npz` or `.parquet`.
        rows: how many there must be.
        what: whose they are, for messages.
        array: which array of an `.npz` (may be left out if there is one), or which column of a
            Parquet file ("embedding" if left out).

    Returns:
        (rows, D) float32. A `.npy` takes no more memory than that while it is read.

    Raises:
        RecordError: the file is missing, damaged, or holds something else.
        ModelError: NaN, infinity, or not of unit length.
    """
    try:
        found = _READERS.get(path.suffix, _npy)(path, array)
    except (
        *(OSError, ValueError, EOFError, MemoryError, OverflowError, KeyError),
        zipfile.BadZipFile,
        pa.ArrowException,
    ) as error:
        raise RecordError(f"{path} holds no readable array ({error}).") from error
    if found.dtype.kind != "f" or found.ndim != 2 or len(found) != rows:
        raise RecordError(
            f"{path} holds {found.dtype} of shape {found.shape}; floats in {rows} rows were "
            "expected."
        )
    embeddings = np.empty(found.shape, np.float32)
    for first in range(0, rows, _ROWS_AT_ONCE):
        embeddings[first : first + _ROWS_AT_ONCE] = found[first : first + _ROWS_AT_ONCE]
    check_embeddings(embeddings, what)
    return embeddings


def _npy(path: Path, array: str) -> NDArray[np.generic]:
    if array:
        raise ValueError(f"a .npy file has no array '{array}'")
    found: NDArray[np.generic] = np.lib.format.open_memmap(path, mode="r")
    return found


def _npz(path: Path, array: str) -> NDArray[np.generic]:
    # numpy leaves a broken archive open if it opened it.
    with path.open("rb") as file, zipfile.ZipFile(file):
        file.seek(0)
        archive = np.load(file, allow_pickle=False)
        names = archive.files
        if not array and len(names) != 1:
            raise ValueError(f"it has the arrays {', '.join(names[:8])}: name one")
        if array and array not in names:
            raise ValueError(f"it has no array '{array}', only {', '.join(names[:8])}")
        found: NDArray[np.generic] = archive[array or names[0]]
        return found


def _parquet(path: Path, array: str) -> NDArray[np.generic]:
    table = parquet.from_bytes(read(path))
    name = array or _COLUMN
    if name not in table.column_names:
        raise ValueError(f"it has no column '{name}', only {', '.join(table.column_names[:8])}")
    lists = table[name].combine_chunks()
    if not (pa.types.is_list(lists.type) or pa.types.is_fixed_size_list(lists.type)):
        raise ValueError(f"the column '{name}' holds {lists.type}, not lists of numbers")
    lengths = set(pa.compute.list_value_length(lists).to_pylist())
    if len(lengths) != 1 or None in lengths or lists.null_count:
        raise ValueError(f"the lists of '{name}' have different lengths")
    values: NDArray[np.generic] = lists.flatten().to_numpy(zero_copy_only=False)
    return values.reshape(len(lists), *lengths)


_READERS = {".npy": _npy, ".npz": _npz, ".parquet": _parquet}
