"""Pictures of a record, and how a picture becomes a file."""

import io
import textwrap
from collections.abc import Sequence
from contextlib import AbstractContextManager
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from corruptions import FAMILIES, FAMILY_OF
from cvgl_bench.files import write_atomically
from cvgl_bench.record import Record
from cvgl_bench.suite import CLEAN, Cell

# Okabe and Ito's palette, told apart by colour-blind readers; markers serve print in grey.
STYLES = {
    "weather": ("#0072B2", "o"),
    "blur": ("#D55E00", "s"),
    "noise": ("#009E73", "^"),
    "digital": ("#CC79A7", "D"),
}

# For pictures of many models, at the width of a paper's column. Okabe and Ito's palette again, but
# for its yellow, which is lost on white. Seven colours and four lines give 28 pairs; markers help
# where lines cross.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9")
_LINES = ("-", "--", "-.", ":")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
_NAME_WIDTH, _NAME_LINES = 26, 3

# Without dates and versions: same picture, same bytes.
_METADATA: Final[dict[str, dict[str, None]]] = {
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    "png": {"Software": None},
}
FORMATS: Final = tuple(_METADATA)


def as_bytes(figure: Figure, form: str, dpi: int = 150) -> bytes:
    """A picture as a file of one of FORMATS; dpi is of PNG."""
    buffer = io.BytesIO()
    # Otherwise an SVG's identifiers are random.
    with mpl.rc_context({"svg.hashsalt": "cvgl-bench"}):
        figure.savefig(buffer, format=form, dpi=dpi, metadata=_METADATA[form])
    return buffer.getvalue()


def style() -> AbstractContextManager[None]:
    """The settings of pictures of many models, for drawing and saving."""
    return mpl.rc_context(
        {
            "font.size": 8,
            "axes.titlesize": 8,
            "legend.fontsize": 7,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.linewidth": 0.7,
            "lines.linewidth": 1.3,
            "lines.markersize": 3.5,
            "grid.color": "#dddddd",
            "grid.linewidth": 0.6,
            "legend.frameon": False,
            "legend.handlelength": 3.2,  # Long enough to tell the lines apart.
            "text.parse_math": False,  # A dollar in a name is a dollar.
            "pdf.fonttype": 42,  # Publishers refuse type 3.
        }
    )


def line_style(number: int) -> dict[str, Any]:
    """Colour, line and marker of the number-th of several models."""
    return {
        "color": _COLORS[number % len(_COLORS)],
        "ls": _LINES[number % len(_LINES)],
        "marker": _MARKERS[number % len(_MARKERS)],
    }


def wrapped(name: str) -> str:
    """A name for a legend: in short lines, and what no font has as question marks."""
    known = "".join(c if c.isprintable() and ord(c) < 0x250 else "?" for c in name)
    lines = textwrap.wrap(known, _NAME_WIDTH, max_lines=_NAME_LINES, placeholder="...")
    return "\n".join(lines)


def legend(figure: Figure, axes: Axes) -> None:
    """Set a legend of the axes' lines below the whole figure, where it covers nothing."""
    handles, labels = axes.get_legend_handles_labels()
    widest = max(len(line) for label in labels for line in label.splitlines())
    # In points: a letter is about 4 wide, a sample with its gaps 40.
    columns = int(72 * figure.get_figwidth() / (4 * widest + 40))
    figure.legend(
        handles, labels, loc="outside lower center", ncols=max(1, min(columns, len(labels)))
    )


def heat_map(
    axes: Axes, corruptions: Sequence[str], severities: Sequence[int], values: NDArray[np.float64]
) -> None:
    """Draw R@1, a row a corruption and a column a severity, with the mean set apart.

    Args:
        axes: where.
        corruptions: of the rows, from the top.
        severities: of all columns but the last.
        values: (corruptions, severities + 1), in percent, the last the mean; NaN if not there.
    """
    edges = np.arange(len(severities) + 1.0)
    end = float(edges[-1])
    _tiles(axes, edges, values[:, :-1])
    _tiles(axes, np.array([end + 0.15, end + 1.15]), values[:, -1:])
    axes.set_xticks([*(edges[:-1] + 0.5), end + 0.65], [*map(str, severities), "mean"])
    names = [name.replace("_", " ") for name in corruptions]
    axes.set_yticks(np.arange(len(names)) + 0.5, names)
    for row, (above, below) in enumerate(pairwise(corruptions), start=1):
        if FAMILY_OF.get(above) != FAMILY_OF.get(below):
            axes.axhline(row, color="white", lw=2)
    axes.set_ylim(len(names), 0)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("severity")


