"""From strokes and clicks to selections: one after the other, and only of cells that are seen."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from cellasso.selection.recipe import Combined, Lasso, PolygonGate, WhereRecipe
from cellasso_app.render import compiling
from cellasso_app.render.legend import category_expression
from cellasso_app.views.embedding.names import shortened
from cellasso_app.views.embedding.states import States, filter_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from cellasso.color.coloring import Categories
    from cellasso.core.progress import Progress
    from cellasso.points.point_index import PointIndex
    from cellasso.selection.recipe import Operation, Recipe
    from cellasso_app.runtime.jobs import SerialQueue
    from cellasso_app.state.axes import Axes
    from cellasso_app.state.session import Session
    from cellasso_app.views.embedding.states import Filter


class Picking:
    """Selects in a session what was drawn or clicked in its views.

    Parameters
    ----------
    queue
        Where a step waits for those before it: nothing that a hand does is dropped or overtaken.
    """

    def __init__(self, session: Session, queue: SerialQueue) -> None:
        self._session = session
        self._states = States(session.dataset)  # by all columns, also the one that colours the cells
        self.queue = queue

    def inside(self, plane: PointIndex, axes: Axes, polygon: list[tuple[float, float]], operation: Operation) -> None:
        """Select the cells inside a polygon over some axes."""
        session, visible = self._session, filter_of(self._session)
        recipe: Recipe
        if axes.pair is not None:
            recipe = PolygonGate(*axes.pair, tuple(polygon))
        else:
            recipe = Lasso(axes.embedding, tuple(polygon), axes.dims)

        if not compiling.is_done("lasso", len(plane)):
            session.said = "The lasso is being compiled, once on this machine…"

        def prepare(progress: Progress) -> Callable[[], None]:
            mask = plane.inside(polygon, progress=progress)
            found, seen = self._within(visible, recipe, mask, progress)
            return partial(session.select, operation, found, seen)

        self.queue.take(prepare)

    def category(self, coloring: Categories, label: str, operation: Operation) -> None:
        """Select the cells of a row of a legend."""
        session, dataset = self._session, self._session.dataset
        # the column's own rows are as good as clicked on when they are shown
        visible = filter_of(session, except_for=coloring.name)

        def prepare(progress: Progress) -> Callable[[], None]:
            recipe = WhereRecipe(category_expression(dataset.expression_name(coloring.name), label, coloring))
            found, seen = self._within(visible, recipe, recipe.mask(dataset), progress)
            return partial(session.select, operation, found, seen, where=f"of {shortened(label)} are shown")

        self.queue.take(prepare)

    def invert(self) -> None:
        """Select all other cells that are seen."""
        session, visible = self._session, filter_of(self._session)

        def prepare(progress: Progress) -> Callable[[], None]:
            shown, seen = self._states.visible(visible, progress=progress)
            return partial(session.invert, None if shown is None or seen is None else (seen, shown))

        self.queue.take(prepare)

    def in_turn(self, step: Callable[[], None]) -> None:
        """Run a step of selecting (clear, undo, …) after the strokes and clicks before it."""
        self.queue.take(lambda _: step)

    def _within(
        self, visible: Filter, recipe: Recipe, mask: NDArray[np.bool_], progress: Progress
    ) -> tuple[Recipe, NDArray[np.bool_]]:
        """Leave out what is not seen."""
        shown, seen = self._states.visible(visible, progress=progress)
        if shown is None or seen is None:
            return recipe, mask
        return Combined("intersect", recipe, seen), mask & shown
