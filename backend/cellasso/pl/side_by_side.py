"""One plot for one name, a layout of plots for a list of them: scanpy's way with `color`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import holoviews as hv

from cellasso.core.errors import ElementError
from cellasso.pl.options import styled

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def of_each_color(color: str | Sequence[str] | None, ncols: int, draw: Callable[[str | None, int, int], Any]) -> Any:
    """Return what is drawn of a name, or of several as a layout.

    Parameters
    ----------
    color
        A name, several, or `None`: one plot of what has no colours.
    ncols
        As of `in_rows`.
    draw
        Called with each name, which of them it is, and how many there are.

    Raises
    ------
    ElementError
        As `in_rows`.
    """
    if color is None or isinstance(color, str):
        return draw(color, 0, 1)
    names = list(color)
    return in_rows([draw(name, i, len(names)) for i, name in enumerate(names)], ncols)


def each_of(value: Any, i: int, n: int, name: str) -> Any:
    """Return what an argument says of one of several plots: a list has something for each, all else goes for all.

    Parameters
    ----------
    value
        The argument.
    i, n
        Which plot, of how many.
    name
        Of the argument, for messages.

    Raises
    ------
    ElementError
        A list is of another length.
    """
    if not isinstance(value, list | tuple):
        return value
    if len(value) != n:
        raise ElementError(f"{name} has {len(value)} entries for {n} plots; give one for each, or one for all.")
    return value[i]


def in_rows(plots: Sequence[Any], ncols: int) -> Any:
    """Return plots as a layout with so many in a row.

    Parameters
    ----------
    plots
        One at least.
    ncols
        How many stand in a row.

    Raises
    ------
    ElementError
        There is none, or none in a row.
    """
    if not plots or ncols < 1:
        raise ElementError("A list of plots needs one entry at least, and ncols of 1 or more.")
    layout = hv.Layout(list(plots)).cols(min(ncols, len(plots)))
    return styled(layout, matplotlib={"sublabel_format": "", "fig_size": 110, "hspace": 0.3, "vspace": 0.3})
