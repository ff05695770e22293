"""Colours: where they end, how values step through them, and the table that a picture is shown with."""

from __future__ import annotations

import colorcet
import numpy as np
import pytest
from matplotlib import cm
from matplotlib.colors import to_rgb

from cellasso.color.coloring import CLIPS, MISSING_COLOR, Categories, Values, palette
from cellasso.color.palettes import (
    COLOR_MAPS,
    DIVERGING,
    N_STEPS,
    NAMED,
    PLAIN_COLOR,
    STANDARD,
    Scale,
    color_table,
    named_colors,
    rgb,
)
from cellasso.raster import aggregate
from coloring_of import color_by_obs

ENDS = [(0.0, 1.0), (-3.0, 5.0), (2.0, 2000.0), (-1e6, -1e3), (0.0, 1e-6), (1e9, 1e9 + 64)]


def values(ends: tuple[float, float] = (0.0, 4.0)) -> Values:
    low, high = ends
    return Values(
        "v",
        np.array([low, high], dtype="f4"),
        low,
        high,
        clipped=False,
        n_missing=0,
        ends={clip: (low, high * clip / 100) for clip in CLIPS},
    )


def categories(n: int) -> Categories:
    labels = tuple(f"k{i}" for i in range(n))
    return Categories("c", np.arange(n, dtype="i2"), labels, palette(n), np.ones(n, dtype="i8"), 0)


# -- the ends of the colours ----------------------------------------------------------------------------


@pytest.mark.parametrize("clip", CLIPS)
def test_colours_end_at_the_chosen_percentile(clip):
    class OneColumn:
        @property
        def vectors(self):
            return self

        def read(self, _vector):
            import pandas as pd

            return pd.Series(np.r_[np.zeros(500), np.random.default_rng(0).gamma(2, 1, 2000) + 0.1])

        def read_colors(self, _name):
            return None

    found = color_by_obs(OneColumn(), "v")
    above = found.values[found.values > 0]
    assert Scale(clip=clip).limits(found) == pytest.approx((0, np.percentile(above, clip)))


def test_an_unknown_percentile_is_the_usual_one():
    assert Scale(clip=12.0).limits(values((1.0, 7.0))) == (1.0, 7.0)


@pytest.mark.parametrize(
    ("ends", "expected"), [((-1.0, 3.0), (-3.0, 3.0)), ((-5.0, 2.0), (-5.0, 5.0)), ((2.0, 4.0), (-4.0, 4.0))]
)
def test_a_centred_scale_has_0_in_its_middle(ends, expected):
    scale = Scale(centre=True)
    assert scale.limits_of(ends) == expected
    assert scale.step(0.0, *expected) == 0.5


@pytest.mark.parametrize("centre", [False, True])
@pytest.mark.parametrize("value", [0.0, 7.0, -7.0])
def test_the_ends_are_apart_where_all_values_are_equal(value, centre):
    low, high = Scale(centre=centre).limits_of((value, value))
    assert low < high
    assert low <= value <= high


# -- steps and ticks ------------------------------------------------------------------------------------


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("ends", ENDS, ids=str)
def test_values_step_evenly_or_by_their_logarithm_from_end_to_end(ends, log):
    low, high = ends
    scale, inside = Scale(log=log), np.linspace(low, high, 200)
    found = np.array([scale.step(value, low, high) for value in inside])
    expected = np.linspace(0, 1, 200)
    if log:
        warped = np.log(inside) if low > 0 else np.sign(inside) * np.log1p(np.abs(inside))
        expected = (warped - warped[0]) / (warped[-1] - warped[0])
    np.testing.assert_allclose(found, expected, atol=1e-7)
    assert scale.step(low - 1, low, high) == 0
    assert scale.step(high + 1, low, high) == 1


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("ends", ENDS[:5], ids=str)
def test_the_picture_has_the_steps_of_the_colour_bar(ends, log):
    """A tick stands beside the colour that cells of its value have."""
    low, high = ends
    rng = np.random.default_rng(1)
    shown = rng.uniform(low - 0.1 * (high - low), high + 0.1 * (high - low), 500).astype("f4")
    steps = np.empty(500, dtype=np.uint8)
    aggregate.to_steps(shown, low, high, log, steps)
    expected = [Scale(log=log).step(float(value), low, high) * (N_STEPS - 1) for value in shown]
    assert np.abs(steps - np.array(expected)).max() <= 0.5 + 1e-9
    assert {steps.min(), steps.max()} == {0, N_STEPS - 1}


def test_a_value_that_is_missing_has_the_last_step():
    steps = np.empty(3, dtype=np.uint8)
    aggregate.to_steps(np.array([np.nan, 0, 1], dtype="f4"), 0.0, 1.0, False, steps)
    assert list(steps) == [255, 0, 254]


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("ends", ENDS, ids=str)
def test_ticks_are_round_values_where_they_belong(ends, log):
    low, high = ends
    scale = Scale(log=log)
    ticks = scale.ticks(low, high)
    at = [place for place, _ in ticks]
    assert 1 <= len(ticks) <= 16
    assert all(0 <= place <= 1 for place in at)
    assert (np.diff(at) > 0).all()
    if high < 1e9:  # written with four digits
        for place, text in ticks:
            assert scale.step(float(text.replace(",", "")), low, high) == pytest.approx(place, abs=0.02)
            assert len(text) <= 10
    if not log:
        assert len(ticks) >= 2
        gaps = np.diff(at) * (high - low)
        np.testing.assert_allclose(gaps, gaps[0], rtol=1e-6)
        assert f"{gaps[0]:.0e}"[0] in "125"


