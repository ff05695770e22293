"""Files as other writers make them: HDF5's newer formats, and text of fixed length that fills its last byte."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
from h5py import h5a, h5d, h5s, h5t
from scipy import sparse

import cellasso
import oracle
from inprocess import masks, write

if TYPE_CHECKING:
    from pathlib import Path

N_OBS, N_VARS = 60, 17
MASKS = masks(N_OBS)
NEWER = [libver for libver in ("v108", "v110", "v112", "v114", "latest") if libver in h5py._hl.files.libver_dict]


@pytest.fixture(autouse=True)
def _order_as_it_was() -> Any:
    before = h5py.get_config().track_order
    yield
    h5py.get_config().track_order = before


def copy_of(path: Path, target: Path, **options: Any) -> Path:
    """Copy a file object by object into one of another format; HDF5's own copy would keep the old one."""
    h5py.get_config().track_order = bool(options.get("track_order"))
    with h5py.File(path) as source, h5py.File(target, "w", **options) as file:
        file.attrs.update(source.attrs)

        def make(name: str, node: h5py.Group | h5py.Dataset) -> None:
            if isinstance(node, h5py.Group):
                made: Any = file.create_group(name)
            elif node.shape is None:
                made = file.create_dataset(name, data=h5py.Empty(node.dtype))
            else:
                made = file.create_dataset(name, data=node[...], dtype=node.dtype)
            made.attrs.update(node.attrs)

        source.visititems(make)
    return target


@pytest.mark.parametrize("which", list(MASKS))
@pytest.mark.parametrize("options", [*({"libver": each} for each in NEWER), {"track_order": True}], ids=str)
def test_a_file_of_a_newer_format_is_exported_like_any(plain, tmp_path, options, which):
    path = copy_of(plain.path, tmp_path / "newer.h5ad", **options)
    target = tmp_path / "export.h5ad"
    with cellasso.open(path) as dataset:
        assert write(dataset, MASKS[which], target) == []
    oracle.assert_same(oracle.read(target), oracle.subset(plain.path, MASKS[which]))


def test_a_group_of_many_members_is_exported(tmp_path):
    """Above some number of members HDF5 keeps the links of a newer group apart from it, at an address of the file."""
    path, target = tmp_path / "many.h5ad", tmp_path / "export.h5ad"
    expected = {f"k{i}": i for i in range(300)}
    with h5py.File(path, "w", libver="latest") as file:
        ad.io.write_elem(file, "/", ad.AnnData(np.zeros((N_OBS, 2), "f4"), uns=expected))
    with cellasso.open(path) as dataset:
        assert write(dataset, MASKS["random"], target) == []
    found = oracle.read(target).uns
    assert {name: int(value) for name, value in found.items() if name != "cellasso"} == expected


def test_members_that_are_nothing_stay_so(tmp_path):
    """As anndata writes an AnnData without X and raw into a group."""
    path, target = tmp_path / "nothing.h5ad", tmp_path / "export.h5ad"
    with h5py.File(path, "w") as file:
        ad.io.write_elem(file, "/", ad.AnnData(obs=pd.DataFrame({"n": np.arange(N_OBS)}).rename(str)))
        for name in ("X", "raw"):
            file.require_dataset(name, None, "f4", data=h5py.Empty("f4")) if name not in file else None
            file[name].attrs.update({"encoding-type": "null", "encoding-version": "0.1.0"})
    with cellasso.open(path) as dataset:
        assert dataset.matrices == ()
        for which, mask in MASKS.items():
            assert write(dataset, mask, target.with_stem(which)) == []
            oracle.assert_same(oracle.read(target.with_stem(which)), oracle.subset(path, mask), which)


def test_the_order_of_members_and_attributes_that_a_file_keeps_is_kept(plain, tmp_path):
    path, target = copy_of(plain.path, tmp_path / "ordered.h5ad", track_order=True), tmp_path / "export.h5ad"
    with cellasso.open(path) as dataset:
        write(dataset, MASKS["random"], target)
    with h5py.File(path) as source, h5py.File(target) as written:
        for group in ("obsm", "layers"):
            assert list(written[group]) == list(source[group])
        for group in ("obs", "X", "uns"):
            assert list(written[group].attrs) == list(source[group].attrs)


