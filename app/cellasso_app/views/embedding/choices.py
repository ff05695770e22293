"""From a view's messages to the session: what a user chose, if it is one of those that there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cellasso.color.coloring import Categories
from cellasso_app.render.cell_values import obs_vector, sum_vector
from cellasso_app.state.drawing_options import choose

if TYPE_CHECKING:
    from collections.abc import Callable

    from cellasso.core.progress import Progress
    from cellasso.model.vector import Vector
    from cellasso.selection.recipe import Operation
    from cellasso_app.state.session import Session
    from cellasso_app.views.embedding.loader import Loaded
    from cellasso_app.views.embedding.picking import Picking


class Choices:
    """Takes choices over into a session.

    Parameters
    ----------
    picking
        Through which categories are selected.
    """

    def __init__(self, session: Session, picking: Picking) -> None:
        self._session = session
        self._picking = picking

    def take(self, message: dict[str, Any], loaded: Loaded | None, color: Vector | None) -> None:
        """Take over what a message chooses; anything else changes nothing.

        Parameters
        ----------
        loaded
            What the view shows, whose legend the message is about.
        color
            What its cells are coloured by.
        """
        session = self._session
        column, labels = (loaded.legend_column, loaded.labels) if loaded is not None else ("", ())
        dims = set(session.dims_of(session.embedding))
        match message:
            case {"type": "embedding", "value": str(name)} if name in session.dataset.embeddings:
                session.choose_embedding(name)
            case {"type": "dims", "x": int(x), "y": int(y)} if x != y and {x, y} <= dims:
                session.param.update(dims=(x, y), pair=None)
            case {"type": "pair", "x": str(x), "y": str(y)}:
                self._find_pair(x, y)
            case {"type": "color", "column": str(name)} if any(c["name"] == name for c in session.columns()):
                session.color = obs_vector(session.dataset, name)
            case {"type": "color", "column": str(name)} if name in session.cell_sums():
                session.color = sum_vector(name)
            case {
                "type": "category",
                "column": str(clicked),
                "label": str(label),
                "operation": "replace" | "add" | "subtract" | "intersect" as operation,
            } if clicked == column:  # else the legend that was clicked is no longer there
                self._select_category(loaded, label, operation)
            case {"type": "hide", "label": str(label), "hidden": bool(hidden)} if label in labels:
                session.hide(column, [label], hidden=hidden)
            case {"type": "isolate", "label": str(label)} if label in labels:
                session.isolate(column, label, labels)
            case {"type": "show_all", "column": str(name)}:
                session.show_all(name)
            case {"type": "recolor", "label": str(label), "color": str(chosen)} if label in labels:
                self._recolor(column, label, chosen)
            case {"type": "as_categories", "column": str(name), "value": bool(value)}:
                session.treat_as_categories(name, value)
            case {"type": "drawing", "choice": dict(choice)}:
                choose(session, loaded.coloring_kind if loaded is not None else None, color, choice)

    def _find_pair(self, x: str, y: str) -> None:
        """Look up what was typed for the two axes: columns of numbers, sums, or genes."""
        session = self._session

        def prepare(_progress: Progress) -> Callable[[], None]:
            found = [session.find_number(typed) for typed in (x, y)]

            def take() -> None:
                session.take_labels(found)
                session.pair = (found[0][0], found[1][0])

            return take

        self._picking.turns.take(prepare)

    def _select_category(self, loaded: Loaded | None, label: str, operation: Operation) -> None:
        if loaded is not None and isinstance(loaded.cells.coloring, Categories):
            self._picking.category(loaded.cells.coloring, label, operation)

    def _recolor(self, column: str, label: str, color: str) -> None:
        if len(color) != 7 or not color.startswith("#") or any(c not in "0123456789abcdef" for c in color[1:]):
            return
        recolored = self._session.recolored
        self._session.recolored = {**recolored, column: {**recolored.get(column, {}), label: color}}
