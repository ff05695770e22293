"""The columns of a plot's features one after the other, few of them in memory at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cellasso.dataset import CACHED_BYTES, Dataset
from cellasso.stats.normalise import factors_of
from cellasso.stats.summarise import read_each_column

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from cellasso.core.progress import Progress
    from cellasso.dataset import Modality
    from cellasso.pl.features import Features


def read_columns(
    dataset: Dataset | Modality, features: Features, *, log: bool = False, progress: Progress | None = None
) -> Iterator[tuple[int, NDArray[np.generic]]]:
    """Yield the slot of each feature and its values over all cells, `(n_obs,)`; those of one modality together.

    A few columns are read and kept like any others. Of more, at most 64 MB are in memory at a time: where a matrix has
    neither columns nor a column index, each 64 MB take one pass over its rows.

    Parameters
    ----------
    dataset
        The file, or a modality of it.
    features
        Which ones; NaN for the cells that their modality lacks.
    log
        Whether of the values their `log1p` is taken.
    progress
        Told the fraction of the features of a modality that are read; may raise `Cancelled`.

    Raises
    ------
    NotFoundError, ElementError
        There is no such feature or matrix; it is damaged.
    """
    slots: dict[Modality, dict[str, list[int]]] = {}
    for slot, name in enumerate(features.names):
        owner, inner = dataset.feature_owner(name, features.layer) if isinstance(dataset, Dataset) else (dataset, name)
        slots.setdefault(owner, {}).setdefault(inner, []).append(slot)
    for owner, by_name in slots.items():
        alignment = dataset.alignment(dataset.name_of(owner)) if isinstance(dataset, Dataset) else None
        for name, column in zip(by_name, _read(owner, list(by_name), features, progress), strict=True):
            values = column if alignment is None else alignment.array(column)
            values = np.log1p(values) if log else values
            for slot in by_name[name]:
                yield slot, values


def _read(
    owner: Modality, names: list[str], features: Features, progress: Progress | None
) -> Iterator[NDArray[np.generic]]:
    matrix = owner.fitting_matrix(features.layer)
    if len(names) * matrix.shape[0] * matrix.dtype.itemsize <= CACHED_BYTES:
        yield from owner.read_features(names, features.layer, normalised=features.normalised, progress=progress)
        return
    known = owner.features(features.layer)
    factors = factors_of(owner.read_cell_sums(features.layer).totals) if features.normalised else None
    yield from read_each_column(matrix, [known.position(name) for name in names], factors, progress)
