"""Legends: their rows, and where-expressions that select exactly the cells of a row, whatever it is called."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import cellasso
from cellasso.color.coloring import MAX_CATEGORIES, MISSING_CODE, MISSING_COLOR, Categories, Values
from cellasso_app.render.legend import category_expression, codes_of, legend, missing_label, visible_expression
from coloring_of import color_by_obs
from conftest import write

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cellasso.dataset import Dataset

N = 1200
ODD = [
    "it's",
    'say "so"',
    "back\\slash",
    "\\",
    "\\'",
    "`tick`",
    "",
    " ",
    "a\nb\tc",
    "null",
    "true",
    "3",
    "1e3",
    "no value",
    "other",
    "µ-β, [x] or (y)",
    "';drop",
]


def many(rng: np.random.Generator) -> np.ndarray:
    """400 categories of unequal size, one of the large ones called as those that are folded."""
    labels = np.array([f"clone {i}" for i in range(399)] + ["other"])
    weight = np.arange(1, 401) ** 2.0
    return rng.choice(labels, N * 10, p=weight / weight.sum())


def columns() -> dict[str, object]:
    rng = np.random.default_rng(0)
    missing = rng.random(N) < 0.2
    words = rng.choice(np.array(ODD, dtype=object), N)
    return {
        "kind": pd.Categorical(rng.choice(["a", "b", "c"], N), categories=["c", "unused", "b", "a"]),
        "gaps": pd.Categorical(np.where(missing, None, words)),
        "text": pd.array(words.astype(str), dtype="string"),
        "maybe_text": pd.array(np.where(missing, None, words), dtype="string"),
        "bool": rng.random(N) < 0.5,
        "maybe_bool": pd.array(np.where(missing, None, rng.random(N) < 0.5), dtype="boolean"),
        "numbered": pd.Categorical(rng.choice([3, 1, 20], N)),
        "fractions": pd.Categorical(rng.choice([0.5, 1.0, -2.25, 1e-7], N)),
        "integer": rng.integers(-3, 9, N),
        "unsigned": rng.choice(np.array([0, 7, 255], dtype="u1"), N),
        "float": np.where(missing, np.nan, rng.integers(0, 5, N) * -1.0),
        "maybe_int": pd.array(np.where(missing, None, rng.integers(0, 4, N)), dtype="Int32"),
        'na`me\' "x"\\': pd.Categorical(rng.choice(["a", "b"], N)),
        "not in": rng.random(N) < 0.5,
        "null": pd.Categorical(np.where(missing, None, "null")),
        "1.5": rng.integers(0, 3, N),
    }


COLUMNS = columns()


@pytest.fixture(scope="module")
def opened(tmp_path_factory) -> Iterator[Dataset]:
    obs = pd.DataFrame(COLUMNS, index=[f"c{i}" for i in range(N)])
    with cellasso.open(write(ad.AnnData(obs=obs), tmp_path_factory.mktemp("legend") / "odd.h5ad")) as dataset:
        yield dataset


@pytest.fixture(scope="module")
def folded(tmp_path_factory) -> Iterator[Dataset]:
    rng = np.random.default_rng(1)
    clones = pd.Series(many(rng)).where(rng.random(N * 10) > 0.1)
    obs = pd.DataFrame({"clone": pd.Categorical(clones)}, index=[f"c{i}" for i in range(N * 10)])
    with cellasso.open(write(ad.AnnData(obs=obs), tmp_path_factory.mktemp("legend") / "folded.h5ad")) as dataset:
        yield dataset


def named(column: str) -> pd.Series:
    """What each cell is called, NaN where it has no value; by pandas alone."""
    values = pd.Series(COLUMNS[column])
    if pd.api.types.is_numeric_dtype(values.dtype) and not pd.api.types.is_bool_dtype(values.dtype):
        values = values.astype("Int64")
    return values.astype(object).map(str, na_action="ignore")


def categories(dataset: Dataset, column: str) -> Categories:
    found = color_by_obs(dataset, column, as_categories=True)
    assert isinstance(found, Categories)
    return found


def seen_by_code(found: Categories, hidden: frozenset[str]) -> np.ndarray:
    """The cells that a picture shows."""
    return ~np.isin(found.codes.astype(np.uint8), list(codes_of(found, hidden)))


# -- rows -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("column", COLUMNS)
def test_rows_count_the_cells_of_each_category(opened, column):
    found = categories(opened, column)
    shown = legend(found)
    expected = named(column)
    for row in shown["rows"]:
        if row["code"] == MISSING_CODE:
            assert row["count"] == expected.isna().sum() > 0
            assert row["color"] == MISSING_COLOR
            assert row["label"] not in found.labels
        else:
            assert row["count"] == (expected == row["label"]).sum()
            assert (row["label"], row["color"]) == (found.labels[row["code"]], found.colors[row["code"]])
        assert row["selectable"]
    assert sum(row["count"] for row in shown["rows"]) == N
    assert any(row["code"] == MISSING_CODE for row in shown["rows"]) == expected.isna().any()
    assert shown["note"] == ""
    assert shown["numbers"] == (column in {"integer", "unsigned", "float", "maybe_int", "1.5"})


def test_the_row_of_folded_categories_cannot_be_selected(folded):
    found = categories(folded, "clone")
    shown = legend(found)
    *rows, other, missing = shown["rows"]
    assert len(rows) == MAX_CATEGORIES - 1
    assert all(row["selectable"] for row in rows)
    assert (other["label"], other["selectable"], other["code"]) == ("other", False, MAX_CATEGORIES - 1)
    assert missing["code"] == MISSING_CODE
    assert shown["note"] == f"The {found.n_folded} smallest categories stand together as other."
    assert sum(row["count"] for row in shown["rows"]) == folded.n_obs
    assert "other" in [row["label"] for row in rows]  # a name that the file has too


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (("a",), "no value"),
        (("no value",), "no value "),
        (("no value ", "no value"), "no value  "),
    ],
)
def test_cells_without_a_value_have_a_row_of_a_name_of_their_own(labels, expected):
    n = len(labels)
    found = Categories("c", np.full(3, -1, "i2"), labels, ("#000000",) * n, np.zeros(n, "i8"), 3)
    assert missing_label(found) == legend(found)["rows"][-1]["label"] == expected
    assert codes_of(found, [expected]) == {MISSING_CODE}


def test_codes_are_those_of_labels_that_there_are(opened):
    found = categories(opened, "kind")
    assert codes_of(found, ["b", "c", "nothing of this name", "other"]) == {0, 2}
    assert codes_of(found, []) == frozenset()


def test_nothing_has_no_legend():
    assert legend(None) is None


def numbers(values) -> Values:
    values = np.asarray(values, dtype="f4")
    return Values("v", values, 0.0, 1.0, clipped=False, n_missing=int(np.isnan(values).sum()), n_distinct=3)


@pytest.mark.parametrize("n_missing", [0, 7])
def test_the_histogram_counts_every_value_once(n_missing):
    values = np.random.default_rng(2).gamma(2, 3, 5000).astype("f4")
    values[:n_missing] = np.nan
    shown = legend(numbers(values))
    known = values[n_missing:].astype("f8")
    width = known.max() - known.min()
    expected = np.histogram(known, bins=40, range=(known.min(), known.min() + width))[0]
    assert shown["histogram"] == expected.tolist()
    assert (shown["low"], shown["high"]) == (known.min(), known.max())
    assert shown["note"] == ("7 cells have no value." if n_missing else "")
    assert shown["n_distinct"] == 3


@pytest.mark.parametrize("values", [[5, 5, 5], [1e9, 1e9 + 64], [1e38, -1e38], [0, 1e-40], [np.nan] * 3, []], ids=str)
def test_values_of_any_size_have_a_histogram(values):
    shown = legend(numbers(values))
    assert sum(shown["histogram"]) == np.isfinite(np.asarray(values, dtype="f4")).sum()
    assert shown["low"] <= shown["high"]


# -- expressions ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("column", COLUMNS)
def test_a_row_selects_its_cells(opened, column):
    found, expected = categories(opened, column), named(column)
    for row in legend(found)["rows"]:
        mask = opened.where(category_expression(column, row["label"], found))
        wanted = expected.isna() if row["code"] == MISSING_CODE else expected == row["label"]
        np.testing.assert_array_equal(mask, wanted.fillna(False).to_numpy(dtype=bool))


def test_rows_select_their_cells_where_categories_are_folded(folded):
    found = categories(folded, "clone")
    values = folded.read_obs("clone")
    for row in legend(found)["rows"]:
        if row["selectable"]:
            mask = folded.where(category_expression("clone", row["label"], found))
            wanted = values.isna() if row["code"] == MISSING_CODE else values == row["label"]
            np.testing.assert_array_equal(mask, wanted)


@pytest.mark.parametrize("column", COLUMNS)
def test_what_is_visible_is_selected_by_name(opened, column):
    found, expected = categories(opened, column), named(column)
    rows = [row["label"] for row in legend(found)["rows"]]
    rng = np.random.default_rng(3)
    chosen = [frozenset(label for label in rows if rng.random() < part) for part in (0.2, 0.5, 0.8) for _ in range(4)]
    single = [frozenset({label}) for label in rows]
    for hidden in (*chosen, *single, *(frozenset(rows) - one for one in single), frozenset(rows)):
        if not hidden:
            continue
        mask = opened.where(visible_expression(column, hidden, found))
        gone = expected.isin([label for label in hidden if label != missing_label(found)])
        if missing_label(found) in hidden:
            gone |= expected.isna()
        np.testing.assert_array_equal(mask, ~gone)
        np.testing.assert_array_equal(mask, seen_by_code(found, hidden))


def test_what_is_visible_is_selected_by_name_where_categories_are_folded(folded):
    """Hidden rows go by their names; "other" goes with all that have no row."""
    found = categories(folded, "clone")
    rows = [row["label"] for row in legend(found)["rows"]]
    rng = np.random.default_rng(4)
    some = [frozenset(label for label in rows if rng.random() < part) for part in (0.1, 0.5, 0.9)]
    ends = [{"other"}, {missing_label(found)}, {"other", missing_label(found)}, {"clone 398"}]
    for hidden in (*some, *(each | {"other"} for each in some), *map(frozenset, ends), frozenset(rows)):
        mask = folded.where(visible_expression("clone", hidden, found))
        np.testing.assert_array_equal(mask, seen_by_code(found, hidden))


def test_one_of_many_long_names_is_visible_by_a_short_expression():
    """A list of all the others would be longer than an expression may be."""
    labels = tuple(f"{i:03d} {'cell type ' * 8}" for i in range(MAX_CATEGORIES))
    n = len(labels)
    found = Categories("c", np.arange(n, dtype="i2"), labels, ("#000000",) * n, np.ones(n, "i8"), 0)
    assert visible_expression("c", frozenset(labels) - {labels[7]}, found) == f"(`c` in ['{labels[7]}'])"
    assert visible_expression("c", {labels[7]}, found) == f"(`c` not in ['{labels[7]}'])"
