"""Names that are free, and the existing names most like one that does not exist."""

from __future__ import annotations

import difflib
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container, Iterable


def free_name(wanted: str, taken: Container[str]) -> str:
    """Return `wanted`, or the first of `wanted_2`, `wanted_3` and so on that is not taken.

    Parameters
    ----------
    wanted
        The name without a number.
    taken
        Names that are not free; asked with `in`, once for each candidate.
    """
    candidates = (wanted if n == 1 else f"{wanted}_{n}" for n in count(1))
    return next(name for name in candidates if name not in taken)


def nearest(name: str, names: Iterable[str], *, limit: int = 5) -> str:
    """Return the end of a message about a name that does not exist: the names most like it, or else the first few.

    Parameters
    ----------
    name
        What was asked for.
    names
        Those that exist; the first 100,000 of them are compared.
    limit
        How many names are listed at most.

    Returns
    -------
    `"; nearest: a, b."`, or `"; it has a, b and 3 more."` where none is like it, or `"."` where there are no names.
    """
    known = list(names)
    close = difflib.get_close_matches(name, known[:100_000], n=limit, cutoff=0.6)
    if close:
        return f"; nearest: {', '.join(close)}."
    if not known:
        return "."
    more = f" and {len(known) - limit:,} more" if len(known) > limit else ""
    return f"; it has {', '.join(known[:limit])}{more}."
