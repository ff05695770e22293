"""Principal components of a matrix that fits memory, as `scanpy.pp.pca` finds them with its defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cellasso.core.errors import ElementError
from cellasso.matrix.compressed import SparseMatrix
from cellasso.matrix.row_blocks import over_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cellasso.core.progress import Progress
    from cellasso.matrix.base import Matrix
    from cellasso.matrix.row_blocks import RowBlock


def components(values: Any, n_comps: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the loadings of the first principal components `(n_vars, n_comps)`, and the features' means `(n_vars,)`.

    `(values - means) @ loadings` are the components of the cells. Of each component the loading farthest from 0 is
    positive, as scikit-learn and so scanpy have it. By ARPACK, without a centred copy of the matrix.

    Parameters
    ----------
    values
        A SciPy CSR matrix or an array `(n_obs, n_vars)`, float64.
    n_comps
        How many; fewer than there are cells, and features.
    """
    from scipy.sparse.linalg import LinearOperator, svds  # noqa: PLC0415 - only where there is no PCA

    means = np.asarray(values.mean(axis=0)).ravel()
    n_obs = values.shape[0]
    centred = LinearOperator(
        values.shape,
        matvec=lambda v: values @ v.ravel() - means @ v.ravel(),
        rmatvec=lambda u: values.T @ u.ravel() - means * u.sum(),
        matmat=lambda v: values @ v - means @ v,
        rmatmat=lambda u: values.T @ u - np.outer(means, u.sum(axis=0)),
        dtype=np.float64,
    )
    start = np.random.default_rng(0).uniform(-1, 1, min(n_obs, values.shape[1]))
    _, sizes, rows = svds(centred, k=n_comps, v0=start, solver="arpack")
    loadings: NDArray[np.float64] = rows[np.argsort(-sizes)].T
    farthest = np.abs(loadings).argmax(axis=0)
    return loadings * np.sign(loadings[farthest, range(n_comps)]), means


def read_rows(matrix: Matrix, columns: Sequence[int], *, progress: Progress | None = None) -> Any:
    """Read some columns of a CSR or dense matrix in one pass over its rows, as a SciPy CSR matrix of float64.

    Parameters
    ----------
    matrix
        `(n_obs, n_vars)`; CSC matrices are read column by column.
    columns
        Positions, ascending.
    progress
        Told the fraction done; may raise `Cancelled`.

    Raises
    ------
    ElementError
        The matrix is damaged.
    """
    from scipy import sparse  # noqa: PLC0415 - only where there is no PCA

    wanted = np.asarray(columns, dtype=np.int64)
    if isinstance(matrix, SparseMatrix) and matrix.storage == "csc":
        parts = [sparse.csc_matrix(matrix.read_columns(wanted[i : i + 64].tolist())) for i in range(0, len(wanted), 64)]
        return sparse.hstack(parts, format="csr").astype(np.float64)

    def take(block: RowBlock) -> Any:
        starts = np.concatenate([[0], block.ends])
        shape = (len(block.ends), matrix.shape[1])
        return sparse.csr_matrix((block.data.astype(np.float64), block.indices, starts), shape=shape)[:, wanted]

    found = sparse.vstack(list(over_rows(matrix, take, progress=progress)), format="csr")
    if not np.isfinite(found.data).all():
        raise ElementError(f"{matrix.place} has values that are missing or infinite; a PCA needs all of them.")
    return found
