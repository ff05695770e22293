"""Cells into pixels: the compiled loops of `draw`, with datashader's rules of which point is in which pixel.

All walk over the points of a `PointIndex` in the spans of a viewport, for some rows of the picture: other threads draw
the others. What is on top in a pixel is the largest of the words that its cells make, 40 bits: whether the cell is
selected, the rank of its colour, 22 bits that look random but stay with the cell, and its colour. Above them the word
of a pixel counts its cells.
"""

# compiled loops take plain arrays by position
# ruff: noqa: PLR0917

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cellasso.core.compiled import njit_or_python

if TYPE_CHECKING:
    from numpy.typing import NDArray

SELECTED, RANK, COUNT = 39, 30, 40
"""Lowest bits of the parts of a word; the colour stands in the lowest eight."""

TOP = (1 << COUNT) - 1
MOST = 1 << 62
"""Pixels that have counted beyond it are set back to it: 4 million cells, of the 8 that a word can count."""

UPPER, CHOSEN = 32, 62
"""Lowest bits of the number of cells in a sum of colours, and of whether they are selected."""

COUNTED = (1 << CHOSEN) - 1
FULL = 1 << (UPPER + 23)
"""From here on a pixel mixes no further colours: 8 million cells, whose sums still fit."""

BATCH = 1024
"""Points that are drawn in several passes, what is noted of them in the fastest cache."""

LANES = 16
"""Parts of a batch that take turns: neighbours along the curve share a pixel, and each would wait for the last."""

TALLIES = 4
"""Tables in which pixels are counted by turns, for the same reason."""

# datashader compiles as much anew in every process, for 3 s: these are kept on disk (cache=True)


@njit_or_python(inline="always")
def _shuffled(i: int) -> int:
    """Neighbours along the curve meet in a pixel: multiples of 2**32/φ put their random bits far from each other."""
    return ((i * 2654435761) & 0xFFFFFC00) >> 2


@njit_or_python
def _marks(ranks: NDArray[np.int16]) -> NDArray[np.int64]:
    """Return rank and colour of a word by colour, `(256,)`; -1 for those that are not drawn."""
    marks = np.empty(256, dtype=np.int64)
    for code in range(256):
        marks[code] = (np.int64(ranks[code]) << RANK) | code if ranks[code] >= 0 else -1
    return marks


@njit_or_python
def _locate(
    xs: NDArray[np.float32],
    ys: NDArray[np.float32],
    whole: bool,
    viewport: tuple[float, float, float, float],
    shape: tuple[int, int],
    first_row: int,
    pixels: NDArray[np.uint32],
) -> None:
    """Write the pixel of each point, counted from the start of a row; one beyond all for those outside the viewport.

    Apart from all else and without a branch: so the compiler takes several points at a time.
    """
    x_low, x_high, y_low, y_high = viewport
    x_scale, y_scale = shape[1] / (x_high - x_low), shape[0] / (y_high - y_low)
    width, last_row, last_column = np.int32(shape[1]), np.int32(shape[0] - 1), np.int32(shape[1] - 1)
    start = np.int32(first_row * shape[1])
    for i in range(len(xs)):
        x, y = np.float64(xs[i]), np.float64(ys[i])
        inside = whole | ((x_low <= x) & (x <= x_high) & (y_low <= y) & (y <= y_high))
        row, column = np.int32((y - y_low) * y_scale), np.int32((x - x_low) * x_scale)
        pixel = min(row, last_row) * width + min(column, last_column) - start
        pixels[i] = np.uint32(pixel if inside else np.int32(-1))  # those below the row wrap around to the far end too


@njit_or_python
def _word(
    first: int, codes: NDArray[np.uint8], marks: NDArray[np.int64], states: NDArray[np.uint8], words: NDArray[np.int64]
) -> None:
    """Write the word of each point from the `first` on; one that is not drawn gets bits beyond `TOP`."""
    if len(codes):
        for i in range(len(words)):
            words[i] = _shuffled(first + i) | marks[codes[i]]
    else:
        for i in range(len(words)):
            words[i] = _shuffled(first + i) | marks[255]
    for i in range(len(states)):
        words[i] |= np.int64(states[i]) << SELECTED


