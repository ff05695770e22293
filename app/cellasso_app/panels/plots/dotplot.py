"""The dotplot: mean and fraction of expressing cells, genes by groups, as scanpy draws it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from bokeh.core.properties import field

from cellasso_app.panels.plots.grid_figure import MIN_ROW, GridPlot

if TYPE_CHECKING:
    from bokeh.models.renderers import GlyphRenderer
    from numpy.typing import NDArray

    from cellasso_app.panels.plots.arrangement import Arranged


def dot_size(fraction: NDArray[np.floating], largest: float) -> NDArray[np.floating]:
    """Return the diameter of a dot in pixels: its area is in proportion to the fraction of cells."""
    size: NDArray[np.floating] = largest * np.sqrt(fraction)
    return size


def largest_dot(n_columns: int, width: int = 230) -> float:
    """Return the diameter of a dot for all cells, so that neighbours do not touch."""
    return float(min(MIN_ROW - 1, max(5.0, width / max(n_columns, 1) - 2)))


class Dotplot(GridPlot):
    """Dots whose colour is the mean of a gene in a group, and whose area the fraction of cells above 0."""

    label = "Dotplot"
    name = "cellasso-dotplot"
    columns: ClassVar[tuple[str, ...]] = (*GridPlot.columns, "size")

    def _draw_marks(self) -> GlyphRenderer[Any]:
        color = field("mean", self._mapper)
        return self.figure.scatter("x", "y", size="size", fill_color=color, line_width=0.5, source=self._marks)

    def show(self, shown: Arranged) -> None:
        """Show genes by groups; parameters as of `Plot.show`."""
        largest = largest_dot(len(shown.columns))
        sizes = dot_size(np.nan_to_num(shown.fraction.ravel()), largest)
        self._show(shown, largest=largest, size=sizes)