def test_a_frame_of_more_columns_than_an_old_group_header_holds_is_exported(tmp_path):
    """Above 4,095 columns anndata keeps their order in an attribute of HDF5's newer format."""
    path, target = tmp_path / "wide.h5ad", tmp_path / "export.h5ad"
    columns = [f"column{i}" for i in range(4_100)]
    ad.AnnData(obs=pd.DataFrame(index=[f"c{i}" for i in range(12)])).write_h5ad(path)
    with h5py.File(path, "r+") as file:
        attributes = dict(file["obs"].attrs)
        file.move("obs/_index", "index")
        del file["obs"]
        obs = file.create_group("obs", track_order=True)
        obs.attrs.update(attributes)
        obs.attrs["column-order"] = columns
        file.move("index", "obs/_index")
        for i, column in enumerate(columns):
            obs[column] = np.arange(12) + i
    mask = masks(12)["random"]
    with cellasso.open(path) as dataset:
        assert write(dataset, mask, target) == []
    with h5py.File(target) as written:
        assert list(written["obs"].attrs["column-order"]) == columns
        for i, column in enumerate(columns):
            assert written["obs"][column][...].tolist() == (np.flatnonzero(mask) + i).tolist()


# -- text of fixed length -----------------------------------------------------------------------------------

PADDINGS = {"terminated": h5t.STR_NULLTERM, "zeros": h5t.STR_NULLPAD, "spaces": h5t.STR_SPACEPAD}


def fixed(size: int, padding: int) -> h5t.TypeStringID:
    kind = h5t.C_S1.copy()
    kind.set_size(size)
    kind.set_strpad(padding)
    kind.set_cset(h5t.CSET_UTF8)
    return kind


def in_bytes(texts: list[str], *, room: int = 0) -> np.ndarray:
    """Return texts as bytes, of which the longest fill all that is theirs."""
    raw = [text.encode() for text in texts]
    return np.array(raw, dtype=f"V{max(map(len, raw)) + room}")


def put_texts(file: h5py.File, path: str, texts: list[str], padding: int) -> None:
    attributes = dict(oracle.texts_of(file[path]).attrs)
    del file[path]
    parent, _, name = path.rpartition("/")
    values = in_bytes(texts)
    kind = fixed(values.itemsize, padding)
    made = h5d.create(file[parent].id, name.encode(), kind, h5s.create_simple(values.shape))
    made.write(h5s.ALL, h5s.ALL, values, kind)
    file[path].attrs.update(attributes)


def put_attribute(node: h5py.Group | h5py.Dataset, name: str, texts: list[str] | str, padding: int) -> None:
    if name in node.attrs:
        del node.attrs[name]
    values = in_bytes([texts] if isinstance(texts, str) else texts)
    kind = fixed(values.itemsize, padding)
    space = h5s.create(h5s.SCALAR) if isinstance(texts, str) else h5s.create_simple(values.shape)
    made = h5a.create(node.id, name.encode(), kind, space)
    made.write(values if isinstance(texts, list) else values.reshape(()), kind)


def stored_bytes(stored: h5d.DatasetID | h5a.AttrID) -> list[bytes]:
    """Return texts of fixed length as they stand in the file: nothing is converted."""
    kind = stored.get_type()
    values = np.empty(stored.shape, dtype=f"V{kind.get_size()}")
    if isinstance(stored, h5a.AttrID):
        stored.read(values, kind)
    else:
        stored.read(h5s.ALL, h5s.ALL, values, kind)
    return [bytes(each) for each in values.ravel()]


COLORS = ["#ff0000", "#00ff00", "#0000ff"]
GROUPS = ["alpha", "gamma", "delta"]


