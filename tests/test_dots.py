"""Round dots: their coverage, and one over another by the rule of "over" that every painter uses."""

from __future__ import annotations

import numpy as np
import pytest

from cellasso_app.dots import disc, stamp

RED, BLUE = (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)


def stamped(at, colors, coverage, shape=(9, 9)) -> np.ndarray:
    picture = np.zeros((*shape, 4), dtype=np.float32)
    rows, columns = np.array(at, dtype=np.intp).reshape(-1, 2).T
    stamp(
        np.ascontiguousarray(rows),
        np.ascontiguousarray(columns),
        np.array(colors, dtype="f4").reshape(-1, 3),
        coverage,
        picture,
    )
    return picture


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


def test_a_dot_lies_where_it_belongs():
    coverage = disc(2.0)
    picture = stamped([(4, 3)], [RED], coverage)
    expected = np.zeros((9, 9), dtype="f4")
    expected[2:7, 1:6] = coverage
    np.testing.assert_array_equal(picture[..., 3], expected)
    np.testing.assert_array_equal(picture[..., 0], expected)  # premultiplied
    assert not picture[..., 1:3].any()


@pytest.mark.parametrize("at", [(0, 0), (0, 8), (8, 0), (8, 8), (4, 0), (0, 4), (8, 4), (4, 8)])
def test_a_dot_is_clipped_at_the_borders_and_appears_nowhere_else(at):
    coverage = disc(3.0)
    padded = np.zeros((9 + 6, 9 + 6), dtype="f4")
    padded[at[0] : at[0] + 7, at[1] : at[1] + 7] = coverage
    np.testing.assert_array_equal(stamped([at], [BLUE], coverage)[..., 3], padded[3:-3, 3:-3])


def test_a_dot_larger_than_the_picture_fills_it():
    picture = stamped([(1, 1)], [RED], disc(10.0), (2, 3))
    np.testing.assert_array_equal(picture, np.broadcast_to([1, 0, 0, 1], (2, 3, 4)))


def test_later_dots_lie_over_earlier_ones():
    rng = np.random.default_rng(3)
    at, colors = rng.integers(0, 9, (20, 2)), rng.random((20, 3)).astype("f4")
    coverage = disc(2.3)
    expected = np.zeros((9 + 8, 9 + 8, 4))  # a border wide enough for all
    for (row, column), color in zip(at, colors, strict=True):
        alpha = np.zeros((17, 17, 1))
        reach = len(coverage) // 2
        alpha[row + 4 - reach : row + 5 + reach, column + 4 - reach : column + 5 + reach, 0] = coverage
        expected = np.append(color, 1) * alpha + expected * (1 - alpha)
    np.testing.assert_allclose(stamped(at, colors, coverage), expected[4:-4, 4:-4], atol=1e-6)


def test_a_full_dot_hides_what_is_below_and_a_half_one_half():
    half = np.full((1, 1), 0.5, dtype="f4")
    whole = np.ones((1, 1), dtype="f4")
    np.testing.assert_allclose(stamped([(0, 0)] * 2, [RED, BLUE], whole, (1, 1))[0, 0], [0, 0, 1, 1])
    np.testing.assert_allclose(stamped([(0, 0)] * 2, [RED, BLUE], half, (1, 1))[0, 0], [0.25, 0, 0.5, 0.75])


def test_no_dots_leave_the_picture_empty():
    assert not stamped([], [], disc(2.0)).any()
