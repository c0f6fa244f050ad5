import os
from pathlib import Path
from types import SimpleNamespace

import numba
import pytest

from corruptions.compiled import forget_stale
from corruptions.rounding import round_down


@pytest.fixture
def package(tmp_path):
    """A package of two files, and a folder with an index of each, as a first run leaves them."""
    package, kept = tmp_path / "package", tmp_path / "kept"
    for folder in (package, kept):
        folder.mkdir()
    for name in ("one", "two"):
        (package / f"{name}.py").write_text(name)
    forget_stale(package, kernel(kept))
    for name in ("one", "two"):
        (kept / f"{name}.f-1.py311.nbi").write_text("x")
    return package


def kernel(kept):
    """What stands for a compiled function, which says where numba keeps it."""
    return SimpleNamespace(stats=SimpleNamespace(cache_path=str(kept)))


def indices(package):
    return sorted(path.name[:3] for path in (package.parent / "kept").glob("*.nbi"))


def test_what_was_compiled_of_the_same_files_is_kept(package):
    forget_stale(package, kernel(package.parent / "kept"))
    assert indices(package) == ["one", "two"]


def test_a_change_in_one_file_forgets_what_was_compiled_of_all_whatever_its_time(
    package,
):
    (package / "two.py").write_text("another")
    os.utime(package / "two.py", (1, 1))
    forget_stale(package, kernel(package.parent / "kept"))
    assert indices(package) == []


def test_a_file_that_is_gone_forgets_too(package):
    (package / "two.py").unlink()
    forget_stale(package, kernel(package.parent / "kept"))
    assert indices(package) == []


def test_what_was_compiled_before_there_was_a_stamp_is_forgotten(package):
    (package.parent / "kept" / "sources.sha256").unlink()
    forget_stale(package, kernel(package.parent / "kept"))
    assert indices(package) == []


def test_a_package_that_was_never_compiled_is_no_error(package, tmp_path):
    forget_stale(package, kernel(tmp_path / "nowhere"))


def test_a_compiled_function_says_where_numba_keeps_it(tmp_path, monkeypatch):
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    again = numba.njit(cache=True)(round_down.py_func)
    assert tmp_path in Path(again.stats.cache_path).parents
