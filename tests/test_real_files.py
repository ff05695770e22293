"""Files that nobody on this project made: all of them open or are refused in a sentence, and read as anndata has it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import cellasso
import oracle
from cellasso.errors import FileError
from inprocess import masks, write

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


def test_every_column_of_obs_equals_the_oracles(opened, expected):
    for ours, theirs in oracle.parts(opened, expected):
        oracle.assert_obs_read(ours, theirs)


def test_first_middle_and_last_feature_of_each_matrix_equal_the_oracles(opened, expected):
    for ours, theirs in oracle.parts(opened, expected):
        oracle.assert_features_read(ours, theirs)


def test_every_embedding_equals_the_oracles(opened, expected):
    for ours, theirs in oracle.parts(opened, expected):
        oracle.assert_embeddings_read(ours, theirs)


@pytest.mark.filterwarnings(
    "ignore::UserWarning", "ignore::FutureWarning", "ignore::anndata.ExperimentalFeatureWarning"
)
@pytest.mark.parametrize("which", ["random", "empty", "full", "one"])
def test_the_export_of_every_mask_equals_the_oracles(opened, expected, which, tmp_path):
    target = tmp_path / f"export{opened.file_path.suffix}"
    mask = masks(opened.n_obs)[which]
    assert write(opened, mask, target) == []
    oracle.assert_same(oracle.read(target), oracle.subset(opened.file_path, mask))


def test_a_file_without_an_index_opens_though_anndata_refuses_it():
    with cellasso.open(SHARED / "anndata-duckdb-extension__test_no_index.h5ad") as dataset:
        assert dataset.n_obs == len(dataset.obs_names) > 0
        for column in dataset.obs:
            assert len(dataset.read_obs(column)) == dataset.n_obs
        assert dataset.read_feature(str(dataset.features().names[0])).shape == (dataset.n_obs,)


def test_the_export_of_a_file_without_an_index_names_its_cells_by_their_rows(tmp_path):
    path = SHARED / "anndata-duckdb-extension__test_no_index.h5ad"
    with cellasso.open(path) as dataset:
        mask = masks(dataset.n_obs)["random"]
        target = dataset.export(mask, tmp_path / "export.h5ad").path
        written = oracle.read(target)
        assert list(written.obs_names) == [str(row) for row in mask.nonzero()[0]]
        for column in dataset.obs:
            assert list(written.obs[column].dropna()) == list(dataset.read_obs(column)[mask].dropna())
