"""Where values stand between the ends of the colours, in the picture as beside its colour bar."""

from __future__ import annotations

import numpy as np
import pytest

from cellasso.color.coloring import CellValues
from cellasso.color.equalised import equalise
from cellasso.color.palettes import Scale
from cellasso.color.ramp import APART, N_STEPS, SHADINGS, Ramp
from cellasso.points.point_index import PointIndex
from cellasso.raster.cells import ColoredCells

ENDS = [(0.0, 1.0), (-3.0, 5.0), (2.0, 2000.0), (-1e6, -1e3), (0.0, 1e-6), (1e9, 1e9 + 64)]

WARPS = {
    "linear": lambda values, _low: values,
    "log": lambda values, low: np.log(values) if low > 0 else np.sign(values) * np.log1p(np.abs(values)),
    "cbrt": lambda values, _low: np.sign(values) * np.abs(values) ** (1 / 3),
}


def spread(low: float, high: float, n: int = 500) -> np.ndarray:
    """Values from one end to the other and beyond, most of them near the low one."""
    rng = np.random.default_rng(1)
    values = np.concatenate([low + (high - low) * rng.beta(0.6, 3, n), rng.uniform(2 * low - high, 2 * high - low, n)])
    return np.concatenate([values, [low, high]]).astype("f4")


def ramp_of(low: float, high: float, shading: str) -> Ramp:
    """A ramp with these ends, of values that run on beyond them."""
    return Ramp(low, high, shading, equalise(spread(low, high), low, high) if shading == "eq_hist" else None)


# -- places ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shading", WARPS)
@pytest.mark.parametrize("ends", ENDS, ids=str)
def test_equal_steps_are_those_of_the_values_their_logarithm_or_their_cube_root(ends, shading):
    low, high = ends
    ramp, inside = Ramp(low, high, shading), np.linspace(low, high, 200)
    warped = WARPS[shading](inside, low)
    expected = (warped - warped[0]) / (warped[-1] - warped[0])
    np.testing.assert_allclose(ramp.places(inside), expected, atol=1e-7)
    np.testing.assert_allclose([ramp.step(value) for value in inside], expected, atol=1e-7)
    assert ramp.step(low - 1) == 0
    assert ramp.step(high + 1) == 1
    assert np.isnan(ramp.step(np.nan))


@pytest.mark.parametrize("shading", SHADINGS)
@pytest.mark.parametrize("ends", ENDS, ids=str)
def test_a_place_leads_back_to_its_value(ends, shading):
    ramp, places = ramp_of(*ends, shading), np.linspace(0, 1, 101)
    values = ramp.values(places)
    assert (np.diff(values) >= 0).all()
    np.testing.assert_allclose(ramp.places(values), places, atol=1e-6)
    np.testing.assert_allclose(ramp.bounds[:-1], ramp.values((np.arange(254) + 0.5) / 254))
    assert ramp.bounds[-1] == np.inf


@pytest.mark.parametrize("shading", SHADINGS)
@pytest.mark.parametrize("ends", ENDS[:5], ids=str)
def test_the_picture_has_the_steps_of_the_colour_bar(ends, shading):
    """A tick stands beside the colour that cells of its value have."""
    low, high = ends
    shown = spread(low, high)
    values = CellValues("v", shown).coloring
    cells = ColoredCells(PointIndex.of(np.random.default_rng(2).random((len(shown), 2))), values, Scale(100.0, shading))
    codes = np.empty(len(shown))
    codes[cells.plane.order] = cells.codes
    expected = cells.ramp.places(shown) * (N_STEPS - 1)
    assert np.abs(codes - expected).max() <= 0.5 + 1e-9
    assert {codes.min(), codes.max()} == {0, N_STEPS - 1}


@pytest.mark.parametrize("shading", SHADINGS)
def test_a_value_that_is_missing_has_the_last_step(shading):
    values = CellValues("v", np.array([np.nan, 0, 1], dtype="f4")).coloring
    cells = ColoredCells(PointIndex.of(np.arange(6.0).reshape(3, 2)), values, Scale(shading=shading))
    codes = np.empty(3)
    codes[cells.plane.order] = cells.codes
    assert list(codes) == [255, 0, 254]


@pytest.mark.parametrize("shading", SHADINGS)
@pytest.mark.parametrize("ends", [(-3.0, 800.0), (-5.0, 2.0), (2.0, 4.0)], ids=str)
def test_0_stays_in_the_middle_and_either_side_has_the_same_steps(ends, shading):
    values = CellValues("v", spread(*ends)).coloring
    ramp = Scale(shading=shading, centre=True).ramp(values)
    assert ramp.step(0.0) == 0.5
    for value in (0.1, 1.7, 20.0):
        assert ramp.step(value) == pytest.approx(1 - ramp.step(-value))


