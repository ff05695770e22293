"""A lazy matrix: X, a layer or raw, read by columns (features) without ever being loaded."""

from __future__ import annotations

from abc import ABC, abstractmethod
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from cellasso.core.errors import ElementError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from cellasso.core.progress import Preview, Progress
    from cellasso.store.base import Store

Storage: TypeAlias = Literal["dense", "csr", "csc"]

Rows: TypeAlias = tuple[int, int]
"""Consecutive rows: the first, and the one behind the last."""

Targets: TypeAlias = "dict[int, NDArray[np.generic]]"
"""Where the values of a column go, `(n_obs,)` each, by its position."""

SCAN_BLOCK = 1 << 18
"""Stored values per step of a scan: 1 MB of indices and as much data, several of them in flight. On 100
million values 2**18 took 0.9 s, 2**20 as long, with four times the memory."""


class Matrix(ABC):
    """A matrix on disk of shape `(n_obs, n_vars)`.

    Attributes
    ----------
    storage
        `"dense"`, `"csr"` (cell by cell) or `"csc"` (feature by feature).
    """

    storage: Storage

    def __init__(self, handle: Store, path: str, shape: tuple[int, int]) -> None:
        self.handle = handle
        self.path = path
        self.shape = shape

    @property
    @abstractmethod
    def dtype(self) -> np.dtype[np.generic]:
        """The dtype of the stored values."""

    @property
    @abstractmethod
    def n_stored(self) -> int:
        """How many values are stored (for a sparse matrix its non-zeros)."""

    def read_columns(
        self, columns: Sequence[int], *, progress: Progress | None = None, preview: Preview | None = None
    ) -> NDArray[np.generic]:
        """Read columns into an array `(n_obs, len(columns))` of the stored dtype, exact.

        Reads the columns' own bytes on CSC, the touched chunks on dense, and scans once through all
        stored values on CSR, in bounded memory.

        Parameters
        ----------
        columns
            Their positions, in any order; one may be asked for several times.
        progress
            Told the fraction done, 0 to 1; may raise `Cancelled`. `None`: nothing is told.
        preview
            Where that takes a scan, shown what it has found so far, in the order of `columns`; `None`: never.

        Raises
        ------
        ElementError
            The stored structure contradicts itself, or there is no such column.
        Cancelled
            `progress` raised it.
        """
        return gather_columns(self, columns, progress=progress, preview=preview)

    @abstractmethod
    def fill_columns(
        self,
        targets: Targets,
        rows: Sequence[Rows],
        *,
        progress: Progress | None = None,
        preview: Preview | None = None,
    ) -> None:
        """Put the values of some rows of columns into their targets, which are 0 there.

        Parameters
        ----------
        targets
            By position of the column, `(n_obs,)` each.
        rows
            Stretches of rows, ascending and apart; other rows of the targets stay as they are.
        progress, preview
            As of `read_columns`; the preview in the order of the targets.

        Raises
        ------
        ElementError
            The stored structure contradicts itself.
        """

    @property
    def place(self) -> str:
        """File and HDF5 path, for messages."""
        return self.handle.place(self.path)


def gather_columns(
    matrix: Matrix,
    columns: Sequence[int],
    *,
    known: Callable[[Targets], Sequence[Rows]] | None = None,
    progress: Progress | None = None,
    preview: Preview | None = None,
) -> NDArray[np.generic]:
    """Read columns as `Matrix.read_columns` does.

    Parameters
    ----------
    matrix
        `(n_obs, n_vars)`.
    columns, progress, preview
        As of `Matrix.read_columns`.
    known
        Puts what an index has of the columns into their targets, and returns the rows that are left to read;
        `None`: all are.

    Returns
    -------
    `(n_obs, len(columns))` of the stored dtype, one column after the other in memory.

    Raises
    ------
    ElementError
        There is no such column, or the matrix is damaged.
    Cancelled
        `progress` raised it.
    """
    for column in columns:
        if not 0 <= column < matrix.shape[1]:
            raise ElementError(f"{matrix.place} has {matrix.shape[1]:,} columns; column {column:,} was asked for.")
    # one column after the other in memory: they are used one at a time
    out: NDArray[np.generic] = np.zeros((matrix.shape[0], len(columns)), dtype=matrix.dtype, order="F")
    slots = _slots(columns)
    targets = {column: out[:, same[0]] for column, same in slots.items()}
    rows = [(0, matrix.shape[0])] if known is None else known(targets)

    def show(found: list[NDArray[np.float32]]) -> None:
        by_column = dict(zip(targets, found, strict=True))
        if preview is not None:
            preview([by_column[column] for column in columns])

    matrix.fill_columns(targets, rows, progress=progress, preview=None if preview is None else show)
    for first, *others in slots.values():
        for slot in others:
            out[:, slot] = out[:, first]
    return out


def row_starts(indptr: NDArray[np.int64], n_values: int, most_rows: int | None = None) -> list[int]:
    """Return where blocks of whole rows begin, and the number of rows at the end.

    Parameters
    ----------
    indptr
        Where each row begins and ends among the stored values, `(n_rows + 1,)`.
    n_values
        Stored values of a block at most, unless one row has more.
    most_rows
        Rows of a block at most; `None`: any number.
    """
    n_rows, starts = len(indptr) - 1, [0]
    while starts[-1] < n_rows:
        start = starts[-1]
        full = int(np.searchsorted(indptr, indptr[start] + n_values, side="right")) - 1
        starts.append(min(max(full, start + 1), n_rows if most_rows is None else start + most_rows, n_rows))
    return starts


def steps_through(start: int, stop: int, step: int) -> list[slice]:
    """Return slices from `start` to `stop` that end at multiples of `step`, and the last one at `stop`.

    Parameters
    ----------
    start, stop
        The first position, and the one behind the last; no slices where they are equal.
    step
        Length of a slice, 1 and more; the first and the last may be shorter.
    """
    edges = [start, *range((start // step + 1) * step, stop, step), stop]
    return [slice(a, b) for a, b in pairwise(edges) if a < b]


def _slots(columns: Sequence[int]) -> Mapping[int, list[int]]:
    """Return at which positions of a request each column stands; one that is given several times is read once."""
    slots: dict[int, list[int]] = {}
    for slot, column in enumerate(columns):
        slots.setdefault(column, []).append(slot)
    return slots
