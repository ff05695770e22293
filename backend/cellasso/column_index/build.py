"""Building the index of a matrix: blocks of cells, each a task of its own, in any order, in any process.

A block is read in pieces of whole rows, side by side; each piece is sorted by feature where it is read, then the
features of all pieces are packed, side by side too. What a block needs in memory is bounded by its number of values.
A build that is stopped, at any moment and in any way, leaves whole blocks; the next one makes those that are missing.

Measured on 1M cells by 30,000 genes, 1.37e9 counts in gzip chunks: see tests/benchmarks/columns.md.
"""

from __future__ import annotations

import os
import shutil
import threading
from concurrent.futures import Executor, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from cellasso.column_index.build_block import BlockBuilder, open_source
from cellasso.column_index.index import ColumnIndex, begin_index
from cellasso.column_index.plan import MAX_VALUES, plan
from cellasso.core import derived_cache
from cellasso.core.errors import CellassoError
from cellasso.core.executors import run_blocks
from cellasso.matrix.compressed import SparseMatrix
from cellasso.matrix.dense import DenseMatrix
from cellasso.matrix.reference import MatrixReference, close_all

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from cellasso.column_index.block import Extent
    from cellasso.core.progress import Progress
    from cellasso.matrix.base import Matrix

N_BLOCKS_AT_A_TIME = 2

MAX_THREADS = 16
"""Each has a piece in hand: its indices and values and some chunks of them, about 10 MB."""

WORTH_BYTES = 32 << 20
"""Of indices and values, inflated. Below it a scan takes about 0.1 s."""

BACKGROUND_NICE = 10
"""How much lower than the screen's is the priority of threads in the background."""


class IndexingError(CellassoError, OSError):
    """An index cannot be built."""


@dataclass(frozen=True)
class BlockTask:
    """One block to build, for any process that reaches the file and the index's folder under the same paths."""

    matrix: MatrixReference
    folder: Path
    extent: Extent
    threads: int
    background: bool


def build_index(
    matrix: Matrix,
    root: Path,
    *,
    threads: int | None = None,
    background: bool = False,
    check: bool = False,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> ColumnIndex:
    """Build what is missing of a matrix's index; return when all is there.

    Several processes may be asked for the same index: one builds, the others wait for it, and go on when it ends.

    Parameters
    ----------
    matrix
        CSR or dense.
    root
        Folder that keeps the indexes, see `cellasso.core.derived_cache`.
    threads
        Threads for each block; by default one for each core, and one where an executor is given.
    background
        At a lower priority.
    check
        Read blocks that are there already and compare their checksums.
    executor
        Where blocks are built, such as a Dask cluster's `Client.get_executor()`; by default in this process.
    progress
        Told the fraction of cells that are indexed; may raise `Cancelled`.

    Raises
    ------
    IndexingError
        The matrix is stored feature by feature and needs none, or the disk has no room.
    ElementError, FileChangedError
        The matrix is damaged; the file is no longer the one that was opened.
    """
    if matrix.storage == "csc":
        raise IndexingError(f"{matrix.place} is stored feature by feature and needs no index.")
    index = begin_index(matrix, root, plan(matrix))
    with derived_cache.locked(index.folder, progress=progress, fraction=lambda: index.fraction):
        missing = [extent for extent in index.extents if not index.check(extent, thoroughly=check)]
        derived_cache.remove_leftovers(index.folder)
        if missing:
            _make_room(matrix, index, missing)
        if executor is not None and threads is None:
            threads = 1  # a cluster's workers take several blocks at a time by themselves
        tasks = [_task(matrix, index, extent, threads, background=background) for extent in missing]
        n_done = matrix.shape[0] - sum(extent.n_rows for extent in missing)
        try:
            for done in _run(tasks, executor):
                n_done += done.n_rows
                if progress is not None:
                    progress(n_done / matrix.shape[0])
        finally:
            close_all()
        derived_cache.trim(root, keep=index.folder)
    return index


def is_worthwhile(matrix: Matrix) -> bool:
    """Return whether a feature takes so long without an index that a person waits for it, and building one is bounded.

    Where chunks have more values than a block, each block would inflate much of the matrix.
    """
    if isinstance(matrix, DenseMatrix):
        return matrix.column_bytes >= WORTH_BYTES
    if not isinstance(matrix, SparseMatrix) or matrix.storage != "csr":
        return False
    chunk = (matrix.part("indices").chunks or (1,))[0]
    return matrix.n_stored * (4 + matrix.dtype.itemsize) >= WORTH_BYTES and chunk <= MAX_VALUES


def build_block(task: BlockTask) -> Extent:
    """Build one block; any process may, also one on another machine."""
    matrix = task.matrix.open()
    pool = _pool(task.threads, background=task.background)
    BlockBuilder(task.extent, open_source(matrix, task.extent, pool), pool).build(task.folder)
    matrix.handle.check()
    return task.extent


def _task(matrix: Matrix, index: ColumnIndex, extent: Extent, threads: int | None, *, background: bool) -> BlockTask:
    n_threads = min(threads if threads is not None else os.cpu_count() or 1, MAX_THREADS)
    return BlockTask(MatrixReference.to(matrix), index.folder, extent, n_threads, background)


def _run(tasks: Sequence[BlockTask], executor: Executor | None) -> Iterator[Extent]:
    """Yield the blocks as they are finished."""
    if executor is None:
        n = N_BLOCKS_AT_A_TIME if tasks and tasks[0].threads > 1 else 1
        with ThreadPoolExecutor(n, thread_name_prefix="cellasso-index") as pool:
            yield from run_blocks(build_block, tasks, executor=pool, most=n)
        return
    futures = [executor.submit(build_block, task) for task in tasks]  # all, for any number of workers of a cluster
    try:
        for future in as_completed(futures):
            yield future.result()
    finally:
        for future in futures:
            future.cancel()


@cache
def _pool(threads: int, *, background: bool) -> Executor:
    """Return the threads that read and pack; the screen's own reads have others."""
    return ThreadPoolExecutor(
        threads, thread_name_prefix="cellasso-index-piece", initializer=_be_nice if background else None
    )


def _be_nice() -> None:
    if hasattr(os, "setpriority"):  # on Linux it sets the priority of the calling thread alone
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), BACKGROUND_NICE)


def _make_room(matrix: Matrix, index: ColumnIndex, missing: Sequence[Extent]) -> None:
    """Remove old indexes for the new one; raise when the disk has no room even so."""
    fraction = sum(extent.n_rows for extent in missing) / matrix.shape[0]
    needed = int(fraction * matrix.n_stored * (1 + matrix.dtype.itemsize))
    derived_cache.trim(index.folder.parent, keep=index.folder, room=needed)
    free = shutil.disk_usage(index.folder).free
    if free < needed:
        raise IndexingError(
            f"The index of {matrix.place} may need {needed / 1e9:.1f} GB in {index.folder.parent}, which has"
            f" {free / 1e9:.1f} GB free; make room, or name another folder with --index-dir."
        )
