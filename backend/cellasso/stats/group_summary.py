"""Summaries over groups of cells: what dotplots, matrixplots, violins and composition bars show."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from cellasso.core.numeric import as_numbers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from concurrent.futures import Executor

    from numpy.typing import NDArray

    from cellasso.core.progress import Progress
    from cellasso.matrix.base import Matrix
    from cellasso.matrix.row_blocks import RowBlock


COUNTED = 1 << 17
"""Codes counted at a time: NumPy widens them to 8 bytes, which then stay in a core's cache."""


@dataclass(frozen=True)
class GroupSummary:
    """Sums over the cells of each group, one per group and feature; zeros count, missing values do not.

    Two summaries of different cells add up to that of all of them.

    Attributes
    ----------
    n_cells
        Cells in each group, `(n_groups,)`.
    n_known
        Cells of the group that have a value, `(n_groups, n_features)`; the others are NaN, or in no modality.
    n_above
        Cells with a value above 0, of the same shape.
    sums, squares
        Sum of the values and of their squares, float64, of the same shape, in the unit of the values.
    """

    n_cells: NDArray[np.int64]
    n_known: NDArray[np.int64]
    n_above: NDArray[np.int64]
    sums: NDArray[np.float64]
    squares: NDArray[np.float64]

    @property
    def mean(self) -> NDArray[np.float64]:
        """Mean over the cells that have a value, zeros included; NaN for a group without any."""
        return _ratio(self.sums, self.n_known)

    @property
    def fraction(self) -> NDArray[np.float64]:
        """Fraction of the cells with a value above 0, 0 to 1; NaN for a group without any."""
        return _ratio(self.n_above, self.n_known)

    @property
    def variance(self) -> NDArray[np.float64]:
        """Variance with one degree of freedom less than cells; NaN for a group of fewer than two."""
        known = self.n_known.astype(np.float64)
        centred = self.squares - _ratio(self.sums**2, self.n_known)
        return _ratio(np.maximum(centred, 0.0), np.where(known > 1, known - 1, 0))

    def of_features(self, slots: Sequence[int]) -> GroupSummary:
        """Return the summary of some of the features, in this order."""
        at = np.asarray(slots, dtype=np.int64)
        return GroupSummary(
            self.n_cells, self.n_known[:, at], self.n_above[:, at], self.sums[:, at], self.squares[:, at]
        )

    @classmethod
    def side_by_side(cls, n_cells: NDArray[np.int64], parts: Sequence[GroupSummary]) -> GroupSummary:
        """Return one summary of the features of all parts, in the order of the parts.

        Parameters
        ----------
        n_cells
            Cells in each group, `(n_groups,)`: of all cells, also of those that a part's modality lacks.
        parts
            Summaries over the same groups; none give a summary of no features.
        """
        none = np.zeros((len(n_cells), 0))
        return cls(
            n_cells,
            np.concatenate([none.astype(np.int64), *(part.n_known for part in parts)], axis=1),
            np.concatenate([none.astype(np.int64), *(part.n_above for part in parts)], axis=1),
            np.concatenate([none, *(part.sums for part in parts)], axis=1),
            np.concatenate([none, *(part.squares for part in parts)], axis=1),
        )

    def __add__(self, other: GroupSummary) -> GroupSummary:
        return GroupSummary(
            self.n_cells + other.n_cells,
            self.n_known + other.n_known,
            self.n_above + other.n_above,
            self.sums + other.sums,
            self.squares + other.squares,
        )


