"""Packing: whatever the values and the cells they are in, a segment gives them back bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from cellasso.column_index.kernels import packing, sorting, unpacking
from cellasso.stats.group_summary import as_numbers

pytestmark = pytest.mark.loops

N_ROWS = 1000
VALUES = {
    "ones": lambda rng, n: np.ones(n, dtype="f4"),
    "counts": lambda rng, n: rng.poisson(2, n).astype("f4"),
    "large counts": lambda rng, n: rng.integers(0, 5000, n).astype("i4"),
    "log-normalised": lambda rng, n: np.log1p(rng.random(n) * 9).astype("f4"),
    "float64": lambda rng, n: rng.normal(size=n),
    "float16": lambda rng, n: rng.normal(size=n).astype("f2"),
    "int64": lambda rng, n: rng.integers(-(2**62), 2**62, n),
    "uint16": lambda rng, n: rng.integers(0, 2**16, n).astype("u2"),
    "bytes": lambda rng, n: rng.integers(0, 256, n).astype("u1"),
    "odd": lambda rng, n: rng.choice(np.array([np.nan, np.inf, -np.inf, -0.0, 0.0, 1e-45], dtype="f4"), n),
}
DENSITIES = {"full": 1.0, "half": 0.5, "tenth": 0.1, "rare": 0.002, "never": 0.0}


def sort_and_pack(indptr, indices, values, n_columns, *, is_narrow=False):
    """Return the segments by column, the shift and the book."""
    n = len(values)
    offsets = np.zeros((1, n_columns + 1), dtype=np.uint32)
    columns, rows = np.empty(n, dtype=np.uint16), np.empty(n, dtype=np.uint16)
    assert sorting.count_columns(indices, n_columns, columns, offsets[0])
    stored, narrow_bits = values, np.empty(0, dtype=f"u{values.itemsize}")
    if is_narrow:
        stored, narrow_bits = np.empty(n, dtype=sorting.NARROW), sorting.bits_of_narrow(values.dtype)
        assert sorting.narrow(values, sorting.bits_of(values), stored)
    sorted_values = np.empty(n, dtype=stored.dtype)
    ends = indptr[1:].astype(np.int64)
    sorting.sort_by_column(columns, sorting.bits_of(stored), ends, 0, offsets[0], rows, sorting.bits_of(sorted_values))
    bits = sorting.bits_of(sorted_values)
    shift, book = packing.build_codebook(narrow_bits[bits] if is_narrow else bits)
    out = np.empty(packing.packed_bound(n, n_columns, values.itemsize), dtype=np.uint8)
    lengths, n_nonzero = (np.zeros(n_columns, dtype=np.int64) for _ in range(2))
    sums, squares, repeated = np.zeros(n_columns), np.zeros(n_columns), np.zeros(len(ends), dtype=np.int64)
    codebook, starts = packing.open_codebook(shift, book, narrow_bits), np.zeros(1, dtype=np.uint64)
    results = out, lengths, sums, squares, n_nonzero, repeated
    packing.pack_columns(rows, bits, as_numbers(sorted_values), offsets, starts, 0, codebook, *results)
    return np.split(out[: lengths.sum()], np.cumsum(lengths)[:-1]), shift, book


def unpack(segment, book, shift, dtype):
    n = int(segment[: packing.HEADER.itemsize].view(packing.HEADER)[0]["n_values"]) if len(segment) else 0
    rows, bits = np.empty(n, dtype=np.int32), np.empty(n, dtype=f"u{np.dtype(dtype).itemsize}")
    if n:
        assert unpacking.unpack(segment, book, shift, 2**16, rows, bits)
    return rows, bits.view(dtype)


@pytest.mark.parametrize("make", VALUES.values(), ids=VALUES)
def test_segments_give_back_rows_and_values_bit_for_bit(make):
    rng = np.random.default_rng(0)
    columns = [np.flatnonzero(rng.random(N_ROWS) < density) for density in DENSITIES.values()]
    row = np.concatenate(columns)
    column = np.repeat(np.arange(len(columns)), [len(rows) for rows in columns])
    order = np.argsort(row, kind="stable")
    values = make(rng, len(row))
    indptr = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=N_ROWS))])
    segments, shift, book = sort_and_pack(indptr, column[order].astype(np.int32), values, len(columns))
    for k, expected in enumerate(columns):
        rows, found = unpack(segments[k], book, shift, values.dtype)
        np.testing.assert_array_equal(rows, expected)
        assert found.tobytes() == values[column[order] == k].tobytes()


@pytest.mark.parametrize("name", ["ones", "counts", "large counts", "uint16", "bytes"])
def test_whole_numbers_are_packed_as_any_values_are(name):
    rng = np.random.default_rng(0)
    matrix = sparse.random(N_ROWS, 5, 0.3, format="csr", random_state=rng)
    values = VALUES[name](rng, matrix.nnz)
    narrow, as_bits = (
        sort_and_pack(matrix.indptr, matrix.indices, values, 5, is_narrow=is_narrow) for is_narrow in (True, False)
    )
    assert [segment.tobytes() for segment in narrow[0]] == [segment.tobytes() for segment in as_bits[0]]


@pytest.mark.parametrize("gap", [0, 1, 2, 3, 4, 14, 15, 16, 17, 254, 255, 256, 257, 511, 512, 5_000, 50_000])
@pytest.mark.parametrize("usual", [0, 2, 10, 100])
def test_gaps_of_every_length_are_kept(usual, gap):
    row = np.cumsum([0, *[usual + 1] * 100, gap + 1, *[usual + 1] * 30])
    indptr = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=2**16))])
    segments, shift, book = sort_and_pack(indptr, np.zeros(len(row), dtype=np.int32), np.ones(len(row), dtype="f4"), 1)
    np.testing.assert_array_equal(unpack(segments[0], book, shift, "f4")[0], row)


def test_several_values_of_a_cell_stay_in_their_order():
    values = np.arange(1, 7, dtype="f4")
    segments, shift, book = sort_and_pack(
        np.array([0, 0, 3, 6]), np.array([1, 1, 0, 1, 1, 1], dtype=np.int32), values, 2
    )
    rows, found = unpack(segments[1], book, shift, "f4")
    np.testing.assert_array_equal(rows, [1, 1, 2, 2, 2])
    np.testing.assert_array_equal(found, [1, 2, 4, 5, 6])


def test_counts_take_about_a_byte_each():
    rng = np.random.default_rng(1)
    matrix = sparse.random(20_000, 200, 0.05, format="csr", random_state=rng)
    values = rng.geometric(0.7, matrix.nnz).astype("f4")
    segments, _, _ = sort_and_pack(matrix.indptr, matrix.indices, values, 200)
    assert sum(map(len, segments)) < 1.4 * matrix.nnz


def test_log_normalised_values_keep_their_lower_bytes_only():
    rng = np.random.default_rng(1)
    matrix = sparse.random(20_000, 50, 0.2, format="csr", random_state=rng)
    values = np.log1p(rng.random(matrix.nnz) * 9).astype("f4")
    segments, shift, _ = sort_and_pack(matrix.indptr, matrix.indices, values, 50)
    assert shift == 16
    assert sum(map(len, segments)) < 4.4 * matrix.nnz


def test_unpacking_never_leaves_its_arrays_whatever_the_bytes_are():
    rng = np.random.default_rng(2)
    values = rng.integers(0, 5000, 3000).astype("f4")
    indices = rng.integers(0, 3, 3000).astype(np.int32)
    segments, shift, book = sort_and_pack(np.array([*range(0, 3001, 3)]), indices, values, 3)
    segment = segments[0]
    n = int(segment[:4].view("<u4")[0])
    for _ in range(3000):
        damaged = segment.copy()
        damaged[rng.integers(4, len(segment) if rng.random() < 0.5 else 24)] = rng.integers(256)
        guarded = np.full(n + 200, 77, dtype=np.int32)
        unpacking.unpack(damaged, book, shift, 1000, guarded[100:-100], np.empty(n, dtype="u4"))
        assert (guarded[:100] == 77).all()
        assert (guarded[-100:] == 77).all()


def test_sums_of_narrow_numbers_are_those_of_float64_even_where_all_are_the_largest():
    numbers = np.full(1 << 16, (1 << 16) - 1, dtype=sorting.NARROW)
    as_floats = packing.sum_column(numbers.astype("f4"))
    assert packing.sum_narrow_column(numbers) == as_floats
    assert as_floats == (65_536 * 65_535, 65_536 * 65_535**2, 65_536)


def test_sums_of_float32_are_added_in_float64():
    numbers = np.random.default_rng(0).random(1000).astype("f4")
    total, square, n = packing.sum_column(numbers)
    exact = numbers.astype("f8")
    np.testing.assert_allclose([total, square, n], [exact.sum(), (exact**2).sum(), 1000], rtol=1e-13)
