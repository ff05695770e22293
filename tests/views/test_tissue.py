"""The picture of a tissue under its cells: which one, sent when it is called for and taken away when it is not."""

from __future__ import annotations

import io

import anndata as ad
import mudata as md
import numpy as np
import pytest
from PIL import Image

import cellasso
from cellasso.points.point_index import Viewport
from cellasso.raster.style import Canvas
from cellasso_app.render.tissue_image import cut
from cellasso_app.state.axes import Axes
from cellasso_app.state.underlay import NO_TISSUE, Underlay, find_underlays, tissue_under, tissues
from cellasso_app.views.embedding.tissue import read_packed, read_tissue_of
from conftest import write

pytestmark = pytest.mark.more  # nothing here differs with the versions of the libraries

HIRES, LOWRES = Underlay("tissue", "", "one/hires"), Underlay("tissue", "", "one/lowres")


def library(seed: int = 0) -> dict:
    image = np.random.default_rng(seed).random((30, 40, 3)).astype("f4")
    factors = {"tissue_hires_scalef": 0.1, "tissue_lowres_scalef": 0.05, "spot_diameter_fullres": 20.0}
    return {"images": {"lowres": image[::2, ::2].copy(), "hires": image}, "scalefactors": factors}


def adata_of(*names: str) -> ad.AnnData:
    adata = ad.AnnData(np.ones((50, 1), dtype="f4"))
    adata.obsm["spatial"] = np.random.default_rng(0).random((50, 2)) * [400, 300]
    adata.obsm["X_umap"] = np.random.default_rng(1).random((50, 2))
    adata.uns["spatial"] = {name: library(i) for i, name in enumerate(names)}
    return adata


@pytest.fixture
def dataset(tmp_path):
    with cellasso.open(write(adata_of("one"), tmp_path / "tissue.h5ad")) as opened:
        find_underlays(opened)
        yield opened


def test_the_best_picture_of_the_only_library_lies_under_its_cells(dataset):
    places = Axes("spatial")
    assert tissues(dataset, places) == [HIRES, LOWRES]
    assert [each.label for each in tissues(dataset, places)] == ["one: hires", "one: lowres"]
    assert Underlay.parse(str(HIRES)) == HIRES
    assert tissue_under("", dataset, places) == HIRES
    assert tissue_under(str(LOWRES), dataset, places) == LOWRES
    assert tissue_under(NO_TISSUE, dataset, places) is None
    assert tissue_under("tissue//one/none", dataset, places) is None


@pytest.mark.parametrize("axes", [Axes("X_umap"), Axes("spatial", (1, 0)), Axes()])
def test_nothing_lies_under_other_axes(dataset, axes):
    assert tissues(dataset, axes) == []
    assert tissue_under("", dataset, axes) is None
    assert tissue_under(str(HIRES), dataset, axes) is None


def test_of_several_libraries_none_is_taken_unasked(tmp_path):
    with cellasso.open(write(adata_of("one", "two"), tmp_path / "two.h5ad")) as dataset:
        find_underlays(dataset)
        assert len(tissues(dataset, Axes("spatial"))) == 4
        assert tissue_under("", dataset, Axes("spatial")) is None
        chosen = Underlay("tissue", "", "two/hires")
        assert tissue_under(str(chosen), dataset, Axes("spatial")) == chosen
        assert read_tissue_of(dataset, chosen).library_id == "two"


def test_the_tissue_of_a_modality_lies_under_its_own_places(tmp_path):
    rna, prot = adata_of("one"), adata_of("other")
    rna.var_names, prot.var_names = ["g"], ["p"]
    md.MuData({"rna": rna, "prot": prot}).write(tmp_path / "both.h5mu")
    with cellasso.open(tmp_path / "both.h5mu") as dataset:
        find_underlays(dataset)
        assert tissue_under("", dataset, Axes("rna:spatial")) == Underlay("tissue", "rna", "one/hires")
        assert tissue_under("", dataset, Axes("prot:spatial")) == Underlay("tissue", "prot", "other/hires")


def test_sessions_on_a_file_read_it_once(dataset, monkeypatch):
    from cellasso_app.views.embedding import tissue

    packed = read_packed(dataset, HIRES, progress=lambda _: None)
    monkeypatch.setattr(tissue, "read_tissue", None)
    assert read_packed(dataset, HIRES, progress=lambda _: None) is packed
    assert (packed.extent, packed.spot) == ((400.0, 300.0), 20.0)


def test_a_figure_shows_what_lies_in_it(dataset):
    tissue, canvas = read_tissue_of(dataset, HIRES), Canvas(40, 30)
    np.testing.assert_array_equal(
        cut(tissue, Viewport(0, 400, 0, 300), (canvas.height, canvas.width))[..., :3], tissue.image
    )
    opened = Image.open(io.BytesIO(read_packed(dataset, HIRES, progress=lambda _: None).content))
    assert opened.size == (40, 30)
