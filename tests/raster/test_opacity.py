"""Opacity by the number of cells in a pixel: where it begins and ends, and that it rises."""

from __future__ import annotations

import numpy as np
import pytest

from cellasso.color.ramp import SHADINGS
from cellasso.raster.opacity import LONE, N_COUNTS, opacities


def pixels(*counts: int) -> np.ndarray:
    """How many pixels have each number of cells, of pixels with these."""
    return np.bincount(counts, minlength=N_COUNTS) if counts else np.zeros(N_COUNTS, dtype=np.int64)


@pytest.mark.parametrize("crowds", SHADINGS)
@pytest.mark.parametrize("most", [2, 3, 50, N_COUNTS - 1])
def test_opacity_rises_from_a_lone_cell_to_a_crowd(crowds, most):
    opacity = opacities(pixels(*[1] * 3, *[most] * 7), crowds)
    assert opacity[1] == LONE
    assert (np.diff(opacity) >= 0).all()
    assert opacity[-1] == 1
    assert len(opacity) == most + 1


@pytest.mark.parametrize("crowds", SHADINGS)
@pytest.mark.parametrize(("counts", "expected"), [((1, 1), LONE), ((7, 7), 1.0)])
def test_pixels_that_are_all_alike_are_lone_cells_or_crowds(crowds, counts, expected):
    opacity = opacities(pixels(*counts), crowds)
    assert opacity[min(counts[0], len(opacity) - 1)] == expected


@pytest.mark.parametrize("crowds", SHADINGS)
def test_a_view_without_cells_has_an_opacity_too(crowds):
    assert opacities(pixels(), crowds)[1] == LONE


def test_a_pixel_of_two_cells_is_as_far_from_a_lone_cell_as_the_way_says():
    counts = pixels(*range(1, 101))  # nine of ten have at most 90
    found = [(opacities(counts, crowds)[2] - LONE) / (1 - LONE) for crowds in SHADINGS]
    assert found == pytest.approx([1 / 89, np.log(2) / np.log(90), 1 / 89 ** (1 / 3), 1 / 99])
