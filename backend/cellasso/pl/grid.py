"""A plot of features by groups: a unit square for each pair, brackets over features and a tree beside groups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cellasso.pl.plot_area import PlotArea, X, Y, cell_ticks, row_ticks

if TYPE_CHECKING:
    import holoviews as hv
    from numpy.typing import NDArray

    from cellasso.pl.features import Features
    from cellasso.pl.group_values import GroupValues
    from cellasso.pl.groups import Groups
    from cellasso.stats.dendrogram import Dendrogram

CELL_PIXELS = (26.0, 25.0)
"""Width and height of a square: scanpy's 0.37 and 0.35 inches."""

HOVER = [
    ("", "@feature in @group"),
    ("mean", "@mean{0.000}"),
    ("fraction", "@fraction{0.0%}"),
    ("cells", "@cells{0,0}"),
]
"""What Bokeh shows of a pair under the pointer; it writes names as text, never as HTML."""


def grid_area(n_groups: int, n_features: int, *, swap_axes: bool) -> PlotArea:
    """Return the area of a plot of features by groups, a unit each.

    Parameters
    ----------
    n_groups, n_features
        How many there are.
    swap_axes
        Whether features are rows.
    """
    n_rows, n_columns = (n_features, n_groups) if swap_axes else (n_groups, n_features)
    return PlotArea(n_columns, n_rows, (n_columns * CELL_PIXELS[0], n_rows * CELL_PIXELS[1]))


def surround(
    area: PlotArea,
    groups: Groups,
    features: Features,
    tree: Dendrogram | None,
    *,
    swap_axes: bool,
    rotation: float | None,
) -> None:
    """Add the brackets over features and the tree of the groups.

    Parameters
    ----------
    area
        Of `grid_area`.
    groups, features
        What is shown.
    tree
        Of the groups, in their order.
    swap_axes
        Whether features are rows.
    rotation
        Of the labels of brackets above, 0 or 90 degrees.
    """
    if tree is not None:
        area.add_tree(tree, np.arange(len(groups)) + 0.5, on_right=not swap_axes)
    area.add_brackets(features.groups, on_right=swap_axes, rotation=rotation)


def long_form(values: GroupValues, *, swap_axes: bool) -> dict[str, NDArray[Any]]:
    """Return what is shown as columns, one entry for each group and feature: its place, names and numbers.

    Parameters
    ----------
    values
        What is shown.
    swap_axes
        Whether features are rows.
    """
    n_groups, n_features = values.mean.shape
    group, feature = (at.ravel() for at in np.indices((n_groups, n_features)))
    row, column, n_rows = (feature, group, n_features) if swap_axes else (group, feature, n_groups)
    return {
        X: column + 0.5,
        Y: n_rows - row - 0.5,
        "feature": np.array(values.features.names, dtype=object)[feature],
        "group": np.array(values.groups.labels, dtype=object)[group],
        "mean": values.mean.ravel(),
        "fraction": values.fraction.ravel(),
        "cells": values.groups.n_cells[group],
    }


def grid_overlay(
    area: PlotArea, groups: Groups, features: Features, title: str | None, *, swap_axes: bool
) -> hv.Overlay:
    """Return a plot of features by groups with their names along the axes.

    Parameters
    ----------
    area
        Of `grid_area`, with all that is drawn.
    groups, features, swap_axes
        As of `surround`.
    title
        Above the plot.
    """
    rows, columns = groups.labels, features.names
    if swap_axes:
        rows, columns = columns, rows
    return area.overlay(xticks=cell_ticks(columns), yticks=row_ticks(rows), title=title, more=70)
