"""Small files of every kind that the reading side meets, written once a session by a seeded generator."""

from __future__ import annotations

import shutil
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import h5py
import hdf5plugin
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import cellasso
import oracle
import stepping
from cellasso_app.demo.files import explicit_pulls

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from anndata import AnnData

    from cellasso.dataset import Dataset

N_OBS, N_VARS, N_RAW = 60, 17, 23
STORAGES = {"dense": np.asarray, "csr": sparse.csr_matrix, "csc": sparse.csc_matrix}
FILTERS: dict[str, dict[str, Any]] = {
    "contiguous": {},
    "gzip": {"compression": "gzip"},
    "lzf": {"compression": "lzf"},
    "blosc": dict(hdf5plugin.Blosc(cname="lz4")),
}


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the tests out of the user's cache; as with most users, a folder of indexes is there."""
    cache = tmp_path_factory.mktemp("cache")
    (cache / "cellasso" / "index").mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(cache))
        yield


@pytest.fixture(scope="session", autouse=True)
def _mudata_of_today() -> Iterator[None]:
    """The global obs is what the file says: mudata before 0.4 would pull columns of modalities into it on reading."""
    with explicit_pulls():
        yield


@pytest.fixture(scope="session", autouse=True)
def _logs_of_bokeh() -> None:
    """Let `caplog` hear Bokeh, which keeps its log from the root when nobody listens there while it is imported."""
    import bokeh.util.logconfig

    bokeh.util.logconfig.bokeh_logger.propagate = True


@pytest.fixture
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a session without a server be changed by the test's thread alone, in `stepping.until`."""
    stepping.keep_to_this_thread(monkeypatch)


@dataclass(frozen=True)
class Written:
    """A file, and what anndata or mudata reads from it."""

    path: Path
    oracle: Any


def make_adata(
    storage: str = "csr", *, seed: int = 0, n_obs: int = N_OBS, prefix: str = "", full: bool = True
) -> AnnData:
    """Return an AnnData with every kind of column and element that anndata writes."""
    import anndata as ad

    rng = np.random.default_rng(seed)
    counts = np.where(rng.random((n_obs, N_RAW)) < 0.3, rng.normal(size=(n_obs, N_RAW)), 0).astype(np.float32)
    counts[3:6] = 0  # cells without a stored value
    counts[:, 2] = 0  # a gene without one
    adata = ad.AnnData(
        STORAGES[storage](counts),
        obs=make_obs(rng, n_obs),
        var=pd.DataFrame({"gene_symbols": [f"SYM{i}" for i in range(N_RAW)]}, index=names(f"{prefix}g", N_RAW)),
    )
    if not full:
        return adata
    adata.raw = adata
    adata = adata[:, :N_VARS].copy()
    adata.layers["counts"] = STORAGES[storage](rng.poisson(0.4, (n_obs, N_VARS)).astype(np.int64))
    adata.layers["X"] = STORAGES[storage](rng.random((n_obs, N_VARS)))  # a name that is taken
    adata.obsm["X_umap"] = rng.normal(size=(n_obs, 2)).astype(np.float32)
    adata.obsm["X_umap"][4] = np.nan
    adata.obsm["X_pca"] = rng.normal(size=(n_obs, 5))
    adata.obsm["X_sparse"] = sparse.csr_matrix(np.round(rng.random((n_obs, 4))))
    adata.obsm["frame"] = pd.DataFrame({"b": rng.random(n_obs), "a": np.arange(n_obs)}, index=adata.obs_names)
    adata.obsm["labels"] = pd.DataFrame({"b": ["x"] * n_obs, "a": ["y"] * n_obs}, index=adata.obs_names)
    adata.obsm["cube"] = rng.random((n_obs, 2, 3))
    adata.obsm["one"] = rng.random((n_obs, 1))
    adata.uns["ordered_colors"] = np.array(["#111111", "#222222", "#333333"], dtype=object)
    return adata


