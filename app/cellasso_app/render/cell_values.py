"""What a file has for each cell: read to colour it, by the vector that it is, and what the page calls that vector."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from cellasso.color.coloring import CellValues
from cellasso.core.errors import ElementError
from cellasso.model.vector import SUMS, Vector

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from cellasso.core.progress import Progress
    from cellasso.dataset import Dataset

CELL_SUMS = ("total counts", "genes per cell")
"""What the page calls the `SUMS` of a cell, which can be colours beside the columns of obs."""


class ColoringKey(NamedTuple):
    """What decides the colours of the cells: a vector, and whether whole numbers are categories."""

    vector: Vector
    as_categories: bool = False


def page_name(vector: Vector) -> str:
    """Return what the page calls a vector: a column or gene of a modality as `rna:CD4`, a sum by its words."""
    if vector.kind == "sum":
        return CELL_SUMS[SUMS.index(vector.name)]
    return f"{vector.modality}:{vector.name}" if vector.modality else vector.name


def obs_vector(dataset: Dataset, column: str) -> Vector:
    """Return the column of obs that the page calls so."""
    owner, name = dataset.owner(column, own=dataset.obs)
    return Vector("obs", name, dataset.name_of(owner))


def gene_vector(dataset: Dataset, gene: str) -> Vector:
    """Return the gene that the page calls so, of whichever matrix."""
    owner, name = dataset.owner(gene)
    return Vector("gene", name, dataset.name_of(owner))


def sum_vector(name: str) -> Vector:
    """Return the sum that the page calls so (one of `CELL_SUMS`), of whichever matrix."""
    return Vector("sum", SUMS[CELL_SUMS.index(name)])


def without_matrix(vector: Vector) -> Vector:
    """Return a vector as it is chosen: a gene without its matrix, a sum without its modality too.

    Both follow what is chosen of matrices.
    """
    if vector.kind == "sum":
        return Vector("sum", vector.name)
    return replace(vector, layer=None, normalised=False)


def read_cell_values(
    dataset: Dataset,
    vector: Vector,
    *,
    as_categories: bool = False,
    progress: Progress | None = None,
    preview: Callable[[CellValues, float], None] | None = None,
) -> CellValues:
    """Read what is to colour the cells, `(n_obs,)`.

    Parameters
    ----------
    vector
        A column of obs, a gene or a sum; one gene as the matrix stores it or log-normalised.
    as_categories
        Of a column of whole numbers: whether they are categories.
    progress
        Told the fraction done where it takes a pass over a matrix; may raise `Cancelled`.
    preview
        Shown what the scan for a gene has found so far, and the fraction of cells that it has read.

    Raises
    ------
    NotFoundError
        The file does not have it.
    ElementError
        It is damaged, or a gene whose values are no numbers.
    """
    name = page_name(vector)
    if vector.kind == "obs":
        values = dataset.vectors.read(vector)
        return CellValues(name, values, as_categories, dataset.read_colors(name))
    if vector.kind == "sum":
        owner = f"{vector.modality}:" if vector.modality else ""
        sums = dataset.vectors.read(vector, progress=progress)
        return CellValues(name, sums, source=f"of {owner}{vector.layer or ''}, exact")
    counts = dataset[vector.modality].holds_counts(vector.layer)
    source = describe(vector.layer, normalised=vector.normalised, counts=counts)

    def show(columns: list[NDArray[np.float32]]) -> None:
        if preview is not None:
            preview(CellValues(name, columns[0], source=source), float(np.mean(~np.isnan(columns[0]))))

    read = dataset.vectors.read(vector, progress=progress, preview=None if preview is None else show)
    if not pd.api.types.is_numeric_dtype(read.dtype):
        raise ElementError(f"{name} holds {read.dtype}, which cannot be shown as colours.")
    # a series where the modality lacks cells: an array says that by NaN
    numbers = read.to_numpy(np.float64, na_value=np.nan) if isinstance(read, pd.Series) else read
    return CellValues(name, numbers, source=source)


def describe(layer: str | None, *, normalised: bool, counts: bool) -> str:
    """Return which matrix and which transform is shown, in the words of the screen."""
    what = "log1p of counts per 10,000" if normalised else "raw counts" if counts else "as stored"
    return f"{layer or 'X'}, {what}"
