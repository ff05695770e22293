"""What is read of each cell to colour it, or to place it along an axis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import numpy as np

from cellasso.color.coloring import Raw
from cellasso.core.errors import ElementError
from cellasso.model.vector import SUMS, Vector

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from cellasso.color.coloring import Coloring
    from cellasso.core.progress import Progress
    from cellasso.dataset import Dataset

ColorKind: TypeAlias = Literal["obs", "gene", "sum"]

CELL_SUMS = ("total counts", "genes per cell")
"""What the counts of a matrix say of each cell: colours, beside the columns of obs."""


class Source(NamedTuple):
    """Which matrix a gene is read from, and whether its counts are log-normalised on the way to the screen."""

    layer: str | None
    normalised: bool = False


class ColorBy(NamedTuple):
    """What colours the cells, or is an axis: a column of obs, a gene, or a sum of the chosen matrix."""

    kind: ColorKind
    name: str


class Column(NamedTuple):
    """A `ColorBy` with all that decides what is read.

    Attributes
    ----------
    source
        Of a gene or sum: its matrix.
    as_categories
        Of a column of whole numbers: whether they are categories.
    modality
        Of a sum: whose matrix.
    """

    kind: ColorKind
    name: str
    source: Source = Source(None)
    as_categories: bool = False
    modality: str = ""


def vector_of(dataset: Dataset, column: Column) -> Vector:
    """Return what is read for a column that is an axis."""
    if column.kind == "gene":
        owner, name = dataset.feature_owner(column.name, column.source.layer)
        return Vector("gene", name, dataset.name_of(owner), *column.source)
    if column.kind == "sum":
        return Vector("sum", SUMS[CELL_SUMS.index(column.name)], column.modality, column.source.layer)
    owner, name = dataset.owner(column.name, own=dataset.obs)
    return Vector("obs", name, dataset.name_of(owner))


def read_column(dataset: Dataset, column: Column, *, progress: Progress, **options: Any) -> Raw:
    """Read what is to colour the cells; `options` go to `read_feature` where it is a gene."""
    layer, normalised = column.source
    if column.kind == "gene":
        return read_feature(dataset, column.name, layer, normalised=normalised, progress=progress, **options)
    if column.kind == "sum":
        return read_cell_sum(dataset, column.modality, layer or "", column.name, progress=progress)
    return read_obs(dataset, column.name, as_categories=column.as_categories)


def read_obs(dataset: Dataset, column: str, *, as_categories: bool = False) -> Raw:
    """Read a column of obs."""
    return Raw(column, dataset.read_obs(column), as_categories, dataset.read_colors(column))


def color_by_obs(dataset: Dataset, column: str, *, as_categories: bool = False) -> Coloring:
    """Read a column of obs and give it colours.

    Raises
    ------
    ElementError
        Its values are neither numbers nor names.
    """
    return read_obs(dataset, column, as_categories=as_categories).coloring


def read_feature(
    dataset: Dataset,
    feature: str,
    layer: str | None,
    *,
    normalised: bool = False,
    progress: Progress,
    preview: Callable[[Raw, float], None] | None = None,
) -> Raw:
    """Read a feature, as the matrix stores it or log-normalised.

    Parameters
    ----------
    preview
        Shown what a scan has found so far, and the fraction of cells that it has read.
    """
    source = ""

    def show(columns: list[NDArray[np.float32]]) -> None:
        if preview is not None:
            preview(Raw(feature, columns[0], source=source), float(np.mean(~np.isnan(columns[0]))))

    owner, _ = dataset.owner(feature)
    source = describe(layer, normalised=normalised, counts=owner.holds_counts(layer))
    options = {} if preview is None else {"preview": show}
    values = dataset.read_features([feature], layer, normalised=normalised, progress=progress, **options)[0]
    if values.dtype.kind not in "biuf":
        raise ElementError(f"{feature} holds {values.dtype}, which cannot be shown as colours.")
    return Raw(feature, values, source=source)


def read_cell_sum(dataset: Dataset, modality: str, layer: str, name: str, *, progress: Progress) -> Raw:
    """Add up the counts of each cell of a modality, or the genes seen in it, as `name` (one of `CELL_SUMS`) says."""
    sums = dataset[modality].read_cell_sums(layer, progress=progress)
    values = sums.totals if name == CELL_SUMS[0] else sums.n_nonzero
    owner = f"{modality}:" if modality else ""
    return Raw(name, dataset.alignment(modality).array(values), source=f"of {owner}{layer}, exact")


def describe(layer: str | None, *, normalised: bool, counts: bool) -> str:
    """Return which matrix and which transform is shown, in the words of the screen."""
    what = "log1p of counts per 10,000" if normalised else "raw counts" if counts else "as stored"
    return f"{layer or 'X'}, {what}"
