"""The dotplot: mean and fraction of expressing cells, genes by groups, as scanpy draws it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import holoviews as hv
import numpy as np
import pandas as pd

from cellasso_app.embedding_plot import FONT, INKS
from cellasso_app.palettes import COLOR_MAPS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cellasso.summarise import GroupSummary

hv.extension("bokeh")

LONGEST = 32
"""Letters of a group's name on the axis; the whole name stands in the tooltip."""

MIN_ROW, MAX_ROW = 13, 22
"""Height of a row in pixels; below the smaller the panel scrolls."""


def dot_size(fraction: float | np.ndarray, largest: float) -> float | np.ndarray:
    """Return the diameter of a dot in pixels: its area is in proportion to the fraction of cells."""
    return largest * np.sqrt(fraction)


def largest_dot(n_genes: int, width: int = 230) -> float:
    """Return the diameter of a dot for all cells, so that neighbours do not touch."""
    return float(min(MIN_ROW + 3, max(5.0, width / max(n_genes, 1) - 2)))


def dotplot(summary: GroupSummary, genes: Sequence[str], groups: Sequence[str], *, dark: bool) -> hv.Points:
    """Return the dotplot of a summary `(n_groups, n_genes)`; colour is the mean, area the fraction above 0.

    `genes` are what the screen calls them, each another name.
    """
    largest = largest_dot(len(genes))
    table = pd.DataFrame(
        {
            "gene": np.tile(np.array(genes, dtype=object), len(groups)),
            "group": np.repeat(np.array(short_names(groups), dtype=object), len(genes)),
            "name": np.repeat(np.array(groups, dtype=object), len(genes)),
            "mean": summary.mean.ravel(),
            "fraction": summary.fraction.ravel(),
            "cells": np.repeat(summary.n_cells, len(genes)),
        }
    )
    table["size"] = dot_size(table["fraction"].fillna(0).to_numpy(), largest)
    low, high = color_limits(summary)
    return hv.Points(table, ["gene", "group"], ["mean", "fraction", "cells", "size", "name"]).opts(
        hv.opts.Points(
            color="mean",
            cmap=list(COLOR_MAPS[dark]),
            clim=(low, high),
            size="size",
            line_color=INKS[dark].line,
            line_width=0.5,
            tools=["hover"],
            hover_tooltips=[
                ("", "@gene in @name"),
                ("mean", "@mean{0.000}"),
                ("above 0", "@fraction{0.0%}"),
                ("cells", "@cells{0,0}"),
            ],
            xaxis="top",  # where it stays in sight when many groups scroll
            xrotation=90,
            invert_yaxis=True,
            xlabel="",
            ylabel="",
            toolbar=None,
            default_tools=[],
            responsive=True,
            min_height=_height(groups, genes, MIN_ROW),
            max_height=_height(groups, genes, MAX_ROW),
            fontsize={"ticks": "11px"},
            hooks=[_theme(dark=dark)],
        )
    )


def short_names(names: Sequence[str], longest: int = LONGEST) -> list[str]:
    """Return names cut in the middle where they would push the dots aside, all different still."""
    cut = [n if len(n) <= longest else f"{n[: longest - 11]}…{n[-10:]}" for n in names]
    return [f"{short} ({i + 1})" if cut.count(short) > 1 else short for i, short in enumerate(cut)]


def color_limits(summary: GroupSummary) -> tuple[float, float]:
    """Return the means at both ends of the colours; from 0 when none is below it."""
    known = summary.mean[np.isfinite(summary.mean)]
    if not len(known):
        return 0.0, 1.0
    low, high = min(0.0, float(known.min())), float(known.max())
    return low, high if high > low else low + 1


def _height(groups: Sequence[str], genes: Sequence[str], row: int) -> int:
    """Return the height of the rows, and of the genes' names below."""
    return row * (len(groups) + 1) + 8 * min(max(map(len, genes), default=0), 20) + 30


def _theme(*, dark: bool) -> Any:
    ink = INKS[dark]

    def apply(plot: Any, _element: object) -> None:
        figure = plot.state
        figure.update(
            html_attributes={"role": "img", "aria-label": "Dotplot"},
            background_fill_alpha=0,
            border_fill_alpha=0,
            outline_line_color=None,
            min_border_left=8,
            min_border_right=12,
        )
        for axis in figure.axis:
            axis.update(
                axis_line_color=None,
                major_tick_line_color=None,
                major_label_text_color=ink.text,
                major_label_text_font=FONT,
                major_label_standoff=2,
            )

    return apply
