"""Colours of categories and of values, for the picture, its legend and its colour bar alike."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import colorcet
import numpy as np

from cellasso.color.coloring import MISSING_COLOR, Categories, Values
from cellasso.color.equalised import equalise
from cellasso.color.ramp import N_STEPS, Ramp

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from cellasso.color.coloring import Coloring
    from cellasso.color.ramp import Shading

PLAIN_COLOR = "#5b8fd6"
"""Colour of all cells where no colouring is chosen."""


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
    shading
        What makes equal steps of colour, as of `Ramp`.
    reverse
        Whether the colours run the other way.
    centre
        Whether 0 is in the middle of the colours, with as much on either side.
    color_map
        `STANDARD`, which goes with the page, or one of `NAMED`.
    """

    clip: float = 99.0
    shading: Shading = "linear"
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

    def ramp(self, values: Values) -> Ramp:
        """Return the way from one end of the colours to the other for some values; "eq_hist" counts all of them."""
        low, high = self.limits(values)
        curve = equalise(values.values, low, high, centred=self.centre) if self.shading == "eq_hist" else None
        return Ramp(low, high, self.shading, curve)

    def colors(self, *, dark: bool) -> tuple[str, ...]:
        """Return the colours from low to high, as many as the map has."""
        standard = DIVERGING[dark] if self.centre else COLOR_MAPS[dark]
        colors = named_colors(self.color_map) if self.color_map in NAMED else standard
        return colors[::-1] if self.reverse else colors


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
