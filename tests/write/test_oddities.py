"""Files that anndata or mudata refuse, or take for something else, because of one odd element.

Each is a sound file after one change. What is read and exported has to be what anndata makes of the same
file without the odd element, or with it put right.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import cellasso
import oracle
from cellasso.core.errors import ElementError
from cellasso.inspect.inspection import _flat, inspect, render_text
from inprocess import masks, write

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.more

Change = "Callable[[h5py.File], None]"
N_OBS, N_VARS = 60, 17


def replace(file: h5py.File, path: str, values: Any) -> None:
    attributes = dict(oracle.texts_of(file[path]).attrs)
    del file[path]
    file.create_dataset(path, data=values).attrs.update(attributes)


def nothing(file: h5py.File) -> None:
    """The file as it was."""


def flags_as_integers(file: h5py.File) -> None:
    for column in ("maybe_int", "maybe_bool", "maybe_text"):
        replace(file, f"obs/{column}/mask", file[f"obs/{column}/mask"][...].astype("i1"))
    replace(file, "obs/maybe_bool/values", file["obs/maybe_bool/values"][...].astype("i4"))


def nothing_as_text(file: h5py.File) -> None:
    file["uns/nothing"] = h5py.Empty(h5py.string_dtype())


def none_in_uns(file: h5py.File) -> None:
    nothing_as_text(file)
    file["uns/nothing"].attrs.update({"encoding-type": "null", "encoding-version": "0.1.0"})


def no_index_stated(file: h5py.File) -> None:
    del file["obs"].attrs["_index"]


def without_frames_in_obsm(file: h5py.File) -> None:
    del file["obsm/frame"], file["obsm/labels"]  # they repeat the index


def no_index(file: h5py.File) -> None:
    without_frames_in_obsm(file)
    del file["obs/_index"], file["obs"].attrs["_index"]


def index_of_row_numbers(file: h5py.File) -> None:
    without_frames_in_obsm(file)
    replace(file, "obs/_index", np.arange(N_OBS).astype(str).astype(object))


def order_of_columns_that_are_not_there(file: h5py.File) -> None:
    file["obs"].attrs["column-order"] = ["gone", *file["obs"].attrs["column-order"], "int8"]


def order_not_stated(file: h5py.File) -> None:
    del file["obs/ordered"].attrs["ordered"]


def order_denied(file: h5py.File) -> None:
    file["obs/ordered"].attrs["ordered"] = False


def category_that_is_nan(file: h5py.File) -> None:
    replace(file, "obs/numbered/categories", np.array([3, np.nan, 1]))
    replace(file, "obs/numbered/codes", (np.arange(N_OBS) % 3).astype("i1"))


def cells_without_category(file: h5py.File) -> None:
    replace(file, "obs/numbered/categories", np.array([3.0, 1.0]))
    replace(file, "obs/numbered/codes", np.array([0, -1, 1] * (N_OBS // 3), dtype="i1"))


def called_as_a_class(file: h5py.File) -> None:
    file.attrs["encoding-type"] = "AnnData"


def nothing_called_text(file: h5py.File) -> None:
    nothing_as_text(file)
    file["uns/nothing"].attrs.update({"encoding-type": "string", "encoding-version": "0.2.0"})


def column_called_as_the_store_of_categories(file: h5py.File) -> None:
    file["obs/__categories"] = np.arange(N_OBS)
    file["obs"].attrs["column-order"] = [*file["obs"].attrs["column-order"], "__categories"]


def sparse_layer(file: h5py.File, dtype: str) -> None:
    matrix = sparse.csr_matrix(np.random.default_rng(0).integers(0, 3, (N_OBS, N_VARS)).astype("f4"))
    group = file.create_group("layers/odd")
    group.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0", "shape": matrix.shape})
    group["data"], group["indices"], group["indptr"] = matrix.data.astype(dtype), matrix.indices, matrix.indptr


def index_that_is_a_column(file: h5py.File, *frames: str) -> None:
    """As anndata writes a frame whose index has the name, and the values, of a column."""
    for frame in frames or ("obs", "var"):
        file[frame].move("_index", "cell_id")
        file[frame].attrs["_index"] = "cell_id"
        order = file[frame].attrs["column-order"]
        file[frame].attrs["column-order"] = [*order[:1], "cell_id", *order[1:]]


def halves(file: h5py.File) -> None:
    sparse_layer(file, "<f2")


def big_endian(file: h5py.File) -> None:
    sparse_layer(file, ">f4")


def singles(file: h5py.File) -> None:
    sparse_layer(file, "<f4")


PUT_RIGHT = [
    (called_as_a_class, nothing),
    (column_called_as_the_store_of_categories, column_called_as_the_store_of_categories),
    (index_that_is_a_column, index_that_is_a_column),
    (halves, singles),
    (big_endian, singles),
    (flags_as_integers, nothing),
    (nothing_as_text, none_in_uns),
    (nothing_called_text, none_in_uns),
    (no_index_stated, nothing),
    (no_index, index_of_row_numbers),
    (order_of_columns_that_are_not_there, nothing),
    (order_not_stated, order_denied),
    (category_that_is_nan, cells_without_category),
]


def unknown_encoding(file: h5py.File) -> str:
    file.create_group("obsm/other").attrs["encoding-type"] = "of-next-year"
    return "/obsm/other has the encoding 'of-next-year', which is not known here"


def unknown_column(file: h5py.File) -> str:
    file.create_group("obs/other").attrs["encoding-type"] = "of-next-year"
    return "/obs/other has the encoding 'of-next-year', which is not known here"


def obsm_too_short(file: h5py.File) -> str:
    file["obsm/other"] = np.zeros((N_OBS - 1, 2))
    return "/obsm/other has shape (59, 2), which does not fit obs: it was to begin with 60"


def obsm_too_long(file: h5py.File) -> str:
    file["obsm/other"] = np.zeros((N_OBS + 1, 2))
    return "/obsm/other has shape (61, 2), which does not fit obs: it was to begin with 60"


def obsm_that_is_nothing(file: h5py.File) -> str:
    file["obsm/other"] = h5py.Empty("f4")
    return "/obsm/other has shape (), which does not fit obs"


def layer_of_other_genes(file: h5py.File) -> str:
    file["layers/other"] = np.zeros((N_OBS, N_VARS + 1))
    return "/layers/other has shape (60, 18), which does not fit obs and var: it was to begin with 60, 17"


def graph_that_is_not_square(file: h5py.File) -> str:
    file["obsp/other"] = np.zeros((N_OBS, 3))
    return "/obsp/other has shape (60, 3), which does not fit obs and obs: it was to begin with 60, 60"


def varm_too_long(file: h5py.File) -> str:
    file["varm/other"] = np.zeros((N_VARS + 1, 3))
    return "/varm/other has shape (18, 3), which does not fit var: it was to begin with 17"


def column_too_long(file: h5py.File) -> str:
    file["obs/other"] = np.zeros(N_OBS + 1)
    return "/obs/other has 61 rows; 60 were expected"


LEFT_OUT = [
    unknown_encoding,
    unknown_column,
    obsm_too_short,
    obsm_too_long,
    obsm_that_is_nothing,
    layer_of_other_genes,
    graph_that_is_not_square,
    varm_too_long,
    column_too_long,
]


@pytest.fixture
def changed(plain, tmp_path) -> Callable[[Callable[[h5py.File], Any]], Path]:
    """Return a copy of the plain file after a change."""

    def made(change: Callable[[h5py.File], Any]) -> Path:
        path = tmp_path / f"{change.__name__}.h5ad"
        shutil.copy(plain.path, path)
        with h5py.File(path, "r+") as file:
            change(file)
        return path

    return made


MASKS = masks(N_OBS)


@pytest.mark.parametrize(("spoil", "right"), PUT_RIGHT, ids=lambda change: change.__name__)
def test_what_is_odd_is_read_and_exported_as_if_it_were_right(changed, spoil, right, tmp_path):
    path, sound = changed(spoil), changed(right)
    with cellasso.open(path) as dataset:
        oracle.assert_obs_read(dataset, oracle.read(sound))
        for which, mask in MASKS.items():
            target = tmp_path / f"{which}.h5ad"
            assert write(dataset, mask, target) == []
            oracle.assert_same(oracle.read(target), oracle.subset(sound, mask), which)


@pytest.mark.parametrize("spoil", LEFT_OUT, ids=lambda change: change.__name__)
def test_what_does_not_fit_is_left_out_and_named_with_its_path_and_the_reason(changed, plain, spoil, tmp_path):
    sentences: list[str] = []
    path = changed(lambda file: sentences.append(spoil(file)))
    with cellasso.open(path) as dataset:
        for which, mask in MASKS.items():
            target = tmp_path / f"{which}.h5ad"
            (sentence,) = write(dataset, mask, target)
            assert sentence.startswith(f"{path.name}:{sentences[0]}")
            oracle.assert_same(oracle.read(target), oracle.subset(plain.path, mask), which)


def test_x_of_another_shape_is_refused_in_a_sentence(changed, tmp_path):
    def short(file: h5py.File) -> None:
        del file["X"]
        file["X"] = np.zeros((3, N_VARS))

    with (
        cellasso.open(changed(short)) as dataset,
        pytest.raises(ElementError, match=r"^short\.h5ad:/X has shape \(3, 17\), which does not fit obs and var"),
    ):
        dataset.export(MASKS["random"], tmp_path / "export.h5ad")
    assert not (tmp_path / "export.h5ad").exists()


def test_an_unknown_encoding_in_uns_stays_for_who_knows_it(changed, tmp_path):
    def unknown(file: h5py.File) -> None:
        file.create_group("uns/other").attrs["encoding-type"] = "of-next-year"

    with cellasso.open(changed(unknown)) as dataset:
        assert len(dataset.read_obs("int8")) == N_OBS
        exported = dataset.export(MASKS["random"], tmp_path / "export.h5ad")
    with h5py.File(exported.path) as file:
        assert file["uns/other"].attrs["encoding-type"] == "of-next-year"


def test_a_column_of_unknown_encoding_says_which(changed):
    with (
        cellasso.open(changed(unknown_column)) as dataset,
        pytest.raises(ElementError, match=r"/obs/other cannot be read: its encoding \('of-next-year', version none\)"),
    ):
        dataset.read_obs("other")


def test_a_file_of_raw_alone_answers_from_raw(changed, plain, tmp_path):
    def only_raw(file: h5py.File) -> None:
        del file["X"], file["layers"]

    path = changed(only_raw)
    with cellasso.open(path) as dataset:
        assert dataset.matrices == ("raw",)
        name = str(dataset.features().names[-1])
        expected = plain.oracle.raw.X[:, -1].toarray().ravel()
        np.testing.assert_array_equal(dataset.read_feature(name), expected)
        exported = dataset.export(MASKS["random"], tmp_path / "export.h5ad")
    oracle.assert_same(oracle.read(exported.path), oracle.subset(path, MASKS["random"]))


@pytest.mark.parametrize("kind", ["plain", "multimodal"])
def test_a_file_called_h5_is_what_it_holds(kind, request, tmp_path):
    written = request.getfixturevalue(kind)
    path = shutil.copy(written.path, tmp_path / "file.h5")
    with cellasso.open(path) as dataset:
        assert f".{dataset.format}" == written.path.suffix
        mask = np.arange(dataset.n_obs) % 3 == 0
        exported = dataset.export(mask, tmp_path / f"export.{dataset.format}")
    oracle.assert_same(oracle.read(exported.path), oracle.subset(written.path, mask))


def test_a_global_var_of_no_rows_is_read_and_exported(multimodal, tmp_path):
    """MuDataSeurat leaves the root's var empty; mudata refuses that file."""
    path = shutil.copy(multimodal.path, tmp_path / "r.h5mu")
    with h5py.File(path, "r+") as file:
        del file["var"], file["varm"], file["varmap"], file["varp"]
        var = file.create_group("var")
        var.attrs.update({"encoding-type": "dataframe", "encoding-version": "0.2.0", "_index": "_index"})
        var.attrs["column-order"] = np.array([], dtype=h5py.string_dtype())
        var["_index"] = np.array([], dtype=h5py.string_dtype())
    with cellasso.open(path) as dataset:
        mask = np.arange(dataset.n_obs) % 3 == 0
        pd.testing.assert_series_equal(
            dataset["rna"].read_obs("ordered"), multimodal.oracle["rna"].obs["ordered"].reset_index(drop=True)
        )
        exported = dataset.export(mask, tmp_path / "export.h5mu")
        assert exported.left_out == ()
    expected = oracle.subset(multimodal.path, mask)
    with cellasso.open(exported.path) as written:
        for name, modality in expected.mod.items():
            oracle.assert_obs_read(written[name], modality)
            oracle.assert_features_read(written[name], modality)


