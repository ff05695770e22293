"""Every encoding that anndata writes of values with rows, and what is registered of them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from cellasso.encodings.registry import ENCODINGS
from contracts.encoding_contract import N_OBS, EncodingContract


class TestNumbers(EncodingContract):
    encoding = "array"
    kind = "number"

    def values(self, rng):
        return rng.normal(size=N_OBS)


class TestFlags(EncodingContract):
    encoding = "array"
    kind = "boolean"

    def values(self, rng):
        return rng.random(N_OBS) < 0.5


class TestTexts(EncodingContract):
    encoding = "string-array" if pd.__version__ < "3" else "nullable-string-array"  # pandas 3 has a type for texts
    kind = "text"

    def values(self, rng):
        return np.array([f"µ{i}" for i in range(N_OBS)], dtype=object)


class TestCategorical(EncodingContract):
    encoding = "categorical"
    kind = "category"

    def values(self, rng):
        return pd.Categorical(rng.choice(["lo", None, "hi"], N_OBS), categories=["lo", "unused", "hi"], ordered=True)


class TestNullableInteger(EncodingContract):
    encoding = "nullable-integer"
    kind = "number"

    def values(self, rng):
        return pd.array(np.where(rng.random(N_OBS) < 0.3, None, 2), dtype="Int16")


class TestNullableBoolean(EncodingContract):
    encoding = "nullable-boolean"
    kind = "boolean"

    def values(self, rng):
        return pd.array(np.where(rng.random(N_OBS) < 0.3, None, True), dtype="boolean")


class TestNullableText(EncodingContract):
    encoding = "nullable-string-array"
    kind = "text"

    def values(self, rng):
        return pd.array(np.where(rng.random(N_OBS) < 0.3, None, "s"), dtype="string")


class TestCsr(EncodingContract):
    encoding, place = "csr_matrix", "obsm"

    def values(self, rng):
        return sparse.random(N_OBS, 7, density=0.3, format="csr", random_state=rng)


class TestCsc(EncodingContract):
    encoding, place = "csc_matrix", "obsm"

    def values(self, rng):
        return sparse.random(N_OBS, 7, density=0.3, format="csc", random_state=rng)


class TestDense(EncodingContract):
    encoding, place = "array", "obsm"

    def values(self, rng):
        return rng.normal(size=(N_OBS, 2)).astype("f4")


class TestDataFrame(EncodingContract):
    encoding, place = "dataframe", "obsm"

    def values(self, rng):
        index = [f"c{i}" for i in range(N_OBS)]
        return pd.DataFrame({"b": rng.random(N_OBS), "a": pd.Categorical(rng.choice(["x", "y"], N_OBS))}, index=index)


@pytest.mark.filterwarnings("ignore::anndata.ExperimentalFeatureWarning")
class TestAwkward(EncodingContract):
    encoding, place = "awkward-array", "obsm"

    def values(self, rng):
        awkward = pytest.importorskip("awkward")
        return awkward.Array([[{"v": i, "name": f"n{i}"}] * (i % 3) for i in range(N_OBS)])

    def test_its_shape_is_known_without_its_values(self, node):
        from cellasso.encodings import elements

        assert elements.shape(node) == (N_OBS,)


def test_no_name_is_registered_twice():
    names = [(name, each.is_array) for each in ENCODINGS for name in each.names]
    assert len(names) == len(set(names))
    for name, is_array in names:
        assert sum(each.is_array == is_array and each.covers(name) for each in ENCODINGS) == 1, name
