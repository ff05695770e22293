r"""The where-expression: a small, safe grammar over obs columns and features (``n_genes >= 200 and CD4 > 1``).

Names
    Bare words: letters of any script, digits, ``_ . : /`` and inner ``-``, not starting with a digit (``HLA-A``,
    ``rna:leiden``, ``chr1:100-200``, ``raw/CD4``). Any other name stands in backticks, a backtick in it doubled; so
    does a name that is a word of the grammar (``and or not in is null true false``, in any case). A name that is both
    a column of obs and a feature is refused: ``obs:CD4`` and ``gene:CD4`` tell them apart. Whatever
    `cellasso.model.vector` prints is a name, too: ``counts/CD4``, ``lognorm:CD4``, ``sum:total``, ``X_umap:0``,
    ``rna:gene:`my gene` ``.
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
    quoted text that reads as one. Whole numbers are compared to the last digit, of any length. Beside a column of
    floats a number is rounded to the column's own precision, as NumPy does: ``CD4 > 0.1`` on float32 leaves out the
    float32 nearest to 0.1. Dates compare with quoted ISO dates, UTC if no zone is given.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
import pandas as pd

from cellasso.core.errors import ElementError, ExpressionError
from cellasso.core.numeric import MIRRORED, parsed_number
from cellasso.model.vector import VectorText
from cellasso.selection.predicates import (
    Literal,
    Mask,
    MistakeError,
    Name,
    Node,
    column_of,
    compares,
    every,
    is_beyond,
    is_in,
    is_null,
    is_true,
    joined,
    leaf,
    negation,
    some,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from lark import Lark, Token
    from lark.exceptions import UnexpectedInput
    from numpy.typing import NDArray

    from cellasso.selection.predicates import Column, Read, Truth

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
     | (BARE | BACKTICK | VECTOR) -> flag
     | operand (OPERATOR operand)+ -> comparison
     | subject [NOT] _IN values -> member
     | subject _IS [NOT] _NULL -> null
?operand: BARE | BACKTICK | VECTOR | STRING | NUMBER | BOOL
?subject: BARE | BACKTICK | VECTOR | STRING
values: "[" (_literal ("," _literal)* ","?)? "]"
      | "(" (_literal ("," _literal)* ","?)? ")"
_literal: STRING | NUMBER | BOOL

_OR.2: /or(?![\w.:\/-])|\|/i
_AND.2: /and(?![\w.:\/-])|&/i
NOT.2: /not(?![\w.:\/-])/i
_IN.2: /in(?![\w.:\/-])/i
_IS.2: /is(?![\w.:\/-])/i
_NULL.2: /null(?![\w.:\/-])/i
BOOL.2: /(?:true|false)(?![\w.:\/-])/i
TILDE: "~"
OPERATOR: /==|!=|<=|>=|[=<>]/
VECTOR: /(?:WORD[:\/])?QUOTED(?:[:\/](?:QUOTED|[\w.-]+))+|WORD[:\/]QUOTED/
BARE: /[^\W\d][\w.:\/]*(?:-+[\w.:\/]+)*/
BACKTICK: /`(?:``|[^`])+`/
STRING: /'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"/s
NUMBER: /-?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?(?![\w.:])/i
%ignore /\s+/
""".replace("WORD", r"[^\W\d][\w.\/:-]*").replace("QUOTED", r"`(?:``|[^`])+`")

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


class Columns(Protocol):
    """What an expression is evaluated against."""

    @property
    def n_obs(self) -> int:
        """Number of observations."""

    def read_column(self, name: str) -> pd.Series[Any] | NDArray[Any]:
        """Read an obs column as it is, or a feature as floats, shape ``(n_obs,)``; raise NotFoundError."""


