"""The colour bar of values beside a picture."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING

from cellasso_app.figures.sheet import GAP, LINE, ROW, TEXT, clean, number

if TYPE_CHECKING:
    from cellasso_app.figures.design import ColorBar
    from cellasso_app.figures.sheet import Sheet

BAR = (6.0, 80.0)  # points, width and height


def draw_color_bar(sheet: Sheet, bar: ColorBar) -> None:
    """Put a colour bar beside what is on the sheet."""
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
    sign = "≥ " if bar.clipped else ""
    ends = [(0.0, number(bar.ramp.low, 3)), (height, sign + number(bar.ramp.high, 3))]
    between: list[tuple[float, str]] = []
    for at, text in bar.ramp.ticks():
        above = at * height
        if ROW + (between[-1][0] if between else 0.0) <= above <= height - ROW:
            between.append((above, text))
    for above, text in ends + between:
        y = bottom + above
        sheet.line([x + width, x + width + 2], [y] * 2, linewidth=LINE, color=sheet.ink.line)
        sheet.text(x + width + 4, y, text.replace("-", "\N{MINUS SIGN}"))
