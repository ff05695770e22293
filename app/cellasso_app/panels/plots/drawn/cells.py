"""The value of genes in every cell, cells sorted by group: heatmap and tracks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from cellasso.pl.cell_runs import CellRuns, sorted_runs
from cellasso.pl.heatmap import draw_heatmap
from cellasso.pl.tracksplot import draw_tracks
from cellasso.stats.group_summary import unit_scaled
from cellasso_app.panels.plots.asked import Drawn
from cellasso_app.panels.plots.drawn.groups import lay_out, named_short, page_colors, room_for
from cellasso_app.panels.plots.spans import Spans
from cellasso_app.panels.plots.summing import sum_over

WIDTH = 220.0
"""Pixels of all cells in the panel, where it is narrow; numbers and tree beside them are measured by it."""

if TYPE_CHECKING:
    from typing import Any

    from cellasso.core.progress import Progress
    from cellasso.stats.dendrogram import Dendrogram
    from cellasso_app.panels.plots.asked import Asked


def heatmap(asked: Asked, progress: Progress) -> Drawn:
    """Draw the values of genes in cells, or in runs of neighbouring cells of a group."""
    runs, tree = _read(asked, progress)
    swapped = asked.arranged.swapped
    short, scale = _short(runs), page_colors(asked, runs.values)
    overlay = draw_heatmap(short, scale, tree=tree, swap_axes=swapped, titles=(None, "value"))
    room = room_for(short.groups.labels if swapped else runs.features.names) + (70 if tree is not None else 0)
    height = (15 * len(runs.features) if swapped else max(120, 24 * len(runs.groups))) + room
    spans = _along(runs, "x") if swapped else _along(runs, "y")
    return _drawn(runs, overlay, spans, (height, 2 * height))


def tracksplot(asked: Asked, progress: Progress) -> Drawn:
    """Draw the values of genes in cells as heights of tracks."""
    runs, tree = _read(asked, progress)
    short = _short(runs)
    height = 24 * len(runs.features) + room_for(short.groups.labels) + (60 if tree is not None else 0)
    return _drawn(runs, draw_tracks(short, tree=tree, width=WIDTH), _along(runs, "x"), (height, 2 * height))


def _read(asked: Asked, progress: Progress) -> tuple[CellRuns, Dendrogram | None]:
    groups, features, tree = lay_out(asked)
    codes, n_runs, most = sorted_runs(groups)
    means = sum_over(asked.dataset, asked.genes, codes, int(n_runs.sum()), progress=progress).mean
    if asked.arranged.scale:
        means = np.where(np.isnan(means), np.nan, unit_scaled(means, 0 if asked.arranged.scale == "var" else 1))
    return CellRuns(groups, features, means, np.cumsum(n_runs), most), tree


def _short(runs: CellRuns) -> CellRuns:
    return replace(runs, groups=named_short(runs.groups))


def _along(runs: CellRuns, axis: str) -> Spans:
    if axis == "x":
        return Spans("x", runs.starts.astype(float), runs.ends.astype(float))
    top = float(runs.ends[-1])  # rows run from the top
    return Spans("y", top - runs.ends, top - runs.starts)


def _drawn(runs: CellRuns, overlay: Any, spans: Spans, heights: tuple[int, int]) -> Drawn:
    group = np.repeat(np.array(runs.groups.labels, dtype=object), runs.ends - runs.starts)
    header = ("group", *runs.features.names)
    rows = [(name, *map(float, values)) for name, values in zip(group, runs.values, strict=True)]
    return Drawn([overlay], runs.groups.labels, spans, heights, header, rows)
