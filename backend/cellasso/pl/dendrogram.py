"""The dendrogram: which groups of cells are alike, as a tree of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from cellasso.core.errors import ElementError
from cellasso.pl.grid import CELL_PIXELS
from cellasso.pl.groups import read_groups
from cellasso.pl.plot_area import PlotArea
from cellasso.pl.tree import read_tree

if TYPE_CHECKING:
    from collections.abc import Sequence

    import holoviews as hv

    from cellasso.dataset import Dataset, Modality
    from cellasso.pl.features import VarNames
    from cellasso.stats.dendrogram import CorrelationMethod, Dendrogram

    Orientation: TypeAlias = Literal["top", "bottom", "left", "right"]

ORIENTATIONS = ("top", "bottom", "left", "right")
DEPTH_PIXELS = 220.0
"""From the leaves to the root."""


def dendrogram(
    dataset: Dataset | Modality,
    groupby: str | Sequence[str],
    *,
    n_pcs: int | None = None,
    use_rep: str | None = None,
    var_names: VarNames | None = None,
    use_raw: bool | None = None,
    cor_method: CorrelationMethod = "pearson",
    linkage_method: str = "complete",
    optimal_ordering: bool = False,
    categories_order: Sequence[str] | None = None,
    orientation: Orientation = "top",
    remove_labels: bool = False,
    title: str | None = None,
) -> hv.Overlay:
    """Return the dendrogram of groups, as `scanpy.tl.dendrogram` computes and `scanpy.pl.dendrogram` draws it.

    Parameters
    ----------
    dataset
        The file, or a modality of it.
    groupby
        Column of obs, or several whose categories are joined.
    n_pcs, use_rep, var_names, use_raw, cor_method, linkage_method, optimal_ordering
        As of `cellasso.pl.tree.read_tree`. Where `var_names` are given these count, and no others: scanpy 1.11 then
        takes all features.
    categories_order
        Which groups; all by default. The tree orders them.
    orientation
        Where the root is.
    remove_labels
        Whether the names of the groups are left out.
    title
        Above the plot.

    Raises
    ------
    NotFoundError, ElementError
        As `read_groups` and `read_tree`; the orientation is not known.
    """
    if orientation not in ORIENTATIONS:
        raise ElementError(f"orientation={orientation!r} is not known; there are {', '.join(ORIENTATIONS)}.")
    groups = read_groups(dataset, groupby, categories_order=categories_order)
    tree = read_tree(
        dataset,
        groupby,
        groups,
        n_pcs=n_pcs,
        use_rep=use_rep,
        var_names=var_names,
        use_raw=use_raw,
        cor_method=cor_method,
        linkage_method=linkage_method,
        optimal_ordering=optimal_ordering,
    )
    labels = groups.ordered(tree.order).labels
    return draw_tree(tree, () if remove_labels else labels, orientation=orientation, title=title)


def draw_tree(
    tree: Dendrogram, labels: Sequence[str], *, orientation: Orientation = "top", title: str | None = None
) -> hv.Overlay:
    """Draw a dendrogram.

    Parameters
    ----------
    tree
        What is drawn.
    labels
        Names of its leaves in their order; none are written where there are none.
    orientation, title
        As of `dendrogram`.
    """
    n_leaves = len(tree.order)
    upright = orientation in {"top", "bottom"}
    along, height = tree.branches[..., 0], tree.branches[..., 1]
    away = height if orientation in {"top", "right"} else -height
    depth = max(tree.height, 1e-300)
    low = 0.0 if orientation in {"top", "right"} else -depth
    if upright:
        area = PlotArea(n_leaves, depth, (n_leaves * CELL_PIXELS[0], DEPTH_PIXELS))
        corners = np.stack([along, away - low], axis=2)
    else:  # the first leaf at the top, as of the rows of a plot
        area = PlotArea(depth, n_leaves, (DEPTH_PIXELS, n_leaves * CELL_PIXELS[1]))
        corners = np.stack([away - low, n_leaves - along], axis=2)
    area.add_lines(list(corners), "Tree", line_width=1.5)
    places = np.arange(n_leaves) + 0.5
    ticks = list(zip((places if upright else n_leaves - places).tolist(), labels, strict=False))
    return area.overlay(
        xticks=ticks if upright else [],
        yticks=[] if upright else ticks,
        title=title,
        sides=("top" if orientation == "bottom" else "bottom", "right" if orientation == "left" else "left"),
    )
