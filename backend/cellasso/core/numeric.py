"""Comparing numbers as what they are: whole ones to the last digit, not by way of floats, exact only up to 2**53."""

from __future__ import annotations

import math
import operator
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Mask: TypeAlias = NDArray[np.bool_]

Number: TypeAlias = int | Decimal
"""What was written: an int where it is whole, however long, else the decimal fraction itself."""

SIGNS: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "==": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
MIRRORED: Final = {"==": "==", "<": ">", "<=": ">=", ">": "<", ">=": "<="}

_FOR_LESSER: Final = {"==": False, "<": True, "<=": True, ">": False, ">=": False}
_FOR_GREATER: Final = {"==": False, "<": False, "<=": False, ">": True, ">=": True}
"""Result of each comparison where the left value is the lesser one, and where it is the greater one."""


def parsed_number(text: str) -> Number | None:
    """Return the number that `text` spells; `None` where it spells none, or one beyond all floats."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    if not number.is_finite() or math.isinf(float(number)):
        return None
    return int(number) if number == number.to_integral_value() else number


def compare_with(values: NDArray[Any], sign: str, number: Number) -> Mask:
    """Compare numbers with one number: whole ones exactly, floats with the nearest float of their precision.

    Parameters
    ----------
    values
        `(n,)`, integers or floats; a NaN compares as false.
    sign
        A key of `SIGNS`; the values stand on its left.
    number
        As of `parsed_number`. With integers it may be a fraction, or beyond what their dtype holds: the comparison
        comes to what it would for the numbers themselves.

    Returns
    -------
    `(n,)`.
    """
    if values.dtype.kind not in "iu":
        return np.asarray(SIGNS[sign](values, values.dtype.type(float(number))))
    if isinstance(number, Decimal):  # no whole number equals a fraction; those up to its floor are less
        if sign == "==":
            return np.zeros(values.shape, dtype=np.bool_)
        sign, number = "<=" if sign in {"<", "<="} else ">", math.floor(number)
    bounds = np.iinfo(values.dtype)
    if number > bounds.max:
        return np.full(values.shape, _FOR_LESSER[sign])
    if number < bounds.min:
        return np.full(values.shape, _FOR_GREATER[sign])
    return np.asarray(SIGNS[sign](values, values.dtype.type(number)))


def compare_pairs(left: NDArray[Any], sign: str, right: NDArray[Any]) -> Mask:
    """Compare two columns pair by pair; integers with floats, and signed with unsigned ones, exactly.

    Parameters
    ----------
    left, right
        `(n,)` each, of numbers or of anything that NumPy compares. The result of a pair with a NaN is undefined where
        one side is whole: callers mask such pairs.
    sign
        A key of `SIGNS`, which stands between them.

    Returns
    -------
    `(n,)`.
    """
    kinds = left.dtype.kind, right.dtype.kind
    if kinds in {("i", "f"), ("u", "f")}:
        return _compare_with_floats(left, sign, right)
    if kinds in {("f", "i"), ("f", "u")}:
        return _compare_with_floats(right, MIRRORED[sign], left)
    if kinds == ("i", "u"):
        return _compare_with_unsigned(left, sign, right)
    if kinds == ("u", "i"):
        return _compare_with_unsigned(right, MIRRORED[sign], left)
    return np.asarray(SIGNS[sign](left, right))


def _compare_with_unsigned(signed: NDArray[Any], sign: str, unsigned: NDArray[Any]) -> Mask:
    found = SIGNS[sign](signed.astype(np.uint64), unsigned.astype(np.uint64))
    return np.where(signed < 0, _FOR_LESSER[sign], found)


def _compare_with_floats(whole: NDArray[Any], sign: str, floats: NDArray[Any]) -> Mask:
    """Compare with the whole number below or above each float, which decides alike."""
    wide = np.dtype(np.int64 if whole.dtype.kind == "i" else np.uint64)
    floats = floats.astype(np.float64)
    near = np.ceil(floats) if sign in {"<", ">="} else np.floor(floats)
    low, high = float(np.iinfo(wide).min), float(np.iinfo(wide).max)  # as a float `high` is one above the largest
    above, below = near >= high, near < low
    known = ~(above | below | np.isnan(near))
    nearest = np.where(known, near, 0).astype(wide)
    found = SIGNS[sign](whole.astype(wide), nearest)
    if sign == "==":
        found &= near == floats
    return np.select([above, below], [_FOR_LESSER[sign], _FOR_GREATER[sign]], found)


# -- arrays of numbers --------------------------------------------------------------------------------


def as_numbers(values: NDArray[Any]) -> NDArray[Any]:
    """Return values that a kernel can add up: no float16, no booleans, this machine's byte order."""
    if values.dtype.kind == "b":
        return values.view(np.uint8)
    if values.dtype == np.float16:
        return values.astype(np.float32)
    return values if values.dtype.isnative else values.astype(values.dtype.newbyteorder("="))


def native(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype in this machine's byte order."""
    return dtype.newbyteorder("=")


def foreign_order(dtype: np.dtype[Any]) -> np.dtype[Any] | None:
    """Return a dtype of numbers in this machine's byte order, the only one in which pandas selects rows.

    `None` where it is in that order already, or holds no numbers.
    """
    return dtype.newbyteorder("=") if dtype.kind in "iufc" and not dtype.isnative else None
