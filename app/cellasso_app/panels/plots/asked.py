"""What a plot of the panel is asked for, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cellasso_app.panels.plots.arrangement import as_csv

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cellasso.color.coloring import Categories
    from cellasso.dataset import Dataset
    from cellasso.model.vector import Vector
    from cellasso_app.panels.plots.arrangement import Arrangement
    from cellasso_app.panels.plots.spans import Spans
    from cellasso_app.panels.plots.summing import Summed


@dataclass(frozen=True)
class Asked:
    """What a plot shows.

    Attributes
    ----------
    genes, names
        The genes, and what the axes call them.
    summed
        The genes summed over the groups.
    colors
        Of each group of `summed`, as the page has them.
    pieces
        Of what the groups are made: another column, with its colours; `None` where it is not asked for.
    arranged
        How the user wants it laid out.
    dark
        Whether the page is dark.
    """

    dataset: Dataset
    genes: tuple[Vector, ...]
    names: tuple[str, ...]
    summed: Summed
    colors: tuple[str, ...]
    pieces: Categories | None
    arranged: Arrangement
    dark: bool


@dataclass(frozen=True)
class Drawn:
    """A plot that is drawn.

    Attributes
    ----------
    overlays
        HoloViews objects, one below the other.
    groups, spans
        Its groups, and where they stand.
    heights
        Pixels of each overlay on the page, at least and at most.
    header, rows
        Its numbers as a table.
    note
        What of it is not shown; empty when all is.
    """

    overlays: Sequence[Any]
    groups: tuple[str, ...]
    spans: Spans
    heights: tuple[int, int]
    header: tuple[str, ...]
    rows: Sequence[tuple[Any, ...]]
    note: str = ""

    def to_csv(self) -> str:
        """Return the numbers as CSV, as of `as_csv`."""
        return as_csv(self.header, self.rows)
