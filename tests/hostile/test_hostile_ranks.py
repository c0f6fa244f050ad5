"""Parquet files that are more than they seem, and ranks that there cannot be."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cvgl_bench.submission import table

CASES = []
ROWS = 600


def hostile(check, message):
    def add(make):
        CASES.append(pytest.param(make, check, message, id=make.__name__))
        return make

    return add


def with_column(forge, name, values, kind=None):
    rows = forge.rows()
    column = pa.array(values(rows[name].to_pylist()), kind or rows.schema.field(name).type)
    return forge.pack(ranks=rows.set_column(rows.column_names.index(name), name, column))


def first(value):
    """A change of the first value alone."""
    return lambda values: [value, *values[1:]]


def written(forge, rows, **options):
    sink = io.BytesIO()
    whole = rows.replace_schema_metadata({table.HEADER: forge.header()})
    pq.write_table(whole, sink, **{"compression": "none"} | options)
    return forge.pack(ranks=sink.getvalue())


def patched_footer(data, change):
    """The Parquet file with its footer changed and measured anew."""
    size = int.from_bytes(data[-8:-4], "little")
    footer = change(data[-8 - size : -8])
    return data[: -8 - size] + footer + len(footer).to_bytes(4, "little") + b"PAR1"


def varint(number):
    """A whole number as the footer's compact protocol has it."""
    left, parts = number << 1, b""
    while left > 127:
        parts, left = parts + bytes([left & 127 | 128]), left >> 7
    return parts + bytes([left])


@hostile("columns", "no Parquet file, or is cut off")
def no_parquet(forge):
    return forge.pack(ranks=b"image_id,rank\n1,1\n")


@hostile("columns", "no Parquet file, or is cut off")
def a_parquet_cut_off(forge):
    return forge.pack(ranks=forge.ranks()[:-100])


@hostile("columns", r"the footer of ranks\.parquet has 4,294,967,295 bytes")
def a_footer_larger_than_the_file(forge):
    return forge.pack(ranks=forge.ranks()[:-8] + b"\xff\xff\xff\xffPAR1")


@hostile("columns", "has no footer that can be read")
def a_footer_of_noise(forge):
    noise = np.random.default_rng(1).bytes(2000)
    return forge.pack(ranks=patched_footer(forge.ranks(), lambda footer: noise))


@hostile("columns", r"says that it has 1,000,000,000 rows; its suite has 600")
def a_billion_rows(forge):
    old, new = b"\x16" + varint(ROWS), b"\x16" + varint(10**9)
    data = patched_footer(forge.ranks(), lambda footer: footer.replace(old, new))
    assert pq.read_metadata(io.BytesIO(data)).num_rows == 10**9
    assert len(data) < 30_000
    return forge.pack(ranks=data)


@hostile("columns", "says that it has 599 rows; its suite has 600")
def a_row_too_few(forge):
    return forge.pack(ranks=forge.rows().slice(1))


@hostile("columns", "says that it has 700 rows; its suite has 600")
def another_cell(forge):
    rows = forge.rows()
    return forge.pack(ranks=pa.concat_tables([rows, rows.slice(0, 100)]))


@hostile("columns", "has 600 row groups; 16 do")
def very_many_row_groups(forge):
    names = ["image_id", "view", "corruption", "severity", "rank"]
    return written(forge, forge.rows().select(names), row_group_size=1, write_statistics=False)


@hostile("columns", r"the column image_id of ranks\.parquet is compressed \(ZSTD\)")
def a_page_bomb(forge):
    rows = forge.rows()
    bomb = pa.array(["0" * (20 << 20)] + ["0"] * (ROWS - 1))
    return written(forge, rows.set_column(0, "image_id", bomb), compression="zstd")


@hostile("ranks", r"the column found of ranks\.parquet holds a text of 20,971,520 bytes")
def a_dictionary_bomb(forge):
    """20 MiB that become 12 GiB if every row gets its text."""
    rows = forge.rows()
    place = pa.array(np.zeros(ROWS, np.int32))
    bomb = pa.DictionaryArray.from_arrays(place, pa.array(["0" * (20 << 20)]))
    rows = rows.set_column(rows.column_names.index("found"), "found", bomb)
    sink = io.BytesIO()
    options = {"compression": "none", "store_schema": False, "write_statistics": False}
    with pq.ParquetWriter(sink, rows.schema, **options) as writer:
        writer.write_table(rows)
        writer.add_key_value_metadata({table.HEADER: forge.header()})
    return forge.pack(ranks=sink.getvalue())


