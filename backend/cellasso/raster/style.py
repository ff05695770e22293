"""How cells are to be drawn: the size of the picture, the order of the dots, what is hidden or faded."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from cellasso.color.coloring import Categories, Values

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cellasso.color.ramp import Shading

Order: TypeAlias = Literal["random", "legend", "rare", "mixed", "high", "low", "mean"]
"""Which cell of several in one place is seen: any but always the same, the last or the smallest category's, the one
of the highest or lowest value; or their colours mixed, or their mean."""

ORDERS: dict[type, tuple[Order, ...]] = {
    Categories: ("random", "legend", "rare", "mixed"),
    Values: ("high", "low", "random", "mean"),
}
"""Those that a colouring has, the usual one first."""

PLAIN, SELECTED, HIDDEN = 0, 1, 2
"""States of a cell."""


@dataclass(frozen=True)
class Canvas:
    """The picture's size in physical pixels, how many of them make one pixel of the screen, its ground."""

    width: int
    height: int
    pixel_ratio: float = 1.0
    dark: bool = False


@dataclass(frozen=True)
class Style:
    """How the user wants cells drawn.

    Attributes
    ----------
    size
        Diameter of a dot in pixels of the screen; `None`: `spot`, or else by how many are in view.
    order
        One of `ORDERS`; the usual one where the colouring does not have it.
    hidden
        Codes of the categories that are not drawn.
    fade
        Whether the cells that are not selected are faded.
    chosen
        Colours by label in place of a category's own; only mixed colours have to know them.
    crowds
        How opacity rises with the number of cells in a pixel, where a cell is one pixel; see `opacity.opacities`.
    spot
        Diameter of a dot in data units, where cells are places of a known width; at most `draw.MAX_SPOT` on the screen.
    """

    size: float | None = None
    order: Order = "random"
    hidden: frozenset[int] = frozenset()
    fade: bool = False
    chosen: Mapping[str, str] = field(default_factory=dict)
    crowds: Shading = "log"
    spot: float | None = None
