"""The pictures in the middle of the page: one to four, side by side, with one selection and one legend."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import panel as pn

from cellasso_app.panels.cells.component import CellsPanel
from cellasso_app.views.embedding.view import EmbeddingView

if TYPE_CHECKING:
    from cellasso_app.state.session import Session
    from cellasso_app.views.embedding.picking import Picking

MAX_VIEWS = 4

LINES = {"min-width": "0", "gap": "1px", "background": "var(--line)"}
"""Style of what views lie in: a thin line between them."""


class Views:
    """Embeddings side by side; the one touched last takes the choices.

    Parameters
    ----------
    session
        Shared by all of them.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self.views: list[EmbeddingView] = []
        self.cells_panel = CellsPanel(
            on_message=self._receive, on_refused=self._refuse, sizing_mode="stretch_both", margin=0
        )
        self.layout = pn.GridSpec(sizing_mode="stretch_both", margin=0, styles=LINES)
        self._add(session.active)
        session.param.watch(self._mark, ["active"])

    @property
    def active(self) -> EmbeddingView:
        """The view that the choices are for."""
        return next((view for view in self.views if view.is_active), self.views[0])

    @property
    def picking(self) -> Picking:
        """Through which strokes and clicks select, in whichever view."""
        return self.views[0].picking

    def add(self) -> None:
        """Show the active view once more, to be changed."""
        if len(self.views) < MAX_VIEWS:
            self._add(self._session.add_view())

    def remove(self, view: EmbeddingView) -> None:
        """Take a view off the page, unless it is the only one."""
        if len(self.views) == 1 or view not in self.views:
            return
        self.views.remove(view)
        view.close()
        self._arrange()
        self._session.remove_view(view.number)

    def _add(self, number: int) -> None:
        view = EmbeddingView(
            self._session,
            number,
            self.cells_panel,
            picking=self.picking if self.views else None,
            on_arrange=lambda what: self._arrange_as_asked(view, what),
        )
        self.views.append(view)
        self._arrange()

    def _arrange_as_asked(self, view: EmbeddingView, what: str) -> None:
        if what == "add":
            self.add()
        elif what == "remove":
            self.remove(view)
        else:  # the browser has it; what is changed of a view before that is lost
            self._session.active = view.number
            self._mark()
            view.start()

    def _receive(self, message: dict[str, Any]) -> None:
        self.active.receive(message)

    def _refuse(self, sentence: str) -> None:
        self.active.status.warning = sentence

    def _arrange(self) -> None:
        self.layout.objects = dict(zip(_places(len(self.views)), [view.layout for view in self.views], strict=True))
        self._mark()

    def _mark(self, *_events: object) -> None:
        n = len(self.views)
        for view in self.views:
            if not view.has_begun:
                continue
            view.bar.param.update(several=n > 1, active=view.is_active, full=n == MAX_VIEWS)


def _places(n: int) -> list[tuple[int, int, int, int]]:
    """Return top, left, bottom and right of `n` views in rows of two; one that is alone in its row takes all of it."""
    places = [(i // 2, i % 2, i // 2 + 1, i % 2 + 1) for i in range(n)]
    if n > 1 and n % 2:
        places[-1] = (n // 2, 0, n // 2 + 1, 2)
    return places
