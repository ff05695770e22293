"""Which cells of a view are selected, or hidden by any column, and what is seen of the categories that colour them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cellasso.color.coloring import MISSING_CODE, Categories
from cellasso.raster.style import HIDDEN
from cellasso.selection.recipe import Combined, WhereRecipe
from cellasso.stats.group_summary import count_groups
from cellasso_app.render.cell_values import page_name, read_cell_values
from cellasso_app.render.labels import medians
from cellasso_app.render.legend import codes_of, visible_expression

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cellasso.core.progress import Progress
    from cellasso.dataset import Dataset
    from cellasso.points.point_index import PointIndex
    from cellasso.raster.cells import ColoredCells
    from cellasso.raster.style import Style
    from cellasso.selection.recipe import Recipe
    from cellasso_app.render.cell_values import ColoringKey
    from cellasso_app.state.selection import Selection
    from cellasso_app.state.session import Session
    from cellasso_app.views.embedding.loaded import Loaded

ENOUGH = 10_000
"""Cells of a category that say where its middle is, within a hundredth of its extent: of all of ten million cells it
took 0.7 s, for which the picture of a filter would wait."""


class Filter(NamedTuple):
    """Labels that are hidden, by the columns they are of."""

    hidden: tuple[tuple[ColoringKey, frozenset[str]], ...] = ()

    def mask(self, dataset: Dataset, *, progress: Progress) -> NDArray[np.bool_] | None:
        """Return which cells are hidden by none, `(n_obs,)`; `None` when nothing is hidden."""
        return self.find(dataset, progress=progress)[0]

    def recipe(self, dataset: Dataset, *, progress: Progress) -> Recipe | None:
        """Return the recipe of what `mask` returns."""
        return self.find(dataset, progress=progress)[1]

    def find(self, dataset: Dataset, *, progress: Progress) -> tuple[NDArray[np.bool_] | None, Recipe | None]:
        """Return mask and recipe of the visible cells, with one reading of the columns."""
        visible: NDArray[np.bool_] | None = None
        recipe: Recipe | None = None
        for (vector, as_categories), labels in self.hidden:
            found = read_cell_values(dataset, vector, as_categories=as_categories, progress=progress).coloring
            if not isinstance(found, Categories):
                continue
            shown = np.ones(256, dtype=np.bool_)
            shown[list(codes_of(found, labels))] = False
            mask = shown[found.codes.astype(np.uint8)]
            step = WhereRecipe(visible_expression(dataset.expression_name(page_name(vector)), labels, found))
            visible = mask if visible is None else visible & mask
            recipe = step if recipe is None else Combined("intersect", recipe, step)
        return visible, recipe


def filter_of(session: Session, *, except_for: str | None = None) -> Filter:
    """Return what a session hides, but for that of one column."""
    hidden = sorted((column, labels) for column, labels in session.hidden.items() if column != except_for)
    return Filter(tuple((session.obs_key(column), labels) for column, labels in hidden))


class Shown(NamedTuple):
    """Of the categories of a colouring, the cells that no other column hides: only those have names in a picture.

    Attributes
    ----------
    counts
        Cells of each category, `(n,)`.
    n_missing
        Cells of none.
    middles
        Median of both coordinates of each, `(n, 2)`, NaN without cells; `None` while it is not known.
    """

    counts: NDArray[np.int64]
    n_missing: int
    middles: NDArray[np.float32] | None

    def codes(self, style: Style) -> list[int]:
        """Return which categories have cells to be seen, from the first to the last."""
        return [code for code, count in enumerate(self.counts) if count and code not in style.hidden]


class States:
    """Finds which cells of a view are selected or hidden, and keeps it for as long as that is the same.

    `of` is for one thread at a time.
    """

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._visible: tuple[Filter, NDArray[np.bool_] | None, Recipe | None] = (Filter(), None, None)
        # of all cells, and of a sample of them
        self._known: dict[int, tuple[PointIndex, Selection | None, Filter, NDArray[np.uint8] | None]] = {}
        self._shown: tuple[ColoredCells, Filter, Shown] | None = None

    def visible(self, hidden: Filter, *, progress: Progress) -> tuple[NDArray[np.bool_] | None, Recipe | None]:
        """Return mask and recipe of the cells that are not hidden; as `Filter.find`, kept."""
        kept = self._visible
        if kept[0] != hidden:
            self._visible = kept = (hidden, *hidden.find(self._dataset, progress=progress))
        return kept[1:]

    def of(
        self, plane: PointIndex, selection: Selection | None, others: Filter, *, progress: Progress
    ) -> NDArray[np.uint8] | None:
        """Return the state of each point of a plane, `(n,)`; `None`: all are plain."""
        known = self._known.get(plane.step)
        if known is None or known[0] is not plane or known[1] is not selection or known[2] != others:
            found = self._find_states(plane, selection, others, progress=progress)
            self._known[plane.step] = known = (plane, selection, others, found)
        return known[3]

    def shown(self, loaded: Loaded, others: Filter, *, progress: Progress) -> Shown | None:
        """Return what is seen of the categories that colour the cells where `others` are hidden; `None`: of values."""
        cells, coloring = loaded.cells, loaded.cells.coloring
        if not isinstance(coloring, Categories):
            return None
        visible, _ = self.visible(others, progress=progress)
        if visible is None or loaded.middles is None:
            return Shown(coloring.counts, coloring.n_missing, loaded.middles)
        kept = self._shown
        if kept is None or kept[0] is not cells or kept[1] != others:
            n = len(coloring.labels)
            codes = np.where(cells.plane.gather(visible), cells.codes, np.uint8(MISSING_CODE))
            found = Shown(
                count_groups(coloring.codes, n, visible),
                int(np.count_nonzero(coloring.codes[visible] < 0)),
                medians(cells.plane.xy, codes, n, most=ENOUGH),
            )
            self._shown = kept = (cells, others, found)
        return kept[2]

    def _find_states(
        self, plane: PointIndex, selection: Selection | None, others: Filter, *, progress: Progress
    ) -> NDArray[np.uint8] | None:
        visible, _ = self.visible(others, progress=progress)
        if selection is None and visible is None:
            return None
        states = np.zeros(plane.n_obs, dtype=np.uint8)
        if selection is not None:
            states[:] = selection.mask[:: plane.step]
        if visible is not None:
            states[~visible[:: plane.step]] = HIDDEN
        return plane.gather(states)
