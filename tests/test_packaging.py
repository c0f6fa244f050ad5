"""What the wheel and the source distribution hold, and what they say of themselves."""

import ast
import configparser
import hashlib
import importlib.metadata
import io
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from PIL import Image, UnidentifiedImageError

from cvgl_bench.version import __version__

ROOT = Path(__file__).parents[1]
PACKAGES = ("corruptions", "cvgl_bench")
FOLDERS = (*PACKAGES, "benchmarks", "docs", "leaderboards", "tests")
# Of use only where the repository is hosted.
NOT_IN_SDIST = re.compile(r"\.(ci|github)/|\.git(ignore|attributes)$")
LARGE = 1 << 20  # bytes; in the root of a checkout that is somebody's data
# Their versions are fixed by the package that brings them, of which they are a part.
BROUGHT = {"llvmlite": "numba", "pydantic-core": "pydantic"}
BUILD = "import sys, setuptools.build_meta as b; getattr(b, 'build_' + sys.argv[1])(sys.argv[2])"


def build(kind, source, out):
    """The wheel or sdist of a tree, by the backend itself: a frontend would use the network."""
    words = [sys.executable, "-c", BUILD, kind, str(out)]
    done = subprocess.run(words, cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    # What a build leaves behind goes into the next one: a release is made of a fresh export.
    shutil.rmtree(source / "build", ignore_errors=True)
    shutil.rmtree(source / "cvgl_bench.egg-info", ignore_errors=True)
    (path,) = out.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return path


def content(wheel):
    with zipfile.ZipFile(wheel) as file:
        return {name: file.read(name) for name in file.namelist()}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A copy of the tree, with what compiling and editing leave in it."""
    source = tmp_path_factory.mktemp("source") / "tree"
    for folder in FOLDERS:
        # Numba renames files there while other tests run.
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / folder, source / folder, ignore=ignored)
    for path in ROOT.iterdir():
        if path.is_file() and path.stat().st_size < LARGE:
            shutil.copy(path, source)
    for package in PACKAGES:
        for name in ("digital.cpython-311.pyc", "digital.f-1.py311.nbi", "digital.f-1.py311.1.nbc"):
            path = source / package / "__pycache__" / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"compiled")
    (source / "notes.txt").write_text("a note of whoever builds")
    return source


@pytest.fixture(scope="module")
def wheel(source, tmp_path_factory):
    return content(build("wheel", source, tmp_path_factory.mktemp("wheel")))


@pytest.fixture(scope="module")
def sdist(source, tmp_path_factory):
    """The folder that the source distribution unpacks to."""
    out = tmp_path_factory.mktemp("sdist")
    with tarfile.open(build("sdist", source, out)) as file:
        file.extractall(out, filter="data")
    return out / f"cvgl_bench-{__version__}"


@pytest.fixture(scope="module")
def metadata(wheel):
    return HeaderParser().parsestr(wheel[f"{folder_of_metadata()}/METADATA"].decode())


def folder_of_metadata():
    return f"cvgl_bench-{__version__}.dist-info"


def files_of(folder):
    return {
        path.relative_to(folder).as_posix(): path
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_wheel_holds_every_file_of_the_packages_and_no_other(source, wheel):
    held = {name: data for name, data in wheel.items() if name.split("/")[0] in PACKAGES}
    wanted = {
        f"{package}/{name}": path.read_bytes()
        for package in PACKAGES
        for name, path in files_of(source / package).items()
    }
    assert set(wanted) - set(held) == set(), "forgotten in package_data of setup.cfg"
    assert held == wanted
    others = {name for name in wheel if name not in held}
    assert all(name.startswith(f"{folder_of_metadata()}/") for name in others), others


def test_the_source_distribution_builds_the_same_wheel(sdist, wheel, tmp_path):
    again = content(build("wheel", sdist, tmp_path))
    assert set(again) == set(wheel)
    assert [name for name, data in wheel.items() if again[name] != data] == []


def test_the_source_distribution_holds_all_that_is_kept_and_nothing_that_is_made(sdist, source):
    held = files_of(sdist)
    assert [name for name in held if name.endswith((".pyc", ".nbi", ".nbc", ".lock"))] == []
    assert "notes.txt" not in held
    assert {name for name, path in held.items() if (source / name).is_file()} >= {
        name for name in files_of(source) if name.startswith(PACKAGES)
    }
    if not (ROOT / ".git").exists():
        pytest.skip("no repository here to compare with")
    kept = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    names = {name for name in kept.stdout.decode().split("\0") if (ROOT / name).is_file()}
    assert {name for name in names - set(held) if not NOT_IN_SDIST.match(name)} == set()


def test_no_picture_is_passed_on_but_the_frost_pictures_and_those_of_the_documentation(sdist):
    pictures = {name: path for name, path in files_of(sdist).items() if is_picture(path)}
    textures = {name: path for name, path in pictures.items() if name.startswith("corruptions/")}
    table = (ROOT / "corruptions/textures/README.md").read_text()
    listed = dict(re.findall(r"\| (frost\d\.\w+) \| ([0-9a-f]{64}) \|", table))
    assert listed == {
        name.removeprefix("corruptions/textures/"): hashlib.sha256(path.read_bytes()).hexdigest()
        for name, path in textures.items()
    }
    others = {name for name in pictures if name not in textures}
    assert "docs/corruptions.jpg" in others
    assert {name for name in others if not name.startswith("docs/")} == set()


def is_picture(path):
    try:
        Image.open(io.BytesIO(path.read_bytes())).close()
    except UnidentifiedImageError:
        return False
    return True


def test_licences_are_in_the_wheel(wheel):
    for name in ("LICENSE", "NOTICE"):
        (path,) = (path for path in wheel if re.search(rf"\.dist-info/(licenses/)?{name}$", path))
        assert wheel[path] == (ROOT / name).read_bytes()


def test_the_metadata_says_what_setup_cfg_says(metadata):
    assert metadata["Name"] == "cvgl-bench"
    assert metadata["Version"] == __version__
    assert metadata["Requires-Python"] == ">=3.10"
    assert metadata.get_payload().startswith("# cvgl-bench")


def test_dependencies_have_a_lower_bound_and_no_upper_one(metadata):
    for line in metadata.get_all("Requires-Dist"):
        requirement = Requirement(line)
        signs = [specifier.operator for specifier in requirement.specifier]
        is_stubs = re.match(r"types-|.*-stubs$", requirement.name)
        assert signs == [] if is_stubs else signs == [">="], line


def test_what_is_imported_is_required_and_what_is_required_is_imported(metadata):
    requirements = [Requirement(line) for line in metadata.get_all("Requires-Dist")]
    for_all = {canonicalize_name(r.name) for r in requirements if "extra ==" not in str(r.marker)}
    of_extras = {canonicalize_name(r.name) for r in requirements if "extra ==" in str(r.marker)}
    modules = third_party_modules()
    distributions = bringers(modules)
    imported = {
        canonicalize_name(name)
        for module in modules
        for name in distributions.get(module, {module})
    }
    for module, bringer in BROUGHT.items():
        assert bringer in for_all
        wanted = importlib.metadata.requires(bringer)
        assert module in {canonicalize_name(Requirement(line).name) for line in wanted}
    imported -= set(BROUGHT)
    assert imported - for_all - of_extras == set(), "not in install_requires of setup.cfg"
    imported.add("tabulate")  # by DataFrame.to_markdown, which pandas leaves to those who call it
    assert for_all - imported == set(), "in install_requires of setup.cfg, and never imported"


def bringers(modules):
    """What is installed brings which of these; Python 3.10 says it of old-fashioned wheels only."""
    found = {}
    for distribution in importlib.metadata.distributions():
        record = distribution.read_text("RECORD") or ""
        tops = {re.split("[/,]", line, maxsplit=1)[0] for line in record.splitlines()}
        for module in {top.removesuffix(".py") for top in tops} & modules:
            found.setdefault(module, set()).add(distribution.name)
    return found


def third_party_modules():
    modules = set()
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Import):
                    modules |= {alias.name.split(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom):
                    modules.add(node.module.split(".")[0])
    return modules - set(sys.stdlib_module_names) - {*PACKAGES, "tomllib"}


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == __version__
    assert citation["license"] == "Apache-2.0"


def test_the_workflow_runs_on_the_oldest_and_the_newest_python_that_setup_cfg_names():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    found = re.findall(r"Python :: (3\.\d+)", config["metadata"]["classifiers"])
    named = sorted(found, key=lambda version: int(version.split(".")[1]))
    assert config["options"]["python_requires"] == f">={named[0]}"
    workflow = yaml.safe_load((ROOT / ".github/workflows/tests.yml").read_text())
    runs = workflow["jobs"]["tests"]["strategy"]["matrix"]["include"]
    assert {run["target"]: run["python"] for run in runs} == {
        "test-lowest": named[0],
        "test slow": named[-1],
    }