def test_a_column_whose_name_is_no_text_is_passed_over_and_named_by_the_export(copied, tmp_path):
    with h5py.File(copied, "r+") as file:
        h5py.h5o.link(file["obs/float32"].id, file["obs"].id, b"caf\xe9")
    with cellasso.open(copied) as dataset:
        assert all(isinstance(column, str) for column in dataset.obs)
        exported = dataset.export(np.ones(dataset.n_obs, dtype=bool), tmp_path / "x.h5ad")
    assert [sentence for sentence in exported.left_out if "not UTF-8" in sentence and "caf" in sentence]
    oracle.read(exported.path)


def test_elements_below_a_slash_are_read_named_and_exported(changed, tmp_path):
    """HDF5 has made a group of what stands before the slash; anndata reads the columns, and refuses the rest."""

    def with_slashes(file: h5py.File) -> None:
        sparse_layer(file, "<f4")
        file.move("layers/odd", "layers/norm/log")
        file["obsm/harmony/umap"] = np.random.default_rng(0).random((N_OBS, 2))
        file["obs/G1/S"] = np.arange(N_OBS)
        file["obs"].attrs["column-order"] = [*file["obs"].attrs["column-order"], "G1/S"]

    def without(file: h5py.File) -> None:
        with_slashes(file)
        for group, name in (("layers", "norm/log"), ("obsm", "harmony/umap")):
            file.move(f"{group}/{name}", f"{group}/{name.replace('/', '_')}")
            del file[f"{group}/{name.partition('/')[0]}"]

    path, sound = changed(with_slashes), changed(without)
    with cellasso.open(path) as dataset:
        right = oracle.read(sound)
        feature = str(dataset.features("norm/log").names[3])
        np.testing.assert_array_equal(
            dataset.read_feature(feature, "norm/log"), right[:, feature].layers["norm_log"].toarray().ravel()
        )
        np.testing.assert_array_equal(dataset.read_embedding("harmony/umap"), right.obsm["harmony_umap"].astype("f4"))
        assert dataset.read_obs("G1/S").tolist() == list(range(N_OBS))
        listed = {element.path for section in inspect(dataset).sections for element in _flat(section.elements)}
        assert {"/layers/norm/log", "/obsm/harmony/umap", "/obs/G1/S"} <= listed
        text = render_text(inspect(dataset))
        for name in ("norm/log", "harmony/umap", "G1/S"):
            assert f" {name} " in text
        for which, mask in MASKS.items():
            said = write(dataset, mask, tmp_path / f"{which}.h5ad")
            assert [line.partition(" in the export")[0].partition(":")[2] for line in said] == [
                "/layers/norm/log is called 'norm_log'",
                "/obsm/harmony/umap is called 'harmony_umap'",
            ]
            oracle.assert_same(oracle.read(tmp_path / f"{which}.h5ad"), oracle.subset(sound, mask), which)


