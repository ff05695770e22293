"""How the index packs the values of a feature: kernels that pack the sorted values of a block.

A *segment* holds one feature's values in a block of cells, in the order of the cells. Two streams of small numbers
make it up: the gaps between the rows (`row - previous row - 1`), and the codes of the values in the block's book
of its 255 most frequent values. Both streams are packed alike, each in the cheapest of a few widths:

- 0, 1, 2 or 4 bits a number, all ones meaning that the number is in the byte lane,
- 8 bits a number (the byte lane alone), 255 meaning that it is in the wide lane,
- 16 bits a number, for rows only: the rows themselves, which may repeat.

A wide row is the gap itself, 2 bytes; a wide value is the value's bits. Where most values are wide (log-normalised
ones) the book holds their upper 16 bits only, and the lower bytes follow as they are.

Measured on a block of 2**25 counts (24,500 cells by 30,000 genes), warm, genes of 147 / 2,768 / 17,193 cells: this
takes 0.94 bytes a value and 10 / 30 / 136 microseconds. HDF5 with rows as uint16 and values as uint8 in chunks of
16,384: Blosc-LZ4 1.57 bytes, 21 / 29 / 87 microseconds in a file that is kept open, 600 more to open it;
Blosc-Zstandard 1.13 bytes, gzip 1.18, reading two to five times slower than LZ4. A read through HDF5 also waits for
the lock of the process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cellasso.core.compiled import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

HEADER = np.dtype(
    [
        ("n_values", "<u4"),
        ("row_bytes", "<u4"),
        ("row_wide", "<u4"),
        ("value_bytes", "<u4"),
        ("value_wide", "<u4"),
        ("row_width", "u1"),
        ("value_width", "u1"),
        ("repeats", "<u2"),
    ]
)
"""Begins each segment: how many values it has, and how long its lanes are (bytes and wide numbers)."""

HEADER_SIZE = HEADER.itemsize
ROWS_AS_THEY_ARE = 16
ESCAPE = 255
"""The code of a value that the book does not have."""

BOOK = 255
"""Values in a block's book at most."""

SLOTS = 1024
"""Of the hash table of the book: 32 kB, which stays in a core's own cache."""

jit: Any = njit
"""Kernels call none of other modules: Numba's cache would go on with the old ones when only those change."""


# -- the book: which code a value's key has ---------------------------------------------------------------


def build_codebook(sample: NDArray[Any]) -> tuple[int, NDArray[np.uint64]]:
    """Choose what the codes of a block stand for, from the bits of some of its values.

    Returns
    -------
    shift
        0 when a code stands for a whole value; else how many lower bits of it follow as they are.
    book
        The keys (`bits >> shift`) by code, most frequent first.
    """
    itemsize = sample.dtype.itemsize
    best = _frequent(sample)
    if itemsize <= 2:
        return 0, best[0]
    split = 8 * (itemsize - 2)
    upper = _frequent(sample >> sample.dtype.type(split))
    bytes_whole, bytes_split = best[1] * itemsize, itemsize - 2 + 0.5 + upper[1] * 2
    return (split, upper[0]) if bytes_split < bytes_whole else (0, best[0])


def _frequent(keys: NDArray[Any]) -> tuple[NDArray[np.uint64], float]:
    """Return the most frequent keys, and the fraction of others."""
    found, counts = np.unique(keys, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:BOOK]
    return found[order].astype(np.uint64), 1 - counts[order].sum() / max(1, len(keys))


@jit
def _hash_book(book):
    """Return the hash table of a book: keys and their codes, `(SLOTS,)` each; free slots have the escape's code."""
    keys = np.zeros(SLOTS, dtype=np.uint64)
    codes = np.full(SLOTS, ESCAPE, dtype=np.uint8)
    for code in range(len(book)):
        slot = _slot(book[code])
        while codes[slot] != ESCAPE:
            slot = (slot + 1) % SLOTS
        keys[slot], codes[slot] = book[code], code
    return keys, codes


