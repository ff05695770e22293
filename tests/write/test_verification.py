"""An export in which one value is another than the source's is never kept."""

from __future__ import annotations

import re
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import cellasso
import oracle
from cellasso.core.errors import ExportError
from cellasso.store import comparable
from cellasso.store.hdf5.handle import Hdf5Store
from cellasso.store.hdf5.side import Hdf5Side
from cellasso.store.plain_side import PlainSide
from cellasso.write import comparison, export, worker
from cellasso.write.verification import verify
from inprocess import masks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from cellasso.store.comparable import Side
    from cellasso.store.hdf5.new_file import Hdf5NewFile
    from cellasso.write.job import Job
    from cellasso.write.verification import Intended

DIFFERS = r"^The export was not kept, because it differs from its source: /.+\.$"


@dataclass
class Reopened:
    """The two files of an export; compared as two of HDF5 are, or by what every store answers alone."""

    source: Path
    target: Path
    known: Any
    by_values: bool

    @contextmanager
    def reopen(self) -> Iterator[tuple[Side, Side]]:
        with Hdf5Store(self.source) as source, Hdf5Store(self.target) as target:
            if self.by_values:
                yield PlainSide(source), PlainSide(target)
            else:
                yield Hdf5Side(source, self.known), Hdf5Side(target, {})


class Made:
    """An export, complete, with what it needs to be compared once more."""

    def __init__(self, source: Path, folder: Path, which: str = "random", *, by_values: bool = False) -> None:
        with cellasso.open(source) as dataset:
            rows = export._rows(dataset, masks(dataset.n_obs)[which])
            self.target = folder / f"export{source.suffix}"
            self.job: Job = export.Job(source, self.target, dataset.handle.fingerprint, rows, {})
        kept: list[tuple[Hdf5NewFile, Intended]] = []

        def keep(job: Job, new: Hdf5NewFile, intended: Intended) -> None:
            kept.append((new, intended))
            verify(job, new, intended)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(worker, "verify", keep)
            worker.write(self.job, lambda _: None)
        new, self.intended = kept[0]
        self.files = Reopened(source, self.target, new.known, by_values)
        self.sound = folder / "sound"
        shutil.copy(self.target, self.sound)

    def is_refused_after(self, change: Callable[[h5py.File], object]) -> str | None:
        """Return the sentence with which the export is refused after a change; `None` when it is not."""
        shutil.copy(self.sound, self.target)
        with h5py.File(self.target, "r+") as file:
            change(file)
        try:
            verify(self.job, self.files, self.intended)
        except ExportError as error:
            return str(error)
        return None


@pytest.fixture(scope="module", params=["h5ad", "h5mu", "h5ad by values"])
def made(request, plain, multimodal, tmp_path_factory) -> Made:
    kind, _, by_values = request.param.partition(" ")
    source = {"h5ad": plain, "h5mu": multimodal}[kind].path
    return Made(source, tmp_path_factory.mktemp("made"), by_values=bool(by_values))


def nodes(path: Path) -> list[str]:
    """Return the path of each element of an export that comes from its source, of a MuData what only it has."""
    found: list[str] = []
    with h5py.File(path) as file:
        file.visit(found.append)
        looked_at = "(obsmap|varmap|mod)(/[^/]*)?" if "mod" in file else "(?!uns/cellasso).*"
    return [name for name in found if re.fullmatch(looked_at, name)]


def other(value: Any) -> Any:
    """Return a value of the same type that is another."""
    if isinstance(value, (bytes, str)):
        return value[:-1] if value else type(value)(b"x" if isinstance(value, bytes) else "x")
    if isinstance(value, (bool, np.bool_)):
        return not value
    if isinstance(value, (int, np.integer)):
        return value ^ type(value)(1)
    return -value if abs(value) > 0 else 1.0


def change_value(path: str, at: int) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        node = file[path]
        values = node[...].reshape(-1) if node.shape else np.array([node[()]], dtype=object)
        new = other(values[at % len(values)])
        if node.shape:
            node[np.unravel_index(at % len(values), node.shape)] = new
        else:
            node[()] = new

    return change


@pytest.mark.more
def test_every_array_is_compared(made):
    kept = []
    with h5py.File(made.sound) as file:
        arrays = [name for name in nodes(made.sound) if isinstance(file[name], h5py.Dataset) and file[name].size]
    assert arrays
    for name in arrays:
        for at in (0, -1):
            sentence = made.is_refused_after(change_value(name, at))
            if sentence is None:
                kept.append((name, at))
            else:
                assert len(sentence) <= 300
    assert kept == []


