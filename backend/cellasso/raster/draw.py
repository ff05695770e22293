"""Drawing millions of cells: into a picture of 256 colours, or as dots where few enough are in view."""

from __future__ import annotations

import os
from concurrent.futures import Future, wait
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar

import numpy as np

from cellasso.color.coloring import MISSING_CODE, Categories, Values
from cellasso.color.palettes import Scale, color_table, rgb
from cellasso.core.executors import quick_threads, run_quickly
from cellasso.points.point_index import Viewport
from cellasso.raster import aggregate
from cellasso.raster.dots import disc
from cellasso.raster.scratch import scratch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from cellasso.color.coloring import Coloring
    from cellasso.points.point_index import PointIndex

FADED = 0.15
"""Opacity of the cells that are not selected."""

LONE = 0.45
"""Opacity of a pixel with one cell, where a cell is no larger; crowds are opaque."""

DOT_FILL = 0.22
"""Radius of a dot as a part of the mean distance of the visible cells: dots touch where cells crowd."""

MAX_RADIUS, MIN_RADIUS = 4.0, 1.2  # pixels of the screen
DENSE = 400_000
"""From this many visible cells on a cell is one pixel: larger dots would hide each other."""

N_DOTS = 50_000
"""Up to so many visible cells the browser gets the cells themselves, and draws them at every zoom anew."""

DOTS_AROUND = 0.5
"""How far beyond the view on each side, as a part of it, so that it can be moved."""

SPLIT = 1 << 18
"""Points or pixels from which on several cores draw."""

OPACITIES = 4096
"""Counts of cells in a pixel that opacity tells apart."""

Order: TypeAlias = Literal["random", "legend", "rare", "mixed", "high", "low", "mean"]
"""Which cell of several in one place is seen: any but always the same, the last or the smallest category's, the one
of the highest or lowest value; or their colours mixed, or their mean."""

ORDERS: dict[type, tuple[Order, ...]] = {
    Categories: ("random", "legend", "rare", "mixed"),
    Values: ("high", "low", "random", "mean"),
}
"""Those that a colouring has, the usual one first."""

PLAIN, SELECTED, HIDDEN = 0, 1, 2
"""States of a cell."""

Result = TypeVar("Result")

KernelArgs: TypeAlias = "tuple[NDArray[np.uint8], NDArray[np.int64], tuple[float, float, float, float], int, int]"

NONE = np.zeros(0, dtype=np.uint8)


@dataclass(frozen=True)
class Canvas:
    """The picture's size in physical pixels, how many of them make one pixel of the screen, its ground."""

    width: int
    height: int
    pixel_ratio: float = 1.0
    dark: bool = False


@dataclass(frozen=True)
class Style:
    """How the user wants cells drawn.

    Attributes
    ----------
    size
        Diameter of a dot in pixels of the screen; `None` goes by how many are in view.
    order
        One of `ORDERS`; the usual one where the colouring does not have it.
    hidden
        Codes of the categories that are not drawn.
    fade
        Whether the cells that are not selected are faded.
    chosen
        Colours by label in place of a category's own; only mixed colours have to know them.
    """

    size: float | None = None
    order: Order = "random"
    hidden: frozenset[int] = frozenset()
    fade: bool = False
    chosen: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Picture:
    """Drawn cells, pixel by pixel, the first row at the bottom.

    Attributes
    ----------
    codes
        `(height, width)`: which colour.
    alpha
        `(height, width)`: opacity; 0 where there are no cells.
    mixture
        `(height, width, 3)` RGB in place of `codes` where colours are mixed.
    """

    viewport: Viewport
    codes: NDArray[np.uint8]
    alpha: NDArray[np.uint8]
    n_visible: int
    mixture: NDArray[np.uint8] | None = None

    def rgba(self, colors: list[str]) -> NDArray[np.uint8]:
        """Return it in the colours of a `color_table`, `(height, width, 4)`."""
        out = np.empty((*self.alpha.shape, 4), dtype=np.uint8)
        out[..., :3] = rgb(colors)[self.codes] if self.mixture is None else self.mixture
        out[..., 3] = self.alpha
        return out


@dataclass(frozen=True)
class Dots:
    """Cells to be drawn as dots by the browser, the topmost last.

    Attributes
    ----------
    area
        The part of the plane of which these are all cells; larger than what is in view.
    points
        `(n, 2)` float32.
    codes
        `(n,)`: which colour.
    faded
        `(n,)`: whether others are selected; `(0,)` when none are.
    radius
        In pixels of the screen.
    """

    area: Viewport
    points: NDArray[np.float32]
    codes: NDArray[np.uint8]
    faded: NDArray[np.bool_]
    radius: float
    n_visible: int


