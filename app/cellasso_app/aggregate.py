"""Cells into pixels: the compiled loops of `raster`, with datashader's rules of which point is in which pixel.

All walk over the points of a `Plane` in the spans of a viewport. What is on top in a pixel is the largest of the
words that its cells make, 40 bits: whether the cell is selected, the rank of its colour, 22 bits that look random but
stay with the cell, and its colour. Above them the word of a pixel counts its cells.
"""

# compiled loops take plain arrays by position
# ruff: noqa: PLR0917

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

SELECTED, RANK, COUNT = 39, 30, 40
"""Lowest bits of the parts of a word; the colour stands in the lowest eight."""

TOP = (1 << COUNT) - 1
MOST = 1 << 62
"""From here on a pixel counts no further: 4 million cells."""

# datashader compiles as much anew in every process, for 3 s: these are kept on disk (cache=True)


@njit(nogil=True, cache=True, inline="always")
def _pixel(value: float, low: float, scale: float, n: int) -> int:
    """Pixel of a coordinate; the last one also for the viewport's edge itself."""
    return min(int((value - low) * scale), n - 1)


@njit(nogil=True, cache=True, inline="always")
def _shuffled(i: int) -> int:
    """Neighbours along the curve meet in a pixel: multiples of 2**32/φ put their random bits far from each other."""
    return ((i * 2654435761) & 0xFFFFFC00) >> 2


@njit(nogil=True, cache=True)
def _marks(ranks: NDArray[np.int16]) -> NDArray[np.int64]:
    """Return rank and colour of a word by colour, `(256,)`; -1 for those that are not drawn."""
    marks = np.empty(256, dtype=np.int64)
    for code in range(256):
        marks[code] = (np.int64(ranks[code]) << RANK) | code if ranks[code] >= 0 else -1
    return marks


@njit(nogil=True, cache=True)
def raise_top(
    points: NDArray[np.float32],
    codes: NDArray[np.uint8],
    ranks: NDArray[np.int16],
    states: NDArray[np.uint8],
    spans: NDArray[np.int64],
    viewport: tuple[float, float, float, float],
    words: NDArray[np.int64],
) -> int:
    """Raise the word of each pixel to its topmost cell's, and count cells in it; return how many were drawn.

    Parameters
    ----------
    codes
        Colour of each point, `(n,)`; `(0,)` gives all the last, 255.
    ranks
        Of each colour, `(256,)`: higher ones lie on top, -1 is not drawn.
    states
        1 for points that lie above all others, 2 for those that are not drawn, 0 for the rest, `(n,)`; `(0,)`: all 0.
    words
        `(height, width)`, zeros to begin with.
    """
    x_low, x_high, y_low, y_high = viewport
    height, width = words.shape
    x_scale, y_scale = width / (x_high - x_low), height / (y_high - y_low)
    some, coded = len(states) > 0, len(codes) > 0
    flat, marks = words.reshape(-1), _marks(ranks)
    n = 0
    for span in range(len(spans)):
        whole = spans[span, 2] != 0
        for i in range(spans[span, 0], spans[span, 1]):
            x, y = np.float64(points[i, 0]), np.float64(points[i, 1])
            if not (whole or (x_low <= x <= x_high and y_low <= y <= y_high)):
                continue
            mark = marks[codes[i]] if coded else marks[255]
            if mark < 0:
                continue
            state = np.int64(states[i]) if some else np.int64(0)
            if state > 1:
                continue
            n += 1
            word = (state << SELECTED) | _shuffled(i) | mark
            at = min(int((y - y_low) * y_scale), height - 1) * width + min(int((x - x_low) * x_scale), width - 1)
            before = flat[at]
            top = before & TOP
            if before < MOST:
                before += 1 << COUNT
            flat[at] = (before - top) + max(word, top)
    return n


@njit(nogil=True, cache=True)
def join_tops(words: NDArray[np.int64], others: NDArray[np.int64]) -> None:
    """Add to pixels what another thread found for them."""
    for row in range(words.shape[0]):
        for column in range(words.shape[1]):
            here, there = words[row, column], others[row, column]
            if there:
                counted = min((here >> COUNT) + (there >> COUNT), MOST >> COUNT)
                words[row, column] = (counted << COUNT) | max(here & TOP, there & TOP)


