"""The independent answer to what is read and what an export must hold: anndata and mudata, element by element."""

from __future__ import annotations

import shutil
import warnings
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pandas as pd
from scipy import sparse

from cellasso.core.errors import ElementError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cellasso.dataset import Dataset
    from cellasso.model.modality import Modality

ALIGNED = ("layers", "obsm", "varm", "obsp", "varp")


def read(path: Path) -> Any:
    """Read a whole file with anndata or mudata, whose remarks on old files are none of ours."""
    import anndata as ad
    import mudata as md

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return md.read_h5mu(path) if path.suffix == ".h5mu" else ad.read_h5ad(path)


def subset(path: Path, mask: np.ndarray) -> Any:
    """Return the selected cells as anndata or mudata makes them; a file is read once."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return read_once(path)[mask].copy()


def read_once(path: Path) -> Any:
    """Read a whole file, or return what was read from it before."""
    return _read_once(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=40)
def _read_once(path: Path, mtime_ns: int) -> Any:
    return read(path)


# -- what is read -------------------------------------------------------------------------------------


def put_right(path: Path, folder: Path) -> Path:
    """Return a file that anndata or mudata can read: the same, or a copy in which what has one meaning is put right."""
    copy = Path(shutil.copy2(path, folder))
    with h5py.File(copy, "r+") as file:
        if file.attrs.get("encoding-type") == "AnnData":
            file.attrs["encoding-type"] = "anndata"
        for mask in [node for node in _nodes(file) if node.name.endswith("/mask") and node.dtype != bool]:
            values, parent = mask[...].astype(bool), mask.parent
            del parent["mask"]
            parent["mask"] = values
        for mapping in (file[name] for name in ("layers", "obsm") if name in file):
            groups = [name for name in mapping if isinstance(mapping[name], h5py.Group)]
            for name in [name for name in groups if mapping[name].attrs.get("encoding-type", "dict") == "dict"]:
                for inner in list(mapping[name]):
                    mapping.move(f"{name}/{inner}", f"{name}_{inner}")
                del mapping[name]
        for modality in file.get("obsmap", ()):
            _call_as_in_root(file, modality)
    return copy


def _call_as_in_root(file: h5py.File, modality: str) -> None:
    """Give the cells of a modality the names that they have in the obs of the MuData; their own become a column."""
    obs, at = file[f"mod/{modality}/obs"], file[f"obsmap/{modality}"][...].ravel()
    names = np.empty(int((at > 0).sum()), dtype=object)
    names[at[at > 0] - 1] = file["obs/_index"][...][at > 0]
    obs.move("_index", "own_names")
    obs["_index"] = names
    obs.attrs["column-order"] = np.array(["own_names"], dtype=h5py.string_dtype())


def _nodes(file: h5py.File) -> list[h5py.Dataset]:
    found: list[h5py.Dataset] = []
    file.visititems(lambda _, node: found.append(node) if isinstance(node, h5py.Dataset) else None)
    return found


def parts(opened: Dataset, expected: Any) -> Iterator[tuple[Modality, Any]]:
    """Pair the file and each modality with the oracle's."""
    yield opened, expected
    for name, modality in getattr(expected, "mod", {}).items():
        yield opened[name], modality


def assert_obs_read(ours: Modality, theirs: Any) -> None:
    """Compare the names of cells and every column of obs."""
    assert ours.n_obs == theirs.n_obs
    np.testing.assert_array_equal(ours.obs_names, theirs.obs_names.astype(str))
    for column in theirs.obs:
        found, right = ours.read_obs(column), theirs.obs[column].reset_index(drop=True)
        found, right = _with_plain_nothing(found), _with_plain_nothing(right)
        if isinstance(right.dtype, pd.StringDtype) and isinstance(found.dtype, pd.StringDtype):
            right = right.astype(found.dtype)  # mudata, which joins columns, may have another dtype for texts
        pd.testing.assert_series_equal(found, right, check_names=False, check_exact=True)


