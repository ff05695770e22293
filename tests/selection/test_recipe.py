"""Recipes: masks by set algebra, kept as JSON and replayed."""

from __future__ import annotations

import json

import numpy as np
import pytest

from cellasso.core.errors import CellassoError
from cellasso.selection.recipe import Combined, Inverted, Lasso, RecipeError, WhereRecipe, combine, dump, load

LASSO = Lasso("X_umap", ((-1.0, -1.0), (1.0, -1.0), (0.0, 1.5)), (1, 0))
WHERE = WhereRecipe("ordered == 'hi' and int8 > -50")
RECIPES = {
    "lasso": LASSO,
    "where": WHERE,
    "add": Combined("add", LASSO, WHERE),
    "subtract": Combined("subtract", LASSO, WHERE),
    "intersect": Combined("intersect", LASSO, WHERE),
    "invert": Inverted(WHERE),
    "nested": Inverted(Combined("add", Inverted(LASSO), Combined("subtract", WHERE, WhereRecipe("bool")))),
}


def test_set_algebra_is_numpys():
    first, second = np.array([True, True, False, False]), np.array([True, False, True, False])
    assert list(combine("add", first, second)) == [True, True, True, False]
    assert list(combine("subtract", first, second)) == [False, True, False, False]
    assert list(combine("intersect", first, second)) == [True, False, False, False]
    assert list(combine("replace", first, second)) == list(second)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_survives_json_and_selects_the_same_cells(dataset, name):
    recipe = RECIPES[name]
    replayed = load(dump(recipe))
    assert replayed == recipe
    mask = recipe.mask(dataset)
    assert mask.dtype == bool
    assert mask.shape == (dataset.n_obs,)
    assert 0 < mask.sum() < dataset.n_obs
    np.testing.assert_array_equal(replayed.mask(dataset), mask)


def test_masks_of_combinations_are_combinations_of_masks(dataset):
    lasso, where = LASSO.mask(dataset), WHERE.mask(dataset)
    np.testing.assert_array_equal(RECIPES["add"].mask(dataset), lasso | where)
    np.testing.assert_array_equal(RECIPES["subtract"].mask(dataset), lasso & ~where)
    np.testing.assert_array_equal(RECIPES["intersect"].mask(dataset), lasso & where)
    np.testing.assert_array_equal(RECIPES["invert"].mask(dataset), ~where)
    np.testing.assert_array_equal(
        RECIPES["nested"].mask(dataset), ~(~lasso | (where & ~dataset.read_obs("bool").to_numpy()))
    )


def test_a_lasso_without_dims_is_over_the_first_two():
    recipe = load('{"lasso": {"embedding": "X_umap", "polygon": [[0, 0], [1, 0], [1, 1]]}}')
    assert recipe == Lasso("X_umap", ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0)), (0, 1))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not json",
        "[]",
        "3",
        "null",
        "{}",
        '{"drop": "table"}',
        '{"replace": [{"where": "a"}, {"where": "b"}]}',
        '{"where": "a", "invert": {"where": "b"}}',
        '{"add": [{"where": "a"}]}',
        '{"invert": "a"}',
        '{"lasso": {"embedding": "X_umap"}}',
        '{"lasso": {"embedding": "X_umap", "polygon": [[0, 0, 0]]}}',
        '{"lasso": {"embedding": "X_umap", "polygon": [["x", 0]]}}',
        '{"lasso": {"embedding": "X_umap", "polygon": [], "dims": [0]}}',
        '{"steps": []}',
        '{"steps": [{"where": "a"}, "add"]}',
        '{"steps": [{"where": "a"}, {"replace": {"where": "b"}}]}',
        '{"steps": [{"where": "a"}, {"add": {"where": "b"}, "subtract": {"where": "c"}}]}',
        '{"invert":' * 5000 + "1" + "}" * 5000,
    ],
    ids=lambda text: text[:30],
)
def test_what_is_no_recipe_is_refused(text):
    with pytest.raises(RecipeError, match="This is not a recipe of a selection"):
        load(text)


OPERATIONS = ("add", "subtract", "intersect")


def chain(n: int, operations: tuple[str, ...], *, inverted: int = 0):
    """What `n` strokes make, each combined with all before it."""
    recipe = WhereRecipe("ordered == 'hi'")
    for i in range(n):
        recipe = Combined(operations[i % len(operations)], recipe, WhereRecipe(f"int8 > {i % 100 - 50}"))
        if inverted and i % inverted == 0:
            recipe = Inverted(recipe)
    return recipe


@pytest.mark.parametrize("operations", [("add",), ("subtract",), OPERATIONS], ids=["add", "subtract", "mixed"])
@pytest.mark.parametrize("inverted", [0, 1, 7])
@pytest.mark.parametrize("n", [1, 2, 3, 40])
def test_many_steps_survive_json(operations, inverted, n):
    recipe = chain(n, operations, inverted=inverted)
    assert load(dump(recipe)) == recipe


@pytest.mark.more
@pytest.mark.parametrize("inverted", [0, 1])
@pytest.mark.parametrize("operations", [("add",), OPERATIONS], ids=["one_operation", "mixed"])
def test_thousands_of_steps_are_written_read_and_replayed(dataset, operations, inverted):
    recipe = chain(1500, operations, inverted=inverted)  # Python allows 1,000 calls within each other
    text = dump(recipe)
    replayed = load(text)
    assert dump(replayed) == text  # comparing the recipes themselves would nest 1,500 calls
    hi, numbers = (dataset.read_obs(name).to_numpy() for name in ("ordered", "int8"))
    expected = hi == "hi"
    for i in range(1500):
        expected = combine(operations[i % len(operations)], expected, numbers > i % 100 - 50)
        expected = ~expected if inverted else expected
    np.testing.assert_array_equal(replayed.mask(dataset), expected)


def test_a_run_of_one_operation_is_written_flat():
    assert json.loads(dump(chain(3, ("subtract",)))) == {
        "subtract": [{"where": "ordered == 'hi'"}, *({"where": f"int8 > {i - 50}"} for i in range(3))]
    }


def test_recipes_that_earlier_versions_nested_are_read():
    text = '{"add": [{"add": [{"where": "a"}, {"where": "b"}]}, {"invert": {"invert": {"where": "c"}}}]}'
    a, b, c = map(WhereRecipe, "abc")
    assert load(text) == Combined("add", Combined("add", a, b), Inverted(Inverted(c)))


def test_a_recipe_error_is_one_of_ours():
    assert issubclass(RecipeError, CellassoError)
    assert issubclass(RecipeError, ValueError)


def test_the_json_is_plain():
    assert json.loads(dump(Inverted(LASSO))) == {
        "invert": {"lasso": {"embedding": "X_umap", "dims": [1, 0], "polygon": [[-1, -1], [1, -1], [0, 1.5]]}}
    }
