"""Reading and writing chunks past HDF5 gives what HDF5 gives, or leaves it to HDF5."""

from __future__ import annotations

import h5py
import hdf5plugin
import numpy as np
import pytest

from cellasso.core.errors import ElementError
from cellasso.store.hdf5.chunks import Contiguous, open_chunks, open_packing, write_packed
from cellasso.store.hdf5.handle import Hdf5Store

DTYPES = ["i1", "u2", "i4", "i8", "f2", "f4", "f8", ">i4", ">f8", "?"]
FILTERS = {
    "plain": {},
    "gzip": {"compression": "gzip", "compression_opts": 1},
    "shuffle": {"shuffle": True},
    "shuffled gzip": {"compression": "gzip", "shuffle": True},
}
LEFT_TO_HDF5 = {
    "lzf": {"chunks": (100,), "compression": "lzf"},
    "blosc": {"chunks": (100,), **hdf5plugin.Blosc()},
    "checksum": {"chunks": (100,), "fletcher32": True},
    "text": {"chunks": (100,), "dtype": h5py.string_dtype()},
}
SHAPES = {"1-D": (1_037,), "2-D": (103, 11), "3-D": (23, 5, 9)}
CHUNKS = {"1-D": (100,), "2-D": (10, 4), "3-D": (10, 5, 2)}
SLICES = {
    "1-D": [(slice(0, 1_037),), (slice(99, 101),), ()],
    "2-D": [(slice(3, 57), slice(3, 9)), (slice(10, 20), slice(4, 8)), (slice(95, 103),), (slice(5, 5), slice(0, 3))],
    "3-D": [(slice(3, 22), slice(1, 4), slice(1, 9)), (slice(20, 23),), (slice(0, 10), slice(0, 5), slice(2, 4))],
}


def values(dtype: str, n: int = 1_037) -> np.ndarray:
    return (np.random.default_rng(1).random(n) * 200 - 100).astype(dtype)


