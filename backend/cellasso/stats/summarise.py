"""Features summarised over groups of cells, from columns or from rows, whichever takes less reading."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cellasso.matrix.matrix import DenseMatrix
from cellasso.stats.group_summary import summarise_groups, summarise_rows
from cellasso.stats.normalise import factors_of, log_normalised

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from cellasso.matrix.matrix import Matrix, Progress
    from cellasso.model.modality import Modality
    from cellasso.stats.group_summary import GroupSummary

CACHED_BYTES = 128 << 20
"""Columns up to which they are read together and kept, half of the cache: they are likely to colour the cells, too."""

COLUMNS_BYTES = 64 << 20
"""Columns beyond that which are read at a time: those of a dense matrix share chunks."""


def summarise(
    modality: Modality,
    names: Sequence[str] | None,
    codes: NDArray[np.integer],
    n_groups: int,
    *,
    layer: str | None = None,
    normalised: bool = False,
    progress: Progress | None = None,
) -> GroupSummary:
    """Summarise features over groups of cells, exactly: means, fractions above 0, sums of squares.

    A few columns are read and kept like any others. More of them are read a few at a time where columns are cheap
    (CSC, dense, indexed), else in one pass over the rows, which costs the same for any number of features.

    Parameters
    ----------
    names
        Features as in `Modality.read_features`; `None` for all, in their order.
    codes
        Group of each cell, `(n_obs,)`; -1 is in no group.
    normalised
        Of log-normalised counts, see `Modality.read_features`.
    """
    features, matrix = modality.features(layer), modality.fitting_matrix(layer)
    positions = list(range(len(features))) if names is None else [features.position(name) for name in names]
    if names and len(set(names)) * matrix.shape[0] * matrix.dtype.itemsize <= CACHED_BYTES:
        kept = modality.read_features(names, layer, normalised=normalised, progress=progress)
        return summarise_groups(kept, codes, n_groups)
    factors = factors_of(modality.read_cell_sums(layer, progress=progress).totals) if normalised else None
    if positions and _rows_are_cheaper(matrix, all_columns=names is None):
        unique = list(dict.fromkeys(positions))
        found = summarise_rows(matrix, unique, codes, n_groups, factors=factors, progress=progress)
        return found.of_features([unique.index(position) for position in positions])
    columns = _columns(matrix, positions, factors, progress)
    return summarise_groups(columns, codes, n_groups)


def _rows_are_cheaper(matrix: Matrix, *, all_columns: bool) -> bool:
    if matrix.storage == "csc" or (matrix.index is not None and matrix.index.fraction == 1):
        return False
    if isinstance(matrix, DenseMatrix):
        return all_columns and not matrix.is_tall
    return True


def _columns(
    matrix: Matrix, positions: Sequence[int], factors: NDArray[np.float64] | None, progress: Progress | None
) -> Iterator[NDArray[np.generic]]:
    if isinstance(matrix, DenseMatrix):  # as many as share chunks
        step = matrix.columns_at_once(COLUMNS_BYTES)
    else:
        step = max(1, COLUMNS_BYTES // max(1, matrix.shape[0] * matrix.dtype.itemsize))
    for start in range(0, len(positions), step):
        block = matrix.read_columns(positions[start : start + step])
        for slot in range(block.shape[1]):
            yield block[:, slot] if factors is None else log_normalised(block[:, slot], factors)
        if progress is not None:
            progress(min(1.0, (start + step) / len(positions)))
