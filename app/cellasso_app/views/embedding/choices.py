"""From a view's messages to the session: what a user chose or drew, if it is one of those that there are.

A choice makes the view the active one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cellasso.color.coloring import Categories
from cellasso_app.render.cell_values import obs_vector, sum_vector
from cellasso_app.state.drawing_options import choose
from cellasso_app.views.embedding.messages import Message, corners

if TYPE_CHECKING:
    from collections.abc import Callable

    from cellasso.core.progress import Progress
    from cellasso_app.state.session import Session
    from cellasso_app.views.embedding.loaded import Loaded
    from cellasso_app.views.embedding.loader import Loader
    from cellasso_app.views.embedding.picking import Picking

MAX_CORNERS = 10_000
"""Of a polygon from the browser; a stroke that is longer than a screen's edge has some hundreds."""

HEX = frozenset("0123456789abcdef")


class Choices:
    """Takes choices and strokes of one view over into its session.

    Parameters
    ----------
    session, number
        Whose choices, and which view's.
    loader
        Of what the view shows, whose legend the messages are about.
    picking
        Through which strokes and clicks select.
    on_refused
        Called with a sentence when a stroke is too long.
    """

    def __init__(
        self,
        session: Session,
        number: int,
        loader: Loader,
        picking: Picking,
        *,
        on_refused: Callable[[str], None],
    ) -> None:
        self._session = session
        self._number = number
        self._loader = loader
        self._picking = picking
        self._on_refused = on_refused
        self._strokes: dict[str, Callable[[Message], None]] = {
            "operation": self._choose_operation,
            "polygon": self._select_inside,
            "too_long": self._refuse_stroke,
            "clear": lambda _: picking.in_turn(session.clear),
        }
        self._choices: dict[str, Callable[[Message], None]] = {
            **dict.fromkeys(("embedding", "dims", "pair"), self._choose_axes),
            "color": self._choose_color,
            "category": self._select_category,
            **dict.fromkeys(("hide", "isolate", "show_all"), self._hide),
            "recolor": self._recolor,
            "as_categories": self._treat_as_categories,
            "drawing": self._choose_drawing,
        }

    def take(self, message: Message) -> None:
        """Take over what a message chooses; anything else changes nothing."""
        kind = message.get("type")
        if kind in self._strokes:
            self._strokes[kind](message)
        elif kind in self._choices:
            self._activate()
            self._choices[kind](message)

    # -- strokes ----------------------------------------------------------------------------------------

    def _choose_operation(self, message: Message) -> None:
        match message:
            case {"operation": "replace" | "add" | "subtract" | "intersect" as operation}:
                self._session.change_view(self._number, operation=operation)

    def _select_inside(self, message: Message) -> None:
        loaded, polygon = self._loader.shown, corners(message.get("polygon"))
        if loaded is None or not loaded.asked.axes or len(polygon) < 3:
            return
        if len(polygon) > MAX_CORNERS:
            self._on_refused(_too_many(len(polygon)))
            return
        self._activate()
        operation = self._session.views[self._number].operation
        self._picking.inside(loaded.plane, loaded.asked.axes, polygon, operation)

    def _refuse_stroke(self, message: Message) -> None:
        match message:
            case {"corners": int(n)}:  # the page keeps such a stroke to itself
                self._on_refused(_too_many(n))

    # -- choices ----------------------------------------------------------------------------------------

    def _activate(self) -> None:
        self._session.active = self._number

    @property
    def _legend(self) -> tuple[Loaded | None, str, tuple[str, ...]]:
        """What is shown, the column of its legend, and the labels of that."""
        loaded = self._loader.shown
        return (loaded, loaded.legend_column, loaded.labels) if loaded is not None else (None, "", ())

    def _choose_axes(self, message: Message) -> None:
        session = self._session
        dims = set(session.dims_of(session.view.embedding))
        match message:
            case {"type": "embedding", "value": str(name)} if name in session.dataset.embeddings:
                session.choose_embedding(name)
            case {"type": "dims", "x": int(x), "y": int(y)} if x != y and {x, y} <= dims:
                session.change_view(dims=(x, y), pair=None)
            case {"type": "pair", "x": str(x), "y": str(y)}:
                self._find_pair(x, y)

    def _find_pair(self, x: str, y: str) -> None:
        """Look up what was typed for the two axes: columns of numbers, sums, or genes."""
        session = self._session

        def prepare(_progress: Progress) -> Callable[[], None]:
            found = [session.find_number(typed) for typed in (x, y)]

            def take() -> None:
                session.take_labels(found)
                session.change_view(pair=(found[0][0], found[1][0]))

            return take

        self._picking.queue.take(prepare)

    def _choose_color(self, message: Message) -> None:
        session = self._session
        match message:
            case {"column": str(name)} if any(c["name"] == name for c in session.columns()):
                session.change_view(color=obs_vector(session.dataset, name))
            case {"column": str(name)} if name in session.cell_sums():
                session.change_view(color=sum_vector(name))

    def _select_category(self, message: Message) -> None:
        loaded, column, _ = self._legend
        match message:
            case {
                "column": str(clicked),
                "label": str(label),
                "operation": "replace" | "add" | "subtract" | "intersect" as operation,
            } if clicked == column and loaded is not None:  # else the legend that was clicked is no longer there
                if isinstance(loaded.cells.coloring, Categories):
                    self._picking.category(loaded.cells.coloring, label, operation)

    def _hide(self, message: Message) -> None:
        _, column, labels = self._legend
        match message:
            case {"type": "hide", "label": str(label), "hidden": bool(hidden)} if label in labels:
                self._session.hide(column, [label], hidden=hidden)
            case {"type": "isolate", "label": str(label)} if label in labels:
                self._session.isolate(column, label, labels)
            case {"type": "show_all", "column": str(name)}:
                self._session.show_all(name)

    def _recolor(self, message: Message) -> None:
        _, column, labels = self._legend
        match message:
            case {"label": str(label), "color": str(color)} if label in labels and _is_color(color):
                recolored = self._session.recolored
                self._session.recolored = {**recolored, column: {**recolored.get(column, {}), label: color}}

    def _treat_as_categories(self, message: Message) -> None:
        match message:
            case {"column": str(name), "value": bool(value)}:
                self._session.treat_as_categories(name, value)

    def _choose_drawing(self, message: Message) -> None:
        loaded, _, _ = self._legend
        match message:
            case {"choice": dict(choice)}:
                kind = loaded.coloring_kind if loaded is not None else None
                choose(self._session, kind, self._session.view.color, choice)


def _is_color(text: str) -> bool:
    return len(text) == 7 and text.startswith("#") and set(text[1:]) <= HEX


def _too_many(n: int) -> str:
    return (
        f"This stroke has {n:,} corners; at most {MAX_CORNERS:,} are taken. Draw it in parts: Shift adds to what is"
        " selected."
    )
