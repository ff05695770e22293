"""Lines between cells, by datashader: the edges of a graph, and the connections between groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import datashader as ds
import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cellasso.model.graph import Edges
    from cellasso.points.point_index import Viewport

MAX_DRAWN = 1_000_000
"""Edges that are drawn at most; more of them take seconds and show no more."""


@dataclass(frozen=True)
class Lines:
    """Lines in a view.

    Attributes
    ----------
    counts
        How many lines run through each pixel, `(height, width)` uint32, the first row at the bottom.
    n_in_view
        Edges of which at least one cell is in view, of those that were read.
    n_drawn
        How many of them are drawn.
    """

    counts: NDArray[np.uint32]
    n_in_view: int
    n_drawn: int


def draw_edges(
    edges: Edges,
    xy: NDArray[np.float32],
    viewport: Viewport,
    shape: tuple[int, int],
    *,
    max_drawn: int = MAX_DRAWN,
) -> Lines:
    """Draw the edges of the cells in a viewport.

    Parameters
    ----------
    edges
        Of the graph.
    xy
        Coordinates of all cells, `(n_obs, 2)`; edges to a cell whose coordinates are not finite are not drawn.
    viewport
        What is in view.
    shape
        Height and width of the picture in pixels.
    max_drawn
        Of more edges in view, every so many-th is drawn.
    """
    seen = _inside(xy, viewport)
    at = np.flatnonzero(seen[edges.cells[0]] | seen[edges.cells[1]])
    placed = np.isfinite(xy[:, 0]) & np.isfinite(xy[:, 1])
    if not placed.all():
        at = at[placed[edges.cells[0, at]] & placed[edges.cells[1, at]]]
    drawn = at[:: max(1, -(-len(at) // max_drawn))]
    ends = xy[edges.cells[:, drawn]]
    return Lines(count_lines(ends[0], ends[1], viewport, shape), len(at), len(drawn))


def count_lines(
    starts: NDArray[np.floating], stops: NDArray[np.floating], viewport: Viewport, shape: tuple[int, int]
) -> NDArray[np.uint32]:
    """Return how many straight lines run through each pixel, `(height, width)`, as `Canvas.line` counts them.

    Parameters
    ----------
    starts, stops
        Both ends of each line, `(n, 2)`, finite: over others datashader writes past its memory.
    viewport, shape
        As of `draw_edges`.
    """
    if not len(starts):
        return np.zeros(shape, dtype=np.uint32)
    columns = {"x0": starts[:, 0], "x1": stops[:, 0], "y0": starts[:, 1], "y1": stops[:, 1]}
    canvas = ds.Canvas(shape[1], shape[0], (viewport.x_low, viewport.x_high), (viewport.y_low, viewport.y_high))
    found = canvas.line(pd.DataFrame(columns), x=["x0", "x1"], y=["y0", "y1"], axis=1, agg=ds.count())
    counts: NDArray[np.uint32] = found.to_numpy()
    return counts


def _inside(xy: NDArray[np.float32], viewport: Viewport) -> NDArray[np.bool_]:
    x, y = xy[:, 0], xy[:, 1]
    inside: NDArray[np.bool_] = (
        (x >= viewport.x_low) & (x <= viewport.x_high) & (y >= viewport.y_low) & (y <= viewport.y_high)
    )
    return inside
