"""The two axes of a picture: dimensions of an embedding, or any two columns and features."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cellasso.axis import Axis
from cellasso.plane import Plane
from cellasso_app.coloring import read_cell_sum, read_feature, read_obs
from cellasso_app.session import CELL_SUMS

if TYPE_CHECKING:
    from cellasso.dataset import Dataset
    from cellasso.matrix import Progress
    from cellasso_app.coloring import Raw
    from cellasso_app.session import Column


class Axes(NamedTuple):
    """What a picture's axes are.

    Attributes
    ----------
    embedding
        Name as `Dataset.plane` takes it; `""` for columns, or for nothing at all.
    dims
        Its two dimensions.
    columns
        What is drawn instead, along x and along y.
    """

    embedding: str = ""
    dims: tuple[int, int] = (0, 1)
    columns: tuple[Column, Column] | None = None

    def __bool__(self) -> bool:
        return bool(self.embedding) or self.columns is not None

    @property
    def in_space(self) -> bool:
        """Whether they are places in a tissue, whose numbers mean something."""
        return "spatial" in self.embedding.casefold()

    @property
    def have_ticks(self) -> bool:
        """Whether their numbers are worth showing; those of UMAPs mean nothing."""
        return self.columns is not None or self.in_space

    @property
    def equal(self) -> bool:
        """Whether a unit is as long on both."""
        return self.columns is None

    def names(self, labels: tuple[str, str]) -> tuple[str, str]:
        """Return what the axes are called.

        Parameters
        ----------
        labels
            What people call the columns, or the dimensions of the embedding.
        """
        if self.columns is not None:
            return labels
        name = self.embedding.rpartition(":")[2].removeprefix("X_")
        name = name.upper() if name.islower() and len(name) <= 4 else name
        first, second = (label if label.isdecimal() else f" {label}" for label in labels)
        return (f"{name}{first}", f"{name}{second}") if name else ("", "")


def make_plane(dataset: Dataset, axes: Axes, *, progress: Progress) -> Plane:
    """Read what the axes are, and sort the cells along them; without axes no cell has a place."""
    if axes.columns is not None:
        return Plane.of(np.stack([axis_of(column).read(dataset, progress=progress) for column in axes.columns], axis=1))
    return dataset.plane(axes.embedding, axes.dims) if axes.embedding else Plane.empty(dataset.n_obs)


def axis_of(column: Column) -> Axis:
    """Return what the backend calls a column that is an axis."""
    if column.kind == "gene":
        return Axis("feature", column.name, *column.source)
    if column.kind == "sum":
        return Axis("total" if column.name == CELL_SUMS[0] else "n_nonzero", column.modality, column.source.layer)
    return Axis("obs", column.name)


def read_column(dataset: Dataset, column: Column, *, progress: Progress, **options: Any) -> Raw:
    """Read what is to colour the cells; `options` go to `read_feature` where it is a gene."""
    layer, normalised = column.source
    if column.kind == "gene":
        return read_feature(dataset, column.name, layer, normalised=normalised, progress=progress, **options)
    if column.kind == "sum":
        return read_cell_sum(dataset, column.modality, layer or "", column.name, progress=progress)
    return read_obs(dataset, column.name, as_categories=column.as_categories)
