"""The matrixplot: the mean of each feature in each group as the colour of a square."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import holoviews as hv
import numpy as np

from cellasso.pl.color_scale import color_scale
from cellasso.pl.grid import HOVER, grid_area, grid_overlay, long_form, surround
from cellasso.pl.group_values import read_group_values
from cellasso.pl.layout import read_layout
from cellasso.pl.plot_area import X, Y
from cellasso.pl.styling import COLORBAR, styled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cellasso.dataset import Dataset, Modality
    from cellasso.pl.color_scale import ColorScale
    from cellasso.pl.features import VarNames
    from cellasso.pl.group_values import GroupValues, StandardScale
    from cellasso.stats.dendrogram import Dendrogram


def matrixplot(
    dataset: Dataset | Modality,
    var_names: VarNames,
    groupby: str | Sequence[str],
    *,
    use_raw: bool | None = None,
    log: bool = False,
    num_categories: int = 7,
    categories_order: Sequence[str] | None = None,
    dendrogram: bool | str = False,
    title: str | None = None,
    cmap: Any = "viridis",
    colorbar_title: str = "Mean expression in group",
    var_group_positions: Sequence[tuple[int, int]] | None = None,
    var_group_labels: Sequence[str] | None = None,
    var_group_rotation: float | None = None,
    layer: str | None = None,
    normalised: bool = False,
    standard_scale: StandardScale = None,
    swap_axes: bool = False,
    vmin: float | None = None,
    vmax: float | None = None,
    vcenter: float | None = None,
    norm: Any = None,
) -> hv.Overlay:
    """Return a matrixplot of features by groups, as `scanpy.pl.matrixplot` draws it.

    Reads what `dotplot` reads.

    Parameters
    ----------
    dataset, var_names, groupby, use_raw, log, num_categories, categories_order, dendrogram, layer, normalised
        As of `dotplot`.
    title, colorbar_title
        Above the plot, and beside its colour bar.
    var_group_positions, var_group_labels, var_group_rotation
        As of `dotplot`.
    standard_scale, swap_axes
        As of `dotplot`.
    vmin, vmax, vcenter, norm, cmap
        Colours of the means, as of `color_scale`.

    Returns
    -------
    An overlay: `Rectangles` of the squares with all they show, brackets and tree; for both backends.

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
    values = read_group_values(dataset, features, groups, log=log, standard_scale=standard_scale)
    return draw_squares(
        values,
        color_scale(values.mean, cmap, vmin=vmin, vmax=vmax, vcenter=vcenter, norm=norm),
        tree=tree,
        swap_axes=swap_axes,
        rotation=var_group_rotation,
        titles=(title, colorbar_title),
    )


def draw_squares(
    values: GroupValues,
    scale: ColorScale,
    *,
    tree: Dendrogram | None = None,
    swap_axes: bool = False,
    rotation: float | None = None,
    titles: tuple[str | None, str] = (None, ""),
) -> hv.Overlay:
    """Draw a matrixplot.

    Parameters
    ----------
    values
        What it shows.
    scale
        Colours of its means.
    tree
        Of the groups, in their order.
    swap_axes, rotation
        As of `matrixplot`.
    titles
        Of the plot and the colour bar.
    """
    data = long_form(values, swap_axes=swap_axes)
    known = np.isfinite(data["mean"])
    x, y = data.pop(X)[known], data.pop(Y)[known]
    names = list(data)
    rectangles = hv.Rectangles(
        (x - 0.5, y - 0.5, x + 0.5, y + 0.5, *(column[known] for column in data.values())), vdims=names
    )
    area = grid_area(len(values.groups), len(values.features), swap_axes=swap_axes)
    area.add(
        styled(
            rectangles,
            color="mean",
            cmap=list(scale.colors),
            clim=scale.limits,
            colorbar=True,
            clabel=titles[1],
            bokeh={
                "line_color": "grey",
                "line_width": 0.2,
                "tools": ["hover"],
                "hover_tooltips": HOVER,
                "colorbar_opts": COLORBAR,
            },
            matplotlib={"edgecolor": "grey", "linewidth": 0.1},
        )
    )
    area.add_box(line_width=1.5)
    surround(area, values.groups, values.features, tree, swap_axes=swap_axes, rotation=rotation)
    return grid_overlay(area, values.groups, values.features, titles[0], swap_axes=swap_axes)
