"""What `hv.link_selections` has selected: the cells that HoloViews finds over pandas, and a recipe that finds them."""

from __future__ import annotations

import anndata as ad
import holoviews as hv
import mudata as md
import numpy as np
import pandas as pd
import pytest
from holoviews import dim
from holoviews.element.selection import spatial_select
from holoviews.operation.datashader import rasterize

import cellasso
from cellasso.core.errors import ElementError, NotFoundError
from cellasso.pl import selected
from cellasso.selection.recipe import Lasso, PolygonGate, WhereRecipe, dump, load

pytestmark = pytest.mark.more  # nothing here differs with the versions of the libraries

N = 2_000
X, Y = "X_umap:0", "X_umap:1"
NAMES = [
    X,
    Y,
    "kind",
    "stage",
    "numbered",
    "score",
    "half",
    "n",
    "text",
    "flag",
    "maybe",
    "g1",
    "obs:it's `q`",
    "my column",
]


def made():
    rng = np.random.default_rng(0)
    xy = rng.normal(size=(N, 2)).astype("f4")
    xy[:100] = rng.integers(-1, 2, (100, 2))  # on the edges of boxes
    xy[100:107] = np.nan
    xy[107:111, 0] = np.inf
    score = rng.normal(size=N)
    score[::7] = np.nan
    missing = rng.random(N) < 0.1
    obs = pd.DataFrame(
        {
            "kind": pd.Categorical(rng.choice(list("abc"), N), categories=["b", "unused", "c", "a"]),
            "stage": pd.Categorical(
                np.where(missing, None, rng.choice(["lo", "hi"], N)), categories=["lo", "hi"], ordered=True
            ),
            "numbered": pd.Categorical(rng.choice([3, 1], N), categories=[3, 2, 1]),
            "score": score,
            "half": rng.normal(size=N).astype("f4"),
            "n": rng.integers(0, 9, N),
            "text": [f"t{i % 5}" for i in range(N)],
            "flag": rng.random(N) < 0.5,
            "maybe": pd.array(np.where(missing, None, rng.integers(0, 3, N)), dtype="Int32"),
            "it's `q`": pd.Categorical(rng.choice(["it's", 'a "b"\\', "x or y"], N)),
            "my column": rng.normal(size=N),
        },
        index=[f"c{i}" for i in range(N)],
    )
    adata = ad.AnnData(rng.poisson(1.0, (N, 3)).astype("f4"), obs=obs, var=pd.DataFrame(index=["g0", "g1", "g2"]))
    adata.obsm["X_umap"] = xy
    return adata


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("linked") / "cells.h5ad"
    made().write_h5ad(path, convert_strings_to_categoricals=False)
    return path


@pytest.fixture(scope="module")
def dataset(path):
    with cellasso.open(path, index=False) as dataset:
        yield dataset


@pytest.fixture(scope="module")
def frame(dataset):
    return dataset.cells[NAMES].copy()


@pytest.fixture(scope="module", autouse=True)
def _bokeh():
    hv.extension("bokeh", logo=False)


def star(n=40, size=1.0, spikes=0.4):
    angle = np.linspace(0, 2 * np.pi, n, endpoint=False)
    radius = size * (1 + spikes * np.sin(7 * angle))
    return np.stack([radius * np.cos(angle) + 0.1, radius * np.sin(angle) - 0.2], axis=1)


def link_of(expression):
    link = hv.link_selections.instance()
    link.selection_expr = expression
    return link


def by_holoviews(expression, frame):
    """Evaluate an expression over pandas; a missing truth selects nothing, as with a mask of pandas."""
    found = expression.apply(hv.Dataset(frame, list(frame.columns), []), keep_index=True)
    return pd.Series(np.asarray(found)).astype("boolean").fillna(False).to_numpy(dtype=bool)


