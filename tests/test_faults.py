"""Every fault that a long run meets: one message, a resume that completes, and the right bytes.

`make faults` runs all of them and prints a line for each; those marked `faults` are slow or need
Ray or a mount of their own, and are left out of the normal run.
"""

import dataclasses
import io
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from multiprocessing import active_children
from pathlib import Path

import pytest

from cvgl_bench import planning, units
from cvgl_bench.datasets import load_dataset
from cvgl_bench.errors import DataError
from cvgl_bench.generation import generate, make_plan
from cvgl_bench.manifest import read_set
from cvgl_bench.suite import load_suite
from cvgl_bench.units import WORK
from cvgl_bench.verification import verify

PAIRS = 12


def tree(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def root(make_cvusa):
    return make_cvusa(PAIRS, panorama=(64, 352))


@pytest.fixture
def suite(suite_file):
    return suite_file(
        pairs=PAIRS, severities=[1, 2, 3, 4, 5], corruptions=["fog", "snow", "zoom_blur"]
    )


@pytest.fixture
def plan(root, suite, monkeypatch):
    monkeypatch.setattr(planning, "UNIT_IMAGES", 34)  # two queries a unit
    definition = load_suite(str(suite))
    return make_plan(definition, load_dataset("cvusa", root, "val"), definition.cells)


@pytest.fixture
def undisturbed(plan, tmp_path):
    generate(plan, tmp_path / "undisturbed")
    return tree(tmp_path / "undisturbed")


@pytest.fixture
def command(root, suite):
    """The words of a `generate` into a folder, in units of two queries."""

    def words(out, *options):
        return [
            *(sys.executable, "-c"),
            "from cvgl_bench import planning; planning.UNIT_IMAGES = 34\n"
            "from cvgl_bench.cli import main; main()",
            *("generate", str(suite), "--data", str(root), "--out", str(out), *options),
        ]

    return words


def run(words):
    return subprocess.run(words, capture_output=True, text=True, check=False)


def start(words):
    return subprocess.Popen(words, stderr=subprocess.PIPE, text=True, start_new_session=True)


def wait_for_a_unit(out, process=None):
    """Wait until a unit of the run is done."""
    deadline = time.monotonic() + 120
    while not list(out.glob(f"{WORK}/units/*.parquet")):
        assert process is None or process.poll() is None, "the run ended before its fault"
        assert time.monotonic() < deadline
        time.sleep(0.002)


def wait_for_the_end_of_all(group):
    """Wait until no process of the group is left."""
    deadline = time.monotonic() + 60
    while True:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        assert time.monotonic() < deadline, "workers outlived their driver"
        time.sleep(0.02)


def check(out, undisturbed):
    assert tree(out) == undisturbed
    assert verify(out) == []


def test_kill_9_of_a_worker_costs_nothing(plan, undisturbed, tmp_path, caplog):
    out = tmp_path / "out"
    killed = []

    def kill():
        wait_for_a_unit(out)
        killed.append(active_children()[0].pid)
        os.kill(killed[0], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    generate(plan, out, workers=2)
    killer.join()
    assert killed
    assert "goes to another worker: its own was killed by SIGKILL" in caplog.text
    check(out, undisturbed)


def test_kill_9_of_the_driver_ends_its_workers_and_a_resume_completes(
    command, undisturbed, tmp_path
):
    out = tmp_path / "out"
    process = start(command(out, "--workers", "2"))
    wait_for_a_unit(out, process)
    process.kill()
    process.communicate()
    wait_for_the_end_of_all(process.pid)
    assert not (out / "set.json").exists()
    (out / WORK / "scratch" / ".writing-left-over").write_bytes(b"half")
    assert run(command(out)).returncode == 0
    check(out, undisturbed)


@pytest.mark.parametrize(
    "options",
    [
        ["--workers", "1"],
        ["--workers", "2"],
        pytest.param(["--executor", "ray", "--workers", "2"], marks=pytest.mark.faults),
    ],
    ids=["1 worker", "2 workers", "Ray"],
)
def test_ctrl_c_is_one_line_and_a_resume_completes(command, undisturbed, tmp_path, options):
    if "ray" in options:
        pytest.importorskip("ray")
    out = tmp_path / "out"
    process = start(command(out, *options))
    wait_for_a_unit(out, process)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of them
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert "Traceback" not in said
    last = said.splitlines()[-1]
    assert last == (
        f"cvgl-bench: stopped. {out} keeps what was finished: run the same command again to go on."
    )
    wait_for_the_end_of_all(process.pid)
    assert run(command(out)).returncode == 0
    check(out, undisturbed)


def test_two_runs_into_one_folder_end_with_the_bytes_of_one(command, undisturbed, tmp_path):
    both = [start(command(tmp_path / "out")) for _ in range(2)]
    for process in both:
        assert process.communicate()[1].count("Traceback") == 0
        assert process.returncode == 0
    check(tmp_path / "out", undisturbed)


def test_a_full_disk_is_one_sentence_and_leaves_no_half_file(
    plan, undisturbed, tmp_path, monkeypatch
):
    from cvgl_bench import files

    def full(descriptor):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(files.os, "fsync", full)
        with pytest.raises(DataError, match=r"cannot write .*No space left on device"):
            generate(plan, tmp_path / "out")
    assert not (tmp_path / "out/set.json").exists()
    generate(plan, tmp_path / "out")
    check(tmp_path / "out", undisturbed)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_truncated_source_is_named_and_mending_it_lets_the_run_go_on(
    plan, undisturbed, tmp_path, workers
):
    victim = plan.dataset.pairs[3].ground
    whole = victim.read_bytes()
    victim.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"0000004\.jpg: The JPEG cannot be decoded"):
        generate(plan, tmp_path / "out", workers=workers)
    victim.write_bytes(whole)
    generate(plan, tmp_path / "out")
    check(tmp_path / "out", undisturbed)


def test_a_source_that_goes_missing_is_named_and_its_return_lets_the_run_go_on(
    plan, undisturbed, tmp_path
):
    victim = plan.dataset.pairs[3].ground
    whole = victim.read_bytes()
    victim.unlink()
    with pytest.raises(DataError, match=r"cannot read .*0000004\.jpg: No such file"):
        generate(plan, tmp_path / "out")
    victim.write_bytes(whole)
    generate(plan, tmp_path / "out")
    check(tmp_path / "out", undisturbed)


def test_all_cells_of_a_query_come_from_one_reading_of_a_source_that_changes(
    plan, tmp_path, monkeypatch
):
    out, (first, second) = tmp_path / "out", plan.dataset.pairs[:2]
    original, count = units.render, []

    def interrupted(suite, source, output):
        count.append(output)
        if len(count) == 5:
            raise DataError("stopped in the middle of the first query.")
        return original(suite, source, output)

    with monkeypatch.context() as patch:
        patch.setattr(units, "render", interrupted)
        with pytest.raises(DataError, match="in the middle"):
            generate(plan, out)
    assert (out / "clean" / first.ground.name).is_file()
    first.ground.write_bytes(second.ground.read_bytes())

    def changing(suite, source, output):
        second.ground.write_bytes(plan.dataset.pairs[2].ground.read_bytes())
        return original(suite, source, output)

    second_was = second.ground.read_bytes()
    monkeypatch.setattr(units, "render", changing)
    generate(plan, out)
    assert verify(out) == []
    _, manifest = read_set(out)
    hashes = {}
    for row in manifest.to_pylist():
        hashes.setdefault(row["image_id"], set()).add(row["source_sha256"])
    assert {len(found) for found in hashes.values()} == {1}
    assert (out / "clean" / first.ground.name).read_bytes() == second_was


def test_a_network_folder_that_gives_a_part_of_a_file_is_named(
    plan, undisturbed, tmp_path, monkeypatch
):
    original = Path.open

    class Half(io.FileIO):
        def read(self, size=-1):
            data = super().read(size)
            return data[: len(data) // 2]

    def partial(path, *args, **options):
        return Half(path) if path.name == "0000004.jpg" else original(path, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", partial)
        with pytest.raises(
            DataError, match=r"0000004\.jpg has [0-9,]+ bytes, of which [0-9,]+ were"
        ):
            generate(plan, tmp_path / "out")
    generate(plan, tmp_path / "out")
    check(tmp_path / "out", undisturbed)


@pytest.mark.parametrize("year", [-40, 40])
def test_a_clock_that_jumps_decides_nothing(plan, undisturbed, tmp_path, monkeypatch, year):
    out = tmp_path / "out"
    generate(plan, out, shard=(1, 2))
    then = time.time() + year * 365 * 86400
    for path in [*out.rglob("*"), *(pair.ground for pair in plan.dataset.pairs)]:
        os.utime(path, (then, then))
    rendered, original = set(), units.render

    def spy(suite, source, output):
        rendered.add(output.image_id)
        return original(suite, source, output)

    monkeypatch.setattr(units, "render", spy)
    monkeypatch.setattr(time, "time", lambda: then)
    generate(plan, out)
    assert len(rendered) == PAIRS // 2
    check(out, undisturbed)


def test_a_worker_with_other_libraries_is_refused(plan, tmp_path, monkeypatch):
    monkeypatch.setattr(units, "versions", lambda codec: "numpy 1.0")
    with pytest.raises(DataError, match=r"a worker has numpy 1\.0; the run was started with cvgl"):
        generate(plan, tmp_path / "out")


def test_a_folder_that_the_nodes_do_not_share_is_said(plan, undisturbed, tmp_path):
    def elsewhere(function, tasks, *, describe):
        for unit in tasks[:-1]:
            yield function(unit)
        yield function(dataclasses.replace(tasks[-1], out=tmp_path / "node"))

    with pytest.raises(DataError, match=r"unit 5 was made, but .*out does not have it here\. Is"):
        generate(plan, tmp_path / "out", executor=elsewhere)
    generate(plan, tmp_path / "out")
    check(tmp_path / "out", undisturbed)


needs_mounts = pytest.mark.skipif(
    shutil.which("unshare") is None
    or subprocess.run(
        ["unshare", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"],
        capture_output=True,
        check=False,
    ).returncode
    != 0,
    reason="needs a mount namespace, which this system gives to nobody or to root alone",
)


def in_a_disk_of_its_own(script, **places):
    """Run a shell script where $DISK is a disk that nobody else sees."""
    return subprocess.run(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {name: str(place) for name, place in places.items()},
    )


def quoted(words):
    return " ".join("'" + word.replace("'", "'\\''") + "'" for word in words)


@needs_mounts
@pytest.mark.faults
def test_a_disk_that_is_really_full_is_one_sentence_and_room_lets_the_run_go_on(
    command, undisturbed, tmp_path
):
    (tmp_path / "disk").mkdir()
    generation = quoted(command(tmp_path / "disk/out", "--workers", "2"))
    result = in_a_disk_of_its_own(
        f"mount -t tmpfs -o size=400k none $DISK; {generation} && exit 9;"
        f"mount -o remount,size=50m $DISK; {generation} && cp -r $DISK/out $SAVED",
        DISK=tmp_path / "disk",
        SAVED=tmp_path / "saved",
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("No space left on device") == 1
    assert "Traceback" not in result.stderr
    check(tmp_path / "saved", undisturbed)


@needs_mounts
@pytest.mark.faults
def test_a_read_only_target_is_one_sentence(command, tmp_path):
    (tmp_path / "disk").mkdir()
    result = in_a_disk_of_its_own(
        f"mount -t tmpfs -o ro none $DISK; {quoted(command(tmp_path / 'disk/out'))}",
        DISK=tmp_path / "disk",
    )
    assert result.returncode == 1
    assert result.stderr.strip() == (
        f"cvgl-bench: cannot write into {tmp_path / 'disk/out'}: Read-only file system."
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_one_sentence(plan, tmp_path):
    (tmp_path / "closed").mkdir(mode=0o555)
    with pytest.raises(DataError, match=r"cannot write into .*Permission denied"):
        generate(plan, tmp_path / "closed/out")


RAY_SCRIPT = """
import sys, threading, time
from pathlib import Path
from cvgl_bench import planning
from cvgl_bench.ray_executor import import_ray, run_ray
planning.UNIT_IMAGES = 34
import_ray()
from ray.cluster_utils import Cluster
from cvgl_bench.datasets import load_dataset
from cvgl_bench.generation import generate, make_plan
from cvgl_bench.suite import load_suite

suite, root, out = load_suite(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
plan = make_plan(suite, load_dataset("cvusa", root, "val"), suite.cells)

def kill():
    while not list(out.glob(".cvgl-bench/units/*.parquet")):
        time.sleep(0.002)
    time.sleep(1)  # into the next unit
    cluster.remove_node(nodes[0], allow_graceful=False)
    print("killed a node", flush=True)

killer = threading.Thread(target=kill)
killer.start()

def run(function, tasks, *, describe=None):
    def long(unit):
        time.sleep(2)
        return function(unit)

    return run_ray(long, tasks, address=cluster.address, describe=describe)

page = generate(plan, out, executor=run)
killer.join()
print("images:", page.images, flush=True)
cluster.shutdown()
"""


@pytest.mark.faults
def test_kill_9_of_a_ray_node_costs_nothing(root, suite, undisturbed, tmp_path):
    pytest.importorskip("ray")
    out = tmp_path / "out"
    result = run([sys.executable, "-c", RAY_SCRIPT, str(suite), str(root), str(out)])
    assert result.returncode == 0, result.stderr
    assert "killed a node" in result.stdout
    assert "goes to another worker: its own was lost" in result.stderr
    check(out, undisturbed)


@pytest.mark.faults
def test_ray_gives_the_bytes_of_one_process(command, undisturbed, tmp_path):
    pytest.importorskip("ray")
    result = run(command(tmp_path / "out", "--executor", "ray", "--workers", "2"))
    assert result.returncode == 0, result.stderr
    check(tmp_path / "out", undisturbed)


@pytest.mark.faults
def test_kill_9_in_the_middle_then_resume_gives_the_bytes_of_one_run(
    command, undisturbed, tmp_path
):
    """All processes at once, again and again, until a run gets through."""
    out = tmp_path / "out"
    for kills in range(1, 4):
        process = start(command(out, "--workers", "2"))
        deadline = time.monotonic() + 120
        while process.poll() is None and len(list(out.glob(f"{WORK}/units/*"))) < kills:
            assert time.monotonic() < deadline
            time.sleep(0.002)
        assert process.poll() is None, "the run ended before it could be killed"
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    assert run(command(out)).returncode == 0
    check(out, undisturbed)
