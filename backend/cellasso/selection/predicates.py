"""What a where-expression computes: tests on columns, in three-valued logic, over all cells at once."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import numpy as np
import pandas as pd

from cellasso.core.errors import AmbiguousNameError, NotFoundError
from cellasso.core.numeric import SIGNS, compare_pairs, compare_with, parsed_number

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from cellasso.core.numeric import Number

_NUMBERS, _TEXT, _BOOLS, _DATES = "numbers", "text", "true and false", "dates (written as '2024-12-31')"
_KINDS: Final = {  # by what pandas infers
    "string": _TEXT,
    "empty": _TEXT,
    "boolean": _BOOLS,
    "integer": _NUMBERS,
    "floating": _NUMBERS,
    "mixed-integer-float": _NUMBERS,
    "datetime64": _DATES,
    "datetime": _DATES,
}

Mask: TypeAlias = "NDArray[np.bool_]"
Read: TypeAlias = "Callable[[str], Column]"


class MistakeError(Exception):
    """What is wrong and at which character, counted from 1; `_expression_error` shows it to the user."""

    def __init__(self, message: str, at: int) -> None:
        super().__init__(message)
        self.at = at


@dataclass(frozen=True)
class Column:
    """Values of one kind: numbers, bools or UTC dates; text as the codes of its categories."""

    kind: str
    data: Any
    present: Mask
    categories: pd.Index[Any] | None = None
    ordered: bool = False


def column_of(series: pd.Series[Any]) -> Column:
    """Return the values of a column in a form that tests can compare at once."""
    present = series.notna().to_numpy()
    if isinstance(series.dtype, pd.CategoricalDtype):
        codes, categories = series.cat.codes.to_numpy(), series.cat.categories
        decoded = column_of(pd.Series(categories))
        if decoded.kind == _TEXT or not len(categories):
            index = pd.Index(categories, dtype=object)
            return Column(_TEXT, codes, present, index, ordered=bool(series.cat.ordered))
        return Column(decoded.kind, decoded.data[codes], present)
    inferred = pd.api.types.infer_dtype(series, skipna=True)
    kind = _KINDS.get(inferred, f"{inferred} values")
    if kind == _TEXT:
        codes, uniques = pd.factorize(series)
        return Column(kind, codes, present, pd.Index(uniques, dtype=object))
    return Column(kind, _plain(series, kind), present)


def _plain(series: pd.Series[Any], kind: str) -> Any:
    """Return the values in a form that compares; what stands for a missing one does not matter."""
    if kind == _DATES:
        return pd.DatetimeIndex(pd.to_datetime(series, utc=True))
    if kind == _BOOLS:
        return series.to_numpy(dtype=np.bool_, na_value=False)
    if pd.api.types.is_integer_dtype(series.dtype):  # not as floats, which are exact only up to 2**53
        dtype: Any = getattr(series.dtype, "numpy_dtype", series.dtype)
        return series.to_numpy(dtype=dtype, na_value=0)
    if kind != _NUMBERS:
        return series.to_numpy()
    dtype = getattr(series.dtype, "numpy_dtype", series.dtype)
    wide = dtype if dtype == np.float32 else np.dtype(np.float64)
    return series.to_numpy(dtype=wide, na_value=np.nan)


@dataclass(frozen=True)
class Name:
    """A name in an expression, and where it stands."""

    name: str
    at: int

    def column(self, read: Read) -> Column:
        """Return its column, over all cells.

        Raises
        ------
        MistakeError
            There is none of that name, or the name is ambiguous.
        """
        try:
            return read(self.name)
        except NotFoundError as error:
            raise MistakeError(f"{error} (text to compare with stands in quotes)", self.at) from error
        except AmbiguousNameError as error:
            raise MistakeError(str(error), self.at) from error


@dataclass(frozen=True)
class Literal:
    """A value in an expression."""

    value: str | Number | bool
    text: str  # as written, or what the quotes hold
    at: int


def _wanted(name: Name, column: Column, literal: Literal, *, equality: bool) -> Any:
    """Return the literal as what the column's values compare with."""
    value = literal.value
    wanted: Any = None
    if column.kind == _TEXT:
        wanted = literal.text
    elif isinstance(value, bool):
        wanted = value if column.kind == _BOOLS else None
    elif column.kind == _NUMBERS and (equality or not isinstance(value, str)):
        wanted = parsed_number(literal.text)
    elif column.kind == _DATES and isinstance(value, str):
        wanted = _date(value)
    if wanted is None:
        shown = repr(value) if isinstance(value, str) else literal.text
        kind = {str: "text", bool: "true or false"}.get(type(value), "a number")
        raise MistakeError(f"{name.name} holds {column.kind}, {shown} is {kind}", literal.at)
    return wanted


