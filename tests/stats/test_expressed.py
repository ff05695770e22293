"""Cells above a cutoff by group, against pandas."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cellasso.stats.expressed import count_expressed


@pytest.mark.parametrize("dtype", ["f4", "f8", "i2", "u1"])
@pytest.mark.parametrize("cutoff", [0.0, 1.0, -1.0])
def test_against_pandas(dtype, cutoff):
    rng = np.random.default_rng(0)
    values = rng.integers(0, 4, 500).astype(dtype)
    if dtype.startswith("f"):
        values[:50] = np.nan
        values[50:90] = -1.5
    codes = rng.integers(-1, 4, 500).astype(np.int32)
    found = count_expressed(values, codes, 5, cutoff)  # the last one has no cells
    series = pd.Series(values.astype("f8"))[codes >= 0]
    groups = codes[codes >= 0]
    above = (series > cutoff).astype(float).where(series.notna())
    np.testing.assert_allclose(found.fraction[:4], above.groupby(groups).mean())
    np.testing.assert_allclose(found.mean[:4], series.where(series > cutoff).groupby(groups).mean().fillna(0))
    assert np.isnan(found.fraction[4])
    assert found.mean[4] == 0
    assert found.n_known[:4].tolist() == series.groupby(groups).count().tolist()
