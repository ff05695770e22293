"""Histogram-equalised colours against datashader's own `eq_hist` of the same values."""

from __future__ import annotations

import datashader.transfer_functions as tf
import numpy as np
import pytest

from cellasso.color import equalised
from cellasso.color.coloring import CellValues
from cellasso.color.equalised import equalise
from cellasso.color.palettes import Scale
from cellasso.color.ramp import Ramp

N = 5_000


def made(kind: str) -> np.ndarray:
    rng = np.random.default_rng(3)
    counts = rng.negative_binomial(0.3, 0.02, N).astype("f4")
    return {
        "normal": rng.normal(size=N),
        "skewed": rng.lognormal(3, 2, N),
        "a gene": np.where(rng.random(N) < 0.8, 0, np.log1p(counts / 7)),
        "one far away": np.append(rng.normal(size=N - 1), 1e6),
        "counts": counts,
        "counts below 0": counts - 40,
        "whole, in bins": np.rint(rng.normal(size=N) * 1e6),
        "flags": rng.integers(0, 2, N),
        "few": rng.normal(size=3),
    }[kind].astype("f4")


KINDS = ["normal", "skewed", "a gene", "one far away", "counts", "counts below 0", "whole, in bins", "flags", "few"]


def by_datashader(values: np.ndarray) -> np.ndarray:
    """What `tf.eq_hist` makes of the values, from 0 to 1 as `tf.shade` spans the colours over it."""
    whole = (values == np.rint(values)).all()
    found, _ = tf.eq_hist(values.astype("i8" if whole else "f8"))
    return (found - found.min()) / (found.max() - found.min())


def places(values: np.ndarray, low: float, high: float, **options) -> np.ndarray:
    return Ramp(low, high, "eq_hist", equalise(values, low, high, **options)).places(values)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("split", [1 << 18, 700], ids=["one part", "several parts"])
def test_values_stand_where_datashader_puts_them(monkeypatch, kind, split):
    monkeypatch.setattr(equalised, "SPLIT", split)
    values = made(kind)
    found = places(values, float(values.min()), float(values.max()))
    np.testing.assert_allclose(found, by_datashader(values), atol=1e-12)
    assert (found.min(), found.max()) == (0, 1)


@pytest.mark.parametrize("kind", ["normal", "skewed", "a gene", "counts"])
def test_only_values_between_the_ends_count_and_others_have_the_colour_of_their_end(kind):
    values = made(kind)
    known = np.append(values, [np.nan] * 50).astype("f4")
    low, high = np.quantile(values, [0.02, 0.97])
    found = places(known, low, high)
    inside = (values >= low) & (values <= high)
    np.testing.assert_allclose(found[:N][inside], by_datashader(values[inside]), atol=1e-12)
    assert (found[:N][values < low] == 0).all()
    assert (found[:N][values > high] == 1).all()
    assert np.isnan(found[N:]).all()


@pytest.mark.parametrize("kind", KINDS)
def test_with_0_in_the_middle_distances_from_it_are_equalised(kind):
    values = made(kind)
    high = float(np.abs(values).max())
    found = places(values, -high, high, centred=True)
    np.testing.assert_allclose(found, 0.5 + np.sign(values) * by_datashader(np.abs(values)) / 2, atol=1e-12)


def test_each_colour_has_as_many_cells_as_any_other():
    values = np.random.default_rng(0).lognormal(0, 1, 100_000).astype("f4")
    found = places(values, float(values.min()), float(values.max()))
    counts = np.histogram(found, 10, (0, 1))[0]
    assert counts.min() > 9_900
    assert np.histogram(values, 10)[0].max() > 90_000


@pytest.mark.parametrize("values", [[3.0] * 9, [np.nan] * 9, [], [0.0, np.nan]], ids=str)
@pytest.mark.parametrize("centre", [False, True])
def test_values_that_are_all_alike_are_drawn_as_on_a_plain_scale(values, centre):
    coloring = CellValues("v", np.array(values, dtype="f4")).coloring
    equal, plain = (Scale(shading=shading, centre=centre).ramp(coloring) for shading in ("eq_hist", "linear"))
    at = np.linspace(plain.low, plain.high, 9)
    np.testing.assert_allclose(equal.places(at), plain.places(at))
    assert equal.ticks()
