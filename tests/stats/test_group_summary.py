"""Summaries over groups, against pandas, and against what scanpy's dotplot shows."""

from __future__ import annotations

import warnings

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from cellasso.stats import group_summary
from cellasso.stats.group_summary import count_groups, summarise_groups


@pytest.mark.parametrize("dtype", ["f2", "f4", ">f4", "f8", "i4", "u1", "?"])
def test_means_and_fractions_are_pandas(dtype):
    rng = np.random.default_rng(0)
    codes = rng.integers(-1, 5, 500).astype("i1")
    codes[codes == 3] = -1  # a group without cells
    columns = [np.where(rng.random(500) < 0.4, rng.integers(0, 9, 500), 0).astype(dtype) for _ in range(3)]
    if "f" in dtype:
        columns[1][::7] = np.nan
        columns[2] -= 3
    found = summarise_groups(columns, codes, 6)
    frame = pd.DataFrame({i: column.astype("f8") for i, column in enumerate(columns)})[codes >= 0]
    groups = frame.astype("f8").groupby(codes[codes >= 0])
    mean = groups.mean().reindex(range(6))
    positive = frame.astype("f8").where(frame.isna(), (frame > 0).astype("f8"))
    fraction = positive.groupby(codes[codes >= 0]).mean().reindex(range(6))
    np.testing.assert_allclose(found.mean, mean, rtol=1e-12)
    np.testing.assert_allclose(found.fraction, fraction, rtol=1e-12)
    variance = groups.var().reindex(range(6))
    np.testing.assert_allclose(found.variance, variance, rtol=1e-9)
    np.testing.assert_array_equal(found.n_known, groups.count().reindex(range(6), fill_value=0))
    np.testing.assert_array_equal(found.n_cells, groups.size().reindex(range(6), fill_value=0))
    assert np.isnan(found.mean[[3, 5]]).all()


def test_summaries_of_parts_add_up():
    rng = np.random.default_rng(3)
    codes, columns = rng.integers(-1, 4, 300), list(rng.poisson(1.0, (5, 300)).astype("f4"))
    columns[0][::9] = np.nan
    whole = summarise_groups(columns, codes, 4)
    first, second = (
        summarise_groups([c[part] for c in columns], codes[part], 4) for part in (slice(100), slice(100, None))
    )
    for field in ("n_cells", "n_known", "n_above", "sums", "squares"):  # counts, so that float64 sums are exact
        np.testing.assert_array_equal(getattr(first + second, field), getattr(whole, field), strict=True)


def test_a_dotplot_shows_what_scanpys_does():
    import matplotlib as mpl

    mpl.use("Agg")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import scanpy as sc

        rng = np.random.default_rng(1)
        X = rng.poisson(0.6, (200, 4)).astype("f4")
        obs = pd.DataFrame({"kind": pd.Categorical(rng.choice(list("abc"), 200))}, index=[f"c{i}" for i in range(200)])
        adata = ad.AnnData(X, obs=obs, var=pd.DataFrame(index=list("wxyz")))
        plot = sc.pl.DotPlot(adata, list("wxyz"), "kind")
    found = summarise_groups(list(X.T), obs["kind"].cat.codes.to_numpy(), 3)
    np.testing.assert_allclose(found.mean, plot.dot_color_df.to_numpy(), rtol=1e-6)
    np.testing.assert_allclose(found.fraction, plot.dot_size_df.to_numpy(), rtol=1e-6)


def test_no_cells_and_no_features_are_empty_summaries():
    none = summarise_groups([], np.array([0, 1]), 2)
    assert none.mean.shape == none.fraction.shape == (2, 0)
    empty = summarise_groups([np.empty(0, dtype="f4")], np.empty(0, dtype="i1"), 2)
    assert np.isnan(empty.mean).all()
    assert list(empty.n_cells) == [0, 0]


def test_groups_are_counted_within_a_mask():
    codes = np.array([0, 2, 2, -1, 0], dtype="i1")
    assert list(count_groups(codes, 4)) == [2, 0, 2, 0]
    assert list(count_groups(codes, 4, np.array([True, True, False, True, False]))) == [1, 0, 1, 0]


@pytest.mark.parametrize(("n", "n_groups", "dtype"), [(1000, 7, "i1"), (65, 7, "i2"), (64, 7, "i8"), (500, 200, "i2")])
def test_groups_are_counted_part_by_part(monkeypatch, n, n_groups, dtype):
    monkeypatch.setattr(group_summary, "COUNTED", 64)
    codes = np.random.default_rng(n).integers(-1, n_groups, n).astype(dtype)
    expected = [np.count_nonzero(codes == group) for group in range(n_groups)]
    found = count_groups(codes, n_groups)
    assert found.dtype == np.int64
    assert list(found) == expected