@njit_or_python
def _keep(pixels: NDArray[np.uint32], n_pixels: int, words: NDArray[np.int64]) -> int:
    """Move those that are drawn to the front and return how many they are; mostly all are."""
    farthest, bits = np.uint32(0), np.int64(0)
    for i in range(len(words)):
        farthest, bits = max(farthest, pixels[i]), bits | words[i]
    if farthest < n_pixels and bits & ~TOP == 0:
        return len(words)
    n = np.uint32(0)
    for i in range(len(words)):  # without a branch: along the edge of a view it would be guessed wrong
        pixel, word = pixels[i], words[i]
        pixels[n], words[n] = pixel, word
        n += np.uint32((pixel < n_pixels) & (word & ~TOP == 0))
    return int(np.int64(n))


@njit_or_python
def _note(
    xy: NDArray[np.float32],
    codes: NDArray[np.uint8],
    marks: NDArray[np.int64],
    states: NDArray[np.uint8],
    start: int,
    stop: int,
    whole: bool,
    viewport: tuple[float, float, float, float],
    shape: tuple[int, int],
    first_row: int,
    n_pixels: int,
    pixels: NDArray[np.uint32],
    words: NDArray[np.int64],
) -> int:
    """Write pixel and word of those points of a batch that are drawn; return how many they are."""
    _locate(xy[0, start:stop], xy[1, start:stop], whole, viewport, shape, first_row, pixels)
    _word(start, codes[start:stop], marks, states[start:stop], words[: stop - start])
    return _keep(pixels, n_pixels, words[: stop - start])


@njit_or_python
def raise_top(
    xy: NDArray[np.float32],
    codes: NDArray[np.uint8],
    ranks: NDArray[np.int16],
    states: NDArray[np.uint8],
    spans: NDArray[np.int64],
    viewport: tuple[float, float, float, float],
    height: int,
    first_row: int,
    words: NDArray[np.int64],
) -> int:
    """Raise the word of each pixel to its topmost cell's, and count cells in it; return how many were drawn.

    Parameters
    ----------
    xy
        Coordinates of the points of a plane, `(2, n)`.
    codes
        Colour of each point, `(n,)`; `(0,)` gives all the last, 255.
    ranks
        Of each colour, `(256,)`: higher ones lie on top, -1 is not drawn.
    states
        1 for points that lie above all others, 2 for those that are not drawn, 0 for the rest, `(n,)`; `(0,)`: all 0.
    spans
        Where the points of the viewport are, `(m, 3)`, as of `PointIndex.spans`.
    viewport
        x low, x high, y low, y high of the whole picture, its edges included.
    height
        Of the whole picture, in pixels.
    first_row
        The row of the picture, counted from the bottom, that `words` begins with.
    words
        `(rows, width)`, zeros to begin with: the rows of the picture from `first_row` on; what lies elsewhere is left
        out.
    """
    shape, flat, marks = (height, words.shape[1]), words.reshape(-1), _marks(ranks)
    pixels, own = np.empty(BATCH, dtype=np.uint32), np.empty(BATCH, dtype=np.int64)
    n, levelled = 0, 0
    for span in range(len(spans)):
        for start in range(spans[span, 0], spans[span, 1], BATCH):
            stop, whole = min(start + BATCH, spans[span, 1]), spans[span, 2] != 0
            n_drawn = _note(
                xy, codes, marks, states, start, stop, whole, viewport, shape, first_row, len(flat), pixels, own
            )
            n += n_drawn
            stride = (n_drawn + LANES - 1) // LANES
            for lane in range(stride):
                for i in range(lane, n_drawn, stride):
                    drawn = np.uint32(i)  # an unsigned index cannot count from the end: numba adds no test
                    pixel, word = pixels[drawn], own[drawn]
                    before = flat[pixel]
                    flat[pixel] = before + (1 << COUNT) + max(word - (before & TOP), 0)
            if n - levelled >= (MOST >> COUNT) - BATCH:  # tested for each point, it would take a tenth of the time
                _level(flat)
                levelled = n
    return n


@njit_or_python
def _level(flat: NDArray[np.int64]) -> None:
    """Put back pixels that have counted beyond `MOST`."""
    for i in range(len(flat)):
        if flat[i] > MOST:
            flat[i] = MOST | (flat[i] & TOP)


