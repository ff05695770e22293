"""Of what groups of cells are made: the shares of one column's categories within those of another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import holoviews as hv
import numpy as np
import pandas as pd

from cellasso.core.errors import ElementError, NotFoundError
from cellasso.core.text import nearest
from cellasso.pl.groups import read_groups
from cellasso.pl.legends import RIGHT, legend_options
from cellasso.pl.options import plain_texts, plain_ticks, styled, titled
from cellasso.pl.styling import load_backends

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cellasso.dataset import Dataset, Modality
    from cellasso.pl.groups import Groups

BAR = 26
"""Pixels that a bar and the gap beside it take."""

LENGTH = 300
"""Pixels of the longest bar."""

NARROWEST = 1.7
"""Inches of a plot at least, so that its axis has room for numbers."""

MOST_PARTS = 20_000
"""Pieces of bars; more are no picture, and each is an object of the page."""


def composition(
    dataset: Dataset | Modality,
    column: str,
    *,
    by: str | Sequence[str],
    normalise: bool = True,
    horizontal: bool = False,
    sort: str | bool = False,
    categories_order: Sequence[str] | None = None,
    title: str | None = None,
) -> Any:
    """Show of which categories of a column the groups of cells are made, as stacked bars.

    Cells that lack one of the two are left out, as are categories without cells.

    Parameters
    ----------
    dataset
        The file, or a modality of it.
    column
        Whose categories are the pieces of the bars, such as a cell type; their colours are those in `uns`.
    by
        Which groups have a bar, such as samples: a column, or several.
    normalise
        Whether all bars are of one length, and show shares; else they show numbers of cells.
    horizontal
        Whether the bars lie on their side, as long names of groups have it.
    sort
        In which order the bars stand: `True` by their number of cells, most first; the name of a category by its share
        (or number) in them, most first; `False` as in the file.
    categories_order
        Which groups have a bar, in this order.
    title
        `None`: the name of the column.

    Returns
    -------
    `hv.Bars` of `by`, `column`, the share, and the number of cells.

    Raises
    ------
    NotFoundError, AmbiguousNameError
        There is no such column, group or category.
    ElementError
        It is damaged, or has too many groups.
    """
    pieces, bars = read_groups(dataset, column), read_groups(dataset, by, categories_order=categories_order)
    drawn = draw_composition(
        bars,
        pieces,
        keep_empty=categories_order is not None,
        normalise=normalise,
        horizontal=horizontal,
        sort=sort,
        title=title,
    )
    return drawn.bars


class Bars(NamedTuple):
    """A plot of bars, and the numbers it shows.

    Attributes
    ----------
    bars
        `hv.Bars`.
    groups, pieces
        What the bars and their pieces are called, in their order.
    shown, counts
        Length of each piece and the cells it stands for, `(n_groups, n_pieces)`.
    """

    bars: Any
    groups: tuple[str, ...]
    pieces: tuple[str, ...]
    shown: NDArray[Any]
    counts: NDArray[np.int64]


def draw_composition(
    bars: Groups,
    pieces: Groups,
    *,
    keep_empty: bool = False,
    normalise: bool = True,
    horizontal: bool = False,
    sort: str | bool = False,
    title: str | None = None,
) -> Bars:
    """Draw of which groups other groups are made.

    Parameters
    ----------
    bars, pieces
        Of the same cells.
    keep_empty
        Whether bars without a piece stay.
    normalise, horizontal, sort, title
        As of `composition`.

    Raises
    ------
    NotFoundError, ElementError
        As `composition`.
    """
    if len(pieces) * len(bars) > MOST_PARTS:
        raise ElementError(
            f"{pieces.name} in {bars.name} has {len(pieces):,} by {len(bars):,} pieces; "
            f"at most {MOST_PARTS:,} can be shown."
        )
    counts = crosstab(bars, pieces)
    pieces = pieces.ordered(np.flatnonzero(counts.any(axis=0)).tolist())  # of cells that have a bar
    if not keep_empty:
        bars = bars.ordered(np.flatnonzero(counts.any(axis=1)).tolist())
    counts = crosstab(bars, pieces)
    shown = shares(counts) if normalise else counts
    if isinstance(sort, str) and sort not in pieces.labels:
        raise NotFoundError(f"{pieces.name} has no category {sort!r}{nearest(sort, pieces.labels)}")
    order = _order(sort, counts, shown, pieces)
    frame = _long(shown[order], counts[order], [bars.labels[i] for i in order], pieces.labels)
    names = _apart([bars.name, pieces.name, "share" if normalise else "cells"])
    frame.columns = pd.Index([*names, "number of cells"])
    element = hv.Bars(frame, names[:2], [names[2], "number of cells"])
    title = pieces.name if title is None else title
    drawn = _dressed(element, pieces, len(bars), horizontal=horizontal, title=title)
    return Bars(drawn, tuple(bars.labels[i] for i in order), pieces.labels, shown[order], counts[order])


def crosstab(rows: Groups, columns: Groups) -> NDArray[np.int64]:
    """Count the cells that are in each pair of groups, `(n_rows, n_columns)`.

    Parameters
    ----------
    rows, columns
        Of the same cells; one that is in no group of either is not counted.
    """
    known = (rows.codes >= 0) & (columns.codes >= 0)
    pair = rows.codes[known].astype(np.int64) * len(columns) + columns.codes[known]
    return np.bincount(pair, minlength=len(rows) * len(columns)).reshape(len(rows), len(columns))


def shares(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the counts of each row as parts of their sum; 0 in a row without any."""
    found: NDArray[np.float64] = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return found


