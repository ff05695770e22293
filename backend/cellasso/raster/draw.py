"""Drawing millions of cells: into a picture of 256 colours, or as dots where few enough are in view."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from cellasso.color.palettes import rgb
from cellasso.points.point_index import Viewport
from cellasso.raster import aggregate
from cellasso.raster.dots import disc
from cellasso.raster.drawing import NONE, Drawing, cut_strips, plain_numbers, reduce_cells, run_strips
from cellasso.raster.opacity import N_COUNTS, opacities
from cellasso.raster.scratch import scratch
from cellasso.raster.style import Style

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from cellasso.raster.cells import ColoredCells
    from cellasso.raster.drawing import Reduced
    from cellasso.raster.style import Canvas

    Reducer: TypeAlias = Callable[[Drawing, NDArray[np.int64]], Reduced]

FADED = 0.15
"""Opacity of the cells that are not selected."""

DOT_FILL = 0.22
"""Radius of a dot as a part of the mean distance of the visible cells: dots touch where cells crowd."""

MAX_RADIUS, MIN_RADIUS = 4.0, 1.2  # pixels of the screen
MAX_SPOT = 48.0
"""Radius of the largest spot in pixels of the screen: closer up it hides what is around it."""

DENSE = 400_000
"""From this many visible cells on a cell is one pixel: larger dots would hide each other."""

N_DOTS = 50_000
"""Up to so many visible cells the browser gets the cells themselves, and draws them at every zoom anew."""

DOTS_AROUND = 0.5
"""How far beyond the view on each side, as a part of it, so that it can be moved."""


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


def draw(
    cells: ColoredCells,
    viewport: Viewport,
    canvas: Canvas,
    style: Style = Style(),  # noqa: B008 - frozen
    states: NDArray[np.uint8] | None = None,
    *,
    dots: bool = True,
    reducer: Reducer = reduce_cells,
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
    reducer
        What makes one word of the cells in each pixel: `reduce_cells`, or what calls it by way of datashader.
    """
    plane = cells.plane
    # where none of the selected cells is drawn (they are hidden, or not in this embedding) nothing stands out
    style = replace(style, fade=style.fade and cells.shows_selected(style, states))
    if dots and plane.count(viewport) <= N_DOTS:
        return _collect(cells, viewport, canvas, style, states)
    strips = cut_strips(plane, viewport, canvas)
    drawing = Drawing(cells, viewport, canvas, style, states if states is not None else NONE, strips)
    with scratch.lend(canvas.height, canvas.width) as words:
        n_visible, mixture = reducer(drawing, words)
        radius = _radius(n_visible, viewport, canvas, style)
        if not radius:
            codes, alpha = _shade(drawing, words, _opacity_by_count(drawing, words))
        else:
            with scratch.lend(canvas.height, canvas.width) as grown:
                _grow(drawing, words, radius, grown)
                codes, alpha = _shade(drawing, grown, np.arange(16, dtype=np.float64) * 17)
                mixture = _pick(drawing, mixture, grown) if mixture is not None else None
    return Picture(viewport, codes if mixture is None else np.zeros_like(codes), alpha, n_visible, mixture)


def _radius(n_visible: int, viewport: Viewport, canvas: Canvas, style: Style) -> float:
    """Radius of a dot in physical pixels; 0 for one pixel."""
    if style.size is not None:
        return style.size / 2 * canvas.pixel_ratio if style.size > 1 else 0.0
    if style.spot is not None:
        radius = style.spot / 2 * canvas.width / (viewport.x_high - viewport.x_low)
        return min(radius, MAX_SPOT * canvas.pixel_ratio) if radius > 0.5 else 0.0
    if n_visible >= DENSE:
        return 0.0
    spacing = np.sqrt(canvas.width * canvas.height / max(n_visible, 1))
    low, high = MIN_RADIUS * canvas.pixel_ratio, MAX_RADIUS * canvas.pixel_ratio
    return float(np.clip(DOT_FILL * spacing, low, high))


def _grow(drawing: Drawing, words: NDArray[np.int64], radius: float, grown: NDArray[np.int64]) -> None:
    """Grow pixels to dots: write which word is seen in each, and how much of the pixel it covers."""
    coverage = np.rint(disc(radius) * 15).astype(np.uint8)

    def grow_strip(rows: slice) -> None:
        grown[rows] = 0
        aggregate.spread_dots(words, coverage, rows.start, grown[rows])

    run_strips(grow_strip, drawing.strips)


def _pick(drawing: Drawing, mixture: NDArray[np.uint8], grown: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return mixed colours where dots have grown: each shows that of the pixel that it grew from."""
    picked = np.empty_like(mixture)
    run_strips(lambda rows: aggregate.pick_colors(mixture, grown[rows], picked[rows]), drawing.strips)
    return picked


def _shade(
    drawing: Drawing, words: NDArray[np.int64], opacity: NDArray[np.float64]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return colours and opacity, by the count in each word; cells that are not selected are faded if `style.fade`."""
    codes, alpha = np.empty(words.shape, dtype=np.uint8), np.empty(words.shape, dtype=np.uint8)
    table = np.rint(np.stack([opacity * (FADED if drawing.style.fade else 1.0), opacity])).astype(np.uint8)
    run_strips(lambda rows: aggregate.shade(words[rows], table, codes[rows], alpha[rows]), drawing.strips)
    return codes, alpha


def _opacity_by_count(drawing: Drawing, words: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the opacity of a pixel by its number of cells, 0 to 255, where a cell is no larger than that."""
    strips = run_strips(lambda rows: aggregate.count_pixels(words[rows], N_COUNTS), drawing.strips)
    n_pixels: NDArray[np.int64] = np.sum(strips, axis=0)
    # of 16 steps: the eye tells no more apart, and they would take twice the bytes
    opacity = np.rint(opacities(n_pixels, drawing.style.crowds) * 15) * 17
    opacity[0] = 0
    return opacity


def _collect(
    cells: ColoredCells, viewport: Viewport, canvas: Canvas, style: Style, states: NDArray[np.uint8] | None
) -> Dots:
    around = Viewport(*_widened(viewport.x_low, viewport.x_high), *_widened(viewport.y_low, viewport.y_high))
    area = around if cells.plane.count(around) <= N_DOTS else viewport
    found, words = np.empty(N_DOTS, dtype=np.int64), np.empty(N_DOTS, dtype=np.int64)
    n = aggregate.collect(
        cells.plane.xy,
        cells.codes,
        cells.ranks(style),
        states if states is not None else NONE,
        cells.plane.spans(area),
        plain_numbers(area),
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
    radius = _radius(n_visible, viewport, canvas, style) / canvas.pixel_ratio or 0.5
    return Dots(area, points, (words & 0xFF).astype(np.uint8), faded, radius, n_visible)


def _widened(low: float, high: float) -> tuple[float, float]:
    more = (high - low) * DOTS_AROUND
    return low - more, high + more
