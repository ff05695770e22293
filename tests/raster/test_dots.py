"""Round dots: how much of each pixel they cover."""

from __future__ import annotations

import numpy as np
import pytest

from cellasso.raster.dots import disc

pytestmark = pytest.mark.loops


@pytest.mark.parametrize("radius", [1.0, 1.2, 1.5, 2.0, 2.4, 3.3, 4.0, 8.0, 12.0])
def test_a_disc_covers_about_its_area_alike_in_every_direction(radius):
    coverage = disc(radius)
    assert coverage.dtype == np.float32
    assert coverage.shape[0] == coverage.shape[1]
    assert coverage.shape[0] % 2 == 1
    assert coverage.sum() == pytest.approx(np.pi * radius**2, rel=0.12)
    for turned in (coverage.T, coverage[::-1], coverage[:, ::-1], np.rot90(coverage)):
        np.testing.assert_array_equal(turned, coverage)
    middle = len(coverage) // 2
    assert coverage[middle, middle] == 1
    assert (np.diff(coverage[middle, middle:]) <= 0).all()
    assert 0 <= coverage.min() <= coverage.max() == 1


@pytest.mark.parametrize("radius", np.linspace(0.6, 5, 23))
def test_a_disc_wastes_no_border_and_is_not_cut(radius):
    coverage = disc(radius)
    middle = len(coverage) // 2
    assert coverage[middle, -1] > 0
    assert radius + 0.5 - (middle + 1) <= 0  # the next pixel outwards is not touched
