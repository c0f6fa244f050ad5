"""Parquet in and out of memory, on the calling thread alone.

Arrow's own threads can outlive the interpreter when a program ends right after a read, and then
abort it (apache/arrow#34314), so none are started here.
"""

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq


def to_bytes(table: pa.Table, *, sort_by: str | None = None) -> bytes:
    """Write a table as Parquet; the same table gives the same bytes.

    Args:
        table: what to write.
        sort_by: the column to sort the rows by; None keeps their order.
    """
    if sort_by is not None:
        table = table.take(pc.sort_indices(table, sort_keys=[(sort_by, "ascending")]))
    sink = pa.BufferOutputStream()
    pq.write_table(table.combine_chunks(), sink, compression="zstd")
    data: bytes = sink.getvalue().to_pybytes()
    return data


def from_bytes(data: bytes) -> pa.Table:
    """Read a table.

    Raises:
        ValueError: the bytes are no Parquet file.
    """
    try:
        with pq.ParquetFile(pa.BufferReader(data), pre_buffer=False) as file:
            return file.read(use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(str(error)) from error
