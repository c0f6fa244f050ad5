"""A training's folder: what it trains, how far it is, its curve and its weights."""

import io
import json
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
import torch
from matplotlib.figure import Figure
from pydantic import TypeAdapter
from torch import Tensor

from cvgl_bench import __version__
from cvgl_bench.datasets import Dataset
from cvgl_bench.errors import DataError, ModelError
from cvgl_bench.files import read, write_atomically
from cvgl_bench.models.checkpoint import write_checkpoint
from cvgl_bench.plots import as_bytes
from cvgl_bench.training.recipes import Recipe

PAGE, STATE, WEIGHTS = "training.json", "state.pt", "weights.safetensors"
CURVES_TABLE, CURVES_PICTURE = "curves.csv", "curves.png"


def described(
    training: Dataset, validation: Dataset, split: str, chosen_on: str | None, *, on_test: bool
) -> dict[str, str | int]:
    """Say on a run's page what is trained on, and what the weights are chosen on.

    Args:
        training: pairs to learn from.
        validation: pairs to choose the weights by.
        split: that the training pairs are of.
        chosen_on: split of the validation pairs; None if they are held out of `split`.
        on_test: suites test on that split.
    """
    return {
        "dataset": training.name,
        "split": split,
        "pairs": len(training.pairs),
        "ids_sha256": training.ids_sha256,
        "selected_on": chosen_on or f"{len(validation.pairs)} pairs held out of {split}",
        "selected_on_test": "yes" if on_test else "no",
        "validation_ids_sha256": validation.ids_sha256,
    }


@dataclass
class State:
    """How far a training is.

    Attributes:
        epoch: epochs that are over.
        network: the network's tensors.
        optimizer: the optimizer's state.
        rows: of the curve, one an epoch.
        best: R@1 on the validation pairs of the weights that were kept; -1 before the first look.
        neighbours: of every training place, (N, K) int64, where the recipe samples by them.
    """

    epoch: int = 0
    network: Mapping[str, Tensor] = field(default_factory=dict)
    optimizer: Mapping[str, Any] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    best: float = -1.0
    neighbours: Tensor | None = None


_DEFAULTS = {field.name: field.default for field in fields(Recipe) if field.default is not MISSING}


@dataclass(frozen=True)
class Run:
    """A training's folder.

    Attributes:
        folder: where it is.
        recipe: how is trained.
        data: what is trained and validated on, in words and hashes.
    """

    folder: Path
    recipe: Recipe
    data: Mapping[str, str | int]

    @property
    def page(self) -> dict[str, Any]:
        """What makes this training this one, as JSON knows it."""
        recipe = TypeAdapter(Recipe).dump_python(self.recipe, mode="json")
        return {"recipe": recipe, "data": dict(self.data)}

    def open(self) -> State:
        """Begin the training, or find out how far it is.

        Raises:
            DataError: the folder holds another training, or cannot be read.
        """
        path = self.folder / PAGE
        for left in self.folder.glob(".writing-*"):
            left.unlink(missing_ok=True)
        if not path.is_file():
            page = {**self.page, "cvgl_bench": __version__}
            write_atomically(path, json.dumps(page, indent=1).encode())
            return State()
        try:
            found = json.loads(read(path))
        except ValueError as error:
            raise DataError(f"{path} is damaged: {error}.") from error
        for part, ours in self.page.items():
            # A field that recipes did not have when the training began has its default.
            theirs = (_DEFAULTS if part == "recipe" else {}) | found.get(part, {})
            differing = [key for key in ours if theirs.get(key) != ours[key]]
            if differing:
                key = differing[0]
                raise DataError(
                    f"{self.folder} holds another training: its {key} is {theirs.get(key)}, not "
                    f"{ours[key]}. Name another folder with --out."
                )
        return self._state()

    def _state(self) -> State:
        path = self.folder / STATE
        if not path.is_file():
            return State()
        content = io.BytesIO(read(path))
        try:
            return State(**torch.load(content, map_location="cpu", weights_only=True))
        except Exception as error:
            # On a damaged file the unpickler fails in any way.
            raise ModelError(
                f"'{path}' is damaged; delete it and the training starts anew."
            ) from error

    def save(self, state: State, *, is_best: bool) -> None:
        """Write the state, the curve and, if they are the best so far, the weights.

        The state comes last: what it says to be over is on disk.

        Raises:
            DataError: the disk is full or the folder cannot be written.
        """
        if is_best:
            self._write_weights(self.folder / WEIGHTS, state)
        table = pd.DataFrame(state.rows)
        csv = table.round({"seconds": 1}).to_csv(index=False)
        write_atomically(self.folder / CURVES_TABLE, csv.encode())
        write_atomically(self.folder / CURVES_PICTURE, _drawn(table, self.recipe))
        buffer = io.BytesIO()
        torch.save(vars(state), buffer)
        write_atomically(self.folder / STATE, buffer.getvalue())

    def _write_weights(self, path: Path, state: State) -> None:
        """Write a checkpoint that says what it is and where it comes from."""
        training = {**self.page, "epoch": state.epoch, "cvgl_bench": __version__}
        write_checkpoint(path, self.recipe.config, state.network, training=training)


def _drawn(table: pd.DataFrame, recipe: Recipe) -> bytes:
    """Loss and R@1 over the epochs, as a PNG."""
    with mpl.rc_context({"font.size": 11, "axes.spines.top": False}):
        figure = Figure(figsize=(6.4, 4.2), layout="constrained")
        left = figure.subplots()
        left.plot(table["epoch"], table["loss"], color="#0072B2", lw=2)
        left.set_xlabel("epoch")
        left.set_ylabel("loss", color="#0072B2")
        left.set_title(f"{recipe.method}, {recipe.config.backbone}", loc="left")
        right = left.twinx()
        looked = table.dropna(subset=["validation_r1"])
        right.plot(
            looked["epoch"], 100 * looked["validation_r1"], color="#D55E00", marker="o", lw=2
        )
        right.set_ylabel("R@1 on validation, %", color="#D55E00")
        right.set_ylim(0, 102)
        return as_bytes(figure, "png", dpi=120)
