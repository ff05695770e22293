"""The column index of one matrix: the blocks that are finished, and columns read from them.

Cells are stored row by row, questions come column by column. An index holds the same values feature by feature, in
blocks of cells that are independent of each other: those that are finished serve, the rest is scanned.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from contextlib import suppress
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

import deflate
import numpy as np

from cellasso.column_index.block import (
    FORMAT,
    Block,
    BlockError,
    DamagedBlockError,
    Extent,
    close_block,
)
from cellasso.core.atomic_file import Replacement
from cellasso.core.derived_cache import ABOUT, json_with_crc, parse_json_with_crc
from cellasso.core.errors import CellassoError
from cellasso.core.numeric import native

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from cellasso.matrix.base import Matrix
    from cellasso.matrix.compressed import SparseMatrix

logger = logging.getLogger(__name__)

SAMPLES, SAMPLE = 16, 256
"""Stretches of `indptr` that go into the key, and their length: they differ where a file was rewritten within one step
of the clock."""


class IncompleteIndexError(CellassoError, LookupError):
    """A sum over all cells was asked for, and some of them are not indexed yet."""


class ColumnIndex:
    """What is indexed of a matrix.

    Parameters
    ----------
    folder
        Where the blocks are.
    key
        See `key_of`.
    starts
        Where each block begins among the rows, and where the last one ends, `(n_blocks + 1,)`.
    """

    def __init__(self, folder: Path, key: str, starts: Sequence[int], shape: tuple[int, int], dtype: str) -> None:
        self.folder = folder
        self.shape = shape
        extents = enumerate(pairwise(starts))
        self.extents = [
            Extent(key, number, start, stop, shape[1], np.dtype(dtype)) for number, (start, stop) in extents
        ]
        self._blocks: dict[int, Block] = {}

    @property
    def fraction(self) -> float:
        """How much of it is finished, 0 to 1, by cells."""
        done = sum(extent.n_rows for extent in self.extents if extent.path(self.folder).exists())
        return done / self.shape[0] if self.shape[0] else 1.0

    def read_columns(self, columns: Sequence[int], out: Sequence[NDArray[np.generic]]) -> list[tuple[int, int]]:
        """Put the finished parts of columns into arrays of zeros.

        Reads the columns' segments, nothing else. A damaged block is removed, so that it is built again.

        Parameters
        ----------
        columns
            Their positions.
        out
            An array `(n_obs,)` of zeros for each, of the stored dtype.

        Returns
        -------
        Start and stop of the rows that are not indexed, or no longer; there `out` stays as it is.
        """
        missing: list[tuple[int, int]] = []
        self._expect(columns)
        for extent in self.extents:
            found = self._read(extent, columns)
            if found is None:
                missing.append((extent.start, extent.stop))
                continue
            for target, segment in zip(out, found, strict=True):
                if segment is not None:
                    _place(target[extent.start : extent.stop], *segment, dtype=extent.dtype)
        return missing

    def read_sums(self, name: str) -> NDArray[Any]:
        """Return `totals` or `row_nonzero` `(n_obs,)`, or `sums`, `squares` or `n_nonzero` `(n_vars,)`.

        A cell's total is the sum of its stored values in float64, in the order they are stored. A feature's sums are
        added in float64 cell after cell within a block, and then block after block. NaN makes a sum NaN and counts
        as other than zero; values that a cell has several of count as their sum.

        Raises
        ------
        IncompleteIndexError
            Some cells are not indexed yet.
        """
        parts = []
        for extent in self.extents:
            block = self._block(extent)
            try:
                parts.append(block.sums(name) if block is not None else None)
            except BlockError as error:
                self._drop(extent, error)
                parts.append(None)
        finished = [part for part in parts if part is not None]
        if len(finished) < len(parts):
            n_left = len(parts) - len(finished)
            raise IncompleteIndexError(f"{n_left:,} of the {len(parts):,} blocks of {self.folder} are not built yet.")
        if name in {"totals", "row_nonzero"}:
            return np.concatenate(finished) if finished else np.zeros(0)
        total = np.zeros(self.shape[1], dtype=np.int64 if name == "n_nonzero" else np.float64)
        for part in finished:
            total += part
        return total

    def complete_sums(self, *names: str) -> list[NDArray[Any]] | None:
        """Return several sums as `read_sums` does; `None` where some cells are not indexed yet."""
        try:
            return [self.read_sums(name) for name in names]
        except IncompleteIndexError:
            return None

    def check(self, extent: Extent, *, thoroughly: bool) -> bool:
        """Return whether a block is finished and sound; remove it when it is damaged.

        Parameters
        ----------
        extent
            The block.
        thoroughly
            Read all of it, not only its header.
        """
        self._forget(extent)
        block = self._block(extent)
        try:
            if block is not None and thoroughly:
                block.check()
        except BlockError as error:
            self._drop(extent, error)
            return False
        return block is not None

    def _expect(self, columns: Sequence[int]) -> None:
        """Have the disk fetch what all blocks hold of some columns, at the same time and not one after the other."""
        blocks = [block for block in map(self._block, self.extents) if block is not None]
        with suppress(BlockError, OSError):  # only a hint to the disk: a damaged block is found when it is read
            for block in blocks:
                block.expect_entries(columns)
            for block in blocks:
                block.expect_segments(columns)

    def _read(self, extent: Extent, columns: Sequence[int]) -> list[Any] | None:
        error: BlockError | None = None
        for _ in range(2):  # a block that another process has built anew is opened anew
            block = self._block(extent)
            if block is None:
                return None
            try:
                return block.read(columns)
            except BlockError as problem:
                self._forget(extent)
                error = problem
        self._drop(extent, error)
        return None

    def _block(self, extent: Extent) -> Block | None:
        block = self._blocks.get(extent.number)
        if block is None and extent.path(self.folder).exists():
            try:
                block = self._blocks[extent.number] = Block(extent, self.folder)
            except BlockError as error:
                self._drop(extent, error)
        return block

    def _drop(self, extent: Extent, error: BlockError | None) -> None:
        """Forget a block; remove it where it is damaged, so that it is built again."""
        self._forget(extent)
        if isinstance(error, DamagedBlockError):
            logger.warning("%s; it is built again when its file is next opened", error)
            with suppress(OSError):  # an index that this user may only read
                extent.path(self.folder).unlink(missing_ok=True)

    def _forget(self, extent: Extent) -> None:
        self._blocks.pop(extent.number, None)
        close_block(extent.path(self.folder))


def _place(
    target: NDArray[np.generic],
    repeats: int,
    rows: NDArray[np.int32],
    bits: NDArray[Any],
    *,
    dtype: np.dtype[np.generic],
) -> None:
    values = bits.view(dtype)
    if repeats:
        np.add.at(target, rows, values)  # several values of one cell add up, in the order they are stored
    else:
        target[rows] = values


def key_of(matrix: Matrix) -> str:
    """Return what names the index of a matrix in its present state: a digest of the file's identity and its structure.

    Reads a sample of `indptr`. The device is no part of it: it has another number on each machine that shares the
    file, and after a restart.
    """
    fingerprint = matrix.handle.fingerprint
    facts = [FORMAT, fingerprint.size, fingerprint.mtime_ns, fingerprint.inode, matrix.path, matrix.storage]
    facts += [*matrix.shape, matrix.dtype.str, matrix.n_stored, _sampled(matrix)]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]


def open_index(matrix: Matrix, root: Path, key: str) -> ColumnIndex | None:
    """Return the index of a matrix, complete or not, among those below a folder; `None` when none was begun.

    Reads a small file; notes in the folder that it was opened just now.

    Parameters
    ----------
    matrix
        The matrix.
    root
        Folder below which indexes are; it need not exist.
    key
        That of the matrix, see `key_of`.
    """
    folder = root / key
    try:
        about = parse_json_with_crc((folder / ABOUT).read_bytes())
    except OSError:
        return None
    if about is None or about["key"] != key or about["starts"][-1:] != [matrix.shape[0]]:
        return None
    with suppress(OSError):  # when it was last opened; an index that this user may only read keeps its time
        os.utime(folder / ABOUT)
    return ColumnIndex(folder, key, about["starts"], matrix.shape, native(matrix.dtype).str)


def begin_index(matrix: Matrix, root: Path, starts: Sequence[int]) -> ColumnIndex:
    """Make the folder of an index, unless it is there, and write in it which matrix it is of; no block is built.

    Parameters
    ----------
    matrix
        Its key names the folder; see `key_of`.
    root
        Folder below which indexes are; it is made.
    starts
        Where each block begins among the rows, and the number of rows, `(n_blocks + 1,)`.

    Raises
    ------
    OSError
        The folder cannot be made or written to.
    """
    key = key_of(matrix)
    folder = root / key
    folder.mkdir(parents=True, exist_ok=True)
    about = {
        "key": key,
        "file": str(matrix.handle.path),
        "matrix": matrix.path,
        "starts": [int(start) for start in starts],
    }
    stored = json_with_crc(about)
    path = folder / ABOUT
    if not path.exists() or path.read_bytes() != stored:
        with Replacement(path) as new:
            new.file.write(stored)
            new.put()
    return ColumnIndex(folder, key, starts, matrix.shape, native(matrix.dtype).str)


def _sampled(matrix: Matrix) -> int:
    if matrix.storage == "dense":
        return 0
    indptr = cast("SparseMatrix", matrix).part("indptr")
    n = indptr.size
    sampled = 0
    for at in np.unique(np.linspace(0, max(0, n - SAMPLE), SAMPLES, dtype=np.int64)):
        sampled = deflate.crc32(matrix.handle.read(indptr, slice(int(at), int(at) + SAMPLE)).tobytes(), sampled)
    return int(sampled)
