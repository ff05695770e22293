"""Genes as people type or paste them: one name, or a list in any of the ways that lists are written."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from cellasso.core.errors import CellassoError, NotFoundError
from cellasso.core.text import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cellasso.model.features import Features

SEPARATORS = (r"[\n\r\t;]+", r"[,|]+", r"\s+")
"""Strongest first. Names may have commas and spaces in them: what is known as a whole is not split further."""

MAX_TYPED = 20_000
"""Characters of a list: thousands of genes, of which the page shows 60."""

NAMED = 5
"""How many unknown names a sentence repeats."""


class TooLongError(CellassoError, ValueError):
    """A text that is longer than anybody would type."""


class Genes(NamedTuple):
    """What a text names: features in its order, each once, and names that are none."""

    positions: list[int]
    unknown: list[str]


def find_genes(features: Features, text: str, prefix: str = "") -> Genes:
    """Look up a name, or each name of a list, with or without the prefix of their modality.

    Raises
    ------
    NotFoundError
        It is one name, and unknown; the message lists the nearest.
    TooLongError
        It is longer than anybody would type.
    """
    if len(text) > MAX_TYPED:
        raise TooLongError(f"A list of genes has at most {MAX_TYPED:,} characters; this one has {len(text):,}.")
    found = list(_split(features, text.strip().strip("'\""), prefix, 0))
    unknown = [name for name, position in found if position is None]
    if len(found) <= 1 and unknown:
        raise NotFoundError(
            f"No gene is called {unknown[0][:80]!r}{nearest(unknown[0].removeprefix(prefix), features.names)}"
        )
    positions = [position for _, position in found if position is not None]
    return Genes(list(dict.fromkeys(positions)), list(dict.fromkeys(unknown)))


def _split(features: Features, text: str, prefix: str, level: int) -> Iterator[tuple[str, int | None]]:
    position = features.find(text.removeprefix(prefix))
    if position is not None or level == len(SEPARATORS):
        yield text, position
        return
    for part in re.split(SEPARATORS[level], text):
        name = part.strip().strip("'\"")
        if name:
            yield from _split(features, name, prefix, level + 1)


def not_found(genes: Genes) -> str:
    """Return the sentence that names what was not found; empty when all was."""
    n = len(genes.unknown)
    if not n:
        return ""
    named = ", ".join(name[:40] for name in genes.unknown[:NAMED])
    more = f" and {n - NAMED:,} more" if n > NAMED else ""
    were = "was" if n == 1 else "were"
    return f"{n:,} of {n + len(genes.positions):,} genes {were} not found: {named}{more}."
