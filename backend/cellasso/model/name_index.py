"""Finding names among hundreds of thousands while they are typed."""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

MAX_MATCHES = 2_000
"""Matches looked at for one search; of one or two letters there may be many more, too many to read through."""


class NameIndex:
    """Names that are searched as one text: 200,000 of them in a few milliseconds, without a table per letter.

    Parameters
    ----------
    names
        In their order; an empty one matches nothing.
    """

    def __init__(self, names: Sequence[str] | NDArray[np.object_]) -> None:
        self._names = names

    @cached_property
    def exact(self) -> dict[str, int]:
        """Position of each name, the first where it repeats."""
        return _positions(self._names)

    @cached_property
    def folded(self) -> dict[str, int]:
        """Position of each name without regard to case, the first where it repeats."""
        return _positions(self._text[1:-1].split("\n") if len(self._names) else [])

    def search(self, wanted: str) -> list[tuple[int, int]]:
        """Return `(rank, position)` of the names with `wanted`, which is folded, in them: 0 equal, 1 begins, 2 inside.

        Within a rank in the order of the names; at most `MAX_MATCHES` of the first two ranks together, and
        as many of the last.
        """
        found: dict[int, int] = {}
        for pattern in (f"\n{re.escape(wanted)}", re.escape(wanted)):
            for n, match in enumerate(re.finditer(pattern, self._text)):
                if n >= MAX_MATCHES:
                    break
                position = int(np.searchsorted(self._starts, match.end() - 1, side="right")) - 1
                if position not in found:
                    begins = match.end() - len(wanted) == self._starts[position]
                    found[position] = 2 if not begins else 1 - (self._text[match.end()] == "\n")
        return sorted((rank, position) for position, rank in found.items())

    @cached_property
    def _text(self) -> str:
        """All names, folded, a line each, after a first line without any."""
        return "\n" + one_line_each(self._names).casefold()

    @cached_property
    def _starts(self) -> NDArray[np.int64]:
        """Where each name begins in the text, `(n,)`."""
        if self._text.isascii():
            letters = np.frombuffer(self._text.encode(), dtype=np.uint8)
            return np.flatnonzero(letters == ord("\n"))[:-1] + 1
        lengths = np.fromiter(map(len, self._text.split("\n")), dtype=np.int64)
        return np.cumsum(lengths[:-2] + 1)


def one_line_each(names: Sequence[str] | NDArray[np.object_]) -> str:
    """Return names as one text in which a newline ends each; one within a name becomes a space."""
    lines = "\n".join(map(str, names))
    if lines.count("\n") >= len(names) > 0:
        lines = "\n".join(str(name).replace("\n", " ") for name in names)
    return f"{lines}\n" if len(names) else ""


def _positions(names: Sequence[str] | NDArray[np.object_]) -> dict[str, int]:
    # backwards, so that the first of equal names stays
    found = dict(zip(map(str, names[::-1]), range(len(names) - 1, -1, -1), strict=True))
    found.pop("", None)
    return found
