"""The legend of categories beside a picture, in as many columns as it needs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from cellasso_app.figures.sheet import GAP, ROW, clean, fitted
from cellasso_app.render.labels import short_names

if TYPE_CHECKING:
    from cellasso_app.figures.design import Legend
    from cellasso_app.figures.sheet import Sheet

DOT = 5.0  # points, diameter of a marker

MOST_LETTERS = 60
"""Of a name in the legend; a longer one is cut in its middle. Names of the Cell Ontology have up to about 60."""

LEGEND_WIDTH = 2.0
"""A legend is at most this many times as wide as the picture, or as wide as it is high: it also grows downwards."""


def draw_legend(sheet: Sheet, legend: Legend) -> None:
    """Put a legend beside what is on the sheet."""
    names = short_names([clean(row.label) for row in legend.rows], MOST_LETTERS)
    counts = ["" if row.n_cells is None else f"{row.n_cells:,}" for row in legend.rows]
    label_widths = [sheet.measure(name) for name in names]
    count_widths = [sheet.measure(count) for count in counts]
    x, top = sheet.right + GAP, sheet.height
    if legend.title:
        title = fitted(sheet, clean(legend.title), sheet.width, weight="bold")
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
