"""The embedding and its colours: what reads a view's choices, draws them and tells of them, put together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cellasso_app.runtime.document_loop import when_live
from cellasso_app.runtime.jobs import SerialQueue
from cellasso_app.views.embedding.captions import Captions
from cellasso_app.views.embedding.choices import Choices
from cellasso_app.views.embedding.figure import EmbeddingPlot
from cellasso_app.views.embedding.hover import Hover
from cellasso_app.views.embedding.layout import lay_out
from cellasso_app.views.embedding.loader import Loader
from cellasso_app.views.embedding.names import a_name_moves
from cellasso_app.views.embedding.picking import Picking
from cellasso_app.views.embedding.renderer import Renderer
from cellasso_app.views.embedding.router import Router
from cellasso_app.views.embedding.saving import FigureSaver, axis_names
from cellasso_app.views.embedding.status import awaited
from cellasso_app.views.embedding.tissue import TissueLayer
from cellasso_app.views.embedding.under_cells import UnderCells

if TYPE_CHECKING:
    from collections.abc import Callable

    from cellasso.points.point_index import Viewport
    from cellasso_app.state.session import Session
    from cellasso_app.ui.component import Component
    from cellasso_app.views.embedding.loaded import Loaded
    from cellasso_app.views.embedding.renderer import Drawn


DRAWING = ("order", "dot_size", "crowds", "labelled", "downward", "hover_columns", "underlay", "tissue")
"""What of the session says how cells are drawn, whatever their colours."""


class EmbeddingView:
    """A picture in the middle of the page; its legend on the left is that of the active view.

    Parameters
    ----------
    session
        Whose choices are shown; strokes and clicks on the legend select in it.
    number
        Which of the session's views it is.
    cells_panel
        Where the columns and the legend of the view that is chosen are shown.
    picking
        Through which strokes and clicks select; that of the first view, for a further one.
    on_arrange
        Called with "add" or "remove" when another view beside this one, or this one no longer, is asked for.
    """

    def __init__(
        self,
        session: Session,
        number: int,
        cells_panel: Component,
        *,
        picking: Picking | None = None,
        on_arrange: Callable[[str], None] | None = None,
    ) -> None:
        self.session = session
        self.number = number
        self.has_begun = not number
        self._on_arrange = on_arrange
        self._followed = session.views[number].shown  # what is read of its choices, or being read
        self.picking = picking or Picking(session, SerialQueue(self.say))
        self.plot = EmbeddingPlot(f"view{number}", dark=session.dark, on_view=self._set_view)
        self.layer, self.bar, self.status, self.layout = parts = lay_out(self.plot, number, self.receive, self.say)
        self.status.text = awaited(session.dataset.n_obs)
        self.cells_panel = cells_panel
        send = self.layer.send
        self._loader = Loader(session, number, on_loaded=self._show_loaded, on_failed=self._fail)
        self._renderer = Renderer(session, self.plot, self._loader, send=send, on_failed=self._fail)
        self._captions = Captions(session, number, self._loader, self._renderer, parts=parts, cells_panel=cells_panel)
        self._hover = Hover(session, self._renderer, send=send, on_failed=self.say)
        self._under = UnderCells(session, self.plot, self._loader, send=send, on_note=self.say)
        self._tissue = TissueLayer(session, self._loader, send=send, on_spot=self._resize, on_note=self.say)
        under = (self._tissue, self._under)
        told: Any = {"send": send, "on_refused": self.say, "on_failed": self._fail}
        self._saver = FigureSaver(session, self.plot, self._renderer, self.bar, under=under, **told)
        self._renderer.on_drawn = self._show_drawn
        self._router = Router(
            self.plot,
            self._hover,
            Choices(session, number, self._loader, self.picking, on_refused=self.say),
            on_ready=self._be_ready,
            on_moved=self._move,
            on_save=self._saver.save,
            on_cancel=self._cancel,
            on_arrange=on_arrange or (lambda _: None),
        )
        self._watched = self._watch()
        if self.has_begun:
            self._captions.list_columns()
            when_live(self.start)

    def _watch(self) -> list[Any]:
        watch, captions = self.session.param.watch, self._captions
        return [
            watch(self._follow, ["views", "matrix", "normalise", "as_categories"]),
            watch(lambda _: self._loader.rescale(), ["scales"]),
            watch(self._recolor, ["recolored"]),
            watch(self._filter, ["hidden"]),
            watch(lambda _: self._renderer.draw(), ["selection", "order", "dot_size", "crowds", "labelled"]),
            watch(self._change_theme, ["dark"]),
            watch(self._turn, ["downward"]),
            watch(lambda _: self._draw_under(), ["underlay"]),
            watch(lambda _: self._tissue.show(), ["tissue"]),
            watch(
                captions.show_options,
                [*DRAWING, "scales"],
            ),
            watch(captions.list_columns, ["modality", "matrix"]),
            watch(self._activate, ["active"]),
            watch(captions.say_why, ["said", "active"]),
        ]

    @property
    def is_active(self) -> bool:
        """Whether choices are for this view."""
        return bool(self.session.active == self.number)

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing is being read or drawn for it."""
        return not self._loader.is_busy and not self._renderer.is_busy

    @property
    def loaded(self) -> Loaded | None:
        """What is shown, or about to be."""
        return self._loader.shown

    def start(self) -> None:
        """Begin to read; the page must be live, and have this view."""
        self.has_begun = True
        self._read()

    def receive(self, message: dict[str, Any]) -> None:
        """Do what the browser asks of this view, unless it was taken off the page meanwhile."""
        if self.number in self.session.views:
            self._router.take(message)

    def say(self, sentence: str) -> None:
        """Say below the picture what cannot be done."""
        self.status.warning = sentence

    def close(self) -> None:
        """Stop following the session: the view was taken off the page."""
        for watcher in self._watched:
            self.session.param.unwatch(watcher)
        for part in (self._loader, self._renderer, self._hover, self._saver, self._under, self._tissue):
            part.close()

    # -- what is read ---------------------------------------------------------------------------------

    def _follow(self, *events: Any) -> None:
        """Read what was chosen for this view; what was for another changes nothing here."""
        shown = self.session.views[self.number].shown
        if {event.name for event in events} != {"views"} or shown != self._followed:
            self._read()

    def _activate(self, *_events: object) -> None:
        if self.is_active:
            self._read()

    def _read(self) -> None:
        if not self.has_begun:
            return
        self._followed = self.session.views[self.number].shown
        self._captions.list_axes()
        asked = self._loader.read()
        if asked is not None:
            self._captions.show_awaited(asked)

    def _show_loaded(self, loaded: Loaded, before: Loaded | None) -> None:
        axes, drawn = loaded.asked.axes, self._renderer.drawn
        moved = before is None or before.asked.axes != axes
        if before is not None and not moved and self._looks_new(before, loaded):
            self._renderer.draw()  # beside what follows
        elif drawn is not None and drawn.cells is loaded.cells:
            self._captions.show_drawn(loaded, drawn)
        self._captions.show_loaded(loaded)
        if moved:
            self._renderer.clear()
            self._under.clear()
            self._tissue.take_away()
            names = axis_names(self.session, loaded)
            self.plot.set_bounds(loaded.plane.bounds, axes, names, downward=self._is_downward)

    def _show_drawn(self, loaded: Loaded, drawn: Drawn) -> None:
        self._captions.show_drawn(loaded, drawn)
        self._tissue.show()
        self._draw_under()

    def _draw_under(self) -> None:
        self._under.draw(self._renderer.pixel_ratio)

    def _resize(self, spot: float | None) -> None:
        """Draw cells as wide as the spots of the tissue below them."""
        if spot != self._renderer.spot:
            self._renderer.spot = spot
            self._renderer.draw()

    def _looks_new(self, before: Loaded, loaded: Loaded) -> bool:
        """Whether the picture changes, and not the legend alone."""
        if loaded.cells is not before.cells:
            return True
        canvas = self.plot.canvas(1.0)
        moves = canvas is not None and a_name_moves(before, loaded, self.plot.viewport, canvas)
        return bool(moves and self.session.labelled)

    def _fail(self, sentence: str) -> None:
        self._cancel()
        self.say(sentence)

    def _cancel(self) -> None:
        """Stop reading and stay with the picture that is on the screen; choose again what it shows."""
        self._loader.stop()
        self._captions.show_stopped()
        if self._loader.complete is not None:
            self._loader.choose_shown(is_active=self.is_active)
            self._read()  # also where nothing of the choice had changed: the panels are then set back

    def _set_view(self) -> None:
        self.session.said = ""
        self._renderer.send_view()
        self._renderer.draw()

    def _recolor(self, *_events: object) -> None:
        """Change colours where no cell has to be drawn anew for it."""
        self._renderer.send_colors()
        self._captions.show_legend()
        if self.loaded is not None and self._renderer.order(self.loaded) == "mixed":
            self._renderer.draw()

    def _filter(self, *_events: object) -> None:
        """Hide at once what the colours can hide; what lies below is seen when it is drawn."""
        self._renderer.send_colors()
        self._captions.show_legend()
        self._renderer.draw()

    def _change_theme(self, *_events: object) -> None:
        self.plot.set_theme(dark=self.session.dark)
        self._draw_under()
        self._captions.show_scale()
        self._recolor()

    @property
    def _is_downward(self) -> bool:
        """Whether y runs down: where places in a tissue are shown, unless the user says otherwise."""
        return self.loaded is not None and self.loaded.asked.axes.in_space and bool(self.session.downward)

    def _turn(self, *_events: object) -> None:
        self.plot.turn(downward=self._is_downward)

    # -- what the browser tells of the picture -----------------------------------------------------------

    def _be_ready(self, pixel_ratio: float) -> None:
        self._renderer.be_ready(pixel_ratio)
        if self.has_begun or self._on_arrange is None:
            self._set_view()
        else:
            self._on_arrange("ready")

    def _move(self, seen: Viewport, number: int) -> None:
        if self.plot.moved(seen, number):
            self.session.said = ""
            self._renderer.draw()
