"""What is drawn of the cells that were read, and sent to the browser: pictures, or colours where these alone change."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import deflate
import numpy as np

from cellasso.color.coloring import Categories
from cellasso.color.palettes import color_table
from cellasso.raster.draw import Dots, draw
from cellasso.raster.style import Style
from cellasso_app.render import compiling, datashading
from cellasso_app.render.legend import codes_of
from cellasso_app.runtime.jobs import LatestJob
from cellasso_app.views.embedding.names import name_categories
from cellasso_app.views.embedding.states import States, filter_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from cellasso.core.progress import Progress
    from cellasso.raster.cells import ColoredCells
    from cellasso.raster.draw import Picture
    from cellasso_app.state.session import Session
    from cellasso_app.views.embedding.figure import EmbeddingPlot
    from cellasso_app.views.embedding.loaded import Asked, Loaded
    from cellasso_app.views.embedding.loader import Loader
    from cellasso_app.views.embedding.states import Filter, Shown

LEVEL = 1
"""Of compression: a picture's planes shrink to a tenth within milliseconds; more takes longer than sending."""


@dataclass(frozen=True)
class Drawn:
    """What a drawing job brings back.

    Attributes
    ----------
    message
        For the browser.
    n_visible
        Cells in view.
    lacks_selected
        Whether cells are selected, and none of them is drawn.
    """

    asked: Asked
    cells: ColoredCells
    message: dict[str, Any]
    n_visible: int
    lacks_selected: bool


