"""datashader's base reductions by our compiled loops: those whose result does not depend on the order of the cells.

datashader builds each reduction (a mean, a category's counts) of a few bases, arrays that its own loop fills point by
point. What the arrays are and what is made of them in the end stays datashader's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import datashader as ds
import numpy as np
from datashader import reductions as rd
from datashader.compiler import traverse_aggregation

from cellasso.raster import reduce

if TYPE_CHECKING:
    from collections.abc import Hashable

    from numpy.typing import NDArray

    from cellasso.model.cells import Cells
    from cellasso.pl.sorted_columns import SortedColumns
    from cellasso.points.point_index import Viewport

KINDS: dict[type, str] = {
    ds.count: "count",
    rd._count_ignore_antialiasing: "count",  # noqa: SLF001 - a base of the mean
    ds.any: "any",
    ds.sum: "sum",
    rd._sum_zero: "sum_zero",  # noqa: SLF001 - a base of mean, variance and deviation
    rd.m2: "squares",
    ds.min: "min",
    ds.max: "max",
}
"""What a loop fills for each base."""

SLOTS = 0xFFFFFFFF
"""Pixels times categories that the loops can number."""

NO_CODES = np.zeros(0, dtype=np.int16)


@dataclass(frozen=True)
class Grid:
    """The pixels of an aggregate and how coordinates become pixels, in datashader's numbers.

    Attributes
    ----------
    shape
        Height and width.
    viewport
        Ranges of x and y.
    mapping
        Scale and shift of x, then of y.
    """

    shape: tuple[int, int]
    viewport: Viewport
    mapping: tuple[float, float, float, float]


@dataclass
class _Pass:
    """What is taken together in one pass: the bases of one column, in one column of categories or in none."""

    category: Hashable | None
    column: Hashable | None
    bases: list[tuple[str, NDArray[Any]]] = field(default_factory=list)

    def first(self, kind: str) -> NDArray[Any] | None:
        """Return the first array of a kind, flat."""
        return next((array.reshape(-1) for own, array in self.bases if own == kind), None)


def bases_of(summary: Any) -> list[Any]:
    """Return the base reductions of a reduction or summary, each once, in datashader's order."""
    found: dict[Any, None] = {}
    for reduction in traverse_aggregation(summary):
        found.update(dict.fromkeys(reduction._build_bases(False, False)))  # noqa: SLF001 - datashader has no other word
    return list(found)


def fill(bases: list[Any], arrays: tuple[NDArray[Any], ...], cells: Cells, columns: SortedColumns, grid: Grid) -> bool:
    """Fill the arrays of base reductions with the points in view.

    Parameters
    ----------
    bases
        As `bases_of` returns them.
    arrays
        One for each, `(height, width)` or `(height, width, n_categories)`, as datashader creates them.
    cells
        Whose columns are reduced.
    columns
        The points, and columns in their order.
    grid
        The pixels.

    Returns
    -------
    Whether it was done; False, with all arrays as they were, if there is no loop for one of the bases.
    """
    passes: dict[tuple[Hashable, Hashable], _Pass] = {}
    for base, array in zip(bases, arrays, strict=True):
        inner, category = (base.reduction, base.categorizer) if type(base) in {ds.by, ds.count_cat} else (base, None)
        if type(inner) not in KINDS or array.size >= SLOTS:
            return False
        if category is not None and type(category) is not rd.category_codes:
            return False
        column = inner.column if isinstance(inner.column, str) else None
        if inner.column is not None and column is None:
            return False
        key = (None if category is None else category.column, column)
        passes.setdefault(key, _Pass(*key)).bases.append((KINDS[type(inner)], array))
    prepared = []
    for each in passes.values():
        codes = NO_CODES if each.category is None else columns.codes(cells, each.category)
        values = None if each.column is None else columns.values(cells, each.column)
        if codes is None or (each.column is not None and values is None):
            return False
        prepared.append((each, codes, values))
    spans = columns.points.spans(grid.viewport)
    for each, codes, values in prepared:
        n_categories = each.bases[0][1].shape[2] if each.category is not None else 1
        viewport = tuple(map(float, grid.viewport))
        where = (columns.points.xy, spans, grid.mapping, viewport, grid.shape, codes, n_categories)
        _run(each, where, values)
    return True


def _run(each: _Pass, where: tuple[Any, Any, Any, Any, Any, Any, int], values: NDArray[np.floating] | None) -> None:
    """Fill the arrays of a pass; `where` is what `reduce.count_points` has to know of the points and pixels."""
    size = each.bases[0][1].size
    kinds = {kind for kind, _ in each.bases}

    def target(kind: str, dtype: Any, *, needed: bool) -> NDArray[Any]:
        found = each.first(kind)
        return found if found is not None else np.zeros(size if needed else 0, dtype=dtype)

    counts = target("count", np.uint32, needed=bool(kinds & {"any", "sum", "squares"}) or values is None)
    if values is None:
        reduce.count_points(*where, counts)
    sums = target("sum_zero", np.float64, needed=bool(kinds & {"sum", "squares"}))
    if values is not None:
        squares = target("squares", np.float64, needed=False)
        lows, highs = target("min", np.float64, needed=False), target("max", np.float64, needed=False)
        reduce.reduce_points(*where, values, counts, sums, squares, lows, highs)
    sources = {"count": counts, "sum_zero": sums, **{kind: each.first(kind) for kind in ("squares", "min", "max")}}
    for kind, array in each.bases:
        flat = array.reshape(-1)
        if kind == "any":
            np.greater(counts, 0, out=flat)
        elif kind == "sum":
            np.copyto(flat, sums, where=counts > 0)  # NaN, as datashader made it, where there is nothing to add up
        elif flat is not sources[kind]:  # the same base twice, of a mean and of a count
            flat[:] = sources[kind]