def box(x, y, bounds):
    x0, x1, y0, y1 = bounds
    return (dim(x) >= x0) & (dim(x) <= x1) & ((dim(y) >= y0) & (dim(y) <= y1))


def lasso(x, y, polygon):
    return dim.pipe(spatial_select, hv.Dimension(x), dim(y), geometry=polygon)


WITH_RECIPE = {
    "box": box(X, Y, (-1, 1, -1.0, 0.5)),
    "box between floats": box(X, Y, (0.1, 0.30000001, -0.7, 0.7)),
    "lasso": lasso(X, Y, star()),
    "lasso that crosses itself": lasso(X, Y, np.random.default_rng(3).normal(size=(12, 2))),
    "lasso, axes swapped": lasso(Y, X, star()),
    "lasso over genes and obs": lasso("half", "g1", star(size=2)),
    "category": dim("kind") == "a",
    "no category": dim("kind") == "zzz",
    "other categories": dim("kind") != "a",
    "other than missing": dim("stage") != "hi",
    "categories": dim("kind").isin(["a", "c"]),
    "categories by object": dim("stage").isin(["hi"], object=True),
    "no categories": dim("kind").isin([]),
    "order": dim("stage") >= "hi",
    "numbered categories": dim("numbered").isin([3, 2]),
    "text": dim("text").isin(["t1", "t3"]),
    "truth": dim("flag") == True,  # noqa: E712
    "truths": dim("flag").isin([False]),
    "whole numbers": (dim("n") > 3) & (dim("n") != 7),
    "numbers": dim("score") < 0.25,
    "not numbers": ~(dim("score") < 0.25),
    "quotes": dim("obs:it's `q`").isin(["it's", 'a "b"\\']),
    "words of the grammar": (dim("obs:it's `q`") == "x or y") & ((dim("kind") == "a") | (dim("n") > 2)),
    "a space": dim("my column") <= 0.0,
    "union": lasso(X, Y, star()) | box(X, Y, (0, 2, 0, 2)),
    "difference": box(X, Y, (0, 2, 0, 2)) & ~lasso(X, Y, star(size=0.5)),
    "outside": ~lasso(X, Y, star()),
    "crossed": lasso(X, Y, star()) & ((dim("kind") == "a") | (dim("score") > 0)),
    "many": box(X, Y, (0, 1, 0, 1)) | box(X, Y, (-1, 0, -1, 0)) | (dim("kind") == "b") & (dim("score") > 0),
}
WITHOUT = {
    "arithmetic": dim("score") + dim("half") > 0.5,
    "columns": dim("score") > dim("half"),
    "function": dim("score").norm() > 0.5,
    "a column of truths": dim("flag") & (dim("n") > 4),
    "nullable": dim("maybe") > 1,
    "not nullable": ~(dim("maybe") > 1),
    "text and number": dim("text").isin([1, 2]),
    "number and text": dim("numbered") == "3",
    "order of text": dim("text") > "t2",
    "float64 beside float32": dim("half") > np.float64(0.1),
    "too long": dim("text").isin([f"t{i}" for i in range(4_000)]),
    "infinite": dim("score") < np.inf,
    "one's own": dim.pipe(lambda a, b: (a > 0) & (b > 0), "score", dim("half")),
}


@pytest.mark.parametrize("name", WITH_RECIPE)
def test_a_selection_and_its_recipe_are_the_cells_of_holoviews(dataset, frame, name):
    expression = WITH_RECIPE[name]
    mask, recipe = selected(link_of(expression), dataset)
    assert (mask.dtype, mask.shape) == (np.dtype(bool), (N,))
    np.testing.assert_array_equal(mask, by_holoviews(expression, frame))
    np.testing.assert_array_equal(load(dump(recipe)).mask(dataset), mask)
    assert mask.any() or name.startswith("no ")