@pytest.fixture(params=list(PADDINGS))
def of_fixed_texts(request, tmp_path) -> Path:
    """Return a file whose texts all have their last byte in use."""
    padding = PADDINGS[request.param]
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 3, N_OBS)
    codes[:3] = [0, 1, 2]
    obs = pd.DataFrame(
        {"grp": pd.Categorical.from_codes(codes, GROUPS), "tag": [f"t{i:04}" for i in range(N_OBS)]},
        index=[f"cell{i:03}" for i in range(N_OBS)],
    )
    adata = ad.AnnData(
        sparse.csr_matrix(rng.poisson(0.3, (N_OBS, N_VARS)).astype("f4")),
        obs=obs,
        uns={"grp_colors": COLORS, "note": "as written"},
    )
    path = tmp_path / "fixed.h5ad"
    adata.write_h5ad(path)
    with h5py.File(path, "r+") as file:
        put_texts(file, "obs/_index", list(obs.index), padding)
        put_texts(file, "obs/tag", obs["tag"].tolist(), padding)
        put_texts(file, "obs/grp/categories", GROUPS, padding)
        put_texts(file, "uns/grp_colors", COLORS, padding)
        for node in (file, file["obs"], file["obs/grp"], file["X"]):
            put_attribute(node, "encoding-type", str(node.attrs["encoding-type"]), padding)
        put_attribute(file["obs"], "_index", "_index", padding)
        put_attribute(file["obs"], "column-order", ["grp", "tag"], padding)
    return path


def test_text_that_fills_its_last_byte_is_read_whole(of_fixed_texts):
    with cellasso.open(of_fixed_texts) as dataset:
        assert list(dataset.obs) == ["grp", "tag"]
        assert dataset.obs_names[-1] == f"cell{N_OBS - 1:03}"
        assert dataset.read_obs("tag")[7] == "t0007"
        assert list(dataset.read_obs("grp").cat.categories) == GROUPS


@pytest.mark.parametrize("which", list(MASKS))
def test_text_that_fills_its_last_byte_is_exported_byte_by_byte(of_fixed_texts, which, tmp_path):
    mask, target = MASKS[which], tmp_path / "export.h5ad"
    with cellasso.open(of_fixed_texts) as dataset:
        assert write(dataset, mask, target) == []
        codes = dataset.read_obs("grp").cat.codes.to_numpy()[mask]
    used = sorted(set(codes.tolist()))
    with h5py.File(of_fixed_texts) as source, h5py.File(target) as written:
        for name in ("obs/_index", "obs/tag"):
            expected = stored_bytes(source[name].id)
            assert stored_bytes(written[name].id) == [each for each, is_in in zip(expected, mask, strict=True) if is_in]
        assert stored_bytes(written["obs/grp/categories"].id) == [GROUPS[code].encode() for code in used]
        assert stored_bytes(written["uns/grp_colors"].id) == [COLORS[code].encode() for code in used]
        for path, name in (
            ("/", "encoding-type"),
            ("obs", "encoding-type"),
            ("obs", "column-order"),
            ("X", "encoding-type"),
        ):
            same = [file[path].attrs.get_id(name) for file in (source, written)]
            assert stored_bytes(same[1]) == stored_bytes(same[0])
            assert same[1].get_type().equal(same[0].get_type())


def test_records_of_such_text_are_exported_byte_by_byte(plain, tmp_path):
    """A compound dataset, as scanpy keeps its ranked genes."""
    path, target = tmp_path / "records.h5ad", tmp_path / "export.h5ad"
    path.write_bytes(plain.path.read_bytes())
    kind = h5t.create(h5t.COMPOUND, 9)
    kind.insert(b"gene", 0, fixed(5, h5t.STR_NULLTERM))
    kind.insert(b"score", 5, h5t.IEEE_F32LE)
    values = np.array([b"CD4AB\x00\x00\x80\x3f", b"CD8AB\x00\x00\x00\x40"], dtype="V9")
    with h5py.File(path, "r+") as file:
        made = h5d.create(file["uns"].id, b"ranked", kind, h5s.create_simple((2,)))
        made.write(h5s.ALL, h5s.ALL, values, kind)
    with cellasso.open(path) as dataset:
        assert write(dataset, MASKS["random"], target) == []
    with h5py.File(target) as written:
        assert stored_bytes(written["uns/ranked"].id) == [bytes(each) for each in values]
