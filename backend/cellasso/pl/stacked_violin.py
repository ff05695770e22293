"""The stacked violin: how each feature is distributed in each group, in a grid whose colours are the medians."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import holoviews as hv
import numpy as np

from cellasso.pl.color_scale import color_scale
from cellasso.pl.grid import CELL_PIXELS, grid_area, grid_overlay, surround
from cellasso.pl.layout import read_layout
from cellasso.pl.plot_area import X, Y
from cellasso.pl.styling import COLORBAR, INK, styled
from cellasso.pl.violins import check_density_norm, joined, outline, read_densities

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cellasso.dataset import Dataset, Modality
    from cellasso.pl.color_scale import ColorScale
    from cellasso.pl.features import Features, VarNames
    from cellasso.pl.group_values import StandardScale
    from cellasso.pl.groups import Groups
    from cellasso.pl.violins import DensityNorm
    from cellasso.stats.dendrogram import Dendrogram
    from cellasso.stats.density import Densities

N_COLORS = 32
"""Steps of colour of the violins: those of one step are one shape, which HoloViews draws fast."""

MARGIN = 0.04
"""Of the height of a row, above and below its violins."""


def stacked_violin(
    dataset: Dataset | Modality,
    var_names: VarNames,
    groupby: str | Sequence[str],
    *,
    log: bool = False,
    use_raw: bool | None = None,
    num_categories: int = 7,
    title: str | None = None,
    colorbar_title: str = "Median expression in group",
    dendrogram: bool | str = False,
    var_group_positions: Sequence[tuple[int, int]] | None = None,
    var_group_labels: Sequence[str] | None = None,
    standard_scale: StandardScale = None,
    var_group_rotation: float | None = None,
    layer: str | None = None,
    normalised: bool = False,
    categories_order: Sequence[str] | None = None,
    swap_axes: bool = False,
    vmin: float | None = None,
    vmax: float | None = None,
    vcenter: float | None = None,
    norm: Any = None,
    cmap: Any = "Blues",
    density_norm: DensityNorm = "width",
) -> hv.Overlay:
    """Return violins of features by groups, as `scanpy.pl.stacked_violin` draws them, without its dots.

    Densities and medians are those of all cells, see `cellasso.stats.density`. One feature is in memory at a time;
    `standard_scale="group"` reads them twice.

    Parameters
    ----------
    dataset, var_names, groupby, use_raw, log, num_categories, categories_order, dendrogram, layer, normalised
        As of `dotplot`.
    title, colorbar_title
        Above the plot, and beside its colour bar.
    var_group_positions, var_group_labels, var_group_rotation, swap_axes
        As of `dotplot`.
    standard_scale
        As of `read_densities`.
    vmin, vmax, vcenter, norm, cmap
        Colours of the medians, as of `color_scale`.
    density_norm
        As of `violin`.

    Returns
    -------
    An overlay: `Polygons` of the violins, `Rectangles` that tell their numbers, brackets and tree; for both backends.
    All violins of a row have one axis of values.

    Raises
    ------
    NotFoundError, ElementError
        As `dotplot`.
    """
    check_density_norm(density_norm)
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
    densities = read_densities(dataset, features, groups, log=log, standard_scale=standard_scale)
    medians = np.stack([each.median for each in densities], axis=1)
    return draw_stacked(
        groups,
        features,
        densities,
        color_scale(medians, cmap, vmin=vmin, vmax=vmax, vcenter=vcenter, norm=norm),
        density_norm=density_norm,
        tree=tree,
        swap_axes=swap_axes,
        rotation=var_group_rotation,
        titles=(title, colorbar_title),
    )


def draw_stacked(
    groups: Groups,
    features: Features,
    densities: Sequence[Densities],
    scale: ColorScale,
    *,
    density_norm: DensityNorm = "width",
    tree: Dendrogram | None = None,
    swap_axes: bool = False,
    rotation: float | None = None,
    titles: tuple[str | None, str] = (None, ""),
) -> hv.Overlay:
    """Draw a grid of violins.

    Parameters
    ----------
    groups, features
        Its rows and columns.
    densities
        Of each feature in each group.
    scale
        Colours of the medians.
    density_norm, swap_axes, rotation
        As of `stacked_violin`.
    tree
        Of the groups, in their order.
    titles
        Of the plot and the colour bar.
    """
    area = grid_area(len(groups), len(features), swap_axes=swap_axes)
    area.pad(0.25 * CELL_PIXELS[0], 0.25 * CELL_PIXELS[1])
    area.add(_color_bar(scale, titles[1]))
    for bodies in _bodies(densities, scale, density_norm, swap_axes=swap_axes):
        area.add(bodies)
    area.add(_cells(groups, features, densities, swap_axes=swap_axes))
    area.add_box()
    surround(area, groups, features, tree, swap_axes=swap_axes, rotation=rotation)
    return grid_overlay(area, groups, features, titles[0], swap_axes=swap_axes)


def _cells(groups: Groups, features: Features, densities: Sequence[Densities], *, swap_axes: bool) -> Any:
    """Return what lies behind the violins: nothing that is seen, but it tells the numbers under the pointer."""
    feature, group = (at.ravel() for at in np.indices((len(features), len(groups))))
    row, column, n_rows = (feature, group, len(features)) if swap_axes else (group, feature, len(groups))
    numbers = np.array([(each.median, each.low, each.high) for each in densities]).transpose(1, 0, 2).reshape(3, -1)
    names = np.array(features.names, dtype=object)[feature], np.array(groups.labels, dtype=object)[group]
    cells = np.array([each.n_known for each in densities]).ravel()
    y = n_rows - row - 1
    rectangles = hv.Rectangles(
        (column, y, column + 1, y + 1, numbers[0], *names, *numbers[1:], cells),
        vdims=["median", "feature", "group", "lowest", "highest", "cells"],
    )
    hover = [("", "@feature in @group"), ("median", "@median{0.000}"), ("range", "@lowest{0.00} to @highest{0.00}")]
    return styled(
        rectangles,
        bokeh={
            "fill_alpha": 0,
            "line_alpha": 0,
            "tools": ["hover"],
            "hover_tooltips": [*hover, ("cells", "@cells{0,0}")],
        },
        matplotlib={"alpha": 0},
    )


def _color_bar(scale: ColorScale, title: str) -> Any:
    """Return two points without a size, for their colour bar."""
    points = hv.Points(([0.5, 0.5], [0.5, 0.5], list(scale.limits)), [X, Y], ["median"], group="Scale")
    return styled(
        points,
        color="median",
        cmap=list(scale.colors),
        clim=scale.limits,
        colorbar=True,
        clabel=title,
        bokeh={"size": 0, "colorbar_opts": COLORBAR},
        matplotlib={"s": 0},
    )


def _bodies(
    densities: Sequence[Densities], scale: ColorScale, density_norm: DensityNorm, *, swap_axes: bool
) -> list[Any]:
    """Return the violins, those of one colour as one element: matplotlib has one colour for the parts of a shape."""
    low, high = (np.array([getattr(each, side) for each in densities]) for side in ("low", "high"))
    axis = 1 if swap_axes else 0  # over the columns of each row: of low and high, features are first
    lows, highs = np.fmin.reduce(low, axis=axis), np.fmax.reduce(high, axis=axis)
    n_rows = len(lows)
    by_color: dict[int, list[tuple[NDArray[np.float64], NDArray[np.float64]]]] = {}
    for feature, each in enumerate(densities):
        widths = each.widths(density_norm)
        for group in np.flatnonzero(each.n_known > 0):
            row, column = (feature, group) if swap_axes else (group, feature)
            x, values = outline(each.support[group], widths[group], column + 0.5)
            span = highs[row] - lows[row] or 1.0
            y = n_rows - row - 1 + MARGIN + (1 - 2 * MARGIN) * (values - lows[row]) / span
            step = int(np.clip((each.median[group] - scale.low) / (scale.high - scale.low) * N_COLORS, 0, N_COLORS - 1))
            by_color.setdefault(step, []).append((x, y))
    middles = scale.low + (np.arange(N_COLORS) + 0.5) / N_COLORS * (scale.high - scale.low)
    return [
        styled(
            hv.Polygons([dict(zip((X, Y), joined(outlines), strict=True))], [X, Y], group="Violins"),
            bokeh={"color": scale.of(middles[step])[0], "line_color": INK, "line_width": 0.4},
            matplotlib={"facecolor": scale.of(middles[step])[0], "edgecolor": INK, "linewidth": 0.2},
        )
        for step, outlines in sorted(by_color.items())
    ]
