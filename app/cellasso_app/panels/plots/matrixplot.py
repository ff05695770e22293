"""The matrixplot: the mean of each gene in each group as the colour of a field."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bokeh.models import ColumnDataSource, LinearColorMapper

from cellasso.color.palettes import COLOR_MAPS
from cellasso_app.panels.plots.base import Plot
from cellasso_app.panels.plots.component import PlotKey
from cellasso_app.panels.plots.grid_figure import make_figure, set_axes, set_inks
from cellasso_app.ui.theme import INKS

if TYPE_CHECKING:
    from cellasso_app.panels.plots.arrangement import Arranged

COLUMNS = ("gene", "group", "x", "y", "name", "mean", "fraction", "cells")


class Matrixplot(Plot):
    """Fields whose colour is the mean of a gene in a group."""

    label = "Matrixplot"

    def __init__(self, *, dark: bool) -> None:
        self.key = PlotKey(sizing_mode="stretch_width", height=24, margin=0, visible=False)
        self._mapper = LinearColorMapper()
        self._fields = ColumnDataSource({name: [] for name in COLUMNS})
        self.figure = make_figure("cellasso-matrixplot", self.label)
        self._rects = self.figure.rect(
            "x",
            "y",
            width=1,
            height=1,
            fill_color={"field": "mean", "transform": self._mapper},
            line_width=0.5,
            source=self._fields,
        )
        self.set_theme(dark=dark)

    def set_theme(self, *, dark: bool) -> None:
        """Draw in the inks and colours of the light or the dark page."""
        self.key.colors = list(COLOR_MAPS[dark][::12])
        self._mapper.palette = list(COLOR_MAPS[dark])
        self._rects.glyph.line_color = INKS[dark].line
        set_inks(self.figure, dark=dark)

    def show(self, shown: Arranged) -> None:
        """Show genes by groups; parameters as of `Plot.show`."""
        self._mapper.low, self._mapper.high = shown.limits
        set_axes(self.figure, shown)
        self._fields.data = shown.marks()
        self.key.param.update(low=shown.limits[0], high=shown.limits[1], largest=0.0)
