"""What a figure is made of, as values: its size, axes, names, and what its colours mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from cellasso.color.ramp import Ramp


class Row(NamedTuple):
    """A category of the legend: its name, `#rrggbb`, and its cells if they are to be told."""

    label: str
    color: str
    n_cells: int | None = None


@dataclass(frozen=True)
class Legend:
    """The categories, from the first to the last."""

    rows: tuple[Row, ...]
    title: str = ""


@dataclass(frozen=True)
class ColorBar:
    """The colours of values.

    Attributes
    ----------
    colors
        `#rrggbb` from the low to the high end of `ramp`, each as high as any other.
    ramp
        Which values stand where beside them.
    clipped
        Whether cells with values above the high end have the last colour.
    """

    colors: tuple[str, ...]
    ramp: Ramp
    label: str = ""
    clipped: bool = False


class Label(NamedTuple):
    """A name over the picture: where it would be best, in data units, and the cells that give it precedence."""

    text: str
    x: float
    y: float
    weight: float = 0.0


@dataclass(frozen=True)
class Design:
    """All of a figure but the picture.

    Attributes
    ----------
    width, height
        Size of the picture in inches; what surrounds it comes on top.
    axes
        "glyph": two arrows in the corner, as an embedding has them; "ticks": axes with numbers.
    key
        What the colours mean.
    labels
        Names over the picture, moved apart where they would overlap; without room the one of fewer cells is left out.
    """

    width: float = 3.5
    height: float = 3.5
    dpi: int = 300
    title: str = ""
    axis_names: tuple[str, str] = ("", "")
    axes: Literal["glyph", "ticks"] = "glyph"
    key: Legend | ColorBar | None = None
    labels: tuple[Label, ...] = ()
    dark: bool = False
    transparent: bool = False

    @property
    def pixels(self) -> tuple[int, int]:
        """Width and height at which the picture is to be drawn."""
        return max(1, round(self.width * self.dpi)), max(1, round(self.height * self.dpi))