def _date(text: str) -> pd.Timestamp | None:
    try:
        date = pd.Timestamp(datetime.fromisoformat(text))
    except ValueError:
        return None
    return date.tz_localize("UTC") if date.tz is None else date


class Truth(NamedTuple):
    """Where a test is true and where it is false; it is unknown where it is neither."""

    true: Mask
    false: Mask


def _known(hit: Any, present: Mask) -> Truth:
    hit = np.asarray(hit, dtype=np.bool_)
    return Truth(hit & present, ~hit & present)


def is_true(name: Name, read: Read) -> Truth:
    """Return where a boolean column is true; unknown where it is missing.

    Parameters
    ----------
    name
        Of the column.
    read
        Returns the column of a name, over all cells.

    Raises
    ------
    MistakeError
        There is no such column, its name is ambiguous, or it is not boolean.
    """
    column = name.column(read)
    if column.kind != _BOOLS:
        message = f"{name.name} holds {column.kind}, which is no test by itself: compare it with a value"
        raise MistakeError(message, name.at)
    return _known(column.data, column.present)


def is_null(name: Name, read: Read) -> Truth:
    """Return where a value is missing; never unknown.

    Parameters
    ----------
    name, read
        As of `is_true`.

    Raises
    ------
    MistakeError
        There is no such column, or its name is ambiguous.
    """
    present = name.column(read).present
    return Truth(~present, present)


def is_in(name: Name, literals: tuple[Literal, ...], read: Read) -> Truth:
    """Return where a value is one of a list, of an empty one nowhere; unknown where it is missing.

    Parameters
    ----------
    name, read
        As of `is_true`.
    literals
        The list. Text equals a number if it is the number as written, and numbers equal text that reads as one.

    Raises
    ------
    MistakeError
        There is no such column, its name is ambiguous, or a value of the list is of another kind than the column's.
    """
    column = name.column(read)
    wanted = dict.fromkeys(_wanted(name, column, literal, equality=True) for literal in literals)
    if column.categories is not None:
        # Per category, then taken by code: the appended one is for code -1, a missing value.
        return _known(np.append(column.categories.isin(list(wanted)), [False])[column.data], column.present)
    hit = np.zeros(len(column.present), dtype=np.bool_)
    for value in wanted:
        hit |= _compared(column, "==", value)
    return _known(hit, column.present)


def is_beyond(name: Name, sign: str, literal: Literal, at: int, read: Read) -> Truth:
    """Return where a value lies on one side of a literal by order; unknown where it is missing.

    Parameters
    ----------
    name, read
        As of `is_true`.
    sign
        `"<"`, `"<="`, `">"` or `">="`, with the column on its left.
    literal
        What it is compared with. One that is no category of an ordered categorical matches nothing.
    at
        Where the sign stands, counted from 1.

    Raises
    ------
    MistakeError
        There is no such column, its name is ambiguous, it has no order, or the literal is of another kind.
    """
    column = name.column(read)
    wanted = _wanted(name, column, literal, equality=False)
    _require_order(name, column, at)
    if column.categories is not None:
        wanted = column.categories.get_indexer(pd.Index([wanted], dtype=object))[0]
        if wanted < 0:
            return _known(np.zeros_like(column.present), column.present)
    return _known(_compared(column, sign, wanted), column.present)


