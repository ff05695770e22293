"""What colours the cells: colours of `uns` or of the palette, categories folded, values clipped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import colorcet
import numpy as np
import pandas as pd
import pytest

import cellasso
from cellasso.color.coloring import MAX_CATEGORIES, MISSING_COLOR, Categories, CellValues, Values, palette
from cellasso.core.errors import ElementError, NotFoundError
from cellasso_app.render.cell_values import obs_vector, read_cell_values
from coloring_of import color_by_obs, read_gene
from conftest import make_adata, write

if TYPE_CHECKING:
    from cellasso.model.vector import Vector


@dataclass
class OneColumn:
    """A dataset of one column, of dtypes that no file holds too; `color_by_obs` asks nothing else of it."""

    values: pd.Series
    colors: list[str] | None = None

    obs = ()

    @property
    def vectors(self) -> OneColumn:
        return self

    def read(self, vector: Vector, *, progress: object = None, preview: object = None) -> pd.Series | np.ndarray:
        return self.values if vector.kind == "obs" else self.values.to_numpy()

    def read_colors(self, column: str) -> list[str] | None:
        return self.colors

    def owner(self, name: str, *, own: object = ()) -> tuple[OneColumn, str]:
        return self, name

    def name_of(self, owner: OneColumn) -> str:
        return ""

    def __getitem__(self, modality: str) -> OneColumn:
        return self

    def holds_counts(self, layer: str | None) -> bool:
        return False


def color(values, colors: list[str] | None = None, **options) -> Categories | Values:
    return color_by_obs(OneColumn(pd.Series(values, **options), colors), "column")


def abc(colors: list[str] | None) -> Categories:
    return color(pd.Categorical(list("abca"), categories=list("abc")), colors)


# -- colours ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stated", "shown"),
    [
        (["#102030", "#aBcDeF", "#000000"], ("#102030", "#abcdef", "#000000")),
        (["#123", "#fff", "#a0f"], ("#112233", "#ffffff", "#aa00ff")),
        (["#1234", "#ffff", "#a0f0"], ("#112233", "#ffffff", "#aa00ff")),
        (["#10203040", "#abcdefff", "#00000000"], ("#102030", "#abcdef", "#000000")),
        (["red", "Lime", " rebeccapurple "], ("#ff0000", "#00ff00", "#663399")),
        (["#010101", "navy", "#222", "not looked at"], ("#010101", "#000080", "#222222")),
    ],
    ids=["hex6", "hex3", "hex4", "hex8", "names", "more_than_needed"],
)
def test_valid_colours_of_uns_are_used(stated, shown):
    assert abc(stated).colors == shown


@pytest.mark.parametrize(
    "stated",
    [
        None,
        [],
        ["#111111", "#222222"],
        ["#111111", "#222222", "#33333"],
        ["#111111", "#222222", "#gggggg"],
        ["#111111", "#222222", "333333"],
        ["#111111", "#222222", "#"],
        ["#111111", "#222222", ""],
        ["#111111", "#222222", "nosuchcolour"],
        ["#111111", "#222222", "__doc__"],
        ["#111111", "#222222", "url(https://evil.example)"],
        ["#111111", "#222222", "#12345٣"],  # isdigit() would take the Arabic three
    ],
    ids=repr,
)
def test_colours_of_uns_are_ignored_altogether_when_one_is_wrong_or_missing(stated):
    assert abc(stated).colors == palette(3)


def test_colours_come_from_the_files_uns(dataset, plain):
    coloring = color_by_obs(dataset, "ordered")
    assert coloring.labels == tuple(plain.oracle.obs["ordered"].cat.categories)
    assert coloring.colors == tuple(plain.oracle.uns["ordered_colors"][: len(coloring.labels)])


def test_the_palette_is_stable_distinct_and_readable():
    many = palette(200)
    assert all(palette(n) == many[:n] for n in (0, 1, 7, 100))
    assert len(set(many)) == 200
    assert set(many) <= set(colorcet.b_glasbey_category10)
    assert len(palette(1000)) == 1000  # repeats rather than ends
    assert not {"#ffffff", "#000000"} & set(many)


def test_a_colour_does_not_shift_when_a_category_has_no_cells():
    full = color(pd.Categorical(list("aabbcc"), categories=list("abc")))
    part = color(pd.Categorical(list("aacc"), categories=list("abc")))
    assert part.colors == full.colors
    assert list(part.counts) == [2, 0, 2]


# -- categories ---------------------------------------------------------------------------------------


def test_codes_and_counts_are_pandas(dataset, plain):
    for column in ("ordered", "gaps", "numbered"):
        found, expected = color_by_obs(dataset, column), plain.oracle.obs[column]
        assert found.labels == tuple(map(str, expected.cat.categories))
        assert found.codes.dtype == np.int16
        np.testing.assert_array_equal(found.codes, expected.cat.codes)
        np.testing.assert_array_equal(found.counts, expected.value_counts(sort=False))
        assert found.n_missing == expected.isna().sum()
        assert found.n_folded == 0
    assert color_by_obs(dataset, "gaps").n_missing > 0


@pytest.mark.parametrize(
    ("values", "labels", "codes"),
    [
        (pd.Series([True, False, True]), ("False", "True"), [1, 0, 1]),
        (pd.Series([True, True]), ("True",), [0, 0]),
        (pd.Series([True, None, False], dtype="boolean"), ("False", "True"), [1, -1, 0]),
        (pd.Series(["b", "a", "b"]), ("a", "b"), [1, 0, 1]),
        (pd.Series(["b", None, np.nan, "a"], dtype=object), ("a", "b"), [1, -1, -1, 0]),
        (pd.Series(["b", None, ""], dtype="string"), ("", "b"), [1, -1, 0]),
        (pd.Series(pd.Categorical([2.5, None, 1.5])), ("1.5", "2.5"), [1, -1, 0]),
        (pd.Series([None, None], dtype=object), (), [-1, -1]),
        (pd.Series([], dtype="category"), (), []),
    ],
    ids=["bool", "one_bool", "nullable_bool", "text", "text_gaps", "string", "numbered", "nothing", "no_cells"],
)
def test_names_and_truths_become_categories(values, labels, codes):
    found = color(values)
    assert isinstance(found, Categories)
    assert found.labels == labels
    assert found.codes.dtype == np.int16
    assert list(found.codes) == codes
    assert len(found.colors) == len(found.counts) == len(labels)
    assert found.n_missing == codes.count(-1)
    assert found.counts.sum() + found.n_missing == len(codes)


def large(n_categories: int, *, seed: int = 0) -> pd.Series:
    """Category i holds more cells the nearer i is to the middle; a fifth of all cells has none."""
    rng = np.random.default_rng(seed)
    size = 3 + 5 * (n_categories // 2 - np.abs(np.arange(n_categories) - n_categories // 2))
    codes = rng.permutation(np.repeat(np.arange(n_categories), size))
    codes = np.where(rng.random(len(codes)) < 0.2, -1, codes)
    return pd.Series(pd.Categorical.from_codes(codes, [f"c{i}" for i in range(n_categories)]))


def test_as_many_categories_as_a_palette_holds_stay():
    found = color(large(MAX_CATEGORIES))
    assert len(found.labels) == MAX_CATEGORIES
    assert found.n_folded == 0
    assert found.codes.max() == MAX_CATEGORIES - 1


@pytest.mark.parametrize("n", [256, 300, 40_000], ids=["one_too_many", "some", "more_than_int16"])
def test_more_categories_fold_into_the_254_largest_and_other(n):
    values = large(n) if n < 1000 else pd.Series([f"c{i}" for i in range(n)] + ["c7"] * 3 + [None] * 5)
    found = color(values)
    counts = values.value_counts()
    assert len(found.labels) == len(found.colors) == len(found.counts) == 255
    assert found.labels[-1] == "other"
    assert found.colors[-1] == MISSING_COLOR
    assert found.n_folded == n - 254
    kept = list(found.labels[:-1])
    assert counts[kept].min() >= counts.drop(kept).max()
    np.testing.assert_array_equal(found.counts[:-1], counts[kept])
    assert found.counts[-1] == counts.drop(kept).sum()
    assert found.n_missing == values.isna().sum()
    labels = np.array([*found.labels, None], dtype=object)[found.codes]
    expected = values.astype(object).where(values.notna(), None)
    expected = expected.where(expected.isin(kept) | expected.isna(), "other")
    np.testing.assert_array_equal(labels, expected.to_numpy())
    assert found.codes.dtype == np.int16


def test_a_kept_category_keeps_its_own_colour_when_others_fold():
    stated = [f"#{i:06x}" for i in range(300)]
    found = color(large(300), stated)
    assert all(its == stated[int(label[1:])] for label, its in zip(found.labels[:-1], found.colors[:-1], strict=True))


# -- values -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values",
    [
        pd.Series([3, 1, 2], dtype="i1"),
        pd.Series([3, 1, 2], dtype="u8"),
        pd.Series([3, 1, 2], dtype="Int32"),
        pd.Series([3, 1, 2], dtype="f8"),
        pd.Series([3, 1, 2], dtype="Float64"),
    ],
    ids=lambda values: str(values.dtype),
)
def test_numbers_become_values(values):
    found = color(values)
    assert isinstance(found, Values)
    assert found.values.dtype == np.float32
    assert list(found.values) == [3, 1, 2]
    assert (found.low, found.n_missing, found.source) == (1, 0, "")


def test_a_nullable_number_that_is_missing_is_nan():
    found = color(pd.Series([3, None, 1], dtype="Int32"))
    np.testing.assert_array_equal(found.values, [3, np.nan, 1])
    assert found.n_missing == 1


def test_dates_become_values_in_their_order_and_missing_ones_nan():
    found = color(pd.to_datetime(pd.Series(["2021-01-01", None, "2020-01-01", "2022-06-01"])))
    assert isinstance(found, Values)
    assert np.isnan(found.values[1])
    assert found.n_missing == 1
    assert found.values[2] < found.values[0] < found.values[3]


def test_colours_end_at_the_99th_percentile_of_what_is_above_the_lowest():
    rng = np.random.default_rng(0)
    expressed = rng.gamma(2.0, 1.0, 1000).astype("f4") + 0.1
    found = color(np.r_[np.zeros(50_000, dtype="f4"), expressed])
    assert found.low == 0
    assert found.high == pytest.approx(np.percentile(expressed, 99))
    assert found.clipped


def test_an_even_spread_without_a_tail_is_not_clipped():
    found = color([0.0, 1.0, 1.0, 1.0])
    assert (found.low, found.high, found.clipped) == (0, 1, False)


@pytest.mark.parametrize(
    ("values", "low", "high", "n_missing"),
    [
        ([np.nan] * 4, 0, 1, 4),
        ([np.inf, -np.inf, np.nan], 0, 1, 3),
        ([], 0, 1, 0),
        ([7.0] * 5, 7, 7, 0),
        ([7.0, np.nan], 7, 7, 1),
        ([2.0, np.inf, 4.0, -np.inf], 2, 4, 2),
        ([2.0, 1e300, 4.0], 2, 4, 1),  # float32 has no such number
    ],
    ids=["nan", "infinite", "none", "constant", "constant_gaps", "some_infinite", "beyond_float32"],
)
def test_only_finite_values_make_the_range(values, low, high, n_missing):
    found = color(values, dtype="f8")
    assert (found.low, found.high, found.clipped, found.n_missing) == (low, high, False, n_missing)


def test_a_value_that_is_not_finite_counts_and_is_shown_as_missing():
    found = color([2.0, np.inf, 4.0, -np.inf, np.nan])
    np.testing.assert_array_equal(found.values, np.array([2, np.nan, 4, np.nan, np.nan], dtype="f4"))
    assert found.n_missing == np.isnan(found.values).sum()


@pytest.mark.parametrize(
    ("values", "dtype"),
    [([True, False, True], "bool"), ([True, True], "bool"), ([None, False, True], "boolean"), ([None], "boolean")],
)
def test_booleans_are_the_names_of_those_that_there_are(values, dtype):
    found, column = color(values, dtype=dtype), pd.Series(values, dtype=dtype)
    expected = column.astype(object).map(str, na_action="ignore").astype("category")
    assert found.labels == tuple(expected.cat.categories)
    np.testing.assert_array_equal(found.codes, expected.cat.codes)
    assert found.boolean


def test_a_sample_is_coloured_as_its_cells_are_among_all(dataset):
    for column in dataset.obs:
        if dataset.obs.kind(column) == "other":
            continue
        raw = read_cell_values(dataset, obs_vector(dataset, column))
        sample, whole = raw.sampled(4), raw.coloring
        assert (sample.name, type(sample)) == (column, type(whole))
        if isinstance(sample, Values):
            np.testing.assert_array_equal(sample.values, whole.values[::4], strict=True)
            assert sample.values.base is None  # else it would hold all of them
        else:
            assert (sample.labels, sample.colors) == (whole.labels, whole.colors)
            np.testing.assert_array_equal(sample.codes, whole.codes[::4], strict=True)
            assert sample.codes.base is None


def test_categories_that_few_cells_have_keep_their_places_in_a_sample():
    values = pd.Series(np.repeat([1, 2, 3], [1, 79, 80]))[::-1].reset_index(drop=True)  # the last cell alone has 1
    for raw in (
        CellValues("a", values, as_categories=True),
        CellValues("a", values.map(str), colors=["#ff0000", "#00ff00", "#0000ff"]),
    ):
        sample, whole = raw.sampled(16), raw.coloring
        assert 0 not in sample.codes
        assert sample.labels == whole.labels == ("1", "2", "3")
        assert sample.colors == whole.colors
        np.testing.assert_array_equal(sample.codes, whole.codes[::16])


def test_categories_that_are_booleans_are_known_as_such():
    assert color(pd.Categorical([True, False, True])).boolean
    assert not color(pd.Categorical(["True", "False"])).boolean


# -- features -----------------------------------------------------------------------------------------


def test_a_feature_is_coloured_exactly_and_says_its_matrix(dataset, plain):
    told: list[float] = []
    found = read_gene(dataset, "g5", None, progress=told.append).coloring
    np.testing.assert_array_equal(found.values, plain.oracle[:, "g5"].X.toarray().ravel())
    assert (found.name, found.source) == ("g5", "X, as stored")
    layer = read_gene(dataset, "g5", "counts", progress=told.append).coloring
    np.testing.assert_array_equal(layer.values, plain.oracle[:, "g5"].layers["counts"].toarray().ravel())
    assert layer.source == "counts, raw counts"
    assert layer.values.dtype == np.float32
    counts = plain.oracle.layers["counts"].toarray()
    normalised = read_gene(dataset, "g5", "counts", normalised=True, progress=told.append).coloring
    expected = np.log1p(1e4 * counts[:, 5] / np.maximum(counts.sum(axis=1), 1))
    np.testing.assert_allclose(normalised.values, expected, rtol=1e-6)
    assert normalised.source == "counts, log1p of counts per 10,000"
    assert told


def test_coloring_leaves_the_cached_column_as_it_is(dataset):
    before = dataset.read_feature("g5").copy()
    read_gene(dataset, "g5", None, progress=lambda _: None).coloring.values[:] = -1
    np.testing.assert_array_equal(dataset.read_feature("g5"), before)


def test_a_matrix_without_numbers_is_refused_by_name():
    with pytest.raises(ElementError, match=r"CD4 holds object, which cannot be shown"):
        read_gene(OneColumn(pd.Series(["a"], dtype=object)), "CD4", None, progress=lambda _: None)


def test_an_unknown_column_or_feature_is_named(dataset):
    with pytest.raises(NotFoundError, match="no_such"):
        color_by_obs(dataset, "no_such")
    with pytest.raises(NotFoundError, match="no_such"):
        read_gene(dataset, "no_such", None, progress=lambda _: None)


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        (np.array([2, 10, 1, 2], dtype="i8"), ("1", "2", "10")),
        (np.array([0.0, 3.0, np.nan, -0.0]), ("0", "3")),
        (np.array([0, 255, 7, 7], dtype="u1"), ("0", "7", "255")),
        (np.array([-5, 5, 0, 0], dtype="i1"), ("-5", "0", "5")),
    ],
    ids=["int", "float_with_nan", "uint8", "negative"],
)
def test_whole_numbers_are_categories_when_asked(tmp_path, values, labels):
    adata = make_adata(n_obs=4, full=False)
    adata.obs = pd.DataFrame({"leiden": values}, index=adata.obs_names)
    with cellasso.open(write(adata, tmp_path / "numbers.h5ad")) as dataset:
        as_numbers = color_by_obs(dataset, "leiden")
        found = color_by_obs(dataset, "leiden", as_categories=True)
    assert isinstance(as_numbers, Values)
    assert as_numbers.n_distinct == len(labels)
    assert found.labels == labels
    assert found.integer
    expected = pd.Series(values).value_counts()
    assert list(found.counts) == [expected[float(label)] for label in labels]
    assert found.n_missing == np.isnan(values.astype("f8")).sum()


@pytest.mark.parametrize(
    "values",
    [np.array([0.5, 1, 2, 3]), np.array([np.inf, 1, 2, 3]), np.full(4, np.nan), np.array([1e300, 1, 2, 3])],
    ids=["fraction", "infinite", "missing", "huge"],
)
def test_other_numbers_stay_numbers(tmp_path, values):
    adata = make_adata(n_obs=4, full=False)
    adata.obs = pd.DataFrame({"depth": values}, index=adata.obs_names)
    with cellasso.open(write(adata, tmp_path / "numbers.h5ad")) as dataset:
        found = color_by_obs(dataset, "depth", as_categories=True)
    assert isinstance(found, Values)
    assert found.n_distinct == 0


def test_more_whole_numbers_than_a_legend_has_rows_stay_numbers(tmp_path):
    adata = make_adata(n_obs=256, full=False)
    adata.obs = pd.DataFrame({"many": np.arange(256), "few": np.arange(256) % 255}, index=adata.obs_names)
    with cellasso.open(write(adata, tmp_path / "numbers.h5ad")) as dataset:
        assert isinstance(color_by_obs(dataset, "many", as_categories=True), Values)
        assert isinstance(color_by_obs(dataset, "few", as_categories=True), Categories)
