"""Densities of groups, against SciPy's and seaborn's; medians against NumPy's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import gaussian_kde
from seaborn._statistics import KDE

from cellasso.stats.density import N_POINTS, group_densities

RNG = np.random.default_rng(2)
SAMPLES = {
    "normal": RNG.normal(size=4_000),
    "counts": RNG.poisson(0.3, 5_000).astype("f4"),
    "log of counts": np.log1p(RNG.poisson(0.05, 6_000) * RNG.lognormal(6, 0.4, 6_000)).astype("f4"),
    "rare": np.where(RNG.random(8_000) < 2e-3, RNG.lognormal(size=8_000), 0.0),
    "outlier": np.append(RNG.normal(size=500), 60.0),
    "negative": -RNG.lognormal(size=300),
    "two values": np.array([0.0, 1.0]),
    "three": np.array([-1.0, 0.0, 5.0]),
    "integers": RNG.integers(-5, 5, 200),
}


@pytest.mark.parametrize("values", SAMPLES.values(), ids=SAMPLES)
def test_densities_are_those_of_scipy(values):
    found = group_densities(values, np.zeros(len(values), dtype=np.int32), 1)
    grid = np.linspace(values.min(), values.max(), N_POINTS)
    expected = gaussian_kde(values)(grid)
    np.testing.assert_allclose(found.support[0], grid, rtol=0, atol=1e-6 * np.ptp(values))
    assert np.abs(found.density[0] - expected).max() < 1e-4 * expected.max()
    assert found.median[0] == np.median(values)
    assert found.n_known[0] == len(values)


def test_it_is_the_density_of_a_violin():
    """As seaborn draws it with scanpy's `cut=0`."""
    values = SAMPLES["normal"]
    expected, support = KDE(cut=0, gridsize=100)(values)
    found = group_densities(values, np.zeros(len(values), dtype=np.int8), 1)
    np.testing.assert_allclose(found.support[0], support, atol=1e-12)
    np.testing.assert_allclose(found.density[0], expected, rtol=0, atol=1e-4 * expected.max())


def test_groups_are_told_apart_and_missing_values_left_out():
    values = RNG.normal(size=900)
    values[:100] = 0
    values[100:120] = np.nan
    values[120:123] = [np.inf, -np.inf, np.inf]
    codes = RNG.integers(-1, 3, 900)
    found = group_densities(values, codes, 4)
    for group in range(3):
        own = values[(codes == group) & np.isfinite(values)]
        alone = group_densities(own, np.zeros(len(own), dtype=np.int64), 1)
        np.testing.assert_array_equal(found.density[group], alone.density[0])
        assert found.median[group] == np.median(own)
        assert found.n_known[group] == len(own)
        assert (found.low[group], found.high[group]) == (own.min(), own.max())
    assert np.isnan(found.support[3]).all()
    assert np.isnan(found.median[3])


@pytest.mark.parametrize("values", [[0.0, 0.0, 0.0], [2.5], [-1.0, -1.0]])
def test_values_that_are_all_the_same_have_no_density(values):
    found = group_densities(np.array(values), np.zeros(len(values), dtype=np.int32), 1)
    assert np.isnan(found.density).all()
    assert found.median[0] == found.low[0] == found.high[0] == values[0]


@pytest.mark.parametrize("n", [2, 3, 4, 5, 8, 9])
def test_medians_with_zeros_in_between(n):
    for seed in range(40):
        values = np.random.default_rng(seed).integers(-2, 3, n).astype(float)
        assert group_densities(values, np.zeros(n, dtype=np.int32), 1).median[0] == np.median(values)


def test_scaled_values():
    values, codes = SAMPLES["counts"], RNG.integers(0, 2, 5_000)
    low, high = 0.0, 4.0
    found = group_densities(values, codes, 2).scaled(low, high)
    expected = group_densities((values.astype("f8") - low) / (high - low), codes, 2)
    np.testing.assert_allclose(found.support, expected.support)
    np.testing.assert_allclose(found.density, expected.density, atol=1e-4 * expected.density.max())
    np.testing.assert_allclose(found.median, expected.median)
    flat = group_densities(values, codes, 2).scaled(1.0, 1.0)
    assert (flat.support == 0).all()
    assert np.isnan(flat.density).all()


def test_widths_of_violins():
    values = np.concatenate([RNG.normal(size=100), RNG.normal(scale=3, size=400)])
    found = group_densities(values, np.repeat([0, 1], [100, 400]), 2)
    np.testing.assert_allclose(found.widths("width").max(axis=1), [1, 1])
    np.testing.assert_allclose(found.widths("count").max(axis=1), [0.25, 1])
    area = found.widths("area")
    np.testing.assert_allclose(area, found.density / found.density.max())
