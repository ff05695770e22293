"""Kernels that sort the values of a block of cells by feature, and add them up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cellasso.core.compiled import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

NARROW = np.dtype(np.uint16)
"""What whole numbers up to 65,535, such as counts, are sorted as: half of the memory, and sums need no order."""

N_NARROW = 1 << 16

jit: Any = njit


def bits_of(values: NDArray[Any]) -> NDArray[Any]:
    """Return the same memory as unsigned integers of the same width."""
    return values.view(np.dtype(f"u{values.dtype.itemsize}"))


def bits_of_narrow(dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return the bits that a value of this dtype has for each narrow number, `(N_NARROW,)`."""
    with np.errstate(over="ignore"):  # float16 ends before; `narrow` has let none of those numbers through
        numbers = np.arange(N_NARROW).astype(np.uint8 if dtype.kind == "b" else dtype)
    return bits_of(numbers)


# -- sorting ----------------------------------------------------------------------------------------------


@jit
def count_columns(indices, n_columns, columns, offsets):
    """Copy consecutive indices to `columns`, and count those of column `c` in `offsets[c + 1]`.

    Parameters
    ----------
    indices
        `(n_values,)`, signed.
    n_columns
        The indices have to lie within 0 and this.
    columns
        `(n_values,)`, unsigned; filled.
    offsets
        `(n_columns + 1,)` uint32; counts are added to what is there.

    Returns
    -------
    Whether all indices lie within the columns; nothing is counted otherwise.
    """
    inside = True
    for i in range(len(indices)):
        index = indices[i]
        inside &= (index >= 0) & (index < n_columns)
        columns[i] = index
    if inside:
        for i in range(len(columns)):
            offsets[np.uint64(columns[i]) + np.uint64(1)] += np.uint32(1)
    return inside


@jit
def narrow(numbers, bits, out):
    """Fill `out` with the values as narrow numbers; return whether each of them is one, to the bit.

    Parameters
    ----------
    numbers
        The values, `(n_values,)`; -0.0, NaN, fractions and what lies outside of 0 to 65,535 are no narrow numbers.
    bits
        The same memory as unsigned integers.
    out
        `(n_values,)` uint16; where a value is none, what is written means nothing.
    """
    fit = True
    for i in range(len(numbers)):
        number = numbers[i]
        inside = (number >= 0) & (number < N_NARROW)
        whole = np.int32(number if inside else 0)
        fit &= inside & (number == whole) & ((whole != 0) | (bits[i] == 0))
        out[i] = whole
    return fit


@jit
def sort_by_column(columns, values, ends, first_row, offsets, rows, sorted_values):
    """Sort the values of consecutive rows by column, each column's in the order they stand.

    Parameters
    ----------
    columns, values
        Column and bits of each value, row after row, `(n_values,)`.
    ends
        Where each row ends among the values, `(n_rows,)`.
    first_row
        Number of the first row in the block.
    offsets
        `(n_columns + 1,)` uint32: the counts of `count_columns`; becomes where each column begins.
    rows, sorted_values
        `(n_values,)`, filled: row in the block (uint16) and bits of each value, column after column.
    """
    for column in range(1, len(offsets)):
        offsets[column] += offsets[column - 1]
    at = offsets.copy()
    start = 0
    for k in range(len(ends)):
        row = np.uint16(first_row + k)
        for i in range(start, ends[k]):
            column = columns[i]
            place = at[column]
            at[column] = place + np.uint32(1)
            rows[place] = row
            sorted_values[place] = values[i]
        start = ends[k]


# -- sums -------------------------------------------------------------------------------------------------


@jit
def sum_rows(numbers, ends, totals, n_nonzero):
    """Fill each row's sum, added in float64 in the order the values stand, and its number of values other than 0.

    Parameters
    ----------
    numbers
        The values, row after row, `(n_values,)`.
    ends
        Where each row ends among them, `(n_rows,)`.
    totals, n_nonzero
        `(n_rows,)`, float64 and int64; overwritten. A NaN makes a total NaN, and counts as other than 0.
    """
    start = 0
    for row in range(len(ends)):
        total, n = 0.0, 0
        for i in range(start, ends[row]):
            total += numbers[i]
            n += numbers[i] != 0
        totals[row], n_nonzero[row] = total, n
        start = ends[row]


@jit
def sum_narrow_rows(numbers, ends, totals, n_nonzero):
    """Fill the same as `sum_rows` of narrow numbers; exact, so that their order does not matter.

    Parameters
    ----------
    numbers
        Narrow numbers, row after row, `(n_values,)`.
    ends, totals, n_nonzero
        As of `sum_rows`.
    """
    start = 0
    for row in range(len(ends)):
        total, n = np.uint64(0), np.uint64(0)
        own = numbers[start : ends[row]]
        for i in range(len(own)):
            total += np.uint64(own[i])
            n += np.uint64(own[i] != 0)
        totals[row], n_nonzero[row] = total, n
        start = ends[row]
