"""From plots to figures of one of the plotting libraries."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Literal

import holoviews as hv

from cellasso.pl.styling import load_backends, styled

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_STYLED = 16
"""Panels of a layout that has options of its own: HoloViews takes time with their square, 2 s for 50."""

_lock = threading.Lock()
"""HoloViews' options are those of the process: one plot at a time."""


def render(plot: Any, backend: Literal["bokeh", "matplotlib"]) -> Any:
    """Return the figure of a plot; threads take turns.

    Parameters
    ----------
    plot
        What a function of `cellasso.pl` returned, or a layout of these.
    backend
        Whose figure it is: a Bokeh model, or a matplotlib figure.
    """
    load_backends()
    with _lock:
        return hv.render(plot, backend=backend)


def in_columns(plots: Sequence[Any], n_columns: int) -> Any:
    """Return plots as one, each with axes of its own.

    Parameters
    ----------
    plots
        What functions of `cellasso.pl` returned; one alone is returned as it is.
    n_columns
        How many stand beside each other.
    """
    if len(plots) == 1:
        return plots[0]
    layout = hv.Layout(list(plots)).cols(min(n_columns, len(plots)))
    if len(plots) > MAX_STYLED:
        return layout
    return styled(layout, shared_axes=False, matplotlib={"sublabel_format": "", "fig_inches": 4})
