"""Where the groups of a plot stand, so that a click on one is a click on its cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Spans:
    """Where the groups of a plot stand along one of its axes.

    Attributes
    ----------
    axis
        Which one.
    low, high
        Where each begins and ends, `(n_groups,)`.
    """

    axis: Literal["x", "y"]
    low: NDArray[np.floating]
    high: NDArray[np.floating]

    @classmethod
    def rows(cls, n: int) -> Spans:
        """Return groups that are rows of 1 each, from the top."""
        high = np.arange(n, 0, -1.0)
        return cls("y", high - 1, high)

    @classmethod
    def columns(cls, n: int) -> Spans:
        """Return groups that are columns of 1 each."""
        low = np.arange(float(n))
        return cls("x", low, low + 1)

    def at(self, x: float, y: float) -> int | None:
        """Return which group is at a point; `None` where there is none."""
        along = x if self.axis == "x" else y
        found = np.flatnonzero((self.low <= along) & (along < self.high))
        return int(found[0]) if len(found) else None
