"""cvgl-bench compare: two runs on the same queries, and how sure their difference is."""

from pathlib import Path

import click


@click.command()
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
@click.option("--view", default="full", show_default=True, help="Which view's cells.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="CSV of all cells.")
def command(first: Path, second: Path, view: str, out: Path | None) -> None:
    """Compare two runs on the same queries.

    FIRST and SECOND are record.json files, or the folders that hold them, with ranks.parquet
    beside. Differences are first less second, in percent.
    """
    from cvgl_bench.comparing import P_COLUMNS, cell_frame, overall_frame, verdict
    from cvgl_bench.files import write_atomically
    from cvgl_bench.pairing import compare
    from cvgl_bench.runs import read_runs
    from cvgl_bench.tables import as_markdown

    one, other = read_runs([first, second])
    comparison = compare(one.sample(view), other.sample(view))
    cells = cell_frame(comparison)
    click.echo(as_markdown(cells, P_COLUMNS))
    if comparison.overall:
        click.echo(f"\n{as_markdown(overall_frame(comparison))}")
    click.echo(f"\n{verdict(one.name, other.name, comparison)}")
    if out is not None:
        write_atomically(out, cells.to_csv().encode())
        click.echo(f"written: {out}")
