"""Cells in a tissue, beside what scanpy draws of the same file."""

from __future__ import annotations

import sys
import warnings

import anndata as ad
import holoviews as hv
import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

import cellasso
from cellasso.core.errors import ElementError, NotFoundError
from cellasso.pl.spatial import spatial
from pl.plotted import element, options_of, rendered

pytestmark = pytest.mark.more  # run with the newest versions alone

SCALE = 0.5


def make_tissue():
    rng = np.random.default_rng(0)
    n = 300
    points = rng.uniform((20, 10), (190, 110), (n, 2))
    zone = pd.Categorical(np.where(rng.random(n) < 0.2, None, np.where(points[:, 1] < 60, "upper", "lower")))
    obs = pd.DataFrame({"zone": zone, "score": points[:, 0]}, index=[f"spot{i}" for i in range(n)])
    adata = ad.AnnData(np.ones((n, 1), dtype=np.float32), obs=obs)
    adata.obsm["spatial"] = points
    image = rng.random((60, 100, 3)).astype(np.float32)
    image[:30, :, 0] = 0  # no red in the upper half
    adata.uns["spatial"] = {
        "one": {
            "images": {"hires": image, "lowres": image[::2, ::2]},
            "scalefactors": {
                "tissue_hires_scalef": SCALE,
                "tissue_lowres_scalef": SCALE / 2,
                "spot_diameter_fullres": 6.0,
            },
        }
    }
    return adata


@pytest.fixture(scope="module")
def tissue(tmp_path_factory):
    path = tmp_path_factory.mktemp("spatial") / "tissue.h5ad"
    adata = make_tissue()
    adata.write_h5ad(path)
    with cellasso.open(path) as dataset:
        yield dataset, adata


def drawn_by_scanpy(adata, **options):
    mpl.use("agg")
    import scanpy as sc

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return sc.pl.spatial(adata.copy(), show=False, **options)[0]


def pixels(rgb):
    """Return an element's pixels, the one with the lowest y first."""
    return np.stack([rgb.dimension_values(i, flat=False) for i in (2, 3, 4)], axis=-1)


@pytest.mark.parametrize("img_key", ["best", "hires", "lowres"])
def test_the_picture_lies_where_scanpy_has_it(tissue, img_key):
    dataset, adata = tissue
    plot = spatial(dataset, color="zone", img_key=img_key)
    name = "hires" if img_key == "best" else img_key
    image = adata.uns["spatial"]["one"]["images"][name]
    scale = SCALE if name == "hires" else SCALE / 2
    rgb = element(plot, hv.RGB)
    left, low, right, high = rgb.bounds.lbrt()
    xs, ys = (options_of(plot, "plot")[key] for key in ("xlim", "ylim"))
    assert options_of(plot, "plot")["invert_yaxis"]
    # all that is in view of the picture is there, in its place: y of the file's first row is 0
    assert left <= max(xs[0], 0) + 1e-9
    assert right >= min(xs[1], image.shape[1] / scale) - 1e-9
    assert low <= max(ys[0], 0) + 1e-9
    assert high >= min(ys[1], image.shape[0] / scale) - 1e-9
    rows = slice(round(low * scale), round(high * scale))
    columns = slice(round(left * scale), round(right * scale))
    np.testing.assert_array_equal(pixels(rgb), np.rint(image[rows, columns] * 255))


def test_cells_are_those_of_scanpy_without_those_that_lack_a_value(tissue):
    dataset, adata = tissue
    points = element(spatial(dataset, color="zone"), hv.Points)
    patches = drawn_by_scanpy(adata, color="zone").collections[0]
    centers = np.array([path.get_extents().get_points().mean(axis=0) for path in patches.get_paths()])
    if len(centers) == 1:  # all circles have one path, and are moved
        centers = np.asarray(patches.get_offsets())
    shown = patches.get_facecolors()[:, 3] > 0
    found = np.stack([points.dimension_values(0), points.dimension_values(1)], axis=1)
    in_order = [each[np.argsort(each[:, 0])] for each in (found, centers[shown] / SCALE)]
    np.testing.assert_allclose(*in_order, rtol=1e-4)
    assert len(found) == adata.obs["zone"].notna().sum()
    grey = element(spatial(dataset, color="zone", img_key=None), hv.Points)
    assert len(grey) == adata.n_obs
    assert (grey["color"] == "#d3d3d3").sum() == adata.obs["zone"].isna().sum()


def test_spots_are_as_large_as_the_file_says(tissue):
    dataset, _ = tissue
    for options, radius in (({}, 3.0), ({"size": 2}, 6.0), ({"spot_size": 10}, 5.0), ({"img_key": None}, 3.0)):
        points = element(spatial(dataset, color="zone", **options), hv.Points)
        assert options_of(points, "style")["radius"] == radius


