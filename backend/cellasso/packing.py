"""How the index packs the values of a feature: kernels that sort a block of cells by feature, pack, and unpack.

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

import struct
from typing import TYPE_CHECKING, Any

import numba
import numpy as np

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

HEADER_STRUCT = struct.Struct("<I18xH")
HEADER_SIZE = HEADER.itemsize
ROWS_AS_THEY_ARE = 16
ESCAPE = 255
"""The code of a value that the book does not have."""

BOOK = 255
"""Values in a block's book at most."""

SLOTS = 1024
"""Of the hash table of the book: 32 kB, which stays in a core's own cache."""

jit: Any = numba.njit(nogil=True, cache=True)


def bits_of(values: NDArray[Any]) -> NDArray[Any]:
    """Return the same memory as unsigned integers of the same width."""
    return values.view(np.dtype(f"u{values.dtype.itemsize}"))


@jit
def sort_by_column(indices, bits, ends, n_columns, first_row, offsets, rows, sorted_bits):
    """Sort the values of consecutive rows by column, each column's in the order they stand.

    `ends` is where each row ends among the values, `(n_rows,)`; fills `offsets` `(n_columns + 1,)`, `rows` and
    `sorted_bits` `(n_values,)`. Returns whether all indices lie within the columns; nothing is filled otherwise.
    """
    offsets[:] = 0
    for i in range(len(indices)):
        column = indices[i]
        if column < 0 or column >= n_columns:
            return False
        offsets[column + 1] += 1
    for column in range(n_columns):
        offsets[column + 1] += offsets[column]
    at = offsets.copy()
    start = 0
    for row in range(len(ends)):
        for i in range(start, ends[row]):
            place = at[indices[i]]
            at[indices[i]] = place + np.uint32(1)
            rows[place] = first_row + row
            sorted_bits[place] = bits[i]
        start = ends[row]
    return True


@jit
def sum_rows(numbers, ends, totals, n_nonzero):
    """Fill each row's sum, added in float64 in the order the values stand, and its number of values other than 0."""
    start = 0
    for row in range(len(ends)):
        total, n = 0.0, 0
        for i in range(start, ends[row]):
            total += numbers[i]
            n += numbers[i] != 0
        totals[row], n_nonzero[row] = total, n
        start = ends[row]


@jit
def sum_columns(numbers, rows, offsets, starts, first, sums, squares, n_nonzero, repeated):
    """Fill the sums, sums of squares and counts of values other than 0 of the columns from `first`.

    Values are added in float64 in the order of the rows. Values that one cell has several of count as their sum:
    `repeated` `(n_rows,)` gets how many each row has too many in `sum_rows`.
    """
    for k in range(len(sums)):
        column = first + k
        total, square, n = 0.0, 0.0, 0
        row, cell, counted = np.int64(-1), 0.0, 0
        for piece in range(len(starts)):
            for i in range(
                starts[piece] + offsets[piece, column],
                starts[piece] + offsets[piece, column + 1],
            ):
                if rows[i] != row:
                    total += cell
                    square += cell * cell
                    n += cell != 0
                    if counted > 0:
                        repeated[row] += counted - (cell != 0)
                    row, cell, counted = np.int64(rows[i]), float(numbers[i]), 0
                    counted += numbers[i] != 0
                else:
                    cell += numbers[i]
                    counted += numbers[i] != 0
        total += cell
        square += cell * cell
        n += cell != 0
        if counted > 0:
            repeated[row] += counted - (cell != 0)
        sums[k], squares[k], n_nonzero[k] = total, square, n


# -- the book: which code a value's key has ---------------------------------------------------------------


def make_book(sample: NDArray[Any]) -> tuple[int, NDArray[np.uint64]]:
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
def hash_book(book):
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


