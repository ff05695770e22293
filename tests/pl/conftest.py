"""Files that the plots are tried on, as an h5ad and as part of an h5mu."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import mudata as md
import pytest

import cellasso
from conftest import Written, write
from pl_files import make_pbmc

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from anndata import AnnData

    from cellasso.dataset import Dataset


@pytest.fixture(scope="session")
def pbmc_file(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """The file, and what it holds."""
    adata = make_pbmc()
    return Written(write(adata, tmp_path_factory.mktemp("pbmc") / "pbmc.h5ad"), adata)


@pytest.fixture
def adata(pbmc_file: Written) -> AnnData:
    """What the file holds, to be changed: scanpy writes into it."""
    return pbmc_file.oracle.copy()


@pytest.fixture
def pbmc(pbmc_file: Written) -> Iterator[Dataset]:
    """The file, open."""
    with cellasso.open(pbmc_file.path) as opened:
        yield opened


@pytest.fixture(scope="session")
def pbmc_mudata(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """The same as the modality `rna` of an h5mu, beside one of fewer cells in another order."""
    rna = make_pbmc()
    protein = rna[:300:-1, :10].copy()
    protein.raw = None
    protein.var_names = [f"P{i}" for i in range(10)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mdata = md.MuData({"rna": rna, "protein": protein})
        path = write(mdata, tmp_path_factory.mktemp("pbmc") / "pbmc.h5mu")
    return Written(path, mdata)


@pytest.fixture
def pbmc_mu(pbmc_mudata: Written) -> Iterator[Dataset]:
    """That file, open."""
    with cellasso.open(pbmc_mudata.path) as opened:
        yield opened


@pytest.fixture(scope="session")
def hostile_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file whose groups are called what a drawing library might take for more than text."""
    adata = make_pbmc()
    names = [
        "$x_{$",
        "{y}",
        "<img src=x onerror=alert(1)>",
        "a\nb",
        "@group{safe}",
        "",
        "%",
        "\\frac",
        "µ" * 60,
        "$$z$$",
    ]
    adata.obs["bulk_labels"] = adata.obs["bulk_labels"].cat.rename_categories(names)
    return write(adata, tmp_path_factory.mktemp("hostile") / "hostile.h5ad")


@pytest.fixture
def hostile(hostile_file: Path) -> Iterator[Dataset]:
    """That file, open."""
    with cellasso.open(hostile_file) as opened:
        yield opened