@njit(nogil=True, cache=True)
def add_mixture(
    points: NDArray[np.float32],
    codes: NDArray[np.uint8],
    colors: NDArray[np.uint8],
    ranks: NDArray[np.int16],
    states: NDArray[np.uint8],
    spans: NDArray[np.int64],
    viewport: tuple[float, float, float, float],
    sums: NDArray[np.uint64],
    words: NDArray[np.int64],
) -> int:
    """Add up the colours of the cells of each pixel, of the selected ones alone where there are some.

    Returns how many cells were drawn, with those below the selected ones.

    Parameters
    ----------
    colors
        `(256, 3)` RGB.
    sums
        `(height, width, 3)`, zeros to begin with.
    words
        `(height, width)`: as for `raise_top`, with the state of the pixel and the count of the cells in its sum.
    """
    x_low, x_high, y_low, y_high = viewport
    height, width = words.shape
    x_scale, y_scale = width / (x_high - x_low), height / (y_high - y_low)
    some, coded = len(states) > 0, len(codes) > 0
    n = 0
    for span in range(len(spans)):
        whole = spans[span, 2] != 0
        for i in range(spans[span, 0], spans[span, 1]):
            x, y = np.float64(points[i, 0]), np.float64(points[i, 1])
            if not (whole or (x_low <= x <= x_high and y_low <= y <= y_high)):
                continue
            code = np.int64(codes[i]) if coded else np.int64(255)
            if ranks[code] < 0:
                continue
            row, column = _pixel(y, y_low, y_scale, height), _pixel(x, x_low, x_scale, width)
            state = np.int64(states[i]) if some else np.int64(0)
            before = words[row, column]
            if state > 1:
                continue
            n += 1
            if state < (before >> SELECTED) & 1:
                continue
            if state > (before >> SELECTED) & 1:  # the first selected cell: what was here lies below it
                before = np.int64(0)
                for channel in range(3):
                    sums[row, column, channel] = 0
            words[row, column] = (before & ~TOP) + (1 << COUNT) | (state << SELECTED) | 1
            for channel in range(3):
                sums[row, column, channel] += np.uint64(colors[code, channel])
    return n


@njit(nogil=True, cache=True)
def add_values(
    points: NDArray[np.float32],
    values: NDArray[np.float32],
    states: NDArray[np.uint8],
    spans: NDArray[np.int64],
    viewport: tuple[float, float, float, float],
    sums: NDArray[np.float64],
    known: NDArray[np.int64],
    words: NDArray[np.int64],
) -> int:
    """Add up the values of the cells of each pixel, of the selected ones alone where there are some.

    Returns as `add_mixture` does. `sums` and `known` `(height, width)` take the values and their number, without those
    that are NaN; `words` are as for `add_mixture`.
    """
    x_low, x_high, y_low, y_high = viewport
    height, width = words.shape
    x_scale, y_scale = width / (x_high - x_low), height / (y_high - y_low)
    some = len(states) > 0
    n = 0
    for span in range(len(spans)):
        whole = spans[span, 2] != 0
        for i in range(spans[span, 0], spans[span, 1]):
            x, y = np.float64(points[i, 0]), np.float64(points[i, 1])
            if not (whole or (x_low <= x <= x_high and y_low <= y <= y_high)):
                continue
            row, column = _pixel(y, y_low, y_scale, height), _pixel(x, x_low, x_scale, width)
            state = np.int64(states[i]) if some else np.int64(0)
            before = words[row, column]
            if state > 1:
                continue
            n += 1
            if state < (before >> SELECTED) & 1:
                continue
            if state > (before >> SELECTED) & 1:
                before = np.int64(0)
                sums[row, column], known[row, column] = 0, 0
            words[row, column] = (before & ~TOP) + (1 << COUNT) | (state << SELECTED) | 1
            if not np.isnan(values[i]):
                sums[row, column] += values[i]
                known[row, column] += 1
    return n


