"""What is on the screen as a figure for a paper: PNG, or SVG with one picture, real lines and real text."""

from __future__ import annotations

import io
import re
import threading
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from cellasso_app.figures.colorbar import draw_color_bar
from cellasso_app.figures.design import ColorBar, Legend
from cellasso_app.figures.legend import draw_legend
from cellasso_app.figures.sheet import INKS, LINE, TEXT, Sheet, clean, fitted, number
from cellasso_app.render.labels import place_labels, short_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from matplotlib.typing import RcKeyType
    from numpy.typing import NDArray

    from cellasso.points.point_index import Viewport
    from cellasso_app.figures.design import Design, Label

TITLE = 8.0  # points, as all lengths
ARROW = 26.0
REACH = 36.0  # of a label from its cells: farther off it would name others

STYLE: dict[RcKeyType, Any] = {
    "font.family": ["sans-serif", "DejaVu Sans"],  # matplotlib's own has the letters that the others lack
    "font.sans-serif": ["Arial", "Helvetica", "Liberation Sans", "DejaVu Sans"],
    "font.size": TEXT,
    "text.hinting": "none",  # as wide as measured
    "text.parse_math": False,  # names are text, with dollars and all
    "svg.fonttype": "none",  # journals edit text
    "svg.hashsalt": "cellasso",  # the same figure is the same file
}

_LOCK = threading.Lock()
"""matplotlib's settings are those of the process: one figure at a time."""


@contextmanager
def drawing_alone(settings: Mapping[RcKeyType, Any]) -> Iterator[None]:
    """Let no one else draw with matplotlib meanwhile; its settings are its own and these.

    Parameters
    ----------
    settings
        By the names of matplotlib's `rcParams`.
    """
    import matplotlib as mpl  # noqa: PLC0415 - half a second that the start of a server need not take

    with _LOCK, mpl.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph", UserWarning)  # a letter that no font has is shown as a box
        mpl.rcdefaults()
        mpl.rcParams.update(settings)
        yield


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
    file = io.BytesIO()
    metadata = {"Date": None} if file_format == "svg" else None
    with drawing_alone(STYLE):
        sheet = Sheet(design, vector=file_format == "svg")
        _compose(sheet, picture, viewport, design)
        sheet.figure.savefig(file, format=file_format, dpi=design.dpi, metadata=metadata)
    return file.getvalue() if file_format == "png" else _with_halos(file.getvalue(), INKS[design.dark].ground)


def _compose(sheet: Sheet, picture: NDArray[np.uint8], viewport: Viewport, design: Design) -> None:
    axes = sheet.picture(picture, viewport)
    _draw_labels(sheet, viewport, design.labels)
    x_name, y_name = map(clean, design.axis_names)
    names = fitted(sheet, x_name, sheet.width), fitted(sheet, y_name, sheet.height)
    if design.axes == "ticks":
        _draw_ticks(sheet, axes, names)
    else:
        _draw_glyph(sheet, names)
    if isinstance(design.key, Legend):
        draw_legend(sheet, design.key)
    elif isinstance(design.key, ColorBar):
        draw_color_bar(sheet, design.key)
    if design.title:
        title = fitted(sheet, clean(design.title), sheet.right, size=TITLE, weight="bold")
        sheet.text(0, sheet.top + 4 + TITLE / 2, title, size=TITLE, weight="bold")
    sheet.close()


def _draw_labels(sheet: Sheet, viewport: Viewport, labels: Sequence[Label]) -> None:
    if not labels:
        return
    names = short_names([clean(label.text) for label in labels])
    x_low, x_high, y_low, y_high = viewport
    anchors = np.array([(label.x, label.y) for label in labels], dtype=np.float64)
    anchors = (anchors - (x_low, y_low)) / (x_high - x_low, y_high - y_low) * (sheet.width, sheet.height)
    widths = [sheet.measure(name) + 4 for name in names]  # beside each other two names must not read as one
    heights = [TEXT * 1.2] * len(names)
    weights = [label.weight for label in labels]
    middles = place_labels(anchors, widths, heights, sheet.width, sheet.height, weights=weights, gap=0.5, reach=REACH)
    for at, (name, (x, y)) in enumerate(zip(names, middles, strict=True)):
        if not np.isnan(x):
            sheet.label(float(x), float(y), name, at)


def _draw_glyph(sheet: Sheet, names: tuple[str, str]) -> None:
    """Two arrows with names below and beside them: an embedding's axes have names but no meaning."""
    if not any(names):
        return
    sheet.arrow(ARROW, 0)
    sheet.arrow(0, ARROW)
    sheet.text(0, -4 - TEXT / 2, names[0])
    sheet.text(-4 - TEXT / 2, 0, names[1], rotation=90)


def _draw_ticks(sheet: Sheet, axes: Any, names: tuple[str, str]) -> None:
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


def _with_halos(svg: bytes, color: str) -> bytes:
    """Give the copies below labels their outline, which matplotlib has for curves only."""
    outline = f"stroke: {color}; stroke-width: 1.6; stroke-linejoin: round; "
    return re.sub(rb'(<g id="halo-\d+">\s*<text style=")', rb"\1" + outline.encode(), svg)
