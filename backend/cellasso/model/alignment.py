"""Where the cells of a modality stand among those of the file that holds it."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from cellasso.core.errors import ElementError, NotFoundError
from cellasso.encodings import elements

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from cellasso.core.progress import Preview
    from cellasso.model.modality import Modality
    from cellasso.store.base import Store


class Alignment:
    """The cells of a modality among the global ones.

    Parameters
    ----------
    n_obs
        How many global cells there are.
    obs_index
        For each cell of the modality its row among the global cells, `(n_obs of the modality,)`, -1 for a cell that
        these lack; `None`: they are the same cells in the same order.

    Attributes
    ----------
    obs_index
        As given; `None` also where it was found to change nothing.
    """

    def __init__(self, n_obs: int, obs_index: NDArray[np.int64] | None = None) -> None:
        self.n_obs = n_obs
        if obs_index is not None and len(obs_index) == n_obs and np.array_equal(obs_index, np.arange(n_obs)):
            obs_index = None
        self.obs_index = obs_index

    def within(self, outer: Alignment) -> Alignment:
        """Return where these cells stand among the global ones of `outer`.

        This alignment says where they stand in the modality that holds theirs; `outer` says where the cells of that
        modality stand among the global ones.
        """
        if outer.obs_index is None:
            return self
        inner = np.arange(self.n_obs) if self.obs_index is None else self.obs_index
        return Alignment(outer.n_obs, np.where(inner >= 0, outer.obs_index[inner], -1))

    @cached_property
    def _shared(self) -> NDArray[np.bool_]:
        """Which cells of the modality are among the global ones, `(n_obs of the modality,)`."""
        return self._index >= 0

    @property
    def _index(self) -> NDArray[np.int64]:
        return np.arange(self.n_obs) if self.obs_index is None else self.obs_index

    def array(self, values: NDArray[np.generic]) -> NDArray[np.generic]:
        """Return values of the modality's cells over the global ones, `(n_obs,)`; NaN where it lacks a cell.

        Integers and booleans become float64 then.
        """
        if self.obs_index is None:
            return values
        wide = values.dtype if values.dtype.kind == "f" else np.dtype(np.float64)
        aligned = np.full((self.n_obs, *values.shape[1:]), np.nan, dtype=wide)
        aligned[self._index[self._shared]] = values[self._shared]
        return aligned

    def series(self, values: pd.Series | NDArray[np.generic]) -> pd.Series:
        """Return values of the modality's cells over the global ones, `(n_obs,)`; missing where it lacks a cell.

        Integers and booleans stay what they are, to the last digit, in their nullable types.
        """
        import pandas as pd  # noqa: PLC0415

        series = pd.Series(values)
        if self.obs_index is None:
            return series
        present = series[self._shared].array
        if len(present) < self.n_obs and isinstance(series.dtype, np.dtype) and series.dtype.kind in "biu":
            # a plain boolean or integer has no missing value; the nullable one keeps all others exact, as in mudata
            present = pd.array(present.to_numpy())
        placed = pd.Series(present, index=self._index[self._shared], name=series.name)
        return placed.reindex(pd.RangeIndex(self.n_obs))

    def preview(self, show: Preview) -> Preview:
        """Return a preview of columns of the modality's cells that shows them over the global ones."""
        return lambda columns: show([self.array(column).astype(np.float32, copy=False) for column in columns])

    def codes(self, codes: NDArray[np.integer]) -> NDArray[np.integer]:
        """Return codes of global cells for the modality's, `(n_obs of the modality,)`; -1 where these lack it."""
        return codes if self.obs_index is None else np.where(self._shared, codes[self._index], -1)

    def rows(self) -> NDArray[np.int64]:
        """Return the modality's row of each global cell, `(n_obs,)`; -1 where it lacks the cell."""
        rows = np.full(self.n_obs, -1, dtype=np.int64)
        rows[self._index[self._shared]] = np.flatnonzero(self._shared)
        return rows


def read_alignment(handle: Store, outer: Modality, inner: Modality) -> Alignment:
    """Return where the cells of a modality stand among those of what it is in.

    Reads its obsmap, whose entries are rows counted from 1, 0 for a cell that the modality lacks; where there is none
    the names of all cells are read and compared.

    Parameters
    ----------
    handle
        The file.
    outer
        What holds the modality: the root, or another modality.
    inner
        The modality.

    Raises
    ------
    ElementError
        The obsmap does not fit the numbers of cells, or there is none and names are not unique.
    """
    n_obs, path = inner.n_obs, f"{outer.path}/obsmap/{inner.path.rpartition('/mod/')[2]}"
    try:
        node = handle.node(path)
    except NotFoundError:
        return _match_names(handle, outer, inner, path)
    stored = np.asarray(elements.read(handle, node)).ravel()
    numbers = stored.dtype.kind in "iu"
    rows = stored.astype(np.int64) if numbers else np.empty(0, dtype=np.int64)
    inside = len(rows) == 0 or 0 <= rows.min() <= rows.max() <= n_obs
    if not (numbers and inside and len(rows) == outer.n_obs and np.bincount(rows)[1:].max(initial=0) <= 1):
        raise ElementError(f"{handle.place(path)} does not fit {outer.n_obs:,} cells and a modality of {n_obs:,}.")
    obs_index = np.full(n_obs, -1, dtype=np.int64)
    present = np.flatnonzero(rows)
    obs_index[rows[present] - 1] = present
    return Alignment(outer.n_obs, obs_index)


def _match_names(handle: Store, outer: Modality, inner: Modality, path: str) -> Alignment:
    import pandas as pd  # noqa: PLC0415

    names, of_modality = pd.Index(outer.obs_names), pd.Index(inner.obs_names)
    if not (names.is_unique and of_modality.is_unique):
        raise ElementError(f"{handle.name} has no {path}, and its obs_names are not unique.")
    return Alignment(outer.n_obs, np.asarray(names.get_indexer(of_modality), dtype=np.int64))