@jit
def _slot(key):
    return np.int64((np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(54))


@jit
def _code(key, keys, codes):
    slot = _slot(key)
    while codes[slot] != ESCAPE:
        if keys[slot] == key:
            return codes[slot]
        slot = (slot + 1) % SLOTS
    return np.uint8(ESCAPE)


# -- packing ----------------------------------------------------------------------------------------------


class Codebook(NamedTuple):
    """How the values of a block become codes.

    Attributes
    ----------
    shift
        How many lower bits of a value follow as they are.
    keys, codes
        A hash table: the code of each key, `bits >> shift`.
    narrow_codes, narrow_bits
        The code and the bits of each narrow number, `(N_NARROW,)`, where the block is sorted as such; else nothing.
    """

    shift: int
    keys: NDArray[np.uint64]
    codes: NDArray[np.uint8]
    narrow_codes: NDArray[np.uint8]
    narrow_bits: NDArray[Any]


def open_codebook(shift: int, book: NDArray[np.uint64], narrow_bits: NDArray[Any]) -> Codebook:
    """Return how to look up the codes of a book.

    Parameters
    ----------
    shift, book
        As `build_codebook` returns them.
    narrow_bits
        As of `sorting.bits_of_narrow` where the values of the block are sorted as narrow numbers; `(0,)`, of the
        unsigned dtype as wide as the values, where they are sorted as their bits.
    """
    keys, codes = _hash_book(book)
    narrow_codes = np.empty(len(narrow_bits), dtype=np.uint8)
    _look_up(narrow_bits, shift, keys, codes, narrow_codes)
    return Codebook(shift, keys, codes, narrow_codes, narrow_bits)


@jit
def _look_up(bits, shift, keys, codes, out):
    for i in range(len(bits)):
        out[i] = _code(np.uint64(bits[i]) >> np.uint64(shift), keys, codes)


@jit
def pack_columns(rows, values, numbers, offsets, starts, first, book, out, lengths, sums, squares, n_nonzero, repeated):
    """Pack the segments of the columns from `first` one after the other into `out`, and add the columns up.

    Parameters
    ----------
    rows, values, offsets, starts
        The sorted values of a block, see `_gather`: as narrow numbers if the book has those, else bits.
    numbers
        The same memory as `values`, as numbers that can be added up.
    first
        The first of the columns; as many are packed as `lengths` has room for.
    book
        A `Codebook`.
    out
        Uint8, with room for `packed_bound` bytes.
    lengths, sums, squares, n_nonzero
        `(n_columns,)` each, filled: the length of a column's segment in bytes, 0 for a column without values, and
        the sums of `sum_column`.
    repeated
        As of `sum_repeated_column`.
    """
    most = np.int64(0)
    for k in range(len(lengths)):
        n = np.int64(0)
        for piece in range(len(starts)):
            n += np.int64(offsets[piece, first + k + 1]) - np.int64(offsets[piece, first + k])
        most = max(most, n)
    all_rows, all_gaps = np.empty(most, dtype=np.uint16), np.empty(most, dtype=np.uint16)
    all_values, all_numbers = np.empty(most, dtype=values.dtype), np.empty(most, dtype=numbers.dtype)
    all_symbols = np.empty(most, dtype=np.uint8)
    is_narrow = len(book.narrow_bits) > 0
    at = 0
    for k in range(len(lengths)):
        n = _gather(first + k, offsets, starts, rows, all_rows)
        if n == 0:
            lengths[k], sums[k], squares[k], n_nonzero[k] = 0, 0, 0, 0
            continue
        _gather(first + k, offsets, starts, values, all_values)
        of_rows, of_values, gaps, symbols = all_rows[:n], all_values[:n], all_gaps[:n], all_symbols[:n]
        repeats = _find_gaps(of_rows, gaps, symbols)
        if repeats or not is_narrow:
            _gather(first + k, offsets, starts, numbers, all_numbers)
        if repeats:
            sums[k], squares[k], n_nonzero[k] = sum_repeated_column(of_rows, all_numbers[:n], repeated)
        elif is_narrow:
            sums[k], squares[k], n_nonzero[k] = sum_narrow_column(of_values)
        else:
            sums[k], squares[k], n_nonzero[k] = sum_column(all_numbers[:n])
        header, before = out[at : at + HEADER_SIZE], at
        at = _pack_rows(of_rows, gaps, symbols, repeats, out, at + HEADER_SIZE, header)
        if is_narrow:
            for i in range(n):
                symbols[i] = book.narrow_codes[of_values[i]]
        else:
            _look_up(of_values, book.shift, book.keys, book.codes, symbols)
        at = _pack_values(symbols, of_values, book, out, at, header)
        _put(np.uint64(n), 4, header, 0)
        header[22], header[23] = repeats, 0
        lengths[k] = at - before


def packed_bound(n_values: int, n_columns: int, itemsize: int) -> int:
    """Return how many bytes the segments of some columns take at most, whatever their values.

    Parameters
    ----------
    n_values
        Stored values of all these columns together.
    n_columns
        How many columns.
    itemsize
        Bytes of a value.
    """
    return n_values * (2 + 1 + 1 + itemsize) + n_columns * (HEADER.itemsize + 8)


@jit
def _gather(column, offsets, starts, values, out):
    """Copy the values of a column from all pieces of a block to the beginning of `out`; return how many there are.

    Piece `p` has its values from `starts[p]` on, column `c` of it from `offsets[p, c]` on.
    """
    n = np.uint64(0)
    for piece in range(len(starts)):
        start = starts[piece] + offsets[piece, column]
        length = np.uint64(offsets[piece, column + 1] - offsets[piece, column])
        for i in range(length):
            out[n + i] = values[start + i]
        n += length
    return np.int64(n)


@jit
def _find_gaps(rows, gaps, symbols):
    """Fill the gaps, and each gap cut off at `ESCAPE`; return whether a row repeats."""
    gaps[0] = rows[0]
    before, after, between = rows[:-1], rows[1:], gaps[1:]
    repeats = False
    for i in range(len(between)):
        between[i] = after[i] - before[i] - np.uint16(1)
        repeats |= after[i] == before[i]
    for i in range(len(gaps)):
        symbols[i] = min(gaps[i], np.uint16(ESCAPE))
    return repeats


@jit
def _pack_rows(rows, gaps, symbols, repeats, out, at, header):
    n = len(rows)
    width, n_bytes, n_wide = _cheapest(symbols)
    as_they_are = repeats or n_bytes + 2 * n_wide + n * width // 8 > 2 * n
    if as_they_are:
        width, n_bytes, n_wide = ROWS_AS_THEY_ARE, 0, n
    else:
        at = _put_lanes(symbols, width, out, at)
    if n_wide:
        for i in range(n):
            if as_they_are:
                out[at], out[at + 1] = rows[i] & 255, rows[i] >> 8
                at += 2
            elif symbols[i] == ESCAPE:
                out[at], out[at + 1] = gaps[i] & 255, gaps[i] >> 8
                at += 2
    _put(np.uint64(n_bytes), 4, header, 4)
    _put(np.uint64(n_wide), 4, header, 8)
    header[20] = width
    return at


@jit
def _pack_values(symbols, values, book, out, at, header):
    width, n_bytes, n_wide = _cheapest(symbols)
    at = _put_lanes(symbols, width, out, at)
    if n_wide:
        for i in range(len(symbols)):
            if symbols[i] == ESCAPE:
                key_bytes = book.narrow_bits.itemsize - book.shift // 8
                at = _put(_bits(values[i], book) >> np.uint64(book.shift), key_bytes, out, at)
    if book.shift:
        for i in range(len(symbols)):
            at = _put(_bits(values[i], book), book.shift // 8, out, at)
    _put(np.uint64(n_bytes), 4, header, 12)
    _put(np.uint64(n_wide), 4, header, 16)
    header[21] = width
    return at


@jit
def _bits(value, book):
    return np.uint64(book.narrow_bits[value]) if len(book.narrow_bits) else np.uint64(value)


@jit
def _cheapest(symbols):
    """Return the width that takes the fewest bytes, and with it the numbers in the byte lane and the wide lane."""
    n = len(symbols)
    over_1, over_2, over_4, wide = 0, 0, 0, 0  # how many do not fit 1, 2 and 4 bits
    for first in range(0, n, 4096):  # counts of 16 bits, so that sixteen are counted at a time
        part = symbols[first : min(n, first + 4096)]
        some_1, some_2, some_4, some_wide = np.uint16(0), np.uint16(0), np.uint16(0), np.uint16(0)
        for i in range(len(part)):
            some_1 = np.uint16(some_1 + np.uint16(part[i] >= 1))
            some_2 = np.uint16(some_2 + np.uint16(part[i] >= 3))
            some_4 = np.uint16(some_4 + np.uint16(part[i] >= 15))
            some_wide = np.uint16(some_wide + np.uint16(part[i] >= ESCAPE))
        over_1, over_2, over_4, wide = (
            over_1 + int(some_1),
            over_2 + int(some_2),
            over_4 + int(some_4),
            wide + int(some_wide),
        )
    if over_1 == 0:
        return 0, 0, 0
    best, n_bytes = 8, 0
    for width, over in ((1, over_1), (2, over_2), (4, over_4)):
        if (n * width + 7) // 8 + over < (n * best + 7) // 8 + n_bytes:
            best, n_bytes = width, over
    return best, n_bytes, wide


@jit
def _put_lanes(symbols, width, out, at):
    n = len(symbols)
    if width == 0:
        return at
    if width == 8:
        lane = out[at : at + n]
        for i in range(n):
            lane[i] = symbols[i]
        return at + n
    each, escape = 8 // width, np.uint8((1 << width) - 1)
    n_whole = n // each
    lane = out[at : at + n_whole]
    # written out for each width: a loop over the numbers of a byte takes twice as long
    if width == 4:
        for i in range(n_whole):
            lane[i] = _lower(symbols, 2 * i, escape, 4)
    elif width == 2:
        for i in range(n_whole):
            lane[i] = _lower(symbols, 4 * i, escape, 2) | (_lower(symbols, 4 * i + 2, escape, 2) << 4)
    else:
        for i in range(n_whole):
            lower = _lower(symbols, 8 * i, escape, 1) | (_lower(symbols, 8 * i + 2, escape, 1) << 2)
            upper = _lower(symbols, 8 * i + 4, escape, 1) | (_lower(symbols, 8 * i + 6, escape, 1) << 2)
            lane[i] = lower | (upper << 4)
    byte = np.uint64(at + n_whole)
    if n_whole * each < n:
        rest = 0
        for i in range(n_whole * each, n):
            rest |= min(symbols[i], escape) << (width * (i - n_whole * each))
        out[byte] = rest
        byte += np.uint64(1)
    for i in range(n):
        # written for each number, kept where it does not fit: a branch would be mispredicted too often
        out[byte] = symbols[i]
        byte += np.uint64(symbols[i] >= escape)
    return np.int64(byte)


@jit
def _lower(symbols, i, escape, width):
    """Return two numbers side by side."""
    return min(symbols[i], escape) | (min(symbols[i + 1], escape) << width)


@jit
def _put(number, n_bytes, out, at):
    for _ in range(n_bytes):
        out[at] = number & np.uint64(255)
        number >>= np.uint64(8)
        at += 1
    return at


# -- sums -------------------------------------------------------------------------------------------------


@jit
def sum_column(numbers):
    """Return the sum, the sum of squares and the number of values other than 0, added in float64 in their order."""
    total, square, n = 0.0, 0.0, 0
    for i in range(len(numbers)):
        number = np.float64(numbers[i])
        total += number
        square += number * number
        n += number != 0
    return total, square, n


@jit
def sum_narrow_column(numbers):
    """Return the same as `sum_column` of narrow numbers; exact, so that their order does not matter."""
    total, square, n = np.uint64(0), np.uint64(0), np.uint64(0)
    for i in range(len(numbers)):
        number = np.uint64(numbers[i])
        total += number
        square += number * number
        n += np.uint64(number != 0)
    return float(total), float(square), np.int64(n)


@jit
def sum_repeated_column(rows, numbers, repeated):
    """Return the same as `sum_column` where a cell may have several values, which count as their sum.

    Parameters
    ----------
    rows
        Row of each value in the block, ascending, `(n_values,)`.
    numbers
        The values, `(n_values,)`.
    repeated
        `(n_rows,)` int64; to each row is added by how much `sorting.sum_rows` has counted too many of its values
        other than 0.
    """
    total, square, n = 0.0, 0.0, 0
    i = 0
    while i < len(rows):
        row, cell, counted = rows[i], 0.0, 0
        while i < len(rows) and rows[i] == row:
            cell += numbers[i]
            counted += numbers[i] != 0
            i += 1
        total += cell
        square += cell * cell
        n += cell != 0
        repeated[row] += counted - (cell != 0)
    return total, square, n