@njit_or_python
def add_mixture(
    xy: NDArray[np.float32],
    codes: NDArray[np.uint8],
    colors: NDArray[np.uint8],
    ranks: NDArray[np.int16],
    states: NDArray[np.uint8],
    spans: NDArray[np.int64],
    viewport: tuple[float, float, float, float],
    height: int,
    first_row: int,
    sums: NDArray[np.int64],
) -> int:
    """Add up the colours of the cells of each pixel, of the selected ones alone where there are some.

    Parameters
    ----------
    xy, codes, ranks, states, spans, viewport, height, first_row
        As of `raise_top`.
    colors
        `(256, 3)` RGB.
    sums
        `(rows, width, 2)`, zeros to begin with, of the rows from `first_row` on: whether the cells are selected, their
        number and red in one word, green and blue in the other.

    Returns
    -------
    How many cells were drawn, with those below the selected ones.
    """
    shape, flat, marks = (height, sums.shape[1]), sums.reshape(-1, 2), _marks(ranks)
    shares = np.empty((256, 2), dtype=np.int64)
    for code in range(256):
        shares[code, 0] = (np.int64(1) << UPPER) | np.int64(colors[code, 0])
        shares[code, 1] = (np.int64(colors[code, 1]) << UPPER) | np.int64(colors[code, 2])
    pixels, own = np.empty(BATCH, dtype=np.uint32), np.empty(BATCH, dtype=np.int64)
    n = 0
    for span in range(len(spans)):
        for start in range(spans[span, 0], spans[span, 1], BATCH):
            stop, whole = min(start + BATCH, spans[span, 1]), spans[span, 2] != 0
            n_drawn = _note(
                xy, codes, marks, states, start, stop, whole, viewport, shape, first_row, len(flat), pixels, own
            )
            n += n_drawn
            stride = (n_drawn + LANES - 1) // LANES
            for lane in range(stride):
                for i in range(lane, n_drawn, stride):
                    drawn = np.uint32(i)
                    pixel, its, state = pixels[drawn], np.uint32(own[drawn] & 0xFF), own[drawn] >> SELECTED
                    first, second = flat[pixel, 0], flat[pixel, 1]
                    if state != first >> CHOSEN:
                        if not state:
                            continue
                        first, second = np.int64(1) << CHOSEN, np.int64(0)  # a selected cell covers what was added up
                    if first & COUNTED < FULL:
                        flat[pixel, 0], flat[pixel, 1] = first + shares[its, 0], second + shares[its, 1]
    return n


@njit_or_python
def divide_mixture(
    sums: NDArray[np.int64], first_row: int, words: NDArray[np.int64], mixture: NDArray[np.uint8]
) -> None:
    """Write the mean colour of each pixel, and as its word state, number of cells and, for a colour, its own number.

    Parameters
    ----------
    sums
        Of `add_mixture`, `(rows, width, 2)`.
    first_row
        As of `raise_top`; pixels are numbered through the whole picture.
    words, mixture
        `(rows, width)` and `(rows, width, 3)`; 0 where there are no cells.
    """
    n_rows, width = words.shape
    low = (np.int64(1) << UPPER) - 1
    for row in range(n_rows):
        for column in range(width):
            first, second = sums[row, column, 0], sums[row, column, 1]
            n = (first & COUNTED) >> UPPER
            if not n:
                words[row, column], mixture[row, column] = 0, 0
                continue
            mixture[row, column, 0] = np.uint8(np.rint((first & low) / n))
            mixture[row, column, 1] = np.uint8(np.rint((second >> UPPER) / n))
            mixture[row, column, 2] = np.uint8(np.rint((second & low) / n))
            pixel = (first_row + row) * width + column
            words[row, column] = (min(n, MOST >> COUNT) << COUNT) | ((first >> CHOSEN) << SELECTED) | pixel


@njit_or_python
def pick_colors(mixture: NDArray[np.uint8], words: NDArray[np.int64], picked: NDArray[np.uint8]) -> None:
    """Write the colours of those pixels of a mixture whose numbers stand in the words.

    Parameters
    ----------
    mixture
        Mean colour of each pixel of the whole picture, `(height, width, 3)`.
    words
        Of some rows, `(rows, width)`, as `divide_mixture` has them; 0, no cell, picks the colour of the first pixel.
    picked
        `(rows, width, 3)`, overwritten.
    """
    colors, flat, out = mixture.reshape(-1, 3), words.reshape(-1), picked.reshape(-1, 3)
    for i in range(len(flat)):
        pixel = np.uint32(flat[i] & ((1 << RANK) - 1))
        for channel in range(3):
            out[i, channel] = colors[pixel, channel]


@njit_or_python
def to_steps(values: NDArray[np.float32], low: float, high: float, steps: NDArray[np.uint8]) -> None:
    """Write on which of 255 equal steps from `low` to `high` each value lies, those beyond on the outermost.

    Parameters
    ----------
    values
        `(n,)`.
    low, high
        Ends of the colours, as of `ramp.Ramp`.
    steps
        `(n,)`, overwritten; 255 for NaN.
    """
    span = high - low
    for i in range(len(values)):
        value = np.float64(values[i])
        steps[i] = 255 if np.isnan(value) else np.uint8(np.rint((min(max(value, low), high) - low) / span * 254))


