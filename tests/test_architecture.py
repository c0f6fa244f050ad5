import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TORCH = {"torch", "torchvision", "timm", "kornia", "accelerate"}
# The parts of cvgl_bench that may load torch when they are imported: all of these folders, but the
# registry of models, which `cvgl-bench list models` reads.
NEEDS_TORCH = {
    "attending.py",
    "attention.py",
    "batch_size.py",
    "clock.py",
    "doctor.py",
    "embedding.py",
    "evaluation.py",
    "gradcam.py",
    "makers.py",
    "measuring.py",
    "streaming.py",
}
FOLDERS_OF_TORCH = ("models/", "training/")
REGISTRY = "models/__init__.py"


def sources(package):
    return sorted((ROOT / package).rglob("*.py"))


def imports(path, *, top_level_only=False):
    """Names of imported packages, in dotted form."""
    tree = ast.parse(path.read_text())
    nodes = tree.body if top_level_only else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            yield node.module


@pytest.mark.parametrize("path", sources("corruptions"), ids=str)
def test_corruptions_know_nothing_of_the_benchmark(path):
    roots = {name.split(".")[0] for name in imports(path)}
    assert "cvgl_bench" not in roots
    if not {"gpu", "transforms"} & {*path.relative_to(ROOT / "corruptions").parts}:
        assert not roots & TORCH


@pytest.mark.parametrize("path", sources("cvgl_bench"), ids=str)
def test_torch_is_imported_by_few_modules(path):
    name = path.relative_to(ROOT / "cvgl_bench").as_posix()
    roots = {imported.split(".")[0] for imported in imports(path, top_level_only=True)}
    if name == REGISTRY or (name not in NEEDS_TORCH and not name.startswith(FOLDERS_OF_TORCH)):
        assert not roots & TORCH


@pytest.mark.parametrize("path", sources("cvgl_bench/models"), ids=str)
def test_models_know_nothing_of_training_evaluation_or_commands(path):
    forbidden = {"training", "evaluation", "embedding", "doctor", "cli"}
    for imported in imports(path):
        parts = imported.split(".")
        assert not (parts[0] == "cvgl_bench" and len(parts) > 1 and parts[1] in forbidden)


@pytest.mark.parametrize(
    "name",
    ["scores.py", "record.py", "views.py", "seeding.py", "codec.py", "datasets/base.py"],
)
def test_the_pure_parts_import_no_command_model_or_evaluation(name):
    forbidden = {"cli", "models", "embedding", "evaluation", "generation", "leaderboard"}
    for imported in imports(ROOT / "cvgl_bench" / name):
        parts = imported.split(".")
        assert not (parts[0] == "cvgl_bench" and len(parts) > 1 and parts[1] in forbidden)


@pytest.mark.parametrize("path", sources("corruptions") + sources("cvgl_bench"), ids=str)
def test_files_stay_small(path):
    assert len(path.read_text().splitlines()) <= 310
