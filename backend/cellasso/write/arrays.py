"""The cells of a mask, streamed out of one array or matrix into a new file, in bounded memory.

Dtype, chunks, filters and attributes of the source are those of the copy. What can be is inflated and
deflated past the format's library, tiles side by side: compression is most of what an export costs. Neither anndata nor
pandas is imported, because the export's child process starts with this.
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from math import prod
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from cellasso.core.errors import ElementError
from cellasso.core.executors import max_in_flight, run_blocks
from cellasso.write.transfer import Share, set_encoding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from cellasso.store.base import Array, Group, Store
    from cellasso.store.new_file import NewFile
    from cellasso.write.transfer import Transfer

IntArray: TypeAlias = "NDArray[np.int64]"
Read: TypeAlias = "Callable[..., NDArray[Any]]"
"""Reads a stretch of a dataset along each axis, given as slices; any thread may."""

Transform: TypeAlias = "Callable[[NDArray[Any]], NDArray[Any]]"

BLOCK_BYTES = 1 << 23
"""What a block reads at a time, of which `executors.AHEAD` for each core are under way: 2 million stored float32
of a sparse matrix and as many indices. Larger blocks gained nothing on gzip."""

SMALL = 128
"""The share of a block up to which a dataset is read whole at once: 64 kB, which costs no more than any part of it."""

GATHERED_BYTES = 1 << 27
"""What is gathered at a time of a dataset whose rows are wanted in another order than theirs."""

OBJECT_BYTES = 128
"""A string in memory: the pointer, the `bytes` header and a name's worth of text."""


# -- arrays -------------------------------------------------------------------------------------------


def reader(handle: Store, dataset: Array) -> Read:
    """Return how to read an array: past the library and its lock where that is possible.

    Parameters
    ----------
    handle
        The source.
    dataset
        An array of it.

    Returns
    -------
    Takes a slice for each of the first axes, and reads the others whole. Any thread may call it; where the library has
    to read, one waits for the other.
    """
    chunks = handle.open_chunks(dataset)
    return chunks.read if chunks is not None else partial(handle.read_stored, dataset)


