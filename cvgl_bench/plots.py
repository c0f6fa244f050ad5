"""Pictures of a record."""

import io
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from corruptions import FAMILIES
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
    # The default text of a PNG carries the library's version: leave it out, same run same bytes.
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
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=150, metadata={"Software": None})
    write_atomically(path, buffer.getvalue())


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
