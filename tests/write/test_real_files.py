"""Files that nobody on this project made: all of them open or are refused in a sentence, and read as anndata has it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import cellasso
import oracle
from cellasso.core.errors import FileError
from inprocess import masks, write

SHARED = Path(__file__).parents[2].parent / "shared"
FILES = sorted(path for folder in ("data", "cases") for path in (SHARED / folder).glob("*.h5*"))
NO_INDEX = SHARED / "data" / "anndata-duckdb-extension__test_no_index.h5ad"

OTHER_NAMES = SHARED / "cases" / "MuData__5631e3__miniacc.h5mu"
"""A MuData whose modalities call their cells otherwise than the root."""

SLASHES = SHARED / "cases" / "made__slashes.h5ad"

TO_BE_PUT_RIGHT = {OTHER_NAMES, SLASHES, SHARED / "cases" / "MuData__d5a760__miniacc.h5ad"}
"""What anndata or mudata refuses, and is to read when we have exported it."""

SAID = {
    OTHER_NAMES: "their own names are in its column 'own_names'",
    SLASHES: "in the export: anndata takes no slash in such a name",
}
"""What an export says of each name that it had to change."""

pytestmark = [
    pytest.mark.skipif(not FILES, reason=f"{SHARED} is absent"),
    # anndata's remark on old and foreign files
    pytest.mark.filterwarnings("ignore:.*was written without encoding metadata"),
    pytest.mark.filterwarnings("ignore::anndata.ExperimentalFeatureWarning"),
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
def readable(opened, tmp_path_factory) -> Path:
    """Return the file, or a copy in which what stops the oracle, and has one meaning, is put right."""
    path = opened.file_path
    return oracle.put_right(path, tmp_path_factory.mktemp("right")) if path in TO_BE_PUT_RIGHT else path


@pytest.fixture(scope="module")
def expected(opened, readable) -> Any:
    if readable == NO_INDEX:
        pytest.skip("anndata refuses a file without an index")
    found = oracle.read(readable)
    if opened.file_path == OTHER_NAMES:
        for adata in found.mod.values():
            adata.obs_names = adata.obs.pop("own_names")
    return found


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


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
@pytest.mark.parametrize(
    "which", ["random", "empty", *(pytest.param(n, marks=pytest.mark.more) for n in ("full", "one"))]
)
@pytest.mark.usefixtures("expected")
def test_the_export_of_every_mask_equals_the_oracles(opened, readable, which, tmp_path):
    target = tmp_path / f"export{readable.suffix}"
    mask = masks(opened.n_obs)[which]
    said = write(opened, mask, target)
    assert [line for line in said if SAID.get(opened.file_path, "\n") not in line] == []
    right = oracle.subset(readable, mask)
    if opened.file_path == OTHER_NAMES:
        for adata in [adata for adata in right.mod.values() if not adata.n_obs]:
            del adata.obs["own_names"]  # without cells no name differs
    oracle.assert_same(oracle.read(target), right)


def test_a_file_without_an_index_opens_though_anndata_refuses_it():
    with cellasso.open(NO_INDEX) as dataset:
        assert dataset.n_obs == len(dataset.obs_names) > 0
        for column in dataset.obs:
            assert len(dataset.read_obs(column)) == dataset.n_obs
        assert dataset.read_feature(str(dataset.features().names[0])).shape == (dataset.n_obs,)


def test_the_export_of_a_file_without_an_index_names_its_cells_by_their_rows(tmp_path):
    with cellasso.open(NO_INDEX) as dataset:
        mask = masks(dataset.n_obs)["random"]
        target = dataset.export(mask, tmp_path / "export.h5ad").path
        written = oracle.read(target)
        assert list(written.obs_names) == [str(row) for row in mask.nonzero()[0]]
        for column in dataset.obs:
            assert list(written.obs[column].dropna()) == list(dataset.read_obs(column)[mask].dropna())