@pytest.mark.parametrize("block", [0, 512], ids=["", "user block"])
@pytest.mark.parametrize("filters", FILTERS.values(), ids=FILTERS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_any_stretch_of_values_is_what_hdf5_reads(tmp_path, dtype, filters, block):
    with h5py.File(tmp_path / "x.h5", "w", userblock_size=block) as file:
        file.create_dataset("x", data=values(dtype), chunks=(100,), **filters)
    with Hdf5Store(tmp_path / "x.h5") as handle:
        dataset = handle.node("/x")
        chunks = open_chunks(handle, dataset)
        assert chunks is not None
        for start, stop in [(0, 1_037), (0, 1), (99, 101), (100, 200), (950, 1_037), (1_036, 1_037)]:
            found = chunks.read(slice(start, stop))
            np.testing.assert_array_equal(found, dataset[start:stop], strict=True)


@pytest.mark.parametrize("filters", [None, *FILTERS.values()], ids=["contiguous", *FILTERS])
@pytest.mark.parametrize("block", [0, 512], ids=["", "user block"])
@pytest.mark.parametrize("kind", SHAPES)
def test_any_box_of_values_is_what_hdf5_reads(tmp_path, kind, filters, block):
    stored = np.random.default_rng(2).random(SHAPES[kind])
    options = {} if filters is None else {"chunks": CHUNKS[kind], **filters}
    with h5py.File(tmp_path / "x.h5", "w", userblock_size=block) as file:
        file.create_dataset("x", data=stored, **options)
    with Hdf5Store(tmp_path / "x.h5") as handle:
        chunks = open_chunks(handle, handle.node("/x"))
        assert isinstance(chunks, Contiguous) == (filters is None)
        for box in SLICES[kind]:
            np.testing.assert_array_equal(chunks.read(*box), stored[box], strict=True)


def test_contiguous_values_are_read_without_their_neighbours(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["x"] = values("f8", 100_000)
    with Hdf5Store(tmp_path / "x.h5") as handle:
        chunks = open_chunks(handle, handle.node("/x"))
        before = handle.bytes_read
        chunks.read(slice(500, 600))
        assert handle.bytes_read - before == 800


def test_records_are_what_hdf5_reads(tmp_path):
    records = np.zeros(300, dtype=[("name", "S5"), ("depth", "f4"), ("n", "i2")])
    records["name"], records["n"] = b"cell", np.arange(300)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("x", data=records, chunks=(64,), compression="gzip", shuffle=True)
    with Hdf5Store(tmp_path / "x.h5") as handle:
        np.testing.assert_array_equal(open_chunks(handle, handle.node("/x")).read(slice(60, 300)), records[60:])


@pytest.mark.parametrize("options", LEFT_TO_HDF5.values(), ids=LEFT_TO_HDF5)
def test_what_hdf5_alone_knows_is_left_to_it(tmp_path, options):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        data = ["a"] * 1_037 if "dtype" in options else values("f4")
        file.create_dataset("x", data=data, **options)
    with Hdf5Store(tmp_path / "x.h5") as handle:
        assert open_chunks(handle, handle.node("/x")) is None
        assert open_packing(handle.node("/x")) is None


def test_values_that_hdf5_would_convert_are_left_to_it(tmp_path):
    shifted = h5py.h5t.NATIVE_INT32.copy()
    shifted.set_precision(16)
    shifted.set_offset(8)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        space = h5py.h5s.create_simple((4,))
        made = h5py.Dataset(h5py.h5d.create(file.id, b"x", shifted, space))
        made[...] = np.arange(4)
    with Hdf5Store(tmp_path / "x.h5") as handle:
        np.testing.assert_array_equal(handle.node("/x")[...], np.arange(4))
        assert open_chunks(handle, handle.node("/x")) is None


def test_a_filter_that_was_applied_twice_is_left_to_hdf5(tmp_path):
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_chunk((100,))
    for level in (1, 9):
        plist.set_deflate(level)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        space = h5py.h5s.create_simple((200,))
        made = h5py.Dataset(h5py.h5d.create(file.id, b"x", h5py.h5t.NATIVE_INT32, space, dcpl=plist))
        made[...] = np.arange(200)
    with Hdf5Store(tmp_path / "x.h5") as handle:
        assert open_chunks(handle, handle.node("/x")) is None
        assert open_packing(handle.node("/x")) is None


def test_a_dataset_with_chunks_that_were_never_written_is_left_to_hdf5(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("x", shape=(1_000,), chunks=(100,), dtype="f4", fillvalue=3)[500:600] = 1
        file.create_dataset("empty", shape=(0,), chunks=(100,), maxshape=(None,), dtype="f4")
        file.create_dataset("unwritten", shape=(10,), dtype="f4")
        file["scalar"] = 1.0
    with Hdf5Store(tmp_path / "x.h5") as handle:
        assert [open_chunks(handle, handle.node(name)) for name in ("/x", "/empty", "/unwritten", "/scalar")] == [
            None
        ] * 4


def test_a_chunk_that_skipped_a_filter_is_left_to_hdf5(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        dataset = file.create_dataset("x", shape=(200,), chunks=(100,), dtype="f4", compression="gzip")
        dataset[:] = 1
        dataset.id.write_direct_chunk((100,), np.ones(100, "f4").tobytes(), filter_mask=1)
    with Hdf5Store(tmp_path / "x.h5") as handle:
        assert open_chunks(handle, handle.node("/x")) is None
        np.testing.assert_array_equal(handle.node("/x")[...], 1)


def test_chunk_of_another_size_than_declared_is_an_error(tmp_path):
    import zlib

    with h5py.File(tmp_path / "x.h5", "w") as file:
        dataset = file.create_dataset("x", data=values("f4", 200), chunks=(100,), compression="gzip")
        dataset.id.write_direct_chunk((100,), zlib.compress(b"short"))
    with Hdf5Store(tmp_path / "x.h5") as handle:
        chunks = open_chunks(handle, handle.node("/x"))
        with pytest.raises(ElementError, match=r"x\.h5:/x cannot be read \(chunk 1 "):
            chunks.read(slice(0, 200))


@pytest.mark.parametrize("filters", FILTERS.values(), ids=FILTERS)
@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_packed_chunks_are_read_by_hdf5_as_they_were(tmp_path, kind, filters, dtype):
    expected = values(dtype, int(np.prod(SHAPES[kind]))).reshape(SHAPES[kind])
    with h5py.File(tmp_path / "x.h5", "w") as file:
        target = file.create_dataset("x", shape=expected.shape, dtype=expected.dtype, chunks=CHUNKS[kind], **filters)
        packing = open_packing(target)
        middle = 4 * CHUNKS[kind][0] if kind != "3-D" else CHUNKS[kind][0]
        for start, stop in ((0, middle), (middle, len(expected))):
            write_packed(target, packing.pack(expected[start:stop], (start,) + (0,) * (expected.ndim - 1)))
    with h5py.File(tmp_path / "x.h5") as file:
        np.testing.assert_array_equal(file["x"][...], expected, strict=True)
        by_hdf5 = file["x"].id.get_create_plist()
        assert by_hdf5.get_nfilters() == len(filters) - ("compression_opts" in filters)


def test_packed_chunks_are_as_small_as_hdf5_makes_them(tmp_path):
    counts = np.random.default_rng(0).poisson(0.5, 200_000).astype("f4")
    options = {"chunks": (50_000,), "compression": "gzip", "compression_opts": 4}
    with h5py.File(tmp_path / "x.h5", "w") as file:
        theirs = file.create_dataset("theirs", data=counts, **options)
        ours = file.create_dataset("ours", shape=counts.shape, dtype="f4", **options)
        write_packed(ours, open_packing(ours).pack(counts, (0,)))
        assert ours.id.get_storage_size() <= 1.05 * theirs.id.get_storage_size()


def test_of_a_long_dataset_only_the_first_chunks_are_looked_up(tmp_path):
    long, wide = np.arange(1000, dtype=np.int32), np.arange(2000, dtype=np.int32).reshape(100, 20)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("long", data=long, chunks=(64,), compression="gzip")
        file.create_dataset("wide", data=wide, chunks=(30, 7), compression="gzip")
    with Hdf5Store(tmp_path / "x.h5") as handle:
        for wanted, n_chunks in ((1, 1), (64, 1), (65, 2), (999, 16), (5000, 16)):
            chunks = open_chunks(handle, handle.node("/long"), n_rows=wanted)
            assert len(chunks) == n_chunks
            assert chunks.shape == (min(64 * n_chunks, 1000),)
            np.testing.assert_array_equal(chunks.read(slice(0, min(wanted, 1000))), long[:wanted])
        chunks = open_chunks(handle, handle.node("/wide"), n_rows=31)
        assert (len(chunks), chunks.shape) == (6, (60, 20))
        np.testing.assert_array_equal(chunks.read(slice(0, 31), slice(3, 15)), wide[:31, 3:15])