@pytest.mark.parametrize("crop", [(40.0, 100.0, 20.0, 80.0), (30.0, 105.0, 50.0, 90.0)])
def test_a_part_is_shown_with_y_pointing_down_as_by_scanpy(tissue, crop):
    dataset, adata = tissue
    axes = drawn_by_scanpy(adata, color="score", crop_coord=crop)
    options = options_of(spatial(dataset, color="score", crop_coord=crop), "plot")
    assert options["invert_yaxis"] == (axes.get_ylim()[0] > axes.get_ylim()[1])
    assert options["xlim"] == pytest.approx(np.array(axes.get_xlim()) / SCALE)
    assert options["ylim"] == pytest.approx(np.sort(axes.get_ylim()) / SCALE)


def test_a_grey_picture_is_that_of_scanpy(tissue):
    dataset, adata = tissue
    shown = drawn_by_scanpy(adata, color="score", bw=True).images[0].get_array()
    rgb = element(spatial(dataset, color="score", bw=True), hv.RGB)
    left, low, right, high = (round(edge * SCALE) for edge in rgb.bounds.lbrt())
    np.testing.assert_allclose(pixels(rgb)[..., 0], shown[low:high, left:right] * 255, atol=1.2)
    assert (pixels(rgb)[..., 0] == pixels(rgb)[..., 2]).all()


def test_a_large_picture_is_shrunk_to_the_means_of_its_pixels(tissue, monkeypatch):
    monkeypatch.setattr(sys.modules["cellasso.pl.spatial"], "MOST_SIDE", 30)
    dataset, adata = tissue
    rgb = element(spatial(dataset, color="score"), hv.RGB)
    assert max(pixels(rgb).shape[:2]) <= 30
    left, low, right, high = (round(edge * SCALE) for edge in rgb.bounds.lbrt())
    part = np.rint(adata.uns["spatial"]["one"]["images"]["hires"][low:high, left:right] * 255)
    steps = [-(-side // 30) for side in part.shape[:2]]
    shape = (part.shape[0] // steps[0], steps[0], part.shape[1] // steps[1], steps[1], 3)
    np.testing.assert_allclose(pixels(rgb), part.reshape(shape).mean(axis=(1, 3)), atol=1.01)


def test_many_cells_become_a_picture_over_the_tissue(tissue):
    plot = spatial(tissue[0], color="zone", rasterize=True)
    below, cells = (each for each in plot.traverse(lambda x: x, [hv.RGB]))
    assert len(below.vdims) == 3
    assert len(cells.vdims) == 4
    alpha = cells.dimension_values(5, flat=False)
    assert 0 < (alpha > 0).mean() < 1


def test_a_tissue_of_a_modality(tmp_path):
    import mudata as md

    rna = make_tissue()
    other = ad.AnnData(np.ones((10, 1), dtype=np.float32), obs=pd.DataFrame(index=[f"spot{i}" for i in range(10)]))
    other.var_names = ["p"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        md.MuData({"rna": rna, "protein": other}).write(tmp_path / "tissue.h5mu")
    with cellasso.open(tmp_path / "tissue.h5mu") as dataset:
        whole, part = spatial(dataset, color="rna:zone"), spatial(dataset["rna"], color="zone")
        np.testing.assert_array_equal(pixels(element(whole, hv.RGB)), pixels(element(part, hv.RGB)))
        assert len(element(whole, hv.Points)) == len(element(part, hv.Points))


def test_cells_of_a_file_without_a_picture(tmp_path):
    adata = make_tissue()
    del adata.uns["spatial"]
    adata.write_h5ad(tmp_path / "plain.h5ad")
    with cellasso.open(tmp_path / "plain.h5ad") as dataset:
        plot = spatial(dataset, color="zone")
        assert not plot.traverse(lambda x: x, [hv.RGB])
        assert "size" in options_of(element(plot, hv.Points), "style")
        with pytest.raises(NotFoundError, match="has 0 libraries"):
            spatial(dataset, color="zone", img_key="hires")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"img_key": "fullres"}, NotFoundError, "no image 'fullres'"),
        ({"library_id": "two"}, NotFoundError, "no library 'two'"),
        ({"crop_coord": (5, 1, 0, 9)}, ElementError, "crop_coord is .5, 1, 0, 9."),
        ({"alpha_img": 2}, ElementError, "alpha_img is 2"),
        ({"scale_factor": 0}, ElementError, "scale_factor is 0"),
        ({"basis": "umap"}, NotFoundError, "no obsm 'umap'"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(tissue, options, error, message):
    with pytest.raises(error, match=message):
        spatial(tissue[0], color="zone", **options)


@pytest.mark.parametrize("backend", ["bokeh", "matplotlib"])
def test_it_is_drawn_by_both_libraries(tissue, backend):
    plots = spatial(tissue[0], color=["zone", "score"], alpha_img=0.5)
    assert len(rendered(plots, backend)) > 1_000
