"""A bounded block of a matrix: some cells by some features, as `adata[obs_index, var_names].X` would be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from cellasso.column_index.submatrix import read_submatrix
from cellasso.core.errors import ElementError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from scipy import sparse

    from cellasso.core.progress import Progress
    from cellasso.model.modality import Modality

    RowChoice: TypeAlias = slice | Sequence[int] | NDArray[np.integer] | NDArray[np.bool_]


def read_matrix(
    modality: Modality,
    obs_index: RowChoice,
    var_names: Sequence[str],
    layer: str | None = None,
    *,
    normalised: bool = False,
    progress: Progress | None = None,
) -> NDArray[np.generic] | sparse.csr_matrix:
    """Read some cells and some features of a matrix, `(n_rows, n_features)`, in the stored dtype.

    An array of a dense matrix, CSR of a sparse one. Where the matrix is stored cell by cell and has no index, the rows
    are read, else the columns.

    Parameters
    ----------
    modality
        Whose matrix it is.
    obs_index
        Positions of the cells in any order, from the end where negative; a slice; or a mask `(n_obs,)`.
    var_names
        Features as in `Modality.read_features`.
    layer
        As of `Modality.matrix`.
    normalised
        Whether counts are log-normalised; then float32.
    progress
        Told the fraction done; may raise `Cancelled`.

    Raises
    ------
    NotFoundError
        There is no such feature or matrix.
    ElementError
        A row is not there, the block would take more than 1 GB, or the matrix is damaged.
    """
    matrix, features = modality.fitting_matrix(layer), modality.features(layer)
    rows = _positions(modality, obs_index)
    columns = [features.position(name) for name in var_names]
    block = read_submatrix(matrix, rows, columns, progress=progress)
    if not normalised:
        return block
    from cellasso.stats.normalise import factors_of, log_normalised  # noqa: PLC0415 - numba takes a second

    factors = factors_of(modality.read_cell_sums(layer, progress=progress).totals)[rows]
    if isinstance(block, np.ndarray):
        return log_normalised(block, factors[:, None])
    shown = block.astype(np.float32)
    shown.data = log_normalised(block.data, np.repeat(factors, np.diff(block.indptr)))
    return shown


def _positions(modality: Modality, chosen: RowChoice) -> NDArray[np.int64]:
    n_obs = modality.n_obs
    if isinstance(chosen, slice):
        return np.arange(n_obs, dtype=np.int64)[chosen]
    rows: Any = np.asarray(chosen)
    if rows.dtype == np.bool_ and rows.shape == (n_obs,):
        return np.flatnonzero(rows)
    if rows.ndim != 1 or (rows.dtype.kind not in "iu" and len(rows)):
        raise ElementError(
            f"obs_index is {rows.dtype} {rows.shape}; positions of cells, a slice, or a mask ({n_obs},) were expected."
        )
    outside = (rows < -n_obs) | (rows >= n_obs)
    if outside.any():
        raise ElementError(f"obs_index asks for row {int(rows[outside][0]):,}; there are {n_obs:,} cells.")
    positions: NDArray[np.int64] = np.where(rows < 0, rows + n_obs, rows).astype(np.int64)
    return positions
