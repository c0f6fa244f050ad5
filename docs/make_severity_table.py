"""Prints how far each corruption and severity is from the clean picture, as Markdown.

python docs/make_severity_table.py SET

SET is what `cvgl-bench generate` made; the numbers are those of its set.json. Of a set that is
made to be tabulated, measure many queries:

cvgl-bench town --out town --pairs 100
cvgl-bench generate cvtown-c --data town --out town-c --measure all
"""

import argparse
from pathlib import Path

from cvgl_bench.errors import DataError
from cvgl_bench.manifest import CellMeasures, SetPage, read_page
from cvgl_bench.severity import SIZES
from cvgl_bench.suite import CLEAN, CODEC_ONLY

SEVERITIES = range(1, 6)


def main() -> None:
    """Read the set's page and print a table a size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("set", type=Path, help="a set with measured queries, of the full view")
    try:
        page = read_page(parser.parse_args().set)
    except DataError as error:
        parser.error(str(error))
    if not page.measures:
        parser.error("no query of this set was measured; generate it with --measure all")
    print(
        f"SSIM and PSNR (dB) to the clean picture: {page.suite} version {page.version}, profile "
        f"{page.profile}, codec {page.codec}, means over {page.measured_queries} queries."
    )
    for suffix in SIZES:
        print(f"\n{table(page, suffix)}")


def table(page: SetPage, suffix: str) -> str:
    """One size's table: a row a corruption, a column a severity, "SSIM / PSNR" in each cell.

    Args:
        page: the page of a set of the full view with all severities.
        suffix: a key of `SIZES`.
    """
    size = SIZES[suffix]
    numbers = [str(severity) for severity in SEVERITIES]
    title = "own size" if size is None else f"{size[0]} x {size[1]}"
    lines = [
        f"| {title} | " + " | ".join(f"severity {number}" for number in numbers) + " |",
        "|---" * (1 + len(numbers)) + "|",
    ]
    rows: dict[str, list[str]] = {}
    for cell in page.measures:
        if cell.view == "full" and cell.corruption != CLEAN:
            rows.setdefault(cell.corruption, []).append(entry(cell, suffix))
    for name, entries in rows.items():
        label = "codec_only, which has no severity" if name == CODEC_ONLY else name
        lines.append(f"| {label} | " + " | ".join(entries + [""] * (5 - len(entries))) + " |")
    return "\n".join(lines)


def entry(cell: CellMeasures, suffix: str) -> str:
    """SSIM and PSNR of a cell at a size; a stroke for what is not defined."""
    ssim, psnr = getattr(cell, f"ssim{suffix}"), getattr(cell, f"psnr_db{suffix}")
    parts = "-" if ssim is None else f"{ssim:.3f}", "-" if psnr is None else f"{psnr:.1f}"
    return " / ".join(parts)


if __name__ == "__main__":
    main()
