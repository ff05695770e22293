r"""The where-expression: a small, safe grammar over obs columns and features (``n_genes >= 200 and CD4 > 1``).

Names
    Bare words: letters of any script, digits, ``_ . :`` and inner ``-``, not starting with a digit (``HLA-A``,
    ``rna:leiden``, ``chr1:100-200``). Any other name stands in backticks, a backtick in it doubled; so does a
    name that is a word of the grammar (``and or not in is null true false``, in any case).
Values
    Numbers, ``true`` and ``false`` (in any case), text in single or double quotes. A backslash takes the next
    character as it is; ``\n`` and ``\t`` are the newline and the tab.
Tests
    ``== = != < <= > >=``, also in chains (``1 < CD4 <= 3``), between a name and a value or between two names;
    ``in`` and ``not in`` with a list in brackets or parentheses; ``is null``, ``is not null``; a boolean name
    alone. Joined by ``not``, ``and``, ``or`` (in any case; ``~ & |`` mean and bind the same) and parentheses.
Quotes
    Quoted text is a value, with one exception: left of an operator and beside no name, it is itself the name
    (``"my column" == 3``, ``"my column" in [1, 2]``, ``"my column" is null``).
Missing values
    Logic is three-valued, as in SQL: a test on a missing value is unknown, also with ``!=`` and ``not in``, and
    ``not`` keeps it unknown. Only ``is null`` always knows. What stays unknown is not selected.
Kinds
    Text equals a number if it is the number as written (``leiden == 3`` finds ``'3'``). It has an order only in
    an ordered categorical, that of its categories. A value that is no category matches nothing. Numbers equal
    quoted text that reads as one. A number is rounded to the column's own precision before it is compared, as
    NumPy does: ``CD4 > 0.1`` on float32 leaves out the float32 nearest to 0.1. Dates
    compare with quoted ISO dates, UTC if no zone is given.
"""

from __future__ import annotations

import functools
import math
import operator
import re
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypeAlias

import numpy as np
import pandas as pd

from cellasso.errors import ElementError, ExpressionError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lark import Lark, Token
    from lark.exceptions import UnexpectedInput
    from numpy.typing import NDArray

# Evaluation takes at most three Python frames per pair of parentheses; the interpreter allows 1000 in all.
MAX_DEPTH: Final = 100
MAX_LENGTH: Final = 10_000
_SHOWN: Final = 60  # characters of the expression that a message shows on either side of the mistake

_GRAMMAR: Final = r"""
?start: either
?either: both (_OR both)*
?both: test (_AND test)*
?test: (NOT | TILDE)+ atom -> negation
     | atom
?atom: "(" either ")"
     | (BARE | BACKTICK) -> flag
     | operand (OPERATOR operand)+ -> comparison
     | subject [NOT] _IN values -> member
     | subject _IS [NOT] _NULL -> null
?operand: BARE | BACKTICK | STRING | NUMBER | BOOL
?subject: BARE | BACKTICK | STRING
values: "[" (_literal ("," _literal)* ","?)? "]"
      | "(" (_literal ("," _literal)* ","?)? ")"
_literal: STRING | NUMBER | BOOL

_OR.2: /or(?![\w.:-])|\|/i
_AND.2: /and(?![\w.:-])|&/i
NOT.2: /not(?![\w.:-])/i
_IN.2: /in(?![\w.:-])/i
_IS.2: /is(?![\w.:-])/i
_NULL.2: /null(?![\w.:-])/i
BOOL.2: /(?:true|false)(?![\w.:-])/i
TILDE: "~"
OPERATOR: /==|!=|<=|>=|[=<>]/
BARE: /[^\W\d][\w.:]*(?:-+[\w.:]+)*/
BACKTICK: /`(?:``|[^`])+`/
STRING: /'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"/s
NUMBER: /-?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?(?![\w.:])/i
%ignore /\s+/
"""