def make_obs(rng: np.random.Generator, n: int) -> pd.DataFrame:
    """Return one column of each kind."""
    missing = rng.random(n) < 0.3
    return pd.DataFrame(
        {
            "ordered": pd.Categorical(rng.choice(["lo", "hi"], n), categories=["lo", "unused", "hi"], ordered=True),
            "gaps": pd.Categorical(np.where(missing, None, "a"), categories=["b", "a"]),
            "numbered": pd.Categorical(rng.choice([3, 1], n), categories=[3, 2, 1]),
            "float32": np.where(missing, np.nan, rng.random(n)).astype("f4"),
            "float64": np.where(missing, -0.0, rng.random(n)),
            "int8": rng.integers(-128, 127, n).astype("i1"),
            "uint64": np.full(n, 2**64 - 1, dtype="u8"),
            "bool": rng.random(n) < 0.5,
            "text": [f"µ{i}" if i % 3 else "" for i in range(n)],
            "maybe_int": pd.array(np.where(missing, None, 2), dtype="Int32"),
            "maybe_bool": pd.array(np.where(missing, None, False), dtype="boolean"),
            "maybe_text": pd.array(np.where(missing, None, "s"), dtype="string"),
        },
        index=names("c", n),
    )


def names(prefix: str, n: int) -> list[str]:
    """Return n names."""
    return [f"{prefix}{i}" for i in range(n)]


def write(element: Any, path: Path, **options: Any) -> Path:
    """Write an AnnData or MuData; what the writers remark on old and new forms is none of ours."""
    import anndata as ad

    with warnings.catch_warnings(), ad.settings.override(allow_write_nullable_strings=True):
        warnings.simplefilter("ignore")
        if path.suffix == ".h5ad":
            element.write_h5ad(path, convert_strings_to_categoricals=False, **options)
        else:
            element.write(path, **options)
    return path


