"""Files that are no zip, or hold anything but a submission."""

import stat
import struct
import zipfile

import pytest

from cvgl_bench.submission import archive

RECORD, RANKS = "record.json", "ranks.parquet"
CASES = []


def hostile(check, message):
    def add(make):
        CASES.append(pytest.param(make, check, message, id=make.__name__))
        return make

    return add


def members(forge):
    page, ranks = archive.unpack(forge.pack()).record, forge.ranks()
    return [(RECORD, page), (RANKS, ranks)]


def named(name, **fields):
    info = zipfile.ZipInfo(name)
    for field, value in fields.items():
        setattr(info, field, value)
    return info


@hostile("archive", "the file is empty")
def empty(forge):
    return b""


@hostile("archive", "it is no whole zip")
def not_a_zip(forge):
    return b"%PDF-1.7 " + b"x" * 500


@hostile("archive", "it is no whole zip")
def truncated(forge):
    return forge.pack()[:-40]


@hostile("archive", r"the file has 67,108,865 bytes; 67,108,864 are the most")
def too_large(forge):
    return forge.pack().ljust((64 << 20) + 1, b"\0")


@hostile("archive", "'record.json' is compressed")
def zip_bomb(forge):
    zeros = bytes(50 << 20)
    return forge.zip([(RECORD, zeros), (RANKS, zeros)], compression=zipfile.ZIP_DEFLATED)


@hostile("archive", "'ranks.parquet' is compressed")
def compressed_by_lzma(forge):
    (_, page), (_, ranks) = members(forge)
    return forge.zip([(RECORD, page), (named(RANKS, compress_type=zipfile.ZIP_LZMA), ranks)])


@hostile("archive", r"it holds 'bomb\.zip', which no submission does")
def nested_zip_bomb(forge):
    inner = forge.zip([("0", bytes(1 << 20))], compression=zipfile.ZIP_DEFLATED)
    return forge.zip([*members(forge), ("bomb.zip", inner)])


@hostile("archive", "it lists 200,000 files")
def a_directory_of_very_many_files(forge):
    entry = struct.pack("<4s6H3I5H2I", b"PK\x01\x02", *[0] * 16)
    count = 200_000
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, len(entry) * count, 0, 0)
    return entry * count + end


@hostile("archive", "they overlap, or something lies between")
def overlapping_members(forge):
    """Both entries of the directory point at the same bytes."""
    (_, page), _ = members(forge)
    data = bytearray(forge.zip([(RECORD, page), (RANKS, page)]))
    second = data.rindex(b"PK\x01\x02")
    data[second + 42 : second + 46] = struct.pack("<I", 0)
    start = data.index(b"PK\x03\x04", 4)
    del data[start : data.index(b"PK\x01\x02")]
    end = data.rindex(b"PK\x05\x06")
    data[end + 16 : end + 20] = struct.pack("<I", start)
    return bytes(data)


@hostile("archive", "they overlap, or something lies between")
def sizes_that_lie(forge):
    data = bytearray(forge.pack())
    second = data.rindex(b"PK\x01\x02")
    data[second + 20 : second + 28] = struct.pack("<2I", 9_000_000, 9_000_000)
    return bytes(data)


@hostile("archive", r"record\.json has 4,000,000,000 bytes; 1,048,576 are the most")
def a_size_that_no_memory_has(forge):
    data = bytearray(forge.pack())
    first = data.index(b"PK\x01\x02")
    data[first + 20 : first + 28] = struct.pack("<2I", 4_000_000_000, 4_000_000_000)
    return bytes(data)


@hostile("archive", "it is no whole zip")
def a_wrong_checksum(forge):
    data = bytearray(forge.pack())
    data[100] ^= 1
    return bytes(data)


@hostile("archive", "they overlap, or something lies between")
def a_script_before_the_zip(forge):
    return b"#!/bin/sh\necho hello\n" + forge.pack()


@hostile("archive", "they overlap, or something lies between")
def a_comment(forge):
    data = forge.pack()
    return data[:-2] + struct.pack("<H", 5) + b"hello"


@hostile("archive", "bytes that belong to no member")
def another_time(forge):
    (_, page), (_, ranks) = members(forge)
    changed = named(RECORD, date_time=(2026, 1, 1, 0, 0, 0), external_attr=0o100644 << 16)
    return forge.zip([(changed, page), (named(RANKS, external_attr=0o100644 << 16), ranks)])


@hostile("archive", r"'\.\./\.\./record\.json' leaves its folder")
def a_path_out_of_the_folder(forge):
    return forge.zip([("../../record.json", b"{}"), *members(forge)])


@hostile("archive", r"'\.\.\\record\.json' leaves its folder")
def a_path_out_of_the_folder_on_windows(forge):
    return forge.zip([("..\\record.json", b"{}"), *members(forge)])


@hostile("archive", "'/etc/passwd' has an absolute name")
def an_absolute_name(forge):
    return forge.zip([("/etc/passwd", b"x"), *members(forge)])


@hostile("archive", "'C:record.json' has an absolute name")
def a_drives_name(forge):
    return forge.zip([("C:record.json", b"x"), *members(forge)])


@hostile("archive", "'record.json' is a link")
def a_symbolic_link(forge):
    link = named(RECORD, external_attr=(stat.S_IFLNK | 0o777) << 16)
    return forge.zip([(link, b"/etc/passwd"), members(forge)[1]])


@hostile("archive", "it holds record.json twice")
def a_doubled_member(forge):
    first, second = members(forge)
    with pytest.warns(UserWarning, match="Duplicate name"):
        return forge.zip([first, first, second])


@hostile("archive", r"it holds 'run\.sh', which no submission does")
def code(forge):
    return forge.zip([*members(forge), ("run.sh", b"echo")])


@hostile("archive", r"it holds 'record\.json\\x00\.exe', which no submission does")
def a_name_with_an_end_in_it(forge):
    data = forge.zip([("record.json+.exe", b"{}"), members(forge)[1]])
    return data.replace(b"record.json+.exe", b"record.json\0.exe")


@hostile("archive", r"it holds 'r\\u0435cord\.json', which no submission does")
def a_name_that_looks_the_same(forge):
    return forge.zip([("r\u0435cord.json", members(forge)[0][1]), members(forge)[1]])


@hostile("archive", "it holds no ranks.parquet")
def a_missing_member(forge):
    return forge.zip(members(forge)[:1])


@hostile("archive", "'record.json' is encrypted")
def encrypted(forge):
    data = bytearray(forge.pack())
    first = data.index(b"PK\x01\x02")
    data[first + 8] |= 1
    return bytes(data)


@hostile("archive", r"record\.json has 1,048,577 bytes")
def a_huge_record(forge):
    return forge.pack(page=b" " * ((1 << 20) + 1))


@pytest.mark.parametrize(("make", "check", "message"), CASES)
def test_a_hostile_archive_is_refused_for_its_own_reason(forge, make, check, message):
    forge.refuses(make(forge), check, message)
