"""Groups, features and the tree of what is asked for, as `cellasso.pl` takes them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from cellasso.color.palettes import COLOR_MAPS
from cellasso.pl.color_scale import color_scale
from cellasso.pl.features import Features
from cellasso.pl.groups import Groups
from cellasso.pl.layout import Layout
from cellasso_app.panels.plots.arrangement import tree_of
from cellasso_app.render.labels import short_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cellasso.color.coloring import Categories
    from cellasso.pl.color_scale import ColorScale
    from cellasso_app.panels.plots.asked import Asked


LONGEST = 18
"""Letters of a group's name; more would leave no room for the plot."""


def lay_out(asked: Asked) -> Layout:
    """Return groups that have cells, in the order that is asked for, and the features."""
    summed = asked.summed
    n_cells = summed.summary.n_cells
    all_groups = Groups(summed.grouping.name, summed.codes.astype(np.int32), summed.groups, asked.colors, n_cells)
    groups = all_groups.having_cells
    tree = tree_of(summed.summary.mean[n_cells > 0]) if asked.arranged.similar else None
    if tree is not None:
        groups = groups.ordered(tree.order)
    return Layout(groups, Features(asked.names, (), None, normalised=False), tree)


def named_short(groups: Groups) -> Groups:
    """Return groups whose names fit beside a plot in a narrow panel, each another."""
    return replace(groups, labels=tuple(short_names(groups.labels, LONGEST)))


def room_for(names: Sequence[str]) -> int:
    """Return about how many pixels the longest of names takes that stand upright."""
    return 16 + 7 * max(map(len, names), default=0)


def as_groups(column: Categories) -> Groups:
    """Return the categories of a column that have cells."""
    return Groups(column.name, column.codes.astype(np.int32), column.labels, column.colors, column.counts).having_cells


def page_colors(asked: Asked, values: NDArray[np.floating]) -> ColorScale:
    """Return the page's colours of values, from 0 where none is below it."""
    known = values[np.isfinite(values)]
    low = min(0.0, float(known.min(initial=0.0)))
    return color_scale(values, list(COLOR_MAPS[asked.dark]), vmin=low)
