"""Cells of a file as data of HoloViews elements: an element keeps a frame of the columns that it names, still unread.

`hv.Points(dataset, ["X_umap:0", "X_umap:1"], ["louvain", "CD4"])` takes a `Dataset`, a `Modality` or its `Cells`. Names
are those of `cellasso.model.vector`, or references of hv-anndata's `A`, which are dimensions; those of `anndata.acc`
are none, and HoloViews itself refuses them. An element of a whole file that is given key dimensions alone has no
others, where over a pandas frame it takes all other columns as value dimensions. What picks rows (`select`, `iloc`,
`groupby`) reads the columns of the element and gives elements over pandas frames. hvPlot is used on narrowed cells:
`dataset.cells[["X_umap:0", "X_umap:1", "CD4"]].hvplot.points(…)`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd
from cachetools import LRUCache
from holoviews.core.data import Dataset as Element
from holoviews.core.data import PandasInterface
from holoviews.core.data.interface import DataError, Interface
from holoviews.core.dimension import Dimension, dimension_name

from cellasso.core.errors import CellassoError
from cellasso.core.single_flight import SingleFlight
from cellasso.dataset import Dataset, Modality
from cellasso.model.cells import Cells
from cellasso.model.vector import Vector, is_reference
from cellasso.pl.group_means import aggregate

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

    from cellasso.store.base import Store

DATATYPE = "cellasso"
"""What HoloViews calls this kind of data."""

N_RANGES = 1000
"""Columns of a file whose least and greatest values are kept: a plot asks for them again with each change."""

_ranges: SingleFlight[Store, SingleFlight[tuple[str, Vector], tuple[Any, Any]]] = SingleFlight(WeakKeyDictionary())
"""By file: of which group of it a column is, and which."""


class CellsInterface(PandasInterface):  # type: ignore[misc] # HoloViews has no types
    """How HoloViews asks for what is in `Cells`; see `holoviews.core.data.Interface` for each method.

    `dataset` is an element. What is not here is done as for pandas, of which `Cells` is a frame.
    """

    datatype = DATATYPE
    types = (Cells, Dataset, Modality)

    @classmethod
    def applies(cls, obj: object) -> bool:
        """Whether data is taken by this interface."""
        return isinstance(obj, cls.types)

    @classmethod
    def init(
        cls, eltype: Any, data: Any, kdims: list[Any] | None, vdims: list[Any] | None
    ) -> tuple[Cells, dict[str, list[Any]], dict[str, Any]]:
        """Narrow the cells to what an element names; reads no values.

        Parameters
        ----------
        eltype
            Class of the element.
        data
            A file, a modality, or cells.
        kdims, vdims
            Its dimensions; `None`: not given.

        Raises
        ------
        DataError
            The element needs value dimensions, and none are named.
        """
        if not cls.applies(data):
            raise TypeError(f"{type(data).__name__} is no dataset of cellasso.")  # HoloViews then tries other kinds
        cells = data if isinstance(data, Cells) else data.cells
        kdims, vdims = _named(eltype, cells, kdims, vdims)
        if kdims is None or vdims is None:
            _, dims, _ = super().init(eltype, cells, kdims, vdims)
            kdims, vdims = dims["kdims"], dims["vdims"]
        vectors = {dimension_name(each): _vector(cells, each) for each in (*kdims, *vdims)}
        known = {name: vector for name, vector in vectors.items() if vector is not None}
        return Cells(cells.vectors, known), {"kdims": kdims, "vdims": vdims}, {}

    @classmethod
    def validate(cls, dataset: Any, vdims: bool = True) -> None:
        """Raise `NotFoundError`, with the nearest names, or `AmbiguousNameError` for what names no column.

        Parameters
        ----------
        dataset
            HoloViews' element over cells of a file, as in all methods here.
        vdims
            Whether its value dimensions are checked, too.
        """
        cells = dataset.data
        if not isinstance(cells, Cells):
            super().validate(dataset, vdims)
            return
        there = {*cells.columns, *cls.indexes(cells)}
        for name in dataset.dimensions("all" if vdims else "key", label="name"):
            if name not in there:
                cells.vector(name)

    # -- what takes no rows: columns are read one by one ------------------------------------------------

    @classmethod
    def range(cls, dataset: Any, dimension: Any) -> tuple[Any, Any]:
        """Return the least and the greatest value of a column; read once, then kept.

        Parameters
        ----------
        dataset
            The element.
        dimension
            A dimension, or its name or position.
        """
        dimension, cells = dataset.get_dimension(dimension, strict=True), dataset.data
        if not isinstance(cells, Cells) or cls.isindex(dataset, dimension) or dimension.nodata is not None:
            return super().range(dataset, dimension)  # type: ignore[no-any-return]
        kept = _ranges.get(cells.vectors.store, lambda: SingleFlight(LRUCache(N_RANGES)))
        key = (cells.vectors.path, cells.vector(dimension.name))
        return kept.get(key, lambda: super(CellsInterface, cls).range(dataset, dimension))

    @classmethod
    def dframe(cls, dataset: Any, dimensions: list[str]) -> pd.DataFrame:
        """Read the columns of some dimensions, or all, into a plain frame.

        Parameters
        ----------
        dataset
            The element.
        dimensions
            Names; none: all.
        """
        cells = dataset.data
        if not isinstance(cells, Cells) or any(cls.isindex(dataset, name) for name in dimensions):
            return super().dframe(_loaded(dataset), dimensions)  # type: ignore[no-any-return]
        return (cells[list(dimensions)] if dimensions else cells).copy()

    @classmethod
    def redim(cls, dataset: Any, dimensions: dict[str, Dimension]) -> Any:
        """Call columns otherwise; reads none.

        Parameters
        ----------
        dataset
            The element.
        dimensions
            New ones by the names of the old.
        """
        cells = dataset.data
        if not isinstance(cells, Cells):
            return super().redim(dataset, dimensions)
        new = {name: dimensions[name].name if name in dimensions else name for name in cells.columns}
        return Cells(cells.vectors, {new[name]: cells.vector(name) for name in cells.columns})

    @classmethod
    def aggregate(cls, dataset: Any, dimensions: list[Any], function: Any, **kwargs: Any) -> tuple[Any, list[Any]]:
        """Aggregate over groups; means and sums of features over categories without reading the features' columns.

        Parameters
        ----------
        dataset, dimensions, function, kwargs
            As of `PandasInterface`.

        Returns
        -------
        A frame with a row for each group, and the value dimensions that were left out.
        """
        found = None if kwargs else aggregate(dataset, dimensions, function)
        return super().aggregate(_loaded(dataset), dimensions, function, **kwargs) if found is None else found

    @classmethod
    def select(cls, dataset: Any, selection_mask: Any = None, **selection: Any) -> Any:
        """Read the rows of a mask, or those that fit values by dimension: a plain frame, or one value.

        Parameters
        ----------
        dataset
            The element.
        selection_mask
            Which rows, `(n_obs,)` bool.
        **selection
            Values, lists or ranges by the name of a dimension.
        """
        cells = dataset.data
        if not isinstance(cells, Cells) or any(cls.isindex(dataset, name) for name in selection):
            return super().select(_loaded(dataset), selection_mask, **selection)
        mask = cls.select_mask(dataset, selection) if selection_mask is None else selection_mask
        frame = _rows(cells, mask)
        if cls.indexed(dataset, selection) and len(frame) == 1 and len(dataset.vdims) == 1:
            return frame[dataset.vdims[0].name].iloc[0]
        return frame

    # -- what pandas does, with all columns of the element ----------------------------------------------

    @classmethod
    def groupby(cls, dataset: Any, dimensions: list[Any], container_type: Any, group_type: Any, **kwargs: Any) -> Any:
        """Group the cells; the groups are plain frames.

        Parameters
        ----------
        dataset, dimensions, container_type, group_type, kwargs
            As of `PandasInterface`.
        """
        return super().groupby(_loaded(dataset), dimensions, container_type, group_type, **kwargs)

    @classmethod
    def iloc(cls, dataset: Any, index: Any) -> Any:
        """Return rows and columns by position.

        Parameters
        ----------
        dataset
            The element.
        index
            Of rows, or of rows and columns.
        """
        return super().iloc(_loaded(dataset), index)

    @classmethod
    def sample(cls, dataset: Any, samples: Any = None) -> Any:
        """Return the rows with some values.

        Parameters
        ----------
        dataset
            The element.
        samples
            Values of the key dimensions, one tuple a row.
        """
        return super().sample(_loaded(dataset), samples)

    @classmethod
    def sort(cls, dataset: Any, by: Any = None, reverse: bool = False) -> Any:
        """Return the rows in the order of some columns.

        Parameters
        ----------
        dataset
            The element.
        by
            Names of dimensions; none: the key dimensions.
        reverse
            Whether the greatest comes first.
        """
        return super().sort(_loaded(dataset), by, reverse)

    @classmethod
    def compute(cls, dataset: Any) -> Any:
        """Return the element over a plain frame in memory."""
        return _loaded(dataset)

    @classmethod
    def cast(cls, datasets: Iterable[Any], datatype: str | None = None, cast_type: Any = None) -> list[Any]:
        """Return elements over plain frames, to be put together: nothing else is made into cells of a file.

        Parameters
        ----------
        datasets
            The elements.
        datatype
            What HoloViews asks for.
        cast_type
            Class of the elements that are returned; none: as they are.
        """
        kind = PandasInterface.datatype if datatype in {None, DATATYPE} else datatype
        return super().cast(datasets, kind, cast_type)  # type: ignore[no-any-return]


def register() -> None:
    """Let HoloViews' elements take cells of a file as data; chooses no plotting library."""
    Interface.register(CellsInterface)
    if DATATYPE not in Element.datatype:
        Element.datatype = [DATATYPE, *Element.datatype]  # first: narwhals, too, takes whatever is a pandas frame


