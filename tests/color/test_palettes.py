"""Colours: where they end, which they are, and the table that a picture is shown with."""

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
    NAMED,
    PLAIN_COLOR,
    STANDARD,
    Scale,
    color_table,
    named_colors,
    rgb,
)
from cellasso.color.ramp import N_STEPS, Ramp
from coloring_of import color_by_obs


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
    assert Ramp(*expected).step(0.0) == 0.5


@pytest.mark.parametrize("centre", [False, True])
@pytest.mark.parametrize("value", [0.0, 7.0, -7.0])
def test_the_ends_are_apart_where_all_values_are_equal(value, centre):
    low, high = Scale(centre=centre).limits_of((value, value))
    assert low < high
    assert low <= value <= high


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