def test_other_values_are_no_steps_of_colour():
    with pytest.raises(TypeError, match="only values"):
        ColoredCells(PointIndex.of(np.zeros((1, 2))), None).write_steps(np.zeros(1, "f4"), np.zeros(1, "u1"))


# -- ticks ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shading", SHADINGS)
@pytest.mark.parametrize("ends", ENDS, ids=str)
def test_ticks_are_round_values_where_they_belong(ends, shading):
    low, high = ends
    ramp = ramp_of(low, high, shading)
    ticks = ramp.ticks()
    at = [place for place, _ in ticks]
    assert 1 <= len(ticks) <= 16
    assert all(0 <= place <= 1 for place in at)
    assert (np.diff(at) > 0).all()
    if high < 1e9:  # its values differ in digits that are not written
        for place, text in ticks:
            assert ramp.step(float(text.replace(",", ""))) == pytest.approx(place, abs=0.02)
            assert len(text) <= 10
    if shading == "linear":
        assert len(ticks) >= 2
        gaps = np.diff(at) * (high - low)
        np.testing.assert_allclose(gaps, gaps[0], rtol=1e-6)
        assert f"{gaps[0]:.0e}"[0] in "125"
    else:
        assert len(ticks) >= (3 if high < 1e9 else 1)
        assert (np.diff(at) >= APART - 1e-9).all()


def texts(low: float, high: float, shading: str) -> list[str]:
    return [text for _, text in Ramp(low, high, shading).ticks()]


def test_ticks_of_a_plain_scale():
    assert Ramp(0.0, 4.0).ticks() == [(0.0, "0"), (0.25, "1"), (0.5, "2"), (0.75, "3"), (1.0, "4")]
    assert texts(-0.5, 4.0, "linear") == ["0", "1", "2", "3", "4"]
    assert texts(-4.0, 4.0, "linear") == ["-4", "-2", "0", "2", "4"]


def test_ticks_of_a_scale_of_logarithms():
    assert texts(0.0, 2000.0, "log") == ["0", "10", "100", "1,000"]
    assert texts(500.0, 12_000.0, "log") == ["500", "1,000", "2,000", "5,000", "10,000"]
    assert texts(0.02, 1e6, "log") == ["0.1", "1", "10", "100", "1,000", "10,000", "100,000", "1e+06"]
    assert texts(-30.0, 30.0, "log") == ["-10", "-1", "0", "1", "10"]
    assert texts(0.0, 2.08, "log") == ["0", "0.2", "0.5", "1", "1.5", "2"]  # 0.01 and 0.1 would run into the 0
    assert texts(3.1, 3.3, "log") == ["3.1", "3.15", "3.2", "3.25"]


def test_ticks_of_a_scale_of_cube_roots():
    assert texts(0.0, 2000.0, "cbrt") == ["0", "50", "200", "500", "1,000", "2,000"]
    assert texts(-8.0, 8.0, "cbrt") == ["-5", "-2", "0", "2", "5"]


def test_counts_of_which_few_are_high_have_ticks_at_whole_numbers_where_cells_are():
    counts = np.repeat([0.0, 1, 2, 3, 20], [50, 30, 10, 9, 1]).astype("f4")
    ramp = Scale(100.0, "eq_hist").ramp(CellValues("v", counts).coloring)
    assert ramp.ticks() == [(0.0, "0"), (pytest.approx(0.6), "1"), (pytest.approx(0.8), "2"), (1.0, "20")]


def test_values_far_from_0_and_close_together_have_ticks_too():
    values = (1e5 + np.random.default_rng(0).exponential(1, 400)).astype("f4")
    ticks = Scale(100.0, "eq_hist").ramp(CellValues("v", values).coloring).ticks()
    assert (np.diff([place for place, _ in ticks]) >= APART - 1e-9).all()
    assert [text for _, text in ticks] == ["100,000", "100,001", "100,002", "100,005"]


def test_the_lowest_value_of_a_gene_has_a_tick():
    rng = np.random.default_rng(0)
    values = np.where(rng.random(2000) < 0.8, 0, rng.gamma(2, 1, 2000)).astype("f4")
    assert Scale(100.0, "eq_hist").ramp(CellValues("v", values).coloring).ticks()[0] == (0.0, "0")
