"""Hundreds of small files from seeds: what anndata and mudata write today, and what older and other writers did.

A seed decides sizes, storage, dtypes, filters and which elements there are. `LAYOUTS` rewrite what anndata
wrote into the layouts of earlier versions and of other tools.
"""

from __future__ import annotations

import string
import warnings
from typing import TYPE_CHECKING, Any

import anndata as ad
import h5py
import hdf5plugin
import mudata as md
import numpy as np
import pandas as pd
from scipy import sparse

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Rng = np.random.Generator

SPARSE_DTYPES = ("f4", "f8", "i1", "u2", "i4", "i8", "?")
DENSE_DTYPES = ("f2", *SPARSE_DTYPES)
ALPHABET = [*string.ascii_lowercase, "µ", "é", "細", "🧬", " ", "'", "<b>"]
FILTERS: list[dict[str, Any]] = [
    {},
    {"compression": "gzip"},
    {"compression": "lzf", "shuffle": True},
    dict(hdf5plugin.Blosc(cname="zstd", clevel=5)),  # SnapATAC2
    dict(hdf5plugin.Zstd()),
    dict(hdf5plugin.LZ4()),
    {"compression": "gzip", "fletcher32": True},
]


def is_likely(rng: Rng, share: float = 0.5) -> bool:
    """Toss a coin."""
    return bool(rng.random() < share)


# -- parts --------------------------------------------------------------------------------------------


