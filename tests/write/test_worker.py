"""What an export holds, against anndata and mudata in memory; the writer runs in this process, not in a child."""

from __future__ import annotations

import json
import os
import shutil
import warnings
from contextlib import contextmanager
from functools import cache
from itertools import pairwise, product
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import oracle
from cellasso import open  # noqa: A004
from cellasso.core.errors import ElementError, FileChangedError
from cellasso.selection.recipe import WhereRecipe
from cellasso.store.registry import create_file, open_store
from cellasso.write import arrays, worker
from cellasso.write import export as exporting
from cellasso.write import sparse as compressed
from cellasso.write.transfer import Transfer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from anndata import AnnData

    from cellasso.store.base import Group, Store

N_OBS, N_VARS = 83, 29
FORMATS = ("dense", "csr", "csc")
COMPRESSIONS = ("gzip", "lzf", None)


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch):
    monkeypatch.setattr(
        exporting, "_run", lambda job, target, progress: worker.write(job, progress or (lambda _: None))
    )


@pytest.fixture(params=["one_block", pytest.param("many_blocks", marks=pytest.mark.more)])
def block_bytes(request, monkeypatch):
    """Also in blocks so small that every loop over them goes round many times."""
    if request.param == "many_blocks":
        _many_blocks(monkeypatch)


def _many_blocks(monkeypatch) -> None:
    monkeypatch.setattr(arrays, "BLOCK_BYTES", 1024)
    monkeypatch.setattr(compressed, "BLOCK_BYTES", 1024)


