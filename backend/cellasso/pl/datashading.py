"""How datashader aggregates the cells of a file: from points that are sorted in space, those in view alone.

`datashader.Canvas.points(dataset.cells, "X_umap:0", "X_umap:1", …)` gives what it gives for a pandas frame of the same
columns, with one difference: over an embedding, cells without a category are left out of `by`, where datashader counts
them in the last one. Genes have to be among the columns: `dataset.cells[["X_umap:0", "X_umap:1", "CD4"]]`. Sums, means
and deviations are added up in another order, and so differ in their last digits.
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import datashader as ds
import numpy as np
import pandas as pd
from cachetools import LRUCache
from datashader.core import bypixel
from datashader.data_libraries.pandas import pandas_pipeline
from datashader.glyphs import Point
from datashader.reductions import category_codes

from cellasso.core.column_cache import size_within
from cellasso.core.single_flight import SingleFlight
from cellasso.model.cells import Cells
from cellasso.points.point_index import Viewport

if TYPE_CHECKING:
    from collections.abc import Hashable

    from cellasso.model.vector import Vector
    from cellasso.points.point_index import PointIndex
    from cellasso.store.base import Store

UNORDERED = (ds.count, ds.any, ds.sum, ds.max, ds.min, ds.mean, ds.std, ds.var)
"""Reductions for which it does not matter which cell comes first."""

N_SORTED = 4
"""Pairs of axes of a file that are kept sorted: they were drawn last."""

KEPT_BYTES = 128 << 20
"""Columns that are kept in the order of the points, for each pair of axes."""


class _Sorted:
    """The points of two axes, and columns in their order."""

    def __init__(self, points: PointIndex) -> None:
        self.points = points
        kept: LRUCache[Vector, pd.Series] = LRUCache(KEPT_BYTES, getsizeof=size_within(KEPT_BYTES))
        self._columns = SingleFlight(kept)

    def column(self, cells: Cells, name: Hashable) -> pd.Series:
        """Return a column in the order of the points."""

        def gather() -> pd.Series:
            column = cells[name]
            if isinstance(column.dtype, pd.CategoricalDtype):
                codes: Any = self.points.gather(column.cat.codes.to_numpy())  # the stubs ask for a list
                return pd.Series(pd.Categorical.from_codes(codes, dtype=column.dtype))
            return pd.Series(self.points.gather(column.to_numpy()))

        return self._columns.get(cells.vector(name), gather)


_sorted: SingleFlight[Store, SingleFlight[tuple[str, Vector, Vector], _Sorted]] = SingleFlight(WeakKeyDictionary())
"""By file: of which group of it the vectors are, and the two axes."""


@bypixel.pipeline.register(Cells)  # type: ignore[untyped-decorator] # datashader has no types
def aggregate_cells(
    cells: Cells, schema: Any, canvas: Any, glyph: Any, summary: Any, *, antialias: bool = False
) -> Any:
    """Aggregate cells as datashader does; called by `Canvas.points` and its like.

    Parameters
    ----------
    cells
        The cells, narrowed to the columns that are needed.
    schema
        Their types, as datashader has found them.
    canvas, glyph, summary, antialias
        As of datashader's own pipeline for pandas frames.

    Returns
    -------
    An xarray `DataArray`, of a summary a `Dataset`.
    """
    axes = _axes(cells, glyph)
    if axes is None or antialias or not _is_unordered(summary):
        return pandas_pipeline(_without_infinities(cells, glyph), schema, canvas, glyph, summary, antialias=antialias)
    in_space = _sorted_of(cells, axes)
    points = in_space.points
    # datashader asks the frame for the ranges that are not given: all cells, not only those in view
    canvas = copy(canvas)
    canvas.x_range = canvas.x_range or glyph.compute_x_bounds(cells)
    canvas.y_range = canvas.y_range or glyph.compute_y_bounds(cells)
    canvas.validate_ranges(canvas.x_range, canvas.y_range)
    seen = _seen(points, Viewport(*map(float, (*canvas.x_range, *canvas.y_range))))
    columns: dict[Hashable, Any] = {glyph.x: points.xy[0][seen], glyph.y: points.xy[1][seen]}
    for name in cells.columns:
        if name not in columns:
            columns[name] = in_space.column(cells, name).iloc[seen].array
    frame = pd.DataFrame(columns, copy=False)
    if isinstance(summary, ds.by):
        has_category = frame[summary.column].cat.codes.to_numpy() >= 0
        frame = frame if has_category.all() else frame[has_category]
    return pandas_pipeline(frame, schema, canvas, glyph, summary)


def _without_infinities(cells: Cells, glyph: Any) -> pd.DataFrame:
    """Read the cells; of a line, infinite coordinates are missing ones: datashader would write past its memory."""
    frame = cells.copy()
    if type(glyph) is not Point:
        for name in {each for each in (getattr(glyph, "x", None), getattr(glyph, "y", None)) if isinstance(each, str)}:
            frame[name] = frame[name].where(~np.isinf(frame[name]))
    return frame


def _axes(cells: Cells, glyph: Any) -> tuple[Vector, Vector] | None:
    """Return the vectors of both axes, when these are dimensions of one embedding."""
    if type(glyph) is not Point:
        return None
    x, y = (cells.vector(name) for name in (glyph.x, glyph.y))
    is_one = x.kind == y.kind == "obsm" and (x.modality, x.name) == (y.modality, y.name)
    return (x, y) if is_one else None


def _is_unordered(summary: Any) -> bool:
    if isinstance(summary, ds.summary):
        return all(_is_unordered(each) and not isinstance(each, ds.by) for each in summary.values)
    if isinstance(summary, ds.by):
        return type(summary.categorizer) is category_codes and _is_unordered(summary.reduction)
    return type(summary) in UNORDERED


def _seen(points: PointIndex, viewport: Viewport) -> slice | np.ndarray[Any, Any]:
    """Return the points of the blocks in view, where they lie in one piece as a slice."""
    spans = points.spans(viewport)[:, :2]
    if not len(spans):
        return slice(0, 0)
    apart = np.flatnonzero(spans[1:, 0] != spans[:-1, 1])
    starts = spans[np.concatenate([[0], apart + 1]), 0]
    stops = spans[np.concatenate([apart, [len(spans) - 1]]), 1]
    if len(starts) == 1:
        return slice(int(starts[0]), int(stops[0]))
    return np.concatenate([np.arange(start, stop) for start, stop in zip(starts, stops, strict=True)])


def _sorted_of(cells: Cells, axes: tuple[Vector, Vector]) -> _Sorted:
    vectors = cells.vectors
    kept = _sorted.get(vectors.store, lambda: SingleFlight(LRUCache(N_SORTED)))
    return kept.get((vectors.path, *axes), lambda: _Sorted(vectors.point_index(*axes)))