@pytest.mark.parametrize("name", WITHOUT)
def test_what_no_recipe_says_is_evaluated_by_holoviews(dataset, frame, name):
    expression = WITHOUT[name]
    mask, recipe = selected(link_of(expression), dataset)
    assert recipe is None
    assert mask.dtype == bool
    np.testing.assert_array_equal(mask, by_holoviews(expression, frame))


def test_recipes_are_those_of_what_was_drawn(dataset):
    assert selected(link_of(box(X, Y, (-1, 1, -1.0, 0.5))), dataset)[1] == WhereRecipe(
        "X_umap:0 >= -1 and X_umap:0 <= 1 and X_umap:1 >= -1.0 and X_umap:1 <= 0.5"
    )
    polygon = star(5)
    vertices = tuple(map(tuple, polygon.tolist()))
    assert selected(link_of(lasso(X, Y, polygon)), dataset)[1] == Lasso("X_umap", vertices, (0, 1))
    assert isinstance(selected(link_of(lasso("score", "n", polygon)), dataset)[1], PolygonGate)
    assert selected(link_of((dim("kind") == "a") & ((dim("n") > 1) | (dim("n") < 0))), dataset)[1] == WhereRecipe(
        "obs:kind == 'a' and (obs:n > 1 or obs:n < 0)"
    )


def test_without_a_selection_all_cells_are_selected(dataset):
    mask, recipe = selected(hv.link_selections.instance(), dataset)
    assert mask.all()
    assert mask.shape == (N,)
    assert recipe is None


def test_what_the_file_lacks_is_reported(dataset):
    with pytest.raises(NotFoundError, match="no feature 'scores'"):
        selected(link_of(dim("scores") > 1), dataset)
    with pytest.raises(TypeError, match=r"Points has no selection; an instance of hv\.link_selections was expected"):
        selected(hv.Points([]), dataset)
    for expression in (dim("n").max() == dim("n").max(), dim("score") + 1):
        with pytest.raises(ElementError, match="one truth for each cell was expected"):
            selected(link_of(expression), dataset)


def drawn(link, element):
    """Return the streams that a user's box and lasso over an element arrive in."""
    (sequence,) = (s for source, s in link._selection_expr_streams.items() if type(source) is type(element))
    box_stream, lasso_stream, _ = sequence.input_streams[0].input_stream.input_streams
    return box_stream, lasso_stream


@pytest.mark.parametrize("mode", ["overwrite", "intersect", "union", "inverse"])
def test_boxes_and_lassos_of_a_user(dataset, frame, mode):
    shown = []
    for data in (dataset, frame):
        points = hv.Points(data, [X, Y], ["kind", "score"])
        link = hv.link_selections.instance(selection_mode=mode)
        linked = link(points)
        bounds, polygon = drawn(link, points)
        bounds.event(bounds=(-1.0, -1.0, 1.5, 0.5), x_selection=(-1.0, 1.5), y_selection=(-1.0, 0.5))
        polygon.event(geometry=star())
        layers = [layer for layer in linked[()] if isinstance(layer, hv.Points)]
        shown.append([layer.dframe() for layer in layers])
    for found, expected in zip(*shown, strict=True):
        pd.testing.assert_frame_equal(found, expected)
    mask, recipe = selected(link, dataset)
    np.testing.assert_array_equal(mask, by_holoviews(link.selection_expr, frame))
    np.testing.assert_array_equal(recipe.mask(dataset), mask)
    if mode != "inverse":
        assert mask.sum() == len(shown[1][-1])


def test_pictures_and_histograms_of_one_dataset_are_linked(dataset, frame):
    shown = []
    for data in (dataset, frame[[X, Y, "kind", "score"]]):
        whole = hv.Dataset(data, [X, Y, "kind"], ["score"])
        points = whole.to(hv.Points, [X, Y], [], groupby=[])
        picture = rasterize(points, width=40, height=30, x_range=(-4, 4), y_range=(-4, 4), dynamic=True)
        histogram = hv.operation.histogram(whole, dimension="score", bin_range=(-3, 3), dynamic=False)
        link = hv.link_selections.instance()
        linked = link(picture + histogram)
        drawn(link, picture)[1].event(geometry=star())
        pictures, bars = (part[()] for part in linked)
        shown.append([layer.dframe() for layer in (*pictures, *bars) if isinstance(layer, hv.Image | hv.Histogram)])
    assert len(shown[0]) == len(shown[1]) == 4
    for found, expected in zip(*shown, strict=True):
        pd.testing.assert_frame_equal(found, expected)


