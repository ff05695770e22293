"""The embedding and its colours: reads what is chosen, draws it off the event loop, shows it with its legend."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import panel as pn

from cellasso.color.coloring import Categories, Values
from cellasso.color.palettes import Scale, color_table
from cellasso.points.point_index import Viewport
from cellasso.raster.draw import Canvas, Cells, Dots, Style, draw
from cellasso_app.figures.sheet import render
from cellasso_app.render import compiling
from cellasso_app.render.cell_values import page_name, without_matrix
from cellasso_app.render.coloring_cache import kept_colors
from cellasso_app.render.legend import codes_of
from cellasso_app.runtime.jobs import Lane, Turns, when_live
from cellasso_app.state.axes import Axes
from cellasso_app.state.drawing_options import SAID, offered
from cellasso_app.ui.components import CellsLayer, CellsPanel, PlotBar, StatusLine
from cellasso_app.views.embedding.choices import Choices
from cellasso_app.views.embedding.figure import EmbeddingPlot
from cellasso_app.views.embedding.loader import Asked, Loaded, load, n_cells, rescaled
from cellasso_app.views.embedding.picking import Picking
from cellasso_app.views.embedding.renderer import (
    Filter,
    States,
    a_name_moves,
    describe_cell,
    design_figure,
    filter_of,
    name_categories,
    pack,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from cellasso.core.progress import Progress
    from cellasso.model.vector import Vector
    from cellasso.selection.recipe import Operation
    from cellasso_app.runtime.jobs import Reports
    from cellasso_app.state.session import Session

NO_EMBEDDING = (
    "This file has no embedding to draw: obsm holds no array of two or more columns with a row per cell."
    " Select by category on the left."
)


MAX_CORNERS = 10_000
"""Of a polygon from the browser; a stroke that is longer than a screen's edge has some hundreds."""

MAX_ASPECT = 4
"""Height of a figure by its width: a browser may claim any size of its window, and a figure has up to 4,000 columns."""


class _Choice(NamedTuple):
    """What of a session's choices is one view's own."""

    embedding: str
    dims: tuple[int, int]
    pair: tuple[Vector, Vector] | None
    color: Vector | None


@dataclass(frozen=True)
class _Drawn:
    """What a drawing job brings back."""

    asked: Asked
    cells: Cells
    message: dict[str, Any]
    n_visible: int
    lacks_selected: bool  # cells are selected, and none of them is drawn


