"""What a console and a notebook show of a file: all that anndata lists, escaped, and no error for a damaged one."""

from __future__ import annotations

import re

import anndata as ad
import h5py
import mudata as md
import numpy as np
import pandas as pd
from scipy import sparse

import cellasso
from cellasso.inspect import summary

HOSTILE = "<img src=x onerror=alert(1)>"


def adata_of(n: int = 20) -> ad.AnnData:
    X = sparse.random(n, 6, density=0.5, format="csr", dtype="f4", random_state=0)
    obs = pd.DataFrame({"kind": pd.Categorical(list("ab") * (n // 2)), HOSTILE: 1.0}, index=[f"c{i}" for i in range(n)])
    adata = ad.AnnData(X, obs=obs, var=pd.DataFrame({"symbol": list("abcdef")}, index=list("uvwxyz")))
    adata.layers["counts"] = X.toarray()
    adata.obsm["X_umap"] = np.zeros((n, 2), "f4")
    adata.obsp["distances"] = sparse.identity(n, format="csr")
    adata.uns["palette"] = ["red"]
    adata.raw = adata.copy()
    return adata


def test_all_that_anndata_lists_is_there(tmp_path):
    adata = adata_of()
    adata.write_h5ad(tmp_path / "cells.h5ad")
    with cellasso.open(tmp_path / "cells.h5ad") as dataset:
        text, page = repr(dataset), dataset._repr_html_()
    listed = repr(adata).splitlines()[1:]
    assert len(listed) >= 6
    for line in listed:
        label, names = line.strip().split(": ", 1)
        own = next(each for each in text.splitlines() if each.strip().startswith(f"{label}:"))
        assert re.findall(r"'([^']*)'", own) == re.findall(r"'([^']*)'", names)
    assert "n_obs \N{MULTIPLICATION SIGN} n_vars = 20 \N{MULTIPLICATION SIGN} 6" in text
    assert re.search(r"X: 20 . 6, csr float32, \d+ B", text)
    assert re.search(r"'counts' \(20 . 6, float32, ", text)
    assert HOSTILE not in page
    assert "&lt;img" in page


def test_modalities_are_listed_below(tmp_path):
    prot = adata_of(10)
    prot.raw = None
    prot.var_names = [f"p{i}" for i in range(6)]
    md.MuData({"rna": adata_of(), "prot": prot}).write(tmp_path / "both.h5mu")
    with cellasso.open(tmp_path / "both.h5mu") as dataset:
        text = repr(dataset)
        assert text.startswith("MuData n_obs")
        assert repr(dataset["prot"]).splitlines()[1:] == [
            line.removeprefix("        ")
            for line in text.split("    prot:\n")[1].split("\n    rna:")[0].splitlines()[1:]
        ]
        assert dataset._repr_html_().count("<details") == 2


def test_many_names_are_counted(tmp_path):
    obs = pd.DataFrame({f"n{i}": np.zeros(3) for i in range(summary.MAX_NAMES + 5)}, index=list("abc"))
    ad.AnnData(obs=obs).write_h5ad(tmp_path / "wide.h5ad")
    with cellasso.open(tmp_path / "wide.h5ad") as dataset:
        assert f"'n{summary.MAX_NAMES - 1}', … ({summary.MAX_NAMES + 5})" in repr(dataset)
        assert "and 5 more" in dataset._repr_html_()


def test_what_is_damaged_or_closed_is_said(tmp_path):
    path = tmp_path / "odd.h5ad"
    adata_of().write_h5ad(path)
    with h5py.File(path, "a") as file:
        file["obsm/gone"] = h5py.SoftLink("/nowhere")
        file["layers/out"] = h5py.ExternalLink("other.h5", "/x")
        del file["var"].attrs["column-order"]
    with cellasso.open(path) as dataset:
        text = repr(dataset)
        assert "'gone' (damaged)" in text
        assert "'out' (damaged)" in text
    assert repr(dataset) == "odd.h5ad, closed"
    assert "closed" in repr(dataset.root)
    assert "closed" in dataset._repr_html_()


def test_a_file_whose_frame_is_damaged_is_still_shown(tmp_path):
    path = tmp_path / "odd.h5ad"
    adata_of().write_h5ad(path)
    with h5py.File(path, "a") as file:
        del file["var"]
        file["var"] = 3
    with cellasso.open(path) as dataset:
        assert "damaged" in repr(dataset).splitlines()[0]
