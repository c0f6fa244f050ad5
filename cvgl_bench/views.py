"""Heading and field-of-view crops of 360-degree panoramas: pure geometry, wrapping at the seam.

A panorama spans 360 degrees over its width, north in the centre column, east to the right of it.
A view is what a camera sees that looks towards `heading_degrees` (clockwise from north) with a
horizontal field of `fov_degrees`: its centre column looks along the heading.

    full        the panorama as it is
    fov90       90 degrees wide, looking in each query's own drawn direction
    fov360      all 360 degrees, turned to each query's own drawn direction
    heading90   the panorama turned a quarter: east in the centre column
    fov70-heading45    both given
"""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cvgl_bench.errors import SuiteError
from cvgl_bench.seeding import generator, identity_seed

Image = NDArray[np.uint8]

_DEGREES = r"(\d{1,3}(?:\.\d{1,3})?)"
_NAME = re.compile(rf"fov{_DEGREES}(?:-heading(-?){_DEGREES})?|heading(-?){_DEGREES}", re.ASCII)


@dataclass(frozen=True)
class View:
    """What part of the panorama a query shows.

    Attributes:
        name: the word for it in commands, paths and tables; the canonical spelling.
        fov_degrees: horizontal field of view, in (0, 360].
        heading_degrees: where the camera looks, clockwise from north, in [0, 360); None if each
            query has its own drawn heading.
    """

    name: str
    fov_degrees: float
    heading_degrees: float | None


FULL = View("full", 360.0, 0.0)


def parse_view(name: str) -> View:
    """Read a view's name.

    Args:
        name: "full", "fov<degrees>", "heading<degrees>" or "fov<degrees>-heading<degrees>".

    Raises:
        SuiteError: the name is none of these, or a number is out of range.
    """
    if name == "full":
        return FULL
    match = _NAME.fullmatch(name)
    if not match:
        raise SuiteError(
            f"unknown view '{name}'. Use full, fov90 (any degrees in (0, 360]), heading90 "
            "(degrees clockwise from north), at most three decimals, or both as in "
            "fov70-heading45."
        )
    fov_text, *signs_and_headings = match.groups(default="")
    fov = float(fov_text or 360)
    if not 0 < fov <= 360:
        raise SuiteError(f"view '{name}': a field of view lies in (0, 360] degrees, not {fov:g}.")
    heading_text = "".join(signs_and_headings)
    if not heading_text:
        return View(f"fov{fov:g}", fov, None)
    heading = float(heading_text) % 360
    if fov == 360:
        return FULL if heading == 0 else View(f"heading{heading:g}", fov, heading)
    return View(f"fov{fov:g}-heading{heading:g}", fov, heading)


def draw_heading(suite_seed: int, dataset: str, image_id: str) -> int:
    """Draw the direction in which a query's camera looks: whole degrees, uniform in [0, 360).

    One draw a query, shared by all fields of view, so that a narrower view shows the middle of a
    wider one.
    """
    seed = identity_seed(suite_seed, dataset, image_id, "heading")
    return int(generator(seed).integers(360))


def view_width(width: int, fov_degrees: float) -> int:
    """Columns that a field of view takes of a panorama `width` pixels wide; at least one."""
    return max(1, round(width * fov_degrees / 360))


def crop(panorama: Image, *, heading_degrees: float, fov_degrees: float) -> Image:
    """Cut out what a camera sees, wrapping at the panorama's seam.

    Whole columns are moved, nothing is interpolated: the heading is met to half a column.

    Args:
        panorama: RGB, (H, W, 3), 360 degrees wide, north in the centre column.
        heading_degrees: direction of the result's centre column, clockwise from north.
        fov_degrees: width of the result, in (0, 360].

    Returns:
        (H, round(W * fov_degrees / 360), 3), a copy.

    Raises:
        ValueError: the field of view is not in (0, 360] or the heading is not finite.
    """
    columns = columns_of(panorama.shape[1], heading_degrees, fov_degrees)
    view: Image = np.take(panorama, columns, axis=1)
    return view


def columns_of(width: int, heading_degrees: float, fov_degrees: float) -> NDArray[np.int64]:
    """Which columns of a panorama `width` pixels wide a view consists of, from left to right.

    Raises:
        ValueError: the field of view is not in (0, 360] or the heading is not finite.
    """
    if not 0 < fov_degrees <= 360 or not np.isfinite(heading_degrees):
        raise ValueError(
            f"a view needs a field of view in (0, 360] and a finite heading, "
            f"not {fov_degrees:g} and {heading_degrees:g} degrees"
        )
    columns = view_width(width, fov_degrees)
    first = width // 2 + round(width * heading_degrees / 360) - columns // 2
    return np.arange(first, first + columns, dtype=np.int64) % width
