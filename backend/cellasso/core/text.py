"""Names and texts: those that are free, and those most like one that is not there."""

from __future__ import annotations

import difflib
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container, Iterable


def free_name(wanted: str, taken: Container[str]) -> str:
    """Return a name, with a number behind it when it is taken."""
    candidates = (wanted if n == 1 else f"{wanted}_{n}" for n in count(1))
    return next(name for name in candidates if name not in taken)


def nearest(name: str, names: Iterable[str], *, limit: int = 5) -> str:
    """Return the end of a message: the names most like `name`, or the first few, or a full stop."""
    known = list(names)
    close = difflib.get_close_matches(name, known[:100_000], n=limit, cutoff=0.6)
    if close:
        return f"; nearest: {', '.join(close)}."
    if not known:
        return "."
    more = f" and {len(known) - limit:,} more" if len(known) > limit else ""
    return f"; it has {', '.join(known[:limit])}{more}."
