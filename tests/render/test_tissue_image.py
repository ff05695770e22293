"""Pictures of tissues as the browser and a figure get them, beside the pixels of the image."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from cellasso.model.spatial import Tissue
from cellasso.points.point_index import Viewport
from cellasso_app.render.tissue_image import cut, over, pack

pytestmark = pytest.mark.more


def tissue(image: np.ndarray, scale: float = 0.5, spot: float | None = None) -> Tissue:
    height, width = image.shape[:2]
    return Tissue("one", "hires", image, scale, (width / scale, height / scale), spot)


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)


def smooth(height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return np.stack([255 * x / width, 255 * y / height, 128 + 0 * x], axis=2).astype(np.uint8)


def test_a_picture_is_packed_so_that_the_eye_sees_no_difference():
    image = smooth(60, 80)
    packed = pack(tissue(image, spot=7.0))
    assert (packed.extent, packed.spot, packed.mime) == ((160.0, 120.0), 7.0, "image/jpeg")
    opened = np.asarray(Image.open(io.BytesIO(packed.content)))
    assert opened.shape == image.shape
    assert np.abs(opened.astype(int) - image).max() <= 8


def test_what_is_transparent_stays_so():
    image = noise(20, 30, 4)
    packed = pack(tissue(image))
    assert packed.mime == "image/png"
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(packed.content))), image)
    image[..., 3] = 255
    assert pack(tissue(image)).mime == "image/jpeg"


def test_what_is_in_view_is_cut_out_pixel_by_pixel():
    image = noise(6, 10, 3)  # 20 x 12 data units
    found = cut(tissue(image), Viewport(4, 12, 2, 8), (3, 4))
    np.testing.assert_array_equal(found[..., :3], image[1:4, 2:6])
    assert (found[..., 3] == 255).all()


def test_beside_the_tissue_there_is_nothing():
    image = noise(6, 10, 3)
    found = cut(tissue(image), Viewport(-4, 24, -2, 14), (8, 14))
    np.testing.assert_array_equal(found[1:7, 2:12, :3], image)
    expected = np.zeros((8, 14), dtype=np.uint8)
    expected[1:7, 2:12] = 255
    np.testing.assert_array_equal(found[..., 3], expected)
    for elsewhere in (Viewport(100, 120, 0, 10), Viewport(0, 10, -30, -20), Viewport(-1e30, 1e30, -1e30, 1e30)):
        assert not cut(tissue(image), elsewhere, (4, 4)).any()


def test_a_pixel_is_the_mean_of_what_it_covers():
    image = noise(40, 40, 3)
    found = cut(tissue(image, scale=1.0), Viewport(0, 40, 0, 40), (2, 2))[..., :3].astype(float)
    assert np.abs(found - image.reshape(2, 20, 2, 20, 3).mean(axis=(1, 3))).max() < 20  # neighbours weigh in


def test_pictures_lie_over_each_other_as_pillow_lays_them():
    above, below = noise(9, 7, 4), noise(9, 7, 4)[::-1].copy()
    expected = np.asarray(Image.alpha_composite(Image.fromarray(below), Image.fromarray(above)))
    found = over(above, below)
    seen = expected[..., 3] > 8
    assert np.abs(found[seen].astype(int) - expected[seen]).max() <= 2
    np.testing.assert_array_equal(over(np.zeros_like(above), below)[below[..., 3] > 0], below[below[..., 3] > 0])