def compares(left: Name, sign: str, right: Name, at: int, read: Read) -> Truth:
    """Return where two columns compare so, cell by cell; unknown where one of them is missing.

    Parameters
    ----------
    left, right
        Names of the columns.
    sign
        A key of `core.numeric.SIGNS`, which stands between them.
    at
        Where the sign stands, counted from 1.
    read
        As of `is_true`.

    Raises
    ------
    MistakeError
        There is no such column, a name is ambiguous, or they hold different kinds; by order also: one has none, or
        they do not have the same ordered categories.
    """
    one, two = left.column(read), right.column(read)
    if one.kind != two.kind:
        raise MistakeError(f"{left.name} holds {one.kind}, {right.name} holds {two.kind}", at)
    data = two.data
    if sign != "==":
        _require_order(left, one, at)
        _require_order(right, two, at)
    if one.categories is not None and two.categories is not None:
        if sign != "==" and not one.categories.equals(two.categories):
            raise MistakeError(f"{left.name} and {right.name} do not have the same ordered categories", at)
        data = np.append(one.categories.get_indexer(two.categories), [-1])[data]
    return _known(compare_pairs(one.data, sign, data), one.present & two.present)


def _compared(column: Column, sign: str, wanted: Any) -> Any:
    """Compare with a value of the column's kind."""
    return compare_with(column.data, sign, wanted) if column.kind == _NUMBERS else SIGNS[sign](column.data, wanted)


def _require_order(name: Name, column: Column, at: int) -> None:
    if not (column.ordered or column.kind in {_NUMBERS, _DATES}):
        raise MistakeError(f"{name.name} holds {column.kind}, which has no order: use ==, != or in", at)


def _negated(inner: Node, read: Read) -> Truth:
    true, false = inner.truth(read)
    return Truth(false, true)


def every(parts: list[Node], read: Read) -> Truth:
    """Return where all parts are true; false where any is false, else unknown.

    Parameters
    ----------
    parts
        One or more; all are evaluated.
    read
        As of `is_true`.

    Raises
    ------
    MistakeError
        That of the first part with a mistake.
    """
    true, false = parts[0].truth(read)
    for part in parts[1:]:
        more = part.truth(read)
        true, false = true & more.true, false | more.false
    return Truth(true, false)


def some(parts: list[Node], read: Read) -> Truth:
    """Return where any part is true; false where all are false, else unknown.

    Parameters
    ----------
    parts, read
        As of `every`.

    Raises
    ------
    MistakeError
        As of `every`.
    """
    true, false = parts[0].truth(read)
    for part in parts[1:]:
        more = part.truth(read)
        true, false = true | more.true, false & more.false
    return Truth(true, false)


class Node(NamedTuple):
    """A test: the names in it, and the function that evaluates it."""

    names: tuple[str, ...]
    truth: Callable[[Read], Truth]


def leaf(test: Callable[..., Truth], name: Name, *rest: Any) -> Node:
    """Return the node of a test on columns; nothing is read yet.

    Parameters
    ----------
    test
        Called as `test(name, *rest, read)` when the node is evaluated.
    name
        The first column.
    rest
        Further arguments of the test; names among them are noted as names of the node.
    """
    names = dict.fromkeys(part.name for part in (name, *rest) if isinstance(part, Name))
    return Node(tuple(names), functools.partial(test, name, *rest))


def negation(inner: Node) -> Node:
    """Return the node that is true where another is false."""
    return Node(inner.names, functools.partial(_negated, inner))


def joined(test: Callable[[list[Node], Read], Truth], parts: list[Node]) -> Node:
    """Return the node that joins others; nothing is read yet.

    Parameters
    ----------
    test
        `every` or `some`.
    parts
        One or more nodes; their names are those of the node, each once.
    """
    names = dict.fromkeys(chain.from_iterable(part.names for part in parts))
    return Node(tuple(names), functools.partial(test, parts))
