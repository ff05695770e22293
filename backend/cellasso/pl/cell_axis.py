"""The axis of cells of a plot: a strip with the colours of the groups, their names, and lines between them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import holoviews as hv
import numpy as np

from cellasso.pl.styling import FONT_PIXELS, styled

if TYPE_CHECKING:
    from cellasso.pl.cell_runs import CellRuns
    from cellasso.pl.plot_area import PlotArea

STRIP_PIXELS = 10
SPACE_PIXELS = 3


def add_strip(area: PlotArea, runs: CellRuns, *, on_left: bool) -> list[tuple[float, str]]:
    """Add the strip of the groups, and return where their names stand along the axis.

    Names that would lie over those of larger groups are left out; the pointer tells them.

    Parameters
    ----------
    area
        Whose width, or with `on_left` height, is the number of runs.
    runs
        Its cells.
    on_left
        Whether cells are rows, from the top; else columns.
    """
    starts, ends = runs.starts.astype(float), runs.ends.astype(float)
    codes = np.arange(len(ends))
    if on_left:
        edge = area.left + SPACE_PIXELS
        x0, x1 = -area.across(edge + STRIP_PIXELS), -area.across(edge)
        corners = (np.full(len(ends), x0), area.height - ends, np.full(len(ends), x1), area.height - starts)
        area.left = edge + STRIP_PIXELS
    else:
        edge = area.bottom + SPACE_PIXELS
        y0, y1 = -area.up(edge + STRIP_PIXELS), -area.up(edge)
        corners = (starts, np.full(len(ends), y0), ends, np.full(len(ends), y1))
        area.bottom = edge + STRIP_PIXELS
    names = np.array(runs.groups.labels, dtype=object)
    strip = hv.Rectangles(
        (*corners, codes, names, runs.groups.n_cells), vdims=["code", "group", "cells"], group="Strip"
    )
    area.add(
        styled(
            strip,
            color="code",
            cmap=list(runs.groups.colors),
            clim=(-0.5, len(codes) - 0.5),
            bokeh={"line_alpha": 0, "tools": ["hover"], "hover_tooltips": [("", "@group"), ("cells", "@cells{0,0}")]},
            matplotlib={"linewidth": 0},
        )
    )
    middles = (starts + ends) / 2
    places = area.height - middles if on_left else middles
    gap = (area.up if on_left else area.across)(FONT_PIXELS + 1.0)
    shown: list[int] = []
    for at in np.argsort(-runs.groups.n_cells, kind="stable"):
        if all(abs(places[at] - places[other]) >= gap for other in shown):
            shown.append(int(at))
    return [(float(places[at]), runs.groups.labels[at]) for at in sorted(shown)]


def add_lines(area: PlotArea, runs: CellRuns, *, rows: bool, width: float = 1.0, color: str = "black") -> None:
    """Add a line between the cells of one group and those of the next.

    Parameters
    ----------
    area, runs
        As of `add_strip`.
    rows
        Whether cells are rows.
    width, color
        Of the lines.
    """
    between = runs.ends[:-1].astype(float)
    if rows:
        lines = [np.array([(0, area.height - at), (area.width, area.height - at)]) for at in between]
    else:
        lines = [np.array([(at, 0), (at, area.height)]) for at in between]
    if lines:
        area.add_lines(lines, "Borders", line_width=width, color=color)
