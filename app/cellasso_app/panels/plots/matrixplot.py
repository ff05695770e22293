"""The matrixplot: the mean of each gene in each group as the colour of a field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bokeh.core.properties import field

from cellasso_app.panels.plots.grid_figure import GridPlot

if TYPE_CHECKING:
    from bokeh.models.renderers import GlyphRenderer

    from cellasso_app.panels.plots.arrangement import Arranged


class Matrixplot(GridPlot):
    """Fields whose colour is the mean of a gene in a group."""

    label = "Matrixplot"
    name = "cellasso-matrixplot"

    def _draw_marks(self) -> GlyphRenderer[Any]:
        color = field("mean", self._mapper)
        return self.figure.rect("x", "y", width=1, height=1, fill_color=color, line_width=0.5, source=self._marks)

    def show(self, shown: Arranged) -> None:
        """Show genes by groups; parameters as of `Plot.show`."""
        self._show(shown, largest=0.0)