@pytest.mark.parametrize("listed", [False, True], ids=["index", "index that is a column"])
def test_modalities_that_call_their_cells_otherwise_are_exported_as_mudata_wants_them(multimodal, listed, tmp_path):
    """As R's MultiAssayExperiment has them: each assay names its samples, and a map leads to those of the whole."""
    path, sound, target = (tmp_path / f"{name}.h5mu" for name in ("other", "sound", "export"))
    for each in (path, sound):
        shutil.copy(multimodal.path, each)
    with h5py.File(path, "r+") as file, h5py.File(sound, "r+") as right:
        modality = next(iter(file["mod"]))
        obs = file[f"mod/{modality}/obs"]
        index = obs.attrs["_index"]
        own = np.array([f"sample {i}" for i in range(len(oracle.texts_of(obs[index])))], dtype=object)
        replace(file, f"mod/{modality}/obs/{index}", own)
        if listed:
            index_that_is_a_column(file, f"mod/{modality}/obs")
        obs = right[f"mod/{modality}/obs"]
        if listed:  # its index has the cells' names in the whole now, and no column the same
            obs.move("_index", "cell_id")
            obs.attrs["_index"] = "cell_id"
        obs["own_names"] = own
        obs["own_names"].attrs.update({"encoding-type": "string-array", "encoding-version": "0.2.0"})
        obs.attrs["column-order"] = [*obs.attrs["column-order"], "own_names"]
    with cellasso.open(path) as dataset:
        mask = masks(dataset.n_obs)["random"]
        (sentence,) = write(dataset, mask, target)
    assert sentence.startswith(f"other.h5mu:/mod/{modality}/obs: its cells are called as in /obs")
    oracle.assert_same(oracle.read(target), oracle.subset(sound, mask))
