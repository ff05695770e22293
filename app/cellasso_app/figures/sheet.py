"""What is on the screen as a figure for a paper: PNG, or SVG with one picture, real lines and real text."""

from __future__ import annotations

import io
import math
import re
import threading
import warnings
from dataclasses import dataclass
from textwrap import wrap
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from cellasso.color.palettes import Scale
from cellasso_app.render.labels import place, short_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.typing import RcKeyType
    from numpy.typing import NDArray

    from cellasso.points.point_index import Viewport

# lengths are points, 72 an inch, from the lower left corner of the picture
TEXT, TITLE = 7.0, 8.0
ROW = 9.5
DOT = 5.0  # diameter of a legend's marker
GAP = 10.0  # between picture and legend, and between a legend's columns
EDGE = 4.0  # free space all around
ARROW = 26.0
BAR = (6.0, 80.0)
LINE = 0.6
REACH = 36.0  # of a label from its cells: farther off it would name others
CAP = 0.36  # from the baseline of a text to its middle, as a part of its size

MOST_LETTERS = 60
"""Of a name in the legend; a longer one is cut in its middle. Names of the Cell Ontology have up to about 60."""

LEGEND_WIDTH = 2.0
"""A legend is at most this many times as wide as the picture, or as wide as it is high: it also grows downwards."""

STYLE: dict[RcKeyType, Any] = {
    "font.family": ["sans-serif", "DejaVu Sans"],  # matplotlib's own has the letters that the others lack
    "font.sans-serif": ["Arial", "Helvetica", "Liberation Sans", "DejaVu Sans"],
    "font.size": TEXT,
    "text.hinting": "none",  # as wide as measured
    "text.parse_math": False,  # names are text, with dollars and all
    "svg.fonttype": "none",  # journals edit text
    "svg.hashsalt": "cellasso",  # the same figure is the same file
}

NO_TEXT = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")

_LOCK = threading.Lock()
"""matplotlib's settings are those of the process: one figure at a time."""


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
        `#rrggbb` from `low` to `high`, in steps as large as each other, or as `Scale.log` has them if `log`.
    clipped
        Whether cells with values above `high` have the last colour.
    """

    colors: tuple[str, ...]
    low: float
    high: float
    label: str = ""
    log: bool = False
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


def render(
    picture: NDArray[np.uint8], viewport: Viewport, design: Design, file_format: Literal["png", "svg"] = "png"
) -> bytes:
    """Return the figure as the bytes of a file, the same for the same arguments.

    Parameters
    ----------
    picture
        `(height, width, 4)` RGBA, not premultiplied, of `design.pixels`, first row at the bottom. A PNG shows it pixel
        by pixel, an SVG holds it as its one image.
    viewport
        What of the plane the picture shows, in data units, as it lies there: where y runs down, `y_low`, its lower
        end, is the greater one.

    Raises
    ------
    ValueError
        The picture has another size than the design's.
    """
    if picture.shape != (*design.pixels[::-1], 4):
        raise ValueError(f"The picture is {picture.shape}, but {(*design.pixels[::-1], 4)} was expected.")
    import matplotlib as mpl  # noqa: PLC0415 - half a second that the start of a server need not take

    file = io.BytesIO()
    metadata = {"Date": None} if file_format == "svg" else None
    with _LOCK, mpl.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph", UserWarning)  # a letter that no font has is shown as a box
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        sheet = _Sheet(design, vector=file_format == "svg")
        _compose(sheet, picture, viewport, design)
        sheet.figure.savefig(file, format=file_format, dpi=design.dpi, metadata=metadata)
    return file.getvalue() if file_format == "png" else _with_halos(file.getvalue(), INKS[design.dark].ground)


class _Sheet:
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


def _compose(sheet: _Sheet, picture: NDArray[np.uint8], viewport: Viewport, design: Design) -> None:
    axes = sheet.picture(picture, viewport)
    _draw_labels(sheet, viewport, design.labels)
    x_name, y_name = map(clean, design.axis_names)
    names = _fitted(sheet, x_name, sheet.width), _fitted(sheet, y_name, sheet.height)
    if design.axes == "ticks":
        _draw_ticks(sheet, axes, names)
    else:
        _draw_glyph(sheet, names)
    if isinstance(design.key, Legend):
        _draw_legend(sheet, design.key)
    elif isinstance(design.key, ColorBar):
        _draw_color_bar(sheet, design.key)
    if design.title:
        title = _fitted(sheet, clean(design.title), sheet.right, size=TITLE, weight="bold")
        sheet.text(0, sheet.top + 4 + TITLE / 2, title, size=TITLE, weight="bold")
    sheet.close()


def _draw_labels(sheet: _Sheet, viewport: Viewport, labels: Sequence[Label]) -> None:
    if not labels:
        return
    names = short_names([clean(label.text) for label in labels])
    x_low, x_high, y_low, y_high = viewport
    anchors = np.array([(label.x, label.y) for label in labels], dtype=np.float64)
    anchors = (anchors - (x_low, y_low)) / (x_high - x_low, y_high - y_low) * (sheet.width, sheet.height)
    widths = [sheet.measure(name) + 4 for name in names]  # beside each other two names must not read as one
    heights = [TEXT * 1.2] * len(names)
    weights = [label.weight for label in labels]
    middles = place(anchors, widths, heights, sheet.width, sheet.height, weights=weights, gap=0.5, reach=REACH)
    for number, (name, (x, y)) in enumerate(zip(names, middles, strict=True)):
        if not np.isnan(x):
            sheet.label(float(x), float(y), name, number)


def _draw_glyph(sheet: _Sheet, names: tuple[str, str]) -> None:
    """Two arrows with names below and beside them: an embedding's axes have names but no meaning."""
    if not any(names):
        return
    sheet.arrow(ARROW, 0)
    sheet.arrow(0, ARROW)
    sheet.text(0, -4 - TEXT / 2, names[0])
    sheet.text(-4 - TEXT / 2, 0, names[1], rotation=90)


