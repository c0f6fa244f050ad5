"""cvgl-bench train: train one of the reference methods."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cvgl_bench.cli import options

if TYPE_CHECKING:
    from cvgl_bench.datasets import Pair
    from cvgl_bench.training.recipes import Recipe

DATASETS = ("cvtown", "cvusa", "cvact")
SPLITS = {"cvtown": "any-train", "cvusa": "train", "cvact": "train"}


@click.command()
@click.argument("method")
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
    default=500,
    show_default=True,
    help="Pairs of --split that are not trained on.",
)
@click.option(
    "--select-on-test",
    is_flag=True,
    help="Let --validation be the set that is tested on, as the papers do; marks every record.",
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
@click.option("--epochs", type=click.IntRange(1), help="Instead of the recipe's.")
@click.option("--batch-size", type=click.IntRange(2), help="Instead of the recipe's; in all.")
@click.option("--learning-rate", type=click.FloatRange(0, min_open=True), help="Likewise.")
@click.option("--seed", type=click.IntRange(0), help="Likewise.")
@click.option("--pretrained/--no-pretrained", default=None, help="Start from timm's weights.")
@click.option("--no-neighbours", is_flag=True, help="Draw batches at random.")
@click.option("--augmix", is_flag=True, help="Add AugMix to the recipe's augmentation.")
@click.option("--out", type=options.FOLDER, help="Default: runs/train/METHOD-SEED.")
@click.option("--workers", type=click.IntRange(0), default=2, show_default=True, help="Decoders.")
@click.option(
    "--memory",
    type=click.FloatRange(0),
    default=4.0,
    show_default=True,
    help="GiB of pictures to keep decoded; more are read anew each epoch.",
)
@click.option("--cpu", is_flag=True, help="Use no GPU.")
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
    click.echo(
        f"{method}: {len(training):,} pairs, {recipe.epochs} epochs of batches of "
        f"{recipe.batch_size}, {recipe.config.backbone}; the weights are chosen by "
        f"{len(validation):,} pairs."
    )
    state = train(job, _say)
    click.echo(f"best R@1 on validation {100 * state.best:.1f} %: {out / WEIGHTS}")


def _say(row: dict[str, Any]) -> None:
    found = row["validation_r1"]
    looked = "" if found is None else f", R@1 {100 * found:.1f} %"
    click.echo(f"epoch {row['epoch']}: loss {row['loss']:.3f}{looked}, {row['seconds']:.0f} s")


def _recipe(method: str, given: dict[str, Any]) -> Recipe:
    from cvgl_bench.training.recipes import find_recipe

    recipe = find_recipe(method, given["preset"])
    names = ("epochs", "batch_size", "learning_rate", "seed", "pretrained")
    changed = {name: given[name] for name in names if given[name] is not None}
    if given["backbone"]:
        other = {"backbone": given["backbone"], "backbone_options": {}}
        changed["config"] = recipe.config.model_copy(update=other)
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

    split = given["split"] or SPLITS[dataset]
    listed = load_dataset(dataset, data, split).pairs[: given["pairs"]]
    if given["validation"]:
        training = listed
        validation = load_dataset(dataset, data, given["validation"]).pairs
        if {pair.id for pair in training} & {pair.id for pair in validation}:
            raise DataError(f"the splits '{split}' and '{given['validation']}' share pairs.")
    elif given["select_on_test"]:
        raise DataError("--select-on-test needs the split that is tested on: --validation SPLIT.")
    elif len(listed) <= given["held_out"]:
        raise DataError(f"{len(listed)} pairs are too few to hold {given['held_out']} out.")
    else:
        training, validation = listed[: -given["held_out"]], listed[-given["held_out"] :]
    about: dict[str, str | int] = {
        "dataset": dataset,
        "split": split,
        "pairs": len(training),
        "ids_sha256": Dataset(dataset, training).ids_sha256,
        "selected_on": given["validation"] or f"{len(validation)} pairs held out of {split}",
        "selected_on_test": "yes" if given["select_on_test"] else "no",
        "validation_ids_sha256": Dataset(dataset, validation).ids_sha256,
    }
    return training, validation, about
