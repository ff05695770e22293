"""Fraction and mean of the cells whose value is above a cutoff, by group."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cellasso.stats.group_summary import count_groups

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Expressed(NamedTuple):
    """Cells whose value is above a cutoff, one number for each group.

    Attributes
    ----------
    n_known
        Cells of the group that have a value, `(n_groups,)`.
    n_above
        Those whose value is above the cutoff.
    sums
        Sum of the values above it, float64.
    """

    n_known: NDArray[np.int64]
    n_above: NDArray[np.int64]
    sums: NDArray[np.float64]

    @property
    def fraction(self) -> NDArray[np.float64]:
        """Fraction of the cells above the cutoff, 0 to 1; NaN for a group without a value."""
        with np.errstate(invalid="ignore"):
            fraction: NDArray[np.float64] = self.n_above / self.n_known
        return fraction

    @property
    def mean(self) -> NDArray[np.float64]:
        """Mean of the values above the cutoff; 0 for a group that has none."""
        with np.errstate(invalid="ignore"):
            return np.where(self.n_above > 0, self.sums / self.n_above, 0.0)


def count_expressed(
    values: NDArray[Any],
    codes: NDArray[np.integer],
    n_groups: int,
    cutoff: float = 0.0,
    *,
    n_cells: NDArray[np.int64] | None = None,
) -> Expressed:
    """Count and add up the values of a feature that are above a cutoff.

    Parameters
    ----------
    values
        `(n_obs,)`; NaN counts nowhere.
    codes
        Group of each cell, `(n_obs,)`; -1 is in no group.
    n_groups
        How many groups there are.
    cutoff
        In the unit of the values.
    n_cells
        Cells of each group `(n_groups,)`, where they are known: they are counted otherwise.
    """
    n_known = count_groups(codes, n_groups) if n_cells is None else n_cells
    missing = np.flatnonzero(np.isnan(values)) if values.dtype.kind == "f" else ()
    if len(missing):
        n_known = n_known - count_groups(codes[missing], n_groups)
    above = np.flatnonzero(values > cutoff)  # few cells in most genes
    groups = codes[above].astype(np.intp) + 1  # 0: no group
    n_above = np.bincount(groups, minlength=n_groups + 1)[1:]
    sums: Any = np.bincount(groups, weights=values[above].astype(np.float64), minlength=n_groups + 1)[1:]
    return Expressed(n_known, n_above, sums)
