"""Where a site goes: nobody's files are lost, and no moment is without the old site or the new."""

import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from cvgl_bench.errors import DataError
from cvgl_bench.files import sha256
from cvgl_bench.site import folder, refuse_others, write_pages

OLD = {"index.html": b"old", "models/s/a.html": b"a"}
NEW = {"index.html": b"new"}

# Writes NEW into the folder named, and is killed just before the renaming of the number named.
KILLED = """
import os, sys
from pathlib import Path
from cvgl_bench.site import write_pages
renames, rename = [], Path.rename
def counted(self, target):
    renames.append(self)
    if len(renames) == int(sys.argv[2]):
        os._exit(9)
    return rename(self, target)
Path.rename = counted
write_pages({"index.html": b"new"}, Path(sys.argv[1]))
"""


@pytest.fixture
def site(tmp_path):
    """A folder with an old site, alone in its own folder."""
    out = tmp_path / "here" / "site"
    write_pages(OLD, out)
    return out


def content(out):
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in out.rglob("*")
        if path.is_file() and path.name != folder.LISTING
    }


def left_alone(out, named):
    """Whether a folder is refused for what is named, and is as before."""
    before = {path: path.is_file() and path.read_bytes() for path in out.rglob("*")}
    with pytest.raises(DataError, match=rf"holds '{named}'.*name an empty folder"):
        write_pages(NEW, out)
    return before == {path: path.is_file() and path.read_bytes() for path in out.rglob("*")}


def test_a_new_site_replaces_the_old_one_as_a_whole(site):
    write_pages(NEW, site)
    assert content(site) == NEW
    assert [path.name for path in site.parent.iterdir()] == ["site"]


def test_a_site_lists_its_files_with_their_hashes(site):
    first, *lines = (site / "files.txt").read_text().splitlines()
    assert "cvgl-bench" in first
    assert lines == [f"{sha256(data)}  {path}" for path, data in OLD.items()]


def test_a_folder_with_a_list_of_its_own_files_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("three years")
    listing = tmp_path / "files.txt"
    listing.write_text("files.txt\nthesis.txt\n")
    assert left_alone(tmp_path, r"files\.txt")
    listing.write_text(f"{folder.FIRST_LINE}\nfiles.txt\nthesis.txt\n")
    assert left_alone(tmp_path, r"files\.txt")


def test_a_file_that_was_added_or_changed_is_kept(site):
    (site / "notes.txt").write_text("mine")
    assert left_alone(site, r"notes\.txt")
    (site / "notes.txt").unlink()
    (site / "models/s/a.html").write_text("corrected by hand")
    assert left_alone(site, r"models/s/a\.html")


def test_words_of_somebodys_own_in_the_list_are_kept(site):
    with (site / "files.txt").open("a") as file:
        file.write("remember the milk\n")
    assert left_alone(site, r"files\.txt")


def test_folders_and_links_of_somebodys_own_are_kept(site, tmp_path):
    (site / "drafts").mkdir()
    assert left_alone(site, "drafts")
    (site / "drafts").rmdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "thesis.txt").write_text("three years")
    (site / "link").symlink_to(elsewhere)
    assert left_alone(site, "link")
    (site / "link").unlink()
    # The same bytes, but not in this folder.
    (elsewhere / "index.html").write_bytes(OLD["index.html"])
    (site / "index.html").unlink()
    (site / "index.html").symlink_to(elsewhere / "index.html")
    assert left_alone(site, r"index\.html")
    assert (elsewhere / "thesis.txt").read_text() == "three years"


def test_a_site_of_which_files_are_missing_is_replaced(site):
    (site / "models/s/a.html").unlink()
    write_pages(NEW, site)
    assert content(site) == NEW


def test_a_file_in_the_sites_place_is_refused(tmp_path):
    (tmp_path / "site").write_text("mine")
    for refused in (refuse_others, lambda out: write_pages(NEW, out)):
        with pytest.raises(DataError, match="no folder"):
            refused(tmp_path / "site")
    assert (tmp_path / "site").read_text() == "mine"


def test_what_is_put_there_while_the_site_is_written_is_kept(site, monkeypatch):
    monkeypatch.setattr(folder, "settle", lambda: (site / "late.txt").write_text("mine"))
    with pytest.raises(DataError, match=r"holds 'late\.txt'"):
        write_pages(NEW, site)
    assert content(site) == OLD | {"late.txt": b"mine"}
    assert [path.name for path in site.parent.iterdir()] == ["site"]


def test_a_site_that_cannot_be_written_leaves_the_old_one(site, monkeypatch):
    def full(path, data, **options):
        raise DataError("the disk is full.")

    monkeypatch.setattr(folder, "write_atomically", full)
    with pytest.raises(DataError, match="full"):
        write_pages(NEW, site)
    assert content(site) == OLD
    assert [path.name for path in site.parent.iterdir()] == ["site"]


def test_a_site_that_cannot_be_put_in_its_place_leaves_the_old_one(site, monkeypatch):
    rename = Path.rename

    def refusing(self, target):
        if self.name == "new" and target == site:
            raise PermissionError(13, "Permission denied")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refusing)
    with pytest.raises(DataError, match=r"cannot write the site to .*: Permission denied"):
        write_pages(NEW, site)
    assert content(site) == OLD
    assert [path.name for path in site.parent.iterdir()] == ["site"]


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_killed_run_loses_no_site_and_the_next_one_tidies_up(site, number):
    command = [sys.executable, "-c", KILLED, str(site), str(number)]
    assert subprocess.run(command, check=False).returncode == 9
    kept = {1: OLD, 3: NEW}.get(number)
    if kept:
        assert content(site) == kept
    else:
        # The next run that fails has put the old one back all the same.
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(folder, "settle", lambda: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                write_pages(NEW, site)
        assert content(site) == OLD
    write_pages({"index.html": b"newer"}, site)
    assert content(site) == {"index.html": b"newer"}
    assert [path.name for path in site.parent.iterdir()] == ["site"]


def test_two_processes_do_not_write_one_site(site):
    work = site.parent / ".cvgl-bench-site"
    work.mkdir()
    with (
        FileLock(work / "lock"),
        pytest.raises(DataError, match="another process is writing the site"),
    ):
        write_pages(NEW, site)
    assert content(site) == OLD