def of_prefixes(forge):
    """Texts of which each repeats the one before but for its end: 260 KB that become 37 MiB."""
    bomb = pa.array(["0" * (1 << 16) + str(row) for row in range(ROWS)])
    rows = forge.rows()
    sink = io.BytesIO()
    pq.write_table(
        rows.set_column(rows.column_names.index("found"), "found", bomb),
        sink,
        compression="none",
        use_dictionary=False,
        column_encoding={"found": "DELTA_BYTE_ARRAY"},
        write_statistics=False,
    )
    return sink.getvalue()


@hostile("columns", r"the column found of ranks\.parquet is encoded as DELTA_BYTE_ARRAY")
def a_prefix_bomb(forge):
    return forge.pack(ranks=of_prefixes(forge))


@hostile("ranks", "ranks.parquet holds data that cannot be read")
def a_prefix_bomb_that_says_it_is_none(forge):
    names = {b"\x25\x06\x0e": b"\x25\x06\x00", b"\x25\x0e\x06": b"\x25\x00\x06"}

    def lie(footer):
        for old, new in names.items():
            footer = footer.replace(old, new)
        return footer

    data = patched_footer(of_prefixes(forge), lie)
    found = pq.read_metadata(io.BytesIO(data)).row_group(0).column(5)
    assert found.path_in_schema == "found"
    assert set(found.encodings) == {"RLE", "PLAIN"}
    return forge.pack(ranks=data)


@hostile("ranks", r"the column image_id of ranks\.parquet holds 600 different texts; 100 are")
def very_many_texts(forge):
    return with_column(forge, "image_id", lambda values: [f"{row}" for row in range(ROWS)])


@hostile("columns", "has no column rank")
def no_ranks(forge):
    return forge.pack(ranks=forge.rows().drop_columns(["rank"]))


@hostile("columns", "has the column 'notes', which no run has")
def another_column(forge):
    return forge.pack(ranks=forge.rows().append_column("notes", pa.array(["=1+1"] * ROWS)))


@hostile("columns", "has the column rank twice")
def a_doubled_column(forge):
    rows = forge.rows()
    return forge.pack(ranks=rows.append_column("rank", rows["rank"]))


@hostile("columns", r"the column rank of ranks\.parquet is double, and not int64")
def ranks_of_floats(forge):
    return with_column(forge, "rank", lambda values: values, pa.float64())


@hostile("columns", r"the column rank of ranks\.parquet is string, and not int64")
def ranks_of_text(forge):
    return with_column(forge, "rank", lambda values: map(str, values), pa.string())


@hostile("columns", r"the column rank of ranks\.parquet is list")
def ranks_of_lists(forge):
    kind = pa.list_(pa.int64())
    return with_column(forge, "rank", lambda values: [[value] for value in values], kind)


@hostile("columns", r"the column image_id of ranks\.parquet is extension<arrow\.json>, and not")
def an_extension_type(forge):
    rows = forge.rows()
    column = pa.ExtensionArray.from_storage(pa.json_(), rows["image_id"].combine_chunks())
    return forge.pack(ranks=rows.set_column(0, "image_id", column))


@hostile("columns", "carries the metadata 'pandas', which is no part of a run")
def metadata_of_pandas(forge):
    rows = forge.rows().replace_schema_metadata({table.HEADER: forge.header(), b"pandas": b"{}"})
    sink = io.BytesIO()
    pq.write_table(rows, sink, compression="none")
    return forge.pack(ranks=sink.getvalue())


@hostile("columns", "carries no provenance")
def no_header(forge):
    sink = io.BytesIO()
    pq.write_table(forge.rows().replace_schema_metadata(None), sink, compression="none")
    return forge.pack(ranks=sink.getvalue())


@hostile("columns", r"the header of ranks\.parquet has the key 'date' twice")
def doubled_keys_in_the_header(forge):
    header = forge.header().replace(b'"date":', b'"date":"2026-01-30","date":')
    return forge.pack(ranks=table.encode(forge.rows(), header))


@hostile("columns", "has no footer that can be read")
def a_header_without_end(forge):
    return forge.pack(ranks=table.encode(forge.rows(), forge.header() + b" " * (70 << 10)))


@hostile("ranks", "100 ranks in 1..100 were expected")
def a_rank_of_0(forge):
    return with_column(forge, "rank", first(0))


@hostile("ranks", "100 ranks in 1..100 were expected")
def a_rank_below_0(forge):
    return with_column(forge, "rank", first(-1))


@hostile("ranks", "100 ranks in 1..100 were expected")
def a_rank_beyond_the_gallery(forge):
    return with_column(forge, "rank", first(101))


@hostile("ranks", r"the column rank of ranks\.parquet has empty places")
def an_empty_rank(forge):
    return with_column(forge, "rank", first(None))


@hostile("ranks", r"the column image_id of ranks\.parquet has empty places")
def a_query_without_id(forge):
    return with_column(forge, "image_id", first(None))


