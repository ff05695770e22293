"""Reading chunks past HDF5 gives what HDF5 gives, or leaves it to HDF5."""

from __future__ import annotations

import h5py
import hdf5plugin
import numpy as np
import pytest

from cellasso.chunks import open_chunks
from cellasso.errors import ElementError
from cellasso.handle import Handle

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
    "contiguous": {},
}


def values(dtype: str, n: int = 1_037) -> np.ndarray:
    return (np.random.default_rng(1).random(n) * 200 - 100).astype(dtype)


@pytest.mark.parametrize("block", [0, 512], ids=["", "user block"])
@pytest.mark.parametrize("filters", FILTERS.values(), ids=FILTERS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_any_stretch_of_values_is_what_hdf5_reads(tmp_path, dtype, filters, block):
    with h5py.File(tmp_path / "x.h5", "w", userblock_size=block) as file:
        file.create_dataset("x", data=values(dtype), chunks=(100,), **filters)
    with Handle(tmp_path / "x.h5") as handle:
        dataset = handle.node("/x")
        chunks = open_chunks(handle, dataset)
        assert chunks is not None
        for start, stop in [(0, 1_037), (0, 1), (99, 101), (100, 200), (950, 1_037), (1_036, 1_037)]:
            found = chunks.read(slice(start, stop))
            np.testing.assert_array_equal(found, dataset[start:stop], strict=True)


@pytest.mark.parametrize("options", LEFT_TO_HDF5.values(), ids=LEFT_TO_HDF5)
def test_what_hdf5_alone_knows_is_left_to_it(tmp_path, options):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("x", data=values("f4"), **options)
    with Handle(tmp_path / "x.h5") as handle:
        assert open_chunks(handle, handle.node("/x")) is None


def test_a_dataset_with_chunks_that_were_never_written_is_left_to_hdf5(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("x", shape=(1_000,), chunks=(100,), dtype="f4", fillvalue=3)[500:600] = 1
        file.create_dataset("empty", shape=(0,), chunks=(100,), maxshape=(None,), dtype="f4")
        file.create_dataset("matrix", data=np.ones((10, 10)), chunks=(5, 5))
    with Handle(tmp_path / "x.h5") as handle:
        assert [open_chunks(handle, handle.node(name)) for name in ("/x", "/empty", "/matrix")] == [None] * 3


def test_a_chunk_that_skipped_a_filter_is_left_to_hdf5(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        dataset = file.create_dataset("x", shape=(200,), chunks=(100,), dtype="f4", compression="gzip")
        dataset[:] = 1
        dataset.id.write_direct_chunk((100,), np.ones(100, "f4").tobytes(), filter_mask=1)
    with Handle(tmp_path / "x.h5") as handle:
        assert open_chunks(handle, handle.node("/x")) is None
        np.testing.assert_array_equal(handle.node("/x")[...], 1)


def test_chunk_of_another_size_than_declared_is_an_error(tmp_path):
    import zlib

    with h5py.File(tmp_path / "x.h5", "w") as file:
        dataset = file.create_dataset("x", data=values("f4", 200), chunks=(100,), compression="gzip")
        dataset.id.write_direct_chunk((100,), zlib.compress(b"short"))
    with Handle(tmp_path / "x.h5") as handle:
        chunks = open_chunks(handle, handle.node("/x"))
        with pytest.raises(ElementError, match=r"x\.h5:/x cannot be read \(chunk 1 "):
            chunks.read(slice(0, 200))


def test_of_a_long_dataset_only_the_first_chunks_are_looked_up(tmp_path):
    values = np.arange(1000, dtype=np.int32)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("x", data=values, chunks=(64,), compression="gzip")
    with Handle(tmp_path / "x.h5") as handle:
        for wanted, n_chunks in ((1, 1), (64, 1), (65, 2), (999, 16), (5000, 16)):
            chunks = open_chunks(handle, handle.node("/x"), n_values=wanted)
            assert len(chunks) == n_chunks
            assert chunks.n_values == min(64 * n_chunks, 1000)
            np.testing.assert_array_equal(chunks.read(slice(0, min(wanted, 1000))), values[:wanted])