def assert_features_read(ours: Modality, theirs: Any) -> None:
    """Compare the first, the middle and the last feature of each matrix."""
    for layer in ours.matrices if not hasattr(theirs, "mod") else ():
        names = ours.features(layer).names
        right = _matrix_of(theirs, layer)
        for position in {0, len(names) // 2, len(names) - 1} if len(names) else ():
            found = ours.read_feature(str(names[position]), layer)
            np.testing.assert_array_equal(found, _array(right[:, [position]]).ravel(), strict=True)


def assert_embeddings_read(ours: Modality, theirs: Any) -> None:
    """Compare all that can be drawn."""
    for key in [key for key in ours.embeddings if key in theirs.obsm]:
        right = _array(theirs.obsm[key])
        try:
            found = ours.read_embedding(key)
        except ElementError:
            assert right.dtype.kind not in "biuf" or np.shape(theirs.obsm[key]) != right.shape, key
            continue
        np.testing.assert_array_equal(found, right[:, :2].astype(np.float32), strict=True)


def _matrix_of(adata: Any, layer: str) -> Any:
    if layer == "raw":
        return adata.raw.X
    return adata.X if layer == "X" else adata.layers[layer.removeprefix("layers/").replace("/", "_")]


def _array(values: Any) -> np.ndarray:
    if isinstance(values, pd.DataFrame):
        numbers = values.select_dtypes(["number", "bool"])
        values = numbers.to_numpy(np.float32, na_value=np.nan) if len(numbers.columns) else values
    return values.toarray() if sparse.issparse(values) else np.asarray(values)


# -- what is exported ---------------------------------------------------------------------------------


def assert_same(found: Any, expected: Any, place: str = "") -> None:
    """Compare two AnnData or MuData: values, dtypes, order, sparse format, categories and their order."""
    if hasattr(expected, "mod"):
        assert list(found.mod) == list(expected.mod), place
        for name, modality in expected.mod.items():
            assert_same(found.mod[name], modality, f"{place}/mod/{name}")
        assert_mappings_same(found.obsmap, expected.obsmap, f"{place}/obsmap")
        assert_mappings_same(found.varmap, expected.varmap, f"{place}/varmap")
    else:
        assert_elements_same(found.X, expected.X, f"{place}/X")
        assert (found.raw is None) == (expected.raw is None), f"{place}/raw"
        if expected.raw is not None:
            assert_elements_same(found.raw.X, expected.raw.X, f"{place}/raw/X")
            assert_elements_same(found.raw.var, expected.raw.var, f"{place}/raw/var")
            assert_mappings_same(found.raw.varm, expected.raw.varm, f"{place}/raw/varm")
    assert_elements_same(found.obs, expected.obs, f"{place}/obs")
    assert_elements_same(found.var, expected.var, f"{place}/var")
    for part in ALIGNED:
        if getattr(expected, part, None) is not None:
            assert_mappings_same(getattr(found, part), getattr(expected, part), f"{place}/{part}")
    assert_mappings_same(found.uns, expected.uns, f"{place}/uns")


def assert_mappings_same(found: Mapping[str, Any], expected: Mapping[str, Any], place: str) -> None:
    """Compare what is under each name; where the export comes from (`uns["cellasso"]`) is its own."""
    own = {"cellasso"} if place.endswith("/uns") and "/mod/" not in place else set()
    assert set(found) - own == set(expected) - own, place
    for name in set(expected) - own:
        assert_elements_same(found[name], expected[name], f"{place}/{name}")


def assert_elements_same(found: Any, expected: Any, place: str) -> None:
    """Compare one element with another of any kind."""
    if isinstance(expected, pd.DataFrame):
        found, expected = _with_plain_nothings(found), _with_plain_nothings(expected)
        pd.testing.assert_frame_equal(found, expected, check_exact=True, check_categorical=True, obj=place)
    elif hasattr(expected, "items"):
        assert_mappings_same(found, expected, place)
    elif sparse.issparse(expected):
        assert (found.format, found.dtype, found.shape) == (expected.format, expected.dtype, expected.shape), place
        found, expected = (matrix.copy() for matrix in (found, expected))
        found.sort_indices()
        expected.sort_indices()
        for part in ("indptr", "indices", "data"):
            np.testing.assert_array_equal(getattr(found, part), getattr(expected, part), err_msg=f"{place}/{part}")
    elif hasattr(expected, "to_list") and type(expected).__module__.startswith("awkward"):
        assert found.to_list() == expected.to_list(), place
    elif isinstance(expected, pd.api.extensions.ExtensionArray):
        pd.testing.assert_extension_array_equal(found, expected, obj=place)
    else:
        found, expected = (_text(np.asarray(values)) for values in (found, expected))
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape), place
        for field in expected.dtype.names or ():
            assert_elements_same(found[field], expected[field], f"{place}/{field}")
        if expected.dtype.names:  # NumPy takes the NaN of a record for another NaN
            return
        np.testing.assert_array_equal(found, expected, err_msg=place)