@hostile("ranks", r"the column image_id of ranks\.parquet holds '', which is not an id")
def an_empty_id(forge):
    return with_column(
        forge, "image_id", lambda values: ["" if v == "0000000" else v for v in values]
    )


@hostile("ranks", r"holds '\.\./\.\./etc', which is not an id")
def an_id_that_is_a_path(forge):
    return with_column(forge, "found", first("../../etc"))


@hostile("ranks", r"holds '=cmd', which is not an id")
def an_id_that_is_a_formula(forge):
    return with_column(forge, "found", first("=cmd"))


@hostile("ranks", r"the column corruption of ranks\.parquet holds 'snow', which is not")
def an_unknown_corruption(forge):
    def change(values):
        return ["snow" if value == "contrast" else value for value in values]

    return with_column(forge, "corruption", change)


@hostile("ranks", r"the cell contrast 3 is none of|of the suite's cells are missing")
def an_unknown_severity(forge):
    return with_column(forge, "severity", lambda values: [3 if v == 1 else v for v in values])


@hostile("ranks", "a query is there twice")
def a_doubled_query(forge):
    def change(values):
        return ["0000001" if value == "0000000" else value for value in values]

    return with_column(forge, "image_id", change)


@hostile("ranks", "the cells have different queries")
def other_queries_in_one_cell(forge):
    return with_column(forge, "image_id", lambda values: [*values[1:100], values[0], *values[100:]])


@hostile("ranks", "margin is below 0")
def a_negative_margin(forge):
    return with_column(forge, "margin", first(-0.5))


@hostile("ranks", "metres holds a number that is none")
def metres_that_are_no_number(forge):
    return with_column(forge, "metres", first(float("nan")))


@hostile("ranks", "metres holds a number that is none")
def infinite_metres(forge):
    return with_column(forge, "metres", first(float("inf")))


@hostile("queries", "the ids of its 100 queries have the hash")
def other_ids_than_the_hash_says(forge):
    data = forge.provenance().data.model_copy(update={"ids_sha256": "b" * 64})
    return forge.pack(run=forge.run(data=data))


@hostile("queries", "the record says nothing")
def no_hash_of_the_ids(forge):
    data = forge.provenance().data.model_copy(update={"ids_sha256": ""})
    return forge.pack(run=forge.run(data=data))


def changed(forge, place=0, **fields):
    """An honest record of answers of which one cell's were changed."""
    return forge.pack(run=forge.run(forge.changed(place, **fields)))


@hostile("answers", "has rank 1, and found another tile, like 89 more")
def found_another_tile_with_rank_1(forge):
    honest = forge.answers()[forge.suite.cells[0]]
    other = np.where(honest.ranks == 1, np.roll(honest.found, -7), honest.found)
    return changed(forge, found=other)


@hostile("answers", "found its own tile, with a rank that is not 1")
def found_its_own_tile_with_another_rank(forge):
    honest = forge.answers()[forge.suite.cells[0]]
    return changed(forge, found=np.array(forge.run().answers.ids, dtype=object), ranks=honest.ranks)


@hostile("answers", "the tile '9999999' is not in the gallery")
def found_a_tile_that_is_not_there(forge):
    honest = forge.answers()[forge.suite.cells[0]]
    return changed(forge, found=np.where(honest.ranks == 1, honest.found, "9999999"))


@hostile("answers", "has the same tile twice among those that came first")
def a_tile_twice(forge):
    honest = forge.answers()[forge.suite.cells[0]]
    return changed(forge, runners_up=np.repeat(honest.found[:, None], 4, axis=1))


@hostile("answers", "has its own tile later than its rank")
def a_rank_that_is_too_good(forge):
    honest = forge.answers()[forge.suite.cells[0]]
    return changed(forge, ranks=np.where(honest.ranks == 1, 1, 5))


@hostile("answers", "has rank 1 with a margin of 0, which is a tie")
def ties_that_count_for_the_model(forge):
    return changed(forge, margins=np.zeros(100, np.float32))


@hostile("answers", "has a margin that no two similarities have")
def a_margin_that_is_no_number(forge):
    return with_column(forge, "margin", first(float("nan")))


@hostile("answers", "has a margin that no two similarities have")
def a_margin_of_3(forge):
    return changed(forge, margins=np.full(100, 3, np.float32))


@hostile("answers", r"codec_only: from the query 0000000 to the tile \d+ it is")
def a_tile_that_moves(forge):
    honest = forge.answers()[forge.suite.cells[0]]
    return changed(forge, metres=honest.metres / 2)


@pytest.mark.parametrize(("make", "check", "message"), CASES)
def test_hostile_ranks_are_refused_for_their_own_reason(forge, make, check, message):
    forge.refuses(make(forge), check, message)
