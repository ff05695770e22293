"""The dotplot: mean and fraction of expressing cells, genes by groups, as scanpy draws it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from bokeh.models import ColumnDataSource, FactorRange, HoverTool, LinearColorMapper
from bokeh.plotting import figure

from cellasso.color.palettes import COLOR_MAPS
from cellasso_app.panels.plots.base import Plot
from cellasso_app.panels.plots.component import DotplotKey
from cellasso_app.render.labels import short_names
from cellasso_app.ui.theme import FONT, INKS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cellasso.stats.group_summary import GroupSummary

COLUMNS = ("gene", "group", "name", "mean", "fraction", "cells", "size")

TOOLTIPS = [
    ("", "@gene in @name"),
    ("mean", "@mean{0.000}"),
    ("above 0", "@fraction{0.0%}"),
    ("cells", "@cells{0,0}"),
]

MIN_ROW, MAX_ROW = 15, 24
"""Height of a row in pixels; below the smaller the panel scrolls."""


def dot_size(fraction: NDArray[np.floating], largest: float) -> NDArray[np.floating]:
    """Return the diameter of a dot in pixels: its area is in proportion to the fraction of cells."""
    size: NDArray[np.floating] = largest * np.sqrt(fraction)
    return size


def largest_dot(n_genes: int, width: int = 230) -> float:
    """Return the diameter of a dot for all cells, so that neighbours do not touch."""
    return float(min(MIN_ROW - 1, max(5.0, width / max(n_genes, 1) - 2)))


class Dotplot(Plot):
    """Dots whose colour is the mean of a gene in a group, and whose area the fraction of cells above 0."""

    label = "Dotplot"
    key: DotplotKey

    def __init__(self, *, dark: bool) -> None:
        self.key = DotplotKey(sizing_mode="stretch_width", height=32, margin=0, visible=False)
        self._mapper = LinearColorMapper()
        self._dots = ColumnDataSource({name: [] for name in COLUMNS})
        self._genes, self._groups = FactorRange(), FactorRange()
        self.figure = figure(  # type: ignore[call-arg] # its stub leaves out what only `figure` itself takes
            x_range=self._genes,
            y_range=self._groups,
            x_axis_location="above",  # where it stays in sight when many groups scroll
            tools=[HoverTool(tooltips=TOOLTIPS)],
            toolbar_location=None,
            sizing_mode="stretch_both",
            background_fill_alpha=0,
            border_fill_alpha=0,
            outline_line_color=None,
            min_border_left=8,
            min_border_right=12,
            html_attributes={"role": "img", "aria-label": self.label},
        )
        self._scatter = self.figure.scatter(
            "gene",
            "group",
            size="size",
            fill_color={"field": "mean", "transform": self._mapper},
            line_width=0.5,
            source=self._dots,
        )
        self.figure.xaxis.major_label_orientation = "vertical"
        for axis in self.figure.axis:
            axis.update(
                axis_line_color=None,
                major_tick_line_color=None,
                major_label_text_font=FONT,
                major_label_text_font_size="11px",
                major_label_standoff=2,
            )
        self.set_theme(dark=dark)

    def set_theme(self, *, dark: bool) -> None:
        """Draw in the inks and colours of the light or the dark page."""
        ink = INKS[dark]
        self.key.colors = list(COLOR_MAPS[dark][::12])
        self._mapper.palette = list(COLOR_MAPS[dark])
        self._scatter.glyph.line_color = ink.line
        for grid in self.figure.grid:
            grid.grid_line_color = None
        for axis in self.figure.axis:
            axis.major_label_text_color = ink.text

    def show(self, summary: GroupSummary, genes: Sequence[str], groups: Sequence[str]) -> None:
        """Show a summary; parameters as of `Plot.show`."""
        rows = short_names(groups)
        fraction = summary.fraction.ravel()
        low, high = color_limits(summary)
        self._mapper.low, self._mapper.high = low, high
        self._genes.factors = list(genes)
        self._groups.factors = rows[::-1]  # Bokeh counts from the bottom
        self._dots.data = {
            "gene": list(genes) * len(groups),
            "group": np.repeat(np.array(rows, dtype=object), len(genes)).tolist(),
            "name": np.repeat(np.array(groups, dtype=object), len(genes)).tolist(),
            "mean": summary.mean.ravel(),
            "fraction": fraction,
            "cells": np.repeat(summary.n_cells, len(genes)),
            "size": dot_size(np.nan_to_num(fraction), largest_dot(len(genes))),
        }
        self.key.param.update(low=low, high=high, largest=largest_dot(len(genes)))
        self.figure.update(min_height=_height(groups, genes, MIN_ROW), max_height=_height(groups, genes, MAX_ROW))


def color_limits(summary: GroupSummary) -> tuple[float, float]:
    """Return the means at both ends of the colours; from 0 when none is below it."""
    known = summary.mean[np.isfinite(summary.mean)]
    if not len(known):
        return 0.0, 1.0
    low, high = min(0.0, float(known.min())), float(known.max())
    return low, high if high > low else low + 1


def _height(groups: Sequence[str], genes: Sequence[str], row: int) -> int:
    """Return the height of the rows, and of the genes' names above them."""
    return row * len(groups) + 8 * min(max(map(len, genes), default=0), 20) + 14