@njit_or_python
def to_bounded_steps(values: NDArray[np.float32], bounds: NDArray[np.float64], steps: NDArray[np.uint8]) -> None:
    """Write on which of 255 steps each value lies, as `to_steps` does, where these are not as large as each other.

    Parameters
    ----------
    values, steps
        As of `to_steps`.
    bounds
        Ends of the steps, ascending, `(255,)`, as of `ramp.Ramp`; the last is infinite.
    """
    for i in range(len(values)):
        value, step, half = np.float64(values[i]), 0, 128
        while half:  # without a branch, as fast as a logarithm
            step += half * int(bounds[np.uint32(step + half - 1)] < value)
            half >>= 1
        steps[i] = 255 if np.isnan(value) else step


@njit_or_python
def add_values(
    xy: NDArray[np.float32],
    values: NDArray[np.float32],
    states: NDArray[np.uint8],
    spans: NDArray[np.int64],
    viewport: tuple[float, float, float, float],
    height: int,
    first_row: int,
    sums: NDArray[np.float64],
    known: NDArray[np.int64],
    words: NDArray[np.int64],
) -> int:
    """Add up the values of the cells of each pixel, of the selected ones alone where there are some.

    Parameters
    ----------
    xy, states, spans, viewport, height, first_row
        As of `raise_top`.
    values
        Of each point, `(n,)`; a NaN is drawn, but not added.
    sums, known
        `(rows, width)`, zeros to begin with: the sum of the values of a pixel, and how many they are.
    words
        `(rows, width)`, zeros to begin with: the state of the pixel, and the count of the cells in its sum.

    Returns
    -------
    As `add_mixture`.
    """
    shape, pixels = (height, words.shape[1]), np.empty(BATCH, dtype=np.uint32)
    flat, flat_sums, flat_known = words.reshape(-1), sums.reshape(-1), known.reshape(-1)
    some = len(states) > 0
    n = 0
    for span in range(len(spans)):
        for start in range(spans[span, 0], spans[span, 1], BATCH):
            stop, whole = min(start + BATCH, spans[span, 1]), spans[span, 2] != 0
            _locate(xy[0, start:stop], xy[1, start:stop], whole, viewport, shape, first_row, pixels)
            for i in range(start, stop):  # one after the other: sums of floats depend on their order
                pixel, state = pixels[np.uint32(i - start)], np.int64(states[i]) if some else np.int64(0)
                if state > 1 or pixel >= len(flat):
                    continue
                before = flat[pixel]
                n += 1
                if state < (before >> SELECTED) & 1:
                    continue
                if state > (before >> SELECTED) & 1:
                    before = np.int64(0)
                    flat_sums[pixel], flat_known[pixel] = 0, 0
                flat[pixel] = min(before & ~TOP, MOST) + (1 << COUNT) | (state << SELECTED) | 1
                if not np.isnan(values[i]):
                    flat_sums[pixel] += values[i]
                    flat_known[pixel] += 1
    return n


@njit_or_python
def put_colors(codes: NDArray[np.uint8], words: NDArray[np.int64]) -> None:
    """Put a colour into the word of each pixel that has cells; higher ones lie on top, 255 below all.

    Parameters
    ----------
    codes
        Of each pixel, `(rows, width)`.
    words
        As `add_values` wrote them, `(rows, width)`; colour and its rank are put in, 0 for a pixel without cells stays.
    """
    flat, flat_codes = words.reshape(-1), codes.reshape(-1)
    for i in range(len(flat)):
        if flat[i]:
            code = np.int64(flat_codes[i])
            rank = code + 1 if code < 255 else np.int64(0)
            flat[i] = (flat[i] >> SELECTED << SELECTED) | (rank << RANK) | code


