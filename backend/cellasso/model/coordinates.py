"""An obsm as coordinates: which of its columns can be drawn, what they are called, and reading some of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import numpy as np

from cellasso.core.errors import ElementError
from cellasso.encodings import schema
from cellasso.encodings.dataframe import Frame
from cellasso.encodings.sparse import is_sparse
from cellasso.matrix.open import open_matrix
from cellasso.store.base import Array

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cellasso.matrix.base import Matrix
    from cellasso.store.base import Node, Store

NUMBERS = "biuf"
"""Kinds of dtypes that are coordinates."""

NAMED = 5
"""Columns that a message names."""


class Coordinates(ABC):
    """One obsm with a row for each cell.

    Attributes
    ----------
    place
        File and HDF5 path, for messages.
    drawable
        Positions of the columns that hold numbers.
    """

    place: str
    drawable: Sequence[int]

    def name(self, dim: int) -> str:
        """Return what a column is called: its number, counted from 1, where it has no name."""
        return str(dim + 1)

    def read(self, dims: Sequence[int]) -> NDArray[np.float32]:
        """Read columns, `(n_obs, len(dims))` float32; missing values are NaN.

        Raises
        ------
        ElementError
            One of them holds no numbers, or is damaged.
        """
        for dim in dims:
            if dim not in self.drawable:
                place = f"{self.place} cannot be drawn along {self.name(dim)}"
                raise ElementError(f"{place}, which {self._lack(dim)}{self._alternatives}")
        return np.ascontiguousarray(self._read(dims), dtype=np.float32)

    def _lack(self, dim: int) -> str:  # noqa: ARG002 - of a data frame it depends on the column
        """Return what is wrong with a column that cannot be drawn."""
        return "holds no numbers"

    @property
    def _alternatives(self) -> str:
        """The end of a message: the columns that can be drawn."""
        names = [self.name(dim) for dim in self.drawable[:NAMED]]
        more = ", …" if len(self.drawable) > NAMED else ""
        return f"; what can be drawn: {', '.join(names)}{more}." if names else "."

    @abstractmethod
    def _read(self, dims: Sequence[int]) -> NDArray[np.generic]: ...


class MatrixCoordinates(Coordinates):
    """An array or a sparse matrix."""

    def __init__(self, matrix: Matrix) -> None:
        self.place = matrix.place
        self.drawable = range(matrix.shape[1])
        self._matrix = matrix

    def _read(self, dims: Sequence[int]) -> NDArray[np.generic]:
        return self._matrix.read_columns(dims)


class FrameCoordinates(Coordinates):
    """A data frame, whose columns have names and may hold anything."""

    def __init__(self, frame: Frame, place: str) -> None:
        self.place = place
        self.drawable = tuple(d for d, name in enumerate(frame.columns) if frame.kind(name) in {"number", "boolean"})
        self._frame = frame

    def name(self, dim: int) -> str:
        """Return the name of a column."""
        columns = self._frame.columns
        return columns[dim] if dim < len(columns) else super().name(dim)

    def _lack(self, dim: int) -> str:
        return super()._lack(dim) if dim < len(self._frame.columns) else "it names but does not have"

    def _read(self, dims: Sequence[int]) -> NDArray[np.generic]:
        columns = [self._frame.read(self._frame.columns[dim]) for dim in dims]
        return np.stack([column.to_numpy(np.float64, na_value=np.nan) for column in columns], axis=1)


class FieldCoordinates(Coordinates):
    """A field of one compound dataset, which all obsm were before anndata 0.7."""

    def __init__(self, handle: Store, obsm: Array, field: str) -> None:
        dtype = obsm.dtype[field]
        self.place = handle.place(f"{obsm.name}/{field}")
        self.drawable = range(dtype.shape[0]) if dtype.base.kind in NUMBERS else ()
        self._handle, self._obsm, self._field = handle, obsm, field

    def _read(self, dims: Sequence[int]) -> NDArray[np.generic]:
        values: NDArray[np.generic] = self._handle.read(self._obsm, field=self._field)[:, list(dims)]
        return values


class NoCoordinates(Coordinates):
    """Texts, ragged lists and the like: nothing of it can be drawn."""

    drawable = ()

    def __init__(self, place: str) -> None:
        self.place = place

    def _read(self, dims: Sequence[int]) -> NDArray[np.generic]:
        raise NotImplementedError  # `read` refuses all dimensions


def open_coordinates(handle: Store, obsm: Node, name: str) -> Coordinates:
    """Return a member of `obsm` as coordinates; reads headers.

    Parameters
    ----------
    handle
        The file.
    obsm
        The group, or the compound dataset that it was before anndata 0.7.
    name
        Of a member of two dimensions, its field in a compound dataset; one with slashes is a path below the group.

    Raises
    ------
    ElementError, NotFoundError
        It is damaged, or leads out of the file.
    """
    if isinstance(obsm, Array):
        return FieldCoordinates(handle, obsm, name)
    node = handle.child(obsm, name)
    place = handle.place(node.name)
    if schema.encoding(node) == "dataframe":
        return FrameCoordinates(Frame(handle, node.name), place)
    is_numbers = isinstance(node, Array) and node.dtype.kind in NUMBERS
    is_matrix = is_numbers or is_sparse(node)
    return MatrixCoordinates(open_matrix(handle, node.name)) if is_matrix else NoCoordinates(place)
