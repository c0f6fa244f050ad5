"""cvgl-bench score: embeddings or ranks that exist become records; no torch."""

import re
from pathlib import Path
from typing import Any, Literal

import click

from cvgl_bench.cli import options, output


class Size(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    """A number of bytes, with K, M, G or T for powers of 1024."""

    name = "SIZE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read the number and its unit."""
        if isinstance(value, int):
            return value
        match = re.fullmatch(r"([0-9]{1,6})([KMGT]?)(i?B)?", str(value), re.IGNORECASE)
        if not match:
            self.fail(f"'{value}' is no size such as 500M or 2G.", param, ctx)
        size: int = int(match[1]) << (10 * " KMGT".index(match[2].upper() or " "))
        return size


@click.command()
@click.argument("sources", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--out", type=options.FOLDER, help="Default: beside the source. One folder a model inside."
)
@click.option("--max-memory", type=Size(), help="For embeddings and similarities, such as 1G.")
@click.option(
    "--device",
    type=click.Choice(["cpu", "cuda"]),
    help="Compare with torch there. Without it, numpy compares.",
)
@output.json_option
def command(
    sources: tuple[Path, ...],
    out: Path | None,
    max_memory: int | None,
    device: Literal["cpu", "cuda"] | None,
) -> None:
    """Make records of embeddings or ranks.

    SOURCES are embeddings folders or ranks.parquet files, of earlier runs or made elsewhere; writes
    record.json and ranks.parquet.
    """
    from cvgl_bench.scoring import RANKS, RECORD, Resources, score
    from cvgl_bench.tables import as_markdown, describe, model_table

    places = [source.parent if out is None else out / source.parent.name for source in sources]
    if len(set(places)) != len(places):
        raise click.UsageError(
            f"two sources would go to one folder ({', '.join(map(str, places))})."
        )
    if device is not None:
        from cvgl_bench.embedding import resolve_device

        resolve_device(device)
    documents = []
    for source, place in zip(sources, places, strict=True):
        record = score(source, place, Resources(max_memory, device))
        files = [place / RECORD, place / RANKS]
        output.show(f"{as_markdown(model_table([record]))}\n\n{describe(record)}")
        output.show(f"written: {', '.join(map(str, files))}\n")
        documents.append(output.run_document(record, files))
    output.document({"runs": documents})