def test_ticks_of_a_plain_scale():
    assert Scale().ticks(0.0, 4.0) == [(0.0, "0"), (0.25, "1"), (0.5, "2"), (0.75, "3"), (1.0, "4")]
    assert [text for _, text in Scale().ticks(-0.5, 4.0)] == ["0", "1", "2", "3", "4"]
    assert [text for _, text in Scale(centre=True).ticks(-4.0, 4.0)] == ["-4", "-2", "0", "2", "4"]


def test_ticks_of_a_scale_of_logarithms():
    def texts(low: float, high: float) -> list[str]:
        return [text for _, text in Scale(log=True).ticks(low, high)]

    assert texts(0.0, 2000.0) == ["0", "10", "100", "1,000"]
    assert texts(500.0, 12_000.0) == ["500", "1,000", "2,000", "5,000", "10,000"]
    assert texts(0.02, 1e6) == ["0.1", "1", "10", "100", "1,000", "10,000", "100,000", "1e+06"]
    assert texts(-30.0, 30.0) == ["-10", "-1", "-0.1", "0", "0.1", "1", "10"]
    assert texts(3.1, 3.3) == ["3.1", "3.15", "3.2", "3.25", "3.3"]


def test_0_stays_in_the_middle_of_a_scale_of_logarithms():
    scale = Scale(log=True, centre=True)
    low, high = scale.limits_of((-3.0, 800.0))
    assert scale.step(0.0, low, high) == 0.5
    assert scale.step(20.0, low, high) == pytest.approx(1 - scale.step(-20.0, low, high))


# -- colours --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("name", [STANDARD, *NAMED])
def test_a_reversed_map_runs_the_other_way(name, dark):
    for centre in (False, True):
        colors = Scale(color_map=name, centre=centre).colors(dark=dark)
        assert Scale(color_map=name, centre=centre, reverse=True).colors(dark=dark) == colors[::-1]
        assert len(colors) > 100
        assert len(set(colors)) > 0.8 * len(colors)


@pytest.mark.parametrize("name", ["viridis", "cividis", "magma"])
def test_named_maps_are_those_of_matplotlib(name):
    expected = np.rint(cm.__dict__[name](np.linspace(0, 1, 256))[:, :3] * 255)
    np.testing.assert_array_equal(rgb(named_colors(name)), expected)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_usual_maps_go_with_the_page(dark):
    assert Scale().colors(dark=dark) == COLOR_MAPS[dark]
    assert Scale(centre=True).colors(dark=dark) == DIVERGING[dark]
    assert Scale(color_map="viridis", centre=True).colors(dark=dark) == named_colors("viridis")
    assert Scale(color_map="no such map").colors(dark=dark) == COLOR_MAPS[dark]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_low_values_are_grey_but_not_as_missing_ones(dark):
    first = rgb(COLOR_MAPS[dark][:1])[0].astype(int)
    assert first.max() - first.min() < 20
    assert COLOR_MAPS[dark][0] != MISSING_COLOR


def test_colours_are_read_as_matplotlib_reads_them():
    colors = ["#000000", "#ff8001", *colorcet.b_glasbey_category10[:50]]
    np.testing.assert_array_equal(rgb(colors), np.rint(np.array([to_rgb(color) for color in colors]) * 255))
    assert rgb([]).shape == (0, 3)


# -- the table ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [0, 1, 12, 255])
def test_a_table_has_the_colour_of_each_category_and_of_none(n):
    table = color_table(categories(n), Scale(), dark=False)
    assert len(table) == 256
    assert table[:n] == list(palette(n))
    assert set(table[n:]) == {MISSING_COLOR}


@pytest.mark.parametrize("n", [2, 255])
def test_chosen_colours_take_the_place_of_a_categorys_own(n):
    own = color_table(categories(n), Scale(), dark=False)
    last = f"k{n - 1}"
    table = color_table(categories(n), Scale(), dark=False, chosen={last: "#010203", "nothing": "#040506"})
    assert table[n - 1] == "#010203"
    assert [*table[: n - 1], *table[n:]] == [*own[: n - 1], *own[n:]]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("name", [STANDARD, *NAMED])
@pytest.mark.parametrize("reverse", [False, True])
def test_a_table_of_values_runs_from_end_to_end(name, dark, reverse):
    scale = Scale(color_map=name, reverse=reverse)
    colors, table = scale.colors(dark=dark), color_table(values(), scale, dark=dark)
    assert len(table) == 256
    assert (table[0], table[N_STEPS - 1], table[255]) == (colors[0], colors[-1], MISSING_COLOR)
    at = np.array([colors.index(color) for color in table[:N_STEPS]]) / (len(colors) - 1)
    np.testing.assert_allclose(at, np.linspace(0, 1, N_STEPS), atol=0.02)


def test_a_table_without_colouring_is_of_one_colour():
    assert color_table(None, Scale(), dark=False, chosen={"a": "#000000"}) == [PLAIN_COLOR] * 256
