"""What stands around a picture: its bar, the legend beside it, the colour bar on it, the status line below."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cellasso.color.coloring import Values
from cellasso_app.render.cell_values import page_name
from cellasso_app.state.axes import Axes
from cellasso_app.state.drawing_options import offered
from cellasso_app.views.embedding.loaded import n_cells
from cellasso_app.views.embedding.status import NO_EMBEDDING, picture_status

if TYPE_CHECKING:
    from cellasso_app.state.session import Session
    from cellasso_app.ui.component import Component
    from cellasso_app.views.embedding.layout import Parts
    from cellasso_app.views.embedding.loaded import Asked, Loaded
    from cellasso_app.views.embedding.loader import Loader
    from cellasso_app.views.embedding.renderer import Drawn, Renderer


class Captions:
    """Shows what one view's picture is of.

    Parameters
    ----------
    session, number
        Whose choices, and which view's; the legend is that of the active one.
    loader, renderer
        Of the picture.
    parts, cells_panel
        Where it is shown.
    """

    def __init__(
        self,
        session: Session,
        number: int,
        loader: Loader,
        renderer: Renderer,
        *,
        parts: Parts,
        cells_panel: Component,
    ) -> None:
        self._session = session
        self._number = number
        self._loader = loader
        self._renderer = renderer
        self._layer = parts.layer
        self._bar = parts.bar
        self._status = parts.status
        self._cells_panel = cells_panel
        loader.on_progress = self.show_progress

    @property
    def _is_active(self) -> bool:
        return bool(self._session.active == self._number)

    # -- while it is read -----------------------------------------------------------------------------

    def show_awaited(self, asked: Asked) -> None:
        """Show what is being read."""
        color = asked.color.vector if asked.color is not None else None
        active = page_name(color) if color is not None and color.kind != "gene" else ""
        self._bar.param.update(busy=True, fraction=0.0)
        if self._is_active:
            self._cells_panel.param.update(active=active, legend=None, busy=bool(active), message="")

    def show_progress(self, fraction: float) -> None:
        """Show how much of it has been read."""
        self._bar.fraction = fraction

    def show_stopped(self) -> None:
        """Show that nothing is read any more."""
        self._bar.busy = False
        if self._is_active:
            self._cells_panel.param.update(busy=False)
            if self._loader.complete is None:
                self._cells_panel.param.update(active="", legend=None)

    # -- once it is there -----------------------------------------------------------------------------

    def show_loaded(self, loaded: Loaded) -> None:
        """Show what the cells are coloured by, and its legend."""
        coloring = loaded.cells.coloring
        self._bar.param.update(
            busy=not loaded.complete,
            color=self._session.label(coloring.name) if coloring is not None else "",
            color_source=coloring.source if isinstance(coloring, Values) else "",
            drawing=self._options(),
        )
        self._layer.column = loaded.legend_column
        self.show_legend()
        self.show_scale()
        if not loaded.asked.axes:
            self._status.param.update(text=n_cells(loaded.plane.n_obs), warning=loaded.problem or NO_EMBEDDING)

    def show_legend(self) -> None:
        """Show the legend in the cells panel, of the active view."""
        loaded, session = self._loader.shown, self._session
        if loaded is None or not self._is_active:
            return
        self._cells_panel.param.update(
            active=loaded.legend_column,
            legend=loaded.legend,
            busy=False,
            message=loaded.problem,
            hidden={column: sorted(labels) for column, labels in session.hidden.items()},
            colors=dict(session.recolored.get(loaded.legend_column, {})),
        )

    def show_scale(self) -> None:
        """Show a colour bar for values, none otherwise."""
        loaded = self._loader.shown
        if loaded is None or not isinstance(loaded.cells.coloring, Values) or not loaded.asked.axes:
            self._layer.scale = {}
            return
        coloring, scale = loaded.cells.coloring, loaded.cells.scale
        colors = scale.colors(dark=self._session.dark)
        self._layer.scale = {
            "title": self._session.label(coloring.name),
            "colors": list(colors[:: len(colors) // 16]),
            "ticks": loaded.cells.ramp.ticks() if loaded.cells.ramp is not None else [],
        }

    def show_drawn(self, loaded: Loaded, drawn: Drawn) -> None:
        """Say in the status line what is in view and how exact it is."""
        text, warning = picture_status(loaded, drawn, self._renderer.order(loaded))
        self._status.param.update(text=text, warning=warning)

    # -- what is offered --------------------------------------------------------------------------------

    def show_options(self, *_events: object) -> None:
        """Show how cells are drawn, whichever view it was chosen in."""
        self._bar.drawing = self._options()

    def _options(self) -> dict[str, Any]:
        loaded = self._loader.shown
        kind, order = (loaded.coloring_kind, self._renderer.order(loaded)) if loaded is not None else (None, "")
        axes = loaded.asked.axes if loaded is not None else Axes()
        return offered(self._session, kind, self._loader.scale, order, axes=axes)

    def list_axes(self) -> None:
        """Show the axes that are chosen, and those that can be."""
        session, state = self._session, self._session.views[self._number]
        dims = [
            {"value": dim, "label": session.dataset.dim_name(state.embedding, dim)}
            for dim in session.dims_of(state.embedding)
        ]
        self._bar.param.update(
            embeddings=list(session.dataset.embeddings),
            embedding=state.embedding,
            dims_offered=dims,
            dims=list(state.dims),
            numbers=[c["name"] for c in session.columns() if c["kind"] == "number"] + session.cell_sums(),
            pair=list(map(session.label_of, state.pair)) if state.pair is not None else [],
        )

    def list_columns(self, *_events: object) -> None:
        """Show the columns that can colour the cells, and the sums of counts."""
        known = self._session.columns()
        names = {column["name"] for column in known}
        sums = [{"name": name, "kind": "sum"} for name in self._session.cell_sums() if name not in names]
        self._cells_panel.param.update(columns=known + sums)

    def say_why(self, *_events: object) -> None:
        """Say where the hand is why its last step changed nothing."""
        self._status.said = self._session.said if self._is_active else ""
