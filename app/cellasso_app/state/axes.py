"""The two axes of a picture: dimensions of an embedding, or any two columns and features."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cellasso.model.vector import Vector
from cellasso.points.point_index import PointIndex

if TYPE_CHECKING:
    from cellasso.core.progress import Progress
    from cellasso.dataset import Dataset


class Axes(NamedTuple):
    """What a picture's axes are.

    Attributes
    ----------
    embedding
        Name as `Dataset.point_index` takes it; `""` for a pair of vectors, or for nothing at all.
    dims
        Its two dimensions.
    pair
        What is drawn instead, along x and along y.
    """

    embedding: str = ""
    dims: tuple[int, int] = (0, 1)
    pair: tuple[Vector, Vector] | None = None

    def __bool__(self) -> bool:
        return bool(self.embedding) or self.pair is not None

    @property
    def in_space(self) -> bool:
        """Whether they are places in a tissue, whose numbers mean something."""
        return "spatial" in self.embedding.casefold()

    @property
    def have_ticks(self) -> bool:
        """Whether their numbers are worth showing; those of UMAPs mean nothing."""
        return self.pair is not None or self.in_space

    @property
    def equal(self) -> bool:
        """Whether a unit is as long on both."""
        return self.pair is None

    def vectors(self, dataset: Dataset) -> tuple[Vector, Vector]:
        """Return what stands along x and along y; of an embedding its dimensions."""
        if self.pair is not None:
            return self.pair
        modality, key = dataset.owner(self.embedding, own=dataset.obsm)
        own = dataset.name_of(modality)
        return Vector("obsm", key, own, dim=self.dims[0]), Vector("obsm", key, own, dim=self.dims[1])

    def names(self, labels: tuple[str, str]) -> tuple[str, str]:
        """Return what the axes are called.

        Parameters
        ----------
        labels
            What people call the vectors, or the dimensions of the embedding.
        """
        if self.pair is not None:
            return labels
        name = self.embedding.rpartition(":")[2].removeprefix("X_")
        name = name.upper() if name.islower() and len(name) <= 4 else name
        first, second = (label if label.isdecimal() else f" {label}" for label in labels)
        return (f"{name}{first}", f"{name}{second}") if name else ("", "")


def make_points(dataset: Dataset, axes: Axes, *, progress: Progress) -> PointIndex:
    """Read what the axes are, and sort the cells along them; without axes no cell has a place."""
    if axes.pair is not None:
        read = dataset.vectors.read_numbers
        return PointIndex.of(np.stack([read(vector, progress=progress) for vector in axes.pair], axis=1))
    return dataset.point_index(axes.embedding, axes.dims) if axes.embedding else PointIndex.empty(dataset.n_obs)