@njit(nogil=True, cache=True)
def collect(
    points: NDArray[np.float32],
    codes: NDArray[np.uint8],
    ranks: NDArray[np.int16],
    states: NDArray[np.uint8],
    spans: NDArray[np.int64],
    viewport: tuple[float, float, float, float],
    found: NDArray[np.int64],
    words: NDArray[np.int64],
) -> int:
    """Write the points of a viewport and their words, as many as both `(most,)` hold; return how many those are."""
    x_low, x_high, y_low, y_high = viewport
    some, coded, marks = len(states) > 0, len(codes) > 0, _marks(ranks)
    n = 0
    for span in range(len(spans)):
        whole = spans[span, 2] != 0
        for i in range(spans[span, 0], spans[span, 1]):
            x, y = np.float64(points[i, 0]), np.float64(points[i, 1])
            if not (whole or (x_low <= x <= x_high and y_low <= y <= y_high)):
                continue
            mark = marks[codes[i]] if coded else marks[255]
            if mark < 0:
                continue
            state = np.int64(states[i]) if some else np.int64(0)
            if state > 1:
                continue
            if n == len(found):
                return n
            found[n], words[n] = i, (state << SELECTED) | _shuffled(i) | mark
            n += 1
    return n


@njit(nogil=True, cache=True)
def crowd(words: NDArray[np.int64]) -> int:
    """Return the count of cells that nine of ten pixels with cells do not exceed."""
    n_pixels = 0
    counts = np.zeros(1 << 12, dtype=np.int64)
    for word in words.ravel():
        if word:
            n_pixels += 1
            counts[min(word >> COUNT, len(counts) - 1)] += 1
    reached, most = 0, 0
    while most < len(counts) - 1 and reached < 0.9 * n_pixels:
        most += 1
        reached += counts[most]
    return most


@njit(nogil=True, cache=True)
def spread_dots(
    words: NDArray[np.int64], coverage: NDArray[np.uint8], marks: NDArray[np.int64], steps: NDArray[np.uint8]
) -> None:
    """Grow the pixel of each cell to a dot: of those that cover a pixel most the topmost word shows there.

    Parameters
    ----------
    words
        `(height, width)`, of the pixels in which cells are.
    coverage
        The dot `(k, k)`, k odd: how much of each pixel it covers, 0 to 15.
    marks, steps
        `(height, width)`, zeros to begin with: the word on top, and how much it covers, 0 to 15.
    """
    height, width = words.shape
    reach = coverage.shape[0] // 2
    for row in range(height):
        for column in range(width):
            word = words[row, column] & TOP
            if not words[row, column]:
                continue
            for y in range(max(0, row - reach), min(height, row + reach + 1)):
                for x in range(max(0, column - reach), min(width, column + reach + 1)):
                    step = coverage[y - row + reach, x - column + reach]
                    if step > steps[y, x] or (step and step == steps[y, x] and word > marks[y, x]):
                        marks[y, x], steps[y, x] = word, step


@njit(nogil=True, cache=True)
def shade(
    words: NDArray[np.int64], opacity: NDArray[np.uint8], faded: NDArray[np.uint8], alpha: NDArray[np.uint8]
) -> None:
    """Write the opacity of each pixel with cells, by their number: `opacity`, `(4096,)`, `faded` of unselected ones."""
    for row in range(words.shape[0]):
        for column in range(words.shape[1]):
            word = words[row, column]
            if word:
                of = opacity if (word >> SELECTED) & 1 else faded
                alpha[row, column] = of[min(word >> COUNT, len(of) - 1)]


@njit(nogil=True, cache=True)
def to_steps(values: NDArray[np.float32], low: float, high: float, logarithmic: bool, steps: NDArray[np.uint8]) -> None:
    """Write on which of 255 steps from `low` to `high` each value lies, those beyond on the outermost; 255 for NaN."""
    span = np.log1p(high - low) if logarithmic else high - low
    for i in range(len(values)):
        value = np.float64(values[i])
        if np.isnan(value):
            steps[i] = 255
            continue
        above = min(max(value, low), high) - low
        steps[i] = np.uint8(np.rint((np.log1p(above) if logarithmic else above) / span * 254))
