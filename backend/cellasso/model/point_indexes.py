"""Embeddings whose cells are sorted for drawing: sessions share those in use, large ones are kept on the disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias
from weakref import WeakValueDictionary

from cellasso.core.single_flight import SingleFlight
from cellasso.points.cache import WORTH_KEEPING, key_of, read_points, write_points
from cellasso.points.point_index import PointIndex

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from cellasso.store.base import Store

Dims: TypeAlias = tuple[int, int]


class PointIndexes:
    """The sorted embeddings of one group of a file, for many threads; one embedding does not wait for another.

    Parameters
    ----------
    handle
        The file.
    path
        HDF5 path of the group.
    read
        Reads two dimensions of an embedding, `(n_obs, 2)` float32.
    """

    def __init__(self, handle: Store, path: str, read: Callable[[str, Dims], NDArray[np.float32]]) -> None:
        self._handle, self._path, self._read = handle, path, read
        self._in_use: SingleFlight[tuple[str, Dims], PointIndex] = SingleFlight(WeakValueDictionary())

    def get(self, key: str, dims: Dims, n_obs: int) -> PointIndex:
        """Return two dimensions of an embedding, sorted for drawing; all who ask while it is in use share one.

        Of `WORTH_KEEPING` cells or more it is read from the folder of the indexes where it was kept, else read from the
        file, sorted and kept there; a file that was opened without indexes keeps none.

        Parameters
        ----------
        key
            Name of the embedding, as `read` takes it.
        dims
            Which two of its columns are x and y.
        n_obs
            How many cells it has; what was kept of another number is sorted anew.

        Raises
        ------
        FileChangedError
            The file is no longer the one that was opened.
        CellassoError
            What `read` raises.
        """
        return self._in_use.get((key, dims), lambda: self._make(key, dims, n_obs))

    def _make(self, key: str, dims: Dims, n_obs: int) -> PointIndex:
        root = self._handle.index_root if n_obs >= WORTH_KEEPING else None
        if root is None:
            return PointIndex.of(self._read(key, dims))
        kept = key_of(self._handle, f"{self._path}/obsm/{key}", dims)
        self._handle.check()
        plane = read_points(root, kept)
        if plane is None or plane.n_obs != n_obs:
            plane = PointIndex.of(self._read(key, dims))
            write_points(root, kept, plane, {"file": str(self._handle.path), "matrix": f"obsm/{key}"})
        return plane
