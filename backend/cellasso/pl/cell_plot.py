"""A plot of cells: the cells, what explains their colours, and the frame around them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import holoviews as hv

from cellasso.core.errors import ElementError
from cellasso.pl.cell_picture import cell_element, is_categorical
from cellasso.pl.legends import ON_DATA, color_bar, legend, legend_options, legend_rows, names_on_data
from cellasso.pl.options import styled, titled

if TYPE_CHECKING:
    from cellasso.pl.cell_colors import CellColors
    from cellasso.pl.cell_picture import Drawing
    from cellasso.pl.plane import Plane

INCHES = 100
"""Pixels of a frame that are an inch with matplotlib."""


@dataclass(frozen=True)
class Dress:
    """What stands around the cells.

    Attributes
    ----------
    title
        `None`: the name of what colours the cells.
    legend_loc, legend_fontsize, colorbar_loc, na_in_legend, frameon
        As of `embedding`.
    ticks
        Whether the axes have numbers.
    invert_yaxis
        Whether y points down, as in pictures.
    """

    title: str | None = None
    legend_loc: str | None = "right margin"
    legend_fontsize: float | None = None
    colorbar_loc: str | None = "right"
    na_in_legend: bool = True
    frameon: bool = True
    ticks: bool = False
    invert_yaxis: bool = False


def cell_plot(plane: Plane, colors: CellColors, drawing: Drawing, dress: Dress, below: Any = None) -> Any:
    """Return a plot of cells.

    Parameters
    ----------
    plane, colors, drawing
        As of `cell_element`.
    dress
        What stands around them.
    below
        An element under the cells, such as the picture of a tissue.

    Raises
    ------
    ElementError
        As `cell_element` and `legend_options`.
    """
    if dress.colorbar_loc not in {None, "right"}:
        raise ElementError(f"colorbar_loc is {dress.colorbar_loc!r}; 'right' or None was expected.")
    frame = frame_options(plane, dress)
    name = colors.name if dress.title is None else dress.title
    for library, title in titled(name).items():
        frame[library] |= title
    # a copy: a picture that is drawn anew has these options alone, not those of the legend
    whole = cell_element(plane, colors, drawing, {library: dict(options) for library, options in frame.items()})
    if below is not None:
        whole = below * whole
    has_names = dress.legend_loc is not None and dress.legend_loc != "none" and is_categorical(colors)
    if has_names and dress.legend_loc == ON_DATA:
        whole *= names_on_data(plane, colors, dress.legend_fontsize)
    elif has_names and dress.legend_loc is not None:
        rows = legend(plane, colors, na_in_legend=dress.na_in_legend)
        n_rows = len(legend_rows(colors, na_in_legend=dress.na_in_legend))
        options = legend_options(dress.legend_loc, n_rows, dress.legend_fontsize)
        whole = whole if rows is None else whole * rows
        for library, chosen in options.items():
            frame[library] |= chosen
        if isinstance(whole, hv.Overlay):
            frame["common"]["legend_limit"] = n_rows + 10  # beyond 25 HoloViews shows none
    bar = color_bar(plane, colors) if dress.colorbar_loc else None
    whole = whole if bar is None else whole * bar
    return styled(whole, frame["common"], bokeh=frame["bokeh"], matplotlib=frame["matplotlib"])


def frame_options(plane: Plane, dress: Dress) -> dict[str, dict[str, Any]]:
    """Return the options, by library, of the frame around the cells.

    Parameters
    ----------
    plane
        What the frame shows, and how large it is.
    dress
        Whether it has axes, ticks, and which way y points.
    """
    seen, (x, y) = plane.viewport, plane.labels
    common: dict[str, Any] = {
        "xlim": (seen.x_low, seen.x_high),
        "ylim": (seen.y_low, seen.y_high),
        "xlabel": x,
        "ylabel": y,
        "invert_yaxis": dress.invert_yaxis,
    }
    bokeh: dict[str, Any] = {"frame_width": plane.width, "frame_height": plane.height, "active_tools": ["wheel_zoom"]}
    inches = (plane.width / INCHES, plane.height / INCHES)
    matplotlib: dict[str, Any] = {"fig_inches": inches, "aspect": plane.width / plane.height}
    if not dress.frameon:
        common |= {"xaxis": None, "yaxis": None}
        matplotlib["show_frame"] = False
    elif not dress.ticks:
        bokeh["backend_opts"] = {"xaxis.ticker": [], "yaxis.ticker": []}
        matplotlib["backend_opts"] = {"axis.xticks": [], "axis.yticks": []}
    return {"common": common, "bokeh": bokeh, "matplotlib": matplotlib}