class Cells:
    """The cells of a plane with one colouring.

    Parameters
    ----------
    coloring
        What colours them; `None` draws all alike.
    """

    def __init__(self, plane: PointIndex, coloring: Coloring | None, scale: Scale = Scale()) -> None:  # noqa: B008 - frozen
        self.plane = plane
        self.coloring = coloring
        self.scale = scale
        self._selected: tuple[NDArray[np.uint8] | None, frozenset[int], bool] = (None, frozenset(), False)
        if isinstance(coloring, Categories):
            self.codes = plane.gather(coloring.codes.astype(np.uint8))  # -1, missing, becomes 255
        elif isinstance(coloring, Values):
            self.codes = self._steps(coloring)
        else:
            self.codes = np.zeros(0, dtype=np.uint8)

    def _steps(self, coloring: Values) -> NDArray[np.uint8]:
        steps = np.empty(len(coloring.values), dtype=np.uint8)
        low, high = self.scale.limits(coloring)

        def convert(start: int) -> None:
            part = slice(start, start + SPLIT)
            aggregate.to_steps(coloring.values[part], float(low), float(high), self.scale.log, steps[part])

        run_quickly(convert, range(0, len(steps), SPLIT))
        return self.plane.gather(steps)

    @cached_property
    def values(self) -> NDArray[np.float32]:
        """The values in the order of the points."""
        if not isinstance(self.coloring, Values):
            raise TypeError("only values have a mean")
        return self.plane.gather(self.coloring.values)

    def order(self, wanted: Order) -> Order:
        """Return the order that is drawn: the one chosen where the colouring has it, else its usual one."""
        offered = ORDERS.get(type(self.coloring), ("random",))
        return wanted if wanted in offered else offered[0]

    def shown(self, style: Style, states: NDArray[np.uint8] | None) -> NDArray[np.bool_] | None:
        """Return which points are drawn at all, `(n,)` in the order of the plane; `None`: all.

        Parameters
        ----------
        style
            Its `hidden` categories are not drawn.
        states
            As of `draw`; cells that are `HIDDEN` are not drawn.
        """
        shown = None if states is None else states != HIDDEN
        if style.hidden and len(self.codes):
            drawn = np.ones(256, dtype=np.bool_)
            drawn[list(style.hidden)] = False
            own = drawn[self.codes]
            shown = own if shown is None else shown & own
        return shown

    def shows_selected(self, style: Style, states: NDArray[np.uint8] | None) -> bool:
        """Whether a cell that is drawn, in view or not, is selected; of a sample, which may lack them, always.

        A pass over all cells, unless the states (the same array) and the hidden categories are those of the last call.

        Parameters
        ----------
        style
            Its `hidden` categories are not drawn.
        states
            As of `draw`; `None`: none is selected.
        """
        if states is None:
            return False
        if self.plane.step > 1:
            return True
        kept = self._selected
        if kept[0] is not states or kept[1] != style.hidden:  # not with every picture: a pass over all cells
            selected = states == SELECTED
            if style.hidden and len(self.codes):
                selected = ~np.isin(self.codes[selected], list(style.hidden))
            self._selected = kept = (states, style.hidden, bool(selected.any()))
        return kept[2]

    def ranks(self, style: Style) -> NDArray[np.int16]:
        """Return which colours lie above which, `(256,)`; -1 for hidden ones."""
        order = self.order(style.order)
        ranks = np.ones(256, dtype=np.int16)
        if order in {"high", "legend"}:
            ranks[:] = np.arange(1, 257)
        elif order == "low":
            ranks[:] = np.arange(256, 0, -1)
        elif order == "rare" and isinstance(self.coloring, Categories):
            counts = self.coloring.counts
            ranks[np.argsort(-counts, kind="stable")] = np.arange(1, len(counts) + 1)
        if self.coloring is not None:
            ranks[MISSING_CODE] = 0
        ranks[list(style.hidden)] = -1
        return ranks


