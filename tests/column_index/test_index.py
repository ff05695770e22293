"""The column index: what it holds is the matrix, bit for bit, complete or not, sound or damaged."""

from __future__ import annotations

import shutil

import anndata as ad
import h5py
import numpy as np
import pytest
from scipy import sparse

from cellasso.column_index import block as index_block
from cellasso.column_index import plan as planning
from cellasso.column_index.build import IndexingError, build_index
from cellasso.column_index.index import IncompleteIndexError
from cellasso.column_index.indexed_matrix import IndexedMatrix
from cellasso.core.errors import ElementError
from cellasso.matrix.open import open_matrix
from cellasso.store.hdf5.chunks import Chunks
from cellasso.store.hdf5.handle import Hdf5Store

N_ROWS, N_COLUMNS = 300, 40
DTYPES = ("f2", "f4", "f8", "i1", "i4", "i8", "u1", "u2", "u8", "?", ">f4", ">i8")


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Seven blocks of a few pieces each."""
    monkeypatch.setattr("cellasso.column_index.plan.MAX_ROWS", 47)
    monkeypatch.setattr("cellasso.column_index.build_block.PIECE", 50)


def values_of(dtype, seed=0):
    rng = np.random.default_rng(seed)
    values = np.where(rng.random((N_ROWS, N_COLUMNS)) < 0.3, rng.normal(scale=60, size=(N_ROWS, N_COLUMNS)), 0)
    values = values.astype(dtype)
    if values.dtype.kind == "f":
        values[2, :4] = np.nan, np.inf, -np.inf, -0.0
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


def csr(values):
    """Return a CSR of what is not zero to the bit: SciPy would drop -0.0."""
    filled = values.view(f"u{values.itemsize}") != 0
    indptr = np.concatenate([[0], np.cumsum(filled.sum(axis=1))])
    matrix = sparse.csr_matrix(values.shape, dtype="f4")
    matrix.indptr, matrix.indices, matrix.data = indptr, np.nonzero(filled)[1].astype(np.int32), values[filled]
    return matrix


def with_repeats(dtype="f4"):
    """Return a CSR whose rows are unsorted and have several values, or zeros, for one column."""
    rng = np.random.default_rng(1)
    lengths = rng.integers(0, 90, N_ROWS)
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    n = indptr[-1]
    data = rng.integers(-3, 4, n).astype(dtype)
    return sparse.csr_matrix((data, rng.integers(0, N_COLUMNS, n).astype(np.int32), indptr), (N_ROWS, N_COLUMNS))


def indexed(handle, path):
    return IndexedMatrix(open_matrix(handle, path), handle.index_root)


def build(path, root, **options):
    with Hdf5Store(path) as handle:
        return build_index(open_matrix(handle, "/X"), root, **options)


def read(path, root, columns=range(N_COLUMNS)):
    """Return columns read by the index, and how many bytes of the file that took."""
    with Hdf5Store(path) as handle:
        handle.index_root = root
        matrix = indexed(handle, "/X")
        assert matrix.index is not None
        before = handle.bytes_read
        return matrix.read_columns([*columns]), handle.bytes_read - before


def scanned(path):
    with Hdf5Store(path) as handle:
        return indexed(handle, "/X").read_columns([*range(N_COLUMNS)])


def dense(matrix):
    return matrix.toarray() if sparse.issparse(matrix) else matrix


def assert_bits_equal(found, expected):
    assert found.dtype == expected.dtype
    assert found.tobytes() == expected.tobytes()


def some_by_oldest(dtypes):
    """Return dtypes as parameters; loops are compiled for each, and that of one is enough with the oldest versions."""
    return [name if name == "f4" else pytest.param(name, marks=pytest.mark.loops) for name in dtypes]


# -- values -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("filters", [{}, {"compression": "gzip", "chunks": (64,)}, {"compression": "lzf"}], ids=str)
@pytest.mark.parametrize("dtype", some_by_oldest(DTYPES))
def test_columns_are_the_stored_values_bit_for_bit(tmp_path, dtype, filters):
    values = values_of(dtype)
    path = write_matrix(tmp_path / "x.h5", csr(values), **filters)
    index = build(path, tmp_path / "index")
    assert len(index.extents) == 7
    found, n_bytes = read(path, tmp_path / "index", [*range(N_COLUMNS), 3, 1])
    assert_bits_equal(found, values[:, [*range(N_COLUMNS), 3, 1]])
    assert n_bytes == 0


@pytest.mark.parametrize("index_dtype", ["i1", "u2", "u4", "i8", "u8", ">i4"])
def test_indices_of_any_type_are_read(tmp_path, index_dtype):
    values = values_of("f4")
    matrix = csr(values)
    path = write_matrix(tmp_path / "x.h5", matrix)
    with h5py.File(path, "r+") as file:
        del file["X/indices"]
        file["X/indices"] = matrix.indices.astype(index_dtype)
    build(path, tmp_path / "index")
    found, n_bytes = read(path, tmp_path / "index")
    assert n_bytes == 0
    assert_bits_equal(found, values)


@pytest.mark.parametrize("dtype", ["f4", "i4", "u1", "f8"])
def test_repeated_and_unsorted_entries_add_up_as_scipy_has_it(tmp_path, dtype):
    matrix = with_repeats(dtype)
    path = write_matrix(tmp_path / "x.h5", matrix)
    build(path, tmp_path / "index")
    found, n_bytes = read(path, tmp_path / "index")
    assert n_bytes == 0  # a block that could not be read would be scanned
    np.testing.assert_array_equal(found, matrix.toarray())
    assert_bits_equal(found, scanned(path))


@pytest.mark.parametrize(
    "layout", [{}, {"chunks": (10, 7), "compression": "gzip"}, {"chunks": (64, 40), "compression": "lzf"}]
)
@pytest.mark.parametrize("dtype", some_by_oldest(["f4", "f8", "i2", "?"]))
def test_a_dense_matrix_is_indexed_too(tmp_path, monkeypatch, dtype, layout):
    monkeypatch.setattr("cellasso.matrix.dense.SCAN_BLOCK", 100)
    values = values_of(dtype)
    path = write_matrix(tmp_path / "x.h5", values, **layout)
    build(path, tmp_path / "index")
    found, n_bytes = read(path, tmp_path / "index")
    assert_bits_equal(found, values)
    assert n_bytes == 0


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (4, 3)])
def test_a_matrix_without_rows_columns_or_values_is_indexed(tmp_path, shape):
    path = write_matrix(tmp_path / "x.h5", sparse.csr_matrix(shape, dtype="f4"))
    build(path, tmp_path / "index")
    found, _ = read(path, tmp_path / "index", range(shape[1]))
    assert_bits_equal(found, np.zeros(shape, dtype="f4"))


def test_every_gene_of_a_real_file_is_what_anndata_reads(h5ad, tmp_path):
    import cellasso

    with cellasso.open(h5ad.path, index=tmp_path / "index") as dataset:
        for layer, expected in (
            ("X", h5ad.oracle.X),
            ("raw", h5ad.oracle.raw.X),
            ("counts", h5ad.oracle.layers["counts"]),
        ):
            matrix = dataset.matrix(layer)
            if matrix.storage == "csc":
                with pytest.raises(IndexingError, match="is stored feature by feature and needs no index"):
                    dataset.build_index(layer)
                continue
            assert dataset.build_index(layer).fraction == 1
            assert matrix.index is not None
            assert_bits_equal(matrix.read_columns([*range(matrix.shape[1])]), dense(expected))


def test_each_modality_has_an_index_of_its_own(multimodal, tmp_path):
    import cellasso

    with cellasso.open(multimodal.path, index=tmp_path / "index") as dataset:
        for name in ("rna", "protein"):
            dataset[name].build_index()
            matrix = dataset[name].matrix()
            assert matrix.index is not None
            assert_bits_equal(matrix.read_columns([*range(matrix.shape[1])]), dense(multimodal.oracle.mod[name].X))
    assert len(list((tmp_path / "index").iterdir())) == 2


# -- sums -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("last", [0.5, -0.0, 70_000.0])
def test_a_block_of_counts_whose_last_value_is_none_is_kept_bit_for_bit(tmp_path, last):
    counts = np.random.default_rng(5).poisson(2, (N_ROWS, N_COLUMNS)).astype("f4")
    counts[-1, -1] = 1
    matrix = csr(counts)
    matrix.data[-1] = last
    path = write_matrix(tmp_path / "x.h5", matrix)
    index = build(path, tmp_path / "index")
    expected = counts.copy()
    expected[-1, -1] = last
    assert read(path, tmp_path / "index")[0].tobytes("F") == expected.tobytes("F")
    np.testing.assert_array_equal(index.read_sums("totals"), expected.sum(axis=1, dtype="f8"))
    np.testing.assert_array_equal(index.read_sums("sums"), expected.sum(axis=0, dtype="f8"))


def test_chunks_that_pieces_share_are_read_once(tmp_path, monkeypatch):
    monkeypatch.setattr("cellasso.column_index.plan.MAX_ROWS", N_ROWS)  # one block
    monkeypatch.setattr("cellasso.column_index.build_block.STRETCH", 1)
    counts = np.random.default_rng(5).poisson(1, (N_ROWS, N_COLUMNS)).astype("f4")
    path = write_matrix(tmp_path / "x.h5", csr(counts), chunks=(64,), compression="gzip")
    places = []
    inflate = Chunks._read_chunk

    def counted(self, at):
        places.append((self.place, at))
        return inflate(self, at)

    monkeypatch.setattr(Chunks, "_read_chunk", counted)
    with Hdf5Store(path) as handle:
        build_index(open_matrix(handle, "/X"), tmp_path / "index", threads=1)
    assert len(places) == 2 * -(-np.count_nonzero(counts) // 64)
    assert len(places) == len(set(places))


@pytest.mark.parametrize(
    "matrix", [csr(values_of("i4")), csr(values_of("f4")[10:]), with_repeats()], ids=["int", "float", "repeats"]
)
def test_sums_are_those_of_scipy(tmp_path, matrix):
    path = write_matrix(tmp_path / "x.h5", matrix)
    index = build(path, tmp_path / "index")
    dense = matrix.astype("f8").toarray()
    np.testing.assert_allclose(index.read_sums("totals"), dense.sum(axis=1), rtol=1e-12)
    np.testing.assert_array_equal(index.read_sums("row_nonzero"), (dense != 0).sum(axis=1))
    np.testing.assert_allclose(index.read_sums("sums"), dense.sum(axis=0), rtol=1e-12, atol=1e-9)
    np.testing.assert_allclose(index.read_sums("squares"), (dense**2).sum(axis=0), rtol=1e-12)
    np.testing.assert_array_equal(index.read_sums("n_nonzero"), (dense != 0).sum(axis=0))


def test_totals_are_added_in_the_stored_order_in_float64(tmp_path):
    matrix = csr(values_of("f4")[10:])
    index = build(write_matrix(tmp_path / "x.h5", matrix), tmp_path / "index")
    rows = np.split(matrix.data.astype("f8"), matrix.indptr[1:-1])
    expected = np.array([np.cumsum(row)[-1] if len(row) else 0.0 for row in rows])
    assert index.read_sums("totals").tobytes() == expected.tobytes()


def test_nan_makes_a_sum_nan_and_counts_as_a_value(tmp_path):
    index = build(write_matrix(tmp_path / "x.h5", csr(values_of("f4"))), tmp_path / "index")
    assert np.flatnonzero(np.isnan(index.read_sums("totals"))).tolist() == [2]
    assert np.flatnonzero(np.isnan(index.read_sums("sums"))).tolist() == [0]
    assert index.read_sums("row_nonzero")[2] == (values_of("f4")[2] != 0).sum()


# -- a part of it -----------------------------------------------------------------------------------------


def test_finished_blocks_serve_and_the_rest_is_scanned(tmp_path):
    values = values_of("f4")
    path = write_matrix(tmp_path / "x.h5", csr(values), chunks=(32,))
    index = build(path, tmp_path / "index")
    whole = read_bytes_of_scan(path)
    for number in (0, 3, 6):
        index.extents[number].path(index.folder).unlink()
    found, n_bytes = read(path, tmp_path / "index")
    assert_bits_equal(found, values)
    assert 0 < n_bytes < 0.7 * whole
    with pytest.raises(IncompleteIndexError, match=r"3 of the 7 blocks of .* are not built yet"):
        index.read_sums("totals")


def read_bytes_of_scan(path):
    with Hdf5Store(path) as handle:
        indexed(handle, "/X").read_columns([*range(N_COLUMNS)])
        return handle.bytes_read


def test_a_block_serves_as_soon_as_it_is_finished(tmp_path):
    values = values_of("f4")
    path = write_matrix(tmp_path / "x.h5", csr(values), chunks=(32,))
    costs = []

    def look(_fraction):
        found, n_bytes = read(path, tmp_path / "index")
        assert_bits_equal(found, values)
        costs.append(n_bytes)

    build(path, tmp_path / "index", threads=1, progress=look)
    assert len(costs) == 7
    assert costs == sorted(costs, reverse=True)
    assert costs[-1] == 0


def test_a_gene_reads_its_segments_and_entries_only(tmp_path, monkeypatch):
    path = write_matrix(tmp_path / "x.h5", csr(values_of("f4")))
    index = build(path, tmp_path / "index")
    read_lengths = []
    pread = index_block._Descriptor.pread

    def counted(self, offset, length):
        read_lengths.append(length)
        return pread(self, offset, length)

    with Hdf5Store(path) as handle:
        handle.index_root = tmp_path / "index"
        matrix = indexed(handle, "/X")
        matrix.read_columns([0])  # opens the blocks: their headers and books
        monkeypatch.setattr(index_block._Descriptor, "pread", counted)
        before = handle.bytes_read
        matrix.read_columns([7])
        assert handle.bytes_read == before
        n_bytes = sum(read_lengths)
    table = [block_table(extent, index.folder)[7] for extent in index.extents]
    # each entry is looked at twice: once to have the segment fetched
    assert n_bytes == sum(2 * index_block.ENTRY.itemsize + int(entry["length"]) for entry in table)


def block_table(extent, folder):
    block = index_block.Block(extent, folder)
    offset, length, _ = block._sections["table"]
    return np.frombuffer(block.path.read_bytes()[offset : offset + length], dtype=index_block.ENTRY)


# -- a file that changed ----------------------------------------------------------------------------------


def test_the_index_of_another_state_of_the_file_is_not_used(tmp_path):
    path = write_matrix(tmp_path / "x.h5", csr(values_of("f4")))
    build(path, tmp_path / "index")
    values = values_of("f4", seed=1)
    write_matrix(path, csr(values))
    with Hdf5Store(path) as handle:
        handle.index_root = tmp_path / "index"
        assert indexed(handle, "/X").index is None
        assert_bits_equal(indexed(handle, "/X").read_columns([*range(N_COLUMNS)]), values)


def test_a_file_keeps_its_index_when_it_is_renamed(tmp_path):
    path = write_matrix(tmp_path / "x.h5", csr(values_of("f4")))
    build(path, tmp_path / "index")
    assert read(path.rename(tmp_path / "y.h5"), tmp_path / "index")[1] == 0


def test_another_matrix_of_the_file_has_another_index(tmp_path):
    path = write_matrix(tmp_path / "x.h5", csr(values_of("f4")))
    with h5py.File(path, "r+") as file:
        file.copy("X", "Y")
    build(path, tmp_path / "index")
    with Hdf5Store(path) as handle:
        handle.index_root = tmp_path / "index"
        assert indexed(handle, "/X").index is not None
        assert indexed(handle, "/Y").index is None


def test_a_file_opened_without_indexes_builds_none(plain):
    import cellasso

    with (
        cellasso.open(plain.path, index=False) as dataset,
        pytest.raises(IndexingError, match="opened with index=False"),
    ):
        dataset.build_index()


def test_reading_from_the_index_ends_its_progress(tmp_path):
    path = write_matrix(tmp_path / "x.h5", csr(values_of("f4")))
    build(path, tmp_path / "index")
    told = []
    with Hdf5Store(path) as handle:
        handle.index_root = tmp_path / "index"
        indexed(handle, "/X").read_columns([1], progress=told.append)
    assert told == [1]


def test_without_a_folder_no_index_is_looked_for(tmp_path):
    path = write_matrix(tmp_path / "x.h5", csr(values_of("f4")))
    with Hdf5Store(path) as handle:
        assert indexed(handle, "/X").index is None


# -- damage -----------------------------------------------------------------------------------------------


def test_a_flipped_byte_anywhere_is_noticed_and_the_block_built_again(tmp_path):
    values = values_of("f4")
    path = write_matrix(tmp_path / "x.h5", csr(values))
    index = build(path, tmp_path / "index")
    block = index.extents[2].path(index.folder)
    sound = block.read_bytes()
    rng = np.random.default_rng(0)
    header_end = sound.index(b"\n", sound.index(b"\n") + 1)
    positions = [*range(0, header_end, 97), *range(index_block.HEADER_BYTES, len(sound), 211)]
    assert len(positions) > 30
    for at in positions:
        damaged = bytearray(sound)
        damaged[at] ^= 1 << rng.integers(8)
        block.write_bytes(damaged)
        assert_bits_equal(read(path, tmp_path / "index")[0], values)
        build(path, tmp_path / "index", check=True, threads=1)
        assert block.read_bytes() == sound, at


@pytest.mark.parametrize("left", [0, 1, 4000, 4096, -1])
def test_a_block_that_was_cut_off_is_noticed_and_built_again(tmp_path, left):
    values = values_of("f4")
    path = write_matrix(tmp_path / "x.h5", csr(values))
    index = build(path, tmp_path / "index")
    block = index.extents[2].path(index.folder)
    sound = block.read_bytes()
    block.write_bytes(sound[:left])
    assert_bits_equal(read(path, tmp_path / "index")[0], values)
    assert not block.exists()
    build(path, tmp_path / "index")
    assert block.read_bytes() == sound


def test_damage_that_appears_while_the_index_is_open_is_noticed(tmp_path):
    values = values_of("f4")
    path = write_matrix(tmp_path / "x.h5", csr(values))
    index = build(path, tmp_path / "index")
    block = index.extents[2].path(index.folder)
    with Hdf5Store(path) as handle:
        handle.index_root = tmp_path / "index"
        matrix = indexed(handle, "/X")
        assert_bits_equal(matrix.read_columns([1]), values[:, [1]])
        with block.open("r+b") as file:
            file.seek(index_block.HEADER_BYTES)
            file.write(bytes(len(block.read_bytes()) - index_block.HEADER_BYTES))  # a page of zeros, as disks do
        assert_bits_equal(matrix.read_columns([*range(N_COLUMNS)]), values)
        assert not block.exists()


@pytest.mark.parametrize("other", ["block", "matrix"])
def test_a_block_of_something_else_is_not_believed(tmp_path, other):
    values = values_of("f4")
    path = write_matrix(tmp_path / "x.h5", csr(values))
    index = build(path, tmp_path / "index")
    source = index.extents[3].path(index.folder)
    if other == "matrix":
        foreign = write_matrix(tmp_path / "y.h5", csr(values_of("f4", seed=1)))
        source = build(foreign, tmp_path / "index").extents[2].path
        source = source(build(foreign, tmp_path / "index").folder)
    shutil.copy(source, index.extents[2].path(index.folder))
    assert_bits_equal(read(path, tmp_path / "index")[0], values)


def test_a_folder_whose_description_is_damaged_is_not_used_and_described_again(tmp_path):
    values = values_of("f4")
    path = write_matrix(tmp_path / "x.h5", csr(values))
    index = build(path, tmp_path / "index")
    about = index.folder / "about.json"
    sound = about.read_bytes()
    about.write_bytes(sound.replace(b"0", b"1", 1))
    with Hdf5Store(path) as handle:
        handle.index_root = tmp_path / "index"
        assert indexed(handle, "/X").index is None
    build(path, tmp_path / "index")
    assert about.read_bytes() == sound
    assert_bits_equal(read(path, tmp_path / "index")[0], values)


def test_an_index_that_may_not_be_opened_is_left_alone_and_the_matrix_scanned(tmp_path, monkeypatch):
    values = values_of("f4")
    path = write_matrix(tmp_path / "x.h5", csr(values))
    index = build(path, tmp_path / "index")

    def refuse(self, path):
        raise index_block.BlockError("too many open files")

    index_block._descriptors._open.clear()
    with monkeypatch.context() as patch:
        patch.setattr(index_block._Descriptor, "__init__", refuse)
        assert_bits_equal(read(path, tmp_path / "index")[0], values)
    assert index.fraction == 1


@pytest.mark.parametrize("bad", [-1, N_COLUMNS])
def test_a_damaged_matrix_is_not_indexed(tmp_path, bad):
    matrix = csr(values_of("f4"))
    matrix.indices[-1] = bad
    path = write_matrix(tmp_path / "x.h5", matrix)
    with pytest.raises(ElementError, match="X/indices is damaged: it points outside of 0 to 39"):
        build(path, tmp_path / "index")


def test_the_plan_is_bounded_in_rows_and_values(tmp_path, monkeypatch):
    monkeypatch.setattr("cellasso.column_index.plan.MAX_ROWS", 100)
    monkeypatch.setattr("cellasso.column_index.plan.MAX_VALUES", 2600)
    matrix = sparse.csr_matrix(np.repeat([[1.0] * 40, [1.0] * 40, [0.0] * 40], 100, axis=0))
    with Hdf5Store(write_matrix(tmp_path / "x.h5", matrix)) as handle:
        starts = planning.plan(open_matrix(handle, "/X"))
    assert starts == [0, 65, 130, 195, 295, 300]


def test_anndata_in_memory_agrees(tmp_path):
    values = values_of("f4")[10:]
    path = tmp_path / "x.h5ad"
    ad.AnnData(sparse.csr_matrix(values)).write_h5ad(path, compression="gzip")
    build(path, tmp_path / "index")
    expected = ad.read_h5ad(path)
    for column in range(N_COLUMNS):
        found, n_bytes = read(path, tmp_path / "index", [column])
        assert n_bytes == 0
        np.testing.assert_array_equal(found, expected.X[:, [column]].toarray())
