"""The cells of a plot as a HoloViews element: points while they are few, else the picture that the page draws, too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import holoviews as hv
import numpy as np
import pandas as pd

from cellasso.color.coloring import MISSING_CODE, Categories, Values
from cellasso.core.errors import ElementError
from cellasso.pl.options import styled
from cellasso.pl.styling import load_backends
from cellasso.points.point_index import Viewport
from cellasso.raster.cells import ColoredCells
from cellasso.raster.draw import Picture, draw
from cellasso.raster.style import Canvas, Style

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cellasso.pl.cell_colors import CellColors
    from cellasso.pl.plane import Plane

N_POINTS = 50_000
"""Up to so many cells a plot has points, of which the browser is told each; more become a picture."""

MOST_POINTS = 500_000
"""More cells are never points, whatever is asked for: 10 MB a page, and seconds at each zoom."""

SHARP = 2
"""Pixels of a picture for one of the screen: sharp on fine screens and in print."""

SCREEN = 96 / 72
"""Pixels of the screen in a point, as browsers have it."""

FRAME_POINTS = 0.5
"""Points of print that a pixel of a frame becomes with matplotlib, about."""

LIVE_SHARP = 1.5
"""The same of a picture that is drawn anew at each zoom, of which each goes to the browser."""

SCANPY_AREA = 120_000
"""Scanpy's area of all dots together, in square points; `size` is that of one."""

SHRUNK = 0.75
"""Scanpy's frame is a third wider and higher than these: its usual dots would hide each other here."""

MOST_DIAMETER = 9.0
"""Points, of a dot whose size is not chosen: of a hundred cells scanpy's would be as large as groups of cells."""


@dataclass(frozen=True)
class Drawing:
    """How cells are drawn.

    Attributes
    ----------
    size
        Area of a dot as scanpy takes it, in square points; `None` goes by how many cells there are.
    diameter
        Of a dot in units of the plane, in place of `size`, as the spots of a tissue have it.
    sort_order
        Whether the highest values lie on top.
    show_missing
        Whether the cells without a value are drawn.
    rasterize
        Whether the cells become a picture; `None`: where they are more than `N_POINTS`.
    interactive
        Whether that picture is drawn anew for what is in view.
    """

    size: float | None = None
    diameter: float | None = None
    sort_order: bool = True
    show_missing: bool = True
    rasterize: bool | None = None
    interactive: bool = False


def cell_element(plane: Plane, colors: CellColors, drawing: Drawing, options: dict[str, Any]) -> Any:
    """Return the cells as `hv.Points`, as an `hv.RGB`, or as a dynamic map of that.

    Parameters
    ----------
    plane, colors
        Where the cells are, and what colours them.
    drawing
        How they are drawn.
    options
        Of the plot, as `styled` takes them.

    Raises
    ------
    ElementError
        Too many cells were to be points.
    """
    n = len(plane.points)
    if drawing.interactive or (n > N_POINTS if drawing.rasterize is None else drawing.rasterize):
        return _picture(plane, colors, drawing, options)
    if n > MOST_POINTS:
        raise ElementError(f"{n:,} cells are too many to be points, at most {MOST_POINTS:,}; leave rasterize out.")
    return _points(plane, colors, drawing, options)


def point_diameter(size: float | None, n: int) -> float:
    """Return the diameter of a dot in points, 1/72 inch, whose area scanpy would call `size`.

    Parameters
    ----------
    size
        As of `Drawing`.
    n
        How many cells there are.
    """
    area = SCANPY_AREA / max(n, 1) if size is None else size
    diameter = float(np.sqrt(area)) / 2  # scanpy's marker "." is half as wide as its area says
    return min(diameter * SHRUNK, MOST_DIAMETER) if size is None else diameter


# -- points -----------------------------------------------------------------------------------------------


def _points(plane: Plane, colors: CellColors, drawing: Drawing, options: dict[str, Any]) -> Any:
    frame, color = point_frame(plane, colors, drawing)
    x, y, *others = frame.columns
    tooltips = [(name, f"@{{{hv.core.util.dimension_sanitizer(name)}}}") for name in (x, y, *others) if name != "color"]
    element = hv.Points(frame, [x, y], others)
    if drawing.diameter is None:
        diameter = point_diameter(drawing.size, len(frame))
        dots = {"size": diameter * SCREEN}
    else:
        dots = {"radius": drawing.diameter / 2}
        diameter = drawing.diameter * plane.width / (plane.viewport.x_high - plane.viewport.x_low) * FRAME_POINTS
    return styled(
        element,
        {**options["common"], **color, "show_legend": False},
        bokeh={**options["bokeh"], **dots, "tools": ["hover"], "hover_tooltips": tooltips, "line_color": None},
        matplotlib={**options["matplotlib"], "s": diameter**2, "linewidth": 0},
    )


