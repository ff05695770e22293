"""Cells in memory are what anndata and mudata read of an export of them."""

from __future__ import annotations

import tempfile
from pathlib import Path

import anndata as ad
import numpy as np
import pytest

import cellasso
import generated
import oracle
from cellasso.core.errors import ElementError

pytestmark = [
    pytest.mark.more,  # exports are tried with the oldest versions elsewhere
    pytest.mark.filterwarnings("ignore::anndata.ExperimentalFeatureWarning"),
    pytest.mark.filterwarnings("ignore:.*was written without encoding metadata"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]


def mask_of(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random(n) < 0.4


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("suffix", ["h5ad", "h5mu"])
def test_a_files_cells_in_memory_are_those_of_its_export(tmp_path, seed, suffix):
    path = tmp_path / f"cells.{suffix}"
    getattr(generated, f"make_{suffix}")(np.random.default_rng(seed), path)
    with cellasso.open(path, index=False) as dataset:
        mask = mask_of(dataset.n_obs, seed)
        dataset.export(mask, tmp_path / f"export.{suffix}")
        oracle.assert_same(dataset.to_memory(mask), oracle.read(tmp_path / f"export.{suffix}"))
        for modality in dataset.modalities.values():
            whole = oracle.read(path).mod[modality.name]
            # as anndata has it, categories without a cell are dropped
            oracle.assert_same(modality.to_memory(), whole[np.ones(modality.n_obs, dtype=bool)].copy())
            own = mask_of(modality.n_obs, seed)
            oracle.assert_same(modality.to_memory(own), whole[own].copy())


def test_without_a_mask_all_cells_are_read(tmp_path):
    path = tmp_path / "cells.h5ad"
    generated.make_h5ad(np.random.default_rng(1), path)
    with cellasso.open(path, index=False) as dataset:
        expected = oracle.subset(path, np.ones(dataset.n_obs, dtype=bool))
        oracle.assert_same(dataset.to_memory(), expected)
        oracle.assert_same(dataset.root.to_memory(), expected)


def test_nothing_is_left_on_the_disk(tmp_path, monkeypatch):
    path = tmp_path / "cells.h5ad"
    ad.AnnData(np.eye(4, dtype="f4")).write_h5ad(path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with cellasso.open(path, index=False) as dataset:
        assert dataset.to_memory(np.array([True, False, True, True])).shape == (3, 4)
        with pytest.raises(ElementError, match=r"is bool \(4,\)"):
            dataset.to_memory(np.ones(3, dtype=bool))
        with pytest.raises(ElementError, match=r"is bool \(4,\)"):
            dataset.root.to_memory(np.arange(4))
    assert [each.name for each in Path(tmp_path).iterdir()] == ["cells.h5ad"]


@pytest.mark.filterwarnings("ignore:The 'future.infer_string'")  # which anndata sets
def test_what_is_left_out_is_said(tmp_path):
    import h5py

    path = tmp_path / "cells.h5ad"
    ad.AnnData(np.eye(4, dtype="f4")).write_h5ad(path)
    with h5py.File(path, "a") as file:
        ad.io.write_elem(file["obsm"], "short", np.zeros((3, 2)))
    with cellasso.open(path, index=False) as dataset:
        with pytest.warns(UserWarning, match="does not fit obs"):
            assert "short" not in dataset.to_memory().obsm
        with pytest.warns(UserWarning, match="does not fit obs"):
            assert "short" not in dataset.root.to_memory().obsm


def test_categories_that_are_referred_to_are_kept(tmp_path):
    """Before anndata 0.8 a column named its categories by a reference, which leads to a place in the whole file."""
    import h5py
    import mudata as md
    import pandas as pd

    path = tmp_path / "old.h5mu"
    obs = pd.DataFrame({"k": pd.Categorical(["b", "a", "b"])}, index=["x", "y", "z"])
    md.MuData({"rna": ad.AnnData(np.eye(3, dtype="f4"), obs=obs)}).write(path)
    with h5py.File(path, "a") as file:
        frame = file["mod/rna/obs"]
        codes, categories = frame["k/codes"][:], frame["k/categories"][:]
        del frame["k"]
        frame.create_group("__categories")["k"] = categories
        frame["k"] = codes
        frame["k"].attrs["categories"] = frame["__categories/k"].ref
        frame.attrs["encoding-version"] = "0.1.0"
    with cellasso.open(path, index=False) as dataset:
        assert list(dataset["rna"].to_memory().obs["k"]) == ["b", "a", "b"]
