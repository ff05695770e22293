"""Numbers compared by NumPy against what Python's own integers and fractions say, which have no limits."""

from __future__ import annotations

import operator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import cellasso
from cellasso.core.numeric import SIGNS, compare_pairs, compare_with, parsed_number
from cellasso.selection.expression import parse

DTYPES = ["i1", "u1", "i4", "u4", "i8", "u8", "f4", "f8"]
NEAR = [0, 1, -1, 127, 128, 255, 2**24, 2**24 + 1, 2**31, 2**32, 2**53 - 1, 2**53, 2**53 + 1, 2**60 + 1]
NEAR += [2**63 - 1, 2**63, 2**63 + 1, 2**64 - 1, 2**64, 2**64 + 1, 10**20, 10**300]
TEXTS = [f"{sign}{abs(n)}{tail}" for n in NEAR for sign in ("", "-") for tail in ("", ".0", ".5")]
TEXTS += ["1e3", "1.5e1", "-0.0", "0.1", "1e18", "9007199254740992.9", "1e-400"]


def values_of(dtype: str) -> np.ndarray:
    """Every value of NEAR and its neighbours that the dtype holds, and what only floats have."""
    if dtype.startswith("f"):
        values = np.array([float(sign * n) for n in NEAR for sign in (1, -1)] + [0.1, 0.5, -0.5, np.inf, -np.inf])
        with np.errstate(over="ignore"):
            return values.astype(dtype)
    bounds = np.iinfo(dtype)
    numbers = {n + d for n in (*NEAR, *(-n for n in NEAR), bounds.min, bounds.max) for d in (-1, 0, 1)}
    return np.array([n for n in sorted(numbers) if bounds.min <= n <= bounds.max], dtype=dtype)


def exact(value: np.generic) -> Fraction | float:
    number = value.item()
    return Fraction(number) if np.isfinite(number) else number


@pytest.mark.parametrize("sign", SIGNS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_number_compares_as_pythons_own_do(dtype, sign):
    values = values_of(dtype)
    for text in TEXTS:
        number = parsed_number(text)
        # beside floats it is the nearest one of their precision, as NumPy has it
        with np.errstate(over="ignore"):
            other = exact(values.dtype.type(float(text))) if dtype.startswith("f") else Fraction(text)
            found = compare_with(values, sign, number)
        assert found.tolist() == [SIGNS[sign](exact(value), other) for value in values], text


@pytest.mark.parametrize("sign", SIGNS)
@pytest.mark.parametrize("left", DTYPES)
@pytest.mark.parametrize("right", DTYPES)
def test_two_columns_compare_as_pythons_own_numbers_do(left, right, sign):
    one, two = values_of(left), values_of(right)
    one, two = np.repeat(one, len(two)), np.tile(two, len(one))
    expected = [SIGNS[sign](exact(a), exact(b)) for a, b in zip(one, two, strict=True)]
    assert compare_pairs(one, sign, two).tolist() == expected


@pytest.mark.parametrize("text", ["", "x", "nan", "inf", "-inf", "1e309", "9" * 310, "1e999999999999", "0x10", "1,5"])
def test_what_is_no_finite_number_is_none(text):
    assert parsed_number(text) is None


def test_whole_numbers_keep_every_digit():
    assert parsed_number("12345678901234567890123") == 12345678901234567890123
    assert parsed_number("-1.50e2") == -150


class Columns:
    """Four whole numbers around a large one, in each form that obs keeps them in."""

    n_obs = 4
    NUMBERS = (2**63 - 2, 2**63 - 1, 5, 2**63 - 3)

    def read_column(self, name: str) -> pd.Series:
        return {
            "signed": pd.Series(self.NUMBERS, dtype="i8"),
            "unsigned": pd.Series(self.NUMBERS, dtype="u8") + np.uint64(2**63),
            "nullable": pd.Series([*self.NUMBERS[:3], None], dtype="Int64"),
            "category": pd.Series(pd.Categorical(self.NUMBERS)),
        }[name]


@pytest.mark.parametrize(
    ("expression", "cells"),
    [
        (f"signed == {2**63 - 1}", [1]),
        (f"signed in [{2**63 - 1}, {2**63 - 3}]", [1, 3]),
        (f"signed > {2**63 - 2}", [1]),
        (f"signed == '{2**63 - 2}'", [0]),
        (f"signed < {10**30}", [0, 1, 2, 3]),
        (f"signed >= {-(10**30)}", [0, 1, 2, 3]),
        (f"unsigned == {2**64 - 1}", [1]),
        (f"unsigned >= {2**64 - 2}", [0, 1]),
        ("unsigned > -1", [0, 1, 2, 3]),
        (f"nullable == {2**63 - 1}", [1]),
        (f"not nullable == {2**63 - 1}", [0, 2]),
        (f"category == {2**63 - 1}", [1]),
        (f"category <= {2**63 - 2}.5", [0, 2, 3]),
        ("signed < unsigned", [0, 1, 2, 3]),
        ("signed == nullable", [0, 1, 2]),
        ("signed == category", [0, 1, 2, 3]),
    ],
)
def test_expressions_find_whole_numbers_to_the_last_digit(expression, cells):
    assert np.flatnonzero(parse(expression).evaluate(Columns())).tolist() == cells


CASE = Path(__file__).parents[3] / "shared" / "cases" / "made__big_integers.h5ad"


@pytest.mark.skipif(not CASE.exists(), reason="the folder of cases is not here")
@pytest.mark.parametrize("column", ["plain", "u64", "nul", "cat", "mid"])
def test_large_integers_of_a_file_are_told_apart(column):
    with cellasso.open(CASE, index=False) as dataset:
        values = dataset.read_obs(column)
        for wanted in values.dropna().unique().tolist():
            for sign, test in (("==", operator.eq), ("<", operator.lt), (">=", operator.ge)):
                expected = [not pd.isna(value) and test(int(value), int(wanted)) for value in values]
                assert dataset.where(f"{column} {sign} {wanted}").tolist() == expected
