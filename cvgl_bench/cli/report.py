"""cvgl-bench report: runs side by side, in tables and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cvgl_bench.cli import options, output

if TYPE_CHECKING:
    from cvgl_bench.report import Report


class Formats(options.CommaList):
    """Formats of pictures with commas between them."""

    name = "svg,pdf,png"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Split and check the names."""
        words = super().convert(value, param, ctx)
        known = ("svg", "pdf", "png")
        if wrong := [word for word in words if word not in known]:
            self.fail(f"'{wrong[0]}' is no format of pictures; known: {', '.join(known)}.")
        return words


@click.command()
@click.argument("records", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", type=options.FOLDER, required=True, help="Where tables and pictures go.")
@click.option(
    "--reference",
    metavar="MODEL",
    help="The run whose errors count as 100 in mCE. Default: the suite's, if it is there.",
)
@click.option("--view", "views", multiple=True, help="Only this view; may be given again.")
@click.option(
    "--intervals/--no-intervals", default=True, show_default=True, help="95 %, over queries."
)
@click.option(
    "--formats",
    type=Formats(),
    default="svg,pdf,png",
    show_default=True,
    help='Of pictures; "none" for tables alone.',
)
@output.json_option
def command(
    records: tuple[Path, ...],
    out: Path,
    reference: str | None,
    views: tuple[str, ...],
    intervals: bool,
    formats: tuple[str, ...],
) -> None:
    """Set runs side by side.

    RECORDS are record.json files, or the folders that hold them, with ranks.parquet beside; all of
    one suite and the same queries. Writes models and cells as CSV, Markdown and LaTeX; how each run
    agrees with itself and how far its answers can be trusted as CSV; what the models cost, where
    their records say it; pictures in a folder a view; and the attention of runs that were evaluated
    with --attention, in tables and pictures.
    """
    from cvgl_bench.files import write_atomically
    from cvgl_bench.report import as_document, build_report
    from cvgl_bench.report_tables import averages_table, run_notes, table_text
    from cvgl_bench.runs import read_runs

    runs = read_runs(records)
    report = build_report(runs, reference=reference, views=views or None, with_intervals=intervals)
    files, left_out = _files(report, records, formats)
    for name, data in files.items():
        write_atomically(out / name, data)
    for view in report.views:
        # Without intervals, which are in the files: a terminal is not that wide.
        table = averages_table(replace(report, has_intervals=False), view)
        output.show(f"\n{table.caption}\n{table_text(table)}")
    notes = [*run_notes(report), *left_out]
    output.show("\n" + "\n".join(notes))
    output.show(f"written to {out}: {', '.join(files)}")
    paths = [out / name for name in files]
    output.document({**as_document(report), "notes": notes, "folder": out, "files": paths})


def _files(
    report: Report, records: Sequence[Path], formats: Sequence[str]
) -> tuple[dict[str, bytes], list[str]]:
    """The contents of a report's files by name, and a sentence for each that was left out."""
    from cvgl_bench import latex
    from cvgl_bench.figures import draw_report
    from cvgl_bench.report_attention import attention_files, read_attentions
    from cvgl_bench.report_columns import cell_frame, model_frame
    from cvgl_bench.report_cost import cost_files
    from cvgl_bench.report_self import agreement_frame, trust_frame
    from cvgl_bench.report_tables import cells_page, models_page

    pictures, left_out = draw_report(report, formats) if formats else ({}, [])
    selves = {}
    for name, frame_of in (("consistency", agreement_frame), ("trust", trust_frame)):
        frame, without = frame_of(report)
        left_out += without
        if frame is not None:
            selves[f"{name}.csv"] = frame.to_csv().encode()
    folders = [path if path.is_dir() else path.parent for path in records]
    attentions, without = read_attentions(report, folders)
    attention, other = attention_files(report, attentions, formats)
    files = {
        "models.csv": model_frame(report).to_csv().encode(),
        "models.md": models_page(report).encode(),
        "models.tex": latex.models_file(report).encode(),
        "cells.csv": cell_frame(report).to_csv().encode(),
        "cells.md": cells_page(report).encode(),
        "cells.tex": latex.cells_file(report).encode(),
        **selves,
        **cost_files(report),
        **attention,
        **pictures,
    }
    return files, [*left_out, *without, *other]