def _draw_ticks(sheet: _Sheet, axes: Any, names: tuple[str, str]) -> None:
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415

    axes.spines[["left", "bottom"]].set(visible=True, linewidth=LINE, color=sheet.ink.line)
    axes.tick_params(left=True, bottom=True)
    widest = 0.0
    for axis, length, (low, high) in (
        (axes.xaxis, sheet.width, axes.get_xlim()),
        (axes.yaxis, sheet.height, axes.get_ylim()),
    ):
        least, most = sorted((low, high))
        ticks = MaxNLocator(max(1, min(5, int(length / 30))), steps=[1, 2, 5, 10]).tick_values(least, most)
        ticks = ticks[(ticks >= least) & (ticks <= most)]
        axis.set_ticks(ticks)
        for tick in ticks:
            at = (tick - low) / (high - low) * length
            if axis is axes.xaxis:
                sheet.text(at, -5 - TEXT / 2, number(tick), ha="center")
            else:
                widest = max(widest, sheet.text(-5, at, number(tick), ha="right"))
    if names[0]:
        sheet.text(sheet.width / 2, -8 - 1.5 * TEXT, names[0], ha="center")
    if names[1]:
        sheet.text(-9 - widest - TEXT / 2, sheet.height / 2, names[1], ha="center", rotation=90)


def _draw_legend(sheet: _Sheet, legend: Legend) -> None:
    names = short_names([clean(row.label) for row in legend.rows], MOST_LETTERS)
    counts = ["" if row.n_cells is None else f"{row.n_cells:,}" for row in legend.rows]
    label_widths = [sheet.measure(name) for name in names]
    count_widths = [sheet.measure(count) for count in counts]
    x, top = sheet.right + GAP, sheet.height
    if legend.title:
        title = _fitted(sheet, clean(legend.title), sheet.width, weight="bold")
        sheet.text(x, top - ROW / 2, title, weight="bold")
        top -= ROW * 1.2
    for rows in _columns(label_widths, count_widths, top, LEGEND_WIDTH * sheet.width):
        label_width, count_width = max(label_widths[rows]), max(count_widths[rows])
        count_at = x + DOT + 4 + label_width + (6 + count_width if count_width else 0)
        for place_in_column, n in enumerate(range(rows.start, rows.stop)):
            y = top - ROW * (place_in_column + 0.5)
            marker = {"marker": "o", "markersize": DOT, "color": legend.rows[n].color, "markeredgewidth": 0}
            sheet.line([x + DOT / 2], [y], linestyle="none", **marker)
            sheet.text(x + DOT + 4, y, names[n])
            sheet.text(count_at, y, counts[n], ha="right", color=sheet.ink.faint)
        x = count_at + GAP


