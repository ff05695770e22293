"""Counts made comparable on their way to the screen: per cell divided by its total, times 10,000, log1p.

The usual first step of an analysis (`scanpy.pp.normalize_total(target_sum=1e4)`, then `log1p`), done on what is
looked at and on nothing else; the file keeps its counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cellasso.core.numeric import as_numbers

if TYPE_CHECKING:
    from numpy.typing import NDArray

TARGET = 10_000.0
"""What a cell's counts add up to once they are normalised."""


def log_normalised(values: NDArray[Any], factors: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return `log1p(values * factors)` in float32, computed in float64; NaN stays NaN.

    Parameters
    ----------
    values
        Counts, `(n_obs,)`, of any dtype of numbers.
    factors
        Of each cell, `(n_obs,)`, as of `factors_of`.
    """
    normalised: NDArray[np.float32] = np.log1p(as_numbers(values) * factors).astype(np.float32)
    return normalised


def factors_of(totals: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what each cell's counts are multiplied by, `(n_obs,)`; 0 for a cell without counts."""
    return np.divide(TARGET, totals, out=np.zeros_like(totals), where=totals != 0)