def draw(
    cells: Cells,
    viewport: Viewport,
    canvas: Canvas,
    style: Style = Style(),
    states: NDArray[np.uint8] | None = None,
    *,
    dots: bool = True,
) -> Picture | Dots:
    """Draw the cells in a viewport.

    Parameters
    ----------
    cells
        The cells, their colouring and its scale.
    viewport
        The part of the plane that the picture shows.
    canvas
        Its size and ground.
    style
        Size and order of the dots, what is hidden or faded.
    states
        Of each point of the plane: `SELECTED` lies above all others, `HIDDEN` is not drawn, `PLAIN` is the rest;
        `(n,)`; `None`: all are plain.
    dots
        Whether few cells may be left to the browser.
    """
    plane = cells.plane
    # where none of the selected cells is drawn (they are hidden, or not in this embedding) nothing stands out
    style = replace(style, fade=style.fade and cells.shows_selected(style, states))
    if dots and plane.count(viewport) <= N_DOTS:
        return _collect(cells, viewport, canvas, style, states)
    strips = _strips(plane, viewport, canvas)
    drawing = _Drawing(cells, viewport, canvas, style, states if states is not None else NONE, strips)
    mixture = None
    with scratch.lend(canvas.height, canvas.width) as words:
        match cells.order(style.order):
            case "mixed":
                n_visible, mixture = _mix(drawing, words)
            case "mean":
                n_visible = _average(drawing, words)
            case _:
                n_visible = _top(drawing, words)
        radius = _radius(n_visible, canvas, style)
        if not radius:
            codes, alpha = _shade(drawing, words, _opacity_by_count(drawing, words))
        else:
            with scratch.lend(canvas.height, canvas.width) as grown:
                _grow(drawing, words, radius, grown)
                codes, alpha = _shade(drawing, grown, np.arange(16, dtype=np.float64) * 17)
                mixture = _pick(drawing, mixture, grown) if mixture is not None else None
    return Picture(viewport, codes if mixture is None else np.zeros_like(codes), alpha, n_visible, mixture)


@dataclass(frozen=True)
class _Drawing:
    """A picture in the making: what is drawn, in which strips of rows."""

    cells: Cells
    viewport: Viewport
    canvas: Canvas
    style: Style
    states: NDArray[np.uint8]
    strips: list[slice]

    def kernel_args(self, rows: slice) -> KernelArgs:
        """Return what the loops over points need to know of a strip: states, spans, viewport, height, its first row."""
        spans = self.cells.plane.spans(_around(self.viewport, self.canvas, rows))
        return self.states, spans, _plain(self.viewport), self.canvas.height, rows.start


def _radius(n_visible: int, canvas: Canvas, style: Style) -> float:
    """Radius of a dot in physical pixels; 0 for one pixel."""
    if style.size is not None:
        return style.size / 2 * canvas.pixel_ratio if style.size > 1 else 0.0
    if n_visible >= DENSE:
        return 0.0
    spacing = np.sqrt(canvas.width * canvas.height / max(n_visible, 1))
    low, high = MIN_RADIUS * canvas.pixel_ratio, MAX_RADIUS * canvas.pixel_ratio
    return float(np.clip(DOT_FILL * spacing, low, high))


def _top(drawing: _Drawing, words: NDArray[np.int64]) -> int:
    """Write the topmost word of each pixel; return how many cells were drawn."""
    cells, ranks = drawing.cells, drawing.cells.ranks(drawing.style)

    def raise_strip(rows: slice) -> int:
        words[rows] = 0  # by the core that draws there, so that it is in its cache
        return aggregate.raise_top(cells.plane.xy, cells.codes, ranks, *drawing.kernel_args(rows), words[rows])

    return sum(_run(raise_strip, drawing.strips))


def _mix(drawing: _Drawing, words: NDArray[np.int64]) -> tuple[int, NDArray[np.uint8]]:
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

        return sum(_run(mix_strip, drawing.strips)), mixture


def _average(drawing: _Drawing, words: NDArray[np.int64]) -> int:
    """Write the word of each pixel with the colour of the mean of its values; return how many cells were drawn."""
    cells, values, limits = drawing.cells, drawing.cells.values, (0.0, 1.0)
    if isinstance(cells.coloring, Values):
        limits = cells.scale.limits(cells.coloring)

    def average_strip(rows: slice) -> int:
        strip = words[rows]
        strip[:] = 0
        sums, known = np.zeros(strip.shape), np.zeros(strip.shape, dtype=np.int64)
        n = aggregate.add_values(cells.plane.xy, values, *drawing.kernel_args(rows), sums, known, strip)
        aggregate.color_means(sums, known, float(limits[0]), float(limits[1]), cells.scale.log, strip)
        return n

    return sum(_run(average_strip, drawing.strips))


def _grow(drawing: _Drawing, words: NDArray[np.int64], radius: float, grown: NDArray[np.int64]) -> None:
    """Grow pixels to dots: write which word is seen in each, and how much of the pixel it covers."""
    coverage = np.rint(disc(radius) * 15).astype(np.uint8)

    def grow_strip(rows: slice) -> None:
        grown[rows] = 0
        aggregate.spread_dots(words, coverage, rows.start, grown[rows])

    _run(grow_strip, drawing.strips)


