"""Groups, features and the tree of what is asked for, as `cellasso.pl` takes them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cellasso.color.palettes import COLOR_MAPS
from cellasso.pl.color_scale import color_scale
from cellasso.pl.features import Features
from cellasso.pl.groups import Groups
from cellasso.stats.group_summary import count_groups
from cellasso_app.panels.plots.arrangement import tree_of
from cellasso_app.render.labels import short_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cellasso.color.coloring import Categories
    from cellasso.pl.color_scale import ColorScale
    from cellasso.stats.dendrogram import Dendrogram
    from cellasso_app.panels.plots.asked import Asked


LONGEST = 18
"""Letters of a group's name; more would leave no room for the plot."""


class Laid(NamedTuple):
    """Rows and columns of a plot.

    Attributes
    ----------
    groups, features
        In the order in which they stand.
    tree
        Of the groups, in their order; `None` where none is asked for.
    """

    groups: Groups
    features: Features
    tree: Dendrogram | None


def lay_out(asked: Asked) -> Laid:
    """Return groups that have cells, in the order that is asked for, and the features."""
    summed = asked.summed
    counts = count_groups(summed.codes, len(summed.groups))
    groups = Groups(summed.grouping.name, summed.codes.astype(np.int32), summed.groups, asked.colors, counts)
    having = np.flatnonzero(counts)
    if len(having) < len(groups):
        groups = groups.ordered(having.tolist())
    tree = tree_of(summed.summary.mean[having]) if asked.arranged.similar else None
    if tree is not None:
        groups = groups.ordered(tree.order)
    return Laid(groups, Features(asked.names, (), None, normalised=False), tree)


def named_short(groups: Groups) -> Groups:
    """Return groups whose names fit beside a plot in a narrow panel, each another."""
    return replace(groups, labels=tuple(short_names(groups.labels, LONGEST)))


def room_for(names: Sequence[str]) -> int:
    """Return about how many pixels the longest of names takes that stand upright."""
    return 16 + 7 * max(map(len, names), default=0)


def as_groups(column: Categories) -> Groups:
    """Return the categories of a column that have cells."""
    codes = column.codes.astype(np.int32)
    counts = count_groups(codes, len(column.labels))
    groups = Groups(column.name, codes, column.labels, column.colors, counts)
    return groups if counts.all() else groups.ordered(np.flatnonzero(counts).tolist())


def page_colors(asked: Asked, values: NDArray[np.floating]) -> ColorScale:
    """Return the page's colours of values, from 0 where none is below it."""
    known = values[np.isfinite(values)]
    low = min(0.0, float(known.min(initial=0.0)))
    return color_scale(values, list(COLOR_MAPS[asked.dark]), vmin=low)
