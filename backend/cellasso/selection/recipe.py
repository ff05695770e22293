"""Selections as recipes: what was drawn, asked and combined, kept so that it can be replayed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np

from cellasso.core.errors import CellassoError
from cellasso.model.axis import Axis, AxisKind
from cellasso.points.polygon import points_in_polygon

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from cellasso.dataset import Dataset

Operation: TypeAlias = Literal["replace", "add", "subtract", "intersect"]
OPERATIONS: dict[str, Operation] = {"add": "add", "subtract": "subtract", "intersect": "intersect"}
INVERT, STEPS = "invert", "steps"


class RecipeError(CellassoError, ValueError):
    """A recipe that cannot be read."""


@dataclass(frozen=True)
class Lasso:
    """The cells inside a polygon over two dimensions of an embedding (a box is one of four corners)."""

    embedding: str
    polygon: tuple[tuple[float, float], ...]
    dims: tuple[int, int] = (0, 1)

    def mask(self, dataset: Dataset) -> NDArray[np.bool_]:
        """Return the mask `(n_obs,)` of the cells inside."""
        return dataset.lasso(self.embedding, self.polygon, self.dims)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"lasso": {"embedding": self.embedding, "dims": self.dims, "polygon": self.polygon}}


@dataclass(frozen=True)
class Region:
    """The cells inside a polygon over any two numbers of theirs, such as two genes."""

    x: Axis
    y: Axis
    polygon: tuple[tuple[float, float], ...]

    def mask(self, dataset: Dataset) -> NDArray[np.bool_]:
        """Return the mask `(n_obs,)` of the cells inside."""
        points = np.stack([self.x.read(dataset), self.y.read(dataset)], axis=1)
        points[~np.isfinite(points).all(axis=1)] = np.nan
        return points_in_polygon(points, self.polygon)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"region": {"x": self.x._asdict(), "y": self.y._asdict(), "polygon": self.polygon}}


@dataclass(frozen=True)
class Where:
    """The cells for which a where-expression is true."""

    expression: str

    def mask(self, dataset: Dataset) -> NDArray[np.bool_]:
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

    def mask(self, dataset: Dataset) -> NDArray[np.bool_]:
        """Return the mask `(n_obs,)` of the combination."""
        return _replay(self, dataset)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return _steps_to_dict(self)


@dataclass(frozen=True)
class Inverted:
    """The cells that a selection leaves out."""

    of: Recipe

    def mask(self, dataset: Dataset) -> NDArray[np.bool_]:
        """Return the mask `(n_obs,)` of all other cells."""
        return _replay(self, dataset)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return _steps_to_dict(self)


Recipe: TypeAlias = Lasso | Region | Where | Combined | Inverted


# Hundreds of strokes, each combined with all before it, nest as deep as neither Python nor JSON can follow by
# calls within calls: what grows with every stroke is unrolled into steps.


def _steps(recipe: Recipe) -> tuple[Recipe, list[Combined | Inverted]]:
    """Return what a recipe begins with, and what was then done, in that order."""
    done: list[Combined | Inverted] = []
    while isinstance(recipe, (Combined, Inverted)):
        done.append(recipe)
        recipe = recipe.first if isinstance(recipe, Combined) else recipe.of
    return recipe, done[::-1]


def _replay(recipe: Recipe, dataset: Dataset) -> NDArray[np.bool_]:
    first, steps = _steps(recipe)
    mask = first.mask(dataset)
    for step in steps:
        mask = ~mask if isinstance(step, Inverted) else combine(step.operation, mask, step.second.mask(dataset))
    return mask


def _steps_to_dict(recipe: Recipe) -> dict[str, Any]:
    """Return `{"add": [a, b, c]}` for a run of one operation, `{"steps": [a, {"add": b}, "invert", …]}` for others."""
    first, steps = _steps(recipe)
    if isinstance(recipe, Inverted) and len(steps) == 1:
        return {"invert": first.to_dict()}
    operations = {step.operation if isinstance(step, Combined) else INVERT for step in steps}
    if len(operations) == 1 and INVERT not in operations:
        seconds = [step.second.to_dict() for step in steps if isinstance(step, Combined)]
        return {operations.pop(): [first.to_dict(), *seconds]}
    written = [INVERT if isinstance(step, Inverted) else {step.operation: step.second.to_dict()} for step in steps]
    return {STEPS: [first.to_dict(), *written]}


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
    recipe: Recipe
    (kind, content), *rest = node.items()
    if rest:
        raise ValueError(f"one operation was expected, found {sorted(node)}")
    if kind == "lasso":
        polygon = tuple((float(x), float(y)) for x, y in content["polygon"])
        first, second = content.get("dims", (0, 1))
        return Lasso(str(content["embedding"]), polygon, (int(first), int(second)))
    if kind == "region":
        polygon = tuple((float(x), float(y)) for x, y in content["polygon"])
        return Region(_axis(content["x"]), _axis(content["y"]), polygon)
    if kind == "where":
        return Where(str(content))
    if kind == INVERT:
        return Inverted(_from_dict(content))
    if kind in OPERATIONS:
        one, other, *more = content
        recipe = _from_dict(one)
        for step in (other, *more):
            recipe = Combined(OPERATIONS[kind], recipe, _from_dict(step))
        return recipe
    if kind == STEPS:
        one, *more = content
        recipe = _from_dict(one)
        for step in more:
            recipe = Inverted(recipe) if step == INVERT else _combined(recipe, step)
        return recipe
    raise ValueError(f"unknown operation {kind!r}")


def _axis(stated: Mapping[str, Any]) -> Axis:
    if stated["kind"] not in get_args(AxisKind):
        raise ValueError(f"unknown axis {stated['kind']!r}")
    layer = stated.get("layer")
    return Axis(stated["kind"], str(stated["name"]), None if layer is None else str(layer), bool(stated["normalised"]))


def _combined(first: Recipe, step: Mapping[str, Any]) -> Combined:
    ((operation, second),) = step.items()
    return Combined(OPERATIONS[operation], first, _from_dict(second))