def _pick(drawing: _Drawing, mixture: NDArray[np.uint8], grown: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return mixed colours where dots have grown: each shows that of the pixel that it grew from."""
    picked = np.empty_like(mixture)
    _run(lambda rows: aggregate.pick_colors(mixture, grown[rows], picked[rows]), drawing.strips)
    return picked


def _shade(
    drawing: _Drawing, words: NDArray[np.int64], opacity: NDArray[np.float64]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return colours and opacity, by the count in each word; cells that are not selected are faded if `style.fade`."""
    codes, alpha = np.empty(words.shape, dtype=np.uint8), np.empty(words.shape, dtype=np.uint8)
    table = np.rint(np.stack([opacity * (FADED if drawing.style.fade else 1.0), opacity])).astype(np.uint8)
    _run(lambda rows: aggregate.shade(words[rows], table, codes[rows], alpha[rows]), drawing.strips)
    return codes, alpha


def _opacity_by_count(drawing: _Drawing, words: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the opacity of a pixel by its number of cells, 0 to 255, where a cell is no larger than that."""
    strips = _run(lambda rows: aggregate.count_pixels(words[rows], OPACITIES), drawing.strips)
    n_pixels: NDArray[np.int64] = np.sum(strips, axis=0)
    # of 16 steps: the eye tells no more apart, and they would take twice the bytes
    opacity = np.rint(opacities(_crowd(n_pixels)) * 15) * 17
    opacity[0] = 0
    return opacity


def _crowd(n_pixels: NDArray[np.int64]) -> int:
    """Return the count of cells that nine of ten pixels with cells do not exceed; `n_pixels` have each count."""
    reached = np.cumsum(n_pixels)
    return int(np.searchsorted(reached, 0.9 * reached[-1]))


def opacities(crowd: int) -> NDArray[np.float64]:
    """Return the opacity of a pixel by its number of cells, up to a crowd, as datashader's `how="log"`."""
    n = np.maximum(np.arange(max(crowd, 2) + 1), 1)
    opacity: NDArray[np.float64] = LONE + (1 - LONE) * np.log(n) / np.log(n[-1])
    return opacity


def _collect(cells: Cells, viewport: Viewport, canvas: Canvas, style: Style, states: NDArray[np.uint8] | None) -> Dots:
    around = Viewport(*_widened(viewport.x_low, viewport.x_high), *_widened(viewport.y_low, viewport.y_high))
    area = around if cells.plane.count(around) <= N_DOTS else viewport
    found, words = np.empty(N_DOTS, dtype=np.int64), np.empty(N_DOTS, dtype=np.int64)
    n = aggregate.collect(
        cells.plane.xy,
        cells.codes,
        cells.ranks(style),
        states if states is not None else NONE,
        cells.plane.spans(area),
        _plain(area),
        found,
        words,
    )
    order = np.argsort(words[:n])
    at, words = found[:n][order], words[:n][order]
    faded = (words >> aggregate.SELECTED) & 1 == 0 if style.fade else np.zeros(0, dtype=np.bool_)
    points = cells.plane.points[at]
    x, y = points.T.astype(np.float64)  # comparing them with the edges must not round these
    n_visible = int(
        np.count_nonzero(
            (x >= viewport.x_low) & (x <= viewport.x_high) & (y >= viewport.y_low) & (y <= viewport.y_high)
        )
    )
    radius = _radius(n_visible, canvas, style) / canvas.pixel_ratio or 0.5
    return Dots(area, points, (words & 0xFF).astype(np.uint8), faded, radius, n_visible)


def _widened(low: float, high: float) -> tuple[float, float]:
    more = (high - low) * DOTS_AROUND
    return low - more, high + more


def _strips(plane: PointIndex, viewport: Viewport, canvas: Canvas) -> list[slice]:
    """Cut the rows of a picture into strips with as many points each, for as many cores as the work is worth.

    A pixel is drawn by one core alone: so what is added up is the same however many there are.
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


def _run(job: Callable[[slice], Result], strips: list[slice]) -> list[Result]:
    """Run a job on all strips, each on a core of its own; on this one the first, and those that no other has begun."""
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


def _plain(viewport: Viewport) -> tuple[float, float, float, float]:
    """As one type, whatever numbers a viewport was made of: each further type would be compiled anew."""
    x_low, x_high, y_low, y_high = map(float, viewport)
    return x_low, x_high, y_low, y_high
