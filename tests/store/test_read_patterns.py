"""How often the file is asked for bytes, and for how many, whatever way its arrays lie: each piece costs microseconds.

The most ordinary large file is the one that `write_h5ad` writes without compression: every array in one stretch. HDF5
would ask for each value of a column of those by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import cellasso
from conftest import write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from cellasso.dataset import Dataset

N_OBS, N_VARS = 6_000, 40
TALL = 500
"""Rows of a chunk where chunks have whole rows."""

LAYOUTS: dict[str, Callable[[tuple[int, ...]], tuple[int, ...] | None]] = {
    "contiguous": lambda _: None,
    "by rows": lambda shape: (TALL, *shape[1:]),
    "by columns": lambda shape: (shape[0], *(1 for _ in shape[1:])),
    "in tiles": lambda shape: (TALL, *(-(-n // 3) for n in shape[1:])),
}


def make() -> ad.AnnData:
    rng = np.random.default_rng(0)
    counts = rng.poisson(0.5, (N_OBS, N_VARS)).astype("f4")
    obs = pd.DataFrame(
        {
            "number": rng.random(N_OBS),
            "category": pd.Categorical(rng.choice(["a", "b"], N_OBS)),
            "maybe": pd.array(np.where(rng.random(N_OBS) < 0.1, None, 3), dtype="Int32"),
            "flag": rng.random(N_OBS) < 0.5,
        },
        index=[f"c{i}" for i in range(N_OBS)],
    )
    adata = ad.AnnData(counts, obs=obs, var=pd.DataFrame(index=[f"g{i}" for i in range(N_VARS)]))
    adata.layers["csr"], adata.layers["csc"] = sparse.csr_matrix(counts), sparse.csc_matrix(counts)
    adata.obsm["X_umap"] = rng.random((N_OBS, 2)).astype("f4")
    adata.obsm["X_pca"] = rng.random((N_OBS, 30))
    adata.obsm["spatial"] = rng.integers(0, 9_000, (N_OBS, 2))
    adata.obsm["frame"] = pd.DataFrame(rng.random((N_OBS, 2)), index=adata.obs_names, columns=["x", "y"])
    adata.obsm["sparse"] = sparse.random(N_OBS, 4, 0.5, format="csr", random_state=0)
    return adata


@pytest.fixture(scope="module")
def in_memory() -> ad.AnnData:
    return make()


@pytest.fixture(scope="module", params=LAYOUTS)
def laid_out(request, tmp_path_factory) -> tuple[str, Path]:
    path = write(make(), tmp_path_factory.mktemp("laid out") / "cells.h5ad")
    with h5py.File(path, "r+") as file:
        long: list[str] = []
        file.visititems(lambda name, node: long.append(name) if is_long(node) else None)
        for name in long:
            values, attributes, chunks = (
                file[name][...],
                dict(file[name].attrs),
                LAYOUTS[request.param](file[name].shape),
            )
            del file[name]
            options = {} if chunks is None else {"chunks": chunks, "compression": "gzip"}
            file.create_dataset(name, data=values, **options).attrs.update(attributes)
    return request.param, path


def is_long(node: h5py.Group | h5py.Dataset) -> bool:
    return isinstance(node, h5py.Dataset) and node.dtype.kind in "biuf" and bool(node.shape) and node.shape[0] > TALL


@pytest.fixture
def dataset(laid_out) -> Iterator[Dataset]:
    with cellasso.open(laid_out[1], index=False) as opened:
        yield opened


READS: dict[str, tuple[Callable[[Dataset], Any], Callable[[ad.AnnData], Any], str]] = {
    f"obsm {key}": (
        lambda dataset, key=key: dataset.read_embedding(key),
        lambda adata, key=key: np.asarray(adata.obsm[key].todense() if key == "sparse" else adata.obsm[key])[:, :2],
        f"obsm/{key}",
    )
    for key in ("X_umap", "X_pca", "spatial", "frame", "sparse")
}
READS |= {
    f"obs {column}": (
        lambda dataset, column=column: dataset.read_obs(column),
        lambda adata, column=column: adata.obs[column],
        f"obs/{column}",
    )
    for column in ("number", "category", "maybe", "flag")
}
READS |= {
    f"genes {layer}": (
        lambda dataset, layer=layer: np.stack(dataset.read_features(["g3", "g31"], layer), axis=1),
        lambda adata: adata.X[:, [3, 31]],
        "X" if layer == "X" else f"layers/{layer}",
    )
    for layer in ("X", "csr", "csc")
}
READS |= {
    "sums of cells": (
        lambda dataset: dataset.read_cell_sums().totals,
        lambda adata: adata.X.sum(axis=1, dtype="f8"),
        "X",
    ),
    "all genes by group": (
        lambda dataset: dataset.summarise(None, np.zeros(N_OBS, "i1"), 1).mean[0],
        lambda adata: adata.X.mean(axis=0, dtype="f8"),
        "X",
    ),
    "whether it holds counts": (lambda dataset: dataset.holds_counts("X"), lambda _: True, "X"),
}


@pytest.mark.parametrize(("read", "expected", "element"), READS.values(), ids=READS)
def test_what_is_read_is_asked_for_in_few_pieces_and_not_twice(laid_out, in_memory, read, expected, element):
    with cellasso.open(laid_out[1], index=False) as dataset:
        found, right = read(dataset), expected(in_memory)
    if isinstance(right, pd.Series):
        pd.testing.assert_series_equal(found, right.reset_index(drop=True), check_names=False)
    else:
        np.testing.assert_allclose(found, np.asarray(right), rtol=1e-6)
    n_chunks, n_bytes = stored(laid_out[1], element)
    with cellasso.open(laid_out[1], index=False) as fresh:
        fresh.embeddings, fresh.matrices, fresh.obs.columns, len(fresh.features())
        n_reads, bytes_read = fresh.handle.n_reads, fresh.handle.bytes_read
        read(fresh)
        n_reads, bytes_read = fresh.handle.n_reads - n_reads, fresh.handle.bytes_read - bytes_read
    headers = 60  # a few hundred bytes each: the structure of the element, and where its chunks are
    assert n_reads <= 2 * n_chunks + headers
    assert bytes_read <= 1.1 * n_bytes + 500 * headers


def stored(path: Path, element: str) -> tuple[int, int]:
    """Return chunks and bytes of all that an element has; what lies in one stretch counts as one chunk."""
    with h5py.File(path) as file:
        parts = [file[element]] if isinstance(file[element], h5py.Dataset) else list(file[element].values())
        parts = [part for each in parts for part in (each.values() if isinstance(each, h5py.Group) else [each])]
        return (
            sum(part.id.get_num_chunks() if part.chunks else 1 for part in parts),
            sum(part.id.get_storage_size() for part in parts),
        )


def test_a_dimension_of_a_wide_obsm_stored_by_columns_leaves_the_others_alone(laid_out, dataset):
    layout, path = laid_out
    before = dataset.handle.bytes_read
    dataset.read_embedding("X_pca", (4, 7))
    if layout == "by columns":
        assert dataset.handle.bytes_read - before < stored(path, "obsm/X_pca")[1] * 3 / 30 + 10_000
