"""Selections as recipes: what was drawn, asked and combined, kept so that it can be replayed."""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from cellasso.core.errors import CellassoError
from cellasso.model.vector import SUMS, Vector
from cellasso.model.vectors import Vectors
from cellasso.points.polygon import points_in_polygon
from cellasso.selection import expression

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from cellasso.model.container import Container

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

    def mask(self, container: Container[Any]) -> NDArray[np.bool_]:
        """Return the mask `(n_obs,)` of the cells inside."""
        return points_in_polygon(container.read_embedding(self.embedding, self.dims), self.polygon)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"lasso": {"embedding": self.embedding, "dims": self.dims, "polygon": self.polygon}}


@dataclass(frozen=True)
class PolygonGate:
    """The cells inside a polygon over any two vectors of numbers, such as two genes."""

    x: Vector
    y: Vector
    polygon: tuple[tuple[float, float], ...]

    def mask(self, container: Container[Any]) -> NDArray[np.bool_]:
        """Return the mask `(n_obs,)` of the cells inside."""
        cells = Vectors(container)
        points = np.stack([cells.read_numbers(self.x), cells.read_numbers(self.y)], axis=1)
        points[~np.isfinite(points).all(axis=1)] = np.nan
        return points_in_polygon(points, self.polygon)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"region": {"x": str(self.x), "y": str(self.y), "polygon": self.polygon}}


@dataclass(frozen=True)
class WhereRecipe:
    """The cells for which a where-expression is true."""

    expression: str

    def mask(self, container: Container[Any]) -> NDArray[np.bool_]:
        """Return the mask `(n_obs,)` of the cells for which it is true."""
        return expression.parse(self.expression).evaluate(Vectors(container))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"where": self.expression}


@dataclass(frozen=True)
class MaskRecipe:
    """Cells that were found elsewhere, such as by a program: one by one.

    Attributes
    ----------
    n_obs
        How many cells the file has.
    bits
        The mask, eight cells a byte, compressed, as base64.
    """

    n_obs: int
    bits: str

    @classmethod
    def of(cls, mask: NDArray[np.bool_]) -> MaskRecipe:
        """Return the recipe of a mask `(n_obs,)`."""
        return cls(len(mask), base64.b64encode(zlib.compress(np.packbits(mask).tobytes())).decode("ascii"))

    def mask(self, container: Container[Any]) -> NDArray[np.bool_]:
        """Return the mask `(n_obs,)`.

        Raises
        ------
        RecipeError
            It is of a file with another number of cells, or damaged.
        """
        if container.n_obs != self.n_obs:
            raise RecipeError(f"This recipe lists cells of {self.n_obs:,}; the file has {container.n_obs:,}.")
        try:
            unpacker = zlib.decompressobj()
            packed = unpacker.decompress(base64.b64decode(self.bits, validate=True), -(-self.n_obs // 8) + 1)
        except (ValueError, zlib.error) as error:
            raise RecipeError(f"The cells that this recipe lists are damaged ({error}).") from error
        if len(packed) != -(-self.n_obs // 8):
            raise RecipeError("The cells that this recipe lists are damaged: of another number.")
        return np.unpackbits(np.frombuffer(packed, dtype=np.uint8), count=self.n_obs).view(np.bool_)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"mask": {"n_obs": self.n_obs, "bits": self.bits}}


@dataclass(frozen=True)
class Combined:
    """One selection and then another: added, subtracted or intersected."""

    operation: Operation
    first: Recipe
    second: Recipe

    def mask(self, container: Container[Any]) -> NDArray[np.bool_]:
        """Return the mask `(n_obs,)` of the combination."""
        return _replay(self, container)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return _steps_to_dict(self)


@dataclass(frozen=True)
class Inverted:
    """The cells that a selection leaves out."""

    of: Recipe

    def mask(self, container: Container[Any]) -> NDArray[np.bool_]:
        """Return the mask `(n_obs,)` of all other cells."""
        return _replay(self, container)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return _steps_to_dict(self)


Recipe: TypeAlias = Lasso | PolygonGate | WhereRecipe | MaskRecipe | Combined | Inverted


# Hundreds of strokes, each combined with all before it, nest deeper than Python and its JSON can recurse: what grows
# with every stroke is unrolled into steps.


def _steps(recipe: Recipe) -> tuple[Recipe, list[Combined | Inverted]]:
    """Return what a recipe begins with, and what was then done, in that order."""
    done: list[Combined | Inverted] = []
    while isinstance(recipe, (Combined, Inverted)):
        done.append(recipe)
        recipe = recipe.first if isinstance(recipe, Combined) else recipe.of
    return recipe, done[::-1]


def _replay(recipe: Recipe, container: Container[Any]) -> NDArray[np.bool_]:
    first, steps = _steps(recipe)
    mask = first.mask(container)
    for step in steps:
        mask = ~mask if isinstance(step, Inverted) else combine(step.operation, mask, step.second.mask(container))
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
    """Return the mask that an operation makes of two masks.

    Parameters
    ----------
    operation
        `"add"`: in either; `"subtract"`: in the first, not in the second; `"intersect"`: in both; `"replace"`: the
        second.
    first, second
        `(n_obs,)` each.
    """
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
        return PolygonGate(_vector(content["x"]), _vector(content["y"]), polygon)
    if kind == "where":
        return WhereRecipe(str(content))
    if kind == "mask":
        return MaskRecipe(int(content["n_obs"]), str(content["bits"]))
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


def _vector(stated: str | Mapping[str, Any]) -> Vector:
    """Read a vector from its text, or from the fields that recipes had before vectors had a text."""
    if isinstance(stated, str):
        return Vector.parse(stated)
    kind, name, layer = stated["kind"], str(stated["name"]), stated.get("layer")
    layer = None if layer is None else str(layer)
    if kind in SUMS:
        return Vector("sum", kind, name, layer)
    if kind not in {"obs", "feature"}:
        raise ValueError(f"unknown axis {kind!r}")
    return Vector("obs" if kind == "obs" else "gene", name, layer=layer, normalised=bool(stated["normalised"]))


def _combined(first: Recipe, step: Mapping[str, Any]) -> Combined:
    ((operation, second),) = step.items()
    return Combined(OPERATIONS[operation], first, _from_dict(second))
