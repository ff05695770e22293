"""The points of cells with what colours them, in the order of space."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from cellasso.color.coloring import MISSING_CODE, Categories, Values
from cellasso.color.palettes import Scale
from cellasso.core.executors import run_quickly
from cellasso.raster import aggregate
from cellasso.raster.style import HIDDEN, ORDERS, SELECTED

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cellasso.color.coloring import Coloring
    from cellasso.color.ramp import Ramp
    from cellasso.points.point_index import PointIndex
    from cellasso.raster.style import Order, Style

SPLIT = 1 << 18
"""Values that one core converts at a time."""


class ColoredCells:
    """The cells of a plane with one colouring.

    Parameters
    ----------
    coloring
        What colours them; `None` draws all alike.
    scale
        How values become colours.

    Attributes
    ----------
    codes
        Number of the colour of each point, `(n,)`; `(0,)` where all are alike.
    ramp
        Where the values stand between the ends of the colours; `None` where no values colour them.
    """

    def __init__(self, plane: PointIndex, coloring: Coloring | None, scale: Scale = Scale()) -> None:  # noqa: B008 - frozen
        self.plane = plane
        self.coloring = coloring
        self.scale = scale
        self.ramp: Ramp | None = None
        self._selected: tuple[NDArray[np.uint8] | None, frozenset[int], bool] = (None, frozenset(), False)
        if isinstance(coloring, Categories):
            self.codes = plane.gather(coloring.codes.astype(np.uint8))  # -1, missing, becomes 255
        elif isinstance(coloring, Values):
            self.ramp = scale.ramp(coloring)
            self.codes = self._steps(coloring)
        else:
            self.codes = np.zeros(0, dtype=np.uint8)

    def _steps(self, coloring: Values) -> NDArray[np.uint8]:
        steps = np.empty(len(coloring.values), dtype=np.uint8)

        def convert(start: int) -> None:
            part = slice(start, start + SPLIT)
            self.write_steps(coloring.values[part], steps[part])

        run_quickly(convert, range(0, len(steps), SPLIT))
        return self.plane.gather(steps)

    def write_steps(self, values: NDArray[np.float32], steps: NDArray[np.uint8]) -> None:
        """Write the codes of the colours of some values, as the ramp has them; `MISSING_CODE` for NaN.

        Parameters
        ----------
        values, steps
            `(n,)` each.
        """
        if self.ramp is None:
            raise TypeError("only values lie on steps of colour")
        if self.ramp.shading == "linear":
            aggregate.to_steps(values, float(self.ramp.low), float(self.ramp.high), steps)
        else:
            aggregate.to_bounded_steps(values, self._bounds, steps)

    @cached_property
    def _bounds(self) -> NDArray[np.float64]:
        return self.ramp.bounds if self.ramp is not None else np.zeros(0)

    @cached_property
    def values(self) -> NDArray[np.float32]:
        """The values in the order of the points."""
        if not isinstance(self.coloring, Values):
            raise TypeError("only values have a mean")
        return self.plane.gather(self.coloring.values)

    def order(self, wanted: Order) -> Order:
        """Return the order that is drawn: the one chosen where the colouring has it, else its usual one."""
        offered = ORDERS.get(type(self.coloring), ("random",))
        return wanted if wanted in offered else offered[0]

    def shown(self, style: Style, states: NDArray[np.uint8] | None) -> NDArray[np.bool_] | None:
        """Return which points are drawn at all, `(n,)` in the order of the plane; `None`: all.

        Parameters
        ----------
        style
            Its `hidden` categories are not drawn.
        states
            As of `draw`; cells that are `HIDDEN` are not drawn.
        """
        shown = None if states is None else states != HIDDEN
        if style.hidden and len(self.codes):
            drawn = np.ones(256, dtype=np.bool_)
            drawn[list(style.hidden)] = False
            own = drawn[self.codes]
            shown = own if shown is None else shown & own
        return shown

    def shows_selected(self, style: Style, states: NDArray[np.uint8] | None) -> bool:
        """Whether a cell that is drawn, in view or not, is selected; of a sample, which may lack them, always.

        A pass over all cells, unless the states (the same array) and the hidden categories are those of the last call.

        Parameters
        ----------
        style
            Its `hidden` categories are not drawn.
        states
            As of `draw`; `None`: none is selected.
        """
        if states is None:
            return False
        if self.plane.step > 1:
            return True
        kept = self._selected
        if kept[0] is not states or kept[1] != style.hidden:  # not with every picture: a pass over all cells
            selected = states == SELECTED
            if style.hidden and len(self.codes):
                selected = ~np.isin(self.codes[selected], list(style.hidden))
            self._selected = kept = (states, style.hidden, bool(selected.any()))
        return kept[2]

    def ranks(self, style: Style) -> NDArray[np.int16]:
        """Return which colours lie above which, `(256,)`; -1 for hidden ones."""
        order = self.order(style.order)
        ranks = np.ones(256, dtype=np.int16)
        if order in {"high", "legend"}:
            ranks[:] = np.arange(1, 257)
        elif order == "low":
            ranks[:] = np.arange(256, 0, -1)
        elif order == "rare" and isinstance(self.coloring, Categories):
            counts = self.coloring.counts
            ranks[np.argsort(-counts, kind="stable")] = np.arange(1, len(counts) + 1)
        if self.coloring is not None:
            ranks[MISSING_CODE] = 0
        ranks[list(style.hidden)] = -1
        return ranks
