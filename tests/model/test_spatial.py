"""Pictures of tissues, beside the arrays that were written."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

import cellasso
from cellasso.core.errors import ElementError, NotFoundError
from cellasso.model import spatial
from cellasso.model.spatial import libraries, read_spot_diameter, read_tissue

FACTORS = {"tissue_hires_scalef": 0.25, "tissue_lowres_scalef": 0.1, "spot_diameter_fullres": 89.5}


def pictures():
    rng = np.random.default_rng(0)
    floats = rng.random((40, 60, 3)).astype(np.float32)
    return {"hires": floats, "lowres": (floats[::2, ::2] * 255).astype(np.uint8)}


@pytest.fixture
def tissue(damaged):
    """Open a copy of the plain file with `uns["spatial"]`, changed further."""

    def opened(change=lambda group: None, images=None, names=("one",)):
        def add(file):
            for name in names:
                group = file.create_group(f"uns/spatial/{name}")
                for key, image in (pictures() if images is None else images).items():
                    group[f"images/{key}"] = image
                for key, factor in FACTORS.items():
                    group[f"scalefactors/{key}"] = factor
            change(file["uns/spatial"])

        return damaged(add).root

    return opened


def test_the_best_picture_is_read_with_its_scale(tissue):
    modality = tissue()
    found = read_tissue(modality)
    assert (found.library_id, found.img_key) == ("one", "hires")
    np.testing.assert_array_equal(found.image, np.rint(pictures()["hires"] * 255).astype(np.uint8))
    assert (found.scale, found.extent, found.spot_diameter) == (0.25, (240.0, 160.0), 89.5)
    assert read_spot_diameter(modality) == 89.5


def test_a_picture_by_name(tissue):
    found = read_tissue(tissue(), "one", "lowres")
    np.testing.assert_array_equal(found.image, pictures()["lowres"])
    assert found.extent == pytest.approx((300.0, 200.0))


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (np.array([[0.0, 0.5], [1.0, np.nan]]), [[0, 128], [255, 0]]),
        (np.array([[0.0, 1.1], [-1.0, np.inf]]), [[0, 1], [0, 255]]),
        (np.array([[0, 100], [200, 255]], dtype=np.uint8), [[0, 100], [200, 255]]),
        (np.array([[0, 256], [65535, 1000]], dtype=np.uint16), [[0, 1], [255, 3]]),
        (np.array([[0, 300], [-5, 7]], dtype=np.int64), [[0, 255], [0, 7]]),
        (np.array([[True, False], [False, True]]), [[255, 0], [0, 255]]),
    ],
)
@pytest.mark.parametrize("n_channels", [None, 1, 3, 4])
def test_pictures_of_any_kind(tissue, image, expected, n_channels):
    stacked = image if n_channels is None else np.repeat(image[..., None], n_channels, axis=2)
    found = read_tissue(tissue(images={"hires": stacked})).image
    assert found.dtype == np.uint8
    assert found.shape == (2, 2, 4 if n_channels == 4 else 3)
    np.testing.assert_array_equal(found, np.repeat(np.array(expected)[..., None], found.shape[2], axis=2))


def test_a_huge_picture_is_read_in_pieces_and_thinned(tissue, monkeypatch):
    monkeypatch.setattr(spatial, "MOST_PIXELS", 300)
    monkeypatch.setattr(spatial, "READ_BYTES", 2_000)
    found = read_tissue(tissue())
    np.testing.assert_array_equal(found.image, np.rint(pictures()["hires"][::3, ::3] * 255).astype(np.uint8))
    assert found.extent == (240.0, 160.0)  # as large as before


def test_libraries_are_groups_alone(tissue):
    modality = tissue(lambda group: group.create_dataset("is_single", data=True), names=("a", "b"))
    assert libraries(modality) == ("a", "b")
    assert read_tissue(modality, "b").library_id == "b"
    with pytest.raises(NotFoundError, match="has 2 libraries: name one of a, b"):
        read_tissue(modality)
    with pytest.raises(NotFoundError, match="no library 'c'"):
        read_tissue(modality, "c")


def test_a_file_without_one(dataset):
    assert libraries(dataset.root) == ()
    with pytest.raises(NotFoundError, match="has 0 libraries: there is no picture"):
        read_tissue(dataset.root)


def remove(path):
    return lambda group: group.__delitem__(path)


def put(path, value):
    def change(group):
        del group[path]
        group[path] = value

    return change


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (remove("one/images/hires"), None, ""),
        (remove("one/images"), NotFoundError, "images"),
        (remove("one/scalefactors"), NotFoundError, "scalefactors"),
        (remove("one/scalefactors/tissue_hires_scalef"), NotFoundError, "no tissue_hires_scalef"),
        (put("one/scalefactors/tissue_hires_scalef", -1.0), ElementError, "is -1; a number above 0"),
        (put("one/scalefactors/tissue_hires_scalef", "x"), ElementError, "is no number"),
        (put("one/scalefactors/spot_diameter_fullres", [1.0, 2.0]), ElementError, "is no number"),
        (put("one/images/hires", np.ones(5)), ElementError, r"shape \(5,\); a picture"),
        (put("one/images/hires", np.ones((5, 4, 7))), ElementError, "a picture"),
        (put("one/images/hires", np.ones((0, 4, 3))), ElementError, "a picture"),
        (put("one/images/hires", h5py.Empty("f4")), ElementError, "a picture"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(tissue, change, error, message):
    modality = tissue(change)
    if error is None:
        assert read_tissue(modality).img_key == "lowres"
        return
    with pytest.raises(error, match=message):
        read_tissue(modality)


def test_a_picture_that_does_not_fit_is_refused_before_it_is_read(tissue):
    def grow(group):
        del group["one/images/hires"]
        group.create_dataset("one/images/hires", (20_000, 20_000, 3), "f4", chunks=(100, 100, 3))

    modality = tissue(grow)
    before = modality.handle.bytes_read
    with pytest.raises(ElementError, match="4,800,000,000 bytes; at most 1,073,741,824"):
        read_tissue(modality)
    assert modality.handle.bytes_read - before < 1 << 20


def test_a_picture_that_anndata_has_written(tmp_path):
    import anndata as ad

    adata = ad.AnnData(np.ones((3, 1), dtype=np.float32))
    adata.uns["spatial"] = {"V1": {"images": pictures(), "scalefactors": FACTORS, "metadata": {"chemistry": "v3"}}}
    adata.write_h5ad(tmp_path / "tissue.h5ad", compression="gzip")
    with cellasso.open(tmp_path / "tissue.h5ad") as dataset:
        found = read_tissue(dataset.root)
        np.testing.assert_array_equal(found.image, np.rint(pictures()["hires"] * 255).astype(np.uint8))
        assert found.scale == 0.25
