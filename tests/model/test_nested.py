"""Modalities that hold modalities of their own: mudata makes them in memory, and reads and writes none of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anndata as ad
import h5py
import mudata as md
import numpy as np
import pandas as pd
import pytest
from mudata._core.io import _read_h5mu_mod, _write_h5mu

import cellasso
import oracle
from cellasso.core.errors import ElementError, NotFoundError
from cellasso.inspect.inspection import inspect

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cellasso.dataset import Dataset

pytestmark = [pytest.mark.filterwarnings("ignore::UserWarning"), pytest.mark.filterwarnings("ignore::FutureWarning")]


def make_part(rng: np.random.Generator, cells: list[str], letter: str) -> ad.AnnData:
    return ad.AnnData(
        rng.random((len(cells), 4)).astype("f4"),
        obs=pd.DataFrame({"kind": pd.Categorical(rng.choice(["a", "b"], len(cells)))}, index=cells),
        var=pd.DataFrame(index=[f"{letter}{i}" for i in range(4)]),
        obsm={"X_umap": rng.random((len(cells), 2)).astype("f4")},
    )


@pytest.fixture
def mdata() -> Any:
    """Cells of three kinds: of both parts of rna in different orders, of one part alone, and of prot alone."""
    rng = np.random.default_rng(0)
    inner = md.MuData(
        {
            "raw": make_part(rng, [f"c{i}" for i in range(8)], "g"),
            "hvg": make_part(rng, [f"c{i}" for i in (9, 3, 5, 1)], "h"),
        }
    )
    inner.obsm["X_pca"] = rng.random((inner.n_obs, 3))
    # prot first, so that rna's cells have other places among the global ones than in rna
    mdata = md.MuData({"prot": make_part(rng, [f"c{i}" for i in (11, 2, 10, 3)], "p"), "rna": inner})
    mdata.obs["site"] = rng.choice(["n", "s"], mdata.n_obs)
    return mdata


@pytest.fixture
def path(mdata, tmp_path) -> Path:
    path = tmp_path / "nested.h5mu"
    flat = md.MuData({"prot": mdata["prot"], "rna": ad.AnnData(obs=mdata["rna"].obs[[]])})
    flat.write(path)
    with h5py.File(path, "r+") as file:
        for part in ("obs", "var", "obsm", "varm", "obsmap", "varmap"):
            del file[part]
            value = getattr(mdata, part)
            ad.io.write_elem(file, part, value if isinstance(value, pd.DataFrame) else dict(value))
        del file["mod/rna"]
        _write_h5mu(file.create_group("mod/rna"), mdata["rna"])
    return path


@pytest.fixture
def dataset(path) -> Iterator[Dataset]:
    with cellasso.open(path) as opened:
        yield opened


def read(group: h5py.Group) -> Any:
    if "mod" not in group:
        return _read_h5mu_mod(group)
    parts = {name: ad.io.read_elem(group[name]) for name in group if name != "mod"}
    mod = {name: read(group["mod"][name]) for name in group["mod"].attrs["mod-order"]}
    return md.MuData(mod, **parts)


def test_nested_modalities_follow_the_one_they_are_in(dataset, mdata):
    assert list(dataset.modalities) == ["prot", "rna", "rna:raw", "rna:hvg"]
    assert dataset["rna"].n_obs == mdata["rna"].n_obs == 9
    assert (dataset["rna:hvg"].n_obs, dataset["rna:hvg"].n_vars) == (4, 4)
    with pytest.raises(NotFoundError, match="has no modality 'rna:rax'; nearest: rna:raw"):
        dataset["rna:rax"]


def test_columns_features_and_embeddings_are_spread_over_the_global_cells(dataset, mdata):
    for name, part in (("rna:raw", mdata["rna"]["raw"]), ("rna:hvg", mdata["rna"]["hvg"])):
        kinds = part.obs["kind"].reindex(mdata.obs_names).reset_index(drop=True)
        pd.testing.assert_series_equal(dataset.read_obs(f"{name}:kind"), kinds, check_names=False)
        feature = part.to_df().iloc[:, 2].reindex(mdata.obs_names)
        np.testing.assert_array_equal(dataset.read_feature(f"{name}:{feature.name}"), feature)
        np.testing.assert_array_equal(dataset.read_feature(str(feature.name)), feature)  # no other has it
        points = pd.DataFrame(part.obsm["X_umap"], part.obs_names).reindex(mdata.obs_names)
        np.testing.assert_array_equal(dataset.read_embedding(f"{name}:X_umap"), points)
    assert "rna:X_pca" in dataset.embeddings
    assert dataset.where("rna:hvg:kind == 'a'").sum() == (mdata["rna"]["hvg"].obs["kind"] == "a").sum()


@pytest.mark.parametrize("which", ["random", "full", "one", "prot_alone"])
def test_the_export_is_what_mudata_copies(dataset, mdata, tmp_path, which):
    n = dataset.n_obs
    mask = {
        "random": np.random.default_rng(1).random(n) < 0.5,
        "full": np.ones(n, dtype=bool),
        "one": np.arange(n) == n // 2,
        "prot_alone": mdata.obsmap["rna"] == 0,
    }[which]
    exported = dataset.export(mask, tmp_path / "export.h5mu")
    assert exported.left_out == ()
    with h5py.File(exported.path) as file:
        oracle.assert_same(read(file), mdata[mask].copy())
        for outer, name in (("", "rna"), ("", "prot"), ("/mod/rna", "raw"), ("/mod/rna", "hvg")):
            rows = file[f"{outer}/obsmap/{name}"][...].astype(int)
            inside, outside = (ad.io.read_elem(file[f"{at}/obs"]).index for at in (f"{outer}/mod/{name}", outer))
            np.testing.assert_array_equal(inside[rows[rows > 0] - 1], outside[rows > 0])
            assert rows.max(initial=0) == len(inside)


def test_a_modality_of_modalities_has_no_problem(dataset):
    assert inspect(dataset).problems == ()


def test_a_modality_that_contains_itself_is_read_and_not_exported(path, tmp_path):
    with h5py.File(path, "r+") as file:
        file["mod/rna/mod/rna"] = file["mod/rna"]
    with cellasso.open(path) as dataset:
        assert dataset.read_obs("prot:kind").notna().sum() == 4
        with pytest.raises(ElementError, match=r"nested\.h5mu:/mod/rna/.* is nested too deep, or contains itself"):
            dataset.export(np.ones(dataset.n_obs, dtype=bool), tmp_path / "export.h5mu")