def make_names(rng: Rng, n: int, letter: str, *, unique: bool = False) -> pd.Index:
    """Return names, now and then with other letters, as numbers, or repeated."""
    style = rng.choice(["plain", "plain", "unicode", "numbers", "repeated"])
    names = [f"{letter}{i}" for i in range(n)]
    if style == "unicode":
        names = [f"{rng.choice(ALPHABET)}{name}" for name in names]
    elif style == "numbers" and not unique:
        names = [str(i) for i in rng.permutation(n)]
    elif style == "repeated" and not unique:
        names = [names[i // 2] for i in range(n)]
    return pd.Index(names, dtype=object, name="barcode" if is_likely(rng, 0.2) else None)


def make_matrix(rng: Rng, shape: tuple[int, int], storage: str | None = None) -> Any:
    """Return a dense, CSR or CSC matrix of any dtype, sparse ones now and then as an array of SciPy's new kind."""
    storage = storage or str(rng.choice(["dense", "csr", "csc"]))
    dtype = str(rng.choice(DENSE_DTYPES if storage == "dense" else SPARSE_DTYPES))
    values = np.where(rng.random(shape) < 0.4, rng.integers(1, 9, shape), 0).astype(dtype)
    if dtype[0] == "f" and values.size and is_likely(rng, 0.3):
        values.flat[0] = np.nan
    if storage == "dense":
        return values
    kinds = [getattr(sparse, f"{storage}_{kind}") for kind in ("matrix", "array")]
    return kinds[int(is_likely(rng, 0.3))](values)


def make_columns(rng: Rng, n: int) -> dict[str, Any]:
    """Return one column of each kind."""
    missing = rng.random(n) < 0.3
    words = np.array([f"{rng.choice(ALPHABET)}{i % 4}" for i in range(n)], dtype=object)
    return {
        "category": pd.Categorical(rng.choice(["b", "a", "c"], n), categories=["z", "c", "b", "a"]),
        "ordered": pd.Categorical(rng.choice(["lo", "hi"], n), categories=["lo", "mid", "hi"], ordered=True),
        "gaps": pd.Categorical(np.where(missing, None, "only"), categories=["only"]),
        "all missing": pd.Categorical([None] * n, categories=["x", "y"]),
        "no categories": pd.Categorical([None] * n, categories=np.array([], dtype=object)),
        "numbered": pd.Categorical(rng.choice([3, 1], n), categories=[3, 2, 1]),
        "true or false": pd.Categorical(rng.choice([True, False], n), categories=[True, False]),
        "f2": rng.random(n).astype("f2"),
        "f4": np.where(missing, np.nan, rng.random(n)).astype("f4"),
        "f8": np.where(missing, -0.0, rng.random(n)),
        "i1": rng.integers(-128, 127, n).astype("i1"),
        "u8": np.full(n, 2**64 - 1, dtype="u8"),
        "flag": rng.random(n) < 0.5,
        "words": words,  # they repeat, and stay strings
        "maybe int": pd.array(np.where(missing, None, 2), dtype="Int32"),
        "maybe uint": pd.array(np.where(missing, None, 2), dtype="UInt8"),
        "maybe bool": pd.array(np.where(missing, None, False), dtype="boolean"),
        "maybe words": pd.array(np.where(missing, None, words), dtype="string"),
    }


def make_frame(rng: Rng, index: pd.Index, *, share: float = 0.25) -> pd.DataFrame:
    """Return a data frame with some of the columns."""
    columns = {name: values for name, values in make_columns(rng, len(index)).items() if is_likely(rng, share)}
    return pd.DataFrame(columns, index=index)


def make_ragged(rng: Rng, n: int) -> Any:
    """Return an awkward array of `n` lists: of numbers, of texts, or of records as scirpy has them."""
    import awkward as ak

    lengths = rng.integers(0, 4, n)
    kind = rng.choice(["numbers", "texts", "records"])
    made: Callable[[int], Any] = {
        "numbers": lambda i: i,
        "texts": lambda i: f"µ{i}" if i % 3 else None,
        "records": lambda i: {"locus": "TRA" * (i % 2), "n": i if i % 2 else None},
    }[str(kind)]
    lists = ak.Array([[made(i) for i in range(4)], *([made(i) for i in range(length)] for length in lengths)])
    return lists[1:]  # typed also where there is none


def make_uns(rng: Rng) -> dict[str, Any]:
    """Return what lies around in uns."""
    kinds = [("name", "U4"), ("score", "f4"), ("rank", "i8")]
    everything: dict[str, Any] = {
        "records": np.array([("g1", 0.5, 1), ("g2", np.nan, -1)], dtype=kinds),
        "objects": np.array([("µ", 1.5), ("", 2)], dtype=[("name", "O"), ("score", "f8")]),
        "params": {"method": "umap", "k": 15, "empty": {}, "flag": True, "x": 0.5},
        "nothing": None,
        "texts": np.array(["ä", "b", ""], dtype=object),
        "one text": np.array(["alone"], dtype=object),
        "cube": rng.random((2, 3, 1)),
        "none of them": np.zeros((0, 3)),
        "table": make_frame(rng, make_names(rng, 3, "r", unique=True), share=0.1),
        "graph": sparse.random(3, 3, 0.5, format="csr", random_state=rng),
        "category_colors": np.array(["#00000a", "#00000b", "#00000c", "#00000d"], dtype=object),
        "ordered_colors": np.array(["#1", "#2"], dtype=object),
        "cellasso": {"mine": 1},
        "ragged": make_ragged(rng, 3),
    }
    return {name: value for name, value in everything.items() if is_likely(rng, 0.15)}


def make_adata(rng: Rng, n_obs: int, n_vars: int, *, prefix: str = "", obs_names: pd.Index | None = None) -> Any:
    """Return an AnnData of which a seed decided everything else; with a `prefix`, no other has its features' names."""
    obs_names = make_names(rng, n_obs, "c") if obs_names is None else obs_names
    var_names = make_names(rng, n_vars, f"{prefix}g", unique=bool(prefix))
    x = make_matrix(rng, (n_obs, n_vars)) if is_likely(rng, 0.8) else None
    adata = ad.AnnData(x, obs=make_frame(rng, obs_names), var=make_frame(rng, var_names, share=0.1))
    if is_likely(rng, 0.3):  # raw has more genes
        raw_names = make_names(rng, n_vars + 3, f"{prefix}g", unique=bool(prefix))
        raw = ad.AnnData(
            make_matrix(rng, (n_obs, n_vars + 3)), obs=adata.obs[[]], var=make_frame(rng, raw_names, share=0.1)
        )
        raw.varm["PCs"] = rng.random((n_vars + 3, 2))
        adata.raw = raw
    for layer in ("counts", "X", "näme"):
        if is_likely(rng, 0.3):
            adata.layers[layer] = make_matrix(rng, (n_obs, n_vars))
    for axis, n, index in (("obs", n_obs, adata.obs_names), ("var", n_vars, adata.var_names)):
        aligned = {
            "array": lambda n=n: make_matrix(rng, (n, 3), "dense"),
            "sparse": lambda n=n: make_matrix(rng, (n, 4)),
            "cube": lambda n=n: rng.random((n, 2, 3)),
            "no columns": lambda n=n: np.zeros((n, 0)),
            "frame": lambda index=index: make_frame(rng, index, share=0.15),
            "ragged": lambda n=n: make_ragged(rng, n),
        }
        for name, make in aligned.items():
            if is_likely(rng, 0.15):
                getattr(adata, f"{axis}m")[name] = make()
        for storage in ("dense", "csr", "csc"):
            if is_likely(rng, 0.15):
                getattr(adata, f"{axis}p")[storage] = make_matrix(rng, (n, n), storage)
    if is_likely(rng, 0.8):
        adata.obsm["X_umap"] = rng.normal(size=(n_obs, 2)).astype("f4")
    adata.uns = make_uns(rng)
    return adata


def sizes(rng: Rng) -> tuple[int, int]:
    """Return numbers of cells and of features, either of which may be 0."""
    n_obs, n_vars = (
        int(rng.choice([0, 1, 2, top], p=[0.06, 0.06, 0.06, 0.82]))
        for top in (rng.integers(3, 40), rng.integers(3, 14))
    )
    return n_obs, n_vars


# -- files --------------------------------------------------------------------------------------------


def write(element: Any, path: Path) -> None:
    """Write an AnnData or MuData with its strings as they are; what the writers remark is none of ours."""
    with warnings.catch_warnings(), ad.settings.override(allow_write_nullable_strings=True):
        warnings.simplefilter("ignore")
        if isinstance(element, ad.AnnData):
            element.write_h5ad(path, convert_strings_to_categoricals=False)
        else:
            element.write(path)


def make_h5ad(rng: Rng, path: Path) -> None:
    """Write an h5ad as anndata does today."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adata = make_adata(rng, *sizes(rng))
    write(adata, path)


def make_mdata(rng: Rng) -> Any:
    """Return a MuData whose modalities have some of their cells (axis 0), features (axis 1) or both (-1) in common."""
    axis = int(rng.choice([0, 0, 0, 1, -1]))
    names = pd.Index([f"c{i}" for i in range(int(rng.integers(3, 40)))], dtype=object)
    modalities = {}
    for name in ("two", "one", "three")[: int(rng.integers(1, 4))]:
        mine = names
        if axis == 0 and is_likely(rng, 0.7):  # in an order of its own
            mine = pd.Index(rng.permutation(names)[: int(rng.integers(0, len(names) + 1))], dtype=object)
        elif axis == 1:
            mine = pd.Index([f"{name} {cell}" for cell in names], dtype=object)
        modalities[name] = make_adata(rng, len(mine), sizes(rng)[1], prefix="x" if axis else name, obs_names=mine)
    mdata = md.MuData(modalities, axis=axis)
    mdata.obs["joint"] = pd.Categorical(rng.choice(["s", "t"], mdata.n_obs), categories=["t", "unused", "s"])
    mdata.obs["of all"] = rng.random(mdata.n_obs)
    mdata.obsm["X_joint"] = rng.random((mdata.n_obs, 2))
    mdata.obsp["graph"] = sparse.random(mdata.n_obs, mdata.n_obs, 0.1, format="csr", random_state=rng)
    mdata.uns = make_uns(rng)
    return mdata


def make_h5mu(rng: Rng, path: Path) -> None:
    """Write an h5mu as mudata does today."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write(make_mdata(rng), path)


# -- other writers ------------------------------------------------------------------------------------


def below(group: h5py.Group) -> list[h5py.Group | h5py.Dataset]:
    """Return everything below a group, the deepest first, so that each may be replaced."""
    found: list[h5py.Group | h5py.Dataset] = []
    group.visititems(lambda _, node: found.append(node))
    return found[::-1]


def kind_of(node: h5py.Group | h5py.Dataset) -> str:
    """Return the encoding that today's writers state."""
    return str(node.attrs.get("encoding-type", ""))


def replace(node: h5py.Dataset, values: Any, **options: Any) -> h5py.Dataset:
    """Store other values in a dataset's place, with its attributes."""
    parent, name, attributes = node.parent, node.name, dict(node.attrs)
    del parent[name]
    made = parent.create_dataset(name, data=values, **options)
    made.attrs.update(attributes)
    return made


def drop(file: h5py.File, *kinds: str) -> None:
    """Remove the elements of some encodings, columns also from the order of their frame."""
    for node in below(file):
        if node and kind_of(node).startswith(kinds):
            parent, name = node.parent, node.name.rpartition("/")[2]
            del parent[name]
            if "column-order" in parent.attrs:
                order = [column for column in parent.attrs["column-order"] if column != name]
                parent.attrs["column-order"] = np.array(order, dtype=h5py.string_dtype())


def without_x(file: h5py.File, rng: Rng) -> None:
    """Leave X out, where today's anndata writes that there is none (SnapATAC2, anndata before 0.12)."""
    if "X" in file and kind_of(file["X"]) == "null":
        del file["X"]


def with_plain_texts(file: h5py.File) -> None:
    """Write texts as all did before pandas 3: those that miss none as a dataset, without a mask beside it."""
    for node in below(file):
        if kind_of(node) == "nullable-string-array" and not node["mask"][...].any():
            parent, name, texts = node.parent, node.name.rpartition("/")[2], node["values"][...]
            del parent[name]
            written = parent.create_dataset(name, data=texts, dtype=h5py.string_dtype())
            written.attrs.update({"encoding-type": "string-array", "encoding-version": "0.2.0"})


def filtered(file: h5py.File, rng: Rng) -> None:
    """Store arrays in chunks under the filters of other writers, and sparse indices in 64 bits."""
    without_x(file, rng)
    for node in below(file):
        if isinstance(node, h5py.Dataset) and node.size and node.ndim and node.dtype.kind in "biuf":
            values = node[...]
            if node.name.endswith(("/indices", "/indptr")):
                values = values.astype("i8")
            chunks = tuple(int(rng.integers(1, n + 1)) for n in node.shape)
            replace(node, values, chunks=chunks, **FILTERS[rng.integers(len(FILTERS))])


def by_r(file: h5py.File, rng: Rng) -> None:
    """Write as R's packages do: text of fixed length, wide codes, few encodings, nullable masks as small integers."""
    without_x(file, rng)
    with_plain_texts(file)
    drop(file, "null")
    for node in below(file):
        if isinstance(node, h5py.Dataset) and node.ndim == 1 and h5py.check_string_dtype(node.dtype):
            texts = [text.encode() for text in node.asstr()[...]]
            width = max([1, *map(len, texts)])
            replace(node, np.array(texts, dtype=h5py.string_dtype("utf-8", width)))
        elif isinstance(node, h5py.Dataset) and node.name.endswith("/codes"):
            replace(node, node[...].astype("i4"))
    for node in below(file):
        if kind_of(node) in {"array", "string-array", "dict"}:
            del node.attrs["encoding-type"], node.attrs["encoding-version"]
        if "_index" in node.attrs:
            node.attrs["_index"] = np.bytes_(node.attrs["_index"].encode())


def as_07(file: h5py.File, rng: Rng) -> None:
    """Write as anndata 0.7 did: codes that refer to `__categories`, few encodings, nothing nullable."""
    without_x(file, rng)
    with_plain_texts(file)
    drop(file, "nullable", "null", "awkward")
    for node in below(file):
        if kind_of(node) == "categorical":
            frame, column = node.parent, node.name.rpartition("/")[2]
            codes, categories, ordered = node["codes"][...], node["categories"][...], node.attrs["ordered"]
            del frame[column]
            stored = frame.require_group("__categories").create_dataset(column, data=categories)
            if ordered:
                stored.attrs["ordered"] = True
            frame.create_dataset(column, data=codes).attrs["categories"] = stored.ref
    for node in [*below(file), file]:
        if kind_of(node) == "dataframe":
            node.attrs["encoding-version"] = "0.1.0"
        elif kind_of(node) not in {"csr_matrix", "csc_matrix", "raw"}:
            for attribute in ("encoding-type", "encoding-version"):
                node.attrs.pop(attribute, None)


def as_06(file: h5py.File, rng: Rng) -> None:
    """Write as anndata 0.6 did: compound frames, categories in uns, `h5sparse_format`, `raw.X`."""
    as_07(file, rng)
    for name in ("obs", "var"):
        _compound(file, name, file["uns"], prefix="" if name == "obs" else "v ")
    for name in ("obsm", "varm"):
        _compound_arrays(file, name)
    for name in ("obsp", "varp"):
        del file[name]
    if "raw" in file:
        _compound(file["raw"], "var", file["uns"], prefix="raw ")
        _compound_arrays(file["raw"], "varm")
        for part in list(file["raw"]):
            file.move(f"raw/{part}", f"raw.{part}")
        del file["raw"]
    for node in below(file["uns"]):
        if node and kind_of(node) == "dataframe":
            del node.parent[node.name]
    for node in below(file):
        if kind_of(node) in {"csr_matrix", "csc_matrix"}:
            node.attrs["h5sparse_format"], node.attrs["h5sparse_shape"] = kind_of(node)[:3], node.attrs["shape"]
            for attribute in ("encoding-type", "encoding-version", "shape"):
                del node.attrs[attribute]


def _compound(parent: h5py.Group, name: str, uns: h5py.Group, *, prefix: str) -> None:
    frame = parent[name]
    index = frame.attrs["_index"]
    fields = {"index": np.array([text.encode("ascii", "replace") for text in frame[index].asstr()[...]], dtype="S")}
    for column in frame.attrs["column-order"]:
        node = frame[column]
        if "categories" in node.attrs:
            categories = frame.file[node.attrs["categories"]]
            texts = np.array(
                [str(c).encode() for c in (categories.asstr() if categories.dtype.kind == "O" else categories)[...]],
                dtype="S",
            )
            if not len(texts):
                continue
            uns[f"{prefix}{column}_categories"] = texts
            fields[prefix + column] = node[...]
        elif node.dtype.kind in "iuf":
            fields[prefix + column] = node[...]
        elif node.dtype.kind == "O":
            fields[prefix + column] = np.array(
                [text.encode("ascii", "replace") for text in node.asstr()[...]], dtype="S"
            )
    _store_records(parent, name, fields)


def _compound_arrays(parent: h5py.Group, name: str) -> None:
    arrays = {key: node[...] for key, node in parent[name].items() if isinstance(node, h5py.Dataset) and node.ndim == 2}
    _store_records(parent, name, {key: values for key, values in arrays.items() if values.shape[1]})


def _store_records(parent: h5py.Group, name: str, fields: dict[str, Any]) -> None:
    del parent[name]
    if fields:
        kinds = [
            (field, values.dtype.str if values.dtype != "S0" else "S1", values.shape[1:])
            for field, values in fields.items()
        ]
        records = np.zeros(len(next(iter(fields.values()))), dtype=kinds)
        for field, values in fields.items():
            records[field] = values
        parent[name] = records


LAYOUTS: dict[str, Callable[[h5py.File, Rng], None] | None] = {
    "today": None,
    "filtered": filtered,
    "by_r": by_r,
    "as_07": as_07,
    "as_06": as_06,
}


def make(layout: str, seed: int, folder: Path) -> Path:
    """Write the file of a layout and a seed; return where."""
    rng = np.random.default_rng(seed)
    path = folder / f"source.{'h5mu' if layout == 'h5mu' else 'h5ad'}"
    if layout == "h5mu":
        make_h5mu(rng, path)
        return path
    make_h5ad(rng, path)
    change = LAYOUTS[layout]
    if change is not None:
        with h5py.File(path, "r+") as file:
            change(file, rng)
    return path