@dataclass(frozen=True)
class Expression:
    """A parsed expression, with its names in the order of first use."""

    text: str
    names: tuple[str, ...]
    _truth: Callable[[Read], Truth] = field(repr=False, compare=False)

    def evaluate(self, columns: Columns) -> Mask:
        """Return where the expression is true, shape ``(n_obs,)``; what is unknown counts as false.

        Reads each name once.

        Raises
        ------
        ExpressionError
            `columns` does not have a name, or its values do not allow a comparison.
        ElementError
            A column has another length than `n_obs`, or is damaged.
        """

        @functools.cache
        def read(name: str) -> Column:
            data = columns.read_column(name)
            if len(data) != columns.n_obs:
                raise ElementError(f"{name!r} has {len(data)} values, expected {columns.n_obs}, one per cell")
            return column_of(data if isinstance(data, pd.Series) else pd.Series(data))

        try:
            with np.errstate(over="ignore"):  # a number beyond float32 is infinite there, and compares so
                return self._truth(read).true
        except MistakeError as mistake:
            raise _expression_error(self.text, mistake) from mistake.__cause__


def parse(text: str) -> Expression:
    """Return the parsed expression; reads no file.

    Raises
    ------
    ExpressionError
        It cannot be parsed; the message has a caret under the mistake.
    """
    try:
        node = _parse(text)
    except MistakeError as mistake:
        raise _expression_error(text, mistake) from None
    return Expression(text, node.names, node.truth)


def _parse(text: str) -> Node:
    from lark.exceptions import UnexpectedInput  # noqa: PLC0415 - imported only where cells are filtered

    if len(text) > MAX_LENGTH:
        message = f"an expression has at most {MAX_LENGTH:,} characters, this one has {len(text):,}"
        raise MistakeError(message, MAX_LENGTH + 1)
    if not text.strip():
        raise MistakeError("the expression is empty; one could be: n_genes >= 200 and CD4 > 1", 1)
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
            node: Node = parser.feed_eof()
            return node
    except UnexpectedInput as unexpected:
        raise _unexpected(text, unexpected, tokens) from None
    raise MistakeError(f"at most {MAX_DEPTH} parentheses can be nested", _position(token))


@functools.cache
def _lark() -> Lark:
    from lark import Lark  # noqa: PLC0415 - imported only where cells are filtered

    # The basic lexer reserves the grammar's words; the contextual one would read a name in `x > and`.
    return Lark(_GRAMMAR, parser="lalr", lexer="basic", transformer=_Builder())


def _expression_error(text: str, mistake: MistakeError) -> ExpressionError:
    index = mistake.at - 1
    start = max(0, index - _SHOWN)
    # Newlines and tabs become one space each, so that the caret stays below its character.
    shown = "".join(c if c.isprintable() else " " for c in text[start : index + _SHOWN])
    before, after = "…" if start else "", "…" if index + _SHOWN < len(text) else ""
    caret = " " * (len(before) + index - start) + "^"
    return ExpressionError(f"{mistake}\n  {before}{shown}{after}\n  {caret}", column=mistake.at)


def _unexpected(text: str, unexpected: UnexpectedInput, tokens: list[Token]) -> MistakeError:
    token = getattr(unexpected, "token", None)  # where no terminal fits, there is none
    terminal = "" if token is None else token.type
    index = len(text) if terminal == "$END" else unexpected.pos_in_stream or 0
    found = str(token or "".join(re.findall(r"^(?:[\w.:]+|.)", text[index:], re.DOTALL)))
    if token is None and found in {"'", '"', "`"}:
        return MistakeError(f"the quote {found} is not closed, or holds no name", index + 1)
    accepted = _accepted([fed for fed in tokens if fed is not token])
    hint = ""
    if terminal == "_NULL":
        hint = "; missing values are found with: is null"
    elif token is None and found[0].isdigit() and "BARE" in accepted:
        hint = "; a name that starts with a digit stands in backticks"
    quoted = found[:1] in {"'", '"', "`"} and found.isprintable()
    shown = (found if quoted else repr(found))[:_SHOWN] if found else "the end"
    expected = ", ".join(words for name, words in _EXPECTED.items() if name in accepted)
    return MistakeError(f"found {shown}, expected {expected}{hint}", index + 1)


