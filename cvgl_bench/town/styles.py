"""What sets one part of the world apart from another: how streets run, what houses are made of."""

from dataclasses import dataclass

from cvgl_bench.town import materials
from cvgl_bench.town.materials import Colour

Range = tuple[float, float]


@dataclass(frozen=True)
class Style:
    """How the districts of one part of the world look.

    Attributes:
        characters: how common dense, suburban and rural districts are.
        regular: share of districts on a regular grid of like plots.
        stretch: factors of the distance between streets, along and across the grid.
        bend: how strongly streets wind, 0..1.
        pitched: factor of the share of pitched roofs.
        storeys: factor of the height of buildings.
        walled: share of plots behind walls instead of hedges and fences.
        pools: share of gardens with a pool.
        species: how common broadleaf, conifer, poplar, palm and bush are.
        trees: factor of how densely trees stand.
        crosswalk: "zebra" or "ladder".
        centre_line: colour of centre lines.
        grasses: palettes, as are the rest.
    """

    characters: tuple[float, float, float]
    regular: float
    stretch: tuple[float, float]
    bend: float
    pitched: float
    storeys: float
    walled: float
    pools: float
    species: tuple[float, float, float, float, float]
    trees: float
    crosswalk: str
    centre_line: Colour
    grasses: list[Colour]
    fields: list[Colour]
    walls: list[Colour]
    tiles: list[Colour]
    pavings: list[Colour]
    leaves: list[Colour]


STYLES = {
    "temperate": Style(
        characters=(0.34, 0.42, 0.24),
        regular=0.28,
        stretch=(1.0, 1.0),
        bend=1.0,
        pitched=1.0,
        storeys=1.0,
        walled=0.08,
        pools=0.10,
        species=(0.52, 0.18, 0.08, 0.0, 0.22),
        trees=1.0,
        crosswalk="zebra",
        centre_line=materials.WHITE,
        grasses=materials.GRASSES,
        fields=materials.FIELDS,
        walls=materials.WALLS,
        tiles=materials.TILES,
        pavings=materials.PAVINGS,
        leaves=materials.LEAVES,
    ),
    "dry": Style(
        characters=(0.30, 0.48, 0.22),
        regular=0.45,
        stretch=(1.35, 0.85),
        bend=0.35,
        pitched=0.22,
        storeys=0.75,
        walled=0.7,
        pools=0.28,
        species=(0.16, 0.04, 0.08, 0.34, 0.38),
        trees=0.6,
        crosswalk="ladder",
        centre_line=materials.YELLOW,
        grasses=materials.DRY_GRASSES,
        fields=materials.DRY_FIELDS,
        walls=materials.DRY_WALLS,
        tiles=materials.DRY_TILES,
        pavings=materials.DRY_PAVINGS,
        leaves=materials.DRY_LEAVES,
    ),
}
