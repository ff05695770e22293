"""Lines between cells, by datashader: the edges of a graph, and the connections between groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import datashader as ds
import numpy as np
import pandas as pd

from cellasso.points.point_index import Viewport

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cellasso.model.graph import Edges

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
    # one type alone: datashader compiles its loop for each
    x0, y0 = starts.T.astype(np.float32)
    x1, y1 = stops.T.astype(np.float32)
    columns = {"x0": x0, "x1": x1, "y0": y0, "y1": y1}
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


FAINT, STRONG = 0.15, 0.7
"""Opacity of a pixel with one line, and with so many as nine of ten pixels with lines do not exceed."""

THICKEST = 8.0
"""Width of the thickest line, in pixels of the screen."""

FINER = 2
"""Pixels to each side of one of the picture, in which thick lines are drawn so that their edges are smooth."""


def opacity_of(counts: NDArray[np.uint32]) -> NDArray[np.uint8]:
    """Return the opacity of each pixel by its number of lines, on a logarithmic scale; `(height, width)`, 0 to 255."""
    drawn = counts > 0
    if not drawn.any():
        return np.zeros(counts.shape, dtype=np.uint8)
    crowd = max(2.0, float(np.percentile(counts[drawn], 90)))
    share = np.log(np.clip(counts, 1, crowd)) / np.log(crowd)
    opacity: NDArray[np.uint8] = np.where(drawn, np.rint(255 * (FAINT + (STRONG - FAINT) * share)), 0).astype(np.uint8)
    return opacity


def draw_thick_lines(
    starts: NDArray[np.floating],
    stops: NDArray[np.floating],
    weights: NDArray[np.floating],
    viewport: Viewport,
    shape: tuple[int, int],
    *,
    pixel_ratio: float = 1.0,
) -> NDArray[np.uint8]:
    """Draw a few straight lines, thicker where their weight is larger; return their opacity, `(height, width)`.

    Parameters
    ----------
    starts, stops
        Both ends of each line, `(n, 2)`; lines with an end that is not finite are left out.
    weights
        Of each line, `(n,)`, above 0: the largest gives the thickest.
    viewport, shape
        As of `draw_edges`.
    pixel_ratio
        How many pixels of the picture make one of the screen.
    """
    whole = np.isfinite(starts[:, 0] + starts[:, 1] + stops[:, 0] + stops[:, 1])
    starts, stops, weights = starts[whole], stops[whole], weights[whole]
    if not len(weights):
        return np.zeros(shape, dtype=np.uint8)
    height, width = (FINER * side for side in shape)
    low = np.array([viewport.x_low, viewport.y_low])
    scale = np.array([width, height]) / (np.array([viewport.x_high, viewport.y_high]) - low)
    first, last = (starts - low) * scale, (stops - low) * scale
    along = last - first
    lengths = np.hypot(along[:, 0], along[:, 1])
    across = np.stack([-along[:, 1], along[:, 0]], axis=1) / np.where(lengths > 0, lengths, 1)[:, None]
    # datashader's own thick lines take 13 s to compile in each process: of thin ones side by side they are the same
    halves = np.maximum(0.5, THICKEST * weights / weights.max() / 2) * pixel_ratio * FINER
    counts = np.maximum(1, np.ceil(6 * halves)).astype(int)
    line = np.repeat(np.arange(len(weights)), counts)
    place = (np.arange(len(line)) - np.repeat(np.cumsum(counts) - counts, counts) + 0.5) / counts[line]  # 0 to 1
    shift = across[line] * (halves[line] * (2 * place - 1))[:, None]
    inside = Viewport(0.0, float(width), 0.0, float(height))
    drawn = count_lines(first[line] + shift, last[line] + shift, inside, (height, width)) > 0
    covered = drawn.reshape(shape[0], FINER, shape[1], FINER).mean(axis=(1, 3))
    opacity: NDArray[np.uint8] = np.rint(covered * 255 * STRONG).astype(np.uint8)
    return opacity
