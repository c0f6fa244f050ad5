"""Draw the block diagrams of the documentation as SVG, into docs/figures.

python docs/make_figures.py

A box that stands for code carries the name of the class or function in small type.
"""

import io
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

OUT = Path(__file__).parent / "figures"
UNIT = 0.085  # inches of the figure for a unit of a drawing's grid
FILLS = {"data": "#e3eef7", "code": "#d9efe8", "loss": "#fbe3d6", "number": "#f4f1e4"}
INK, LINE, NOTE = "#1d2b33", "#52646e", "#52646e"


@dataclass(frozen=True)
class Box:
    """A box of a drawing.

    Attributes:
        at: its centre, from the left and from the bottom.
        size: its width and height.
        text: what stands in it; "" for none.
        kind: a key of FILLS.
        code: "module:name" of what it stands for; "" for none.
    """

    at: tuple[float, float]
    size: tuple[float, float]
    text: str
    kind: str = "code"
    code: str = ""

    def edge(self, towards: "Box") -> tuple[float, float]:
        """The middle of the side that looks at another box."""
        across, up = towards.at[0] - self.at[0], towards.at[1] - self.at[1]
        half_width, half_height = self.size[0] / 2, self.size[1] / 2
        gap_across = abs(across) - half_width - towards.size[0] / 2
        gap_up = abs(up) - half_height - towards.size[1] / 2
        if gap_across >= gap_up:
            return self.at[0] + (half_width if across > 0 else -half_width), self.at[1]
        return self.at[0], self.at[1] + (half_height if up > 0 else -half_height)


@dataclass(frozen=True)
class Drawing:
    """A block diagram.

    Attributes:
        size: width and height of the grid.
        boxes: by name.
        arrows: chains of boxes, as "ground > net > loss; tile > net".
        texts: what else is written, and where its middle is.
    """

    size: tuple[float, float]
    boxes: dict[str, Box]
    arrows: str
    texts: list[tuple[float, float, str]] = field(default_factory=list)

    @property
    def links(self) -> list[tuple[str, str]]:
        """From which box to which an arrow leads."""
        chains = [[name.strip() for name in chain.split(">")] for chain in self.arrows.split(";")]
        return [pair for chain in chains for pair in pairwise(chain)]


