"""The tracksplot: the value of each feature in each cell as the height of a track, cells sorted by group."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import holoviews as hv
import numpy as np

from cellasso.pl.cell_axis import add_lines, add_strip
from cellasso.pl.cell_runs import read_cell_runs
from cellasso.pl.layout import read_layout
from cellasso.pl.plot_area import GAP_PIXELS, PlotArea, X, Y, row_ticks
from cellasso.pl.styling import styled, text_width
from cellasso.pl.violins import joined

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cellasso.dataset import Dataset, Modality
    from cellasso.pl.cell_runs import CellRuns
    from cellasso.pl.features import VarNames
    from cellasso.stats.dendrogram import Dendrogram

WIDTH_PIXELS = 864.0
TRACK_PIXELS = 18.0
"""Scanpy's 12 and 0.25 inches."""

FILLED = 0.92
"""How much of its height a track takes at its highest value."""


def tracksplot(
    dataset: Dataset | Modality,
    var_names: VarNames,
    groupby: str | Sequence[str],
    *,
    use_raw: bool | None = None,
    log: bool = False,
    num_categories: int = 7,
    categories_order: Sequence[str] | None = None,
    dendrogram: bool | str = False,
    var_group_positions: Sequence[tuple[int, int]] | None = None,
    var_group_labels: Sequence[str] | None = None,
    layer: str | None = None,
    normalised: bool = False,
    title: str | None = None,
) -> hv.Overlay:
    """Return tracks of features over cells, as `scanpy.pl.tracksplot` draws them.

    More than 2,000 cells are shown as means of neighbouring cells of a group, and the plot says of how many. Each track
    has an axis of its own from 0, or its lowest value below, to its highest, which stands beside it.

    Parameters
    ----------
    dataset, var_names, groupby, use_raw, log, num_categories, categories_order, dendrogram, layer, normalised
        As of `dotplot`.
    var_group_positions, var_group_labels
        As of `dotplot`.
    title
        Above the plot.

    Returns
    -------
    An overlay: `Polygons` for each group, `Rectangles` of the groups, brackets and tree; for both backends.

    Raises
    ------
    NotFoundError, ElementError
        As `dotplot`.
    """
    groups, features, tree = read_layout(
        dataset,
        var_names,
        groupby,
        categories_order=categories_order,
        num_categories=num_categories,
        dendrogram=dendrogram,
        use_raw=use_raw,
        layer=layer,
        normalised=normalised,
        var_group_labels=var_group_labels,
        var_group_positions=var_group_positions,
    )
    return draw_tracks(read_cell_runs(dataset, features, groups, log=log), tree=tree, title=title)


def draw_tracks(
    runs: CellRuns, *, tree: Dendrogram | None = None, title: str | None = None, width: float = WIDTH_PIXELS
) -> hv.Overlay:
    """Draw tracks.

    Parameters
    ----------
    runs
        What they show.
    tree
        Of the groups, in their order.
    title
        Above the plot.
    width
        Pixels of all cells.
    """
    n_runs, n_features = runs.values.shape
    area = PlotArea(n_runs, n_features, (width, n_features * TRACK_PIXELS))
    known = np.where(np.isfinite(runs.values), runs.values, np.nan)
    lows = np.fmin(np.fmin.reduce(known, axis=0), 0.0)
    highs = np.fmax(np.fmax.reduce(known, axis=0), 0.0)
    for group in range(len(runs.groups)):
        area.add(_tracks(runs, group, lows, highs))
    add_lines(area, runs, rows=False, width=0.5, color="#888888")
    if tree is not None:
        area.add_tree(tree, (runs.starts + runs.ends) / 2, on_right=False)
    texts = [f"{high:.3g}" for high in highs]
    at = [(area.width + area.across(4), n_features - track - 0.08) for track in range(n_features)]
    area.add_texts(at, texts, "Highest", align="left", baseline="top")
    area.right += 4 + max(map(text_width, texts)) + GAP_PIXELS
    area.add_brackets(runs.features.groups, on_right=True)
    of_groups = add_strip(area, runs, on_left=False)
    return area.overlay(
        xticks=of_groups,
        yticks=row_ticks(runs.features.names),
        title=" - ".join(part for part in (title, runs.note("step")) if part),
    )


def _tracks(runs: CellRuns, group: int, lows: NDArray[np.float64], highs: NDArray[np.float64]) -> Any:
    """Return the tracks of one group, one above the other."""
    start, end = int(runs.starts[group]), int(runs.ends[group])
    own = np.nan_to_num(runs.values[start:end], nan=0.0)
    along = np.concatenate([[start], np.arange(start, end) + 0.5, [end], [end, start]])
    shapes = []
    for track in range(len(runs.features)):
        base, span = len(runs.features) - track - 1, (highs[track] - lows[track]) or 1.0
        values = np.concatenate([own[:1, track], own[:, track], own[-1:, track], [0.0, 0.0]])
        shapes.append((along, base + FILLED * (np.clip(values, lows[track], highs[track]) - lows[track]) / span))
    return styled(
        hv.Polygons([dict(zip((X, Y), joined(shapes), strict=True))], [X, Y], group="Tracks"),
        bokeh={"color": runs.groups.colors[group], "line_alpha": 0},
        matplotlib={"facecolor": runs.groups.colors[group], "linewidth": 0},
    )
