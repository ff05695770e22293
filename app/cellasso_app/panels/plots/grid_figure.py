"""A Bokeh figure of genes by groups that is kept for the life of a session, with marks coloured by their means."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from bokeh.models import ColumnDataSource, FactorRange, HoverTool, LinearColorMapper
from bokeh.plotting import figure

from cellasso.color.palettes import COLOR_MAPS
from cellasso_app.panels.plots.base import Plot
from cellasso_app.panels.plots.component import PlotKey
from cellasso_app.ui.theme import FONT, INKS, NO_OUTLINE

if TYPE_CHECKING:
    from bokeh.models.renderers import GlyphRenderer
    from numpy.typing import NDArray

    from cellasso_app.panels.plots.arrangement import Arranged

TOOLTIPS = [
    ("", "@gene in @name"),
    ("mean", "@mean{0.000}"),
    ("above", "@fraction{0.0%}"),
    ("cells", "@cells{0,0}"),
]

MIN_ROW, MAX_ROW = 15, 24
"""Height of a row in pixels; below the smaller the panel scrolls."""


class GridPlot(Plot):
    """Marks in a grid of genes by groups; a subclass says which, and what of them changes with the numbers.

    Attributes
    ----------
    name
        By which the page's script finds the figure.
    columns
        Of the marks' data.
    """

    name: ClassVar[str]
    columns: ClassVar[tuple[str, ...]] = ("gene", "group", "x", "y", "name", "mean", "fraction", "cells")

    def __init__(self, *, dark: bool) -> None:
        self.key = PlotKey(sizing_mode="stretch_width", height=24, margin=0, visible=False)
        self._mapper = LinearColorMapper()
        self._marks = ColumnDataSource({column: [] for column in self.columns})
        self.figure = make_figure(self.name, self.label)
        self._renderer = self._draw_marks()
        self._tree = ColumnDataSource({"xs": [], "ys": []})
        self._branches = self.figure.multi_line("xs", "ys", source=self._tree, line_width=1)
        self.figure.hover.renderers = [self._renderer]
        self._shown: Arranged | None = None
        self._is_whole = False
        self.set_theme(dark=dark)

    @abstractmethod
    def _draw_marks(self) -> GlyphRenderer[Any]:
        """Add the marks of `self._marks` to the figure, coloured by `self._mapper`."""

    def set_theme(self, *, dark: bool) -> None:
        """Draw in the inks and colours of the light or the dark page."""
        self.key.colors = list(COLOR_MAPS[dark][::12])
        self._mapper.palette = list(COLOR_MAPS[dark])
        self._renderer.glyph.line_color = INKS[dark].line
        self._branches.glyph.line_color = INKS[dark].line
        set_inks(self.figure, dark=dark)

    def fill(self, *, whole: bool) -> None:
        """Take all the height that there is, or again what rows need; parameters as of `Plot.fill`."""
        self._is_whole = whole
        if self._shown is not None:
            set_axes(self.figure, self._shown, whole=whole)

    def _show(self, shown: Arranged, *, largest: float, **more: NDArray[Any]) -> None:
        """Show genes by groups.

        Parameters
        ----------
        shown
            As they are laid out.
        largest
            Diameter of the dot of all cells; 0 where there are no dots.
        **more
            Further columns of the marks' data.
        """
        self._mapper.low, self._mapper.high = shown.limits
        self._shown = shown
        set_axes(self.figure, shown, whole=self._is_whole)
        self._tree.data = branches(shown)
        self._marks.data = {**shown.marks(), **more}
        self.key.param.update(low=shown.limits[0], high=shown.limits[1], largest=largest, cutoff=shown.cutoff)


def make_figure(name: str, label: str) -> figure:
    """Return an empty figure with categories on both axes.

    Parameters
    ----------
    name
        By which the page's script finds it.
    label
        What it is, for those who do not see it.
    """
    made = figure(  # type: ignore[call-arg] # its stub leaves out what only `figure` itself takes
        name=name,
        x_range=FactorRange(),
        y_range=FactorRange(),
        x_axis_location="above",  # where it stays in sight when many groups scroll
        tools=[HoverTool(tooltips=TOOLTIPS)],
        toolbar_location=None,
        sizing_mode="stretch_both",
        visible=False,
        stylesheets=[NO_OUTLINE],
        background_fill_alpha=0,
        border_fill_alpha=0,
        outline_line_color=None,
        min_border_left=8,
        min_border_right=12,
        html_attributes={"role": "img", "aria-label": label},
    )
    made.xaxis.major_label_orientation = "vertical"
    for axis in made.axis:
        axis.update(
            axis_line_color=None,
            major_tick_line_color=None,
            major_label_text_font=FONT,
            major_label_text_font_size="11px",
            major_label_standoff=2,
        )
    return made


def set_inks(made: figure, *, dark: bool) -> None:
    """Write the axes in the ink of the light or the dark page."""
    for grid in made.grid:
        grid.grid_line_color = None
    for axis in made.axis:
        axis.major_label_text_color = INKS[dark].text


def set_axes(made: figure, shown: Arranged, *, whole: bool = False) -> None:
    """Name rows and columns, and make the figure as high as its rows need.

    Parameters
    ----------
    whole
        Whether it may be as high as it is wanted.
    """
    free = list(_free(shown))  # where the tree stands: to the right of the rows, or above the columns
    made.x_range.update(factors=[*shown.columns, *([] if shown.swapped else free)])
    # Bokeh counts from the bottom
    made.y_range.update(factors=[*list(shown.rows)[::-1], *(free if shown.swapped else [])])
    made.update(min_height=_height(shown, MIN_ROW), max_height=None if whole else _height(shown, MAX_ROW))


def branches(shown: Arranged) -> dict[str, Any]:
    """Return the lines of the tree as Bokeh's sources have them, in the units of the axes."""
    if shown.tree is None:
        return {"xs": [], "ys": []}
    n_columns, n_rows, wide = len(shown.columns), len(shown.rows), len(_free(shown)) - 0.5
    along, away = np.moveaxis(shown.tree.branches, 2, 0)
    away = 0.25 + wide * away / max(shown.tree.height, 1e-300)
    xs, ys = (along, n_rows + away) if shown.swapped else (n_columns + away, n_rows - along)
    return {"xs": xs.tolist(), "ys": ys.tolist()}


def _free(shown: Arranged) -> tuple[str, ...]:
    """Return names that show nothing for the columns, or rows, that the tree takes."""
    if shown.tree is None:
        return ()
    n = 3 if shown.swapped else max(1, round(len(shown.columns) / 5))
    return tuple("\u2063" * (at + 1) for at in range(n))


def _height(shown: Arranged, row: int) -> int:
    """Return the height of the rows, and of the names above them."""
    n_rows = len(shown.rows) + (len(_free(shown)) if shown.swapped else 0)
    return round(row * shown.size) * n_rows + 8 * min(max(map(len, shown.columns), default=0), 20) + 14
