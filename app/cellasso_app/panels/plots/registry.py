"""The plots that the panel has, by name.

Dotplot and matrixplot are Bokeh figures that are kept, so that a further gene costs only its own; the others are drawn
anew by `cellasso.pl`, in a thread.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

from cellasso_app.panels.plots.dotplot import Dotplot
from cellasso_app.panels.plots.matrixplot import Matrixplot

if TYPE_CHECKING:
    from cellasso.core.progress import Progress
    from cellasso_app.panels.plots.asked import Asked, Drawn
    from cellasso_app.panels.plots.base import Plot


class DrawnPlot(NamedTuple):
    """A plot that is drawn anew.

    Attributes
    ----------
    label
        What the page calls it.
    module, name
        The function that draws it, in `drawn`.
    of_genes
        Whether it shows genes.
    of_pieces
        Whether it shows another column.
    """

    label: str
    module: str
    name: str
    of_genes: bool = True
    of_pieces: bool = False

    def draw(self, asked: Asked, progress: Progress) -> Drawn:
        """Read what it shows and draw it; HoloViews is imported the first time."""
        module = import_module(f"cellasso_app.panels.plots.drawn.{self.module}")
        drawn: Drawn = getattr(module, self.name)(asked, progress)
        return drawn


KEPT: dict[str, type[Plot]] = {"dotplot": Dotplot, "matrixplot": Matrixplot}
"""The first is shown at first."""

DRAWN = {
    "stacked_violin": DrawnPlot("Stacked violins", "violins", "stacked_violin"),
    "violin": DrawnPlot("Violins", "violins", "violin"),
    "heatmap": DrawnPlot("Heatmap", "cells", "heatmap"),
    "tracksplot": DrawnPlot("Tracks", "cells", "tracksplot"),
    "composition": DrawnPlot("Composition", "bars", "composition", of_genes=False, of_pieces=True),
}


def make_plot(name: str, *, dark: bool) -> Plot:
    """Return a new plot that is kept, empty, in the inks of the light or the dark page.

    Parameters
    ----------
    name
        One of `KEPT`.
    dark
        Whether the page is dark.
    """
    return KEPT[name](dark=dark)


def label_of(name: str) -> str:
    """Return what the page calls a plot."""
    return KEPT[name].label if name in KEPT else DRAWN[name].label
