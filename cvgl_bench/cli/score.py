"""cvgl-bench score: embeddings or ranks that exist become records; no torch."""

from pathlib import Path

import click

from cvgl_bench.cli import options


@click.command()
@click.argument("sources", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--out", type=options.FOLDER, help="Default: beside the source. One folder a model inside."
)
def command(sources: tuple[Path, ...], out: Path | None) -> None:
    """Score SOURCES: embeddings folders or ranks.parquet files of earlier runs."""
    from cvgl_bench.scoring import score
    from cvgl_bench.tables import as_markdown, describe, model_table

    for source in sources:
        record = score(source, source.parent if out is None else out / source.parent.name)
        click.echo(f"{as_markdown(model_table([record]))}\n\n{describe(record)}\n")
