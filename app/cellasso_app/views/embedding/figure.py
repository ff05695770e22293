"""The embedding on the screen: a Bokeh figure with ranges, axes and tools, over the layer that shows the cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from bokeh.io import curdoc
from bokeh.models import BoxSelectTool, LassoSelectTool, PanTool, PolySelectTool, Range1d, WheelZoomTool
from bokeh.models.annotations.arrows import Arrow, NormalHead
from bokeh.models.annotations.labels import Label
from bokeh.plotting import figure

from cellasso.points.point_index import Viewport
from cellasso.raster.style import Canvas
from cellasso_app.runtime.document_loop import batched_updates
from cellasso_app.ui.theme import FONT, INKS, NO_OUTLINE

if TYPE_CHECKING:
    from collections.abc import Callable

    from bokeh.models.renderers import DataRenderer

    from cellasso_app.state.axes import Axes

MARGIN = 0.04
"""Free space around all cells, as a part of the view."""

MAX_SIDE = 4096
"""Pixels of a picture's side at most, whatever a browser claims its window to be."""


class Still(TypedDict):
    """What tools that draw a stroke have in common: they tell of it at its end, pick nothing, and leave no trace."""

    continuous: bool
    renderers: list[DataRenderer]
    persistent: bool


class EmbeddingPlot:
    """The figure, kept for the life of a session; only its ranges and marks change.

    Parameters
    ----------
    name
        Of the figure; those of its tools begin with it.
    dark
        Whether the page is.
    on_view
        Called when another part is to be made visible, or the size of the figure changed. The layer sets the figure's
        ranges in the browser, and what it moves there comes through `moved`: Bokeh tells of a turned wheel half a
        second later, of a drag at its end.
        What is drawn with its tools comes through the layer, too.
    """

    def __init__(self, name: str, *, dark: bool, on_view: Callable[[], None]) -> None:
        self.name = name
        self._on_view = on_view
        self._bounds = self._viewport = Viewport(0.0, 1.0, 0.0, 1.0)
        self._dark = dark
        self._size = {"inner_width": 0, "inner_height": 0}  # pixels of the screen
        self._equal = True
        self._fits = True  # all cells are shown, also when the figure's size changes
        self._downward = False
        self.n_set = 0  # views that were set here, not by the browser
        still = Still(continuous=False, renderers=[], persistent=False)
        self._lasso = LassoSelectTool(name=f"{name}-tool-lasso", **still)
        self._box = BoxSelectTool(name=f"{name}-tool-box", **still)
        self._polygon = PolySelectTool(name=f"{name}-tool-polygon", **still)
        self.figure = self._make_figure()
        self._arrows, self._labels = self._make_axis_glyph()
        self.set_theme(dark=dark)

    # -- what the session asks for ------------------------------------------------------------------

    @property
    def viewport(self) -> Viewport:
        """What is visible now."""
        return self._viewport

    @property
    def ends(self) -> Viewport:
        """The same as it lies on the screen: where y runs down, its lower end is the greater one."""
        view = self._viewport
        return view._replace(y_low=view.y_high, y_high=view.y_low) if self._downward else view

    def turn(self, *, downward: bool) -> None:
        """Let y run up or down."""
        if downward != self._downward:
            self._downward = downward
            self.n_set += 1
            self._on_view()

    def moved(self, viewport: Viewport, number: int) -> bool:
        """Take over where the browser has moved the view; say whether it is elsewhere now.

        `number` is that of the last view which was set here and which the browser knew of then.
        """
        if number != self.n_set or viewport == self._viewport:
            return False
        self._viewport, self._fits = viewport, False
        return True

    def canvas(self, pixel_ratio: float) -> Canvas | None:
        """Return the size to draw at; `None` until the browser has laid the figure out."""
        width, height = self._size["inner_width"], self._size["inner_height"]
        if width < 2 or height < 2:
            return None
        ratio = min(max(pixel_ratio, 1.0), 3.0, MAX_SIDE / max(width, height))
        return Canvas(max(2, int(width * ratio)), max(2, int(height * ratio)), ratio, self._dark)

    def set_bounds(self, bounds: Viewport, axes: Axes, names: tuple[str, str], *, downward: bool = False) -> None:
        """Set what "all cells" is, name the axes, say whether y runs down, and fit the view."""
        self._bounds, self._equal, self._downward = bounds, axes.equal, downward
        ticks = axes.have_ticks
        for label, name in zip(self._labels, names, strict=True):
            label.text = name
        for mark in (*(arrow for arrow, _ in self._arrows), *self._labels):
            mark.visible = any(names) and not ticks
        for axis, name in zip((self.figure.xaxis[0], self.figure.yaxis[0]), names, strict=True):
            axis.update(visible=ticks, axis_label=name)
        # numbers of any length have room: else the picture would move aside when they grow
        top, right, left = (12, 20, 64) if ticks else (0, 0, 0)
        self.figure.update(min_border_top=top, min_border_right=right, min_border_left=left)
        self.fit()

    def fit(self) -> None:
        """Show all cells."""
        x_low, x_high, y_low, y_high = self._bounds
        margin = 1 / (1 - 2 * MARGIN)
        self._set_view((x_low + x_high) / 2, (y_low + y_high) / 2, (x_high - x_low) * margin, (y_high - y_low) * margin)
        self._fits = True

    def zoom(self, factor: float) -> None:
        """Show `factor` times the extent around the same middle."""
        x_low, x_high, y_low, y_high = self.viewport
        self._set_view((x_low + x_high) / 2, (y_low + y_high) / 2, (x_high - x_low) * factor, (y_high - y_low) * factor)

    def set_theme(self, *, dark: bool) -> None:
        """Colour axes and lasso for a light or a dark page."""
        self._dark = dark
        ink = INKS[dark]
        for arrow, head in self._arrows:
            arrow.update(line_color=ink.line)
            head.update(fill_color=ink.line, line_color=ink.line)
        for label in self._labels:
            label.text_color = ink.text
        for axis in self.figure.axis:
            axis.update(
                axis_line_color=ink.line,
                major_tick_line_color=ink.line,
                major_label_text_color=ink.text,
                axis_label_text_color=ink.text,
            )
        for tool in (self._lasso, self._box, self._polygon):
            tool.overlay.update(line_color=ink.accent, fill_color=ink.accent)

    # -- construction -------------------------------------------------------------------------------

    def _make_figure(self) -> figure:
        pan, wheel = PanTool(name=f"{self.name}-tool-pan"), WheelZoomTool(zoom_on_axis=False)
        plot = figure(  # type: ignore[call-arg] # its stub leaves out what only `figure` itself takes
            x_range=Range1d(start=0, end=1, syncable=False),  # the layer says where it is: a message, not three
            y_range=Range1d(start=0, end=1, syncable=False),
            tools=[pan, wheel, self._lasso, self._box, self._polygon],
            active_drag=pan,
            active_scroll=wheel,
            toolbar_location=None,
            sizing_mode="stretch_both",
            min_border=0,
            outline_line_color=None,
            background_fill_alpha=0,
            border_fill_alpha=0,
            stylesheets=[NO_OUTLINE],
            html_attributes={"role": "application", "aria-label": "Embedding"},
            name=self.name,
        )
        plot.axis.visible = False
        plot.grid.visible = False
        for axis in plot.axis:
            axis.update(
                minor_tick_line_color=None,
                major_tick_in=0,
                major_tick_out=4,
                major_label_text_font=FONT,
                major_label_text_font_size="11px",
                axis_label_text_font=FONT,
                axis_label_text_font_size="12px",
                axis_label_text_font_style="normal",
            )
        for tool in (self._lasso, self._box, self._polygon):
            tool.overlay.update(line_width=1.5, line_dash="solid", line_alpha=1, fill_alpha=0.08)
        plot.on_change("inner_width", self._resized)
        plot.on_change("inner_height", self._resized)
        return plot

    def _make_axis_glyph(self) -> tuple[list[tuple[Arrow, NormalHead]], list[Label]]:
        """Draw two small arrows in the corner: an embedding's axes have names but no meaning."""
        start, length = 16, 40
        arrows, labels = [], []
        for dx, dy in ((1, 0), (0, 1)):
            head = NormalHead(size=5)
            arrow = Arrow(
                x_start=start,
                y_start=start,
                x_end=start + dx * length,
                y_end=start + dy * length,
                start_units="screen",
                end_units="screen",
                end=head,
            )
            label = Label(
                x=start + dx * (length + 6),
                y=start + dy * (length + 6),
                x_units="screen",
                y_units="screen",
                text="",
                text_font=FONT,
                text_font_size="11px",
                text_baseline="middle" if dx else "bottom",
                text_align="left" if dx else "center",
            )
            if dy:
                label.update(text_align="left", x=start - 4)
            arrows.append((arrow, head))
            labels.append(label)
            self.figure.add_layout(arrow)
            self.figure.add_layout(label)
        return arrows, labels

    # -- what the browser reports -------------------------------------------------------------------

    def _resized(self, name: str, _old: object, new: int) -> None:
        """Keep the size the browser reports (Bokeh refuses to read it before) and the unit's aspect."""
        self._size[name] = int(new or 0)
        if min(self._size.values()) >= 2:
            with batched_updates(curdoc()):
                if self._fits:
                    self.fit()
                else:
                    self.zoom(1.0)  # the same middle, and again a unit as long on both axes

    def _set_view(self, x: float, y: float, width: float, height: float) -> None:
        """Show at least `width` by `height` data units around a point; if need be, one unit as long on both axes."""
        columns, rows = self._size["inner_width"], self._size["inner_height"]
        if self._equal and columns >= 2 and rows >= 2:
            unit = max(width / columns, height / rows)
            width, height = unit * columns, unit * rows
        self._viewport = Viewport(x - width / 2, x + width / 2, y - height / 2, y + height / 2)
        self.n_set += 1
        self._fits = False
        self._on_view()
