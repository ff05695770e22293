"""The plane in which a plot shows cells: two dimensions of an embedding, or any two values, sorted for drawing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cellasso.core.errors import NotFoundError
from cellasso.core.text import nearest
from cellasso.dataset import Dataset
from cellasso.pl.vectors import read_numbers, vector_name
from cellasso.points.point_index import PointIndex, Viewport

if TYPE_CHECKING:
    from cellasso.dataset import Modality
    from cellasso.model.vector import Vector

SIDE = 400
"""Pixels of the longer side of a plot's frame."""

NARROWEST = 0.5
"""The shorter side of a frame as a part of the longer one, at least."""

MARGIN = 0.05
"""Free space around the cells, as matplotlib leaves it, as a part of what they take."""

BASIS_NAMES = {"diffmap": "DC", "tsne": "tSNE", "umap": "UMAP", "pca": "PC"}
"""What scanpy calls the axes of an embedding."""


@dataclass(frozen=True)
class Plane:
    """Cells as points, with the frame that shows them.

    Attributes
    ----------
    points
        The cells that have a place.
    labels
        What both axes are called.
    viewport
        What the frame shows.
    width, height
        Of the frame, in pixels of the screen.
    """

    points: PointIndex
    labels: tuple[str, str]
    viewport: Viewport
    width: int
    height: int


def embedding_plane(dataset: Dataset | Modality, basis: str, dimensions: tuple[int, int] = (0, 1)) -> Plane:
    """Return two dimensions of an embedding; a unit is as long on both axes.

    Parameters
    ----------
    dataset
        The file, or a modality of it.
    basis
        As of `basis_key`.
    dimensions
        Which two, counted from 0.

    Raises
    ------
    NotFoundError, ElementError
        There is no such embedding or dimension, or it is damaged.
    """
    key = basis_key(dataset, basis)
    x, y = (int(dim) for dim in dimensions)
    points = dataset.point_index(key, (x, y))
    return equal_plane(points, (axis_label(dataset, key, x), axis_label(dataset, key, y)))


def equal_plane(points: PointIndex, labels: tuple[str, str], viewport: Viewport | None = None) -> Plane:
    """Return a plane on whose axes a unit is equally long.

    Parameters
    ----------
    points, labels
        As of `Plane`.
    viewport
        What is to be seen at least; `None`: all cells but far outliers, with a margin.
    """
    if viewport is None:
        viewport = _widened(points.bounds)
    width, height = viewport.x_high - viewport.x_low, viewport.y_high - viewport.y_low
    longest = max(width, height)
    frame = [max(each / longest, NARROWEST) for each in (width, height)]
    unit = max(width / frame[0], height / frame[1])
    x, y = (viewport.x_low + viewport.x_high) / 2, (viewport.y_low + viewport.y_high) / 2
    shown = Viewport(x - frame[0] * unit / 2, x + frame[0] * unit / 2, y - frame[1] * unit / 2, y + frame[1] * unit / 2)
    return Plane(points, labels, shown, round(SIDE * frame[0]), round(SIDE * frame[1]))


def vector_plane(dataset: Dataset | Modality, x: Vector, y: Vector) -> Plane:
    """Return any two values of the cells as a plane; each axis fills the frame.

    Parameters
    ----------
    dataset
        The file, or a modality of it.
    x, y
        Which values, numbers both.

    Raises
    ------
    NotFoundError, ElementError
        As `read_numbers`.
    """
    if x.kind == y.kind == "obsm" and (x.modality, x.name) == (y.modality, y.name):
        points = dataset.vectors.point_index(x, y)
    else:
        with np.errstate(over="ignore"):  # beyond float32 a value is infinite: its cell has no place
            pairs = np.stack([read_numbers(dataset, each).astype(np.float32) for each in (x, y)], axis=1)
        points = PointIndex.of(np.ascontiguousarray(pairs))
    labels = (vector_name(x), vector_name(y))
    return Plane(points, labels, _widened(points.bounds), SIDE, SIDE)


def _widened(bounds: Viewport) -> Viewport:
    x, y = (bounds.x_high - bounds.x_low) * MARGIN, (bounds.y_high - bounds.y_low) * MARGIN
    return Viewport(bounds.x_low - x, bounds.x_high + x, bounds.y_low - y, bounds.y_high + y)


def basis_key(dataset: Dataset | Modality, basis: str) -> str:
    """Return the key of an embedding as `point_index` takes it.

    Parameters
    ----------
    dataset
        The file, or a modality of it.
    basis
        A key of obsm with or without its `X_`, in an h5mu with the modality before a colon, or without where one
        modality alone has it.

    Raises
    ------
    NotFoundError
        There is none, or several modalities have it.
    """
    if not isinstance(dataset, Dataset):
        found = _own_key(dataset.obsm, basis)
        if found is None:
            raise NotFoundError(
                f"{dataset.handle.place(dataset.path)} has no obsm {basis!r}{nearest(basis, dataset.obsm)}"
            )
        return found
    owner, inner = dataset.owner(basis, own=dataset.obsm)
    found = _own_key(owner.obsm, inner)
    if found is not None:
        return found if owner is dataset.root else f"{owner.name}:{found}"
    every = {name: _own_key(part.obsm, inner) for name, part in dataset.modalities.items()}
    holders = [f"{name}:{key}" for name, key in every.items() if key is not None] if owner is dataset.root else []
    if len(holders) == 1:
        return holders[0]
    if holders:
        raise NotFoundError(f"{basis!r} is an obsm of several modalities; write {' or '.join(holders)}.")
    raise NotFoundError(f"{dataset.handle.name} has no obsm {basis!r}{nearest(basis, dataset.embeddings)}")


def _own_key(obsm: dict[str, tuple[int, ...]], basis: str) -> str | None:
    return next((key for key in (basis, f"X_{basis}") if key in obsm), None)


def axis_label(dataset: Dataset | Modality, key: str, dim: int) -> str:
    """Return what an axis of an embedding is called: UMAP1, PC2; a column of a data frame by its name.

    Parameters
    ----------
    dataset
        The file, or a modality of it.
    key
        As of `basis_key`.
    dim
        Which dimension, counted from 0.

    Raises
    ------
    NotFoundError, ElementError
        There is no such embedding, or it is damaged.
    """
    name = dataset.dim_name(key, dim)
    if name != str(dim + 1):
        return name
    basis = key.rpartition(":")[2].removeprefix("X_")
    if "draw_graph" in basis:
        basis = basis.replace("draw_graph_", "").upper()
    return f"{BASIS_NAMES.get(basis, basis)}{dim + 1}"