def _named(
    eltype: Any, cells: Cells, kdims: list[Any] | None, vdims: list[Any] | None
) -> tuple[list[Any] | None, list[Any] | None]:
    """Return the dimensions of an element of which only some are given: of a whole file, no columns beside these."""
    if (kdims is None and vdims is None) or (kdims is not None and vdims is not None):
        return kdims, vdims
    bounds = {name: eltype.param[name].bounds or (0, None) for name in ("kdims", "vdims")}
    if kdims is None:
        any_number = bounds["kdims"][1] is None
        return ([], vdims) if any_number and not cells.is_narrow else (None, vdims)
    if cells.is_narrow:
        named = {dimension_name(each) for each in kdims}
        return kdims, [name for name in cells.columns if name not in named]
    if bounds["vdims"][0]:
        name, first = eltype.__name__, dimension_name(kdims[0]) if kdims else "X_umap:0"
        raise DataError(f"{name} needs value dimensions, such as {name}(dataset, {first!r}, ['n_genes']).")
    return kdims, []


def _vector(cells: Cells, dimension: Any) -> Vector | None:
    """Return the vector that a dimension names; `None` where there is none, which is for `validate` to say."""
    name = dimension_name(dimension)
    if is_reference(dimension) and name not in cells.columns:
        return Vector.of(dimension)
    try:
        return cells.vector(name)
    except CellassoError:
        return None


def _loaded(dataset: Any) -> Any:
    """Return an element over a plain frame of its columns."""
    if not isinstance(dataset.data, Cells):
        return dataset
    kinds = [PandasInterface.datatype, *dataset.datatype]
    return dataset.clone(dataset.data.copy(), datatype=list(dict.fromkeys(kinds)))


def _rows(cells: Cells, chosen: Any) -> pd.DataFrame:
    """Read some rows of the listed columns: those of a mask, of which missing values are False, or of positions."""
    if isinstance(chosen, pd.Series | pd.api.extensions.ExtensionArray):
        chosen = chosen.to_numpy(dtype=np.bool_, na_value=False) if chosen.dtype.kind == "b" else np.asarray(chosen)
    rows = np.asarray(chosen)
    rows = np.flatnonzero(rows) if rows.dtype.kind == "b" else rows
    columns: dict[Hashable, Any] = {name: cells[name].array[rows] for name in cells.columns}
    return pd.DataFrame(columns, index=cells.index[rows], copy=False)
