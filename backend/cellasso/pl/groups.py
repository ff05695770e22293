"""Which cells of a plot belong together: the groups of one column or of several, with their names and colours."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cellasso.color.coloring import category_colors
from cellasso.core.errors import AmbiguousNameError, ElementError, NotFoundError
from cellasso.core.text import nearest
from cellasso.stats.group_summary import count_groups

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cellasso.dataset import Dataset, Modality
    from cellasso.model.vector import Vector

MAX_GROUPS = 10_000
"""More are names of cells rather than groups: a plot of them shows nothing."""


@dataclass(frozen=True)
class Groups:
    """Groups of cells; those of a plot have at least one each, see `having_cells`.

    Attributes
    ----------
    name
        Of the column; several are joined by `_`.
    codes
        Group of each cell, `(n_obs,)` int32; -1 is in no group.
    labels, colors
        Name and `#rrggbb` of each group.
    n_cells
        How many cells each has, `(n_groups,)`.
    """

    name: str
    codes: NDArray[np.int32]
    labels: tuple[str, ...]
    colors: tuple[str, ...]
    n_cells: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def having_cells(self) -> Groups:
        """Those of at least one cell."""
        return self if self.n_cells.all() else self.ordered(np.flatnonzero(self.n_cells).tolist())

    def ordered(self, order: Sequence[int]) -> Groups:
        """Return those groups whose positions are given, in this order; the cells of the others are in none."""
        at = np.asarray(order, dtype=np.int64)
        places = np.full(len(self) + 1, -1, dtype=np.int32)  # the last one: where code -1 looks
        places[at] = np.arange(len(at), dtype=np.int32)
        return replace(
            self,
            codes=places[self.codes],
            labels=tuple(self.labels[i] for i in at),
            colors=tuple(self.colors[i] for i in at),
            n_cells=self.n_cells[at],
        )


def read_groups(
    dataset: Dataset | Modality,
    groupby: str | Sequence[str],
    *,
    categories_order: Sequence[str] | None = None,
    num_categories: int = 7,
) -> Groups:
    """Read the groups of cells that scanpy's plots make of `groupby`.

    Categories without cells are left out. Those of several columns are joined by `_`, in the order of their categories.
    A column of numbers is cut into `num_categories` ranges of equal width.

    Parameters
    ----------
    dataset
        The file, or a modality of it.
    groupby
        Name of a column of obs, as `groupby_vector` finds it, or several.
    categories_order
        Names of the groups in the order in which they are wanted; those that are not named are left out.
    num_categories
        Ranges of a column of numbers.

    Raises
    ------
    NotFoundError
        There is no such column, or no such group.
    ElementError
        The column is damaged, has more than `MAX_GROUPS` groups or no number to cut; `groupby` is empty; a group is
        named twice.
    """
    names = [groupby] if isinstance(groupby, str) else list(groupby)
    if not names:
        raise ElementError("No groups to show: groupby is empty.")
    vectors = [groupby_vector(dataset, name) for name in names]
    columns = [_categorical(dataset.cells[each], num_categories if len(names) == 1 else None) for each in vectors]
    joined = columns[0] if len(columns) == 1 else _joined(columns)
    labels = [str(label) for label in joined.cat.categories]
    if len(labels) > MAX_GROUPS:
        raise ElementError(
            f"{', '.join(names)} has {len(labels):,} different values; at most {MAX_GROUPS:,} groups can be shown."
        )
    codes = joined.cat.codes.to_numpy().astype(np.int32)
    stated = dataset.vectors.read_colors(vectors[0]) if len(names) == 1 else None
    n_cells = count_groups(codes, len(labels))
    groups = Groups("_".join(names), codes, tuple(labels), category_colors(stated, len(labels)), n_cells)
    if categories_order is None:
        return groups.having_cells
    if len(set(categories_order)) < len(categories_order):
        raise ElementError(f"categories_order names {_first_twin(list(categories_order))!r} twice.")
    unknown = [label for label in categories_order if label not in labels]
    if unknown:
        raise NotFoundError(f"{groups.name} has no group {unknown[0]!r}{nearest(str(unknown[0]), labels)}")
    return groups.ordered([labels.index(label) for label in categories_order])


def groupby_vector(dataset: Dataset | Modality, name: str) -> Vector:
    """Return the vector that `groupby` names: as `Vectors.resolve` finds it, a column of obs before a feature.

    Parameters
    ----------
    dataset, name
        As of `read_groups`, one name.

    Raises
    ------
    NotFoundError
        There is no such column.
    """
    try:
        return dataset.cells.vector(name)
    except AmbiguousNameError:
        return dataset.cells.vector(dataset.expression_name(name))


def _categorical(column: pd.Series, n_ranges: int | None) -> pd.Series:
    """Return a column as categories; numbers in ranges, where these are asked for."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column
    is_number = pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype)
    if is_number and n_ranges is not None:
        numbers = pd.Series(column.to_numpy(dtype=np.float64, na_value=np.nan))
        numbers = numbers.where(np.isfinite(numbers))  # an infinite one is in no range of a finite width
        if not numbers.notna().any():
            raise ElementError(f"{column.name} has no number that could be cut into ranges.")
        return pd.cut(numbers, n_ranges)
    return column.astype("category")


def _joined(columns: list[pd.Series]) -> pd.Series:
    """Return the combinations of several columns that there are, as categories; a cell that lacks one is in none."""
    lengths = [len(column.cat.categories) for column in columns]
    codes = [column.cat.codes.to_numpy().astype(np.int64) for column in columns]
    known = np.logical_and.reduce([part >= 0 for part in codes])
    combined = np.zeros(len(columns[0]), dtype=np.int64)
    for part, length in zip(codes, lengths, strict=True):
        combined = combined * length + part
    present, places = np.unique(combined[known], return_inverse=True)
    parts = np.unravel_index(present, lengths)
    labels = [
        "_".join(str(column.cat.categories[i]) for column, i in zip(columns, row, strict=True))
        for row in zip(*parts, strict=True)
    ]
    found: Any = np.full(len(combined), -1, dtype=np.int64)  # the stubs ask for a list
    found[known] = places
    if len(set(labels)) < len(labels):  # "a_b" and "c" read as "a" and "b_c"
        raise ElementError(
            f"Two combinations of the columns are both called {_first_twin(labels)!r}; rename a category."
        )
    return pd.Series(pd.Categorical.from_codes(found, categories=pd.Index(labels)))


def _first_twin(labels: list[str]) -> str:
    return next(label for i, label in enumerate(labels) if label in labels[:i])