def unit_scaled(values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Return values from 0 to 1 along an axis; 0 where all are the same, or missing.

    Parameters
    ----------
    values
        Of two dimensions.
    axis
        Along which the lowest becomes 0 and the highest 1.
    """
    known = np.where(np.isfinite(values), values, np.nan)
    low = np.fmin.reduce(known, axis=axis, keepdims=True)
    span = np.fmax.reduce(known, axis=axis, keepdims=True) - low
    with np.errstate(invalid="ignore", divide="ignore"):  # all the same
        scaled: NDArray[np.float64] = np.nan_to_num((values - low) / span, nan=0.0)
    return scaled


def summarise_groups(columns: Iterable[NDArray[Any]], codes: NDArray[np.integer], n_groups: int) -> GroupSummary:
    """Summarise features over groups, as `scanpy.pl.dotplot` does with its defaults.

    One pass over each column, cell after cell in float64; a column is asked for when the one before is done.

    Parameters
    ----------
    columns
        One array `(n_obs,)` per feature; NaN (a cell that the modality lacks) counts nowhere.
    codes
        Group of each cell, `(n_obs,)`; -1 is in no group.
    n_groups
        How many groups there are.
    """
    # 0 stands for no group, so that the kernel needs no test
    shifted = codes.astype(np.int32) + 1
    found = [_summarise_column()(as_numbers(column), shifted, n_groups + 1) for column in columns]
    parts = [np.stack(part, axis=1) for part in zip(*found, strict=True)]
    n_known, n_above, sums, squares = parts or [
        np.zeros((n_groups + 1, 0), dtype) for dtype in ("i8", "i8", "f8", "f8")
    ]
    return GroupSummary(count_groups(codes, n_groups), n_known[1:], n_above[1:], sums[1:], squares[1:])


def summarise_rows(
    matrix: Matrix,
    columns: Sequence[int],
    codes: NDArray[np.integer],
    n_groups: int,
    *,
    factors: NDArray[np.float64] | None = None,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> GroupSummary:
    """Summarise columns of a CSR or dense matrix in one pass over its rows; as `summarise_groups` otherwise.

    The sums of blocks of rows are added up, so they may differ from those of whole columns in the last bit.

    Parameters
    ----------
    matrix
        `(n_obs, n_vars)`.
    columns
        Positions, each once; there may be as many as the matrix has.
    codes
        Group of each cell, `(n_obs,)`; -1 is in no group.
    n_groups
        How many groups there are.
    factors
        Of each cell, `(n_obs,)`: values are log-normalised with them first, see `normalise.log_normalised`.
    executor
        Where blocks of rows are dealt with, as of `over_rows`.
    progress
        Told the fraction of rows done; may raise `Cancelled`.

    Raises
    ------
    ElementError
        The matrix is damaged, or stored feature by feature.
    """
    from cellasso.matrix.row_blocks import BLOCK_VALUES, over_rows  # noqa: PLC0415 - counting cells needs no matrix

    slots = np.full(matrix.shape[1], -1, dtype=np.int32)
    slots[list(columns)] = np.arange(len(columns), dtype=np.int32)
    shape = (n_groups + 1, len(columns))
    n_missing, n_above, sums, squares = (np.zeros(shape, dtype) for dtype in ("i8", "i8", "f8", "f8"))
    per_row: list[NDArray[Any]] = [codes.astype(np.int32) + 1, *([] if factors is None else [factors])]
    # what a block adds up is as large as the summary: blocks of a summary of all features are large, too
    n_values = max(BLOCK_VALUES, 4 * shape[0] * shape[1])
    job = _SummaryJob(slots, shape)
    for parts in over_rows(matrix, job, per_row=per_row, n_values=n_values, executor=executor, progress=progress):
        for total, part in zip((n_missing, n_above, sums, squares), parts, strict=True):
            np.add(total, part, out=total)
    n_cells = count_groups(codes, n_groups)
    return GroupSummary(n_cells, n_cells[:, None] - n_missing[1:], n_above[1:], sums[1:], squares[1:])


@dataclass(frozen=True)
class _SummaryJob:
    """Adds up a block of rows by group; any process may.

    Attributes
    ----------
    slots
        Which column of the summary each column of the matrix is, `(n_vars,)`; -1 for none.
    shape
        Groups (the first: cells of none) and columns of the summary.
    """

    slots: NDArray[np.int32]
    shape: tuple[int, int]

    def __call__(self, block: RowBlock, groups: NDArray[np.int32], factors: NDArray[np.float64] | None = None) -> Any:
        """Return what is missing, above 0, sums and squares, each of `shape`."""
        data = as_numbers(block.data)
        own = np.zeros(0) if factors is None else factors
        room = np.zeros(self.shape[1], data.dtype)
        return _summarise_block()(
            as_numbers(block.indices), data, block.ends, groups, self.slots, own, self.shape, room
        )


def count_groups(codes: NDArray[np.integer], n_groups: int, mask: NDArray[np.bool_] | None = None) -> NDArray[np.int64]:
    """Count the cells of each group, `(n_groups,)`.

    Parameters
    ----------
    codes
        Group of each cell, `(n_obs,)`; one below 0 is in no group.
    n_groups
        How many groups there are.
    mask
        Which cells are counted, `(n_obs,)`; `None`: all.

    Raises
    ------
    ValueError
        A code is not below `n_groups`.
    """
    chosen = codes if mask is None else codes[mask]
    counts = np.zeros(n_groups + 1, dtype=np.int64)
    part = max(COUNTED, n_groups)
    for start in range(0, len(chosen), part):
        groups = np.maximum(chosen[start : start + part].astype(np.intp), -1)
        counts += np.bincount(groups + 1, minlength=n_groups + 1)
    return counts[1:]


def _ratio(above: NDArray[Any], below: NDArray[Any]) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore", divide="ignore"):  # 0 / 0 is NaN: a group without cells
        ratio: NDArray[np.float64] = np.true_divide(above, below)
    ratio[np.broadcast_to(below == 0, ratio.shape)] = np.nan
    return ratio


@cache
def _summarise_column() -> Callable[..., Any]:
    from cellasso.core.compiled import njit  # noqa: PLC0415 - numba takes more than a second to import

    @njit
    def summarise_column(values: NDArray[Any], groups: NDArray[np.int32], n_groups: int) -> Any:
        n_known, n_above = np.zeros(n_groups, dtype=np.int64), np.zeros(n_groups, dtype=np.int64)
        sums, squares = np.zeros(n_groups), np.zeros(n_groups)
        for i in range(len(values)):
            value = np.float64(values[i])
            if value == value:  # noqa: PLR0124 - not NaN
                group = groups[i]
                n_known[group] += 1
                if value != 0:
                    sums[group] += value
                    squares[group] += value * value
                    n_above[group] += value > 0
        return n_known, n_above, sums, squares

    return summarise_column


@cache
def _summarise_block() -> Callable[..., Any]:
    from cellasso.core.compiled import njit  # noqa: PLC0415 - numba takes more than a second to import

    @njit
    def summarise_block(  # noqa: PLR0917 - a kernel takes arrays
        indices: NDArray[Any],
        data: NDArray[Any],
        ends: NDArray[np.int64],
        groups: NDArray[np.int32],
        slots: NDArray[np.int32],
        factors: NDArray[np.float64],
        shape: tuple[int, int],
        values: NDArray[Any],
    ) -> Any:
        """Add up a block; `values`, zeros, is where the values of one row stand, several of one cell added up."""
        n_missing, n_above = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
        sums, squares = np.zeros(shape), np.zeros(shape)
        start = 0
        for row in range(len(ends)):
            group = groups[row]
            if group > 0:
                for i in range(start, ends[row]):
                    slot = slots[indices[i]]
                    if slot >= 0:
                        values[slot] += data[i]
                for i in range(start, ends[row]):
                    slot = slots[indices[i]]
                    if slot < 0:
                        continue
                    value = np.float64(values[slot])
                    values[slot] = 0
                    if len(factors):
                        value = np.float64(np.float32(np.log1p(value * factors[row])))
                    if value != value:  # noqa: PLR0124 - NaN
                        n_missing[group, slot] += 1
                    elif value != 0:
                        sums[group, slot] += value
                        squares[group, slot] += value * value
                        n_above[group, slot] += value > 0
            start = ends[row]
        return n_missing, n_above, sums, squares

    return summarise_block