def _tiles(axes: Axes, edges: NDArray[np.float64], values: NDArray[np.float64]) -> None:
    """Coloured tiles with their numbers in them; "-" on grey where there is none."""
    colors = mpl.colormaps["viridis"].with_extremes(bad="#e0e0e0")
    rows = np.arange(len(values) + 1.0)
    shown = np.ma.masked_invalid(values)
    axes.pcolormesh(edges, rows, shown, cmap=colors, vmin=0, vmax=100, ec="white", lw=0.6)
    for (row, column), value in np.ndenumerate(values):
        is_known = not np.isnan(value)
        red, green, blue, _ = colors(value / 100) if is_known else (1, 1, 1, 1)
        # Against this luminance black and white contrast alike (WCAG 2).
        is_dark = 0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2 < 0.18
        axes.text(
            (edges[column] + edges[column + 1]) / 2,
            row + 0.5,
            f"{value:.1f}" if is_known else "-",
            color="white" if is_dark else "black",
            ha="center",
            va="center_baseline",
            fontsize=7,
        )


def plot_severity(record: Record, path: Path, view: str = "full") -> None:
    """Draw R@1 over severity, a line a corruption family, into a PNG.

    A family's point is the mean over its corruptions; severity 0 is clean.

    Args:
        record: a run with all severities of at least one family.
        path: the PNG.
        view: which view.
    """
    recalls = record.recalls(view)
    severities = sorted(record.suite.severities)
    clean = recalls.get(Cell(view=view, corruption=CLEAN, severity=0))
    with mpl.rc_context({"font.size": 11, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(6.4, 4.2), layout="constrained")
        axes = figure.subplots()
        for family, names in FAMILIES.items():
            curve = _family_curve(recalls, view, names, severities)
            if curve is None:
                continue
            x, y = list(severities), curve
            if clean is not None:
                x, y = [0, *x], [clean, *y]
            color, marker = STYLES[family]
            axes.plot(x, [100 * v for v in y], color=color, marker=marker, lw=2, label=family)
        chance = 100 / record.data.references
        axes.axhline(chance, color="#777777", ls=":", lw=1.2, label=f"chance ({chance:.3g} %)")
        axes.set_xticks([0, *severities], ["clean", *map(str, severities)])
        axes.set_ylim(0, 102)
        axes.set_xlabel("severity")
        axes.set_ylabel("R@1, %")
        mark = ", not comparable" if record.not_comparable else ""
        where = "" if view == "full" else f", {view}"
        axes.set_title(f"{record.model.name} on {record.suite.label}{where}{mark}", loc="left")
        axes.grid(axis="y", color="#dddddd", lw=0.8)
        axes.legend(frameon=False)
        picture = as_bytes(figure, "png")
    write_atomically(path, picture)


def _family_curve(
    recalls: dict[Cell, float], view: str, names: tuple[str, ...], severities: list[int]
) -> list[float] | None:
    """Mean R@1 of a family at each severity; None unless all its cells are there."""
    cells = [
        [Cell(view=view, corruption=name, severity=severity) for name in names]
        for severity in severities
    ]
    if not severities or not names or any(cell not in recalls for row in cells for cell in row):
        return None
    return [float(np.mean([recalls[cell] for cell in row])) for row in cells]


def plot_all(record: Record, folder: Path) -> list[Path]:
    """Draw `severity.png`, or `severity-<view>.png`, of every view with a line to draw.

    A picture of an earlier run in the folder that this one does not draw is removed.
    """
    written = []
    severities = sorted(record.suite.severities)
    for view in dict.fromkeys(score.view for score in record.cells):
        path = folder / ("severity.png" if view == "full" else f"severity-{view}.png")
        path.unlink(missing_ok=True)
        recalls = record.recalls(view)
        families = FAMILIES.values()
        if any(_family_curve(recalls, view, names, severities) for names in families):
            plot_severity(record, path, view)
            written.append(path)
    return written