_NET = "cvgl_bench.models"
_TRAIN = "cvgl_bench.training"
DRAWINGS = {
    "way": Drawing(
        (108, 27),
        {
            "data": Box((9, 19), (15, 9), "data set:\npanoramas, tiles", "data"),
            "suite": Box((9, 6), (15, 8), "suite (TOML)", "number"),
            "set": Box((32, 19), (18, 9), "corrupted set,\nmanifest", "data"),
            "model": Box((32, 6), (18, 8), "model:\ntwo encoders", "code"),
            "embed": Box((56, 19), (16, 9), "embeddings", "data"),
            "record": Box((79, 19), (17, 9), "record, ranks", "data"),
            "compare": Box((79, 6), (17, 8), "compare, report", "number"),
            "board": Box((100, 19), (13, 9), "leader-\nboards", "number"),
            "submit": Box((100, 6), (13, 8), "submission", "number"),
        },
        "data > set > embed > record > compare; suite > set; model > embed; "
        "record > board; record > submit",
        [
            (20, 25.2, "generate"),
            (44, 25.2, "evaluate"),
            (67, 25.2, "score"),
            (90, 25.2, "publish"),
        ],
    ),
    "sample4geo": Drawing(
        (100, 27),
        {
            "ground": Box((10, 21), (16, 8), "panorama\n140 x 768", "data"),
            "aerial": Box((10, 6), (16, 8), "tile\n384 x 384", "data"),
            "net": Box(
                (39, 13.5),
                (22, 11),
                "ConvNeXt-B,\nshared",
                "code",
                f"{_NET}.sample4geo:SharedEncoder",
            ),
            "g": Box((65, 21), (14, 8), "g: (B, D)", "number"),
            "a": Box((65, 6), (14, 8), "a: (B, D)", "number"),
            "loss": Box(
                (88, 13.5), (20, 11), "InfoNCE,\nsymmetric", "loss", f"{_TRAIN}.losses:info_nce"
            ),
        },
        "ground > net > g > loss; aerial > net > a > loss",
    ),
    "mrgeo": Drawing(
        (112, 27),
        {
            "ground": Box((8, 21), (14, 8), "panorama", "data"),
            "aerial": Box((8, 6), (14, 8), "tile", "data"),
            "net": Box(
                (28, 13.5), (16, 11), "ConvNeXt-B,\nshared", "code", f"{_NET}.mrgeo:MRGeoNet"
            ),
            "sarm": Box(
                (51, 13.5),
                (20, 11),
                "SARM: places,\nall and near",
                "code",
                f"{_NET}.enhancement:SpatialAttention",
            ),
            "ccm": Box(
                (75, 13.5),
                (19, 11),
                "CCM:\nchannels",
                "code",
                f"{_NET}.enhancement:ChannelCalibration",
            ),
            "rgam": Box(
                (99, 13.5),
                (20, 11),
                "RGAM:\n4 regions",
                "code",
                f"{_NET}.mrgeo:RegionAggregation",
            ),
        },
        "ground > net > sarm > ccm > rgam; aerial > net",
        [(99, 4, "SW | NW | NE | SE, (B, 4 C)")],
    ),
    "singeo": Drawing(
        (104, 42),
        {
            "ground": Box((10, 37), (17, 7), "panorama", "data"),
            "ground2": Box((10, 27), (17, 7), "turned and\nnarrowed", "data"),
            "aerial2": Box((10, 15), (17, 7), "turned by\nquarters", "data"),
            "aerial": Box((10, 5), (17, 7), "tile", "data"),
            "net": Box(
                (41, 21),
                (20, 12),
                "ConvNeXt-B,\nshared",
                "code",
                f"{_NET}.sample4geo:SharedEncoder",
            ),
            "g": Box((65, 37), (8, 7), "g", "number"),
            "g2": Box((65, 27), (8, 7), "g'", "number"),
            "a2": Box((65, 15), (8, 7), "a'", "number"),
            "a": Box((65, 5), (8, 7), "a", "number"),
            "loss": Box(
                (91, 21),
                (23, 14),
                "six InfoNCE:\nacross views 1, 1/4\nwithin views 1/2",
                "loss",
                f"{_TRAIN}.losses:dual_discriminative",
            ),
            "plan": Box(
                (41, 36.5),
                (22, 10),
                "curriculum:\n360 to 70 degrees",
                "number",
                f"{_TRAIN}.curriculum:Curriculum",
            ),
        },
        "ground > net > g > loss; ground2 > net > g2 > loss; aerial2 > net > a2 > loss; "
        "aerial > net > a > loss; plan > ground2",
    ),
    "lrfr": Drawing(
        (112, 27),
        {
            "ground": Box((8, 21), (14, 8), "panorama", "data"),
            "aerial": Box((8, 6), (14, 8), "tile", "data"),
            "net": Box(
                (29, 13.5), (17, 11), "ConvNeXt-T,\nto stride 16", "code", f"{_NET}.lrfr:LRFRNet"
            ),
            "gsra": Box(
                (53, 13.5), (21, 11), "GSRA: directions,\nrelations", "code", f"{_NET}.lrfr:GSRA"
            ),
            "salad": Box((77, 13.5), (17, 11), "SALAD:\nclusters", "code", f"{_NET}.salad:Salad"),
            "loss": Box(
                (100, 13.5),
                (19, 11),
                "semi-hard\ntriplets",
                "loss",
                f"{_TRAIN}.losses:semi_hard_triplet",
            ),
        },
        "ground > net > gsra > salad > loss; aerial > net",
    ),
}


def svg(drawing: Drawing) -> bytes:
    """Draw a diagram; the same bytes from the same matplotlib."""
    width, height = drawing.size
    with mpl.rc_context(
        {"svg.fonttype": "none", "svg.hashsalt": "figures", "font.family": "sans-serif"}
    ):
        figure = Figure(figsize=(width * UNIT, height * UNIT))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, width), ylim=(0, height))
        axes.axis("off")
        for box in drawing.boxes.values():
            _draw_box(axes, box)
        for start, end in drawing.links:
            first, last = drawing.boxes[start], drawing.boxes[end]
            here, there = first.edge(last), last.edge(first)
            arrow = {"arrowstyle": "-|>", "color": LINE, "lw": 1.1, "shrinkA": 1, "shrinkB": 1}
            axes.annotate("", there, here, arrowprops=arrow)
        for across, up, text in drawing.texts:
            axes.text(across, up, text, color=NOTE, fontsize=10, ha="center", va="center")
        file = io.BytesIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    return file.getvalue()


def _draw_box(axes: mpl.axes.Axes, box: Box) -> None:
    (across, up), (width, height) = box.at, box.size
    axes.add_patch(
        FancyBboxPatch(
            (across - width / 2, up - height / 2),
            width,
            height,
            boxstyle="round,pad=0,rounding_size=1",
            facecolor=FILLS[box.kind],
            edgecolor=LINE,
            linewidth=0.9,
        )
    )
    name = box.code.partition(":")[2]
    lift = 1.3 if name else 0
    axes.text(across, up + lift, box.text, color=INK, fontsize=10.5, ha="center", va="center")
    if name:
        low = up - height / 2 + 1.6
        axes.text(
            across,
            low,
            name,
            color=NOTE,
            fontsize=8,
            ha="center",
            va="center",
            family="monospace",
        )


def main() -> None:
    """Write every diagram."""
    OUT.mkdir(exist_ok=True)
    for name, drawing in DRAWINGS.items():
        path = OUT / f"{name}.svg"
        path.write_bytes(svg(drawing))
        print(f"{path}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
