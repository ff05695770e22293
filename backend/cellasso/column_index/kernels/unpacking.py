"""How the values of a feature come out of a segment of the index, whatever its bytes are; its layout: see `packing`."""

from __future__ import annotations

import struct

import numpy as np

from cellasso.column_index.kernels.packing import ESCAPE, HEADER_SIZE, ROWS_AS_THEY_ARE, jit

HEADER_STRUCT = struct.Struct("<I18xH")


def header_of(segment: bytes) -> tuple[int, int]:
    """Return how many values a segment has, and whether a row has several of them."""
    n_values, repeats = HEADER_STRUCT.unpack_from(segment)
    return n_values, repeats


@jit
def unpack(segment, book, shift, n_rows, rows, bits):
    """Fill the rows and the values' bits of a segment; return whether it was whole.

    Nothing outside of the arrays is touched whatever the bytes are: a checksum finds damage by chance, but not a file
    that was made to do harm.

    Parameters
    ----------
    segment
        Its bytes, `(n_bytes,)` uint8, with a whole header.
    book, shift
        The book of the block, and how many lower bits of a value follow as they are.
    n_rows
        Of the block; a row that is not below it makes the segment damaged.
    rows
        `(n_values,)` int32, as many as `header_of` says; filled.
    bits
        `(n_values,)`, unsigned, as wide as the values; filled.
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
