"""A picture in the making: the cells of each pixel become one word, strip by strip of its rows."""

from __future__ import annotations

import os
from concurrent.futures import Future, wait
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import numpy as np

from cellasso.color.palettes import color_table, rgb
from cellasso.core.executors import quick_threads
from cellasso.raster import aggregate
from cellasso.raster.scratch import scratch

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from cellasso.points.point_index import PointIndex, Viewport
    from cellasso.raster.cells import ColoredCells
    from cellasso.raster.style import Canvas, Style

SPLIT = 1 << 18
"""Points or pixels from which on several cores draw."""


Result = TypeVar("Result")

Reduced: TypeAlias = "tuple[int, NDArray[np.uint8] | None]"
KernelArgs: TypeAlias = "tuple[NDArray[np.uint8], NDArray[np.int64], tuple[float, float, float, float], int, int]"

NONE = np.zeros(0, dtype=np.uint8)


@dataclass(frozen=True)
class Drawing:
    """A picture in the making: what is drawn, in which strips of rows."""

    cells: ColoredCells
    viewport: Viewport
    canvas: Canvas
    style: Style
    states: NDArray[np.uint8]
    strips: list[slice]

    def kernel_args(self, rows: slice) -> KernelArgs:
        """Return what the loops over points need to know of a strip: states, spans, viewport, height, its first row."""
        spans = self.cells.plane.spans(_around(self.viewport, self.canvas, rows))
        return self.states, spans, plain_numbers(self.viewport), self.canvas.height, rows.start


def reduce_cells(drawing: Drawing, words: NDArray[np.int64]) -> Reduced:
    """Write the word of each pixel, in the order that the style asks for.

    Parameters
    ----------
    drawing
        What is drawn.
    words
        `(height, width)`, overwritten; see `raster.aggregate`.

    Returns
    -------
    How many cells were drawn, and where colours are mixed that of each pixel, `(height, width, 3)`.
    """
    match drawing.cells.order(drawing.style.order):
        case "mixed":
            return _mix(drawing, words)
        case "mean":
            return _average(drawing, words), None
        case _:
            return _top(drawing, words), None


def _top(drawing: Drawing, words: NDArray[np.int64]) -> int:
    """Write the topmost word of each pixel; return how many cells were drawn."""
    cells, ranks = drawing.cells, drawing.cells.ranks(drawing.style)

    def raise_strip(rows: slice) -> int:
        words[rows] = 0  # by the core that draws there, so that it is in its cache
        return aggregate.raise_top(cells.plane.xy, cells.codes, ranks, *drawing.kernel_args(rows), words[rows])

    return sum(run_strips(raise_strip, drawing.strips))


def _mix(drawing: Drawing, words: NDArray[np.int64]) -> tuple[int, NDArray[np.uint8]]:
    """Write the word of each pixel; return how many cells were drawn, and the mean colour of each pixel."""
    cells, style = drawing.cells, drawing.style
    colors = rgb(color_table(cells.coloring, cells.scale, dark=drawing.canvas.dark, chosen=style.chosen))
    ranks, mixture = cells.ranks(style), np.empty((*words.shape, 3), dtype=np.uint8)
    with scratch.lend(*words.shape, 2) as sums:

        def mix_strip(rows: slice) -> int:
            sums[rows] = 0
            args = drawing.kernel_args(rows)
            n = aggregate.add_mixture(cells.plane.xy, cells.codes, colors, ranks, *args, sums[rows])
            aggregate.divide_mixture(sums[rows], rows.start, words[rows], mixture[rows])
            return n

        return sum(run_strips(mix_strip, drawing.strips)), mixture


def _average(drawing: Drawing, words: NDArray[np.int64]) -> int:
    """Write the word of each pixel with the colour of the mean of its values; return how many cells were drawn."""
    cells, values = drawing.cells, drawing.cells.values

    def average_strip(rows: slice) -> int:
        strip = words[rows]
        strip[:] = 0
        sums, known = np.zeros(strip.shape), np.zeros(strip.shape, dtype=np.int64)
        n = aggregate.add_values(cells.plane.xy, values, *drawing.kernel_args(rows), sums, known, strip)
        means = np.full(strip.shape, np.nan, dtype=np.float32)
        np.divide(sums, known, out=means, where=known > 0, casting="same_kind")
        codes = np.empty(means.shape, dtype=np.uint8)
        cells.write_steps(means.reshape(-1), codes.reshape(-1))
        aggregate.put_colors(codes, strip)
        return n

    return sum(run_strips(average_strip, drawing.strips))


def cut_strips(plane: PointIndex, viewport: Viewport, canvas: Canvas) -> list[slice]:
    """Cut the rows of a picture into strips with as many points each, for as many cores as the work is worth.

    A pixel is drawn by one core alone: so what is added up is the same however many there are.

    Parameters
    ----------
    plane
        The cells.
    viewport
        What is in view.
    canvas
        Size of the picture.
    """
    spans = plane.spans(viewport)
    n_points = int((spans[:, 1] - spans[:, 0]).sum())
    n_strips = min(max(1, max(n_points, canvas.width * canvas.height) // SPLIT), _n_cores())
    if n_strips == 1 or not n_points:
        return [slice(0, canvas.height)]
    y = plane.boxes_of(spans)[:, 2:].mean(axis=1)
    at = len(y) * np.arange(1, n_strips) // n_strips
    share = (np.partition(y, at)[at] - viewport.y_low) / (viewport.y_high - viewport.y_low)
    cuts = (np.clip(share, 0, 1) * canvas.height).astype(int)
    edges = sorted({0, canvas.height, *map(int, cuts)})
    return [slice(*ends) for ends in pairwise(edges)]


def _around(viewport: Viewport, canvas: Canvas, rows: slice) -> Viewport:
    """Return the part of a viewport with the points of some rows, and a row more on each side, for any rounding."""
    height = viewport.y_high - viewport.y_low
    y_low = viewport.y_low + height * (rows.start - 1) / canvas.height
    y_high = viewport.y_low + height * (rows.stop + 1) / canvas.height
    y_low = max(viewport.y_low, y_low)
    y_high = viewport.y_high if rows.stop == canvas.height else min(viewport.y_high, y_high)
    return viewport._replace(y_low=y_low, y_high=y_high)


def run_strips(job: Callable[[slice], Result], strips: list[slice]) -> list[Result]:
    """Run a job on all strips, each on a core of its own; on this one the first, and those that no other has begun.

    Parameters
    ----------
    job
        Called with the rows of a strip.
    strips
        Of `cut_strips`.
    """
    first, *others = strips
    running: list[Future[Result]] = []
    try:
        running += (quick_threads().submit(job, rows) for rows in others)
        done = [job(first)]
        done += [job(rows) if each.cancel() else each.result() for rows, each in zip(others, running, strict=True)]
    finally:
        wait([each for each in running if not each.cancel()])  # the memory that they draw in is then lent to others
    return done


def _n_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def plain_numbers(viewport: Viewport) -> tuple[float, float, float, float]:
    """As one type, whatever numbers a viewport was made of: each further type would be compiled anew."""
    x_low, x_high, y_low, y_high = map(float, viewport)
    return x_low, x_high, y_low, y_high
