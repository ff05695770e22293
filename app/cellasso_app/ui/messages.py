"""What the parts of the page may tell, and be told: messages of known fields.

What they tell is each of a known kind and a bounded size.

A message is a value that came over the network; whoever sent it need not have been our script. What is no such
message, or too long, is refused in a sentence before anything is made of it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

MAX_TEXT = 20_000
"""Characters of a text: a pasted list of thousands of genes. Names in a file are rarely longer than 100."""

MAX_ITEMS = 50_000
"""Entries of a list: more do not fit into a message (`incoming.MAX_COMMAS`)."""

EXACT = 1 << 53
"""Up to here a browser's numbers are whole."""

LARGEST = 1e300
"""Beyond this, sums of coordinates are no longer numbers."""

NOT_UNDERSTOOD = "The page asked for something that this server does not know; reload it."


class Kind(Protocol):
    """What a field may hold."""

    def problem(self, value: Any) -> str:
        """Return why a value is refused; empty when it is not."""


@dataclass(frozen=True)
class Text:
    """A text of bounded length."""

    longest: int = MAX_TEXT

    def problem(self, value: Any) -> str:
        """Return why a value is refused."""
        if not isinstance(value, str):
            return NOT_UNDERSTOOD
        if len(value) > self.longest:
            return f"What was entered has {len(value):,} characters; at most {self.longest:,} are taken."
        return ""


@dataclass(frozen=True)
class Number:
    """A finite number; `True` is none."""

    low: float = -LARGEST
    high: float = LARGEST

    def problem(self, value: Any) -> str:
        """Return why a value is refused."""
        known = type(value) in {int, float} and self.low <= value <= self.high  # NaN is neither
        return "" if known else NOT_UNDERSTOOD


@dataclass(frozen=True)
class Whole:
    """A whole number from 0 on."""

    def problem(self, value: Any) -> str:
        """Return why a value is refused."""
        return "" if type(value) is int and 0 <= value <= EXACT else NOT_UNDERSTOOD


@dataclass(frozen=True)
class Flag:
    """True or false."""

    def problem(self, value: Any) -> str:
        """Return why a value is refused."""
        return "" if isinstance(value, bool) else NOT_UNDERSTOOD


@dataclass(frozen=True)
class Items:
    """A list of values of one kind."""

    of: Kind
    most: int = MAX_ITEMS
    least: int = 0

    def problem(self, value: Any) -> str:
        """Return why a value is refused."""
        if not isinstance(value, list) or not self.least <= len(value) <= self.most:
            return NOT_UNDERSTOOD
        return next(filter(None, map(self.of.problem, value)), "")


@dataclass(frozen=True)
class OneOf:
    """A mapping with one of some fields, or a nothing where that may be."""

    fields: Mapping[str, Kind]
    may_be_none: frozenset[str] = frozenset()

    def problem(self, value: Any) -> str:
        """Return why a value is refused."""
        if not isinstance(value, dict) or len(value) != 1 or not set(value) <= set(self.fields):
            return NOT_UNDERSTOOD
        ((name, inner),) = value.items()
        return "" if inner is None and name in self.may_be_none else self.fields[name].problem(inner)


Says = Mapping[str, Mapping[str, Kind]]
"""The messages of a part: by their type the fields beside it, each of which must be there."""

Hears = Mapping[str, Collection[str]]
"""The messages to a part, which are the server's own and need no check of their values: by their type the fields.

One that ends in `?` may be left out.
"""


def lacking(message: Mapping[str, Any], hears: Hears) -> str:
    """Return what is wrong with the type or the fields of a message to a part; empty when nothing is."""
    kind = message.get("type", "")
    if kind not in hears:
        return f"a message of the type {kind!r}"
    known = {"type", *(field.removesuffix("?") for field in hears[kind])}
    optional = {field.removesuffix("?") for field in hears[kind] if field.endswith("?")}
    wrong = (set(message) ^ known) - (optional - set(message))
    return f"{kind} with or without {', '.join(sorted(wrong))}" if wrong else ""


def problem(message: Any, says: Says) -> str:
    """Return why a message is refused; empty when it is one of those that a part says."""
    if not isinstance(message, dict) or not isinstance(message.get("type"), str) or message["type"] not in says:
        return NOT_UNDERSTOOD
    fields = says[message["type"]]
    if set(message) != {"type", *fields}:
        return NOT_UNDERSTOOD
    return next(filter(None, (kind.problem(message[name]) for name, kind in fields.items())), "")
