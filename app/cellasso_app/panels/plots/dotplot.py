"""The dotplot: mean and fraction of expressing cells, genes by groups, as scanpy draws it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from bokeh.models import ColumnDataSource, LinearColorMapper

from cellasso.color.palettes import COLOR_MAPS
from cellasso_app.panels.plots.base import Plot
from cellasso_app.panels.plots.component import PlotKey
from cellasso_app.panels.plots.grid_figure import MIN_ROW, make_figure, set_axes, set_inks
from cellasso_app.ui.theme import INKS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cellasso_app.panels.plots.arrangement import Arranged

COLUMNS = ("gene", "group", "x", "y", "name", "mean", "fraction", "cells", "size")


def dot_size(fraction: NDArray[np.floating], largest: float) -> NDArray[np.floating]:
    """Return the diameter of a dot in pixels: its area is in proportion to the fraction of cells."""
    size: NDArray[np.floating] = largest * np.sqrt(fraction)
    return size


def largest_dot(n_columns: int, width: int = 230) -> float:
    """Return the diameter of a dot for all cells, so that neighbours do not touch."""
    return float(min(MIN_ROW - 1, max(5.0, width / max(n_columns, 1) - 2)))


class Dotplot(Plot):
    """Dots whose colour is the mean of a gene in a group, and whose area the fraction of cells above 0."""

    label = "Dotplot"

    def __init__(self, *, dark: bool) -> None:
        self.key = PlotKey(sizing_mode="stretch_width", height=24, margin=0, visible=False)
        self._mapper = LinearColorMapper()
        self._dots = ColumnDataSource({name: [] for name in COLUMNS})
        self.figure = make_figure("cellasso-dotplot", self.label)
        self._scatter = self.figure.scatter(
            "x",
            "y",
            size="size",
            fill_color={"field": "mean", "transform": self._mapper},
            line_width=0.5,
            source=self._dots,
        )
        self.set_theme(dark=dark)

    def set_theme(self, *, dark: bool) -> None:
        """Draw in the inks and colours of the light or the dark page."""
        self.key.colors = list(COLOR_MAPS[dark][::12])
        self._mapper.palette = list(COLOR_MAPS[dark])
        self._scatter.glyph.line_color = INKS[dark].line
        set_inks(self.figure, dark=dark)

    def show(self, shown: Arranged) -> None:
        """Show genes by groups; parameters as of `Plot.show`."""
        largest = largest_dot(len(shown.columns))
        self._mapper.low, self._mapper.high = shown.limits
        set_axes(self.figure, shown)
        sizes = dot_size(np.nan_to_num(shown.fraction.ravel()), largest)
        self._dots.data = {**shown.marks(), "size": sizes}
        self.key.param.update(low=shown.limits[0], high=shown.limits[1], largest=largest)