@jit
def pack_columns(bits, rows, offsets, starts, first, shift, keys, codes, out, lengths):
    """Pack the segments of the columns from `first` one after the other into `out`; fill `lengths` in bytes.

    Piece `p` of the block has its values from `starts[p]`, column `c` of it from `offsets[p, c]` on. A column without
    values has no segment. `out` has room for `packed_bound` bytes.
    """
    most = np.int64(0)
    for k in range(len(lengths)):
        n = np.int64(0)
        for piece in range(len(starts)):
            n += np.int64(offsets[piece, first + k + 1]) - np.int64(offsets[piece, first + k])
        most = max(most, n)
    gaps, of_rows = np.empty(most, dtype=np.uint16), np.empty(most, dtype=np.uint16)
    symbols, of_bits = np.empty(most, dtype=np.uint16), np.empty(most, dtype=bits.dtype)
    at = 0
    for k in range(len(lengths)):
        n = np.int64(0)
        previous, repeats = np.int64(-1), 0
        for piece in range(len(starts)):
            for i in range(
                starts[piece] + offsets[piece, first + k],
                starts[piece] + offsets[piece, first + k + 1],
            ):
                row = np.int64(rows[i])
                repeats |= row == previous
                of_rows[n] = row
                gaps[n] = row - previous - 1
                previous = row
                of_bits[n] = bits[i]
                symbols[n] = _code(np.uint64(bits[i]) >> np.uint64(shift), keys, codes)
                n += 1
        before = at
        if n:
            at = _pack(of_rows, gaps, symbols, of_bits, n, repeats, shift, out, at)
        lengths[k] = at - before


def packed_bound(n_values: int, n_columns: int, itemsize: int) -> int:
    """Return how many bytes the segments of some columns take at most."""
    return n_values * (2 + 1 + 1 + itemsize) + n_columns * (HEADER.itemsize + 8)