def _accepted(tokens: list[Token]) -> set[str]:
    """Return the terminals that can follow `tokens`; the parser that failed has dropped some of them already."""
    parser: Any = _lark().parse_interactive("")
    for token in tokens:
        parser.feed_token(token)
    accepted: set[str] = parser.accepts()
    return accepted


class _Builder:
    """Makes nodes while lark parses: a method for each terminal and rule, called by its name."""

    def BARE(self, token: Token) -> Name:  # noqa: N802 - the terminal's name, as below
        return Name(str(token), _position(token))

    def BACKTICK(self, token: Token) -> Name:  # noqa: N802
        return Name(token[1:-1].replace("``", "`"), _position(token))

    def VECTOR(self, token: Token) -> Name:  # noqa: N802
        return Name(VectorText(token), _position(token))

    def STRING(self, token: Token) -> Literal:  # noqa: N802
        controls = {"n": "\n", "t": "\t"}
        text = re.sub(r"\\(.)", lambda found: controls.get(found[1], found[1]), token[1:-1], flags=re.DOTALL)
        return Literal(text, text, _position(token))

    def NUMBER(self, token: Token) -> Literal:  # noqa: N802
        number = parsed_number(token)
        if number is None:
            raise MistakeError(f"{token[:_SHOWN]} is too large a number", _position(token))
        return Literal(number, str(token), _position(token))

    def BOOL(self, token: Token) -> Literal:  # noqa: N802
        return Literal(token.lower() == "true", str(token), _position(token))

    def either(self, parts: list[Node]) -> Node:
        return joined(some, parts)

    def both(self, parts: list[Node]) -> Node:
        return joined(every, parts)

    def negation(self, children: list[Any]) -> Node:
        *signs, inner = children
        return negation(inner) if len(signs) % 2 else inner

    def flag(self, children: list[Name]) -> Node:
        return leaf(is_true, *children)

    def values(self, literals: list[Literal]) -> tuple[Literal, ...]:
        return tuple(literals)

    def member(self, children: list[Any]) -> Node:
        subject, negated, literals = children
        test = leaf(is_in, _as_name(subject), literals)
        return negation(test) if negated else test

    def null(self, children: list[Any]) -> Node:
        subject, negated = children
        test = leaf(is_null, _as_name(subject))
        return negation(test) if negated else test

    def comparison(self, children: list[Any]) -> Node:
        operands, signs = children[::2], children[1::2]
        for i, operand in enumerate(operands[:-1]):
            beside_name = any(isinstance(other, Name) for other in operands[max(i - 1, 0) : i + 2])
            if not beside_name and isinstance(operand.value, str):
                operands[i] = _as_name(operand)
        pairs = zip(pairwise(operands), signs, strict=True)
        tests = [_compared(left, sign, right) for (left, right), sign in pairs]
        return joined(every, tests) if len(tests) > 1 else tests[0]


def _position(token: Token) -> int:
    return (token.start_pos or 0) + 1


def _as_name(operand: Name | Literal) -> Name:
    return operand if isinstance(operand, Name) else Name(operand.text, operand.at)


def _compared(left: Name | Literal, written: Token, right: Name | Literal) -> Node:
    at = _position(written)
    sign = "==" if written in {"=", "!="} else str(written)
    if isinstance(left, Literal):
        left, right, sign = right, left, MIRRORED[sign]
    if isinstance(left, Literal):
        message = "two values are compared; a name stands in backticks, or in quotes left of the operator"
        raise MistakeError(message, at)
    if isinstance(right, Name):
        test = leaf(compares, left, sign, right, at)
    elif sign == "==":
        test = leaf(is_in, left, (right,))
    else:
        test = leaf(is_beyond, left, sign, right, at)
    return negation(test) if written == "!=" else test