def point_frame(plane: Plane, colors: CellColors, drawing: Drawing) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the points in the order in which they are drawn, and the options that colour them.

    Parameters
    ----------
    plane, colors, drawing
        As of `cell_element`.

    Returns
    -------
    x, y, and the value or category of each; of categories also the column `color`.
    """
    points, coloring = plane.points, colors.coloring
    along = np.argsort(points.order)  # as in the file: so cells of all groups lie on top of each other
    rows, xy = points.order[along], points.points[along]
    x, y = plane.labels if plane.labels[0] != plane.labels[1] else (plane.labels[0], f"{plane.labels[1]} ")
    if coloring is None:
        return pd.DataFrame({x: xy[:, 0], y: xy[:, 1]}), {"color": colors.missing}
    name = colors.name
    while name in {x, y, "color"}:
        name += " "
    if isinstance(coloring, Values):
        values = coloring.values[rows]
        order = _value_order(values) if drawing.sort_order else np.arange(len(rows))
        if not drawing.show_missing:
            order = order[~np.isnan(values[order])]
        frame = pd.DataFrame({x: xy[order, 0], y: xy[order, 1], name: values[order]})
        limits = {"clim": (coloring.low, coloring.high), "clipping_colors": {"NaN": colors.missing}}
        return frame, {"color": name, "cmap": list(colors.table[:MISSING_CODE]), **limits}
    codes = coloring.codes[rows].astype(np.uint8)  # -1 becomes the last code
    order = np.argsort(codes != MISSING_CODE, kind="stable")  # those without a category lie below
    if not drawing.show_missing:
        order = order[codes[order] != MISSING_CODE]
    labels = np.array([*coloring.labels, *[colors.missing_label] * (256 - len(coloring.labels))], dtype=object)
    table = np.array(colors.table, dtype=object)
    shown = {x: xy[order, 0], y: xy[order, 1], name: labels[codes[order]], "color": table[codes[order]]}
    return pd.DataFrame(shown), {"color": "color"}


def _value_order(values: NDArray[np.float32]) -> NDArray[np.intp]:
    """Return scanpy's order: missing ones first, then the lowest."""
    return np.argsort(-values, kind="stable")[::-1]


# -- a picture --------------------------------------------------------------------------------------------


def _picture(plane: Plane, colors: CellColors, drawing: Drawing, options: dict[str, Any]) -> Any:
    painter = _Painter(ColoredCells(plane.points, colors.coloring), plane, colors, drawing)
    if not drawing.interactive:
        return painter.paint(plane.viewport, SHARP, options)
    own = {**options, "bokeh": {**options["bokeh"], "apply_ranges": False}}
    load_backends()  # a stream needs one

    def redraw(x_range: tuple[float, float] | None, y_range: tuple[float, float] | None) -> Any:
        return painter.paint(_in_view(plane.viewport, x_range, y_range), LIVE_SHARP, own)

    seen = plane.viewport
    view = hv.streams.RangeXY(x_range=(seen.x_low, seen.x_high), y_range=(seen.y_low, seen.y_high))
    return hv.DynamicMap(redraw, streams=[view])


@dataclass(frozen=True)
class _Painter:
    """What is the same for all pictures of a plot."""

    cells: ColoredCells
    plane: Plane
    colors: CellColors
    drawing: Drawing

    def paint(self, viewport: Viewport, sharp: float, options: dict[str, Any]) -> Any:
        """Return the picture of a part of the plane, `hv.RGB`, with so many pixels for one of the screen."""
        canvas = Canvas(round(self.plane.width * sharp), round(self.plane.height * sharp), sharp)
        picture = draw(self.cells, viewport, canvas, self._style(viewport), dots=False)
        if not isinstance(picture, Picture):
            raise TypeError("dots were drawn where a picture was asked for")
        rgba = picture.rgba(list(self.colors.table))[::-1]  # HoloViews begins with the upper row
        bounds = (viewport.x_low, viewport.y_low, viewport.x_high, viewport.y_high)
        element = hv.RGB(rgba, kdims=list(self.plane.labels), bounds=bounds)
        return styled(element, options["common"], bokeh=options["bokeh"], matplotlib=options["matplotlib"])

    def _style(self, viewport: Viewport) -> Style:
        drawing, coloring = self.drawing, self.colors.coloring
        size = None if drawing.size is None else point_diameter(drawing.size, 0) * SCREEN
        if drawing.diameter is not None:
            size = max(drawing.diameter * self.plane.width / (viewport.x_high - viewport.x_low), 1.0)
        hidden = frozenset() if drawing.show_missing or coloring is None else frozenset({MISSING_CODE})
        is_sorted = drawing.sort_order and isinstance(coloring, Values)
        return Style(size=size, order="high" if is_sorted else "random", hidden=hidden)


def _in_view(whole: Viewport, x_range: tuple[float, float] | None, y_range: tuple[float, float] | None) -> Viewport:
    """Return what is in view; an axis of which nothing is known, or that points down, is put right."""
    x = sorted(x_range or (whole.x_low, whole.x_high))
    y = sorted(y_range or (whole.y_low, whole.y_high))
    found = Viewport(float(x[0]), float(x[1]), float(y[0]), float(y[1]))
    is_shown = np.isfinite(found).all() and found.x_high > found.x_low and found.y_high > found.y_low
    return found if is_shown else whole


def is_categorical(colors: CellColors) -> bool:
    """Whether a legend explains the colours, not a colour bar."""
    return isinstance(colors.coloring, Categories)