def _columns(label_widths: list[float], count_widths: list[float], height: float, most: float) -> list[slice]:
    """Return which rows of a legend stand in which column: as few columns as do, and fewer if too wide."""
    n = len(label_widths)
    n_columns = math.ceil(n / max(1, int(height / ROW)))
    while True:
        n_rows = math.ceil(n / max(1, n_columns))
        columns = [slice(start, min(start + n_rows, n)) for start in range(0, n, max(1, n_rows))]
        width = sum(DOT + 10 + max(label_widths[c]) + max(count_widths[c]) + GAP for c in columns)
        if n_columns <= 1 or width <= max(most, n_rows * ROW):
            return columns
        n_columns -= 1


def _draw_color_bar(sheet: _Sheet, bar: ColorBar) -> None:
    from matplotlib.collections import PolyCollection  # noqa: PLC0415

    x, top = sheet.right + GAP, sheet.height
    for line in wrap(clean(bar.label), 28, max_lines=4, placeholder="…"):
        sheet.text(x, top - ROW / 2, line)
        top -= ROW
    width, height = BAR[0], min(BAR[1], sheet.height)
    bottom = top - TEXT - height
    axes = sheet.axes(x, bottom, width, height)
    axes.set(xlim=(0, 1), ylim=(0, 1))
    # each colour up to the top, the next over it: beside each other they would leave seams
    n = len(bar.colors)
    corners = [[(0, i / n), (1, i / n), (1, 1), (0, 1)] for i in range(n)]
    axes.add_collection(PolyCollection(corners, facecolors=bar.colors, edgecolors="none", antialiased=False))
    low, high = bar.low, bar.high if bar.high > bar.low else bar.low + 1
    sign = "≥ " if bar.clipped else ""
    ends = [(0.0, number(low, 3)), (1.0, sign + number(high, 3))]
    between = [(at, text) for at, text in Scale(log=bar.log).ticks(low, high) if ROW <= at * height <= height - ROW]
    for at, text in ends + between:
        y = bottom + at * height
        sheet.line([x + width, x + width + 2], [y] * 2, linewidth=LINE, color=sheet.ink.line)
        sheet.text(x + width + 4, y, text.replace("-", "\N{MINUS SIGN}"))


def clean(text: str) -> str:
    """Return a text as one line without what XML forbids or no font has: controls, lone surrogates, noncharacters."""
    return NO_TEXT.sub("\ufffd", " ".join(text.split()))


def number(value: float, digits: int = 10) -> str:
    """Return a number with so many digits, or all those before the point, thousands separators and a real minus."""
    if 1 <= abs(value) < 1e15:
        digits = max(digits, int(math.log10(abs(value))) + 1)
    return f"{value + 0:,.{digits}g}".replace("-", "\N{MINUS SIGN}")


def _fitted(sheet: _Sheet, text: str, width: float, **font: Any) -> str:
    """Return a text cut in its middle so that it is no wider than `width`."""
    shown, kept = text, len(text)
    while kept > 2 and sheet.measure(shown, **font) > width:
        kept -= 1
        shown = f"{text[: kept - kept // 3]}…{text[len(text) - kept // 3 :]}"
    return shown


def _with_halos(svg: bytes, color: str) -> bytes:
    """Give the copies below labels their outline, which matplotlib has for curves only."""
    outline = f"stroke: {color}; stroke-width: 1.6; stroke-linejoin: round; "
    return re.sub(rb'(<g id="halo-\d+">\s*<text style=")', rb"\1" + outline.encode(), svg)
