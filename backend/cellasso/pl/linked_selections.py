"""What HoloViews' `link_selections` has selected, as a mask of the cells and a recipe that exports keep.

A selection there is an expression over dimensions. Boxes, lassos and lists of categories, however they are combined,
have a recipe that finds the same cells by our own loops. An expression with anything else in it (arithmetic, two
columns compared, other functions) is evaluated by HoloViews.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import holoviews as hv
import numpy as np
import pandas as pd
from holoviews.element.selection import spatial_select
from holoviews.util.transform import dim as Expression  # noqa: N812 - what it is
from holoviews.util.transform import isin, python_isin

from cellasso.core.errors import CellassoError, ElementError
from cellasso.model.vector import Vector, is_reference
from cellasso.selection.expression import MAX_DEPTH, MAX_LENGTH, parse
from cellasso.selection.recipe import Combined, Inverted, Lasso, PolygonGate, WhereRecipe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from cellasso.dataset import Dataset, Modality
    from cellasso.model.vectors import Values, Vectors
    from cellasso.selection.recipe import Recipe

SIGNS: dict[Callable[..., Any], str] = {
    operator.ge: ">=",
    operator.gt: ">",
    operator.le: "<=",
    operator.lt: "<",
    operator.eq: "==",
    operator.ne: "!=",
}


class _NoRecipeError(Exception):
    """An expression that no recipe says."""


def selected(link: Any, dataset: Dataset | Modality) -> tuple[NDArray[np.bool_], Recipe | None]:
    """Return the cells that are selected, and how to select them again, for `dataset.export(mask, path, recipe=…)`.

    All cells of the file are asked, also where the linked elements show some of them. Reads the columns that the
    selection names.

    A lasso is tested as by `Dataset.lasso`, on float32 coordinates. Over an embedding its cells are those of HoloViews,
    but for cells exactly on the line; over columns of float64 those too may differ that are as near to the line as
    float32 rounds.

    Parameters
    ----------
    link
        An instance of `hv.link_selections`.
    dataset
        The file, or the modality, over which the linked elements are.

    Returns
    -------
    The mask `(n_obs,)`, and its recipe: `None` where all cells are selected, because nothing was drawn, and where no
    recipe can say the expression; the mask is then HoloViews' own.

    Raises
    ------
    TypeError
        `link` has no selection.
    NotFoundError, AmbiguousNameError, ElementError
        The selection names what the file does not have, or several things; it is damaged, or not one truth per cell.
    """
    if not hasattr(link, "selection_expr"):
        raise TypeError(f"{type(link).__name__} has no selection; an instance of hv.link_selections was expected.")
    expression = link.selection_expr
    if expression is None:
        return np.ones(dataset.n_obs, dtype=np.bool_), None
    try:
        recipe = _Translation(dataset.vectors).recipe(expression)
        return recipe.mask(dataset.vectors.container), recipe
    except (_NoRecipeError, CellassoError):  # what the file lacks, the evaluation reports
        return _evaluated(expression, dataset), None


class _Translation:
    """From an expression of HoloViews to a recipe.

    Parameters
    ----------
    vectors
        Of the file.
    """

    def __init__(self, vectors: Vectors) -> None:
        self._vectors = vectors

    def recipe(self, expression: Expression) -> Recipe:
        """Return the recipe of an expression whose values are truths; its operations are applied one after another."""
        vector = self._vector(expression)
        found: Recipe | None = None
        for operation in expression.ops:
            function, arguments = operation["fn"], operation["args"]
            if operation["reverse"]:
                raise _NoRecipeError
            if found is None:
                found = self._test(vector, function, arguments, operation["kwargs"])
            elif function is operator.inv:
                found = Inverted(found)
            elif function in {operator.and_, operator.or_} and isinstance(arguments[0], Expression):
                found = _joined(function, found, self.recipe(arguments[0]))
            else:
                raise _NoRecipeError
        if found is None:
            raise _NoRecipeError
        return found

    def _vector(self, expression: Expression) -> Vector:
        dimension = expression.dimension
        if is_reference(dimension):
            return Vector.of(dimension)
        if not isinstance(dimension, hv.Dimension):
            raise _NoRecipeError
        return self._vectors.resolve(dimension.name)

    def _test(self, vector: Vector, function: Any, arguments: Any, options: Any) -> Recipe:
        """Return the recipe of the first operation on a column."""
        if function is spatial_select and len(arguments) == 1 and isinstance(arguments[0], Expression):
            return self._lasso(vector, arguments[0], options.get("geometry"))
        if options or len(arguments) != 1:
            raise _NoRecipeError
        (argument,) = arguments
        name, values = self._name(vector), self._vectors.read_kept(vector)
        if function is operator.ne:
            # a missing value is unequal to all in HoloViews, and nothing is known of it in a where-expression
            return Inverted(_where(f"{name} == {_literal(argument, values)}"))
        if function in SIGNS:
            return _where(f"{name} {SIGNS[function]} {_literal(argument, values)}")
        if function in {isin, python_isin} and isinstance(argument, list | tuple | set):
            return _where(f"{name} in [{', '.join(_literal(each, values) for each in argument)}]")
        raise _NoRecipeError

    def _lasso(self, x: Vector, other: Expression, geometry: Any) -> Recipe:
        y = self._vector(other)
        if other.ops or geometry is None:
            raise _NoRecipeError
        polygon = tuple((float(a), float(b)) for a, b in geometry)
        if x.kind == y.kind == "obsm" and (x.modality, x.name) == (y.modality, y.name):
            return Lasso(f"{x.modality}:{x.name}" if x.modality else x.name, polygon, (x.dim, y.dim))
        return PolygonGate(x, y, polygon)

    def _name(self, vector: Vector) -> str:
        """Return what a where-expression calls a vector."""
        text = str(vector)
        for written in (text, f"`{text}`"):
            try:
                if self._vectors.resolve(parse(f"{written} is null").names[0]) == vector:
                    return written
            except CellassoError:
                continue
        raise _NoRecipeError


def _joined(function: Any, first: Recipe, second: Recipe) -> Recipe:
    """Return one selection and another: of two where-expressions one, so that a box is a line of text."""
    if isinstance(first, WhereRecipe) and isinstance(second, WhereRecipe):
        word, other = ("and", "or") if function is operator.and_ else ("or", "and")
        parts = [each.expression for each in (first, second)]
        text = f" {word} ".join(f"({part})" if f" {other} " in part else part for part in parts)
        if len(text) <= MAX_LENGTH and text.count("(") < MAX_DEPTH:
            return WhereRecipe(text)
    return Combined("intersect" if function is operator.and_ else "add", first, second)


def _where(text: str) -> WhereRecipe:
    if len(text) > MAX_LENGTH:
        raise _NoRecipeError
    return WhereRecipe(text)


def _literal(value: Any, values: Values) -> str:
    """Return a value as a where-expression has it, if it compares there with a column as it does in HoloViews."""
    kind = _kind(values)
    if kind == "text" and isinstance(value, str):
        plain = value.replace("\\", "\\\\").replace("'", "\\'")
        return f"'{plain}'"
    if kind == "truth" and isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    is_number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if kind == "number" and is_number and np.isfinite(value):
        if isinstance(value, np.generic) and values.dtype == np.float32 and np.float32(value) != value:
            raise _NoRecipeError  # NumPy then compares in float64, we in float32
        return repr(float(value)) if isinstance(value, float | np.floating) else str(int(value))
    raise _NoRecipeError


def _kind(values: Values) -> str:
    """Return whether a column holds text, numbers or truths; other values have no recipe."""
    dtype: Any = values.dtype
    if isinstance(dtype, np.dtype) and dtype.kind in "biuf":
        return "truth" if dtype.kind == "b" else "number"
    is_nullable = not isinstance(dtype, np.dtype | pd.CategoricalDtype) and dtype.na_value is pd.NA
    held = values.cat.categories if isinstance(dtype, pd.CategoricalDtype) and isinstance(values, pd.Series) else values
    inferred = "" if is_nullable else pd.api.types.infer_dtype(held, skipna=True)
    kinds = {"string": "text", "empty": "text", "boolean": "truth", "integer": "number", "floating": "number"}
    if inferred not in kinds:
        raise _NoRecipeError
    return kinds[inferred]


def _evaluated(expression: Expression, dataset: Dataset | Modality) -> NDArray[np.bool_]:
    """Return where HoloViews finds an expression true."""
    dimensions = {each.name: each for each in _dimensions(expression)}
    element = hv.Dataset(dataset, list(dimensions.values()), [])
    found = np.atleast_1d(np.asarray(expression.apply(element, keep_index=True)))  # as the linked elements do it
    if found.dtype.kind == "b" or pd.api.types.infer_dtype(found, skipna=True) == "boolean":
        truth = pd.array(found, dtype="boolean").to_numpy(dtype=np.bool_, na_value=False)
        if len(truth) == dataset.n_obs:
            return truth
    shape = f"{found.dtype} {found.shape}"
    raise ElementError(f"The selection {expression} is {shape}; one truth for each cell was expected.")


def _dimensions(expression: Expression) -> Iterator[Any]:
    """Yield the dimensions of an expression, and of those inside of it."""
    if isinstance(expression.dimension, hv.Dimension):
        yield expression.dimension
    for operation in expression.ops:
        for argument in (*operation["args"], *operation["kwargs"].values()):
            if isinstance(argument, Expression):
                yield from _dimensions(argument)
