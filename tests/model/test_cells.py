"""The cells of a file as a pandas frame of which nothing is read until a column is named."""

from __future__ import annotations

import pickle

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import cellasso
from cellasso.core.errors import NotFoundError
from cellasso.model.cells import Cells
from cellasso.model.vector import Vector

N = 300


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    rng = np.random.default_rng(0)
    obs = pd.DataFrame(
        {
            "kind": pd.Categorical(rng.choice(["a", "b"], N)),
            "score": rng.normal(size=N),
            "g1": np.arange(N),  # a gene is called so, too
        },
        index=[f"c{i}" for i in range(N)],
    )
    counts = sparse.random(N, 6, density=0.4, format="csr", random_state=rng, dtype="f4")
    adata = ad.AnnData(counts, obs=obs, var=pd.DataFrame(index=[f"g{i}" for i in range(6)]))
    adata.layers["counts"] = counts * 2
    adata.obsm["X_umap"] = rng.normal(size=(N, 2)).astype("f4")
    path = tmp_path_factory.mktemp("cells") / "x.h5ad"
    adata.write_h5ad(path)
    return path


@pytest.fixture
def dataset(path):
    with cellasso.open(path, index=False) as dataset:
        yield dataset


@pytest.fixture(scope="module")
def adata(path):
    return ad.read_h5ad(path)


def expected_of(adata) -> pd.DataFrame:
    umap = adata.obsm["X_umap"]
    return pd.DataFrame(
        {
            "kind": adata.obs["kind"].array,
            "score": adata.obs["score"].array,
            "obs:g1": adata.obs["g1"].array,
            "X_umap:0": umap[:, 0],
            "X_umap:1": umap[:, 1],
        }
    )


def test_it_is_a_frame_of_obs_and_embeddings(dataset, adata):
    cells = dataset.cells
    assert isinstance(cells, pd.DataFrame)
    assert cells.shape == (N, 5)
    assert list(cells) == list(cells.columns) == ["kind", "score", "obs:g1", "X_umap:0", "X_umap:1"]
    pd.testing.assert_frame_equal(cells.copy(), expected_of(adata))
    assert type(cells.copy()) is pd.DataFrame


def test_nothing_is_read_until_a_column_is_named(dataset, monkeypatch):
    read = []
    stored = dataset.handle.read
    monkeypatch.setattr(
        dataset.handle, "read", lambda array, *rest, **more: read.append(array.name) or stored(array, *rest, **more)
    )
    cells = dataset.cells
    assert (len(cells), cells.shape, cells.empty) == (N, (N, 5), False)
    narrow = cells[["score", "X_umap:0", "counts/g2"]]
    assert isinstance(narrow, Cells)
    assert (repr(narrow), "g2" in cells, "g2" in narrow) == (repr(narrow), True, False)
    assert not [name for name in read if name.startswith(("/obs/", "/obsm", "/X", "/layers")) and name != "/obs/_index"]
    read.clear()
    narrow["score"]
    assert read == ["/obs/score"]


def test_every_vector_is_a_column_by_name(dataset, adata):
    cells = dataset.cells
    for name, expected in {
        "g2": adata.X[:, 2].toarray().ravel(),
        "gene:g1": adata.X[:, 1].toarray().ravel(),
        "counts/g2": adata.layers["counts"][:, 2].toarray().ravel(),
        "sum:total": np.asarray(adata.X.sum(axis=1, dtype="f8")).ravel(),
        "obs_names": adata.obs_names.to_numpy(),
    }.items():
        pd.testing.assert_series_equal(cells[name], pd.Series(expected, name=name), check_dtype=False)
    np.testing.assert_array_equal(cells[Vector("obsm", "X_umap", dim=1)], adata.obsm["X_umap"][:, 1])
    with pytest.raises(NotFoundError, match="no column of obs and no feature 'g9'"):
        cells["g9"]
    with pytest.raises(NotFoundError):
        cells[["score", "g9"]]


def test_a_mapping_says_which_vector_a_column_is_whatever_it_is_called(dataset, adata):
    cells = Cells(dataset.vectors, {"first": Vector("obsm", "X_umap"), "g1": Vector("gene", "g1")})
    assert list(cells) == ["first", "g1"]
    np.testing.assert_array_equal(cells["first"], adata.obsm["X_umap"][:, 0])
    narrow = cells[["g1"]]  # by itself the name could be that of a column of obs
    assert narrow.is_narrow
    np.testing.assert_array_equal(narrow["g1"], adata.X[:, 1].toarray().ravel())
    assert not dataset.cells.is_narrow


@pytest.mark.parametrize(
    "ask",
    [
        lambda f: f.head(3),
        lambda f: f.iloc[4:9],
        lambda f: f[f["score"] > 0],
        lambda f: f[10:20],
        lambda f: f.query("score > 0 and kind == 'a'"),
        lambda f: f.groupby("kind", observed=True)["score"].mean(),
        lambda f: f.describe(),
        lambda f: f.drop(columns=["kind"]) + 1,
        lambda f: f.sort_values("score"),
        lambda f: f.rename(columns={"score": "s"}),
        lambda f: f.assign(new=f["score"] * 2),
        lambda f: f.sample(5, random_state=0),
        lambda f: pd.concat([f, f]),
        lambda f: f.merge(f, left_index=True, right_index=True),
        lambda f: f.dtypes,
        lambda f: f.T,
        lambda f: f.loc[3:5, ["score"]],
        lambda f: f.isna().sum(),
        lambda f: pickle.loads(pickle.dumps(f)),
        pd.DataFrame,
    ],
)
def test_whatever_else_pandas_does_gives_what_a_plain_frame_gives(dataset, ask):
    cells = dataset.cells[["kind", "score", "X_umap:0"]]
    found, expected = ask(cells), ask(cells.copy())
    assert type(found) is type(expected)
    (pd.testing.assert_frame_equal if isinstance(expected, pd.DataFrame) else pd.testing.assert_series_equal)(
        found, expected
    )


def test_it_cannot_be_changed(dataset):
    cells = dataset.cells[["score"]]

    def delete():
        del cells["score"]

    for change in (lambda: cells.__setitem__("x", 1), lambda: cells.insert(0, "x", 1), delete):
        with pytest.raises(TypeError, match=r"it is read from the file; `\.copy\(\)` makes a frame"):
            change()
    for change in (
        lambda: setattr(cells, "score", 1),
        lambda: cells.update(cells.copy()),
        lambda: cells.isetitem(0, 1),
    ):
        with pytest.raises(TypeError, match="cells of a file"):
            change()
    score = cells["score"]
    before = score.iloc[0]
    changed = score.copy()
    changed.iloc[0] = before + 1
    kinds = dataset.cells["kind"]
    first = kinds.iloc[0]
    kinds.array[0] = "a" if first == "b" else "b"  # of what was read, not of what is kept
    assert cells["score"].iloc[0] == before
    assert dataset.cells["kind"].iloc[0] == first


def test_what_pandas_does_inside_is_as_it_is_leant_on():
    """If this fails: `Cells` makes `_mgr` when pandas asks for it; look for where pandas keeps its values now."""
    assert "_mgr" in vars(pd.DataFrame({"a": [1]}))
