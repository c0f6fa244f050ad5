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
    """Make records of embeddings or ranks.

    SOURCES are embeddings folders or ranks.parquet files, of earlier runs or made elsewhere; writes
    record.json and ranks.parquet.
    """
    from cvgl_bench.scoring import RANKS, RECORD, score
    from cvgl_bench.tables import as_markdown, describe, model_table

    places = [source.parent if out is None else out / source.parent.name for source in sources]
    if len(set(places)) != len(places):
        raise click.UsageError(
            f"two sources would go to one folder ({', '.join(map(str, places))})."
        )
    for source, place in zip(sources, places, strict=True):
        record = score(source, place)
        click.echo(f"{as_markdown(model_table([record]))}\n\n{describe(record)}")
        click.echo(f"written: {place / RECORD}, {place / RANKS}\n")