def matrix(rng: np.random.Generator, n_rows: int, n_columns: int, storage: str, dtype: str = "f4"):
    dense = np.where(rng.random((n_rows, n_columns)) < 0.3, rng.integers(1, 9, (n_rows, n_columns)), 0).astype(dtype)
    dense[n_rows // 3 : n_rows // 3 + 4] = 0  # cells without a stored value
    return dense if storage == "dense" else sparse.csr_matrix(dense).asformat(storage)


def frame(rng: np.random.Generator, names: list[str]) -> pd.DataFrame:
    n = len(names)
    return pd.DataFrame(
        {
            "kind": pd.Categorical(rng.choice(["b", "a", "c"], n), categories=["z", "c", "b", "a", "unused"]),
            "grade": pd.Categorical(rng.choice([1, 2, None], n), categories=[3, 2, 1], ordered=True),
            "none": pd.Categorical([None] * n, categories=["x"]),
            "count": rng.integers(0, 1000, n).astype("i4"),
            "score": np.where(rng.random(n) < 0.1, np.nan, rng.random(n)),
            "flag": rng.random(n) < 0.5,
            "batch": [f"µ{i % 7}" for i in range(n)],
            "maybe_int": pd.array(np.where(rng.random(n) < 0.3, None, 7), dtype="Int64"),
            "maybe_bool": pd.array(np.where(rng.random(n) < 0.3, None, True), dtype="boolean"),
        },
        index=names,
    )


def make_adata(storage: str = "csr", *, seed: int = 0, n_obs: int = N_OBS, prefix: str = "cell") -> AnnData:
    import anndata as ad

    rng = np.random.default_rng(seed)
    var_names = [f"{prefix}_gene{i}" for i in range(N_VARS)]
    adata = ad.AnnData(
        matrix(rng, n_obs, N_VARS + 3, storage),
        obs=frame(rng, [f"cell{i}" for i in range(n_obs)]),
        var=frame(rng, [*var_names, "x", "y", "z"])[["kind", "count", "batch"]],
    )
    adata.raw = adata
    adata = adata[:, :N_VARS].copy()
    adata.obs["kind"] = pd.Categorical(adata.obs["kind"], categories=["z", "c", "b", "a", "unused"])
    adata.layers["counts"] = matrix(rng, n_obs, N_VARS, storage, "i8")
    adata.layers["other"] = matrix(rng, n_obs, N_VARS, "csc", "f8")
    adata.obsm["X_umap"] = rng.random((n_obs, 2)).astype("f4")
    adata.obsm["cube"] = rng.random((n_obs, 3, 2))
    adata.obsm["sparse"] = matrix(rng, n_obs, 7, "csr")
    adata.obsm["frame"] = frame(rng, list(adata.obs_names))[["kind", "score"]]
    adata.obsp["dense"] = rng.random((n_obs, n_obs))
    adata.obsp["graph"] = matrix(rng, n_obs, n_obs, "csr")
    adata.obsp["graph_csc"] = matrix(rng, n_obs, n_obs, "csc")
    adata.varm["PCs"] = rng.random((N_VARS, 4))
    adata.varm["frame"] = frame(rng, list(adata.var_names))[["kind", "batch"]]
    adata.varp["corr"] = matrix(rng, N_VARS, N_VARS, "csr")
    adata.uns = {
        "kind_colors": ["#00000a", "#00000b", "#00000c", "#00000d", "#00000e"],
        "grade_colors": np.array(["#111111"]),
        "nested": {
            "deep": {"number": 3, "text": "ü", "array": np.arange(5), "frame": frame(rng, list("abc"))[["kind"]]}
        },
    }
    return adata


def write_h5ad(adata: AnnData, path: Path, compression: str | None = "gzip") -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # anndata's remarks on what it writes
        adata.write_h5ad(path, compression=compression)
    return path


def write_h5mu(path: Path, storage: str = "csr", compression: str | None = "gzip", axis: int = 0) -> Path:
    """Two modalities that share only part of their cells, the second in an order of its own."""
    import mudata as md

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rna = make_adata(storage, seed=1)[:60].copy()
        rng = np.random.default_rng(5)
        prot = make_adata(storage, seed=2, prefix="cell" if axis else "prot")[rng.permutation(np.arange(30, 83))].copy()
        if axis:
            prot.obs_names = [f"prot_{name}" for name in prot.obs_names]
        mdata = md.MuData({"rna": rna, "prot": prot}, axis=axis)
        mdata.obs["site"] = pd.Categorical(rng.choice(["n", "s"], mdata.n_obs), categories=["s", "unused", "n"])
        mdata.obsm["X_joint"] = rng.random((mdata.n_obs, 2))
        mdata.obsm["frame"] = frame(rng, list(mdata.obs_names))[["kind"]]
        mdata.obsp["joint"] = matrix(rng, mdata.n_obs, mdata.n_obs, "csr")
        mdata.uns["site_colors"] = ["#1", "#2", "#3"]
        mdata.write_h5mu(path, compression=compression)
    return path


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Return the file of a kind, written once; a test that changes it takes a copy."""

    @cache
    def written(suffix: str = "h5ad", storage: str = "csr", compression: str | None = "gzip", axis: int = 0) -> Path:
        path = tmp_path_factory.mktemp("source") / f"source.{suffix}"
        if suffix == "h5ad":
            return write_h5ad(make_adata(storage), path, compression)
        return write_h5mu(path, storage, compression, axis)

    return written


@pytest.fixture
def changeable(source, tmp_path):
    """Return a copy of the file of a kind."""

    def copied(*kind: object) -> Path:
        return Path(shutil.copy(source(*kind), tmp_path))

    return copied


def masks(n: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    one = np.zeros(n, dtype=bool)
    one[n // 2] = True
    return {"random": rng.random(n) < 0.4, "empty": np.zeros(n, bool), "full": np.ones(n, bool), "one": one}


def export(path: Path, mask: np.ndarray, folder: Path) -> Path:
    with open(path) as dataset:
        return dataset.export(mask, folder / f"export{path.suffix}").path


def assert_obsmap_finds_each_cell(path: Path) -> None:
    """mudata makes the map anew when it reads a file, so its own answer says nothing about the stored one."""
    with h5py.File(path) as file:
        names = oracle.texts_of(file["obs"][file["obs"].attrs["_index"]]).asstr()[...]
        for modality in file["mod"].values():
            own = oracle.texts_of(modality["obs"][modality["obs"].attrs["_index"]]).asstr()[...]
            rows = file[f"obsmap/{modality.name.rpartition('/')[2]}"][...].astype(int)
            assert len(rows) == len(names)
            np.testing.assert_array_equal(own[rows[rows > 0] - 1], names[rows > 0])
            assert set(own) == set(names[rows > 0])


def assert_export_is_the_oracles(path: Path, mask: np.ndarray, folder: Path) -> Path:
    target = export(path, mask, folder)
    oracle.assert_same(oracle.read(target), oracle.subset(path, mask))
    return target


@pytest.mark.parametrize("which", ["random", "empty", "full", "one"])
@pytest.mark.parametrize("storage", FORMATS)
def test_h5ad_export_is_what_anndata_copies(tmp_path, source, storage, which, block_bytes):
    assert_export_is_the_oracles(source("h5ad", storage), masks(N_OBS)[which], tmp_path)


@pytest.mark.parametrize("which", ["random", "empty", "full", "one"])
@pytest.mark.parametrize("storage", FORMATS)
def test_h5mu_export_is_what_mudata_copies(tmp_path, source, storage, which):
    target = assert_export_is_the_oracles(source("h5mu", storage), masks(N_OBS)[which], tmp_path)
    assert target.read_bytes()[:6] == b"MuData"
    assert_obsmap_finds_each_cell(target)


@pytest.mark.parametrize("storage", FORMATS)
def test_h5mu_export_in_many_blocks_is_what_mudata_copies(tmp_path, source, storage, monkeypatch):
    _many_blocks(monkeypatch)
    assert_export_is_the_oracles(source("h5mu", storage), masks(N_OBS)["random"], tmp_path)


@pytest.mark.parametrize("which", ["random", "one"])
def test_h5mu_along_var_is_what_mudata_copies(tmp_path, source, which):
    path = source("h5mu", "csr", "gzip", 1)
    assert_export_is_the_oracles(path, masks(60 + 53)[which], tmp_path)


def test_h5mu_modality_without_selected_cells_stays_empty(tmp_path, source):
    path = source("h5mu")
    with open(path) as dataset:
        mask = ~np.isin(np.arange(N_OBS), dataset.alignment("prot").obs_index)
    target = assert_export_is_the_oracles(path, mask, tmp_path)
    with open(target) as written:
        assert (written["rna"].n_obs, written["prot"].n_obs) == (30, 0)
        assert written["prot"].n_vars == N_VARS


@pytest.mark.parametrize(
    ("suffix", "storage", "compression"),
    [*product(["h5ad"], FORMATS, COMPRESSIONS), *product(["h5mu"], ["csr"], COMPRESSIONS)],
)
def test_types_encodings_and_filters_are_the_sources(tmp_path, source, storage, compression, suffix):
    path = source(suffix, storage, compression)
    target = export(path, masks(N_OBS)["random"], tmp_path)
    kept, written = oracle.storage(path), oracle.storage(target)
    # colours of another number of categories go, as in anndata
    lost = {name for name in kept if name.endswith("uns/grade_colors")}
    assert {name: found for name, found in written.items() if not name.startswith("uns/cellasso")} == {
        name: found for name, found in kept.items() if name not in lost
    }


def test_filters_of_plugins_and_chunks_are_kept(tmp_path, changeable):
    import hdf5plugin

    path = changeable()
    with h5py.File(path, "r+") as file:
        data = file["X/data"][...]
        attributes = dict(file["X/data"].attrs)
        del file["X/data"]
        made = file["X"].create_dataset("data", data=data, chunks=(64,), **hdf5plugin.Blosc(cname="zstd", clevel=3))
        made.attrs.update(attributes)
    target = assert_export_is_the_oracles(path, masks(N_OBS)["random"], tmp_path)
    with h5py.File(path) as source, h5py.File(target) as written:
        (code, _, settings, _), (code_written, _, settings_written, _) = (
            file["X/data"].id.get_create_plist().get_filter(0) for file in (source, written)
        )
        assert (code_written, settings_written) == (code, settings)
        assert written["X/data"].chunks == (64,)


def test_sparse_indices_of_64_bits_keep_them(tmp_path, changeable):
    path = changeable()
    with h5py.File(path, "r+") as file:
        for part in ("indices", "indptr"):
            values, attributes = file[f"X/{part}"][...].astype("i8"), dict(file[f"X/{part}"].attrs)
            del file[f"X/{part}"]
            file["X"].create_dataset(part, data=values).attrs.update(attributes)
    target = assert_export_is_the_oracles(path, masks(N_OBS)["random"], tmp_path)
    with h5py.File(target) as file:
        assert file["X/indices"].dtype == file["X/indptr"].dtype == np.int64
        assert file["X/indices"].chunks is None


# -- old layouts --------------------------------------------------------------------------------------


def _with_referenced_categories(path: Path) -> None:
    """Rewrite the categoricals of obs and var as anndata 0.7 did: codes that refer to `__categories`."""
    with h5py.File(path, "r+") as file:
        for name in ("obs", "var"):
            group = file[name]
            group.attrs["encoding-version"] = "0.1.0"
            legacy = group.create_group("__categories")
            for column in [c for c in group if group[c].attrs.get("encoding-type") == "categorical"]:
                codes, categories = group[column]["codes"][...], group[column]["categories"][...]
                ordered = group[column].attrs["ordered"]
                del group[column]
                legacy.create_dataset(column, data=categories).attrs["ordered"] = ordered
                group.create_dataset(column, data=codes).attrs["categories"] = legacy[column].ref
            for column in [c for c in group if c.startswith("maybe_")]:
                del group[column]
            order = [column for column in group.attrs["column-order"] if column in group]
            group.attrs["column-order"] = order


@pytest.mark.parametrize("which", ["random", "empty", "full", "one"])
def test_referenced_categories_are_what_anndata_copies(tmp_path, changeable, which):
    path = changeable()
    _with_referenced_categories(path)
    target = assert_export_is_the_oracles(path, masks(N_OBS)[which], tmp_path)
    with h5py.File(target) as file:
        reference = file["obs/kind"].attrs["categories"]
        assert file[reference].name == "/obs/__categories/kind"


@pytest.mark.parametrize("which", ["random", "empty", "full", "one"])
def test_compound_frames_are_what_anndata_copies(tmp_path, which):
    rng = np.random.default_rng(0)
    path = tmp_path / "source.h5ad"
    obs = np.zeros(9, dtype=[("index", "S6"), ("kind", "i1"), ("score", "f4"), ("n", "i4")])
    obs["index"] = [f"cell{i}" for i in range(9)]
    obs["kind"], obs["score"], obs["n"] = rng.integers(0, 2, 9), rng.random(9), rng.integers(0, 50, 9)
    var = np.array([(f"g{i}", i % 2) for i in range(4)], dtype=[("index", "S3"), ("part", "i1")])
    obsm = np.zeros(9, dtype=[("X_pca", "f4", (3,)), ("X_umap", "f8", (2,))])
    obsm["X_pca"], obsm["X_umap"] = rng.random((9, 3)), rng.random((9, 2))
    with h5py.File(path, "w") as file:
        file["X"] = rng.random((9, 4)).astype("f4")
        file["obs"], file["var"], file["obsm"] = obs, var, obsm
        file["uns/kind_categories"] = np.array([b"aa", b"bb", b"unused"])
        file["uns/kind_colors"] = np.array([b"#a", b"#b", b"#c"])
        file["uns/part_categories"] = np.array([b"left", b"right"])
        # the graphs of anndata 0.6 lie in uns and are moved into obsp, where they must fit
        graph = file.create_group("uns/neighbors/connectivities")
        graph.attrs.update({"h5sparse_format": "csr", "h5sparse_shape": (9, 9)})
        stored = sparse.csr_matrix(rng.random((9, 9)))
        for part in ("data", "indices", "indptr"):
            graph[part] = getattr(stored, part)
    assert_export_is_the_oracles(path, masks(9)[which], tmp_path)


# -- what is not plain --------------------------------------------------------------------------------


def test_awkward_array_keeps_the_selected_lists(tmp_path, changeable):
    path = changeable()
    lists = [[f"r{i}.{j}" if (i + j) % 4 else None for j in range(i % 5)] for i in range(N_OBS)]
    _store_lists_of_strings(path, lists)
    mask = masks(N_OBS)["random"]
    target = export(path, mask, tmp_path)
    assert _read_lists_of_strings(target) == [kept for kept, chosen in zip(lists, mask, strict=True) if chosen]


def _store_lists_of_strings(path: Path, lists: list[list[str | None]]) -> None:
    strings = {"class": "ListOffsetArray", "offsets": "i64", "form_key": "node2", "parameters": {"__array__": "string"}}
    strings["content"] = {"class": "NumpyArray", "primitive": "uint8", "inner_shape": [], "form_key": "node3"}
    option = {"class": "IndexedOptionArray", "index": "i64", "content": strings, "form_key": "node1"}
    record = {"class": "RecordArray", "fields": ["name"], "contents": [option], "form_key": "node9"}
    form = {"class": "ListOffsetArray", "offsets": "i64", "content": record, "form_key": "node0"}
    flat = [text for texts in lists for text in texts]
    present = [text.encode() for text in flat if text is not None]
    with h5py.File(path, "r+") as file:
        group = file.create_group("obsm/receptors")
        group.attrs.update({"encoding-type": "awkward-array", "encoding-version": "0.1.0", "length": len(lists)})
        group.attrs["form"] = json.dumps(form)
        group["node0-offsets"] = np.cumsum([0, *map(len, lists)])
        group["node1-index"] = [-1 if t is None else sum(x is not None for x in flat[:i]) for i, t in enumerate(flat)]
        group["node2-offsets"] = np.cumsum([0, *map(len, present)])
        group["node3-data"] = np.frombuffer(b"".join(present), dtype="u1")


def _read_lists_of_strings(path: Path) -> list[list[str | None]]:
    with h5py.File(path) as file:
        group = file["obsm/receptors"]
        outer, index, inner = (group[name][...] for name in ("node0-offsets", "node1-index", "node2-offsets"))
        text = group["node3-data"][...].tobytes()
        assert group.attrs["length"] == len(outer) - 1
    strings = [None if i < 0 else text[inner[i] : inner[i + 1]].decode() for i in index]
    return [strings[start:stop] for start, stop in pairwise(outer)]


def _external_link(file: h5py.File) -> str:
    file["uns/other"] = h5py.ExternalLink("/etc/passwd", "/")
    return "uns/other"


def _link_through_another_file(file: h5py.File) -> str:
    file["obsm/other"] = h5py.ExternalLink("/etc/passwd", "/")
    return "obsm/other"


def _external_storage(file: h5py.File) -> str:
    file.create_dataset("uns/other", (8,), "u1", external=[("/etc/passwd", 0, 8)])
    return "uns/other"


def _virtual(file: h5py.File) -> str:
    layout = h5py.VirtualLayout((N_OBS, 2), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "x", (N_OBS, 2))
    file.create_virtual_dataset("obsm/other", layout)
    return "obsm/other"


def _sparse_part_elsewhere(file: h5py.File) -> str:
    n = file["layers/other/data"].shape[0]
    del file["layers/other/data"]
    file["layers/other"].create_dataset("data", (n,), "u1", external=[("/etc/passwd", 0, n)])
    return "layers/other"


def _sparse_part_missing(file: h5py.File) -> str:
    del file["layers/other/indptr"]
    return "layers/other"


def _categories_missing(file: h5py.File) -> str:
    del file["obs/grade/categories"]
    return "obs/grade"


def _unknown_encoding(file: h5py.File) -> str:
    file.create_group("obsm/other").attrs["encoding-type"] = "of-next-year"
    return "obsm/other"


def _too_short(file: h5py.File) -> str:
    file["layers/other2"] = np.zeros((3, N_VARS))
    return "layers/other2"


def _too_short_sparse(file: h5py.File) -> str:
    group = file.create_group("layers/other2")
    group.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0", "shape": (2, N_VARS)})
    group["indptr"], group["indices"], group["data"] = np.array([0, 1, 1]), np.array([0]), np.array([1.0])
    return "layers/other2"


def _indices_out_of_range(file: h5py.File) -> str:
    file["layers/other/indices"][5] = -1
    return "layers/other"


@pytest.mark.parametrize(
    "spoil",
    [
        _external_link,
        _link_through_another_file,
        _external_storage,
        _virtual,
        _sparse_part_elsewhere,
        _sparse_part_missing,
        _categories_missing,
        _unknown_encoding,
        _too_short,
        _too_short_sparse,
        _indices_out_of_range,
    ],
)
def test_unsafe_or_unreadable_element_is_left_out_and_named(tmp_path, changeable, spoil: Callable[[h5py.File], str]):
    path = changeable("h5ad", "csr", None)
    with h5py.File(path, "r+") as file:
        place = spoil(file)
    target = tmp_path / "export.h5ad"
    with open(path) as dataset:
        exported = dataset.export(masks(N_OBS)["random"], target)
    assert len(exported.left_out) == 1
    assert f"/{place}" in exported.left_out[0]
    with h5py.File(target) as file:
        assert place not in file
        assert place in file["uns/cellasso/left_out"].asstr()[()]
    oracle.read(target)


def test_obs_column_left_out_leaves_column_order_too(tmp_path, changeable):
    path = changeable()
    with h5py.File(path, "r+") as file:
        del file["obs/count"]
        file["obs/count"] = np.arange(4)
    target = tmp_path / "export.h5ad"
    with open(path) as dataset:
        (sentence,) = dataset.export(masks(N_OBS)["random"], target).left_out
    assert "/obs/count has 4 rows" in sentence
    assert "count" not in oracle.read(target).obs


@pytest.mark.parametrize("compression", ["gzip", "lzf"])
def test_an_element_whose_bytes_are_damaged_is_left_out_whoever_reads_them(tmp_path, changeable, compression):
    """HDF5 alone inflates lzf; gzip is inflated past it."""
    path = changeable()
    rng = np.random.default_rng(0)
    with h5py.File(path, "r+") as file:
        n_obs = oracle.texts_of(file["obs/_index"]).shape[0]
        values = rng.integers(0, 3, (n_obs, 400)).astype("f4")
        made = file["obsm"].create_dataset("broken", data=values, chunks=(n_obs, 400), compression=compression)
        made.attrs["encoding-type"], made.attrs["encoding-version"] = "array", "0.2.0"
        chunk = made.id.get_chunk_info(0)
    with path.open("r+b") as file:
        file.seek(chunk.byte_offset)
        file.write(b"\xff" * chunk.size)
    with open(path) as dataset:
        exported = dataset.export(np.ones(dataset.n_obs, dtype=bool), tmp_path / "export.h5ad")
    assert any("obsm/broken" in sentence for sentence in exported.left_out)
    with h5py.File(tmp_path / "export.h5ad") as file:
        assert "broken" not in file["obsm"]
        assert len(file["obsm"])


def test_damaged_x_stops_the_export(tmp_path, changeable):
    path = changeable("h5ad", "csr", None)
    with h5py.File(path, "r+") as file:
        file["X/indptr"][3] = 10_000
    with open(path) as dataset, pytest.raises(ElementError, match=r"/X/indptr is damaged.*or export a table"):
        dataset.export(masks(N_OBS)["random"], tmp_path / "export.h5ad")
    assert [entry.name for entry in tmp_path.iterdir()] == ["source.h5ad"]


def test_links_within_the_file_survive(tmp_path, changeable):
    path = changeable()
    with h5py.File(path, "r+") as file:
        file["uns/nested/cycle"] = file["uns/nested"]
        file["uns/soft"] = h5py.SoftLink("/uns/nested/deep/array")
        del file["layers/other"]
        file["layers/other"] = h5py.SoftLink("/layers/counts")
    mask = masks(N_OBS)["random"]
    target = export(path, mask, tmp_path)
    with h5py.File(target) as file:
        assert file["uns/nested/cycle/cycle/deep/number"][()] == 3
        np.testing.assert_array_equal(file["uns/soft"], np.arange(5))
        assert file["layers/other"].attrs["shape"].tolist() == [mask.sum(), N_VARS]


# -- where it comes from, how far it is ---------------------------------------------------------------


def test_export_says_where_it_is_from(tmp_path, changeable):
    path = changeable()
    recipe = WhereRecipe("kind == 'a'")
    with open(path) as dataset:
        mask = recipe.mask(dataset)
        first = dataset.export(mask, tmp_path / "first.h5ad", recipe=recipe).path
    told = oracle.read(first).uns["cellasso"]
    status = path.stat()
    assert (told["recipe"], told["source"]) == ('{"where": "kind == \'a\'"}', "source.h5ad")
    assert told["source_fingerprint"] == f"{status.st_size}-{status.st_mtime_ns}"
    assert (told["n_obs_source"], told["n_obs"], told["left_out"]) == (N_OBS, mask.sum(), "")
    with open(first) as dataset:
        second = dataset.export(np.ones(dataset.n_obs, dtype=bool), tmp_path / "second.h5ad").path
    told_again = oracle.read(second).uns["cellasso"]
    assert (told_again["source"], told_again["recipe"]) == ("first.h5ad", "")
    assert told_again["previous"] == told


def test_progress_rises_to_one(tmp_path, source):
    path = source("h5mu")
    told: list[float] = []
    with open(path) as dataset:
        dataset.export(masks(N_OBS)["random"], tmp_path / "export.h5mu", progress=told.append)
    assert told == sorted(told)
    assert len(told) > 20
    assert told[-1] == 1.0


def test_source_that_changed_since_the_mask_was_made_is_refused(tmp_path, changeable):
    path = changeable()
    with open(path) as dataset:
        rows = {"": np.arange(3)}
        job = exporting.Job(path, tmp_path / "export.h5ad", dataset.handle.fingerprint, rows, {})
    with h5py.File(path, "r+") as file:
        file.attrs["touched"] = np.arange(100)
    with pytest.raises(FileChangedError, match="changed by another program"):
        worker.write(job, lambda _: None)
    assert not job.target.exists()


def test_source_that_changes_while_it_is_read_is_an_error(tmp_path, changeable):
    path = changeable()
    with open(path) as dataset:
        job = exporting.Job(path, tmp_path / "x.h5ad", dataset.handle.fingerprint, {"": np.arange(3)}, {})
    with pytest.raises(FileChangedError, match="changed by another program"):
        worker.write(job, lambda fraction: os.utime(path, ns=(1, 1)))


def test_csr_rows_elsewhere_are_not_read(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    path = tmp_path / "source.h5"
    stored = sparse.random(40_000, 50, density=0.2, format="csr", random_state=rng)
    with h5py.File(path, "w") as file:
        group = file.create_group("X")
        group.attrs.update({"encoding-type": "csr_matrix", "shape": stored.shape})
        for part in ("data", "indices", "indptr"):
            group.create_dataset(part, data=getattr(stored, part), chunks=(1000,))
    with open_store(path) as handle:
        with transfer_to(tmp_path / "target.h5", handle) as (transfer, root):
            before, rows = handle.bytes_read, np.arange(2000, 2100)
            compressed.subset_sparse(transfer, handle.node("/X"), root, "X", rows=rows, columns=None)
            read = handle.bytes_read - before
        with h5py.File(tmp_path / "target.h5") as target:
            parts = tuple(target[f"X/{part}"][...] for part in ("data", "indices", "indptr"))
        assert (sparse.csr_matrix(parts, (100, 50)) != stored[2000:2100]).nnz == 0
    whole = stored.data.nbytes + stored.indices.nbytes
    assert read < stored.indptr.nbytes + whole / 10


@pytest.mark.parametrize("dense", [False, True], ids=["csr", "dense"])
def test_rows_in_another_order_take_one_pass_not_one_for_each_block(tmp_path, monkeypatch, dense):
    monkeypatch.setattr(arrays, "BLOCK_BYTES", 1 << 14)
    monkeypatch.setattr(compressed, "BLOCK_BYTES", 1 << 14)
    rng = np.random.default_rng(0)
    stored = sparse.random(5_000, 40, density=0.5, format="csr", random_state=rng)
    order = rng.permutation(5_000)
    with h5py.File(tmp_path / "source.h5", "w") as file:
        group = file.create_group("X")
        group.attrs.update({"encoding-type": "csr_matrix", "shape": stored.shape})
        for part in ("data", "indices", "indptr"):
            group.create_dataset(part, data=getattr(stored, part), chunks=(1000,))
        file.create_dataset("dense", data=stored.toarray(), chunks=(100, 40))
    with open_store(tmp_path / "source.h5") as handle:
        with transfer_to(tmp_path / "target.h5", handle) as (transfer, root):
            before = handle.bytes_read
            if dense:
                arrays.subset_array(transfer, handle.array("/dense"), root, "X", rows=order)
            else:
                compressed.subset_sparse(transfer, handle.node("/X"), root, "X", rows=order, columns=None)
            read = handle.bytes_read - before
        with h5py.File(tmp_path / "target.h5") as target:
            if dense:
                found, size = target["X"][...], stored.shape[0] * stored.shape[1] * 8
            else:
                parts = tuple(target[f"X/{part}"][...] for part in ("data", "indices", "indptr"))
                found, size = sparse.csr_matrix(parts, stored.shape).toarray(), stored.data.nbytes * 3 // 2
        assert read < 1.5 * size
    np.testing.assert_array_equal(found, stored.toarray()[order])


@contextmanager
def transfer_to(path: Path, handle: Store) -> Iterator[tuple[Transfer, Group]]:
    with create_file(path, handle) as new:
        yield Transfer(handle, new, lambda _: None), new.root()
