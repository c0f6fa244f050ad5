import csv
import io
import json
import os
import re
import subprocess
import sys
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cvgl_bench import leaderboard
from cvgl_bench.cli import main
from cvgl_bench.errors import RecordError
from cvgl_bench.record import ModelCard
from cvgl_bench.runs import read_run
from cvgl_bench.submission import archive, open_submission, pack_run, rehearsal, verify
from cvgl_bench.submission.reading import Fault
from cvgl_bench.submission.rehearsal import rehearse
from cvgl_bench.submission.table import bounds_of
from cvgl_bench.submission.verdict import shown

ENDED = Fault("columns", "ranks.parquet ends the process that reads it; pack it anew.")


def call(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def everything_under(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_an_honest_run_is_accepted_with_a_line_a_check(forge):
    report = forge.verify(forge.pack())
    assert report.accepted, report.text
    assert [check.name for check in report.checks] == [
        "archive",
        "record",
        "texts",
        "suite",
        "date",
        "columns",
        "ranks",
        "provenance",
        "queries",
        "hash",
        "scores",
        "answers",
        "plausible",
        "board",
    ]
    assert {check.outcome for check in report.checks} == {"passed"}


def test_ranks_alone_are_enough(forge):
    bare = {cell: type(answers)(answers.ranks) for cell, answers in forge.answers().items()}
    report = forge.verify(forge.pack(run=forge.run(bare)))
    assert report.accepted, report.text
    assert "do not say which tile was found" in report.text


def test_the_same_run_gives_the_same_bytes(forge):
    one = pack_run(forge.folder("one"), forge.board)
    other = pack_run(forge.folder("other") / "record.json", forge.board)
    assert one.data == other.data
    assert one.name == f"small-c-1-mine-{'c' * 12}.zip"
    with zipfile.ZipFile(io.BytesIO(one.data)) as file:
        assert file.namelist() == ["record.json", "ranks.parquet"]


def test_what_was_packed_is_the_run(forge):
    folder = forge.folder()
    packed = pack_run(folder)
    path = folder / packed.name
    path.write_bytes(packed.data)
    with pytest.raises(RecordError, match=r"is refused \(suite\): small-c is no suite"):
        open_submission(path)
    run, honest = open_submission(path, forge.board), read_run(folder)
    assert run.record == honest.record
    assert run.answers.ids == honest.answers.ids
    for cell, answers in honest.answers.cells.items():
        found = run.answers.cells[cell]
        for name, values in vars(answers).items():
            np.testing.assert_array_equal(getattr(found, name), values)


def test_submit_writes_what_verify_submission_accepts(forge, tmp_path):
    path = tmp_path / "out" / "mine.zip"
    result = call("submit", forge.folder(), "--out", path, "--folder", forge.board)
    assert result.exit_code == 0, result.output
    assert "mine, small-c-1, full: R@1 clean 90.00, R@1_cor 58.75" in result.output
    assert f"written: {path}" in result.output
    assert result.output.startswith("mine.zip"), "the file that is written, and not its usual name"
    assert "leaderboards/submissions/" in result.output
    result = call("verify-submission", path, "--folder", forge.board)
    assert result.exit_code == 0, result.output
    assert "accepted: every number follows from the ranks" in result.output


def test_submit_refuses_what_would_be_refused_and_writes_nothing(forge, tmp_path):
    folder = forge.folder(run=forge.run(date="2999-01-01"))
    before = everything_under(tmp_path)
    result = call("submit", folder, "--out", tmp_path / "mine.zip", "--folder", forge.board)
    assert result.exit_code == 1
    assert "lies ahead of today" in result.output
    assert "Nothing was written." in result.output
    assert everything_under(tmp_path) == before


def test_submit_refuses_a_folder_without_a_run(tmp_path):
    result = call("submit", tmp_path)
    assert result.exit_code == 1
    assert "cannot read the record" in result.output


def test_verify_submission_fails_if_one_of_several_files_does(forge, tmp_path):
    good, bad = tmp_path / "good.zip", tmp_path / "bad.zip"
    good.write_bytes(forge.pack())
    bad.write_bytes(b"")
    before = everything_under(tmp_path), everything_under(forge.board)
    result = call("verify-submission", good, bad, "--folder", forge.board, "--json")
    assert result.exit_code == 1
    pages = json.loads(result.output)
    assert [(page["file"], page["accepted"]) for page in pages] == [
        ("good.zip", True),
        ("bad.zip", False),
    ]
    assert pages[1]["checks"] == [
        {
            "check": "archive",
            "outcome": "failed",
            "text": "the file is empty; pack the run with cvgl-bench submit.",
        }
    ]
    assert (everything_under(tmp_path), everything_under(forge.board)) == before


def test_verify_submission_needs_the_leaderboards(forge, tmp_path):
    result = call("verify-submission", tmp_path / "x.zip", "--folder", tmp_path / "absent")
    assert result.exit_code == 2
    assert "does not exist" in result.output


@pytest.mark.parametrize("kind", ["link", "folder", "absent"])
def test_only_a_plain_file_is_read(forge, tmp_path, kind):
    path = tmp_path / "mine.zip"
    if kind == "link":
        (tmp_path / "real.zip").write_bytes(forge.pack())
        path.symlink_to(tmp_path / "real.zip")
    elif kind == "folder":
        path.mkdir()
    with pytest.raises(RecordError, match=r"\(archive\): .*(is a link, a folder|No such file)"):
        open_submission(path, forge.board)


def test_free_text_enters_no_table(forge, tmp_path):
    """So that no formula does: a name begins with a letter or digit, all else is a number."""
    formula = '=HYPERLINK("http://a.example", "x")'
    model = ModelCard(name="mine", remarks=formula, preprocessing="+1+1")
    path = tmp_path / "mine.zip"
    path.write_bytes(forge.pack(run=forge.run(model=model)))
    run = open_submission(path, forge.board)
    assert run.record.model.remarks == formula
    leaderboard.add_runs(tmp_path / "board", [run])
    (written,) = leaderboard.write_derived(tmp_path / "board")
    text = written.read_text()
    assert "HYPERLINK" not in text
    cells = [cell for row in csv.reader(io.StringIO(text)) for cell in row]
    assert len(cells) > 40
    for cell in cells:
        assert not cell.startswith(("=", "+", "@", "\t", "\r")), cell
        assert not cell.startswith("-") or float(cell) < 0


def memory_of_verifying(board, *paths):
    """The most memory in MiB that a process of its own has held, and its exit status."""
    command = [sys.executable, "-m", "cvgl_bench", "verify-submission", *map(str, paths)]
    process = subprocess.Popen([*command, "--folder", str(board)], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_maxrss / 1024, process.returncode


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss has other units elsewhere")
def test_bombs_take_little_memory(forge, tmp_path):
    zeros = pa.array(["0" * (30 << 20)])
    rows = forge.rows()
    text = pa.DictionaryArray.from_arrays(pa.array(np.zeros(len(rows), np.int32)), zeros)
    bomb = rows.set_column(0, "image_id", text)
    sink = io.BytesIO()
    pq.write_table(bomb, sink, compression="zstd", store_schema=False, write_statistics=False)
    deflated = forge.zip(
        [("record.json", bytes(300 << 20)), ("ranks.parquet", b"")],
        compression=zipfile.ZIP_DEFLATED,
    )
    bombs = {
        "deflated.zip": deflated,
        "pages.zip": forge.pack(ranks=sink.getvalue()),
        "entries.zip": b"PK\x01\x02" + b"PK\x01\x02".ljust(46, b"\0") * 400_000,
        "nested.zip": forge.pack(page=b"[" * 500_000),
    }
    for name, data in bombs.items():
        assert len(data) < 20 << 20
        (tmp_path / name).write_bytes(data)
    (tmp_path / "honest.zip").write_bytes(forge.pack())
    honest, passed = memory_of_verifying(forge.board, tmp_path / "honest.zip")
    most, refused = memory_of_verifying(forge.board, *(tmp_path / name for name in bombs))
    assert (passed, refused) == (0, 1)
    assert most < honest + 64


@given(st.data())
@settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_whatever_is_changed_in_the_ranks_gives_a_report(forge, data):
    """No byte of a Parquet file leads to anything but a report."""
    ranks = bytearray(forge.ranks())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(ranks) - 1))
        ranks[place] = data.draw(st.integers(0, 255))
    members = archive.Members(json.dumps(forge.page()).encode(), bytes(ranks))
    report, run = verify(archive.pack(members), "mine.zip", forge.board)
    if report.accepted:
        assert run is not None
        assert run.answers.cells.keys() == forge.answers().keys()


@given(st.binary(max_size=300), st.integers(0, 300))
@settings(max_examples=60)
def test_only_what_was_packed_is_unpacked(noise, place):
    """Any zip that is taken is the one that its members give."""
    whole = archive.pack(archive.Members(b"{}", b"PAR1"))
    for data in (noise, whole[:place] + noise + whole[place:], whole[:place] + noise):
        try:
            members = archive.unpack(data)
        except RecordError:
            continue
        assert archive.pack(members) == data


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_packing_and_unpacking_loses_nothing(record, ranks):
    members = archive.Members(record, ranks)
    assert archive.unpack(archive.pack(members)) == members


@given(st.text(max_size=600))
def test_a_strangers_text_is_shown_on_one_plain_line(text):
    line = shown(text)
    assert line.isascii()
    assert line.isprintable()
    assert "`" not in line
    assert len(line) < 5000


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux bounds a process's memory")
def test_ranks_that_take_too_much_memory_are_refused(forge):
    bounds = bounds_of(forge.run().record)
    assert rehearse(forge.ranks(), bounds) is None
    fault = rehearse(forge.ranks(), bounds, memory=1 << 16)
    assert re.search("takes more than 0 MiB|ends the process", fault.text)


def test_a_file_that_ends_its_reader_is_refused_with_a_sentence(forge):
    """Some versions of Arrow do not survive this footer; they end in a process of their own."""
    ranks = forge.ranks()
    size = int.from_bytes(ranks[-8:-4], "little")
    optional, required = b"\x25\x02\x18\x08image_id", b"\x25\x00\x18\x08image_id"
    footer = ranks[-8 - size : -8]
    assert optional in footer
    data = ranks[: -8 - size] + footer.replace(optional, required) + ranks[-8:]
    report = forge.verify(forge.pack(ranks=data))
    assert len(report.failed) == 1
    assert report.failed[0].name in {"columns", "ranks"}
    assert report.failed[0].text.startswith("ranks.parquet ")


def test_a_callers_own_program_is_not_run_again(forge, tmp_path):
    """Not even one that comes through a pipe and guards nothing."""
    (tmp_path / "mine.zip").write_bytes(forge.pack())
    code = f"""
from pathlib import Path
from cvgl_bench.submission import verify_file
print("begun")
print(verify_file(Path({str(tmp_path / "mine.zip")!r}), Path({str(forge.board)!r}))[0].text)
"""
    done = subprocess.run(
        [sys.executable, "-"], input=code, capture_output=True, text=True, check=False
    )
    assert done.stdout.count("begun") == 1, done.stderr
    assert "accepted: every number follows from the ranks" in done.stdout, done.stderr


def test_a_reader_that_does_not_start_is_no_fault_of_the_ranks(forge, monkeypatch):
    bounds, reader = bounds_of(forge.run().record), rehearsal._Reader()
    monkeypatch.setattr(rehearsal, "_READER", reader)
    with monkeypatch.context() as absent:
        absent.setattr(sys, "executable", "/no/python")
        with pytest.raises(RecordError, match="cannot be started: No such file"):
            rehearse(forge.ranks(), bounds)
    with monkeypatch.context() as broken:
        broken.setattr(rehearsal, "_SERVE", "import no_such_module")
        with pytest.raises(RecordError, match="did not start"):
            rehearse(forge.ranks(), bounds)
    assert rehearse(forge.ranks(), bounds) is None
    reader.stop()


def test_a_reader_that_was_killed_is_started_again(forge, monkeypatch):
    bounds, reader = bounds_of(forge.run().record), rehearsal._Reader()
    monkeypatch.setattr(rehearsal, "_READER", reader)
    assert rehearse(forge.ranks(), bounds) is None
    reader._process.kill()
    assert rehearse(forge.ranks(), bounds) in (None, ENDED)
    assert rehearse(forge.ranks(), bounds) is None
    reader.stop()
