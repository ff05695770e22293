"""Selections as recipes: what was drawn, asked and combined, kept so that it can be replayed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from cellasso.errors import CellassoError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from cellasso.modality import Modality

Operation: TypeAlias = Literal["replace", "add", "subtract", "intersect"]
OPERATIONS: dict[str, Operation] = {"add": "add", "subtract": "subtract", "intersect": "intersect"}


class RecipeError(CellassoError, ValueError):
    """A recipe that cannot be read."""


@dataclass(frozen=True)
class Lasso:
    """The cells inside a polygon over two dimensions of an embedding (a box is one of four corners)."""

    embedding: str
    polygon: tuple[tuple[float, float], ...]
    dims: tuple[int, int] = (0, 1)

    def mask(self, dataset: Modality) -> NDArray[np.bool_]:
        """Return the mask `(n_obs,)` of the cells inside."""
        return dataset.lasso(self.embedding, self.polygon, self.dims)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"lasso": {"embedding": self.embedding, "dims": self.dims, "polygon": self.polygon}}


@dataclass(frozen=True)
class Where:
    """The cells for which a where-expression is true."""

    expression: str

    def mask(self, dataset: Modality) -> NDArray[np.bool_]:
        """Return the mask `(n_obs,)` of the cells for which it is true."""
        return dataset.where(self.expression)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"where": self.expression}


@dataclass(frozen=True)
class Combined:
    """One selection and then another: added, subtracted or intersected."""

    operation: Operation
    first: Recipe
    second: Recipe

    def mask(self, dataset: Modality) -> NDArray[np.bool_]:
        """Return the mask `(n_obs,)` of the combination."""
        return combine(self.operation, self.first.mask(dataset), self.second.mask(dataset))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {self.operation: [self.first.to_dict(), self.second.to_dict()]}


@dataclass(frozen=True)
class Inverted:
    """The cells that a selection leaves out."""

    of: Recipe

    def mask(self, dataset: Modality) -> NDArray[np.bool_]:
        """Return the mask `(n_obs,)` of all other cells."""
        return ~self.of.mask(dataset)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"invert": self.of.to_dict()}


Recipe: TypeAlias = Lasso | Where | Combined | Inverted


def combine(operation: Operation, first: NDArray[np.bool_], second: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the mask that an operation makes of two masks of one shape."""
    if operation == "add":
        return first | second
    if operation == "subtract":
        return first & ~second
    return first & second if operation == "intersect" else second


def dump(recipe: Recipe) -> str:
    """Return a recipe as JSON text."""
    return json.dumps(recipe.to_dict())


def load(text: str) -> Recipe:
    """Read a recipe back from JSON text.

    Raises
    ------
    RecipeError
        It is not one.
    """
    try:
        return _from_dict(json.loads(text))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise RecipeError(f"This is not a recipe of a selection ({error}).") from error


def _from_dict(node: Mapping[str, Any]) -> Recipe:
    (kind, content), *rest = node.items()
    if rest:
        raise ValueError(f"one operation was expected, found {sorted(node)}")
    if kind == "lasso":
        polygon = tuple((float(x), float(y)) for x, y in content["polygon"])
        first, second = content.get("dims", (0, 1))
        return Lasso(str(content["embedding"]), polygon, (int(first), int(second)))
    if kind == "where":
        return Where(str(content))
    if kind == "invert":
        return Inverted(_from_dict(content))
    if kind in OPERATIONS:
        one, other = content
        return Combined(OPERATIONS[kind], _from_dict(one), _from_dict(other))
    raise ValueError(f"unknown operation {kind!r}")
