"""The lazy matrix: columns bit for bit, in bounded reads, and damage found before it is believed."""

from __future__ import annotations

from itertools import product

import h5py
import numpy as np
import pytest
from scipy import sparse

from cellasso.core.errors import Cancelled, ElementError
from cellasso.matrix import dense, scan
from cellasso.matrix.open import open_matrix
from cellasso.store.hdf5.handle import Hdf5Store

DTYPES = ("f4", "f8", "i4", "i8", "u2", "?")


def values_of(dtype: str, shape=(40, 12), seed=0) -> np.ndarray:
    """Return values of a dtype with the oddities it has; row 5 and column 3 are empty."""
    rng = np.random.default_rng(seed)
    values = np.where(rng.random(shape) < 0.4, rng.normal(scale=100, size=shape), 0).astype(dtype)
    if dtype in {"f4", "f8"}:
        values[2, 1], values[3, 1], values[4, 1] = np.nan, np.inf, -np.inf
    values[5], values[:, 3] = 0, 0
    return values


def write_matrix(path, matrix, **options):
    with h5py.File(path, "w") as file:
        if isinstance(matrix, np.ndarray):
            file.create_dataset("X", data=matrix, **options)
            return path
        group = file.create_group("X")
        group.attrs.update({"encoding-type": f"{matrix.format}_matrix", "encoding-version": "0.1.0"})
        group.attrs["shape"] = matrix.shape
        for part in ("data", "indices", "indptr"):
            group.create_dataset(part, data=getattr(matrix, part), **options)
    return path


def _scan_in_blocks(monkeypatch, n_values):
    """Have a scan, and a pass over a dense matrix, take so many values at a time."""
    for module in (scan, dense):
        monkeypatch.setattr(module, "SCAN_BLOCK", n_values)


def read_columns(path, columns, **options):
    with Hdf5Store(path) as handle:
        return open_matrix(handle, "/X").read_columns(columns, **options)


def assert_bits_equal(found, expected):
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    np.testing.assert_array_equal(np.asfortranarray(found).T.tobytes(), np.asfortranarray(expected).T.tobytes())


@pytest.fixture(params=["one_block", "many_blocks"])
def scan_block(request, monkeypatch):
    if request.param == "many_blocks":
        _scan_in_blocks(monkeypatch, 7)


@pytest.mark.usefixtures("scan_block")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("storage", ["dense", "csr", "csc"])
def test_columns_are_the_stored_values_bit_for_bit(tmp_path, storage, dtype):
    values = values_of(dtype)
    path = write_matrix(
        tmp_path / "x.h5", values if storage == "dense" else sparse.coo_matrix(values).asformat(storage)
    )
    assert_bits_equal(read_columns(path, [*range(12)]), values)
    assert_bits_equal(read_columns(path, [11, 0, 3, 0]), values[:, [11, 0, 3, 0]])
    assert read_columns(path, []).shape == (40, 0)


@pytest.mark.usefixtures("scan_block")
@pytest.mark.parametrize("storage", ["dense", "csr", "csc"])
def test_a_stored_minus_zero_stays_minus_zero(tmp_path, storage):
    values = np.array([[-0.0, 1], [2, -0.0], [-0.0, 0]], dtype="f4")
    matrix = sparse.csr_matrix(([-0.0, 1, 2, -0.0, -0.0], [0, 1, 0, 1, 0], [0, 2, 4, 5]), shape=(3, 2), dtype="f4")
    path = write_matrix(tmp_path / "x.h5", values if storage == "dense" else matrix.asformat(storage))
    assert_bits_equal(read_columns(path, [0, 1]), values)


@pytest.mark.usefixtures("scan_block")
@pytest.mark.parametrize(("storage", "dtype"), [*product(["csr", "csc"], ["f4", "i4", "f8"])])
def test_duplicate_and_unsorted_entries_add_up_as_scipy_has_it(tmp_path, storage, dtype):
    rng = np.random.default_rng(1)
    n = 300
    row, column = rng.integers(0, 30, n), rng.integers(0, 8, n)
    row[row == 7] = 8  # an empty row
    # values that add up to the same in any order
    data = rng.integers(-4, 5, n).astype(dtype)
    if dtype != "i4":
        data[:3] = np.nan
    matrix = compressed(row, column, data, (30, 8), storage)
    assert not matrix.has_canonical_format
    expected = matrix.toarray()
    path = write_matrix(tmp_path / "x.h5", matrix)
    found = read_columns(path, [*range(8)])
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


def compressed(row, column, data, shape, storage):
    """Return a CSR or CSC matrix with its entries in the order given, duplicates and all."""
    major, minor = (row, column) if storage == "csr" else (column, row)
    order = np.argsort(major, kind="stable")
    n_major = shape[0] if storage == "csr" else shape[1]
    indptr = np.concatenate([[0], np.cumsum(np.bincount(major, minlength=n_major))])
    return STORAGE[storage]((data[order], minor[order], indptr), shape=shape)