@pytest.mark.more
def test_every_attribute_is_compared(made):
    kept = []
    for name in ["/", *nodes(made.sound)]:
        with h5py.File(made.sound) as file:
            attributes = dict(file[name].attrs)
        for attribute, value in attributes.items():
            if isinstance(value, h5py.Empty) or (isinstance(value, np.ndarray) and not value.size):
                continue
            is_array = isinstance(value, np.ndarray)
            new = np.array([other(value[0]), *value[1:]], dtype=value.dtype) if is_array else other(value)

            def change(file: h5py.File, name=name, attribute=attribute, new=new) -> None:
                file[name].attrs.modify(attribute, new)

            if made.is_refused_after(change) is None:
                kept.append((name, attribute))
    assert kept == []


def test_every_element_has_to_be_there(made):
    kept = []
    for name in nodes(made.sound):

        def remove(file: h5py.File, name=name) -> None:
            del file[name]

        if made.is_refused_after(remove) is None:
            kept.append(name)
    assert kept == []


@pytest.mark.parametrize("name", ["obs/foreign", "uns/foreign", "obsm/foreign", "foreign"])
def test_what_the_source_lacks_is_not_there(made, name):
    sentence = made.is_refused_after(lambda file: file.create_dataset(name, data=np.zeros(3)))
    assert sentence is not None
    assert "foreign" in sentence


def test_the_sentence_says_where_and_what(made, plain):
    if made.job.source != plain.path:
        pytest.skip("said of an AnnData")

    def shorten(file: h5py.File) -> None:
        oracle.texts_of(file["obs/text"])[1] = "another"

    sentence = made.is_refused_after(shorten)
    assert sentence is not None
    assert re.search(
        "it differs from its source: /obs/text(/values)?: 'another' stands where the source has '", sentence
    )


def test_an_export_that_differs_leaves_nothing_behind(plain, tmp_path, monkeypatch):
    def spoil(job: Job, new: Hdf5NewFile, intended: Intended) -> None:
        with h5py.File(job.target, "r+") as file:
            oracle.texts_of(file["obs/text"])[0] = "another"
        verify(job, new, intended)

    monkeypatch.setattr(worker, "verify", spoil)
    with cellasso.open(plain.path) as dataset:
        rows = export._rows(dataset, masks(dataset.n_obs)["random"])
        job = export.Job(plain.path, tmp_path / "export.h5ad", dataset.handle.fingerprint, rows, {})
        with pytest.raises(ExportError, match=DIFFERS):
            worker.write(job, lambda _: None)


# -- what is large ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by_values", [False, True], ids=["exact", "by values"])
@pytest.mark.parametrize("storage", ["csr", "csc", "dense", "chunked"])
def test_of_what_is_large_rows_are_compared_in_every_layout(storage, by_values, tmp_path, monkeypatch):
    monkeypatch.setattr(comparable, "SMALL_BYTES", 0)
    monkeypatch.setattr(comparison, "SMALL_BYTES", 0)
    rng = np.random.default_rng(0)
    counts = np.where(rng.random((200, 30)) < 0.4, rng.random((200, 30)), 0).astype("f4")
    counts[:, 0] = counts[0] = counts[:, -1] = counts[-1] = 1
    kinds = {"csr": sparse.csr_matrix, "csc": sparse.csc_matrix}
    X = kinds[storage](counts) if storage in kinds else counts
    path = tmp_path / "large.h5ad"
    obs = pd.DataFrame({"score": rng.random(200)}, index=[f"c{i}" for i in range(200)])
    adata = ad.AnnData(X, obs=obs, obsm={"X_umap": rng.random((200, 2))}, obsp={"d": sparse.csr_matrix(np.eye(200))})
    adata.write_h5ad(path, compression="gzip" if storage == "chunked" else None)
    made = Made(path, tmp_path, by_values=by_values)
    assert made.is_refused_after(lambda _: None) is None
    parts = ("X/data", "X/indices", "obsp/d/data") if storage in kinds else ("X",)
    for name in (*parts, "obsm/X_umap", "obs/score"):
        for at in (0, -1):
            assert made.is_refused_after(change_value(name, at)) is not None, (name, at)


def test_names_are_compared_block_by_block_however_many_there_are(tmp_path, monkeypatch):
    monkeypatch.setattr(comparison, "BLOCK", 7)
    path = tmp_path / "names.h5ad"
    ad.AnnData(np.zeros((100, 2), "f4")).write_h5ad(path)
    made = Made(path, tmp_path)
    assert made.is_refused_after(lambda _: None) is None
    with h5py.File(made.sound) as file:
        names = oracle.texts_of(file["obs/_index"])
        n, path = len(names), names.name.lstrip("/")
    for at in range(n):
        assert made.is_refused_after(change_value(path, at)) is not None