def _with_plain_nothings(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame whose names, and whose empty lists of texts, are objects.

    pandas 3 has a dtype for texts, and takes it from the values; anndata reads a list without any as objects, also
    one that itself has written as texts, and mudata joins names of both kinds.
    """
    frame = frame.set_axis(frame.index.astype(object))
    for name, column in frame.items():
        frame[name] = _with_plain_nothing(column)
    return frame


def _with_plain_nothing(column: pd.Series) -> pd.Series:
    if isinstance(column.dtype, pd.CategoricalDtype) and not len(column.cat.categories):
        nothing = pd.Categorical.from_codes(column.cat.codes, pd.Index([], dtype=object), column.cat.ordered)
        return pd.Series(nothing, index=column.index, name=column.name)
    return column.astype(object) if not len(column) and isinstance(column.dtype, pd.StringDtype) else column


def texts_of(node: h5py.Group | h5py.Dataset) -> h5py.Dataset:
    """Return the texts of an element as stored: with pandas 3, anndata writes them beside a mask of missing ones."""
    return node["values"] if isinstance(node, h5py.Group) else node


def _text(values: np.ndarray) -> np.ndarray:
    # anndata reads strings as `U` or as objects, depending on how an old file stored them
    return values.astype(object) if values.dtype.kind == "U" else values


def storage(path: Path) -> dict[str, tuple[Any, ...]]:
    """Return dtype, filters and encoding of each dataset and group by path: what a copy must not change."""
    kept: dict[str, tuple[Any, ...]] = {}

    def visit(name: str, node: h5py.Group | h5py.Dataset) -> None:
        encoding = (node.attrs.get("encoding-type"), node.attrs.get("encoding-version"))
        if isinstance(node, h5py.Dataset):
            kept[name] = (*encoding, node.dtype, node.compression, node.compression_opts, node.shuffle)
        else:
            kept[name] = encoding

    with h5py.File(path) as file:
        file.visititems(visit)
    return kept


def tree(path: Path) -> dict[str, tuple[Any, ...]]:
    """Return attributes, dtype and shape of each dataset and group by path, but for what an export adds.

    Of ragged arrays only the encoding: awkward chooses among several forms for the same values. Texts of which none
    is missing are the same with a mask and without: what anndata takes depends on what it has read them from.
    """
    found: dict[str, tuple[Any, ...]] = {}
    apart: list[str] = []

    def visit(name: str, node: h5py.Group | h5py.Dataset) -> None:
        if name.startswith(("uns/cellasso", *apart)):
            return
        attributes = {key: np.asarray(value).tolist() for key, value in node.attrs.items()}
        if attributes.get("encoding-type") == "awkward-array":
            apart.append(f"{name}/")
            del attributes["form"]
        if attributes.get("encoding-type") == "nullable-string-array" and not node["mask"][...].any():
            apart.append(f"{name}/")
            attributes, node = {"encoding-type": "string-array", "encoding-version": "0.2.0"}, node["values"]
        found[name] = (attributes, node.dtype, node.shape) if isinstance(node, h5py.Dataset) else (attributes,)

    with h5py.File(path) as file:
        visit("", file)
        file.visititems(visit)
    return found
