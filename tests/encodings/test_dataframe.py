"""obs and var: every column as anndata reads it, one at a time, in every layout since anndata 0.6."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest

import cellasso
import oracle
from cellasso.core.errors import CellassoError, ElementError, NotFoundError
from cellasso.encodings import arrays
from cellasso.encodings.dataframe import Frame
from cellasso.store.hdf5.chunks import Chunks
from conftest import make_adata, write

if TYPE_CHECKING:
    from pathlib import Path

KINDS = {
    "ordered": "category",
    "gaps": "category",
    "numbered": "category",
    "float32": "number",
    "float64": "number",
    "int8": "number",
    "uint64": "number",
    "bool": "boolean",
    "text": "text",
    "maybe_int": "number",
    "maybe_bool": "boolean",
    "maybe_text": "text",
}


def assert_column_equal(found: pd.Series, expected: pd.Series) -> None:
    pd.testing.assert_series_equal(found, expected.reset_index(drop=True), check_names=False, check_exact=True)
    if expected.dtype.kind == "f":  # assert_series_equal takes -0.0 for 0.0
        np.testing.assert_array_equal(np.signbit(found), np.signbit(expected))


@pytest.mark.parametrize("column", KINDS)
def test_each_column_equals_anndatas(dataset, plain, column):
    assert_column_equal(dataset.read_obs(column), plain.oracle.obs[column])
    assert dataset.read_obs(column).name == column
    assert dataset.obs.kind(column) == KINDS[column]


def test_the_fixture_has_every_dtype_that_is_claimed(plain):
    dtypes = {str(dtype) for dtype in plain.oracle.obs.dtypes}
    assert dtypes >= {"category", "float32", "float64", "int8", "uint64", "bool", "Int32", "boolean"}
    assert plain.oracle.obs["maybe_text"].isna().any()
    assert np.signbit(plain.oracle.obs["float64"]).any()


def test_columns_are_read_under_every_filter(h5ad):
    with cellasso.open(h5ad.path) as dataset:
        assert list(dataset.obs) == list(h5ad.oracle.obs)
        for column in dataset.obs:
            assert_column_equal(dataset.read_obs(column), h5ad.oracle.obs[column])
        np.testing.assert_array_equal(dataset.obs_names, h5ad.oracle.obs_names)
        assert (dataset.n_obs, dataset.n_vars) == h5ad.oracle.shape


@pytest.fixture
def large(monkeypatch, tmp_path) -> Path:
    """A file whose columns count as long, in chunks of seven."""
    monkeypatch.setattr(arrays, "LARGE", 20)
    monkeypatch.setattr(arrays, "BAND", 10)
    path = write(make_adata(), tmp_path / "large.h5ad")
    with h5py.File(path, "r+") as file:
        parts: list[str] = []
        file["obs"].visititems(lambda name, node: parts.append(name) if isinstance(node, h5py.Dataset) else None)
        for name in parts:
            values, attributes = file["obs"][name][...], dict(file["obs"][name].attrs)
            if values.dtype.kind == "O" or len(values) < 20:
                continue
            del file["obs"][name]
            made = file["obs"].create_dataset(name, data=values, chunks=(7,), compression="gzip", shuffle=True)
            made.attrs.update(attributes)
    return path


def test_long_columns_are_read_past_hdf5_and_equal_anndatas(large, monkeypatch):
    expected = oracle.read(large)
    read: list[str] = []
    of_chunk = Chunks._read_chunk
    monkeypatch.setattr(Chunks, "_read_chunk", lambda self, at: (read.append(self.place), of_chunk(self, at))[1])
    with cellasso.open(large) as dataset:
        for column in KINDS:
            found = dataset.read_obs(column)
            assert_column_equal(found, expected.obs[column])
            assert found.dtype == expected.obs[column].dtype
    columns = {place.partition("/obs/")[2] for place in read}
    assert columns >= {"ordered/codes", "gaps/codes", "float32", "float64", "int8", "uint64", "bool"}


def test_a_long_column_that_is_damaged_or_odd_is_told_as_any_other(large):
    with h5py.File(large, "r+") as file:
        file["obs/ordered/codes"][5] = 77  # of three categories
        chunk = file["obs/float32"].id.get_chunk_info(2)
    with large.open("r+b") as stream:
        stream.seek(chunk.byte_offset)
        stream.write(bytes(chunk.size))
    with cellasso.open(large) as dataset:
        with pytest.raises(ElementError, match=r"large\.h5ad:/obs/float32 cannot be read \(chunk 2 does not inflate\)"):
            dataset.read_obs("float32")
        with pytest.raises(ElementError, match=r"large\.h5ad:/obs/ordered cannot be read"):
            dataset.read_obs("ordered")


def test_order_and_membership_are_the_files(dataset, plain):
    assert dataset.obs.columns == tuple(plain.oracle.obs.columns)
    assert "ordered" in dataset.obs
    assert "_index" not in dataset.obs
    assert len(dataset.obs) == plain.oracle.n_obs


def test_a_missing_column_is_answered_with_the_nearest(dataset):
    with pytest.raises(NotFoundError, match=r"plain\.h5ad:/obs has no column 'orderd'; nearest: ordered\."):
        dataset.read_obs("orderd")


@pytest.mark.parametrize("name", ["gaps/codes", "/X", "..", ".", "", "_index"])
def test_a_path_is_not_a_column(dataset, name):
    with pytest.raises(NotFoundError, match="has no column"):
        dataset.read_obs(name)


def test_structure_and_one_column_are_read_without_the_others(tmp_path):
    n = 20_000
    path = tmp_path / "wide.h5ad"
    with h5py.File(path, "w") as file:
        for frame in ("obs", "var"):
            group = file.create_group(frame)
            group.attrs["_index"] = "_index"
            group["_index"] = [f"{i}" for i in range(n)]
            for column in range(10):
                group[f"c{column}"] = np.arange(n, dtype="f8")
    with cellasso.open(path) as dataset:
        assert (dataset.n_obs, len(dataset.obs.columns), dataset.obs.kind("c3")) == (n, 10, "number")
        opened = dataset.handle.bytes_read
        assert opened < 50_000
        dataset.read_obs("c3")
        assert 8 * n <= dataset.handle.bytes_read - opened < 8 * n + 20_000


# -- damage stays where it is ----------------------------------------------------------------------------


def bad_column(column, **attributes):
    def change(file):
        values = column(file) if callable(column) else column
        file["obs/bad"] = values
        for name, value in attributes.items():
            file["obs/bad"].attrs[name.replace("_", "-")] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (bad_column(np.arange(60), encoding_type="from-the-future", encoding_version="9"), "cannot be read"),
        (bad_column(np.arange(59)), "has 59 values; 60 were expected"),
        (bad_column(np.ones((60, 2))), "has 2 dimensions; a column has one"),
        (bad_column(3, encoding_type="numeric-scalar", encoding_version="0.2.0"), "has 0 dimensions|has 1 values"),
        (lambda file: file["obs"].create_group("bad"), "is a group of elements"),
        (lambda file: file.copy("X", "obs/bad"), "has 2 dimensions|cannot be read"),
    ],
    ids=["unknown_encoding", "too_short", "two_dimensions", "scalar", "group", "matrix"],
)
def test_a_bad_column_is_named_and_the_others_are_read(damaged, change, message):
    dataset = damaged(change)
    with pytest.raises(ElementError, match=rf"damaged0\.h5ad:/obs/bad.*({message})"):
        dataset.read_obs("bad")
    assert dataset.read_obs("ordered").notna().all()


def test_codes_beyond_the_categories_are_refused(damaged):
    dataset = damaged(lambda file: file["obs/ordered/codes"].__setitem__(0, 77))
    with pytest.raises(ElementError, match="/obs/ordered cannot be read"):
        dataset.read_obs("ordered")


def test_an_obs_that_is_no_frame_is_refused(damaged):
    def change(file):
        del file["obs"]
        file["obs"] = np.arange(3)

    with pytest.raises(ElementError, match="/obs is no data frame"):
        damaged(change).obs.columns  # noqa: B018 - reading it raises


@pytest.mark.more
def test_no_damage_to_structure_ends_in_another_error_than_ours(plain, damaged):
    with h5py.File(plain.path) as file:
        changes = []
        file.visititems(lambda name, node: changes.extend((name, key) for key in [None, *node.attrs]))

    for name, attribute in [change for change in changes if change[0].startswith(("X", "obs", "raw", "var"))]:

        def change(file, name=name, attribute=attribute):
            if attribute is None:
                attributes = dict(file[name].attrs)
                del file[name]
                file[name] = 5
                file[name].attrs.update(attributes)
            else:
                file[name].attrs[attribute] = -3

        try:
            dataset = damaged(change)
            read_all(dataset)
        except CellassoError:
            continue


def read_all(dataset) -> None:
    """Read all there is; each element may be refused, by an error of ours."""
    frames = {dataset.obs: dataset.obs.columns}
    reads = [lambda frame=frame, c=c: (frame.kind(c), frame.read(c)) for frame in frames for c in frame]
    reads += [lambda key=key: dataset.read_embedding(key) for key in dataset.obsm]
    reads += [lambda layer=layer: dataset.read_feature("g1", layer) for layer in dataset.matrices]
    reads += [lambda: dataset.embeddings, lambda: dataset.obs_names, lambda: dataset.features().search("g1")]
    for read in reads:
        try:
            read()
        except CellassoError:
            continue


def test_what_a_first_page_reads_imports_neither_anndata_nor_numba(plain):
    """Either takes a second or two of the first minute."""
    with h5py.File(plain.path) as file:
        texts = [f"{frame}/{file[frame].attrs['_index']}" for frame in ("obs", "var")]
        texts += ["obs/ordered/categories", "var/gene_symbols"]
        if any(isinstance(file[path], h5py.Group) for path in texts):
            pytest.skip("texts are stored beside a mask of missing ones here, which anndata reads")
    read = """
