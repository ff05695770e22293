"""What stands above and below the plot."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import param

from cellasso_app.ui.component import Component, script
from cellasso_app.ui.messages import Flag, Number, OneOf, Text

if TYPE_CHECKING:
    from cellasso_app.ui.messages import Hears, Says


class PlotsBar(Component):
    """Above the plot: which one it is, how it is laid out, and by which column its cells are grouped."""

    _esm = script(__file__, "plots_bar.js")
    says: ClassVar[Says] = {
        "group_by": {"value": Text()},
        "plot": {"value": Text()},
        "arrange": {
            "choice": OneOf({"scale": Text(), "similar": Flag(), "swapped": Flag(), "cutoff": Number(), "size": Text()})
        },
        "pieces": {"value": Text()},
        "pick": {"x": Number(), "y": Number(), "add": Flag()},
        "fill": {"value": Flag()},
        "save": {"format": Text()},
        "cancel": {},
    }
    hears: ClassVar[Hears] = {"file": ("name", "bytes")}

    label = param.String(doc="What the plot is called.")
    plots = param.List(doc="`{value, label}` of each plot that can be chosen.")
    plot = param.String(doc="Which one is shown.")
    figures = param.List(doc="Names of the Bokeh figures that can be clicked.")
    arrangement = param.Dict(default={}, doc="How it is laid out, and can be.")
    pieces = param.String(doc="Column of whose categories bars are made; empty where the plot has none.")
    columns = param.List()
    group_by = param.String()
    busy = param.Boolean()
    fraction = param.Number(default=0.0)
    message = param.String()


class PlotFrame(Component):
    """Where a plot is shown that is drawn anew each time."""

    _esm = script(__file__, "plot_frame.js")
    says: ClassVar[Says] = {"pick": {"x": Number(), "y": Number(), "add": Flag()}}
    hears: ClassVar[Hears] = {"plot": ("json",), "no_plot": ()}

    label = param.String(doc="What the plot is called.")


class PlotKey(Component):
    """Below the plot: what colours mean, and for a dotplot the size of dots."""

    _esm = script(__file__, "plot_key.js")

    low = param.Number()
    high = param.Number()
    largest = param.Number(doc="Diameter of the dot of all cells; 0 where there are no dots.")
    cutoff = param.Number(doc="Cells above it are counted.")
    colors = param.List()
