"""A picture as a file: what is on the screen, drawn as finely as a figure is printed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol

from cellasso.color.coloring import MISSING_CODE, Categories, Values
from cellasso.raster.draw import Dots, draw
from cellasso.raster.style import Canvas
from cellasso_app.figures.design import ColorBar, Design, Label, Legend, Row
from cellasso_app.figures.figure import render
from cellasso_app.render.legend import missing_label
from cellasso_app.render.tissue_image import over
from cellasso_app.runtime.jobs import LatestJob

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from cellasso.core.progress import Progress
    from cellasso.points.point_index import Viewport
    from cellasso.raster.style import Style
    from cellasso_app.state.session import Session
    from cellasso_app.views.embedding.component import PlotBar
    from cellasso_app.views.embedding.figure import EmbeddingPlot
    from cellasso_app.views.embedding.loaded import Loaded
    from cellasso_app.views.embedding.renderer import Renderer
    from cellasso_app.views.embedding.states import Shown

FIGURE_WIDTH = 4.5
"""Of a figure's picture, in inches: between one and two columns of a journal."""

MAX_ASPECT = 4
"""Height of a figure by its width: a browser may claim any size of its window, and a figure has up to 4,000 columns."""

NOT_EXACT = "The picture is not exact yet; save it in a moment."
TOO_NARROW = "This view is too narrow for a figure; make it wider."


class HasPainter(Protocol):
    """Something that lies under the cells."""

    def painter(self) -> Callable[[Viewport, Canvas, Progress], NDArray[np.uint8]] | None:
        """Return what draws it as it is chosen now, `(height, width, 4)` RGBA; `None`: there is nothing."""


class FigureSaver:
    """Makes a file of a view's picture and hands it to the browser.

    Parameters
    ----------
    session, plot, renderer
        Whose picture it is.
    bar
        Shows that it is being made.
    under
        What lies under the cells, the lowest first.
    send
        Called with the message that hands the file over.
    on_refused
        Called with a sentence when none can be made now.
    on_failed
        Called with a sentence when it cannot be made.
    """

    def __init__(
        self,
        session: Session,
        plot: EmbeddingPlot,
        renderer: Renderer,
        bar: PlotBar,
        *,
        under: Sequence[HasPainter],
        send: Callable[[dict[str, Any]], None],
        on_refused: Callable[[str], None],
        on_failed: Callable[[str], None],
    ) -> None:
        self._session = session
        self._plot = plot
        self._renderer = renderer
        self._bar = bar
        self._under = under
        self._send = send
        self._on_refused = on_refused
        self._saving: LatestJob[dict[str, Any]] = LatestJob(self._hand_over, on_failed)

    def save(self, file_format: Literal["png", "svg"], dpi: int) -> None:
        """Begin to make a file, if there is a picture; say why where none can be made now."""
        loaded, screen = self._renderer.loaded, self._plot.canvas(1.0)
        if loaded is None or screen is None or not loaded.asked.axes:
            return
        if not loaded.complete:
            self._on_refused(NOT_EXACT)
        elif screen.height > MAX_ASPECT * screen.width:
            self._on_refused(TOO_NARROW)
        else:
            self._bar.param.update(busy=True, fraction=0.0)
            self._saving.submit(self._job(loaded, screen, file_format, dpi), long=True)

    def close(self) -> None:
        """Make no file any more."""
        self._saving.cancel()

    def _job(
        self, loaded: Loaded, screen: Canvas, file_format: Literal["png", "svg"], dpi: int
    ) -> Callable[[Progress], dict[str, Any]]:
        renderer = self._renderer
        viewport, ends, names = self._plot.viewport, self._plot.ends, axis_names(self._session, loaded)
        style, colors = renderer.style(loaded.cells), renderer.colors(loaded.cells)["colors"]
        painters = [paint for each in self._under if (paint := each.painter()) is not None]
        look, labelled, file_name = renderer.looker(loaded), self._session.labelled, self._file_name(loaded, names)

        def job(progress: Progress) -> dict[str, Any]:
            states, shown = look(progress)
            design = design_figure(loaded, shown, screen, style, names, colors=colors, labelled=labelled, dpi=dpi)
            width, height = design.pixels
            canvas = Canvas(width, height, width / screen.width, screen.dark)
            picture = draw(loaded.cells, viewport, canvas, style, states, dots=False)
            if isinstance(picture, Dots):
                raise TypeError("a figure is a picture")
            pixels = picture.rgba(colors)
            for paint in reversed(painters):
                pixels = over(pixels, paint(viewport, canvas, progress))
            content = render(pixels if ends == viewport else pixels[::-1], ends, design, file_format)
            return {"type": "file", "name": f"{file_name}.{file_format}", "bytes": content}

        return job

    def _hand_over(self, message: dict[str, Any]) -> None:
        self._bar.busy = False
        self._send(message)

    def _file_name(self, loaded: Loaded, names: tuple[str, str]) -> str:
        coloring = loaded.cells.coloring
        parts = [self._session.dataset.file_path.stem, *names[:1], coloring and coloring.name]
        return "_".join("".join(c if c.isalnum() else "-" for c in part) for part in parts if part)[:120]


def axis_names(session: Session, loaded: Loaded) -> tuple[str, str]:
    """Return what the axes of a picture are called."""
    axes = loaded.asked.axes
    if axes.pair is not None:
        first, second = map(session.label_of, axes.pair)
    elif axes.embedding:
        first, second = (session.dataset.dim_name(axes.embedding, dim) for dim in axes.dims)
    else:
        first, second = "", ""
    return axes.names((first, second))


def design_figure(
    loaded: Loaded,
    shown: Shown | None,
    canvas: Canvas,
    style: Style,
    names: tuple[str, str],
    *,
    colors: list[str],
    labelled: bool,
    dpi: int,
) -> Design:
    """Return all of a figure but the picture, of what a screen of the size of `canvas` shows.

    Parameters
    ----------
    shown
        What is seen of the categories, if they colour the cells: legend and names tell of no others.
    names
        Of the axes.
    colors
        The `color_table` of the picture.
    """
    coloring, ramp = loaded.cells.coloring, loaded.cells.ramp
    key: Legend | ColorBar | None = None
    labels: tuple[Label, ...] = ()
    if isinstance(coloring, Categories) and shown is not None:
        codes, counts = shown.codes(style), shown.counts
        rows = [Row(coloring.labels[code], colors[code], int(counts[code])) for code in codes]
        if shown.n_missing and MISSING_CODE not in style.hidden:
            rows.append(Row(missing_label(coloring), colors[MISSING_CODE], shown.n_missing))
        key = Legend(tuple(rows), coloring.name)
        if labelled and shown.middles is not None:
            middles = [(code, *shown.middles[code].tolist()) for code in codes]
            labels = tuple(Label(coloring.labels[i], x, y, float(counts[i])) for i, x, y in middles)
    elif isinstance(coloring, Values) and ramp is not None:
        clipped = bool(coloring.ends) and ramp.high < coloring.ends[100.0][1]
        title = f"{coloring.name} ({coloring.source})" if coloring.source else coloring.name
        key = ColorBar(tuple(colors[:MISSING_CODE]), ramp, title, clipped=clipped)
    return Design(
        width=FIGURE_WIDTH,
        height=FIGURE_WIDTH * canvas.height / canvas.width,
        dpi=dpi,
        axis_names=names,
        axes="ticks" if loaded.asked.axes.have_ticks else "glyph",
        key=key,
        labels=labels,
        dark=canvas.dark,
    )
