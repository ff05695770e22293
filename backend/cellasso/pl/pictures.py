"""Pictures of cells as datashader's reductions: which category lies on top in each pixel, or their colours mixed.

These are the loops of the explorer's own pictures. They go over the points of a file alone, not over other frames: what
lies on top in random order goes by the place of a cell among the sorted points.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import datashader as ds
import numpy as np
from datashader.core import bypixel
from datashader.datashape import coretypes as ct
from datashader.datashape import dshape
from datashader.glyphs import Point
from datashader.reductions import Reduction

from cellasso.color.coloring import MISSING_CODE, Categories
from cellasso.raster.aggregate import COUNT
from cellasso.raster.drawing import NONE, Drawing, cut_strips, reduce_cells
from cellasso.raster.style import ORDERS, Canvas, Style

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cellasso.model.cells import Cells
    from cellasso.model.vector import Vector
    from cellasso.pl.sorted_columns import SortedColumns
    from cellasso.points.point_index import Viewport
    from cellasso.raster.draw import Reducer
    from cellasso.raster.drawing import Reduced
    from cellasso.raster.style import Order


class PictureReduction(Reduction):  # type: ignore[misc] # datashader has no types
    """A reduction that only the cells of a file have; see the subclasses."""

    def out_dshape(self, *_: Any) -> Any:
        """Return the type of a pixel."""
        return dshape(ct.int16)

    def _build_append(self, *_: Any) -> Any:
        raise TypeError(
            f"{self!r} is for the cells of a file over two axes of an embedding, as in "
            'Canvas.points(dataset.cells, "X_umap:0", "X_umap:1", …).'
        )

    def picture(self, cells: Cells, columns: SortedColumns, viewport: Viewport, shape: tuple[int, int]) -> NDArray[Any]:
        """Draw the cells in a viewport, `(height, width, …)` of a shape.

        Parameters
        ----------
        cells
            The file's cells.
        columns
            Reads their columns in the order of the points.
        viewport
            What is in view, in data units.
        shape
            Height and width in pixels.
        """
        raise NotImplementedError


class top(PictureReduction):  # noqa: N801 - named as datashader names its reductions
    """The category of the cell that lies on top in each pixel, int16; -1 where none has one.

    Parameters
    ----------
    column
        A column of categories, of at most 255; beyond them the smallest stand together as the last.
    order
        Which of several cells: any, but always the same (`"random"`), the last category's (`"legend"`), or the one of
        the category with the fewest cells (`"rare"`).
    """

    def __init__(self, column: str, order: Order = "random") -> None:
        if order not in ORDERS[Categories] or order == "mixed":
            raise ValueError(f"order is {order!r}; it can be random, legend or rare.")
        super().__init__(column)
        self.order: Order = order

    def validate(self, in_dshape: Any) -> None:
        """Refuse a column of no categories, as datashader's `by` does."""
        _check_categories(self.column, in_dshape)

    def picture(self, cells: Cells, columns: SortedColumns, viewport: Viewport, shape: tuple[int, int]) -> NDArray[Any]:
        """Return the codes.

        Parameters
        ----------
        cells, columns, viewport, shape
            As of `PictureReduction.picture`.
        """
        words = np.empty(shape, dtype=np.int64)
        reduce_cells(_drawing_of(cells[[self.column]], self.order, columns, viewport, shape), words)
        codes = (words & 0xFF).astype(np.int16)
        return np.where((words >> COUNT > 0) & (codes != MISSING_CODE), codes, np.int16(-1))


class mix(PictureReduction):  # noqa: N801 - as above
    """The mean colour of the cells of each pixel, RGBA uint8 along a further axis; opaque where there is a cell.

    Parameters
    ----------
    column
        As of `top`; categories have the colours that `uns` says, or those of `cellasso.color.coloring.palette`.
    """

    def validate(self, in_dshape: Any) -> None:
        """Refuse a column of no categories, as datashader's `by` does."""
        _check_categories(self.column, in_dshape)

    def picture(self, cells: Cells, columns: SortedColumns, viewport: Viewport, shape: tuple[int, int]) -> NDArray[Any]:
        """Return the colours.

        Parameters
        ----------
        cells, columns, viewport, shape
            As of `PictureReduction.picture`.
        """
        words = np.empty(shape, dtype=np.int64)
        _, mixture = reduce_cells(_drawing_of(cells[[self.column]], "mixed", columns, viewport, shape), words)
        if mixture is None:
            raise TypeError("only categories have colours that can be mixed")
        alpha = np.where(words >> COUNT > 0, np.uint8(255), np.uint8(0))
        return np.concatenate([np.where(alpha[..., None] > 0, mixture, np.uint8(0)), alpha[..., None]], axis=2)


def _check_categories(column: str, in_dshape: Any) -> None:
    if column not in in_dshape.dict:
        raise ValueError("specified column not found")
    if not isinstance(in_dshape.measure[column], ct.Categorical):
        raise ValueError("input must be categorical")  # noqa: TRY004 - as datashader does


def _drawing_of(
    cells: Cells, order: Order, columns: SortedColumns, viewport: Viewport, shape: tuple[int, int]
) -> Drawing:
    """Return the picture of cells by their only column, in the making."""
    colored, canvas = columns.colored(cells, cells.columns[0]), Canvas(shape[1], shape[0])
    return Drawing(colored, viewport, canvas, Style(order=order), NONE, cut_strips(columns.points, viewport, canvas))


class drawn(PictureReduction):  # noqa: N801 - as above
    """A picture of the explorer in the making, as a reduction; afterwards `reduced` has what `reduce_cells` returns.

    Parameters
    ----------
    drawing, words
        As of `reduce_cells`.
    """

    def __init__(self, drawing: Drawing, words: NDArray[np.int64]) -> None:
        super().__init__(None)
        self.drawing, self.words = drawing, words
        self.reduced: Reduced = (0, None)

    def picture(self, *_: Any) -> Any:
        """Write the words of the pixels."""
        self.reduced = reduce_cells(self.drawing, self.words)
        return self.words


def reducer_of(cells: Cells, x: Vector, y: Vector) -> Reducer:
    """Return what makes the pixels of an explorer's picture by way of datashader's pipeline, for `raster.draw.draw`.

    Parameters
    ----------
    cells
        The cells of the file.
    x, y
        The axes.
    """
    frame, glyph = cells[[x, y]], Point(str(x), str(y))

    def reduce(drawing: Drawing, words: NDArray[np.int64]) -> Reduced:
        size, view = drawing.canvas, drawing.viewport
        canvas = ds.Canvas(size.width, size.height, (view.x_low, view.x_high), (view.y_low, view.y_high))
        summary = drawn(drawing, words)
        # `Canvas.points` would narrow and validate the frame and read its types for each picture
        bypixel.pipeline(frame, None, canvas, glyph, summary)
        return summary.reduced

    return reduce