@njit_or_python
def collect(
    xy: NDArray[np.float32],
    codes: NDArray[np.uint8],
    ranks: NDArray[np.int16],
    states: NDArray[np.uint8],
    spans: NDArray[np.int64],
    viewport: tuple[float, float, float, float],
    found: NDArray[np.int64],
    words: NDArray[np.int64],
) -> int:
    """Write the points of a viewport that are drawn, and their words, in the order of the curve.

    Parameters
    ----------
    xy, codes, ranks, states, spans, viewport
        As of `raise_top`.
    found, words
        `(most,)` each, overwritten: position of each point along the curve, and its word. Further points are left out.

    Returns
    -------
    How many were written.
    """
    x_low, x_high, y_low, y_high = viewport
    some, coded, marks = len(states) > 0, len(codes) > 0, _marks(ranks)
    n = 0
    for span in range(len(spans)):
        whole = spans[span, 2] != 0
        for i in range(spans[span, 0], spans[span, 1]):
            x, y = np.float64(xy[0, i]), np.float64(xy[1, i])
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


@njit_or_python
def count_pixels(words: NDArray[np.int64], n_counts: int) -> NDArray[np.int64]:
    """Return how many pixels have each number of cells, `(n_counts,)`.

    Parameters
    ----------
    words
        `(rows, width)`, with the count of cells above the other bits.
    n_counts
        Numbers of cells that are told apart; the last stands for it and all higher ones. At 0 there are none: pixels
        without cells are not counted.
    """
    counts, flat = np.zeros((TALLIES, n_counts), dtype=np.int64), words.reshape(-1)
    for i in range(len(flat)):
        counts[np.uint32(i % TALLIES), np.uint32(min(flat[i] >> COUNT, n_counts - 1))] += 1
    counts[:, 0] = 0
    total: NDArray[np.int64] = counts.sum(axis=0)
    return total


@njit_or_python
def spread_dots(
    words: NDArray[np.int64], coverage: NDArray[np.uint8], first_row: int, spread: NDArray[np.int64]
) -> None:
    """Grow the pixel of each cell to a dot: of those that cover a pixel most the topmost word shows there.

    Parameters
    ----------
    words
        `(height, width)`, of the pixels in which cells are.
    coverage
        The dot `(k, k)`, k odd: how much of each pixel it covers, 0 to 15.
    first_row
        The row of the picture that `spread` begins with.
    spread
        `(rows, width)`, zeros to begin with, of the rows from `first_row` on: the word on top with how much it covers
        in place of its count, which makes the larger of two the one that shows.
    """
    height, width = words.shape
    reach, last_row = coverage.shape[0] // 2, first_row + spread.shape[0]
    columns, tops = np.empty(width, dtype=np.int64), np.empty(width, dtype=np.int64)
    for row in range(max(0, first_row - reach), min(height, last_row + reach)):
        n = np.uint32(0)
        for column in range(width):
            columns[n], tops[n] = column, words[row, column] & TOP
            n += np.uint32(words[row, column] != 0)
        for y in range(max(first_row, row - reach), min(last_row, row + reach + 1)):
            for right in range(-reach, reach + 1):
                step = np.int64(coverage[y - row + reach, right + reach])
                if step:
                    _raise_columns(spread[y - first_row], columns[:n], right, tops[:n], step << COUNT)


@njit_or_python
def _raise_columns(
    spread: NDArray[np.int64], columns: NDArray[np.int64], right: int, tops: NDArray[np.int64], step: np.int64
) -> None:
    """Raise a row at some columns, moved to the right: all of a row at once, as no two of them wait for each other."""
    first, last = 0, len(columns)
    while first < last and columns[first] + right < 0:
        first += 1
    while first < last and columns[last - 1] + right >= len(spread):
        last -= 1
    columns, tops = columns[first:last], tops[first:last]
    for i in range(len(columns)):
        column = np.uint32(columns[i] + right)
        spread[column] = max(spread[column], step | tops[i])


@njit_or_python
def shade(
    words: NDArray[np.int64], opacity: NDArray[np.uint8], codes: NDArray[np.uint8], alpha: NDArray[np.uint8]
) -> None:
    """Write colour and opacity of each pixel.

    Parameters
    ----------
    words
        `(rows, width)`: state, count and colour of each pixel.
    opacity
        By state and by count, `(2, n)`, the last for all higher counts; of count 0 it is 0.
    codes, alpha
        `(rows, width)`, overwritten.
    """
    n_counts, table = opacity.shape[1], opacity.reshape(-1)
    flat, flat_codes, flat_alpha = words.reshape(-1), codes.reshape(-1), alpha.reshape(-1)
    for i in range(len(flat)):
        lit, count = (flat[i] >> SELECTED) & 1, min(flat[i] >> COUNT, n_counts - 1)
        flat_alpha[i] = table[np.uint32(lit * n_counts + count)]
    for i in range(len(flat)):  # apart from the table, so that the compiler takes several at a time
        flat_codes[i] = flat[i] & 0xFF
