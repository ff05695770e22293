"""What the browser tests look at: files that are quick to draw and easy to reason about, and a server on them."""

from __future__ import annotations

import os
import re
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.error import HTTPError
from urllib.request import urlopen

import anndata as ad
import mudata as md
import numpy as np
import pandas as pd
from scipy import sparse

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
HOSTILE = "<img src=x onerror=\"document.title='pwned'\">"
GENES = ["CD4", "CD8A", "MS4A1", "LYZ", "NKG7", "HLA-DRA", HOSTILE, "GNLY"]


def write_h5ad(path: Path, n_obs: int = 900) -> ad.AnnData:
    """Three clouds of cells with genes that know them, counts in a layer, raw with a gene more."""
    rng = np.random.default_rng(7)
    cloud = rng.integers(0, 3, n_obs)
    points = np.array([[0, 0], [8, 1], [3, 7]])[cloud] + rng.normal(size=(n_obs, 2))
    counts = rng.poisson(0.4 + 3.0 * (cloud[:, None] == np.arange(len(GENES)) % 3)).astype(np.float32)
    adata = ad.AnnData(
        sparse.csr_matrix(np.log1p(counts)),
        obs=pd.DataFrame(
            {
                "cell_type": pd.Categorical(np.array(["B", "CD4 T", HOSTILE])[cloud]),
                "n_counts": counts.sum(axis=1),
                "is_doublet": rng.random(n_obs) < 0.1,
            },
            index=[f"cell-{i}" for i in range(n_obs)],
        ),
        var=pd.DataFrame(index=GENES),
        layers={"counts": sparse.csr_matrix(counts)},
        obsm={"X_umap": points.astype(np.float32), "X_pca": rng.normal(size=(n_obs, 5)).astype(np.float32)},
    )
    adata.uns["cell_type_colors"] = np.array(["#c44e52", "#55a868", "#4c72b0"], dtype=object)
    adata.raw = adata.copy()
    adata.write_h5ad(path, compression="gzip")
    return adata


def write_h5mu(path: Path) -> md.MuData:
    """Two modalities; the second lacks cells of the first, and has its own order."""
    rng = np.random.default_rng(11)
    rna = write_h5ad(path.with_suffix(".rna.h5ad"), 700)
    path.with_suffix(".rna.h5ad").unlink()
    del rna.raw
    keep = rng.permutation(rna.n_obs)[:500]
    protein = ad.AnnData(
        rng.gamma(2.0, 50.0, size=(500, 3)).astype(np.float32),
        obs=pd.DataFrame(index=rna.obs_names[keep]),
        var=pd.DataFrame(index=["CD3-TotalSeq", "CD19-TotalSeq", "CD14-TotalSeq"]),
    )
    mdata = md.MuData({"rna": rna, "prot": protein})
    mdata.pull_obs()
    mdata.write_h5mu(path)
    return mdata


class Address(str):
    """Where a server is, as it prints it, and as its owner opens it."""

    __slots__ = ("whole",)

    def __new__(cls, plain: str, whole: str) -> Self:
        address = super().__new__(cls, plain)
        address.whole = whole
        return address


@contextmanager
def served(command: list[str], log: Path, *, has_token: bool = True) -> Iterator[Address]:
    """Run a server until it has said its address, and where the one with its token is; yield both."""
    paths = os.pathsep.join([str(ROOT / "backend"), str(ROOT / "app")])
    state = log.parent / "state"  # of its own: several tests may run servers at once
    environment = {**os.environ, "PYTHONPATH": paths, "XDG_STATE_HOME": str(state), "PYTHONUNBUFFERED": "1"}
    environment.pop("XDG_RUNTIME_DIR", None)
    with log.open("w+") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment, cwd=ROOT)
        try:
            plain = _found(r"http://(?:127\.0\.0\.1|localhost):\d+(?:/main)?", process, log)
            plain = plain.replace("localhost", "127.0.0.1")
            if has_token and "panel" in command:  # its guard is put up by the first request
                try:
                    urlopen(plain).close()
                except HTTPError as refused:
                    refused.close()  # Python 3.14 warns of what is left open
            whole = Path(_found(r"(?<= is in )/\S+\.txt", process, log)).read_text().strip() if has_token else plain
            yield Address(plain, whole)
        finally:
            process.terminate()
            process.wait(timeout=20)


def _found(pattern: str, process: subprocess.Popen[bytes], log: Path) -> str:
    for _ in range(600):
        if found := re.search(pattern, log.read_text()):
            return found.group()
        assert process.poll() is None, log.read_text()
        time.sleep(0.1)
    raise AssertionError(f"Not said within a minute: {pattern}\n{log.read_text()}")
