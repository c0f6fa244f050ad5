"""The models the benchmark knows, and how a user's own is loaded."""

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, cast

from cvgl_bench.errors import ModelError, unknown
from cvgl_bench.files import sha256

if TYPE_CHECKING:
    from cvgl_bench.models.adapter import Adapter

__all__ = ["MODELS", "load"]

MODELS: dict[str, str] = {
    "constant": "cvgl_bench.models.floors:Constant",
    "lrfr": "cvgl_bench.models.lrfr:LRFR",
    "mean-color": "cvgl_bench.models.floors:MeanColor",
    "mrgeo": "cvgl_bench.models.mrgeo:MRGeo",
    "polar": "cvgl_bench.models.polar:Polar",
    "random": "cvgl_bench.models.floors:Random",
    "sample4geo": "cvgl_bench.models.sample4geo:Sample4Geo",
    "singeo": "cvgl_bench.models.singeo:SinGeo",
}

_TEXTS = ("name", "preprocessing", "weights_sha256")
_ENCODERS = ("encode_ground", "encode_aerial")


def load(name: str, weights: Path | None = None) -> "Adapter":
    """Make a model ready to embed.

    Args:
        name: a name in `MODELS`, or `path/to/file.py:ClassName` for a model of the user's own.
        weights: its checkpoint; None for a model that has none or brings its own.

    Raises:
        ModelError: the model is unknown, cannot be imported, does not follow the adapter's
            protocol, or does not go with these weights.
    """
    file, colon, class_name = name.rpartition(":")
    if name in MODELS:
        module_name, _, class_name = MODELS[name].rpartition(":")
        model_class: Callable[..., object]
        model_class = getattr(importlib.import_module(module_name), class_name)
    elif colon and file.endswith(".py"):
        model_class = _class_in(_import_file(Path(file)), Path(file), class_name)
    else:
        raise ModelError(f"{unknown('model', name, MODELS)} Your own: --model file.py:ClassName")
    return _checked(name, _construct(name, model_class, weights))


def _import_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise ModelError(f"there is no file '{path}' to load a model from.")
    module_name = f"cvgl_bench_own_{path.stem}_{sha256(str(path.resolve()).encode())[:8]}"
    specification = importlib.util.spec_from_file_location(module_name, path)
    if specification is None or specification.loader is None:
        raise ModelError(f"'{path}' is not a Python file.")
    module = importlib.util.module_from_spec(specification)
    folder = str(path.resolve().parent)
    # Dataclasses look their module up by name, and a model may import the files beside it.
    sys.modules[module_name] = module
    if folder not in sys.path:
        sys.path.append(folder)
    try:
        specification.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[module_name]
        raise ModelError(f"importing '{path}' failed: {_worded(error)}") from error
    return module


def _class_in(module: ModuleType, path: Path, class_name: str) -> Callable[..., object]:
    found = getattr(module, class_name, None)
    if isinstance(found, type):
        return found
    classes = [key for key, value in vars(module).items() if isinstance(value, type)]
    raise ModelError(f"'{path}': {unknown('class', class_name, classes)}")


def _construct(name: str, model_class: Callable[..., object], weights: Path | None) -> object:
    try:
        parameter = inspect.signature(model_class).parameters.get("weights")
    except (TypeError, ValueError) as error:
        raise ModelError(f"'{name}' is no class that could be made here: {error}") from error
    if weights is None and parameter is not None and parameter.default is parameter.empty:
        raise ModelError(f"model '{name}' needs a checkpoint: --weights FILE")
    if weights is not None and parameter is None:
        raise ModelError(f"model '{name}' takes no weights, but was given '{weights}'.")
    if weights is not None and not weights.is_file():
        raise ModelError(f"there is no file '{weights}' to read the weights of '{name}' from.")
    try:
        return model_class() if weights is None else model_class(weights=weights)
    except ModelError:
        raise
    except (Exception, SystemExit) as error:
        raise ModelError(f"model '{name}' could not be made: {_worded(error)}") from error


def _checked(name: str, model: object) -> "Adapter":
    wrong = [text for text in _TEXTS if not isinstance(getattr(model, text, None), str)]
    if wrong:
        raise ModelError(f"model '{name}' lacks the text {' and '.join(wrong)} of an adapter.")
    missing = [encoder for encoder in _ENCODERS if not callable(getattr(model, encoder, None))]
    if missing:
        raise ModelError(f"model '{name}' lacks the method {' and '.join(missing)} of an adapter.")
    return cast("Adapter", model)


def _worded(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
