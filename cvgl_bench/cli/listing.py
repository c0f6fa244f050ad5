"""cvgl-bench list: what there is to name."""

import click

from cvgl_bench.cli import output

Things = list[dict[str, object]]


def _suites() -> Things:
    from cvgl_bench.suite import load_suite, suite_names

    suites = (load_suite(name) for name in suite_names())
    return [suite.model_dump(mode="json") | {"cells": len(suite.cells)} for suite in suites]


def _models() -> Things:
    from cvgl_bench.models import MODELS

    return [{"name": name} for name in sorted(MODELS)]


def _corruptions() -> Things:
    from corruptions import DETERMINISTIC, FAMILY_OF, SEVERITIES

    return [
        {
            "name": name,
            "family": family,
            "deterministic": name in DETERMINISTIC,
            "parameters": SEVERITIES[name],
        }
        for name, family in FAMILY_OF.items()
    ]


def _datasets() -> Things:
    from cvgl_bench.datasets import DATASETS

    return [{"name": name, "splits": [*module.SPLITS]} for name, module in DATASETS.items()]


THINGS = {
    "suites": _suites,
    "models": _models,
    "corruptions": _corruptions,
    "datasets": _datasets,
}


def _line(what: str, thing: dict[str, object]) -> str:
    name = str(thing["name"])
    if what == "suites":
        return f"{name:<23}{thing['title']}"
    if what == "corruptions":
        return f"{name:<18}{thing['family']}"
    splits = thing.get("splits")
    return f"{name:<18}splits: {', '.join(splits)}" if isinstance(splits, list) else name


@click.command("list")
@click.argument("what", type=click.Choice(list(THINGS)))
@output.json_option
def command(what: str) -> None:
    """Name suites, models, corruptions, data sets."""
    things = THINGS[what]()
    for thing in things:
        output.show(_line(what, thing))
    output.document({what: things})
