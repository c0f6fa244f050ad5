"""cvgl-bench verify: is a set what its manifest says?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cvgl_bench.cli import options, output

if TYPE_CHECKING:
    from cvgl_bench.verification import Fault


@click.command()
@click.argument("folder", type=options.FOLDER)
@click.option("--repair", is_flag=True, help="Render what is broken again; needs --data.")
@click.option("--data", type=options.FOLDER, help="The data that the set was made from.")
@click.option(
    "--suite",
    "suite_name",
    help="For --repair: the TOML file, if the set is of a suite of your own.",
)
@output.json_option
@click.pass_context
def command(
    ctx: click.Context, folder: Path, repair: bool, data: Path | None, suite_name: str | None
) -> None:
    """Check, or repair, the set in FOLDER.

    Every file of the manifest must be there, whole and unchanged, and no other file.
    """
    from cvgl_bench.manifest import read_page
    from cvgl_bench.verification import verify

    if repair and data is None:
        raise click.UsageError("--repair needs --data, the folder that the set was made from.")
    images = read_page(folder).images
    with options.progress_bar(images, "verify") as bar:
        faults = verify(folder, bar.update)
    for fault in faults:
        output.show(f"{fault.kind}: {fault.path}")
    left = len(faults)
    written: list[str] = []
    if not faults:
        output.show(f"{folder}: all {images:,} images are what the manifest says.")
    elif repair and data is not None:
        written = _repair(folder, data, suite_name, faults)
        left -= len(written)
        if written:
            output.show(f"made again, to the same bytes: {len(written)}.")
        if left:
            output.show(f"left: {left} extra, which may be yours; move them away.")
    else:
        output.show(
            f"faults: {len(faults)}, in {images:,} images. --repair --data ROOT makes all but "
            "extra files again; add --suite FILE.toml if the suite is your own."
        )
    output.document(
        {"folder": folder, "images": images, "faults": faults, "repaired": written, "left": left}
    )
    if left:
        ctx.exit(1)


def _repair(folder: Path, data: Path, suite_name: str | None, faults: list[Fault]) -> list[str]:
    from cvgl_bench.datasets import load_dataset
    from cvgl_bench.manifest import read_page
    from cvgl_bench.suite import load_suite
    from cvgl_bench.verification import repair

    suite = load_suite(suite_name or read_page(folder).suite)
    return repair(folder, suite, load_dataset(suite.dataset, data, suite.split), faults)
