import os

import pytest

from corruptions.compiled import forget_stale


@pytest.fixture
def package(tmp_path):
    """Two source files of an hour ago, and an index of each that was made half an hour later."""
    (tmp_path / "__pycache__").mkdir()
    for name in ("one", "two"):
        for path, age in ((f"{name}.py", 3600), (f"__pycache__/{name}.f-1.py311.nbi", 1800)):
            (tmp_path / path).write_text("x")
            set_age(tmp_path / path, age)
    return tmp_path


def set_age(path, seconds):
    made = 2_000_000_000 - seconds
    os.utime(path, (made, made))


def indices(package):
    return sorted(path.name[:3] for path in (package / "__pycache__").glob("*.nbi"))


def test_what_was_compiled_after_the_last_change_is_kept(package):
    forget_stale(package)
    assert indices(package) == ["one", "two"]


def test_a_change_in_one_file_forgets_what_was_compiled_of_all(package):
    set_age(package / "two.py", 600)
    forget_stale(package)
    assert indices(package) == []


def test_a_package_that_was_never_compiled_is_no_error(tmp_path):
    (tmp_path / "one.py").write_text("x")
    forget_stale(tmp_path)