STORAGE = {"csr": sparse.csr_matrix, "csc": sparse.csc_matrix}


@pytest.mark.parametrize("storage", ["dense", "csr", "csc"])
def test_a_matrix_without_rows_columns_or_values_is_read(tmp_path, storage):
    for shape in [(0, 3), (4, 3)]:
        values = np.zeros(shape, dtype="f4")
        path = write_matrix(tmp_path / "x.h5", values if storage == "dense" else STORAGE[storage](values))
        assert_bits_equal(read_columns(path, [0, 2]), values[:, :2])


def test_what_is_known_without_reading(tmp_path):
    path = write_matrix(tmp_path / "x.h5", STORAGE["csr"](values_of("f8")))
    with Hdf5Store(path) as handle:
        matrix = open_matrix(handle, "/X")
        assert (matrix.storage, matrix.shape, matrix.dtype, matrix.place) == ("csr", (40, 12), np.float64, "x.h5:/X")
        assert matrix.n_stored == np.count_nonzero(values_of("f8"))


# -- laziness ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"chunks": (1000,)}], ids=["contiguous", "chunked"])
def test_csc_column_read_touches_only_its_block(tmp_path, options):
    matrix = sparse.random(20_000, 50, 0.2, format="csc", dtype="f4", random_state=0)
    path = write_matrix(tmp_path / "x.h5", matrix)
    if options:
        with h5py.File(path, "r+") as file:
            for part in ("data", "indices"):
                values = file[f"X/{part}"][...]
                del file[f"X/{part}"]
                file.create_dataset(f"X/{part}", data=values, **options)
    column = int(matrix.indptr[31] - matrix.indptr[30]) * 8
    with Hdf5Store(path) as handle:
        lazy = open_matrix(handle, "/X")
        lazy.indptr  # noqa: B018 - read once
        before = handle.bytes_read
        found = lazy.read_columns([30])
        # a chunk before and one after, and the B-tree that finds them
        assert column <= handle.bytes_read - before < column + (30_000 if options else 4_000)
        assert handle.bytes_read < path.stat().st_size / 10
    np.testing.assert_array_equal(found[:, 0], matrix[:, [30]].toarray()[:, 0])


def test_csr_scan_reads_no_data_of_blocks_without_hits(tmp_path, monkeypatch):
    n = 100_000
    _scan_in_blocks(monkeypatch, 10_000)
    columns = np.zeros(n, dtype="i4")
    columns[55_000] = 1
    matrix = sparse.csr_matrix((np.ones(n), columns, np.arange(n + 1)), shape=(n, 3))
    path = write_matrix(tmp_path / "x.h5", matrix)

    def bytes_of(column):
        with Hdf5Store(path) as handle:
            lazy = open_matrix(handle, "/X")
            lazy.indptr  # noqa: B018 - read once
            before = handle.bytes_read
            assert lazy.read_columns([column]).sum() == matrix[:, [column]].sum()
            return handle.bytes_read - before

    indices, data = n * 4, n * 8
    slack = 10_000
    assert indices <= bytes_of(2) < indices + slack
    assert indices + data / 10 <= bytes_of(1) < indices + data / 10 + slack
    assert indices + data <= bytes_of(0) < indices + data + slack


def test_several_columns_cost_one_scan(tmp_path):
    matrix = sparse.random(5000, 40, 0.3, format="csr", dtype="f4", random_state=0)
    path = write_matrix(tmp_path / "x.h5", matrix)
    with Hdf5Store(path) as one, Hdf5Store(path) as many:
        open_matrix(one, "/X").read_columns([3])
        open_matrix(many, "/X").read_columns([*range(20)])
        assert many.bytes_read == one.bytes_read


def test_dense_column_reads_only_the_chunks_it_crosses(tmp_path):
    values = values_of("f4", (4000, 100))
    path = write_matrix(tmp_path / "x.h5", values, chunks=(500, 10))
    with Hdf5Store(path) as handle:
        found = open_matrix(handle, "/X").read_columns([25])
        assert handle.bytes_read < values.nbytes / 10 + 20_000
    assert_bits_equal(found, values[:, [25]])


# -- progress ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("storage", ["dense", "csr", "csc"])
def test_progress_rises_to_one_and_may_cancel(tmp_path, monkeypatch, storage):
    _scan_in_blocks(monkeypatch, 16)
    values = values_of("f4")
    path = write_matrix(
        tmp_path / "x.h5", values if storage == "dense" else sparse.coo_matrix(values).asformat(storage)
    )
    told: list[float] = []
    read_columns(path, [0, 1, 2], progress=told.append)
    assert len(told) >= 3
    assert told == sorted(told)
    assert told[-1] == 1

    def cancel(_):
        raise Cancelled("enough")

    with pytest.raises(Cancelled, match="enough"):
        read_columns(path, [0, 1], progress=cancel)


