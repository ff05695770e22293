"""Means and sums of features over categories, for HoloViews: from summaries of the file, no column in a frame."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from holoviews.core.data import PandasInterface

from cellasso.model.cells import Cells

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cellasso.dataset import Modality
    from cellasso.model.vector import Vector
    from cellasso.stats.group_summary import GroupSummary

MEANS, SUMS = (np.mean, np.nanmean, "mean"), (np.sum, np.nansum, "sum")
"""How the function of an aggregate may be given; all leave out missing values, as pandas does."""

MAX_GROUPS = 1 << 16
"""More groups, of several columns of categories, are left to pandas."""

SEARCHED = 1 << 14
"""Cells looked through at a time for the first of each group: most often all are among the first of them."""


def aggregate(dataset: Any, dimensions: list[Any], function: Any) -> tuple[pd.DataFrame, list[Any]] | None:
    """Aggregate an element over the categories of key dimensions; `None` where that is left to pandas.

    Reads the columns of categories, and those of value dimensions that are no features; features in one pass, or a few
    columns that the file keeps like any others (see `Modality.summarise`). Groups stand in pandas' order, those without
    cells last. Features are float64, also where pandas would give float32.

    Parameters
    ----------
    dataset
        An element.
    dimensions
        By which it is grouped.
    function
        One of `MEANS` or `SUMS`; others are left to pandas.

    Returns
    -------
    A frame with a row for each group, and the names of the value dimensions that hold no numbers.
    """
    cells = dataset.data
    by = [dimension.name for dimension in dataset.kdims if dimension in dimensions]
    is_mean = function in MEANS
    if not isinstance(cells, Cells) or not by or not (is_mean or function in SUMS):
        return None
    features = {dim.name: cells.vector(dim.name) for dim in dataset.vdims if _is_feature(cells, dim.name)}
    if not features or not all(name in cells.columns for name in by):
        return None
    grouping = cells[by].copy()
    if not all(isinstance(dtype, pd.CategoricalDtype) for dtype in grouping.dtypes):
        return None
    shape = tuple(len(grouping[name].cat.categories) for name in by)
    if not 0 < np.prod(shape, dtype=np.float64) <= MAX_GROUPS:
        return None
    n_groups = int(np.prod(shape))
    codes = _flat([grouping[name].cat.codes.to_numpy() for name in by], shape)
    found = _keys(dataset, grouping.iloc[_first_rows(codes, n_groups)], function, features)
    rows = _flat([grouping[name].cat.categories.get_indexer(found[name]) for name in by], shape)
    for name, (summary, slot) in _summaries(cells, features, codes, n_groups).items():
        found[name] = (summary.mean if is_mean else summary.sums)[rows, slot]
    ordered = [dim.name for dim in dataset.vdims if dim.name in found.columns]
    return found[[*by, *ordered]], [dim for dim in dataset.vdims if dim.name not in found.columns]


def _is_feature(cells: Cells, name: str) -> bool:
    return name in cells.columns and cells.vector(name).kind == "gene"


def _keys(dataset: Any, first: pd.DataFrame, function: Any, features: dict[str, Vector]) -> pd.DataFrame:
    """Return the groups in pandas' order, with the aggregates of all value dimensions but the features.

    `first` has the first cell of each group: pandas asks for no more to put the groups in order.
    """
    others = [dim for dim in dataset.vdims if dim.name not in features]
    keys = [dataset.get_dimension(name) for name in first.columns]
    if others:
        plain = dataset.data[[*first.columns, *(dim.name for dim in others)]].copy()
        element = dataset.clone(plain, kdims=keys, vdims=others, datatype=[PandasInterface.datatype])
        found: pd.DataFrame = PandasInterface.aggregate(element, keys, function)[0]
        return found
    grouped = first.groupby(list(first.columns), sort=False, observed=False)
    return grouped.size().index.to_frame(index=False)


def _flat(codes: list[NDArray[Any]], shape: tuple[int, ...]) -> NDArray[np.integer]:
    """Return one code for the categories of several columns; -1 where one of them has none."""
    if len(codes) == 1:
        return codes[0]
    flat, missing = codes[0].astype(np.int32), codes[0] < 0
    for column, n in zip(codes[1:], shape[1:], strict=True):
        flat = flat * np.int32(n) + column.astype(np.int32)
        missing |= column < 0
    flat[missing] = -1
    return flat


def _first_rows(codes: NDArray[np.integer], n_groups: int) -> NDArray[np.int64]:
    """Return the first cell of each group that has one, in the order of cells."""
    seen = np.zeros(n_groups + 1, dtype=np.bool_)
    seen[-1] = True  # the place of those in no group, whose code is -1
    found = [np.zeros(0, dtype=np.int64)]
    for start in range(0, len(codes), SEARCHED):
        block = codes[start : start + SEARCHED]
        fresh = np.flatnonzero(~seen[block])
        _, at = np.unique(block[fresh], return_index=True)
        found.append(start + np.sort(fresh[at]))
        seen[block[fresh]] = True
        if seen.all():
            break
    return np.concatenate(found)


def _summaries(
    cells: Cells, features: dict[str, Vector], codes: NDArray[np.integer], n_groups: int
) -> dict[str, tuple[GroupSummary, int]]:
    """Return for each feature the summary that it is in, and where; those of one matrix share a summary."""
    container = cells.vectors.container
    of_matrix: dict[tuple[str, str | None, bool], list[str]] = defaultdict(list)
    for name, vector in features.items():
        of_matrix[vector.modality, vector.layer, vector.normalised].append(name)
    found: dict[str, tuple[GroupSummary, int]] = {}
    for (modality, layer, normalised), names in of_matrix.items():
        owner: Modality = container[modality]
        own_codes = container.alignment(modality).codes(codes)
        stored = [features[name].name for name in names]
        summary = owner.summarise(stored, own_codes, n_groups, layer=layer, normalised=normalised)
        found |= {name: (summary, slot) for slot, name in enumerate(names)}
    return found
