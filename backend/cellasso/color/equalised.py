"""Histogram-equalised colours: each has as many cells as any other, as `datashader.transfer_functions.eq_hist` does it.

A value's place between the ends of the colours is the part of the cells whose values do not exceed it. The histogram is
that of all cells, not of those in view: a colour means the same value however the picture is zoomed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cellasso.core.executors import quick_threads, run_blocks

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

N_BINS = 256 * 256
"""Bins of a histogram, and from how many whole numbers on these are put into bins too: datashader's."""

SPLIT = 1 << 18
"""Values that one core counts at a time."""


@dataclass(frozen=True, eq=False)
class Curve:
    """Where values stand between the ends of the colours; straight between those that are listed.

    Attributes
    ----------
    values
        `(n,)` float64, ascending.
    places
        Of each, `(n,)` from 0 to 1; they may stay the same where there are no cells.
    whole
        Whether all values are whole numbers.
    """

    values: NDArray[np.float64]
    places: NDArray[np.float64]
    whole: bool = False


def equalise(values: NDArray[np.float32], low: float, high: float, *, centred: bool = False) -> Curve:
    """Return the curve along which the colours from `low` to `high` have as many cells each.

    Whole numbers are counted one by one, if they are less than `N_BINS` apart; other values in as many bins, between
    the middles of which the curve is straight.

    Parameters
    ----------
    values
        Of all cells, `(n,)`; NaN and those beyond the ends do not count.
    low, high
        The ends of the colours; apart from each other.
    centred
        Whether 0 stays in the middle: distances from 0 are equalised, on either side alike. `low` is then `-high`.
    """
    least = 0.0 if centred else low

    def within(start: int) -> NDArray[np.float64]:
        part = values[start : start + SPLIT].astype(np.float64)
        part = np.abs(part) if centred else part
        return part[(part >= least) & (part <= high)]

    starts = range(0, len(values), SPLIT)
    lowest, highest, whole = _survey(within, starts)
    if lowest >= highest:  # nothing tells the cells apart
        return Curve(np.array([low, high]), np.array([0.0, 1.0]))
    at, counts = _count(within, starts, lowest, highest, one_by_one=whole and highest - lowest < N_BINS)
    reached = counts.cumsum() / counts.sum()
    places = (reached - reached[0]) / (1 - reached[0])
    return _mirrored(at, places, whole=whole) if centred else Curve(at, places, whole)


def _survey(within: Callable[[int], NDArray[np.float64]], starts: range) -> tuple[float, float, bool]:
    """Return the lowest and the highest of the values that count, and whether all are whole; (0, 0) without any."""

    def survey(start: int) -> tuple[float, float, bool] | None:
        part = within(start)
        return (float(part.min()), float(part.max()), bool((part == np.rint(part)).all())) if len(part) else None

    found = [each for each in run_blocks(survey, starts, executor=quick_threads()) if each is not None]
    if not found:
        return 0.0, 0.0, False
    lows, highs, are_whole = zip(*found, strict=True)
    return min(lows), max(highs), all(are_whole)


def _count(
    within: Callable[[int], NDArray[np.float64]], starts: range, lowest: float, highest: float, *, one_by_one: bool
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return values, ascending, and how many cells have each: all whole numbers, or the middles of occupied bins."""

    def count(start: int) -> NDArray[np.int64]:
        if one_by_one:
            return np.bincount((within(start) - lowest).astype(np.int64), minlength=int(highest - lowest) + 1)
        return np.histogram(within(start), N_BINS, (lowest, highest))[0]

    counts: NDArray[np.int64] = np.sum(list(run_blocks(count, starts, executor=quick_threads())), axis=0)
    if one_by_one:
        return np.arange(lowest, highest + 1), counts
    edges, occupied = np.linspace(lowest, highest, N_BINS + 1), counts > 0
    return ((edges[:-1] + edges[1:]) / 2)[occupied], counts[occupied]


def _mirrored(at: NDArray[np.float64], places: NDArray[np.float64], *, whole: bool) -> Curve:
    """Return the curve of values of which those are the distances from 0."""
    below = at > 0  # 0 itself, or what is nearest to it, is in the middle
    values = np.concatenate([-at[below][::-1], at])
    return Curve(values, np.concatenate([0.5 - places[below][::-1] / 2, 0.5 + places / 2]), whole)
