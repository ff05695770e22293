"""From the low to the high end of the colours of values: where each value stands, and which are written there."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias, get_args

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cellasso.color.equalised import Curve

Shading: TypeAlias = Literal["linear", "log", "cbrt", "eq_hist"]
"""How numbers become shades, by datashader's names: in equal steps, in steps of the logarithm or of the cube root, or
so that each shade has as many cells, or pixels, as any other."""

SHADINGS: tuple[Shading, ...] = get_args(Shading)

N_STEPS = 255
"""Colours of values; the last of the 256 of a picture is for cells without one."""

APART = 0.1
"""Distance of two numbers beside the colours, as a part of these, at which both can be read."""


class Ramp(NamedTuple):
    """The colours of some values from end to end.

    Attributes
    ----------
    low, high
        The values at the two ends; `low` is below `high`.
    shading
        What makes equal steps of colour. The logarithm is that of the values where `low` is above 0, else log1p on
        either side of 0; so is the cube root negative below 0.
    curve
        Of values that are equalised ("eq_hist").
    """

    low: float
    high: float
    shading: Shading = "linear"
    curve: Curve | None = None

    def places(self, values: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return where values stand: 0 at the low end, 1 at the high end, those beyond an end at that end.

        Parameters
        ----------
        values
            Any number of them; a NaN stays one.
        """
        within = np.clip(values.astype(np.float64), self.low, self.high)
        if self.curve is not None:
            found: NDArray[np.float64] = np.interp(within, self.curve.values, self.curve.places)
            return found
        first, last = self._bent_ends
        return (self._bend(within) - first) / (last - first)

    def values(self, places: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the values that stand at some places, 0 to 1; where cells leave a choice, one of them."""
        if self.curve is not None:
            found: NDArray[np.float64] = np.interp(places, self.curve.places, self.curve.values)
            return found
        first, last = self._bent_ends
        return self._unbend(first + places * (last - first))

    def step(self, value: float) -> float:
        """Return where one value stands, as of `places`."""
        return float(self.places(np.array([value]))[0])

    @property
    def bounds(self) -> NDArray[np.float64]:
        """The values above which the next of the `N_STEPS` colours begins, `(N_STEPS,)`; of the last, infinite."""
        middles = (np.arange(N_STEPS - 1) + 0.5) / (N_STEPS - 1)
        return np.append(self.values(middles), np.inf)

    def ticks(self) -> list[tuple[float, str]]:
        """Return where round values stand between the ends of the colours, 0 to 1, and how they are written.

        Four or so at equal distances where the colours have equal steps; powers of ten (and their two- and fivefold) on
        a logarithmic scale, if four of them stand far enough from each other; else the roundest that do.
        """
        values = self._decades() if self.shading == "log" else []
        if self.shading == "linear":
            values = _evenly(self.low, self.high)
        elif len(values) < 4:
            values = self._roundest()
        return [(self.step(value), _written(value)) for value in values]

    @property
    def _bent_ends(self) -> tuple[float, float]:
        first, last = self._bend(np.array([self.low, self.high])).tolist()
        return first, last

    def _bend(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        match self.shading:
            case "log":
                return np.log(values) if self.low > 0 else np.copysign(np.log1p(np.abs(values)), values)
            case "cbrt":
                return np.cbrt(values)
            case _:
                return values

    def _unbend(self, bent: NDArray[np.float64]) -> NDArray[np.float64]:
        match self.shading:
            case "log":
                return np.exp(bent) if self.low > 0 else np.copysign(np.expm1(np.abs(bent)), bent)
            case "cbrt":
                return bent**3
            case _:
                return bent

    def _decades(self) -> list[float]:
        """Return powers of ten that stand `APART`, of those that are too close the ones nearer to 0 left out."""
        found: dict[float, float] = {}  # value by place
        for value in sorted(_decades(self.low, self.high), key=lambda value: -abs(value) if value else -math.inf):
            place = self.step(value)
            if all(abs(place - other) >= APART for other in found):
                found[place] = value
        return [found[place] for place in sorted(found)]

    def _roundest(self) -> list[float]:
        """Return round values that stand `APART`: the roundest of all, then those of the gaps that this leaves."""
        least = 1.0 if self.curve is not None and self.curve.whole else 0.0
        found: dict[float, float] = {}  # value by place
        gaps = [(-APART, 1 + APART)]
        while gaps:
            left, right = gaps.pop()
            start, stop = max(left + APART, 0.0), min(right - APART, 1.0)
            if stop - start < 1.5 * APART:  # the values there have many digits
                continue
            first, last = self.values(np.array([start, stop])).tolist()
            # no cell may lie at the very end
            value = _round_value(first if start else self.low, last if stop < 1 else self.high, least)
            if value is not None:
                place = self.step(value)
                found[place] = value
                gaps += [(left, place), (place, right)]
        return [found[place] for place in sorted(found)]


def _round_value(low: float, high: float, least: float) -> float | None:
    """Return the roundest value from `low` to `high`: a multiple of the largest 1, 2 or 5 times a power of ten.

    `None` where even that has more digits than are written.

    Parameters
    ----------
    least
        What it has to be a multiple of at least, if not 0.
    """
    if low <= 0 <= high:
        return 0.0
    exponent = math.ceil(math.log10(max(abs(low), abs(high))))
    for n in range(exponent, exponent - 8, -1):
        for factor in (5, 2, 1):
            unit = factor * 10.0**n
            first, last = math.ceil(low / unit), math.floor(high / unit)
            if first <= last and unit >= least:
                value = unit * int((first + last) / 2)  # alike on either side of 0
                return value if math.isclose(float(_written(value).replace(",", "")), value) else None
    return None


def _evenly(low: float, high: float) -> list[float]:
    """Return four or so round values from `low` to `high`, at equal distances."""
    rough = (high - low) / 4
    unit = 10.0 ** np.floor(np.log10(rough))
    step = unit * min((1, 2, 5, 10), key=lambda factor: abs(factor * unit - rough))
    ends = np.ceil(low / step), np.floor(high / step * (1 + 1e-9)) + 1
    return list(map(float, 0.0 + np.arange(*ends) * step))  # never -0


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
