"""A Bokeh figure of genes by groups that is kept for the life of a session: what dotplot and matrixplot share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bokeh.models import FactorRange, HoverTool
from bokeh.plotting import figure

from cellasso_app.ui.theme import FONT, INKS, NO_OUTLINE

if TYPE_CHECKING:
    from cellasso_app.panels.plots.arrangement import Arranged

TOOLTIPS = [
    ("", "@gene in @name"),
    ("mean", "@mean{0.000}"),
    ("above 0", "@fraction{0.0%}"),
    ("cells", "@cells{0,0}"),
]

MIN_ROW, MAX_ROW = 15, 24
"""Height of a row in pixels; below the smaller the panel scrolls."""


def make_figure(name: str, label: str) -> figure:
    """Return an empty figure with categories on both axes.

    Parameters
    ----------
    name
        By which the page's script finds it.
    label
        What it is, for those who do not see it.
    """
    made = figure(  # type: ignore[call-arg] # its stub leaves out what only `figure` itself takes
        name=name,
        x_range=FactorRange(),
        y_range=FactorRange(),
        x_axis_location="above",  # where it stays in sight when many groups scroll
        tools=[HoverTool(tooltips=TOOLTIPS)],
        toolbar_location=None,
        sizing_mode="stretch_both",
        stylesheets=[NO_OUTLINE],
        background_fill_alpha=0,
        border_fill_alpha=0,
        outline_line_color=None,
        min_border_left=8,
        min_border_right=12,
        html_attributes={"role": "img", "aria-label": label},
    )
    made.xaxis.major_label_orientation = "vertical"
    for axis in made.axis:
        axis.update(
            axis_line_color=None,
            major_tick_line_color=None,
            major_label_text_font=FONT,
            major_label_text_font_size="11px",
            major_label_standoff=2,
        )
    return made


def set_inks(made: figure, *, dark: bool) -> None:
    """Write the axes in the ink of the light or the dark page."""
    for grid in made.grid:
        grid.grid_line_color = None
    for axis in made.axis:
        axis.major_label_text_color = INKS[dark].text


def set_axes(made: figure, shown: Arranged) -> None:
    """Name rows and columns, and make the figure as high as its rows need."""
    made.x_range.update(factors=list(shown.columns))
    made.y_range.update(factors=list(shown.rows)[::-1])  # Bokeh counts from the bottom
    made.update(min_height=_height(shown, MIN_ROW), max_height=_height(shown, MAX_ROW))


def _height(shown: Arranged, row: int) -> int:
    """Return the height of the rows, and of the names above them."""
    return row * len(shown.rows) + 8 * min(max(map(len, shown.columns), default=0), 20) + 14
