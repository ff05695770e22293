"""Drawing millions of cells into one picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import colorcet
import numpy as np

from cellasso_app.aggregate import add_mixture, count_visible, raise_values
from cellasso_app.coloring import MISSING_COLOR, Categories, Values
from cellasso_app.dots import disc, stamp

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cellasso_app.coloring import Coloring

FADED = 0.15
"""Opacity of the cells that are not selected."""

DOT_FILL = 0.22
"""Radius of a dot as a part of the mean distance of the visible cells: dots touch where cells crowd."""

MAX_RADIUS, MIN_RADIUS = 4.0, 1.2  # pixels of the screen
DENSE = 400_000
"""From this many visible cells on a cell is one pixel: larger dots would hide each other."""

PLAIN_COLOR = "#5b8fd6"


def _from_grey(grey: str, colors: Sequence[str], ramp: int = 24) -> tuple[str, ...]:
    """Return a colour map whose low end runs into grey: most cells have none of most genes."""
    ends = _rgb((grey, colors[ramp]))
    steps = np.linspace(ends[0], ends[1], ramp, endpoint=False)
    return (*(f"#{r:02x}{g:02x}{b:02x}" for r, g, b in np.rint(steps * 255).astype(int)), *colors[ramp:])


def _rgb(colors: Sequence[str]) -> NDArray[np.float32]:
    """Colours `#rrggbb` as `(n, 3)` float32, 0 to 1."""
    return np.array([[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in colors], dtype=np.float32)


COLOR_MAPS: dict[bool, tuple[str, ...]] = {
    False: _from_grey("#d9dde3", colorcet.b_linear_worb_100_25_c53[44:]),
    True: _from_grey("#343a44", colorcet.b_linear_bgyw_15_100_c68[52:240]),
}
"""Colours of values by whether the page is dark: linear in lightness, so also for eyes that see fewer
colours, and cut where they would come too near to the page's own colour."""


class Viewport(NamedTuple):
    """The part of the plane that is on the screen, in data units."""

    x_low: float
    x_high: float
    y_low: float
    y_high: float


@dataclass(frozen=True)
class Canvas:
    """The picture's size in physical pixels, how many of them make one pixel of the screen, its ground."""

    width: int
    height: int
    pixel_ratio: float = 1.0
    dark: bool = False


OUTLYING = 20.0
"""A cell this many times as far out as 99% of the cells are wide would leave them less than a twentieth of the view."""

NONE = np.zeros(0, dtype=np.bool_)


class Cells:
    """The points of an embedding with one colouring.

    Parameters
    ----------
    points
        `(n_obs, 2)` float32; cells with NaN or infinite coordinates are not drawn.
    coloring
        What colours them, of the same `n_obs`; `None` draws all alike.
    """

    def __init__(self, points: NDArray[np.float32], coloring: Coloring | None) -> None:
        self.points = points
        self.drawable = np.isfinite(points).all(axis=1)
        self.coloring = coloring
        self.codes = coloring.codes if isinstance(coloring, Categories) else np.zeros(0, dtype=np.int16)
        colors = (*coloring.colors, MISSING_COLOR) if isinstance(coloring, Categories) else (PLAIN_COLOR,)
        self.palette = np.rint(_rgb(colors) * 255).astype(np.uint8)

    def bounds(self) -> Viewport:
        """Return the smallest viewport with all finite points but the farthest outliers, never empty."""
        if not self.drawable.any():
            return Viewport(0.0, 1.0, 0.0, 1.0)
        ends = [_ends(self.points[self.drawable, axis]) for axis in (0, 1)]
        extent = max(high - low for low, high in ends) or 1.0
        (x_low, x_high), (y_low, y_high) = (_opened(low, high, extent) for low, high in ends)
        return Viewport(x_low, x_high, y_low, y_high)

    def visible(self, viewport: Viewport) -> int:
        """Count the cells inside a viewport."""
        return int(count_visible(self.points, *map(float, viewport)))


def _ends(values: NDArray[np.float32]) -> tuple[float, float]:
    """Return the two ends of an axis: of all values, or of those that are no outliers."""
    low, high = float(values.min()), float(values.max())
    first, last = (float(q) for q in np.quantile(values, (0.005, 0.995), method="nearest"))
    reach = OUTLYING * (last - first)
    if reach == 0 or (first - low <= reach and high - last <= reach):
        return low, high
    near = values[(values >= first - reach) & (values <= last + reach)]
    return float(near.min()), float(near.max())


def _opened(low: float, high: float, extent: float) -> tuple[float, float]:
    """Return the two ends of an axis, apart from each other also where all points have one coordinate."""
    half = 0.0 if high > low else max(extent / 2, abs(low) * 1e-6)
    return low - half, high + half


