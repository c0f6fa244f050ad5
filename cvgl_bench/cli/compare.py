"""cvgl-bench compare: two runs on the same queries, and how sure their difference is."""

from pathlib import Path

import click

from cvgl_bench.cli import output


@click.command()
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
@click.option("--view", default="full", show_default=True, help="Which view's cells.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="CSV of all cells.")
@output.json_option
def command(first: Path, second: Path, view: str, out: Path | None) -> None:
    """Compare two runs on the same queries.

    FIRST and SECOND are record.json files, or the folders that hold them, with ranks.parquet
    beside. Differences are first less second, in percent.
    """
    from cvgl_bench.comparing import P_COLUMNS, as_document, cell_frame, overall_frame, verdict
    from cvgl_bench.files import write_atomically
    from cvgl_bench.pairing import compare
    from cvgl_bench.runs import read_runs
    from cvgl_bench.tables import as_markdown

    one, other = read_runs([first, second])
    comparison = compare(one.sample(view), other.sample(view))
    cells = cell_frame(comparison)
    output.show(as_markdown(cells, P_COLUMNS))
    if comparison.overall:
        output.show(f"\n{as_markdown(overall_frame(comparison))}")
    output.show(f"\n{verdict(one.name, other.name, comparison)}")
    if out is not None:
        write_atomically(out, cells.to_csv().encode())
        output.show(f"written: {out}")
    models = {"first": one.name, "second": other.name, "view": view}
    files = [] if out is None else [out]
    output.document({**models, **as_document(comparison), "files": files})
