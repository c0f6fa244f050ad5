"""cvgl-bench list: what there is to name."""

import click


def _suites() -> list[str]:
    from cvgl_bench.suite import load_suite, suite_names

    return [f"{name:<23}{load_suite(name).title}" for name in suite_names()]


def _models() -> list[str]:
    from cvgl_bench.models import MODELS

    return sorted(MODELS)


def _corruptions() -> list[str]:
    from corruptions import FAMILIES

    return [f"{name:<18}{family}" for family, names in FAMILIES.items() for name in names]


def _datasets() -> list[str]:
    from cvgl_bench.datasets import DATASETS

    return [f"{name:<18}splits: {', '.join(module.SPLITS)}" for name, module in DATASETS.items()]


THINGS = {
    "suites": _suites,
    "models": _models,
    "corruptions": _corruptions,
    "datasets": _datasets,
}


@click.command("list")
@click.argument("what", type=click.Choice(list(THINGS)))
def command(what: str) -> None:
    """Name suites, models, corruptions, data sets."""
    for line in THINGS[what]():
        click.echo(line)
