"""Files that nobody on this project made: all of them open or are refused in a sentence, and read as anndata has it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import cellasso
import oracle
from cellasso.errors import ElementError, FileError

SHARED = Path(__file__).parents[1].parent / "shared" / "data"
FILES = sorted(SHARED.glob("*.h5*"))

pytestmark = [
    pytest.mark.skipif(not FILES, reason=f"{SHARED} is absent"),
    # anndata's remark on old and foreign files
    pytest.mark.filterwarnings("ignore:.*was written without encoding metadata"),
]


@pytest.fixture(scope="module", params=FILES, ids=lambda path: path.name)
def opened(request):
    try:
        dataset = cellasso.open(request.param)
    except FileError as error:
        pytest.skip(f"refused: {error}")
    with dataset:
        yield dataset


@pytest.fixture(scope="module")
def expected(opened) -> Any:
    try:
        return oracle.read(opened.file_path)
    except Exception as error:  # noqa: BLE001 - whatever stops the oracle
        pytest.skip(f"the oracle cannot read it: {error}")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_it_opens_or_is_refused_in_one_sentence(path):
    try:
        with cellasso.open(path) as dataset:
            assert dataset.n_obs > 0
    except FileError as error:
        message = str(error)
        assert path.name in message
        assert "\n" not in message


def parts(opened, expected):
    """Pair each modality with the oracle's; an h5mu's global obs too."""
    yield opened, expected
    for name, modality in getattr(expected, "mod", {}).items():
        yield opened[name], modality


def test_every_column_of_obs_equals_the_oracles(opened, expected):
    for ours, theirs in parts(opened, expected):
        assert ours.n_obs == theirs.n_obs
        np.testing.assert_array_equal(ours.obs_names, theirs.obs_names.astype(str))
        for column in theirs.obs:
            found, right = ours.read_obs(column), theirs.obs[column].reset_index(drop=True)
            pd.testing.assert_series_equal(found, right, check_names=False, check_exact=True)


def test_first_middle_and_last_feature_of_each_matrix_equal_the_oracles(opened, expected):
    for ours, theirs in parts(opened, expected):
        if hasattr(theirs, "mod"):
            continue
        for layer in ours.matrices:
            names = ours.features(layer).names
            right = matrix_of(theirs, layer)
            for position in {0, len(names) // 2, len(names) - 1} if len(names) else ():
                column = right[:, [position]]
                column = column.toarray() if sparse.issparse(column) else np.asarray(column)
                found = ours.read_feature(str(names[position]), layer)
                np.testing.assert_array_equal(found, column.ravel(), strict=True)


def matrix_of(adata, layer):
    if layer == "raw":
        return adata.raw.X
    return adata.X if layer == "X" else adata.layers[layer.removeprefix("layers/")]


def test_every_embedding_equals_the_oracles(opened, expected):
    for ours, theirs in parts(opened, expected):
        for key in [key for key in ours.embeddings if key in theirs.obsm]:
            right = theirs.obsm[key]
            right = right.toarray() if sparse.issparse(right) else np.asarray(right)
            try:
                found = ours.read_embedding(key)
            except ElementError:
                assert right.dtype.kind not in "biuf"
                continue
            np.testing.assert_array_equal(found, right[:, :2].astype(np.float32), strict=True)


def test_a_file_without_an_index_opens_though_anndata_refuses_it():
    with cellasso.open(SHARED / "anndata-duckdb-extension__test_no_index.h5ad") as dataset:
        assert dataset.n_obs == len(dataset.obs_names) > 0
        for column in dataset.obs:
            assert len(dataset.read_obs(column)) == dataset.n_obs
        assert dataset.read_feature(str(dataset.features().names[0])).shape == (dataset.n_obs,)
