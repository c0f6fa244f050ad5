"""cvgl-bench push: weights, runs and sets to the Hugging Face Hub."""

from pathlib import Path

import click

from cvgl_bench.cli import options, output


@click.command()
@click.argument("sources", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.argument("repo")
@click.option("--private", is_flag=True, help="Make a repository that others do not see.")
@click.option(
    "--license",
    "licence",
    metavar="ID",
    help="For the card: one that the Hub knows, as apache-2.0.",
)
@click.option("--dry-run", is_flag=True, help="Check, and print files and card; send nothing.")
@output.json_option
def command(
    sources: tuple[Path, ...], repo: str, private: bool, licence: str | None, dry_run: bool
) -> None:
    """Push runs and weights, or a set, to Hugging Face.

    SOURCES are folders of runs and one checkpoint (a safetensors file, or the folder of a
    training), or one set of CVTown that was made with --format parquet. REPO is OWNER/NAME, for a
    set datasets/OWNER/NAME. Everything goes there in one commit, with a card. Needs a login:
    hf auth login.
    """
    from cvgl_bench import hub

    to = hub.parse_repo(repo)
    with options.progress_bar(0, "check") as bar:
        parcel = hub.pack(sources, bar.update)
    if dry_run:
        text = hub.card_for(parcel, to, licence)
        output.show(
            "\n".join([*(f"{path}: {file}" for path, file in parcel.files.items()), "", text])
        )
        output.document({"repo": str(to), "commit": None, "files": [*parcel.files], "card": text})
        return
    done = hub.push(parcel, to, hub.connect(), private=private, licence=licence)
    output.show(f"{len(done.files)} files are at {done.repo}: {done.url}")
    if done.removed:
        output.show(f"removed, of an earlier push: {', '.join(done.removed)}")
    if done.kept_card:
        output.show("README.md there has been edited, and was left as it is.")
    output.document(
        {
            "repo": str(to),
            "commit": done.repo.revision,
            "url": done.url,
            "files": done.files,
            "removed": done.removed,
            "kept_card": done.kept_card,
        }
    )
