"""Colours of categories and of values, for the picture, its legend and its colour bar alike."""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import colorcet
import numpy as np

from cellasso.color.coloring import MISSING_COLOR, Categories, Values

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from cellasso.color.coloring import Coloring

PLAIN_COLOR = "#5b8fd6"
"""Colour of all cells where no colouring is chosen."""

N_STEPS = 255
"""Colours of values; the last of the 256 of a picture is for cells without one."""


def rgb(colors: Sequence[str]) -> NDArray[np.uint8]:
    """Return colours `#rrggbb` as `(n, 3)`."""
    return np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in colors], dtype=np.uint8).reshape(-1, 3)


def _from_grey(grey: str, colors: Sequence[str], ramp: int = 24) -> tuple[str, ...]:
    """Return a colour map whose low end runs into grey: most genes are 0 in most cells."""
    ends = rgb((grey, colors[ramp])).astype(np.float64)
    steps = np.linspace(ends[0], ends[1], ramp, endpoint=False)
    return (*(f"#{r:02x}{g:02x}{b:02x}" for r, g, b in np.rint(steps).astype(int)), *colors[ramp:])


COLOR_MAPS: dict[bool, tuple[str, ...]] = {
    False: _from_grey("#d9dde3", colorcet.b_linear_worb_100_25_c53[44:]),
    True: _from_grey("#343a44", colorcet.b_linear_bgyw_15_100_c68[52:240]),
}
"""Colours of values by whether the page is dark: linear in lightness, so also for eyes that see fewer
colours, and cut where they would come too near to the page's own colour."""

DIVERGING: dict[bool, tuple[str, ...]] = {
    False: tuple(colorcet.b_diverging_bwr_40_95_c42),
    True: tuple(colorcet.b_diverging_bkr_55_10_c35),
}
"""Colours of values around 0, by whether the page is dark; their middle is near to the page's own colour."""

STANDARD = "cellasso"
NAMED = ("viridis", "cividis", "magma", "grey")
"""Further colour maps, all linear in lightness: matplotlib's, and colorcet's grey."""


@cache
def named_colors(name: str) -> tuple[str, ...]:
    """Return the 256 colours `#rrggbb` of one of `NAMED`, from low to high."""
    if name == "grey":
        return tuple(colorcet.b_linear_grey_10_95_c0[::-1])
    from matplotlib import colormaps  # noqa: PLC0415 - half a second, only where such a map is chosen
    from matplotlib.colors import to_hex  # noqa: PLC0415

    return tuple(to_hex(color) for color in colormaps[name](np.arange(256)))


class Scale(NamedTuple):
    """How values become colours.

    Attributes
    ----------
    clip
        Percentile of the values at which the colours end, one of `coloring.CLIPS`.
    log
        Whether steps of colour are steps of the logarithm; of log1p on either side of 0, where the colours do not begin
        above it.
    reverse
        Whether the colours run the other way.
    centre
        Whether 0 is in the middle of the colours, with as much on either side.
    color_map
        `STANDARD`, which goes with the page, or one of `NAMED`.
    """

    clip: float = 99.0
    log: bool = False
    reverse: bool = False
    centre: bool = False
    color_map: str = STANDARD

    def limits(self, values: Values) -> tuple[float, float]:
        """Return the values at both ends of the colours, apart from each other."""
        return self.limits_of(values.ends.get(self.clip, (values.low, values.high)))

    def limits_of(self, ends: tuple[float, float]) -> tuple[float, float]:
        """Return the values at both ends of the colours, apart from each other.

        Parameters
        ----------
        ends
            The lowest and the highest value that are to be told apart; with `centre` the one farther from 0 goes for
            both.
        """
        low, high = ends
        if self.centre:
            high = max(abs(low), abs(high))
            low = -high
        return low, high if high > low else low + 1.0

    def colors(self, *, dark: bool) -> tuple[str, ...]:
        """Return the colours from low to high, as many as the map has."""
        standard = DIVERGING[dark] if self.centre else COLOR_MAPS[dark]
        colors = named_colors(self.color_map) if self.color_map in NAMED else standard
        return colors[::-1] if self.reverse else colors

    def step(self, value: float, low: float, high: float) -> float:
        """Return where a value lies between the ends of the colours: 0 at the low one, 1 at the high one.

        Parameters
        ----------
        value
            One beyond an end counts as that end.
        low, high
            As of `limits`; `low` is below `high`.
        """
        value = min(max(value, low), high)
        if self.log:
            value, first, last = (_logarithm(each, low) for each in (value, low, high))
            return (value - first) / (last - first)
        return (value - low) / (high - low)

    def ticks(self, low: float, high: float) -> list[tuple[float, str]]:
        """Return where round values stand between the ends of the colours, 0 to 1, and how they are written.

        Powers of ten (and their two- and fivefold) on a logarithmic scale, if two of them lie within; else four or so
        at equal distances.

        Parameters
        ----------
        low, high
            As of `step`.
        """
        values = _decades(low, high) if self.log else []
        if len(values) < 2:
            rough = (high - low) / 4
            unit = 10.0 ** np.floor(np.log10(rough))
            step = unit * min((1, 2, 5, 10), key=lambda factor: abs(factor * unit - rough))
            ends = np.ceil(low / step), np.floor(high / step * (1 + 1e-9)) + 1
            values = list(0.0 + np.arange(*ends) * step)  # never -0
        return [(self.step(float(value), low, high), _written(float(value))) for value in values]


def _logarithm(value: float, low: float) -> float:
    return math.log(value) if low > 0 else math.copysign(math.log1p(abs(value)), value)


def _decades(low: float, high: float) -> list[float]:
    """Return round values from `low` to `high` that lie apart on a scale of logarithms."""
    if low > 0:
        first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
        factors = (1, 2, 5) if last - first <= 3 else (1,)
        values = [factor * 10.0**n for n in range(first, last + 1, max(1, (last - first) // 8)) for factor in factors]
    else:
        farthest = max(-low, high)
        above = [10.0**n for n in range(math.ceil(math.log10(farthest / 300)), math.floor(math.log10(farthest)) + 1)]
        values = [*(-value for value in reversed(above)), 0.0, *above]
    return [value for value in values if low <= value <= high]


def _written(value: float) -> str:
    return f"{value:,.6g}" if 1e-3 <= abs(value) < 1e6 else f"{value:.4g}"


def color_table(
    coloring: Coloring | None, scale: Scale, *, dark: bool, chosen: Mapping[str, str] | None = None
) -> list[str]:
    """Return the colours of a picture by the codes of its cells, 256 of them; the last is of cells without a value.

    Parameters
    ----------
    coloring
        What colours the cells; `None`: all have `PLAIN_COLOR`.
    scale
        Of values; categories have colours of their own.
    dark
        Whether the page is dark.
    chosen
        Colours by label that the user put in place of a category's own.
    """
    if isinstance(coloring, Values):
        colors = scale.colors(dark=dark)
        at = np.rint(np.linspace(0, len(colors) - 1, N_STEPS)).astype(int)
        return [*(colors[i] for i in at), MISSING_COLOR]
    if isinstance(coloring, Categories):
        own = [(chosen or {}).get(label, color) for label, color in zip(coloring.labels, coloring.colors, strict=True)]
        return own + [MISSING_COLOR] * (256 - len(own))
    return [PLAIN_COLOR] * 256
