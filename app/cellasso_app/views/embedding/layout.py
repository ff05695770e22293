"""The parts of a view on the page: its bar above, cells and figure over each other, the status line below."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import panel as pn

from cellasso_app.views.embedding.component import CellsLayer, PlotBar, StatusLine

if TYPE_CHECKING:
    from collections.abc import Callable

    from cellasso_app.views.embedding.figure import EmbeddingPlot


class Parts(NamedTuple):
    """The parts of a view, and all of them as the page shows them."""

    layer: CellsLayer
    bar: PlotBar
    status: StatusLine
    layout: pn.Column


def lay_out(
    plot: EmbeddingPlot, number: int, on_message: Callable[[dict[str, Any]], None], on_refused: Callable[[str], None]
) -> Parts:
    """Make the parts of a view around its figure."""
    told: dict[str, Any] = {"on_message": on_message, "on_refused": on_refused, "figure": plot.name, "margin": 0}
    over = {"position": "absolute", "inset": "0", "pointer-events": "none"}
    layer = CellsLayer(sizing_mode="stretch_both", styles=over, **told)
    bar = PlotBar(several=number > 0, sizing_mode="stretch_width", height=42, **told)
    status = StatusLine(sizing_mode="stretch_width", height=26, margin=0)
    figure = pn.pane.Bokeh(
        plot.figure,
        sizing_mode="stretch_both",
        margin=0,
        styles={"position": "relative"},  # above the layer, so that what is being drawn lies on the cells
    )
    picture = pn.Column(
        layer, figure, sizing_mode="stretch_both", margin=0, styles={"position": "relative", "min-height": "0"}
    )
    styles = {"min-width": "0", "min-height": "0", "background": "var(--ground)"}
    whole = pn.Column(bar, picture, status, sizing_mode="stretch_both", margin=0, styles=styles)
    return Parts(layer, bar, status, whole)