# -- damage -----------------------------------------------------------------------------------------------


def replaced(part, change):
    def damage(group):
        values = change(group[part][...])
        del group[part]
        group[part] = values

    return damage


def put(position, value):
    def change(values):
        values[position] = value
        return values

    return change


DAMAGE = {
    "indptr_falls": (replaced("indptr", put(3, 10_000)), "indptr is damaged: it does not rise from 0 to"),
    "indptr_negative": (replaced("indptr", put(3, -1)), "indptr is damaged"),
    "indptr_starts_late": (replaced("indptr", put(0, 1)), "indptr is damaged"),
    "indptr_ends_early": (replaced("indptr", lambda v: put(-1, v[-1] - 1)(v)), "indptr is damaged"),
    "indptr_wraps_around": (replaced("indptr", lambda v: put(2, 2**64 - 1)(v.astype("u8"))), "indptr is damaged"),
    "indptr_short": (replaced("indptr", lambda v: v[:-1]), "indptr has .* entries; .* were expected"),
    "indptr_text": (replaced("indptr", lambda v: v.astype("S")), "indptr holds .*; numbers were expected"),
    "indices_too_large": (replaced("indices", put(0, 40)), "indices is damaged: it points outside of 0 to"),
    "indices_negative": (replaced("indices", put(0, -1)), "indices is damaged"),
    "indices_huge": (replaced("indices", lambda v: put(0, 2**64 - 1)(v.astype("u8"))), "indices is damaged"),
    "indices_float": (replaced("indices", lambda v: v.astype("f4")), "indices holds float32; numbers were expected"),
    "indices_2d": (replaced("indices", lambda v: v[:, None]), "indices is not a one-dimensional dataset"),
    "data_short": (replaced("data", lambda v: v[:-2]), "has .* indices but .* values"),
    "data_text": (replaced("data", lambda v: v.astype("S")), "data holds .*; numbers were expected"),
    "data_missing": (lambda group: group.__delitem__("data"), "has no 'data'"),
    "shape_missing": (lambda group: group.attrs.__delitem__("shape"), "does not say its shape"),
    "shape_3d": (lambda group: group.attrs.__setitem__("shape", (1, 2, 3)), "does not say its shape"),
    "shape_text": (lambda group: group.attrs.__setitem__("shape", "wide"), "does not say its shape"),
    "other_encoding": (lambda group: group.attrs.__setitem__("encoding-type", "coo"), "is no matrix .encoding 'coo'"),
}


@pytest.mark.parametrize("storage", ["csr", "csc"])
@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_sparse_matrix_is_refused(tmp_path, storage, kind):
    damage, message = DAMAGE[kind]
    path = write_matrix(tmp_path / "x.h5", STORAGE[storage](values_of("f4")))
    with h5py.File(path, "r+") as file:
        damage(file["X"])
    error = KeyError if kind == "data_missing" else ElementError
    with pytest.raises(error, match=message):
        read_columns(path, [*range(12)])


@pytest.mark.parametrize(
    ("values", "message"),
    [(np.zeros(3), "two dimensions were expected"), (np.zeros((2, 2, 2)), "is no matrix"), (b"x", "is no matrix")],
    ids=["1d", "3d", "text"],
)
def test_an_array_that_is_no_matrix_is_refused(tmp_path, values, message):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["X"] = values
    with pytest.raises(ElementError, match=message):
        read_columns(tmp_path / "x.h5", [0])


@pytest.mark.parametrize("column", [-1, 12])
@pytest.mark.parametrize("storage", ["csr", "csc"])
def test_a_column_that_is_not_there_is_refused(tmp_path, storage, column):
    path = write_matrix(tmp_path / "x.h5", STORAGE[storage](values_of("f4")))
    with pytest.raises(ElementError, match=f"has 12 columns; column {column} was asked for"):
        read_columns(path, [0, column])


def test_a_scan_shows_what_it_has_found_and_what_it_has_not_read(tmp_path, monkeypatch):
    _scan_in_blocks(monkeypatch, 1_000)
    monkeypatch.setattr("cellasso.matrix.scan.PREVIEW_SECONDS", -1.0)
    matrix = sparse.random(3_000, 20, 0.3, format="csr", dtype="f4", random_state=0)
    truth = matrix.toarray()[:, [3, 7]]
    shown: list[list[np.ndarray]] = []
    with Hdf5Store(write_matrix(tmp_path / "x.h5", matrix)) as handle:
        open_matrix(handle, "/X").read_columns([3, 7], preview=shown.append)
    assert len(shown) > 10
    unread = [np.isnan(columns[0]).sum() for columns in shown]
    assert unread == sorted(unread, reverse=True)
    assert 0 < unread[-1] < unread[0]
    for columns in shown:
        for column, right in zip(columns, truth.T, strict=True):
            assert column.dtype == np.float32
            np.testing.assert_array_equal(column, np.where(np.isnan(column), np.nan, right))
