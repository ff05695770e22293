"""The sheet that a figure is drawn on: it grows with what is put on it, and knows how wide texts are."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cellasso.points.point_index import Viewport
    from cellasso_app.figures.design import Design

# lengths are points, 72 an inch, from the lower left corner of the picture
TEXT = 7.0
ROW = 9.5
GAP = 10.0  # between picture and legend, and between a legend's columns
EDGE = 4.0  # free space all around
LINE = 0.6
CAP = 0.36  # from the baseline of a text to its middle, as a part of its size

NO_TEXT = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


class Ink(NamedTuple):
    """Colours of ground, text, secondary text and lines."""

    ground: str
    text: str
    faint: str
    line: str


INKS = {
    False: Ink("#ffffff", "#000000", "#5d6673", "#000000"),
    True: Ink("#14161a", "#f0f2f5", "#98a2b0", "#c8ced6"),
}


class Sheet:
    """A matplotlib figure that grows with what is put on it, so that nothing is cut."""

    def __init__(self, design: Design, *, vector: bool) -> None:
        from matplotlib.figure import Figure  # noqa: PLC0415
        from matplotlib.textpath import TextToPath  # noqa: PLC0415
        from matplotlib.transforms import Affine2D  # noqa: PLC0415

        self.ink = INKS[design.dark]
        self.vector = vector
        self.dpi = design.dpi
        self.width, self.height = (n * 72 / design.dpi for n in design.pixels)
        self.figure = Figure(dpi=design.dpi, facecolor="none" if design.transparent else self.ink.ground)
        self._paths = TextToPath()
        self._origin = Affine2D().scale(1 / 72)
        self._points = self._origin + self.figure.dpi_scale_trans
        self._low, self._high = np.zeros(2), np.array([self.width, self.height])
        self._axes: list[tuple[Any, tuple[float, float, float, float]]] = []
        self._picture: NDArray[np.uint8] | None = None

    def measure(self, text: str, **font: Any) -> float:
        """Return the width of a text."""
        from matplotlib.font_manager import FontProperties  # noqa: PLC0415

        properties = FontProperties(**{"size": TEXT, **font})
        return float(self._paths.get_text_width_height_descent(text, properties, ismath=False)[0]) if text else 0.0

    def text(
        self, x: float, y: float, text: str, *, ha: str = "left", rotation: int = 0, color: str = "", **font: Any
    ) -> float:
        """Write a line whose middle is at height `y` (with `rotation` 90: at `x`); return its length."""
        font = {"size": TEXT, **font}
        length, half = self.measure(text, **font), font["size"] * 0.6
        start = {"left": 0.0, "center": -length / 2, "right": -length}[ha]
        drop = CAP * font["size"]
        if rotation:
            self.include(x - half, y + start, x + half, y + start + length)
            x += drop
        else:
            self.include(x + start, y - half, x + start + length, y + half)
            y -= drop
        self.figure.text(
            x,
            y,
            text,
            ha=ha,
            va="baseline",
            rotation=rotation,
            rotation_mode="anchor",
            color=color or self.ink.text,
            transform=self._points,
            **font,
        )
        return length

    def label(self, x: float, y: float, text: str, number: int) -> None:
        """Write a line around a point, with a halo that keeps it legible on any colour."""
        from matplotlib.patheffects import withStroke  # noqa: PLC0415

        self.text(x, y, text, ha="center")
        front = self.figure.texts[-1]
        if not self.vector:
            front.set_path_effects([withStroke(linewidth=1.6, foreground=self.ink.ground)])
            return
        # as a path effect the text would become curves: a copy of it gets an outline when the file is written
        self.text(x, y, text, ha="center", color=self.ink.ground)
        halo = self.figure.texts[-1]
        halo.set_gid(f"halo-{number}")
        halo.set_zorder(front.get_zorder() - 1)

    def line(self, x: Sequence[float], y: Sequence[float], **style: Any) -> None:
        """Draw a line, or a marker."""
        from matplotlib.lines import Line2D  # noqa: PLC0415

        self.include(min(x), min(y), max(x), max(y))
        self.figure.add_artist(Line2D(x, y, transform=self._points, **style))

    def arrow(self, dx: float, dy: float) -> None:
        """Draw an arrow from the lower left corner of the picture."""
        from matplotlib.patches import FancyArrowPatch  # noqa: PLC0415

        self.include(-2, -2, dx, dy)
        arrow = FancyArrowPatch(
            posA=(0, 0),
            posB=(dx, dy),
            shrinkA=0,
            shrinkB=0,
            arrowstyle="-|>,head_length=2.2,head_width=1.1",
            mutation_scale=1,
            linewidth=LINE,
            color=self.ink.line,
            joinstyle="miter",
            capstyle="projecting",
        )
        arrow.set_transform(self._points)
        self.figure.add_artist(arrow)

    def axes(self, x: float, y: float, width: float, height: float) -> Any:
        """Return axes without anything at a place."""
        axes = self.figure.add_axes((0, 0, 1, 1))
        axes.patch.set_visible(False)
        axes.spines[:].set_visible(False)
        axes.tick_params(
            left=False, bottom=False, labelleft=False, labelbottom=False, width=LINE, length=2.5, color=self.ink.line
        )
        self.include(x, y, x + width, y + height)
        self._axes.append((axes, (x, y, width, height)))
        return axes

    def picture(self, pixels: NDArray[np.uint8], viewport: Viewport) -> Any:
        """Show a picture, which the rest stands around, and return the axes over it."""
        axes = self.axes(0, 0, self.width, self.height)
        x_low, x_high, y_low, y_high = viewport
        axes.set(xlim=(x_low, x_high), ylim=(y_low, y_high))
        if self.vector:
            axes.imshow(
                pixels, origin="lower", extent=(x_low, x_high, y_low, y_high), aspect="auto", interpolation="none"
            )
        else:
            self._picture = pixels
        return axes

    def include(self, x_low: float, y_low: float, x_high: float, y_high: float) -> None:
        """Make room for a rectangle."""
        self._low = np.minimum(self._low, (x_low, y_low))
        self._high = np.maximum(self._high, (x_high, y_high))

    @property
    def right(self) -> float:
        """The right end of what is there."""
        return float(self._high[0])

    @property
    def top(self) -> float:
        """The upper end of what is there."""
        return float(self._high[1])

    def close(self) -> None:
        """Fix the figure's size, in whole pixels as is the picture's place, so that its pixels stay what they are."""
        to_pixels = self.dpi / 72
        before = np.ceil((EDGE - self._low) * to_pixels)
        size = before + np.ceil((self._high + EDGE) * to_pixels)
        width, height = ((size + 1e-6) / self.dpi).tolist()  # a little more, as matplotlib cuts the rest off
        self.figure.set_size_inches(width, height)
        if self._picture is not None:  # copied to its place: pixels of axes may be off by one, as rounding has it
            left, bottom = before.astype(int).tolist()
            self.figure.figimage(self._picture, left, bottom, origin="lower")
        self._origin.translate(*before / self.dpi)
        for axes, (x, y, width, height) in self._axes:
            left, bottom = (before + np.array([x, y]) * to_pixels) / (size + 1e-6)
            axes.set_position((left, bottom, *(np.array([width, height]) * to_pixels / (size + 1e-6))))


def clean(text: str) -> str:
    """Return a text as one line without what XML forbids or no font has: controls, lone surrogates, noncharacters."""
    return NO_TEXT.sub("\ufffd", " ".join(text.split()))


def number(value: float, digits: int = 10) -> str:
    """Return a number with so many digits, or all those before the point, thousands separators and a real minus."""
    if 1 <= abs(value) < 1e15:
        digits = max(digits, int(math.log10(abs(value))) + 1)
    return f"{value + 0:,.{digits}g}".replace("-", "\N{MINUS SIGN}")


def fitted(sheet: Sheet, text: str, width: float, **font: Any) -> str:
    """Return a text cut in its middle so that it is no wider than `width`."""
    shown, kept = text, len(text)
    while kept > 2 and sheet.measure(shown, **font) > width:
        kept -= 1
        shown = f"{text[: kept - kept // 3]}…{text[len(text) - kept // 3 :]}"
    return shown
