"""cvgl-bench pull: what was pushed, at a commit, checked."""

from pathlib import Path

import click

from cvgl_bench.cli import options, output


@click.command()
@click.argument("repo")
@click.option("--out", type=options.FOLDER, required=True, help="Where the files go.")
@output.json_option
def command(repo: str, out: Path) -> None:
    """Pull runs and weights, or a set, from Hugging Face.

    REPO is OWNER/NAME, for a set datasets/OWNER/NAME, with @REVISION for another branch, tag or
    commit than main. Every file is compared with its SHA-256, every record with its ranks, the
    weights with the runs. pulled.json names the commit: give it as @REVISION to have the same files
    again.
    """
    from cvgl_bench import hub

    source = hub.parse_repo(repo)
    with options.progress_bar(0, "pull", " files") as bar:
        pulled = hub.pull(source, out, hub.connect(), bar.update)
    output.show(f"{out}: {len(pulled.files)} files of {pulled.repo}, all as they were pushed.")
    output.document(
        {
            "repo": str(hub.Repo(source.kind, source.id)),
            "commit": pulled.repo.revision,
            "folder": out,
            "files": [out / path for path in pulled.files],
        }
    )