import sys, cellasso
with cellasso.open(sys.argv[1]) as dataset:
    for column in ("ordered", "numbered", "float32", "bool"):
        dataset.read_obs(column)
    dataset.obs_names, dataset.features().search("g1"), dataset.read_embedding(next(iter(dataset.obsm)))
print(*(name for name in ("anndata", "numba") if name in sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", read, plain.path], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


# -- names ------------------------------------------------------------------------------------------------


def test_a_frame_without_an_index_counts_its_rows(damaged):
    def change(file):
        del file["obs/_index"], file["obs"].attrs["_index"]

    dataset = damaged(change)
    assert list(dataset.obs_names[:3]) == ["0", "1", "2"]
    assert len(dataset.obs_names) == 60


@pytest.mark.parametrize("attribute", ["barcode", np.bytes_("barcode")], ids=["text", "bytes"])
def test_the_index_is_the_column_that_the_file_says(damaged, attribute):
    def change(file):
        file["obs"].move("_index", "barcode")
        file["obs"].attrs["_index"] = attribute

    dataset = damaged(change)
    assert dataset.obs_names[1] == "c1"
    assert "barcode" not in dataset.obs


def test_an_index_that_is_a_column_too_is_read_as_both(tmp_path):
    obs = pd.DataFrame({"cell_id": ["a", "b", "c"], "x": [1.0, 2.0, 3.0]}).set_index("cell_id", drop=False)
    anndata.AnnData(np.ones((3, 2), "f4"), obs=obs).write_h5ad(tmp_path / "both.h5ad")
    expected = anndata.read_h5ad(tmp_path / "both.h5ad").obs
    with cellasso.open(tmp_path / "both.h5ad") as dataset:
        assert list(dataset.obs) == list(expected) == ["cell_id", "x"]
        assert_column_equal(dataset.read_obs("cell_id"), expected["cell_id"])
        assert list(dataset.obs_names) == list(expected.index)
        assert dataset.where("cell_id == 'b'").tolist() == [False, True, False]


def test_names_that_are_numbers_or_not_utf8_are_still_text(damaged):
    def numbers(file):
        del file["obs/_index"]
        file["obs/_index"] = np.arange(60)

    def latin(file):
        del file["obs/_index"]
        file["obs/_index"] = np.array([b"ok", b"\xe9t\xe9"] * 30, dtype="S4")

    assert list(damaged(numbers).obs_names[:2]) == ["0", "1"]
    assert list(damaged(latin).obs_names[:2]) == ["ok", "\ufffdt\ufffd"]


# -- old layouts ------------------------------------------------------------------------------------------


def test_a_compound_frame_reads_like_a_frame(compound):
    with cellasso.open(compound) as dataset:
        assert dataset.obs.columns == ("leiden", "single", "depth", "note")
        assert [dataset.obs.kind(c) for c in dataset.obs] == ["category", "category", "number", "text"]
        assert list(dataset.obs_names) == ["c0", "c1", "c2", "c3"]
        leiden = dataset.read_obs("leiden")
        assert list(leiden.cat.categories) == ["B", "A"]
        assert list(leiden.cat.codes) == [1, 0, -1, 1]
        assert list(dataset.read_obs("single")) == ["only"] * 4
        assert list(dataset.read_obs("note")) == ["a", "é", "", "b\ufffd"]
        depth = dataset.read_obs("depth")
        assert depth.dtype == np.float32
        np.testing.assert_array_equal(depth, [0.5, np.nan, -0.0, 3])
        assert np.signbit(depth[2])
        assert dataset.read_colors("leiden") == ["#ff0000", "#00ff00"]


def test_categories_that_codes_refer_to_are_read(referenced):
    with cellasso.open(referenced) as dataset:
        assert dataset.obs.columns == ("leiden", "grade", "depth")  # column-order was stored as bytes
        assert [dataset.obs.kind(c) for c in dataset.obs] == ["category", "category", "number"]
        leiden, grade = dataset.read_obs("leiden"), dataset.read_obs("grade")
        assert list(leiden.cat.categories) == ["B", "A"]
        assert list(leiden.cat.codes) == [1, 0, -1, 1]
        assert grade.cat.ordered
        assert list(grade) == [2.5, 1.5, 2.5, 1.5]


def test_a_frame_knows_nothing_of_modalities(multimodal):
    with cellasso.open(multimodal.path) as dataset:
        frame = Frame(dataset.handle, "/mod/protein/obs")
        assert_column_equal(frame.read("gaps"), multimodal.oracle["protein"].obs["gaps"])