def test_a_tap_on_categories_and_an_index_column(dataset, frame):
    points = hv.Points(dataset, [X, Y], ["kind"])
    link = hv.link_selections.instance(index_cols=["kind"])
    link(points)
    drawn(link, points)[0].event(bounds=(0.0, 0.0, 0.1, 0.1), x_selection=(0.0, 0.1), y_selection=(0.0, 0.1))
    mask, recipe = selected(link, dataset)
    np.testing.assert_array_equal(mask, by_holoviews(link.selection_expr, frame))
    assert isinstance(recipe, WhereRecipe)


def test_what_is_selected_is_exported_with_its_recipe(dataset, frame, tmp_path):
    expression = lasso(X, Y, star()) & (dim("kind") == "a")
    mask, recipe = selected(link_of(expression), dataset)
    dataset.export(mask, tmp_path / "chosen.h5ad", recipe=recipe)
    chosen = ad.read_h5ad(tmp_path / "chosen.h5ad")
    np.testing.assert_array_equal(chosen.obs_names, dataset.obs_names[by_holoviews(expression, frame)])
    assert "lasso" in str(chosen.uns["cellasso"])


def test_selections_over_modalities(path, tmp_path):
    rna = ad.read_h5ad(path)
    prot = rna[::2].copy()
    prot.var_names = ["p0", "p1", "p2"]
    md.MuData({"rna": rna, "prot": prot}).write(tmp_path / "both.h5mu")
    with cellasso.open(tmp_path / "both.h5mu", index=False) as both:
        x, y = "prot:X_umap:0", "prot:X_umap:1"
        frame = both.cells[[x, y, "prot:kind", "prot:p1"]].copy()
        expression = lasso(x, y, star()) & ~(dim("prot:kind") == "a") & (dim("prot:p1") >= 1)
        mask, recipe = selected(link_of(expression), both)
        np.testing.assert_array_equal(mask, by_holoviews(expression, frame))
        np.testing.assert_array_equal(recipe.mask(both), mask)
        inner = both["prot"]
        mask, recipe = selected(link_of(lasso(X, Y, star())), inner)
        np.testing.assert_array_equal(mask, by_holoviews(lasso(X, Y, star()), inner.cells[[X, Y]].copy()))


def test_what_holoviews_does_inside_is_as_it_is_leant_on():
    from holoviews.util import transform

    (first, second) = ((dim("x") >= 1) & (dim("y") < 2)).ops
    why = "linked_selections reads dim.ops; selections then only lose their recipes: see how operations are kept now"
    assert first["args"] == (1,), why
    assert second["fn"].__name__ == "and_", why
    assert set(first) >= {"fn", "args", "kwargs", "reverse"}, why
    assert isinstance(second["args"][0], dim), why
    points = hv.Points(np.zeros((1, 2)), ["x", "y"])
    (drawn_lasso,) = points._get_selection_expr_for_stream_value(geometry=star())[0].ops
    assert drawn_lasso["fn"] is spatial_select, "a lasso is another function now: take it in _Translation._test"
    assert drawn_lasso["kwargs"].keys() == {"geometry"}, "the vertices of a lasso have moved: see _Translation._lasso"
    assert dim("x").isin([1]).ops[0]["fn"] is transform.isin, "dim.isin is another function now: see _Translation._test"
    assert dim("x").isin([1], object=True).ops[0]["fn"] is transform.python_isin, "likewise"