def take(
    handle: Store,
    dataset: Array,
    rows: IntArray,
    columns: slice | IntArray | None = None,
    *,
    read: Read | None = None,
) -> NDArray[Any]:
    """Return rows of a dataset, in the order asked for, `(len(rows), ...)`.

    Reads a small dataset whole; of others windows of whole chunks, of about `BLOCK_BYTES`, and of each no more than
    from the first row asked for to the last.

    Parameters
    ----------
    handle
        The source.
    dataset
        An array of it, of one dimension or more.
    rows
        Positions, in any order; one may be asked for several times.
    columns
        Of the second axis, a slice or positions (one at least); `None`: all.
    read
        Reads a stretch along each axis, as of `reader`; `None`: `Store.read` does.

    Raises
    ------
    ElementError
        There is no such row, or its bytes are damaged.
    FileChangedError
        The source changed before or while it was read.
    """
    if read is None and is_small(dataset):
        try:
            values: NDArray[Any] = handle.read_stored(dataset)[rows]
        except IndexError:
            raise _beyond(dataset, rows) from None
        return values if columns is None else values[:, columns]
    shape = dataset.shape or ()
    if len(rows) and int(rows.max()) >= shape[0]:
        raise _beyond(dataset, rows)
    read = read or partial(handle.read_stored, dataset)
    start, stop, pick = _hull(columns, shape[1]) if columns is not None else (0, 0, None)
    n_columns = shape[1:2] if columns is None else ((len(pick),) if pick is not None else (stop - start,))
    out = np.empty((len(rows), *n_columns, *shape[2:]), dtype=dataset.dtype)
    order = None if is_ascending(rows) else np.argsort(rows, kind="stable")
    ascending = rows if order is None else rows[order]
    chunk = dataset.chunks[0] if dataset.chunks else 1
    wide = 1 if dataset.ndim == 1 else shape[1] if columns is None else stop - start
    width = int(np.prod(shape[2:])) * max(1, wide)
    step = max(1, _n_values(dataset.dtype) // max(1, width) // chunk) * chunk
    for first, last in runs(ascending // step):
        low, high = int(ascending[first]), int(ascending[last - 1]) + 1
        window = read(slice(low, high)) if columns is None else read(slice(low, high), slice(start, stop))
        window = window[ascending[first:last] - low]
        out[slice(first, last) if order is None else order[first:last]] = window if pick is None else window[:, pick]
    return out


def subset_array(
    transfer: Transfer,
    source: Array,
    parent: Group,
    name: str,
    *,
    rows: IntArray,
    columns: IntArray | None = None,
    transform: Transform | None = None,
    dtype: np.dtype[np.generic] | None = None,
    of_many: bool = False,
) -> None:
    """Write rows (and columns) of an array, tile by tile, each tile of whole chunks of the copy.

    Parameters
    ----------
    transfer
        From which file to which.
    source
        An array of the source.
    parent, name
        Group of the export, and the name of the copy in it.
    rows
        Positions, in any order.
    columns
        Positions along the second axis, in any order; `None`: all.
    transform
        Makes of each tile, as it was read, what is written; `None`: nothing is changed.
    dtype
        Instead of the source's.
    of_many
        Whether it is one of many that are alike; see `NewFile.array_like`.

    Raises
    ------
    ElementError
        There is no such row, or the bytes of a chunk are damaged.
    FileChangedError
        The source changed before or while it was read.
    """
    handle, new, inner = transfer.source, transfer.target, (source.shape or ())[1:]
    shape = (len(rows), *inner) if columns is None else (len(rows), len(columns), *inner[1:])
    target = new.array_like(source, parent, name, shape, dtype=dtype, of_many=of_many)
    share = Share(transfer, source)
    if is_small(source):
        values = take(handle, source, rows, columns)
        new.write(target, values if transform is None else transform(values))
    else:
        read = reader(handle, source)

        def make(tile: tuple[slice, ...]) -> NDArray[Any]:
            across = None if len(tile) == 1 else tile[1] if columns is None else columns[tile[1]]
            values = take(handle, source, rows[tile[0]], across, read=read)
            return values if transform is None else transform(values)

        # rows that are wanted in another order lie anywhere: each tile takes a pass over all of them
        n_bytes = BLOCK_BYTES if is_ascending(rows) else GATHERED_BYTES
        chunk_bytes = prod(source.chunks or (1,)) * source.dtype.itemsize
        _write_tiles(new, target, make, n_bytes, share, most=max_in_flight(2 * max(n_bytes, chunk_bytes)))
    share.reach(1.0)
    if source.dtype.kind == "S" and target.shape == (1,) and "encoding-type" not in target.attrs:
        # anndata takes an old file's array of a single string of fixed length for that string
        set_encoding(new, target, "string-array", "0.2.0")


def _beyond(dataset: Array, rows: IntArray) -> ElementError:
    n_rows = (dataset.shape or (0,))[0]
    return ElementError(f"{dataset.name} has {n_rows:,} rows; row {int(rows.max()):,} was asked for.")


def is_small(dataset: Array) -> bool:
    """Whether an array is so small that it is read whole, however few of its rows are taken."""
    return bool(dataset.size <= _n_values(dataset.dtype, BLOCK_BYTES // SMALL))


def _write_tiles(
    new: NewFile,
    target: Array,
    make: Callable[[tuple[slice, ...]], NDArray[Any]],
    n_bytes: int,
    share: Share,
    *,
    most: int,
) -> None:
    """Write a dataset tile by tile, the next ones of which are made and packed meanwhile."""
    packing, tiles = new.packing(target), list(_tiles(target, n_bytes))

    def pack(tile: tuple[slice, ...]) -> Any:
        values = make(tile)
        if packing is None:
            return values
        corner = tuple(axis.start for axis in tile)
        return packing.pack(values, corner + (0,) * (values.ndim - len(corner)))

    n_written = 0
    for tile, made in zip(tiles, run_blocks(pack, tiles, most=most), strict=True):
        if packing is None:
            new.write(target, made, tuple(axis.start for axis in tile))
        else:
            new.write_packed(target, made)
        n_written += prod(axis.stop - axis.start for axis in tile) * prod((target.shape or ())[len(tile) :])
        share.reach(n_written / target.size)


def _tiles(target: Array, n_bytes: int) -> Iterator[tuple[slice, ...]]:
    shape = target.shape or ()
    if not target.size:
        return
    chunks = target.chunks or (1,) * target.ndim
    budget = max(1, _n_values(target.dtype, n_bytes) // max(1, int(np.prod(shape[2:]))))
    wide = shape[1] if target.ndim > 1 else 1
    # whole rows where a band of chunks fits, else as many columns of chunks as do
    if target.ndim > 1 and chunks[0] * wide > budget:
        wide = min(wide, max(1, budget // (chunks[0] * chunks[1])) * chunks[1])
    tall = max(1, budget // wide // chunks[0]) * chunks[0]
    for top in range(0, shape[0], tall):
        rows = slice(top, min(top + tall, shape[0]))
        if target.ndim == 1:
            yield (rows,)
            continue
        for left in range(0, shape[1], wide):
            yield rows, slice(left, min(left + wide, shape[1]))


def _hull(columns: slice | IntArray, n: int) -> tuple[int, int, IntArray | None]:
    """First and last column to read, and which of those between to pick."""
    if isinstance(columns, slice):
        start, stop, _ = columns.indices(n)
        return start, stop, None
    start = int(columns.min())
    return start, int(columns.max()) + 1, columns - start


def _n_values(dtype: np.dtype[Any], n_bytes: int = BLOCK_BYTES) -> int:
    return n_bytes // (OBJECT_BYTES if dtype.hasobject else max(1, dtype.itemsize))


# -- positions ----------------------------------------------------------------------------------------


def is_ascending(rows: IntArray) -> bool:
    """Whether positions rise without repeating."""
    return bool(np.all(rows[1:] > rows[:-1]))


def ranges(starts: IntArray, lengths: IntArray) -> IntArray:
    """Return `starts[0], starts[0] + 1, ...` for each start, `lengths` positions each, one after the other.

    Parameters
    ----------
    starts, lengths
        `(n,)` each, int64; lengths of 0 give nothing.
    """
    before = np.cumsum(lengths) - lengths
    return np.repeat(starts - before, lengths) + np.arange(int(lengths.sum()))


def runs(keys: NDArray[Any]) -> Iterator[tuple[int, int]]:
    """Yield first and last (exclusive) of each run of equal keys."""
    borders = [0, *(np.flatnonzero(np.diff(keys)) + 1).tolist(), len(keys)]
    yield from ((first, last) for first, last in pairwise(borders) if last > first)
