"""Sorting a block by feature: what is noticed of its indices, which values are narrow."""

from __future__ import annotations

import numpy as np
import pytest

from cellasso.column_index.kernels import sorting
from cellasso.stats.group_summary import as_numbers

pytestmark = pytest.mark.loops

N_COLUMNS = 3


@pytest.mark.parametrize("bad", [-1, N_COLUMNS, 1 << 16, (1 << 16) + 1])
@pytest.mark.parametrize("dtype", ["i4", "i8"])
def test_an_index_beyond_the_columns_is_noticed(bad, dtype):
    columns, offsets = np.zeros(2, np.uint16), np.zeros(N_COLUMNS + 1, np.uint32)
    assert not sorting.count_columns(np.array([0, bad], dtype=dtype), N_COLUMNS, columns, offsets)
    assert not offsets.any()


@pytest.mark.parametrize(
    ("dtype", "values", "expected"),
    [
        ("f4", [0, 1, 255, 256, 65_535], True),
        ("f8", [0, 1, 65_535], True),
        ("f2", [0, 1, 2_048], True),
        ("i8", [0, 65_535], True),
        ("u8", [0, 65_535], True),
        ("u1", [0, 255], True),
        ("?", [False, True], True),
        ("f4", [1, 0.5], False),
        ("f4", [1, 65_535.5], False),
        ("f8", [1, 1 + 1e-15], False),
        ("f4", [1, 65_536], False),
        ("f4", [1, 2.0**32 + 1], False),
        ("f4", [1, -1], False),
        ("f4", [1, -0.0], False),
        ("f2", [1, -0.0], False),
        ("f4", [1, np.nan], False),
        ("f4", [1, np.inf], False),
        ("f4", [1, -np.inf], False),
        ("i8", [1, 1 << 32], False),
        ("i8", [1, -(1 << 48)], False),
        ("u8", [1, (1 << 64) - 1], False),
        ("i1", [1, -1], False),
    ],
)
def test_narrow_numbers_are_those_that_come_back_bit_for_bit(dtype, values, expected):
    stored = np.array(values, dtype=dtype)
    out = np.empty(len(stored), dtype=sorting.NARROW)
    assert sorting.narrow(as_numbers(stored), sorting.bits_of(stored), out) == expected
    if expected:
        found = sorting.bits_of_narrow(stored.dtype)[out]
        np.testing.assert_array_equal(found, sorting.bits_of(stored))
