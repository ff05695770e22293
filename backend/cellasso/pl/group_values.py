"""Means and fractions of features over groups: the numbers of a dotplot and of a matrixplot."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import pandas as pd

from cellasso.core.errors import ElementError
from cellasso.pl.columns import read_columns
from cellasso.stats.expressed import count_expressed
from cellasso.stats.group_summary import summarise_groups, unit_scaled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cellasso.dataset import Dataset, Modality
    from cellasso.pl.features import Features
    from cellasso.pl.groups import Groups

    StandardScale: TypeAlias = Literal["var", "group"] | None


@dataclass(frozen=True)
class GroupValues:
    """What a plot of genes by groups shows.

    Attributes
    ----------
    groups, features
        Its rows and columns.
    mean
        Of the values in each group, `(n_groups, n_features)` float64, in the unit of the values or, scaled, 0 to 1.
    fraction
        Of the cells of each group whose value is above the cutoff, 0 to 1, of the same shape. Cells without a value do
        not count.
    """

    groups: Groups
    features: Features
    mean: NDArray[np.float64]
    fraction: NDArray[np.float64]

    @property
    def mean_frame(self) -> pd.DataFrame:
        """The means as a frame of groups by features: `dot_color_df` and `values_df` of scanpy's classes."""
        return self._frame(self.mean)

    @property
    def fraction_frame(self) -> pd.DataFrame:
        """The fractions as a frame of groups by features: `dot_size_df` of scanpy's `DotPlot`."""
        return self._frame(self.fraction)

    def _frame(self, values: NDArray[np.float64]) -> pd.DataFrame:
        index = pd.Index(self.groups.labels, name=self.groups.name, dtype=object)
        return pd.DataFrame(values, index=index, columns=pd.Index(self.features.names, dtype=object))


def read_group_values(
    dataset: Dataset | Modality,
    features: Features,
    groups: Groups,
    *,
    log: bool = False,
    expression_cutoff: float = 0.0,
    mean_only_expressed: bool = False,
    standard_scale: StandardScale = None,
) -> GroupValues:
    """Read features and average them over groups, as scanpy's `DotPlot` and `MatrixPlot` do.

    By `Dataset.summarise`; column by column where `log`, a cutoff or `mean_only_expressed` ask for more than that
    gives.

    Parameters
    ----------
    dataset
        The file, or a modality of it.
    features, groups
        What is shown.
    log
        Whether means are those of `log1p` of the values, to which the cutoff applies, too.
    expression_cutoff
        A cell expresses a feature whose value is above it.
    mean_only_expressed
        Whether means are those of the cells that express it; 0 where none does.
    standard_scale
        Whether the means of each feature (`"var"`) or of each group (`"group"`) are scaled from 0 to 1.

    Raises
    ------
    NotFoundError, ElementError
        As `read_columns`; `standard_scale` is none of the two.
    """
    if log or expression_cutoff or mean_only_expressed:
        values = _OfColumns(groups, expression_cutoff, mean_only_expressed).read(dataset, features, log=log)
    else:
        summary = dataset.summarise(
            features.names, groups.codes, len(groups), layer=features.layer, normalised=features.normalised
        )
        values = GroupValues(groups, features, summary.mean, summary.fraction)
    return standardised(values, standard_scale)


@dataclass(frozen=True)
class _OfColumns:
    """Means and fractions that take every value of a column."""

    groups: Groups
    cutoff: float
    mean_only_expressed: bool

    def read(self, dataset: Dataset | Modality, features: Features, *, log: bool) -> GroupValues:
        codes, n_groups = self.groups.codes, len(self.groups)
        mean, fraction = np.zeros((2, n_groups, len(features)))
        for slot, column in read_columns(dataset, features, log=log):
            found = count_expressed(column, codes, n_groups, self.cutoff, n_cells=self.groups.n_cells)
            fraction[:, slot] = found.fraction
            of_all = None if self.mean_only_expressed else summarise_groups([column], codes, n_groups)
            mean[:, slot] = found.mean if of_all is None else of_all.mean[:, 0]
        return GroupValues(self.groups, features, mean, fraction)


def standardised(values: GroupValues, standard_scale: StandardScale) -> GroupValues:
    """Return the same with means from 0 to 1 in each feature or group; 0 where all are the same.

    Parameters
    ----------
    values
        Of any unit.
    standard_scale
        `"var"`, `"group"`, or `None`: as they are.

    Raises
    ------
    ElementError
        It is none of these.
    """
    if standard_scale is None:
        return values
    axis = {"var": 0, "group": 1}.get(standard_scale)
    if axis is None:
        raise ElementError(f"standard_scale={standard_scale!r} is not known; it is 'var', 'group' or None.")
    return replace(values, mean=unit_scaled(values.mean, axis))
