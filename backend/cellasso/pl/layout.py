"""What a plot of features by groups shows and in which order: scanpy's arguments, for all such plots."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from cellasso.pl.features import choose_features
from cellasso.pl.groups import read_groups
from cellasso.pl.tree import in_order_of, plot_tree

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cellasso.dataset import Dataset, Modality
    from cellasso.pl.features import Features, VarNames
    from cellasso.pl.groups import Groups
    from cellasso.stats.dendrogram import Dendrogram


class Layout(NamedTuple):
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


def read_layout(
    dataset: Dataset | Modality,
    var_names: VarNames,
    groupby: str | Sequence[str],
    *,
    categories_order: Sequence[str] | None,
    num_categories: int,
    dendrogram: bool | str,
    **which: Any,
) -> Layout:
    """Read the groups, find the features, and put both in the order of the dendrogram.

    Parameters
    ----------
    dataset, groupby, categories_order, num_categories
        As of `read_groups`.
    var_names, **which
        As of `choose_features`.
    dendrogram
        As of `plot_tree`.

    Raises
    ------
    NotFoundError, ElementError
        As these.
    """
    groups = read_groups(dataset, groupby, categories_order=categories_order, num_categories=num_categories)
    features = choose_features(dataset, var_names, **which)
    tree = plot_tree(dataset, groupby, groups, dendrogram)
    return Layout(*in_order_of(tree, groups, features), tree)
