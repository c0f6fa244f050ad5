"""cvgl-bench train: train one of the reference methods."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cvgl_bench.cli import completing, options, output

if TYPE_CHECKING:
    from cvgl_bench.datasets import Pair
    from cvgl_bench.training.recipes import Recipe

DATASETS = ("cvtown", "cvusa", "cvact")
SPLITS = {"cvtown": "any-train", "cvusa": "train", "cvact": "train"}
# More on real streets, because few tiles are told apart too easily to choose between epochs by.
HELD_OUT = {"cvtown": 500, "cvusa": 2000, "cvact": 2000}


@click.command()
@click.argument("method", shell_complete=completing.methods)
@options.data
@click.option(
    "--dataset",
    type=click.Choice(DATASETS),
    default="cvtown",
    show_default=True,
    help="Whose layout --data has.",
)
@click.option("--split", help="To train on. Default: cvtown any-train, the others train.")
@click.option(
    "--validation",
    help="Split to choose the weights by. Default: the last --held-out pairs of --split.",
)
@click.option(
    "--held-out",
    type=click.IntRange(1),
    help="Pairs of --split that are not trained on. Default: cvtown 500, the others 2,000.",
)
@click.option(
    "--select-on-test",
    is_flag=True,
    help="Let --validation be a split that is tested on, as the papers do; marks every record.",
)
@click.option("--pairs", type=click.IntRange(2), help="Only the first so many of --split.")
@click.option(
    "--preset",
    type=click.Choice(["small", "paper"]),
    default="small",
    show_default=True,
    help="Which recipe: for CVTown and a processor, or as published.",
)
@click.option("--backbone", help="Another network of timm's.")
@click.option(
    "--narrow",
    type=click.Choice(["crop", "pad"]),
    help="How the network gets narrow views: as they are, or in a panorama of noughts (for ViTs).",
)
@click.option(
    "--precision",
    type=click.Choice(["bf16", "fp32"]),
    help="Instead of the recipe's bf16, which needs a GPU that has it.",
)
@click.option("--epochs", type=click.IntRange(1), help="Instead of the recipe's.")
@click.option("--batch-size", type=click.IntRange(2), help="Instead of the recipe's; in all.")
@click.option("--learning-rate", type=click.FloatRange(0, min_open=True), help="Likewise.")
@click.option("--seed", type=click.IntRange(0), help="Likewise.")
@click.option("--pretrained/--no-pretrained", default=None, help="Start from timm's weights.")
@click.option(
    "--no-map", is_flag=True, help="Draw the first epochs' batches at random, not from neighbours."
)
@click.option("--no-neighbours", is_flag=True, help="Draw all batches at random.")
@click.option("--augmix", is_flag=True, help="Add AugMix to the recipe's augmentation.")
@click.option("--out", type=options.FOLDER, help="Default: runs/train/METHOD-SEED.")
@click.option("--workers", type=click.IntRange(0), default=2, show_default=True, help="Decoders.")
@click.option(
    "--memory",
    type=click.FloatRange(0),
    default=4.0,
    show_default=True,
    help="GiB of pictures that each process keeps decoded; more are read anew each epoch.",
)
@click.option("--cpu", is_flag=True, help="Use no GPU.")
@output.json_option
def command(method: str, data: Path, dataset: str, **given: Any) -> None:
    """Train sample4geo, mrgeo, singeo or lrfr.

    Writes training.json, curves.csv, curves.png, state.pt and weights.safetensors, which
    `cvgl-bench evaluate --weights` takes. Killed? The same command goes on where it was. On N
    GPUs: accelerate launch --num_processes N -m cvgl_bench train ...
    """
    from cvgl_bench.training.loop import Job, train
    from cvgl_bench.training.run import WEIGHTS, Run

    recipe = _recipe(method, given)
    training, validation, about = _pairs(dataset, data, given)
    out = given["out"] or Path("runs") / "train" / f"{method}-{recipe.seed}"
    job = Job(
        Run(out, recipe, about),
        training,
        validation,
        on_cpu=given["cpu"],
        workers=given["workers"],
        memory_bytes=int(given["memory"] * 2**30),
    )
    _say_once(
        f"{method}: {len(training):,} pairs, {recipe.epochs} epochs of batches of "
        f"{recipe.batch_size}, {recipe.config.backbone}; the weights are chosen by "
        f"{len(validation):,} pairs."
    )
    state = train(job, _say)
    _say_once(f"best R@1 on validation {100 * state.best:.1f} %: {out / WEIGHTS}")
    if _is_first():
        output.document(
            {
                "method": method,
                "folder": out,
                "weights": out / WEIGHTS,
                "pairs": len(training),
                "validation_pairs": len(validation),
                "best_validation_r1": state.best,
                "epochs": state.rows,
            }
        )


def _is_first() -> bool:
    """Whether this is the first process; launchers number them in the environment."""
    return os.environ.get("RANK", "0") == "0"


def _say_once(line: str) -> None:
    if _is_first():
        output.show(line)


def _say(row: dict[str, Any]) -> None:
    found = row["validation_r1"]
    looked = "" if found is None else f", R@1 {100 * found:.1f} %"
    output.show(f"epoch {row['epoch']}: loss {row['loss']:.3f}{looked}, {row['seconds']:.0f} s")


def _recipe(method: str, given: dict[str, Any]) -> Recipe:
    from cvgl_bench.training.recipes import find_recipe

    recipe = find_recipe(method, given["preset"])
    names = ("epochs", "batch_size", "learning_rate", "seed", "pretrained", "precision")
    changed = {name: given[name] for name in names if given[name] is not None}
    other: dict[str, Any] = {}
    if given["backbone"]:
        other |= {"backbone": given["backbone"], "backbone_options": {}}
    if given["narrow"]:
        other["narrow"] = given["narrow"]
    changed["config"] = recipe.config.model_copy(update=other)
    if given["no_map"] and recipe.sampling:
        changed["sampling"] = replace(recipe.sampling, start="random")
    if given["no_neighbours"]:
        changed["sampling"] = None
    if given["augmix"]:
        changed["augmix"] = True
    return replace(recipe, **changed)


def _pairs(
    dataset: str, data: Path, given: dict[str, Any]
) -> tuple[tuple[Pair, ...], tuple[Pair, ...], dict[str, str | int]]:
    """Training and validation pairs, and what the run's page says of them."""
    from cvgl_bench.datasets import Dataset, load_dataset
    from cvgl_bench.errors import DataError
    from cvgl_bench.training.run import described

    split = given["split"] or SPLITS[dataset]
    held_out = given["held_out"] or HELD_OUT[dataset]
    if _is_tested(split):
        raise DataError(f"{dataset}'s split '{split}' is tested on, so nothing is trained on it.")
    if given["validation"] and _is_tested(given["validation"]) and not given["select_on_test"]:
        raise DataError(
            f"{dataset}'s split '{given['validation']}' is tested on: choose the weights on pairs "
            "held out of training, or say --select-on-test."
        )
    listed = load_dataset(dataset, data, split).pairs[: given["pairs"]]
    if given["validation"]:
        training = listed
        validation = load_dataset(dataset, data, given["validation"]).pairs
        if {pair.id for pair in training} & {pair.id for pair in validation}:
            raise DataError(f"the splits '{split}' and '{given['validation']}' share pairs.")
    elif given["select_on_test"]:
        raise DataError("--select-on-test needs the split that is tested on: --validation SPLIT.")
    elif len(listed) <= held_out:
        raise DataError(
            f"{len(listed)} pairs are too few to hold {held_out} out: give a smaller --held-out."
        )
    else:
        training, validation = listed[:-held_out], listed[-held_out:]
    about = described(
        Dataset(dataset, training),
        Dataset(dataset, validation),
        split,
        given["validation"],
        on_test=given["select_on_test"],
    )
    return training, validation, about


def _is_tested(split: str) -> bool:
    """Whether suites test on a split: on all but the areas and lists that are there to train on."""
    return not split.removeprefix("any-").startswith("train")
