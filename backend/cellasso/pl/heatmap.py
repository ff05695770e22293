"""The heatmap: the value of each feature in each cell, cells sorted by group."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import holoviews as hv

from cellasso.pl.cell_axis import add_lines, add_strip
from cellasso.pl.cell_runs import read_cell_runs
from cellasso.pl.color_scale import color_scale
from cellasso.pl.layout import read_layout
from cellasso.pl.plot_area import PlotArea, X, Y, cell_ticks, row_ticks
from cellasso.pl.styling import COLORBAR, styled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cellasso.dataset import Dataset, Modality
    from cellasso.pl.cell_runs import CellRuns, CellScale
    from cellasso.pl.color_scale import ColorScale
    from cellasso.pl.features import VarNames
    from cellasso.stats.dendrogram import Dendrogram

FEATURE_PIXELS = 22.0
"""Width of a feature: scanpy's 0.3 inches."""

ROW_PIXELS = 14.0
"""Height of a feature where axes are swapped."""

UNLABELLED_PIXELS = (576.0, 288.0)
"""Width, or with swapped axes height, of features without names: scanpy's 8 and 4 inches."""

CELLS_PIXELS = (432.0, 720.0)
"""Height, or with swapped axes width, of all cells: scanpy's 6 and 10 inches."""

MAX_LABELLED = 50


def heatmap(
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
    var_group_rotation: float | None = None,
    layer: str | None = None,
    normalised: bool = False,
    standard_scale: CellScale = None,
    swap_axes: bool = False,
    show_gene_labels: bool | None = None,
    title: str | None = None,
    colorbar_title: str = "Expression",
    vmin: float | None = None,
    vmax: float | None = None,
    vcenter: float | None = None,
    norm: Any = None,
    cmap: Any = "viridis",
) -> hv.Overlay:
    """Return a heatmap of features by cells, as `scanpy.pl.heatmap` draws it.

    More than 2,000 cells are shown as means of neighbouring cells of a group, and the plot says of how many.

    Parameters
    ----------
    dataset, var_names, groupby, use_raw, log, num_categories, categories_order, dendrogram, layer, normalised
        As of `dotplot`.
    var_group_positions, var_group_labels, var_group_rotation
        As of `dotplot`.
    standard_scale
        As of `read_cell_runs`.
    swap_axes
        Whether features are rows.
    show_gene_labels
        Whether their names are shown; by default those of 50 at most.
    title, colorbar_title
        Above the plot, and beside its colour bar.
    vmin, vmax, vcenter, norm, cmap
        Colours of the values, as of `color_scale`.

    Returns
    -------
    An overlay: an `Image` of the values, `Rectangles` of the groups, brackets and tree; for both backends.

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
    runs = read_cell_runs(dataset, features, groups, log=log, standard_scale=standard_scale)
    return draw_heatmap(
        runs,
        color_scale(runs.values, cmap, vmin=vmin, vmax=vmax, vcenter=vcenter, norm=norm),
        tree=tree,
        swap_axes=swap_axes,
        rotation=var_group_rotation,
        labelled=len(features) <= MAX_LABELLED if show_gene_labels is None else show_gene_labels,
        titles=(title, colorbar_title),
    )


def draw_heatmap(
    runs: CellRuns,
    scale: ColorScale,
    *,
    tree: Dendrogram | None = None,
    swap_axes: bool = False,
    rotation: float | None = None,
    labelled: bool = True,
    titles: tuple[str | None, str] = (None, ""),
) -> hv.Overlay:
    """Draw a heatmap.

    Parameters
    ----------
    runs
        What it shows.
    scale
        Colours of its values.
    tree
        Of the groups, in their order.
    swap_axes, rotation
        As of `heatmap`.
    labelled
        Whether the names of features are written.
    titles
        Of the plot and the colour bar.
    """
    n_runs, n_features = runs.values.shape
    if swap_axes:
        height = n_features * ROW_PIXELS if labelled else UNLABELLED_PIXELS[1]
        area = PlotArea(n_runs, n_features, (CELLS_PIXELS[1], height))
    else:
        width = n_features * FEATURE_PIXELS if labelled else UNLABELLED_PIXELS[0]
        area = PlotArea(n_features, n_runs, (width, CELLS_PIXELS[0]))
    shown = runs.values.T if swap_axes else runs.values
    image = hv.Image(shown, bounds=(0, 0, area.width, area.height), kdims=[X, Y], vdims=["value"])
    area.add(
        styled(
            image,
            cmap=list(scale.colors),
            clim=scale.limits,
            colorbar=True,
            clabel=titles[1],
            bokeh={"colorbar_opts": COLORBAR},
            matplotlib={"interpolation": "nearest"},
        )
    )
    add_lines(area, runs, rows=not swap_axes)
    middles = (runs.starts + runs.ends) / 2
    if tree is not None:
        area.add_tree(tree, middles, on_right=not swap_axes)
    area.add_brackets(runs.features.groups, on_right=swap_axes, rotation=rotation)
    of_groups = add_strip(area, runs, on_left=not swap_axes)
    names = runs.features.names if labelled else ()
    of_features = row_ticks(names) if swap_axes else cell_ticks(names)
    note = runs.note("column" if swap_axes else "row")
    return area.overlay(
        xticks=of_groups if swap_axes else of_features,
        yticks=of_features if swap_axes else of_groups,
        title=" - ".join(part for part in (titles[0], note) if part),
        more=70,
    )
