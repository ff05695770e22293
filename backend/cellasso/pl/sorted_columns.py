"""The points of an embedding, sorted in space, with columns of the cells in their order: kept for the next picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd
from cachetools import LRUCache

from cellasso.color.coloring import CellValues
from cellasso.core.column_cache import size_within
from cellasso.core.errors import ElementError
from cellasso.core.single_flight import SingleFlight
from cellasso.raster.cells import ColoredCells

if TYPE_CHECKING:
    from collections.abc import Hashable

    from numpy.typing import NDArray

    from cellasso.model.cells import Cells
    from cellasso.model.vector import Vector
    from cellasso.points.point_index import PointIndex
    from cellasso.store.base import Store

N_SORTED = 4
"""Pairs of axes of a file that are kept sorted: they were drawn last."""

KEPT_BYTES = 128 << 20
"""Columns that are kept in the order of the points, for each pair of axes."""

N_COLORED = 2
"""Columns whose colours are kept, for each pair of axes."""

MAX_CATEGORIES = 1 << 15
"""More of them have no codes of 16 bits."""


class SortedColumns:
    """The points of two axes, and columns in their order.

    Parameters
    ----------
    points
        The cells of the embedding that have a place.
    """

    def __init__(self, points: PointIndex) -> None:
        self.points = points
        kept: LRUCache[tuple[str, Vector], Any] = LRUCache(KEPT_BYTES, getsizeof=size_within(KEPT_BYTES))
        self._columns = SingleFlight(kept)
        self._colored: SingleFlight[Vector, ColoredCells] = SingleFlight(LRUCache(N_COLORED))

    def column(self, cells: Cells, name: Hashable) -> pd.Series:
        """Return a column in the order of the points, `(n_points,)`.

        Parameters
        ----------
        cells
            The file's cells.
        name
            Of the column.
        """

        def gather() -> pd.Series:
            column = cells[name]
            if isinstance(column.dtype, pd.CategoricalDtype):
                codes: Any = self.points.gather(column.cat.codes.to_numpy())  # the stubs ask for a list
                return pd.Series(pd.Categorical.from_codes(codes, dtype=column.dtype))
            return pd.Series(self.points.gather(column.to_numpy()))

        found: pd.Series = self._columns.get(("column", cells.vector(name)), gather)
        return found

    def values(self, cells: Cells, name: Hashable) -> NDArray[np.floating] | None:
        """Return the numbers of a column in the order of the points, `(n_points,)`; `None` if these are no floats.

        float32 stays so; all other numbers become float64, as datashader's sums do.

        Parameters
        ----------
        cells, name
            As of `column`.
        """

        def gather() -> NDArray[np.floating] | None:
            column = cells[name].array
            if not isinstance(column, pd.arrays.NumpyExtensionArray):
                return None
            values = column.to_numpy()
            if values.dtype.kind not in "biuf":
                return None
            is_small = values.dtype.kind == "f" and values.dtype.itemsize <= 4
            return self.points.gather(values.astype(np.float32 if is_small else np.float64, copy=False))

        found: NDArray[np.floating] | None = self._columns.get(("values", cells.vector(name)), gather)
        return found

    def colored(self, cells: Cells, name: Hashable) -> ColoredCells:
        """Return the points with the colours of a column of categories in obs.

        Parameters
        ----------
        cells, name
            As of `column`.

        Raises
        ------
        ElementError
            It is no column of obs.
        """
        vector = cells.vector(name)
        if vector.kind != "obs":
            raise ElementError(f"{name} is no column of obs; its categories cannot be drawn.")

        def color() -> ColoredCells:
            stated = cells.vectors.read_colors(vector)
            return ColoredCells(self.points, CellValues(str(name), cells[name], colors=stated).coloring)

        found: ColoredCells = self._colored.get(vector, color)
        return found

    def codes(self, cells: Cells, name: Hashable) -> NDArray[np.int16] | None:
        """Return the category of each point, `(n_points,)`, -1 for none; `None` if it is no column of categories.

        Parameters
        ----------
        cells, name
            As of `column`.
        """

        def gather() -> NDArray[np.int16] | None:
            column = cells[name]
            if not isinstance(column.dtype, pd.CategoricalDtype) or len(column.cat.categories) >= MAX_CATEGORIES:
                return None
            return self.points.gather(column.cat.codes.to_numpy().astype(np.int16, copy=False))

        found: NDArray[np.int16] | None = self._columns.get(("codes", cells.vector(name)), gather)
        return found


_sorted: SingleFlight[Store, SingleFlight[tuple[str, Vector, Vector], SortedColumns]] = SingleFlight(
    WeakKeyDictionary()
)
"""By file: of which group of it the vectors are, and the two axes."""


def sorted_columns(cells: Cells, x: Vector, y: Vector) -> SortedColumns:
    """Return the points of two axes of one embedding, sorted; all who ask for the same share them.

    Parameters
    ----------
    cells
        The cells of a file or modality.
    x, y
        Vectors of the kind `"obsm"`, of one key and modality.

    Raises
    ------
    NotFoundError, ElementError
        As `Vectors.point_index`.
    """
    vectors = cells.vectors
    kept = _sorted.get(vectors.store, lambda: SingleFlight(LRUCache(N_SORTED)))
    return kept.get((vectors.path, x, y), lambda: SortedColumns(vectors.point_index(x, y)))