def draw(
    cells: Cells, viewport: Viewport, canvas: Canvas, selected: NDArray[np.bool_] | None = None
) -> NDArray[np.uint32]:
    """Draw the cells, `(height, width)` of packed RGBA, first row at the bottom, transparent where there are none.

    Categories mix in a pixel in proportion to their cells; of values the highest is on top. With a
    selection its cells are drawn in full and the others faded.
    """
    radius = _radius(cells.visible(viewport), canvas)
    if selected is None:
        return _pack(_layer(cells, NONE, viewport, canvas, radius))
    below = _layer(cells, ~selected, viewport, canvas, radius) * FADED
    above = _layer(cells, selected, viewport, canvas, radius)
    return _pack(above + below * (1 - above[..., 3:]))


def _radius(n_visible: int, canvas: Canvas) -> float:
    """Radius of a dot in physical pixels; 0 for one pixel."""
    if n_visible >= DENSE:
        return 0.0
    spacing = np.sqrt(canvas.width * canvas.height / max(n_visible, 1))
    low, high = MIN_RADIUS * canvas.pixel_ratio, MAX_RADIUS * canvas.pixel_ratio
    return float(np.clip(DOT_FILL * spacing, low, high))


def _layer(
    cells: Cells, chosen: NDArray[np.bool_], viewport: Viewport, canvas: Canvas, radius: float
) -> NDArray[np.float32]:
    """Return premultiplied RGBA `(height, width, 4)`, 0 to 1, of some cells; of all when `chosen` is empty."""
    if isinstance(cells.coloring, Values):
        pixels = _shade_values(cells, cells.coloring, chosen, viewport, canvas)
    else:
        pixels = _shade_mixture(cells, chosen, viewport, canvas)
    picture = np.zeros((canvas.height, canvas.width, 4), dtype=np.float32)
    if radius:
        stamp(pixels.rows, pixels.columns, pixels.colors, disc(radius), picture)
    else:
        alpha = _opacity(pixels.n)
        picture[pixels.rows, pixels.columns, :3] = pixels.colors * alpha[:, None]
        picture[pixels.rows, pixels.columns, 3] = alpha
    return picture


class _Pixels(NamedTuple):
    """The pixels that have cells, in the order in which they are drawn."""

    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    colors: NDArray[np.float32]  # (n, 3), 0 to 1
    n: NDArray[np.integer]  # cells in each


def _shade_mixture(cells: Cells, chosen: NDArray[np.bool_], viewport: Viewport, canvas: Canvas) -> _Pixels:
    n = np.zeros((canvas.height, canvas.width), dtype=np.int64)
    sums = np.zeros((*n.shape, 3), dtype=np.int64)
    add_mixture(cells.points, cells.codes, cells.palette, chosen, _plain(viewport), n, sums)
    rows, columns = np.nonzero(n)
    colors = sums[rows, columns] / (255 * n[rows, columns])[:, None]
    return _Pixels(rows, columns, colors.astype(np.float32), n[rows, columns])


def _shade_values(
    cells: Cells, coloring: Values, chosen: NDArray[np.bool_], viewport: Viewport, canvas: Canvas
) -> _Pixels:
    n = np.zeros((canvas.height, canvas.width), dtype=np.int64)
    highest = np.full(n.shape, np.nan, dtype=np.float32)
    raise_values(cells.points, coloring.values, chosen, _plain(viewport), n, highest)
    color_map = _rgb(COLOR_MAPS[canvas.dark])
    rows, columns = np.nonzero(n)
    values = highest[rows, columns]
    # lowest first, so that dots with high values lie on top; those without a value (NaN) below all
    order = np.argsort(np.where(np.isnan(values), -np.inf, values), kind="stable")
    rows, columns, values = rows[order], columns[order], values[order]
    known = ~np.isnan(values)
    span = coloring.high - coloring.low or 1.0
    step = np.zeros(len(values), dtype=np.intp)
    last = len(color_map) - 1
    step[known] = np.clip(np.rint((values[known] - coloring.low) / span * last), 0, last).astype(np.intp)
    colors = color_map[step]
    colors[~known] = _rgb((MISSING_COLOR,))
    return _Pixels(rows, columns, colors, n[rows, columns])


def _opacity(n: NDArray[np.integer]) -> NDArray[np.float32]:
    """Where a cell is one pixel, lone ones are lighter than crowds."""
    crowd = max(float(np.percentile(n, 90)), 2.0) if len(n) else 2.0
    return np.minimum(0.45 + 0.55 * np.log(n) / np.log(crowd), 1).astype(np.float32)


def _plain(viewport: Viewport) -> tuple[float, float, float, float]:
    """As one type, whatever numbers a viewport was made of: each further type would be compiled anew."""
    x_low, x_high, y_low, y_high = map(float, viewport)
    return x_low, x_high, y_low, y_high


def _pack(premultiplied: NDArray[np.float32]) -> NDArray[np.uint32]:
    """Pack premultiplied RGBA into the straight RGBA bytes that a browser's canvas takes."""
    alpha = premultiplied[..., 3:]
    straight = np.divide(premultiplied, alpha, out=np.zeros_like(premultiplied), where=alpha > 0)
    straight[..., 3:] = alpha
    pixels = np.ascontiguousarray(np.rint(np.clip(straight, 0, 1) * 255).astype(np.uint8))
    return pixels.view(np.uint32)[..., 0]