@jit
def _pack(of_rows, gaps, symbols, of_bits, n, repeats, shift, out, at):
    header = at
    at += HEADER_SIZE
    row_width, row_bytes, row_wide = _cheapest(gaps, n)
    if repeats or row_bytes + 2 * row_wide + n * row_width // 8 > 2 * n:
        row_width, row_bytes, row_wide = ROWS_AS_THEY_ARE, 0, n
        at = _put_words(of_rows, n, out, at)
    else:
        at = _put_lanes(gaps, n, row_width, out, at)
        for i in range(n):
            if gaps[i] >= 255:
                out[at], out[at + 1] = gaps[i] & 255, gaps[i] >> 8
                at += 2
    value_width, value_bytes, value_wide = _cheapest(symbols, n)
    at = _put_lanes(symbols, n, value_width, out, at)
    itemsize = of_bits.itemsize
    if value_wide:
        for i in range(n):
            if symbols[i] == 255:
                at = _put(np.uint64(of_bits[i]) >> np.uint64(shift), itemsize - shift // 8, out, at)
    if shift:
        for i in range(n):
            at = _put(np.uint64(of_bits[i]), shift // 8, out, at)
    for number in (n, row_bytes, row_wide, value_bytes, value_wide):
        header = _put(np.uint64(number), 4, out, header)
    out[header], out[header + 1], out[header + 2], out[header + 3] = row_width, value_width, repeats, 0
    return at


@jit
def _cheapest(symbols, n):
    """Return the width that takes the fewest bytes, and with it the numbers in the byte lane and the wide lane."""
    over_1, over_2, over_4, wide = 0, 0, 0, 0  # how many do not fit 1, 2 and 4 bits
    for i in range(n):
        symbol = symbols[i]
        over_1 += symbol >= 1
        over_2 += symbol >= 3
        over_4 += symbol >= 15
        wide += symbol >= 255
    if over_1 == 0:
        return 0, 0, 0
    best, n_bytes = 8, 0
    for width, over in ((1, over_1), (2, over_2), (4, over_4)):
        if (n * width + 7) // 8 + over < (n * best + 7) // 8 + n_bytes:
            best, n_bytes = width, over
    return best, n_bytes, wide


@jit
def _put_lanes(symbols, n, width, out, at):
    if width == 8:
        for i in range(n):
            out[at + i] = min(symbols[i], np.uint16(255))
        return at + n
    if width == 0:
        return at
    escape = np.uint16((1 << width) - 1)
    each = 8 // width
    byte = at + (n + each - 1) // each
    i = 0
    for place in range(at, byte):
        packed, used = np.uint16(0), np.uint16(0)
        for k in range(i, min(i + each, n)):
            symbol = symbols[k]
            # written always, kept only where it is needed: a branch would be guessed wrong too often
            out[byte] = min(symbol, np.uint16(255))
            byte += symbol >= escape
            packed |= min(symbol, escape) << used
            used += np.uint16(width)
        out[place] = packed
        i += each
    return byte


@jit
def _put_words(words, n, out, at):
    for i in range(n):
        out[at], out[at + 1] = words[i] & 255, words[i] >> 8
        at += 2
    return at


@jit
def _put(number, n_bytes, out, at):
    for _ in range(n_bytes):
        out[at] = number & np.uint64(255)
        number >>= np.uint64(8)
        at += 1
    return at


def header_of(segment: bytes) -> tuple[int, int]:
    """Return how many values a segment has, and whether a row has several of them."""
    n_values, repeats = HEADER_STRUCT.unpack_from(segment)
    return n_values, repeats


# -- unpacking --------------------------------------------------------------------------------------------


@jit
def unpack(segment, book, shift, n_rows, rows, bits):
    """Fill the rows, below `n_rows`, and the values' bits of a segment, `(n_values,)`; return whether it was whole.

    Nothing outside of the arrays is touched whatever the bytes are: a checksum tells the owner of a file from chance,
    not from malice.
    """
    n = len(rows)
    row_bytes, row_wide, value_bytes, value_wide = (
        _get(segment, 4, 4),
        _get(segment, 8, 4),
        _get(segment, 12, 4),
        _get(segment, 16, 4),
    )
    row_width, value_width = np.int64(segment[20]), np.int64(segment[21])
    as_they_are = row_width == ROWS_AS_THEY_ARE and row_wide == n and row_bytes == 0
    if not (as_they_are or row_width <= 8) or value_width > 8:
        return False
    key_bytes = bits.itemsize - shift // 8
    row_byte = HEADER_SIZE + (0 if as_they_are else (n * row_width + 7) // 8)
    wide = row_byte + row_bytes
    values = wide + 2 * row_wide
    value_byte = values + (n * value_width + 7) // 8
    keys = value_byte + value_bytes
    lower = keys + key_bytes * value_wide
    if lower + n * (shift // 8) != len(segment):
        return False
    if as_they_are:
        for i in range(n):
            rows[i] = _get(segment, wide + 2 * i, 2)
            if rows[i] >= n_rows:
                return False
    elif not _unpack_rows(segment, row_width, row_byte, wide, values, n_rows, rows):
        return False
    return _unpack_values(segment, value_width, values, value_byte, keys, lower, book, shift, bits)


@jit
def _unpack_rows(segment, width, byte, wide, end, n_rows, rows):
    first_wide = wide
    row = np.int64(-1)
    for i in range(len(rows)):
        gap, byte = _next(segment, HEADER_SIZE, i, width, byte, first_wide)
        if gap == ESCAPE:
            if wide >= end:
                return False
            gap = _get(segment, wide, 2)
            wide += 2
        if gap < 0:
            return False
        row += gap + 1
        if row >= n_rows:
            return False
        rows[i] = row
    return True


@jit
def _unpack_values(segment, width, lane, byte, wide, lower, book, shift, bits):
    first_wide, first_lower = wide, lower
    key_bytes = bits.itemsize - shift // 8
    for i in range(len(bits)):
        code, byte = _next(segment, lane, i, width, byte, first_wide)
        if code == ESCAPE:
            if wide >= first_lower:
                return False
            key = np.uint64(_get(segment, wide, key_bytes))
            wide += key_bytes
        elif 0 <= code < len(book):
            key = book[code]
        else:
            return False
        if shift:
            key = (key << np.uint64(shift)) | np.uint64(_get(segment, lower, shift // 8))
            lower += shift // 8
        bits[i] = key
    return True


@jit
def _next(segment, lane, i, width, byte, end):
    """Return number `i` of a stream and where its byte lane goes on; -1 when that ends before."""
    if width == 0:
        return np.int64(0), byte
    mask = (1 << width) - 1
    number = (np.int64(segment[lane + i * width // 8]) >> (i * width % 8)) & mask
    if number < mask or width == 8:
        return number, byte
    if byte >= end:
        return np.int64(-1), byte
    return np.int64(segment[byte]), byte + 1


@jit
def _get(segment, at, n_bytes):
    number = np.uint64(0)
    for i in range(n_bytes):
        number |= np.uint64(segment[at + i]) << np.uint64(8 * i)
    return np.int64(number)
