"""How datashader aggregates the cells of a file: from points that are sorted in space, those in view alone.

`datashader.Canvas.points(dataset.cells, "X_umap:0", "X_umap:1", …)` gives what it gives for a pandas frame of the same
columns, with one difference: over an embedding, cells without a category are left out of `by`, where datashader counts
them in the last one. Genes have to be among the columns: `dataset.cells[["X_umap:0", "X_umap:1", "CD4"]]`. Sums, means
and deviations are added up in another order, and so differ in their last digits.
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any, NamedTuple

import datashader as ds
import numpy as np
import pandas as pd
import xarray as xr
from datashader.compiler import compile_components
from datashader.core import LinearAxis, bypixel
from datashader.data_libraries.pandas import pandas_pipeline
from datashader.glyphs import Point

from cellasso.model.cells import Cells
from cellasso.pl.base_reductions import Grid, bases_of, fill
from cellasso.pl.pictures import PictureReduction, drawn
from cellasso.pl.sorted_columns import SortedColumns, sorted_columns
from cellasso.points.point_index import Viewport

if TYPE_CHECKING:
    from collections.abc import Hashable

    from cellasso.model.vector import Vector
    from cellasso.points.point_index import PointIndex

UNORDERED = (ds.count, ds.any, ds.sum, ds.max, ds.min, ds.mean, ds.std, ds.var)
"""Reductions for which it does not matter which cell comes first."""


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
    if isinstance(summary, drawn):  # it has its own points, those of a sample perhaps
        # without coordinates, which take xarray a millisecond: the explorer knows its view
        attrs = {"x_range": canvas.x_range, "y_range": canvas.y_range}
        return xr.DataArray(summary.picture(), dims=[glyph.y_label, glyph.x_label], attrs=attrs)
    axes = _axes(cells, glyph)
    # the rows of what is in view have other numbers
    if axes is None or antialias or summary.uses_row_index(False, False):
        return pandas_pipeline(_without_infinities(cells, glyph), schema, canvas, glyph, summary, antialias=antialias)
    columns = sorted_columns(cells, *axes)
    # datashader asks the frame for the ranges that are not given: all cells, not only those in view
    canvas = copy(canvas)
    canvas.x_range = canvas.x_range or glyph.compute_x_bounds(cells)
    canvas.y_range = canvas.y_range or glyph.compute_y_bounds(cells)
    canvas.validate_ranges(canvas.x_range, canvas.y_range)
    if isinstance(summary, PictureReduction):
        view = _view_of(canvas)
        return _with_axes(summary.picture(cells, columns, view, (canvas.plot_height, canvas.plot_width)), canvas, glyph)
    found = _by_our_loops(cells, columns, _Asked(schema, canvas, glyph, summary))
    if found is not None:
        return found
    frame = _in_view(cells, columns, canvas, glyph, ordered=not _is_unordered(summary))
    if isinstance(summary, ds.by) and isinstance(frame.get(summary.column), pd.Series):
        has_category = frame[summary.column].notna().to_numpy()
        frame = frame if has_category.all() else frame[has_category]
    return pandas_pipeline(frame, schema, canvas, glyph, summary)


class _Asked(NamedTuple):
    """What datashader asks of its pipeline."""

    schema: Any
    canvas: Any
    glyph: Any
    summary: Any


def _by_our_loops(cells: Cells, columns: SortedColumns, asked: _Asked) -> Any:
    """Aggregate by the compiled loops of `raster.reduce`; `None` where there is none for it."""
    schema, canvas, glyph, summary = asked
    if type(canvas.x_axis) is not LinearAxis or type(canvas.y_axis) is not LinearAxis:
        return None
    create, _, _, _, finalize, *_ = compile_components(summary, schema, glyph, antialias=False, partitioned=False)
    shape = (canvas.plot_height, canvas.plot_width)
    x_mapping = canvas.x_axis.compute_scale_and_translate(canvas.x_range, canvas.plot_width)
    y_mapping = canvas.y_axis.compute_scale_and_translate(canvas.y_range, canvas.plot_height)
    viewport = _view_of(canvas)
    (x_scale, x_shift), (y_scale, y_shift) = x_mapping, y_mapping
    grid = Grid(shape, viewport, (float(x_scale), float(x_shift), float(y_scale), float(y_shift)))
    arrays = create(shape)
    if not fill(bases_of(summary), arrays, cells, columns, grid):
        return None
    return finalize(arrays, cuda=False, **_axes_of(canvas, glyph))


def _view_of(canvas: Any) -> Viewport:
    """Return the part of the plane that a canvas with ranges shows."""
    return Viewport(*map(float, (*canvas.x_range, *canvas.y_range)))


def _axes_of(canvas: Any, glyph: Any) -> dict[str, Any]:
    """Return coordinates, dimensions and attributes of an aggregate, as datashader has them."""
    x_mapping = canvas.x_axis.compute_scale_and_translate(canvas.x_range, canvas.plot_width)
    y_mapping = canvas.y_axis.compute_scale_and_translate(canvas.y_range, canvas.plot_height)
    coords = {
        glyph.x_label: canvas.x_axis.compute_index(x_mapping, canvas.plot_width),
        glyph.y_label: canvas.y_axis.compute_index(y_mapping, canvas.plot_height),
    }
    attrs = {"x_range": canvas.x_range, "y_range": canvas.y_range}
    return {"coords": coords, "dims": [glyph.y_label, glyph.x_label], "attrs": attrs}


def _with_axes(picture: Any, canvas: Any, glyph: Any) -> xr.DataArray:
    """Return a picture as an aggregate; a third dimension is that of its channels."""
    axes = _axes_of(canvas, glyph)
    axes["dims"] += ["channel"][: picture.ndim - 2]
    return xr.DataArray(picture, **axes)


def _in_view(cells: Cells, columns: SortedColumns, canvas: Any, glyph: Any, *, ordered: bool) -> pd.DataFrame:
    """Return the cells of the blocks in view; in the order of obs, or of the points, which takes less."""
    points = columns.points
    seen = _seen(points, _view_of(canvas))
    if ordered:
        rows = np.sort(points.order[seen])
        return pd.DataFrame({name: cells[name].array[rows] for name in cells.columns}, copy=False)
    arrays: dict[Hashable, Any] = {glyph.x: points.xy[0][seen], glyph.y: points.xy[1][seen]}
    for name in cells.columns:
        if name not in arrays:
            arrays[name] = columns.column(cells, name).iloc[seen].array
    return pd.DataFrame(arrays, copy=False)


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
        return _is_unordered(summary.reduction)
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