# What a message calls the terminals that could stand at the mistake, in this order.
_EXPECTED: Final = {
    "BARE": "a name",
    "NUMBER": "a number",
    "STRING": "text in quotes",
    "BOOL": "true or false",
    "LPAR": "(",
    "LSQB": "[",
    "OPERATOR": "a comparison (== != < <= > >=)",
    "_IN": "in",
    "NOT": "not",
    "_IS": "is null",
    "_NULL": "null",
    "COMMA": "a comma",
    "RSQB": "]",
    "RPAR": ")",
    "_AND": "and",
    "_OR": "or",
    "$END": "the end",
}
_COMPARE: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "==": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_MIRRORED: Final = {"==": "==", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
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
_Read: TypeAlias = "Callable[[str], _Column]"


class Columns(Protocol):
    """What an expression is evaluated against."""

    @property
    def n_obs(self) -> int:
        """Number of observations."""

    def read_column(self, name: str) -> pd.Series[Any] | NDArray[Any]:
        """Read an obs column as it is, or a feature as floats, shape ``(n_obs,)``; raise NotFoundError."""


@dataclass(frozen=True)
class Where:
    """A parsed expression, with its names in the order of first use."""

    text: str
    names: tuple[str, ...]
    _truth: Callable[[_Read], _Truth] = field(repr=False, compare=False)

    def evaluate(self, columns: Columns) -> Mask:
        """Return where the expression is true, shape ``(n_obs,)``; what is unknown counts as false.

        Reads each name once. Raises ExpressionError for a name that `columns` does not have, and for a
        comparison that its values do not allow.
        """

        @functools.cache
        def read(name: str) -> _Column:
            data = columns.read_column(name)
            if len(data) != columns.n_obs:
                raise ElementError(f"{name!r} has {len(data)} values, expected {columns.n_obs}, one per cell")
            return _column(data if isinstance(data, pd.Series) else pd.Series(data))

        try:
            with np.errstate(over="ignore"):  # a number beyond float32 is infinite there, and compares so
                return self._truth(read).true
        except _MistakeError as mistake:
            raise _expression_error(self.text, mistake) from mistake.__cause__


def parse(text: str) -> Where:
    """Return the parsed expression; raise ExpressionError, whose message has a caret under the mistake."""
    try:
        node = _parse(text)
    except _MistakeError as mistake:
        raise _expression_error(text, mistake) from None
    return Where(text, node.names, node.truth)


def _parse(text: str) -> _Node:
    from lark.exceptions import UnexpectedInput  # noqa: PLC0415 - only who filters pays for the import

    if len(text) > MAX_LENGTH:
        message = f"an expression has at most {MAX_LENGTH:,} characters, this one has {len(text):,}"
        raise _MistakeError(message, MAX_LENGTH + 1)
    if not text.strip():
        raise _MistakeError("the expression is empty; one could be: n_genes >= 200 and CD4 > 1", 1)
    parser: Any = _lark().parse_interactive(text)
    tokens: list[Token] = []
    depth = 0
    try:
        for token in parser.iter_parse():
            tokens.append(token)
            depth += {"LPAR": 1, "RPAR": -1}.get(token.type, 0)
            if depth > MAX_DEPTH:
                break
        else:
            node: _Node = parser.feed_eof()
            return node
    except UnexpectedInput as unexpected:
        raise _unexpected(text, unexpected, tokens) from None
    raise _MistakeError(f"at most {MAX_DEPTH} parentheses can be nested", _position(token))


@functools.cache
def _lark() -> Lark:
    from lark import Lark  # noqa: PLC0415 - only who filters pays for the import

    # The basic lexer reserves the grammar's words; the contextual one would read a name in `x > and`.
    return Lark(_GRAMMAR, parser="lalr", lexer="basic", transformer=_Builder())


class _MistakeError(Exception):
    """What is wrong and at which character, counted from 1; `_expression_error` shows it to the user."""

    def __init__(self, message: str, at: int) -> None:
        super().__init__(message)
        self.at = at


def _expression_error(text: str, mistake: _MistakeError) -> ExpressionError:
    index = mistake.at - 1
    start = max(0, index - _SHOWN)
    # Newlines and tabs become one space each, so that the caret stays below its character.
    shown = "".join(c if c.isprintable() else " " for c in text[start : index + _SHOWN])
    before, after = "…" if start else "", "…" if index + _SHOWN < len(text) else ""
    caret = " " * (len(before) + index - start) + "^"
    return ExpressionError(f"{mistake}\n  {before}{shown}{after}\n  {caret}", column=mistake.at)


def _unexpected(text: str, unexpected: UnexpectedInput, tokens: list[Token]) -> _MistakeError:
    token = getattr(unexpected, "token", None)  # where no terminal fits, there is none
    terminal = "" if token is None else token.type
    index = len(text) if terminal == "$END" else unexpected.pos_in_stream or 0
    found = str(token or "".join(re.findall(r"^(?:[\w.:]+|.)", text[index:], re.DOTALL)))
    if token is None and found in {"'", '"', "`"}:
        return _MistakeError(f"the quote {found} is not closed, or holds no name", index + 1)
    accepted = _accepted([fed for fed in tokens if fed is not token])
    hint = ""
    if terminal == "_NULL":
        hint = "; missing values are found with: is null"
    elif token is None and found[0].isdigit() and "BARE" in accepted:
        hint = "; a name that starts with a digit stands in backticks"
    quoted = found[:1] in {"'", '"', "`"} and found.isprintable()
    shown = (found if quoted else repr(found))[:_SHOWN] if found else "the end"
    expected = ", ".join(words for name, words in _EXPECTED.items() if name in accepted)
    return _MistakeError(f"found {shown}, expected {expected}{hint}", index + 1)


def _accepted(tokens: list[Token]) -> set[str]:
    """Return the terminals that can follow `tokens`; the parser that failed has dropped some of them already."""
    parser: Any = _lark().parse_interactive("")
    for token in tokens:
        parser.feed_token(token)
    accepted: set[str] = parser.accepts()
    return accepted


@dataclass(frozen=True)
class _Column:
    """Values of one kind: numbers, bools or UTC dates; text as the codes of its categories."""

    kind: str
    data: Any
    present: Mask
    categories: pd.Index[Any] | None = None
    ordered: bool = False


def _column(series: pd.Series[Any]) -> _Column:
    present = series.notna().to_numpy()
    if isinstance(series.dtype, pd.CategoricalDtype):
        codes, categories = series.cat.codes.to_numpy(), series.cat.categories
        decoded = _column(pd.Series(categories))
        if decoded.kind == _TEXT or not len(categories):
            index = pd.Index(categories, dtype=object)
            return _Column(_TEXT, codes, present, index, ordered=bool(series.cat.ordered))
        return _Column(decoded.kind, decoded.data[codes], present)
    inferred = pd.api.types.infer_dtype(series, skipna=True)
    kind = _KINDS.get(inferred, f"{inferred} values")
    if kind == _TEXT:
        codes, uniques = pd.factorize(series)
        return _Column(kind, codes, present, pd.Index(uniques, dtype=object))
    return _Column(kind, _plain(series, kind), present)


def _plain(series: pd.Series[Any], kind: str) -> Any:
    """Return the values in a form that compares; what stands for a missing one does not matter."""
    if kind == _DATES:
        return pd.DatetimeIndex(pd.to_datetime(series, utc=True))
    if kind == _BOOLS:
        return series.to_numpy(dtype=np.bool_, na_value=False)
    if pd.api.types.is_integer_dtype(series.dtype):  # not by way of floats, which end being exact at 2**53
        dtype: Any = getattr(series.dtype, "numpy_dtype", series.dtype)
        return series.to_numpy(dtype=dtype, na_value=0)
    if kind != _NUMBERS:
        return series.to_numpy()
    dtype = getattr(series.dtype, "numpy_dtype", series.dtype)
    wide = dtype if dtype == np.float32 else np.dtype(np.float64)
    return series.to_numpy(dtype=wide, na_value=np.nan)


@dataclass(frozen=True)
class _Name:
    name: str
    at: int

    def column(self, read: _Read) -> _Column:
        try:
            return read(self.name)
        except NotFoundError as error:
            raise _MistakeError(f"{error} (text to compare with stands in quotes)", self.at) from error


@dataclass(frozen=True)
class _Literal:
    value: str | float | bool
    text: str  # as written, or what the quotes hold
    at: int


def _wanted(name: _Name, column: _Column, literal: _Literal, *, equality: bool) -> Any:
    """Return the literal as what the column's values compare with."""
    value = literal.value
    wanted: Any = None
    if column.kind == _TEXT:
        wanted = literal.text
    elif isinstance(value, bool):
        wanted = value if column.kind == _BOOLS else None
    elif column.kind == _NUMBERS and (equality or not isinstance(value, str)):
        wanted = _number(literal.text)
    elif column.kind == _DATES and isinstance(value, str):
        wanted = _date(value)
    if wanted is None:
        shown = repr(value) if isinstance(value, str) else literal.text
        kind = {str: "text", bool: "true or false"}.get(type(value), "a number")
        raise _MistakeError(f"{name.name} holds {column.kind}, {shown} is {kind}", literal.at)
    return wanted


def _number(text: str) -> float | None:
    """Return the finite number that `text` spells, an int where that is exact and fits 64 bits."""
    if re.fullmatch(r"-?[0-9]{1,18}", text):
        return int(text)
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _date(text: str) -> pd.Timestamp | None:
    try:
        date = pd.Timestamp(datetime.fromisoformat(text))
    except ValueError:
        return None
    return date.tz_localize("UTC") if date.tz is None else date


class _Truth(NamedTuple):
    """Where a test is true and where it is false; it is unknown where it is neither."""

    true: Mask
    false: Mask


def _known(hit: Any, present: Mask) -> _Truth:
    hit = np.asarray(hit, dtype=np.bool_)
    return _Truth(hit & present, ~hit & present)


def _is_true(name: _Name, read: _Read) -> _Truth:
    column = name.column(read)
    if column.kind != _BOOLS:
        message = f"{name.name} holds {column.kind}, which is no test by itself: compare it with a value"
        raise _MistakeError(message, name.at)
    return _known(column.data, column.present)


def _is_null(name: _Name, read: _Read) -> _Truth:
    present = name.column(read).present
    return _Truth(~present, present)


def _is_in(name: _Name, literals: tuple[_Literal, ...], read: _Read) -> _Truth:
    column = name.column(read)
    wanted = dict.fromkeys(_wanted(name, column, literal, equality=True) for literal in literals)
    if column.categories is not None:
        # Per category, then taken by code: the appended one is for code -1, a missing value.
        return _known(np.append(column.categories.isin(list(wanted)), [False])[column.data], column.present)
    hit = np.zeros(len(column.present), dtype=np.bool_)
    for value in wanted:
        hit |= column.data == value
    return _known(hit, column.present)


def _is_beyond(name: _Name, sign: str, literal: _Literal, at: int, read: _Read) -> _Truth:
    """Compare by order with a literal."""
    column = name.column(read)
    wanted = _wanted(name, column, literal, equality=False)
    _require_order(name, column, at)
    if column.categories is not None:
        wanted = column.categories.get_indexer(pd.Index([wanted], dtype=object))[0]
        if wanted < 0:
            return _known(np.zeros_like(column.present), column.present)
    return _known(_COMPARE[sign](column.data, wanted), column.present)


def _compares(left: _Name, sign: str, right: _Name, at: int, read: _Read) -> _Truth:
    """Compare two names, value by value."""
    one, two = left.column(read), right.column(read)
    if one.kind != two.kind:
        raise _MistakeError(f"{left.name} holds {one.kind}, {right.name} holds {two.kind}", at)
    data = two.data
    if sign != "==":
        _require_order(left, one, at)
        _require_order(right, two, at)
    if one.categories is not None and two.categories is not None:
        if sign != "==" and not one.categories.equals(two.categories):
            raise _MistakeError(f"{left.name} and {right.name} do not have the same ordered categories", at)
        data = np.append(one.categories.get_indexer(two.categories), [-1])[data]
    return _known(_COMPARE[sign](one.data, data), one.present & two.present)


def _require_order(name: _Name, column: _Column, at: int) -> None:
    if not (column.ordered or column.kind in {_NUMBERS, _DATES}):
        raise _MistakeError(f"{name.name} holds {column.kind}, which has no order: use ==, != or in", at)


def _negated(inner: _Node, read: _Read) -> _Truth:
    true, false = inner.truth(read)
    return _Truth(false, true)


def _all(parts: list[_Node], read: _Read) -> _Truth:
    true, false = parts[0].truth(read)
    for part in parts[1:]:
        more = part.truth(read)
        true, false = true & more.true, false | more.false
    return _Truth(true, false)


def _any(parts: list[_Node], read: _Read) -> _Truth:
    true, false = parts[0].truth(read)
    for part in parts[1:]:
        more = part.truth(read)
        true, false = true | more.true, false & more.false
    return _Truth(true, false)


class _Node(NamedTuple):
    """A test: the names in it, and what tells where it holds."""

    names: tuple[str, ...]
    truth: Callable[[_Read], _Truth]


def _leaf(test: Callable[..., _Truth], name: _Name, *rest: Any) -> _Node:
    names = dict.fromkeys(part.name for part in (name, *rest) if isinstance(part, _Name))
    return _Node(tuple(names), functools.partial(test, name, *rest))


def _not(inner: _Node) -> _Node:
    return _Node(inner.names, functools.partial(_negated, inner))


def _joined(test: Callable[[list[_Node], _Read], _Truth], parts: list[_Node]) -> _Node:
    names = dict.fromkeys(chain.from_iterable(part.names for part in parts))
    return _Node(tuple(names), functools.partial(test, parts))


class _Builder:
    """Makes nodes while lark parses: a method for each terminal and rule, called by its name."""

    def BARE(self, token: Token) -> _Name:  # noqa: N802 - the terminal's name, as below
        return _Name(str(token), _position(token))

    def BACKTICK(self, token: Token) -> _Name:  # noqa: N802
        return _Name(token[1:-1].replace("``", "`"), _position(token))

    def STRING(self, token: Token) -> _Literal:  # noqa: N802
        controls = {"n": "\n", "t": "\t"}
        text = re.sub(r"\\(.)", lambda found: controls.get(found[1], found[1]), token[1:-1], flags=re.DOTALL)
        return _Literal(text, text, _position(token))

    def NUMBER(self, token: Token) -> _Literal:  # noqa: N802
        number = _number(token)
        if number is None:
            raise _MistakeError(f"{token[:_SHOWN]} is too large a number", _position(token))
        return _Literal(number, str(token), _position(token))

    def BOOL(self, token: Token) -> _Literal:  # noqa: N802
        return _Literal(token.lower() == "true", str(token), _position(token))

    def either(self, parts: list[_Node]) -> _Node:
        return _joined(_any, parts)

    def both(self, parts: list[_Node]) -> _Node:
        return _joined(_all, parts)

    def negation(self, children: list[Any]) -> _Node:
        *signs, inner = children
        return _not(inner) if len(signs) % 2 else inner

    def flag(self, children: list[_Name]) -> _Node:
        return _leaf(_is_true, *children)

    def values(self, literals: list[_Literal]) -> tuple[_Literal, ...]:
        return tuple(literals)

    def member(self, children: list[Any]) -> _Node:
        subject, negated, literals = children
        test = _leaf(_is_in, _as_name(subject), literals)
        return _not(test) if negated else test

    def null(self, children: list[Any]) -> _Node:
        subject, negated = children
        test = _leaf(_is_null, _as_name(subject))
        return _not(test) if negated else test

    def comparison(self, children: list[Any]) -> _Node:
        operands, signs = children[::2], children[1::2]
        for i, operand in enumerate(operands[:-1]):
            beside_name = any(isinstance(other, _Name) for other in operands[max(i - 1, 0) : i + 2])
            if not beside_name and isinstance(operand.value, str):
                operands[i] = _as_name(operand)
        pairs = zip(pairwise(operands), signs, strict=True)
        tests = [_compared(left, sign, right) for (left, right), sign in pairs]
        return _joined(_all, tests) if len(tests) > 1 else tests[0]


def _position(token: Token) -> int:
    return (token.start_pos or 0) + 1


def _as_name(operand: _Name | _Literal) -> _Name:
    return operand if isinstance(operand, _Name) else _Name(operand.text, operand.at)


def _compared(left: _Name | _Literal, written: Token, right: _Name | _Literal) -> _Node:
    at = _position(written)
    sign = "==" if written in {"=", "!="} else str(written)
    if isinstance(left, _Literal):
        left, right, sign = right, left, _MIRRORED[sign]
    if isinstance(left, _Literal):
        message = "two values are compared; a name stands in backticks, or in quotes left of the operator"
        raise _MistakeError(message, at)
    if isinstance(right, _Name):
        test = _leaf(_compares, left, sign, right, at)
    elif sign == "==":
        test = _leaf(_is_in, left, (right,))
    else:
        test = _leaf(_is_beyond, left, sign, right, at)
    return _not(test) if written == "!=" else test
