"""The colours of a column or gene that the page calls so, for tests that look at nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cellasso.model.vector import Vector
from cellasso_app.render.cell_values import gene_vector, obs_vector, read_cell_values

if TYPE_CHECKING:
    from cellasso.color.coloring import CellValues, Coloring
    from cellasso.dataset import Dataset


def color_by_obs(dataset: Dataset, column: str, *, as_categories: bool = False) -> Coloring:
    """Read a column of obs and give it colours."""
    vector = obs_vector(dataset, column) if hasattr(dataset, "owner") else Vector("obs", column)
    return read_cell_values(dataset, vector, as_categories=as_categories).coloring


def read_gene(dataset: Dataset, gene: str, layer: str | None = None, **options: Any) -> CellValues:
    """Read a gene of a matrix."""
    vector = gene_vector(dataset, gene)
    normalised = options.pop("normalised", False)
    return read_cell_values(
        dataset, Vector("gene", vector.name, vector.modality, layer, normalised=normalised), **options
    )
