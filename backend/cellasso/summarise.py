"""Summaries over groups of cells: what dotplots and composition bars show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True)
class GroupSummary:
    """One value per group and feature.

    Attributes
    ----------
    mean
        Mean over all cells of the group, zeros included, `(n_groups, n_features)` float64, in the unit
        of the matrix; NaN for a group without cells.
    fraction
        Fraction of the group's cells with a value above 0, 0 to 1, of the same shape.
    n_cells
        Cells in each group, `(n_groups,)`.
    """

    mean: NDArray[np.float64]
    fraction: NDArray[np.float64]
    n_cells: NDArray[np.int64]


def summarise_groups(columns: Sequence[NDArray[np.generic]], codes: NDArray[np.integer], n_groups: int) -> GroupSummary:
    """Summarise features over groups, as `scanpy.pl.dotplot` does with its defaults.

    Parameters
    ----------
    columns
        One array `(n_obs,)` per feature; NaN (a cell that the modality lacks) counts nowhere.
    codes
        Group of each cell, `(n_obs,)`; -1 is in no group.
    n_groups
        How many groups there are.
    """
    grouped = codes >= 0
    n_cells = count_groups(codes, n_groups)
    mean = np.full((n_groups, len(columns)), np.nan)
    fraction = np.full((n_groups, len(columns)), np.nan)
    for slot, column in enumerate(columns):
        values = column.astype(np.float64)
        counted = grouped & ~np.isnan(values)
        groups = codes[counted]
        kept = values[counted]
        cells = np.bincount(groups, minlength=n_groups)
        with np.errstate(invalid="ignore"):  # 0 / 0 is NaN: a group without cells
            mean[:, slot] = np.bincount(groups, weights=kept, minlength=n_groups) / cells
            fraction[:, slot] = np.bincount(groups, weights=kept > 0, minlength=n_groups) / cells
    return GroupSummary(mean, fraction, n_cells)


def count_groups(codes: NDArray[np.integer], n_groups: int, mask: NDArray[np.bool_] | None = None) -> NDArray[np.int64]:
    """Count the cells of each group `(n_groups,)`, of those in `mask` if given; code -1 is in no group."""
    chosen = codes if mask is None else codes[mask]
    return np.bincount(chosen[chosen >= 0], minlength=n_groups).astype(np.int64)