def _order(
    sort: str | bool,
    counts: NDArray[np.int64],
    shown: NDArray[Any],
    pieces: Groups,
) -> NDArray[np.intp]:
    """Return which bar stands where."""
    if sort is False:
        return np.arange(len(counts))
    if sort is True:
        return np.argsort(-counts.sum(axis=1), kind="stable")
    return np.argsort(-shown[:, pieces.labels.index(sort)], kind="stable")


def _long(shown: NDArray[Any], counts: NDArray[np.int64], bars: Sequence[str], pieces: Sequence[str]) -> pd.DataFrame:
    """Return a row for each piece of each bar."""
    return pd.DataFrame(
        {0: np.repeat(bars, len(pieces)), 1: np.tile(pieces, len(bars)), 2: shown.reshape(-1), 3: counts.reshape(-1)}
    )


def _apart(names: Sequence[str]) -> list[str]:
    """Return names that differ from each other: a column may stand against itself."""
    found: list[str] = []
    for name in names:
        while name in {*found, "number of cells"}:
            name += " "  # noqa: PLW2901 - until it is free
        found.append(name)
    return found


def _dressed(element: Any, pieces: Groups, n_bars: int, *, horizontal: bool, title: str) -> Any:
    """Set colours, legend and size of the bars."""
    load_backends()
    bar, piece = (dim.name for dim in element.kdims)
    across = n_bars * BAR
    width, height = (LENGTH, across) if horizontal else (across, LENGTH)
    labels = {"xlabel": bar, "ylabel": element.vdims[0].name}  # of an inverted plot HoloViews exchanges them
    legend, named = legend_options(RIGHT, len(pieces), None), titled(title)
    common = {name: value for name, value in legend["common"].items() if name != "legend_limit"}  # overlays have it
    return styled(
        element,
        {"stacked": True, "invert_axes": horizontal, "invert_yaxis": horizontal, **labels, **common},
        bokeh={
            "color": piece,
            "cmap": dict(zip(pieces.labels, pieces.colors, strict=True)),
            "line_color": None,
            "frame_width": width,
            "frame_height": height,
            "tools": ["hover"],
            **legend["bokeh"],
            **named["bokeh"],
        },
        matplotlib={
            "color": hv.Cycle(list(pieces.colors)),
            "edgecolor": "none",
            "fig_inches": (max(width / 72, NARROWEST), max(height / 72, NARROWEST)),
            "aspect": width / height,
            **legend["matplotlib"],
            **named["matplotlib"],
            "hooks": [plain_texts, plain_ticks],
        },
    )
