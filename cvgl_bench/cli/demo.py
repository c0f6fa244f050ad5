"""cvgl-bench demo: the whole way, from a rendered town to a leaderboard."""

from pathlib import Path

import click

from cvgl_bench.cli import options, output

SUITE = "cvtown-c"
BASELINE = "polar"
FLOORS = ("mean-color", "random", "constant")
MODELS = (BASELINE, *FLOORS)


@click.command()
@click.option(
    "--out", type=options.FOLDER, default=Path("runs/demo"), show_default=True, help="Where."
)
@click.option("--workers", type=click.IntRange(1), default=2, show_default=True, help="Processes.")
@output.json_option
@click.pass_context
def command(ctx: click.Context, out: Path, workers: int) -> None:
    """Go the whole way on a rendered town.

    Corrupt it 16 ways, evaluate a baseline and three floors, make the tables and pages. Every step
    is a command of its own, printed before it runs.
    """
    from cvgl_bench.cli import evaluate, generate, publish, town
    from cvgl_bench.suite import load_suite

    pairs = load_suite(SUITE).pairs
    world, pictures, runs, boards, site = (
        out / name for name in ("town", SUITE, "runs", "leaderboards", "site")
    )
    _say(f"town --out {world} --split val --pairs {pairs} --size small --workers {workers}")
    ctx.invoke(town.command, out=world, split="val", pairs=pairs, size="small", workers=workers)
    _say(f"generate {SUITE} --data {world} --out {pictures} --workers {workers}")
    ctx.invoke(generate.command, suite=SUITE, data=world, out=pictures, workers=workers)
    for model in MODELS:
        quiet = model in FLOORS
        ends = f"--out {runs / model}{' --quiet' if quiet else ''}"
        _say(f"evaluate {SUITE} --model {model} --set {pictures} --data {world} {ends}")
        ctx.invoke(
            evaluate.command,
            suite=SUITE,
            model=model,
            data=world,
            set_folder=pictures,
            out=runs / model,
            quiet=quiet,
        )
    shown = tuple(runs / model for model in MODELS if model != "constant")
    ends = f"--site {site} --pictures {world}"
    _say(f"publish {' '.join(map(str, shown))} --folder {boards} {ends}")
    ctx.invoke(publish.command, runs=shown, folder=boards, site=site, pictures=world)
    _summary(runs, site)


def _say(line: str) -> None:
    output.show(f"\n$ cvgl-bench {line}", bold=True)


def _summary(runs: Path, site: Path) -> None:
    from cvgl_bench.record import read_record
    from cvgl_bench.tables import as_markdown, model_table

    records = [read_record(runs / model / "record.json") for model in MODELS]
    table = as_markdown(model_table(records, records[0]))
    output.show(f"\nWhat corruption does to each model, in percent:\n{table}")
    output.show(
        "\nR@1 clean: found at the first place. R@1 codec: the same, encoded like the corrupted "
        "pictures.\nR@1_cor: the mean under all corruptions. RCE: the share that is lost. mCE: "
        "errors as a share of the\nbaseline's.\n\n"
        "polar is a training-free baseline; the others are floors. 'constant' gives every picture "
        "the same embedding:\nit scores 0, because ties count against the model, and it may not "
        f"be published.\nLook at {site / 'index.html'} in a browser: tables, curves, and every "
        "query that was not found.\nNext: README.md, 'Your own data'."
    )
    described = [
        output.run_document(record, [runs / record.model.name / "record.json"], records[0])
        for record in records
    ]
    output.document({"runs": described, "site": site / "index.html"})