class Renderer:
    """Draws what a view shows whenever something of it changes, off the event loop; sends it to its browser.

    Parameters
    ----------
    session
        Whose choices of drawing it follows.
    plot
        Says what is in view, and how large that is.
    loader
        Of the cells; told when they have been drawn, so that it goes on.
    send
        Called with each message for the browser.
    on_failed
        Called with a sentence when it cannot be drawn.

    Attributes
    ----------
    on_drawn
        Called with what was drawn and sent.
    drawn
        The newest picture.
    spot
        Diameter of the places that cells are, in data units; `None`: not known.
    """

    def __init__(
        self,
        session: Session,
        plot: EmbeddingPlot,
        loader: Loader,
        *,
        send: Callable[[dict[str, Any]], None],
        on_failed: Callable[[str], None],
    ) -> None:
        self._session = session
        self._plot = plot
        self._loader = loader
        self._send = send
        self.on_drawn: Callable[[Loaded, Drawn], None] = lambda _loaded, _drawn: None
        self._pixel_ratio: float | None = None  # until the browser is ready
        self._n_sent = 0
        self._states = States(session.dataset)
        self._drawing: LatestJob[Drawn] = LatestJob(self._show, on_failed, finishes=True, urgency=session.urgency)
        self._naming: LatestJob[None] = LatestJob(lambda _: self.draw(), on_failed)
        self.drawn: Drawn | None = None
        self.spot: float | None = None

    @property
    def loaded(self) -> Loaded | None:
        """What is drawn."""
        return self._loader.shown

    @property
    def is_ready(self) -> bool:
        """Whether a browser takes pictures."""
        return self._pixel_ratio is not None

    @property
    def pixel_ratio(self) -> float:
        """Physical pixels to one of the screen; 1 until a browser has said it."""
        return self._pixel_ratio or 1.0

    @property
    def is_busy(self) -> bool:
        """Whether something is being drawn."""
        return self._drawing.is_busy

    def be_ready(self, pixel_ratio: float) -> None:
        """Draw from now on, so many pixels of the screen to one of the page."""
        self._pixel_ratio = pixel_ratio

    # -- how cells are drawn ----------------------------------------------------------------------------

    def style(self, cells: ColoredCells) -> Style:
        """Return how cells are drawn, as it is chosen now."""
        session, coloring = self._session, cells.coloring
        column = self._legend_column
        hidden = session.hidden.get(column, frozenset())
        codes = codes_of(coloring, hidden) if isinstance(coloring, Categories) else frozenset()
        order = session.order.get(type(coloring).__name__, "random" if isinstance(coloring, Categories) else "high")
        fade, chosen = session.selection is not None, session.recolored.get(column, {})
        return Style(session.dot_size, order, codes, fade, chosen, session.crowds, self.spot)

    def order(self, loaded: Loaded) -> str:
        """Return which of its cells lie on top."""
        return loaded.cells.order(self.style(loaded.cells).order)

    def colors(self, cells: ColoredCells) -> dict[str, Any]:
        """Return colours by code, and the codes that are hidden, as the browser takes them."""
        chosen = self._session.recolored.get(self._legend_column, {})
        colors = color_table(cells.coloring, cells.scale, dark=self._session.dark, chosen=chosen)
        return {"colors": colors, "hidden": sorted(self.style(cells).hidden)}

    def finder(self, loaded: Loaded) -> Callable[[Progress], NDArray[np.bool_] | None]:
        """Return what finds, in a thread, which points are seen, `(n,)`; `None` of it: all."""
        style, others, selection = self.style(loaded.cells), self._others(), self._session.selection

        def find(progress: Progress) -> NDArray[np.bool_] | None:
            cells = loaded.cells
            return cells.shown(style, self._states.of(cells.plane, selection, others, progress=progress))

        return find

    def looker(self, loaded: Loaded) -> Callable[[Progress], tuple[NDArray[np.uint8] | None, Shown | None]]:
        """Return what finds, in a thread, the states of the points and what is seen of the categories."""
        others, selection = self._others(), self._session.selection

        def look(progress: Progress) -> tuple[NDArray[np.uint8] | None, Shown | None]:
            states = self._states.of(loaded.cells.plane, selection, others, progress=progress)
            return states, self._states.shown(loaded, others, progress=progress)

        return look

    @property
    def _legend_column(self) -> str:
        return self.loaded.legend_column if self.loaded is not None else ""

    def _others(self) -> Filter:
        """Return what is hidden by other columns than the one whose legend is shown."""
        loaded = self.loaded
        own = loaded.legend_column if loaded is not None and loaded.coloring_kind is Categories else None
        return filter_of(self._session, except_for=own)

    # -- drawing ----------------------------------------------------------------------------------------

    def draw(self) -> None:
        """Draw what is in view; a picture of cells that were not drawn yet is what others wait for."""
        loaded = self.loaded
        if loaded is None:
            return
        canvas = self._plot.canvas(self._pixel_ratio) if self._pixel_ratio is not None else None
        if canvas is None or not loaded.asked.axes:
            self._loader.go_on()
            return
        viewport, selection = self._plot.viewport, self._session.selection
        style, others = self.style(loaded.cells), self._others()
        reducer = datashading.reducer(self._session.dataset, loaded.asked.axes.vectors(self._session.dataset))
        # a picture need not wait for what places its names
        has_few = len(loaded.labels) <= compiling.FEW_NAMES
        can_label = compiling.is_done("labels", len(loaded.plane) if has_few else None)
        labelled = self._session.labelled and can_label

        def job(progress: Progress) -> Drawn:
            states = self._states.of(loaded.cells.plane, selection, others, progress=progress)
            drawn = draw(loaded.cells, viewport, canvas, style, states, reducer=reducer)
            shown = self._states.shown(loaded, others, progress=progress) if labelled else None
            labels = name_categories(loaded, shown, viewport, canvas, style)
            lacks = selection is not None and not loaded.cells.shows_selected(style, states)
            return Drawn(loaded.asked, loaded.cells, {**pack(drawn), "labels": labels}, drawn.n_visible, lacks)

        is_fresh = self.drawn is None or self.drawn.cells is not loaded.cells
        self._drawing.submit(job, priority="urgent" if is_fresh else "normal")
        if self._session.labelled and not can_label:
            self._naming.submit(lambda progress: compiling.wait("labels", partial(progress, 0.0)), long=True)

    def send_colors(self) -> None:
        """Send the colours, for which no cell has to be drawn anew."""
        if self.loaded is not None:
            self._send({"type": "colors", **self.colors(self.loaded.cells)})

    def clear(self) -> None:
        """Take the picture away: it means nothing on new axes."""
        self._n_sent += 1
        self._send({"type": "clear", "number": self._n_sent})

    def send_view(self) -> None:
        """Tell the browser what is in view."""
        if self.is_ready:
            self._send({"type": "view", "view": list(self._plot.ends), "number": self._plot.n_set})

    def close(self) -> None:
        """Draw nothing more."""
        self._drawing.cancel()
        self._naming.cancel()

    def _show(self, drawn: Drawn) -> None:
        loaded = self.loaded
        if loaded is None or (drawn.asked, drawn.cells.scale) != (loaded.asked, loaded.cells.scale):
            return  # the colours that go with it are no longer those on the screen
        self._n_sent += 1
        self.drawn = replace(drawn, message={})
        self._send({**drawn.message, "number": self._n_sent, **self.colors(drawn.cells)})
        if drawn.cells is loaded.cells:
            self._loader.go_on()
        datashading.prefetch()
        self.on_drawn(loaded, self.drawn)


def pack(drawn: Picture | Dots) -> dict[str, Any]:
    """Return what the browser is sent of drawn cells; its script `cells_layer.js` says how it is read."""
    if isinstance(drawn, Dots):
        parts = [drawn.points, drawn.codes, drawn.faded]
        about: dict[str, Any] = {
            "type": "dots",
            "area": list(map(float, drawn.area)),
            "n": len(drawn.codes),
            "some": len(drawn.faded) > 0,
            "radius": drawn.radius,
        }
    else:
        mixed = drawn.mixture is not None
        parts = [drawn.alpha, drawn.mixture if mixed else drawn.codes]
        height, width = drawn.alpha.shape
        about = {
            "type": "picture",
            "viewport": list(map(float, drawn.viewport)),
            "width": width,
            "height": height,
            "mixed": mixed,
        }
    packed = b"".join(np.ascontiguousarray(part).tobytes() for part in parts)
    return {**about, "bytes": bytes(deflate.zlib_compress(packed, LEVEL))}