class EmbeddingView:
    """A picture in the middle of the page; its legend on the left is that of the active view.

    Parameters
    ----------
    session
        Whose choices are shown; strokes and clicks on the legend select in it.
    number
        Which of the views side by side it is.
    cells_panel
        Where the legend is shown; a new one if there is none yet.
    picking
        Through which strokes and clicks select; that of the first view, for a further one.
    on_arrange
        Called with "add" or "remove" when another view beside this one, or this one no longer, is asked for.
    """

    def __init__(
        self,
        session: Session,
        number: int = 0,
        cells_panel: CellsPanel | None = None,
        *,
        picking: Picking | None = None,
        on_arrange: Callable[[str], None] | None = None,
    ) -> None:
        self._session = session
        self._on_arrange = on_arrange
        self.number = number
        self._operation: Operation = "replace"  # what the next stroke does with the selection there is
        self._choice = _chosen(session)
        self._loaded: Loaded | None = None
        self._complete: Loaded | None = None  # what was last read to its end
        self._drawn: _Drawn | None = None  # the newest picture
        self._states = States(session.dataset)
        self._told: dict[str, pd.Series] = {}  # columns that are told of under the pointer
        self._pixel_ratio = 1.0
        self._ready = False
        self._n_sent = 0
        self._under_way: Asked | None = None  # what is being read
        self._reading: Lane[Loaded] = Lane(self._show_loaded, self._fail, self._show_progress)
        self._finishing: Lane[Loaded] = Lane(self._show_loaded, self._fail, self._show_progress)
        self._drawing: Lane[_Drawn] = Lane(self._show_drawn, self._fail, finishes=True)
        self._naming: Lane[None] = Lane(lambda _: self._draw(), self._fail)
        self._pointing: Lane[dict[str, Any]] = Lane(self._tell, self._fail_turn)
        self._saving: Lane[dict[str, Any]] = Lane(self._hand_over, self._fail)
        self.picking = picking or Picking(session, Turns(self._fail_turn))
        self._choices = Choices(session, self.picking)
        name = f"view{number}"
        self.plot = EmbeddingPlot(name, dark=session.dark, on_view=self._set_view)
        self.layer = CellsLayer(
            on_message=self._on_message,
            on_refused=self._fail_turn,
            figure=name,
            sizing_mode="stretch_both",
            margin=0,
            styles={"position": "absolute", "inset": "0", "pointer-events": "none"},
        )
        self.bar = PlotBar(
            on_message=self._on_message,
            on_refused=self._fail_turn,
            figure=name,
            several=number > 0,
            sizing_mode="stretch_width",
            height=42,
            margin=0,
        )
        self.status = StatusLine(sizing_mode="stretch_width", height=26, margin=0, text=self._awaited())
        self.cells_panel = cells_panel or CellsPanel(
            on_message=self._on_message, on_refused=self._fail_turn, sizing_mode="stretch_both", margin=0
        )
        self.layout = self._lay_out()
        self._watched = [
            session.param.watch(
                self._read, ["embedding", "dims", "pair", "color", "matrix", "normalise", "as_categories"]
            ),
            session.param.watch(self._rescale, ["scales"]),
            session.param.watch(self._recolor, ["recolored"]),
            session.param.watch(self._filter, ["hidden"]),
            session.param.watch(lambda _: self._draw(), ["selection", "order", "dot_size", "labelled"]),
            session.param.watch(self._change_theme, ["dark"]),
            session.param.watch(self._turn, ["downward"]),
            session.param.watch(self._offer, ["order", "dot_size", "labelled", "downward", "hover_columns", "scales"]),
            session.param.watch(self._list_columns, ["modality", "matrix"]),
            session.param.watch(self._activate, ["active"]),
            session.param.watch(self._say, ["said", "active"]),
        ]
        self.has_begun = not number
        if not number:
            self._list_columns()
            when_live(self.start)

    def _lay_out(self) -> pn.Column:
        return pn.Column(
            self.bar,
            pn.Column(
                self.layer,
                pn.pane.Bokeh(
                    self.plot.figure,
                    sizing_mode="stretch_both",
                    margin=0,
                    styles={"position": "relative"},  # above the layer, so that what is being drawn lies on the cells
                ),
                sizing_mode="stretch_both",
                margin=0,
                styles={"position": "relative", "min-height": "0"},
            ),
            self.status,
            sizing_mode="stretch_both",
            margin=0,
            styles={"min-width": "0", "min-height": "0", "background": "var(--ground)"},
        )

    def start(self) -> None:
        """Begin to read; the page must be live, and have this view."""
        self.has_begun = True
        self._read()

    @property
    def is_active(self) -> bool:
        """Whether the session's choices are for this view."""
        return bool(self._session.active == self.number)

    def close(self) -> None:
        """Stop following the session: the view was taken off the page."""
        for watcher in self._watched:
            self._session.param.unwatch(watcher)
        for lane in (self._reading, self._finishing, self._drawing, self._pointing, self._saving):
            lane.cancel()

    def _activate(self, *_events: object) -> None:
        """Take the session's choices over, or leave them to another view."""
        if not self.is_active or not self.has_begun:
            return
        self._session.param.update(**self._choice._asdict())
        self._read()

    # -- reading --------------------------------------------------------------------------------------

    @property
    def _scale(self) -> Scale:
        color = self._choice.color
        return self._session.scales.get(color, Scale()) if color is not None else Scale()

    def _asked(self) -> Asked:
        session = self._session
        if self.is_active:
            self._choice = _chosen(session)
        embedding, dims, pair, color = self._choice
        read = (session.resolve(pair[0]), session.resolve(pair[1])) if pair is not None else None
        axes = Axes("", (0, 1), read) if read is not None else Axes(embedding, dims)
        return Asked(axes, session.resolve_color(color) if color is not None else None)

    def _read(self, *_events: object) -> None:
        if not self.has_begun:
            return
        before, asked = self._complete, self._asked()
        self._list_axes()
        if before is not None and asked == before.asked:  # back to what is on the screen
            self._stop_reading()
            self._show_loaded(before)
            return
        self._settle(done=False)
        if asked != self._under_way:
            self._begin(asked)
        color = asked.color.vector if asked.color is not None else None
        active = page_name(color) if color is not None and color.kind != "gene" else ""
        self.bar.param.update(busy=True, fraction=0.0)
        if self.is_active:
            self.cells_panel.param.update(active=active, legend=None, busy=bool(active), message="")

    def _begin(self, asked: Asked) -> None:
        self._stop_reading()
        dataset, scale, shown = self._session.dataset, self._scale, self._loaded
        plane = shown.plane if shown is not None and shown.asked.axes == asked.axes else None

        def job(reports: Reports[Loaded]) -> Loaded:
            return load(dataset, asked, scale, plane, reports)

        self._under_way = asked
        read = [*(asked.axes.pair or ())]
        if asked.color is not None and kept_colors(dataset).get(asked.color) is None:
            read.append(asked.color.vector)
        self._reading.submit(job, long=any(map(self._session.needs_scan, read)))

    def _stop_reading(self) -> None:
        """Drop what is being read, and what was to follow."""
        self._under_way = None
        self._reading.cancel()
        self._finishing.cancel()
        if self._loaded is not None:
            self._loaded = replace(self._loaded, rest=None)

    def _rescale(self, *_events: object) -> None:
        """Put the values that are on the screen on another scale; nothing is read for it."""
        before, scale = self._complete, self._scale
        if before is None or before.cells.scale == scale or self._under_way is not None:
            return
        if not isinstance(before.cells.coloring, Values):
            return
        self._reading.submit(lambda _: rescaled(before, scale))

    def _show_loaded(self, loaded: Loaded) -> None:
        asked, before = loaded.asked, self._loaded
        moved = before is None or before.asked.axes != asked.axes
        self._loaded = loaded
        if loaded.complete:
            self._complete, self._under_way = loaded, None
        if before is not None and not moved and self._looks_new(before, loaded):
            self._draw()  # beside what follows
        elif self._drawn is not None and self._drawn.cells is loaded.cells:
            self._show_status(loaded, self._drawn)
        elif loaded.complete and not asked.axes:  # nothing is drawn
            self._settle()
        coloring = loaded.cells.coloring
        self.bar.param.update(
            busy=not loaded.complete,
            color=self._session.label(coloring.name) if coloring is not None else "",
            color_source=coloring.source if isinstance(coloring, Values) else "",
            drawing=self._options(),
        )
        self.layer.column = self._legend_column
        self._show_legend()
        self._show_scale(loaded)
        if moved:
            self._n_sent += 1
            self.layer.send({"type": "clear", "number": self._n_sent})  # the old picture means nothing on the new axes
            names = self._axis_names(loaded)
            self.plot.set_bounds(loaded.plane.bounds, asked.axes, names, downward=self._is_downward)
        if not asked.axes:
            n_obs = loaded.plane.n_obs
            self.status.param.update(text=n_cells(n_obs), warning=loaded.problem or NO_EMBEDDING)
        if loaded.complete:
            self._rescale()  # what was chosen meanwhile

    def _looks_new(self, before: Loaded, loaded: Loaded) -> bool:
        """Whether the picture changes, and not the legend alone."""
        if loaded.cells is not before.cells:
            return True
        canvas = self.plot.canvas(1.0)
        moves = canvas is not None and a_name_moves(before, loaded, self.plot.viewport, canvas)
        return moves and self._session.labelled

    @property
    def _legend_column(self) -> str:
        return self._loaded.legend_column if self._loaded is not None else ""

    def _show_legend(self) -> None:
        loaded = self._loaded
        if loaded is None or not self.is_active:
            return
        column = self._legend_column
        self.cells_panel.param.update(
            active=column,
            legend=loaded.legend,
            busy=False,
            message=loaded.problem,
            hidden=_listed(self._session.hidden),
            colors=dict(self._session.recolored.get(column, {})),
        )

    def _show_scale(self, loaded: Loaded) -> None:
        """Show a colour bar for values, none otherwise."""
        coloring, scale = loaded.cells.coloring, loaded.cells.scale
        if not isinstance(coloring, Values) or not loaded.asked.axes:
            self.layer.scale = {}
            return
        colors = scale.colors(dark=self._session.dark)
        self.layer.scale = {
            "title": self._session.label(coloring.name),
            "colors": list(colors[:: len(colors) // 16]),
            "ticks": scale.ticks(*scale.limits(coloring)),
        }

    def _show_progress(self, fraction: float) -> None:
        self.bar.fraction = fraction

    def _settle(self, *, done: bool = True) -> None:
        """Tell the session whether its choices are on the screen, or are not going to be."""
        if self.is_active:
            self._session.settled = done

    def _fail(self, sentence: str) -> None:
        self._stop_reading()
        self._settle()
        self._stay()
        self.status.warning = sentence

    def _fail_turn(self, sentence: str) -> None:
        self.status.warning = sentence

    def _say(self, *_events: object) -> None:
        """Say where the hand is why its last step changed nothing."""
        self.status.said = self._session.said if self.is_active else ""

    def _stay(self) -> None:
        """Choose again what is on the screen: what was chosen instead cannot be had, or was cancelled."""
        self.bar.busy = False
        session, shown = self._session, self._complete
        if self.is_active:
            self.cells_panel.busy = False
        if shown is None:
            if self.is_active:
                self.cells_panel.param.update(active="", legend=None)
            return
        (embedding, dims, pair), color = shown.asked.axes, shown.asked.color
        choice = _Choice(
            embedding or self._choice.embedding,
            dims,
            (without_matrix(pair[0]), without_matrix(pair[1])) if pair is not None else None,
            without_matrix(color.vector) if color is not None else None,
        )
        self._choice = choice
        if self.is_active:
            changes: dict[str, Any] = choice._asdict()
            if color is not None and color.vector.layer is not None:
                changes["matrix"] = color.vector.layer
            if color is not None and color.vector.kind == "obs":
                name = page_name(color.vector)
                others = session.as_categories - {name}
                changes["as_categories"] = others | ({name} if color.as_categories else set())
            session.param.update(**changes)
        self._read()  # also where nothing of the choice had changed: the panels are then set back

    # -- drawing --------------------------------------------------------------------------------------

    @property
    def _coloring_kind(self) -> type | None:
        return self._loaded.coloring_kind if self._loaded is not None else None

    def _style(self, cells: Cells) -> Style:
        session, coloring = self._session, cells.coloring
        hidden = session.hidden.get(self._legend_column, frozenset())
        codes = codes_of(coloring, hidden) if isinstance(coloring, Categories) else frozenset()
        order = session.order.get(type(coloring).__name__, "random" if isinstance(coloring, Categories) else "high")
        chosen = session.recolored.get(self._legend_column, {})
        return Style(session.dot_size, order, codes, session.selection is not None, chosen)

    def _others(self) -> Filter:
        """Return what is hidden by other columns than the one whose legend is shown."""
        own = self._legend_column if self._coloring_kind is Categories else None
        return filter_of(self._session, except_for=own)

    def _draw(self) -> None:
        loaded, canvas = self._loaded, self.plot.canvas(self._pixel_ratio)
        if loaded is None:
            return
        if canvas is None or not self._ready or not loaded.asked.axes:
            self._settle()
            self._go_on()
            return
        viewport, selection = self.plot.viewport, self._session.selection
        style, others = self._style(loaded.cells), self._others()
        # a picture need not wait for what places its names
        has_few = len(loaded.labels) <= compiling.FEW_NAMES
        can_label = compiling.is_done("labels", len(loaded.plane) if has_few else None)
        labelled = self._session.labelled and can_label

        def job(progress: Progress) -> _Drawn:
            states = self._states.of(loaded.cells.plane, selection, others, progress=progress)
            drawn = draw(loaded.cells, viewport, canvas, style, states)
            shown = self._states.shown(loaded, others, progress=progress) if labelled else None
            labels = name_categories(loaded, shown, viewport, canvas, style)
            message = {**pack(drawn), "labels": labels}
            lacks = selection is not None and not loaded.cells.shows_selected(style, states)
            return _Drawn(loaded.asked, loaded.cells, message, drawn.n_visible, lacks)

        self._drawing.submit(job)
        if self._session.labelled and not can_label:
            self._naming.submit(lambda progress: compiling.wait("labels", partial(progress, 0.0)), long=True)

    def _go_on(self) -> None:
        """Begin with the rest once what is there has been drawn, or is not going to be."""
        loaded = self._loaded
        if loaded is not None and loaded.rest is not None:
            self._loaded = replace(loaded, rest=None)
            color = loaded.asked.color
            scans = loaded.is_coarse and color is not None and self._session.needs_scan(color.vector)
            self._finishing.submit(loaded.rest, long=scans)

    def _awaited(self) -> str:
        """Return what a page waits for that has no picture yet."""
        if compiling.is_done("dots", self._session.dataset.n_obs):
            return ""
        return "The first start on this machine compiles what draws the cells…"

    def _set_view(self) -> None:
        self._session.said = ""
        if self._ready:
            self.layer.send({"type": "view", "view": list(self.plot.ends), "number": self.plot.n_set})
        self._draw()

    def _move(self, viewport: Viewport, number: int) -> None:
        x_low, x_high, y_low, y_high = viewport
        if x_low < x_high and y_low < y_high and self.plot.moved(viewport, number):
            self._session.said = ""
            self._draw()

    def _show_drawn(self, drawn: _Drawn) -> None:
        loaded = self._loaded
        if loaded is None or (drawn.asked, drawn.cells.scale) != (loaded.asked, loaded.cells.scale):
            return  # the colours that go with it are no longer those on the screen
        self._n_sent += 1
        self._drawn = replace(drawn, message={})
        self.layer.send({**drawn.message, "number": self._n_sent, **self._colors(drawn.cells)})
        if drawn.cells is loaded.cells:
            self._go_on()
        self._show_status(loaded, drawn)

    def _show_status(self, loaded: Loaded, drawn: _Drawn) -> None:
        coloring = loaded.cells.coloring
        is_sample = drawn.cells.plane.step > 1
        parts = [f"{'a sample of ' if is_sample else ''}{n_cells(drawn.n_visible)} in view"]
        parts.append("sharpening…" if is_sample or loaded.read < 1 else "exact")
        if coloring is not None:
            parts.append(SAID[loaded.cells.order(self._style(loaded.cells).order)])
        if drawn.lacks_selected:
            parts.insert(1, "no selected cell is shown here")
        if isinstance(coloring, Values):
            scale = loaded.cells.scale
            if coloring.ends and scale.limits(coloring) != scale.limits_of(coloring.ends[100.0]):
                parts.append(f"colours end at the {scale.clip:g}th percentile")
            if scale.log:
                parts.append("log scale")
        unread = f"{loaded.read:.0%} of the cells are read; the others have no colour yet" if loaded.read < 1 else ""
        self.status.text = " · ".join(parts)
        self.status.warning = loaded.problem or unread or loaded.notes
        if loaded.complete and not is_sample:
            self._settle()

    def _colors(self, cells: Cells) -> dict[str, Any]:
        chosen = self._session.recolored.get(self._legend_column, {})
        colors = color_table(cells.coloring, cells.scale, dark=self._session.dark, chosen=chosen)
        return {"colors": colors, "hidden": sorted(self._style(cells).hidden)}

    def _recolor(self, *_events: object) -> None:
        """Change colours where no cell has to be drawn anew for it."""
        self._send_colors()
        cells = self._loaded.cells if self._loaded is not None else None
        if cells is not None and cells.order(self._style(cells).order) == "mixed":
            self._draw()

    def _filter(self, *_events: object) -> None:
        """Hide at once what the colours can hide; what lies below is seen when it is drawn."""
        self._send_colors()
        self._draw()

    def _send_colors(self) -> None:
        if self._loaded is not None:
            self.layer.send({"type": "colors", **self._colors(self._loaded.cells)})
            self._show_legend()

    @property
    def _is_in_space(self) -> bool:
        return self._loaded is not None and self._loaded.asked.axes.in_space

    @property
    def _is_downward(self) -> bool:
        """Whether y runs down: where places in a tissue are shown, unless the user says otherwise."""
        return self._is_in_space and bool(self._session.downward)

    def _turn(self, *_events: object) -> None:
        self.plot.turn(downward=self._is_downward)

    def _change_theme(self, *_events: object) -> None:
        self.plot.set_theme(dark=self._session.dark)
        if self._loaded is not None:
            self._show_scale(self._loaded)
        self._recolor()

    # -- the cell under the pointer -----------------------------------------------------------------------

    def _point(self, x: float, y: float, reach: tuple[float, float], number: int) -> None:
        loaded, session = self._loaded, self._session
        if loaded is None or not loaded.asked.axes:
            return
        style, others, selection = self._style(loaded.cells), self._others(), session.selection
        told, dataset = self._told, session.dataset
        columns = [name for name in session.hover_columns if name != self._legend_column]

        def job(progress: Progress) -> dict[str, Any]:
            cells = loaded.cells
            states = self._states.of(cells.plane, selection, others, progress=progress)
            allowed = cells.shown(style, states)
            found = cells.plane.nearest(x, y, reach, allowed)
            if found is None:
                return {"type": "tip", "number": number}
            for name in columns:
                if name not in told:
                    told[name] = dataset.read_obs(name)
            more = {name: told[name] for name in columns}
            return {"type": "tip", "number": number, **describe_cell(dataset, cells, found, more)}

        self._pointing.submit(job)

    # -- figures ------------------------------------------------------------------------------------------

    def _save_figure(self, file_format: Literal["png", "svg"], dpi: int) -> None:
        """Draw what is on the screen as finely as a figure is printed, and hand it to the browser as a file."""
        loaded, screen, session = self._loaded, self.plot.canvas(1.0), self._session
        if loaded is None or screen is None or not loaded.asked.axes:
            return
        if not loaded.complete:
            self._fail_turn("The picture is not exact yet; save it in a moment.")
            return
        if screen.height > MAX_ASPECT * screen.width:
            self._fail_turn("This view is too narrow for a figure; make it wider.")
            return
        viewport, ends, selection = self.plot.viewport, self.plot.ends, session.selection
        style, others, colors = self._style(loaded.cells), self._others(), self._colors(loaded.cells)["colors"]
        axis_names, labelled = self._axis_names(loaded), session.labelled
        parts = [
            session.dataset.file_path.stem,
            *axis_names[:1],
            loaded.cells.coloring and loaded.cells.coloring.name,
        ]
        name = "_".join("".join(c if c.isalnum() else "-" for c in part) for part in parts if part)[:120]

        def job(progress: Progress) -> dict[str, Any]:
            states = self._states.of(loaded.cells.plane, selection, others, progress=progress)
            shown = self._states.shown(loaded, others, progress=progress)
            design = design_figure(loaded, shown, screen, style, axis_names, colors=colors, labelled=labelled, dpi=dpi)
            width, height = design.pixels
            canvas = Canvas(width, height, width / screen.width, screen.dark)
            picture = draw(loaded.cells, viewport, canvas, style, states, dots=False)
            if isinstance(picture, Dots):
                raise TypeError("a figure is a picture")
            pixels = picture.rgba(colors)
            content = render(pixels if ends == viewport else pixels[::-1], ends, design, file_format)
            return {"type": "file", "name": f"{name}.{file_format}", "bytes": content}

        self.bar.param.update(busy=True, fraction=0.0)
        self._saving.submit(job, long=True)

    def _hand_over(self, message: dict[str, Any]) -> None:
        self.bar.busy = False
        self.layer.send(message)

    def _axis_names(self, loaded: Loaded) -> tuple[str, str]:
        session, axes = self._session, loaded.asked.axes
        if axes.pair is not None:
            first, second = (session.label(page_name(vector)) for vector in axes.pair)
        elif axes.embedding:
            first, second = (session.dataset.dim_name(axes.embedding, dim) for dim in axes.dims)
        else:
            first, second = "", ""
        return axes.names((first, second))

    def _tell(self, message: dict[str, Any]) -> None:
        self.layer.send(message)

    # -- what the user does -----------------------------------------------------------------------------

    def receive(self, message: dict[str, Any]) -> None:
        """Do what the browser asks of this view."""
        self._on_message(message)

    def _on_message(self, message: dict[str, Any]) -> None:  # noqa: PLR0912 - one case a message
        """Do what the browser tells of the picture itself; the rest are choices."""
        match message:
            case {"type": "ready", "pixel_ratio": float(ratio) | int(ratio)} if 0 < ratio <= 16:
                self._pixel_ratio, self._ready = float(ratio), True
                if self.has_begun or self._on_arrange is None:
                    self._set_view()
                else:
                    self._on_arrange("ready")
            case {"type": "moved", "view": list(ends), "number": int(n)} if len(ends) == 4 and _finite(ends):
                x_low, x_high, one, other = map(float, ends)
                self._move(Viewport(x_low, x_high, min(one, other), max(one, other)), n)
            case {"type": "point", "at": list(at), "number": int(n)} if len(at) == 4 and _finite(at):
                x, y, reach_x, reach_y = (float(each) for each in at)
                self._point(x, y, (abs(reach_x) or 1.0, abs(reach_y) or 1.0), n)
            case {"type": "operation", "operation": "replace" | "add" | "subtract" | "intersect" as operation}:
                self._operation = operation
            case {"type": "add" | "remove" as what}:
                if self._on_arrange is not None:
                    self._on_arrange(what)
            case {"type": "polygon", "polygon": list(corners)} if all(
                isinstance(corner, list) and len(corner) == 2 and _finite(corner) for corner in corners
            ):
                self._select_inside([(float(x), float(y)) for x, y in corners])
            case {"type": "too_long", "corners": int(n)}:  # the page keeps such a stroke to itself
                self._fail_turn(_too_many(n))
            case {"type": "fit"}:
                self.plot.fit()
            case {"type": "zoom", "factor": float(factor) | int(factor)} if 0.01 <= factor <= 100:
                self.plot.zoom(factor)
            case {"type": "figure", "format": "png" | "svg" as file_format, "dpi": 150 | 300 | 600 as dpi}:
                self._save_figure(file_format, dpi)
            case {"type": "clear"}:
                self.picking.in_turn(self._session.clear)
            case {"type": "cancel"}:
                self._cancel()
            case _:
                if not self.is_active:
                    self._session.active = self.number
                self._choices.take(message, self._loaded, self._choice.color)

    def _offer(self, *_events: object) -> None:
        """Show how cells are drawn, whichever view it was chosen in."""
        self.bar.drawing = self._options()

    def _options(self) -> dict[str, Any]:
        loaded = self._loaded
        order = loaded.cells.order(self._style(loaded.cells).order) if loaded is not None else ""
        return offered(self._session, self._coloring_kind, self._scale, order, in_space=self._is_in_space)

    def _list_axes(self) -> None:
        session = self._session
        pair = self._choice.pair
        self.bar.param.update(
            embeddings=list(session.dataset.embeddings),
            embedding=self._choice.embedding,
            dims_offered=self._dims_offered(self._choice.embedding),
            dims=list(self._choice.dims),
            numbers=[c["name"] for c in session.columns() if c["kind"] == "number"] + session.cell_sums(),
            pair=[session.label(page_name(vector)) for vector in pair] if pair is not None else [],
        )

    def _dims_offered(self, embedding: str) -> list[dict[str, Any]]:
        session = self._session
        return [{"value": d, "label": session.dataset.dim_name(embedding, d)} for d in session.dims_of(embedding)]

    def _cancel(self) -> None:
        """Stop reading and stay with the picture that is on the screen."""
        self._stop_reading()
        self._settle()
        self._stay()

    def _select_inside(self, polygon: list[tuple[float, float]]) -> None:
        loaded = self._loaded
        if loaded is None or not loaded.asked.axes or len(polygon) < 3:
            return
        if len(polygon) > MAX_CORNERS:
            self._fail_turn(_too_many(len(polygon)))
            return
        if not self.is_active:
            self._session.active = self.number
        self.picking.inside(loaded.plane, loaded.asked.axes, polygon, self._operation)

    def _list_columns(self, *_events: object) -> None:
        known = self._session.columns()
        names = {column["name"] for column in known}
        sums = [{"name": name, "kind": "sum"} for name in self._session.cell_sums() if name not in names]
        self.cells_panel.columns = known + sums


def _too_many(n: int) -> str:
    return (
        f"This stroke has {n:,} corners; at most {MAX_CORNERS:,} are taken. Draw it in parts: Shift adds to what is"
        " selected."
    )


def _finite(numbers: list[Any]) -> bool:
    """Whether all that a browser sent are numbers that can be reckoned with."""
    return all(isinstance(number, (int, float)) and abs(number) < 1e300 for number in numbers)


def _chosen(session: Session) -> _Choice:
    return _Choice(session.embedding, session.dims, session.pair, session.color)


def _listed(hidden: dict[str, frozenset[str]]) -> dict[str, list[str]]:
    """Return the same as plain values, for the browser."""
    return {column: sorted(labels) for column, labels in hidden.items()}