@pytest.fixture(scope="session", params=[f"{storage}-{name}" for storage in STORAGES for name in FILTERS])
def h5ad(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Written:
    """An h5ad of each storage and filter."""
    storage, compression = request.param.split("-")
    path = tmp_path_factory.mktemp("h5ad") / f"{request.param}.h5ad"
    if compression == "blosc":  # anndata would compress texts with it too, at which Blosc divides by zero
        _recompress(write(make_adata(storage), path), FILTERS[compression])
    else:
        write(make_adata(storage), path, **FILTERS[compression])
    return Written(path, oracle.read(path))


def _recompress(path: Path, options: dict[str, Any]) -> None:
    with h5py.File(path, "r+") as file:
        numeric: list[str] = []
        file.visititems(
            lambda name, node: (
                numeric.append(name)
                if isinstance(node, h5py.Dataset) and node.ndim and node.dtype.kind != "O"
                else None
            )
        )
        for name in numeric:
            values, attributes = file[name][...], dict(file[name].attrs)
            del file[name]
            file.create_dataset(name, data=values, chunks=values.shape, **options).attrs.update(attributes)


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """One uncompressed CSR h5ad, for the tests that storage does not matter to."""
    path = write(make_adata(), tmp_path_factory.mktemp("plain") / "plain.h5ad")
    return Written(path, oracle.read(path))


@pytest.fixture
def dataset(plain: Written) -> Iterator[Dataset]:
    """The plain file, open."""
    with cellasso.open(plain.path) as opened:
        yield opened


@pytest.fixture
def copied(plain: Written, tmp_path: Path) -> Path:
    """A copy of the plain file that a test may damage."""
    return shutil.copy(plain.path, tmp_path / "copy.h5ad")


@pytest.fixture
def damaged(plain: Written, tmp_path: Path) -> Iterator[Callable[[Callable[[h5py.File], None]], Dataset]]:
    """Open a copy of the plain file after a function has changed it."""
    opened: list[Dataset] = []

    def damage(change: Callable[[h5py.File], None], source: Path = plain.path) -> Dataset:
        path = shutil.copy(source, tmp_path / f"damaged{len(opened)}{source.suffix}")
        with h5py.File(path, "r+") as file:
            change(file)
        opened.append(cellasso.open(path))
        return opened[-1]

    yield damage
    for each in opened:
        each.close()


def make_mdata(axis: int) -> Any:
    """Return a MuData of modalities that overlap in cells (axis 0), or have features in common and no cell (axis 1)."""
    import mudata as md

    if axis == 1:
        other = make_adata("csc", seed=1, n_obs=30)
        other.obs_names = names("d", 30)
        return md.MuData({"one": make_adata("csr"), "two": other}, axis=1)
    rna = make_adata("csr", prefix="r")
    protein = make_adata("dense", seed=1, n_obs=40, prefix="p", full=False)
    protein.obs_names = [f"c{i}" for i in range(79, 39, -1)]  # 20 cells in common, in another order
    same = make_adata("csc", seed=2, n_obs=5, prefix="r", full=False)  # shares the names of its features with rna
    mdata = md.MuData({"rna": rna, "protein": protein, "atac": same})
    mdata.obsm["X_joint"] = np.random.default_rng(3).normal(size=(mdata.n_obs, 3))
    mdata.obs["site"] = pd.Categorical(["s1", "s2"] * (mdata.n_obs // 2))
    return mdata


@pytest.fixture(scope="session", params=[0, 1], ids=["axis0", "axis1"])
def h5mu(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Written:
    """An h5mu whose modalities share cells (axis 0), and one whose modalities share features (axis 1)."""
    return _write_mdata(request.param, tmp_path_factory)


@pytest.fixture(scope="session")
def multimodal(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """An h5mu whose modalities have different cells."""
    return _write_mdata(0, tmp_path_factory)


def _write_mdata(axis: int, tmp_path_factory: pytest.TempPathFactory) -> Written:
    path = tmp_path_factory.mktemp("h5mu") / f"axis{axis}.h5mu"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mdata = make_mdata(axis)
        mdata.pull_obs()
        mdata.pull_var()
        write(mdata, path)
    return Written(path, oracle.read(path))


@pytest.fixture(scope="session")
def compound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The layout of anndata 0.6: obs, var and obsm are compound datasets, categories lie in uns."""
    path = tmp_path_factory.mktemp("legacy") / "compound.h5ad"
    obs = np.zeros(4, dtype=[("index", "S4"), ("leiden", "i1"), ("single", "i1"), ("depth", "f4"), ("note", "S6")])
    obs["index"] = [b"c0", b"c1", b"c2", b"c3"]
    obs["leiden"] = [1, 0, -1, 1]
    obs["depth"] = [0.5, np.nan, -0.0, 3]
    obs["note"] = [b"a", "é".encode(), b"", b"b\xff"]
    var = np.array([(b"g0",), (b"g1",), (b"g2",)], dtype=[("index", "S4")])
    raw_var = np.array([(b"r0",), (b"r1",), (b"r2",), (b"r3",)], dtype=[("index", "S4")])
    obsm = np.zeros(4, dtype=[("X_pca", "f4", (3,)), ("X_umap", "f4", (2,))])
    obsm["X_umap"] = np.arange(8).reshape(4, 2)
    with h5py.File(path, "w") as file:
        file["obs"], file["var"], file["obsm"], file["raw.var"] = obs, var, obsm, raw_var
        file["uns/leiden_categories"] = np.array([b"B", b"A"])
        file["uns/single_categories"] = np.bytes_(b"only")  # a single category was stored as a scalar
        file["uns/leiden_colors"] = np.array([b"#ff0000", b"#00ff00"])
        _write_old_sparse(file, "X", sparse.csr_matrix(np.arange(12, dtype="f4").reshape(4, 3)))
        _write_old_sparse(file, "raw.X", sparse.csc_matrix(np.arange(16, dtype="f4").reshape(4, 4)))
    return path


def _write_old_sparse(file: h5py.File, name: str, matrix: Any) -> None:
    group = file.create_group(name)
    for part in ("data", "indices", "indptr"):
        group[part] = getattr(matrix, part)
    group.attrs["h5sparse_format"] = matrix.format
    group.attrs["h5sparse_shape"] = matrix.shape


@pytest.fixture(scope="session")
def referenced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The layout of anndata 0.7: codes that refer to their categories under `__categories`."""
    path = tmp_path_factory.mktemp("legacy") / "referenced.h5ad"
    with h5py.File(path, "w") as file:
        for frame, n, letter in (("obs", 4, "c"), ("var", 3, "g")):
            group = file.create_group(frame)
            group.attrs["encoding-type"], group.attrs["encoding-version"] = "dataframe", "0.1.0"
            group.attrs["_index"] = "_index"
            group.attrs["column-order"] = np.array([], dtype="S1")
            group["_index"] = names(letter, n)
        obs = file["obs"]
        obs.attrs["column-order"] = np.array([b"leiden", b"grade", b"depth"])
        obs["__categories/leiden"] = ["B", "A"]
        obs["__categories/grade"] = [2.5, 1.5]
        obs["__categories/grade"].attrs["ordered"] = True
        obs["depth"] = np.array([0.5, np.nan, -0.0, 3])
        for column, codes in (("grade", [0, 1, 0, 1]), ("leiden", [1, 0, -1, 1])):
            obs[column] = np.array(codes, dtype="i1")
            obs[column].attrs["categories"] = obs[f"__categories/{column}"].ref
        file["X"] = np.arange(12, dtype="f4").reshape(4, 3)
    return path
