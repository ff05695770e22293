"""From HoloViews objects to Bokeh figures in the inks of the page, and to files."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from bokeh.embed import json_item
from bokeh.layouts import column
from bokeh.models import Axis, Plot
from bokeh.models.annotations import ColorBar, Legend, Title

from cellasso.pl.color_scale import color_scale
from cellasso.pl.dotplot import DotSizes, draw_dots
from cellasso.pl.group_values import GroupValues
from cellasso.pl.matrixplot import draw_squares
from cellasso.pl.rendering import in_columns, render
from cellasso.pl.styling import INK, LINE
from cellasso_app.figures.figure import drawing_alone
from cellasso_app.panels.plots.arrangement import Arrangement
from cellasso_app.panels.plots.drawn.groups import lay_out
from cellasso_app.ui.theme import FONT, INKS, NO_OUTLINE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cellasso_app.panels.plots.arrangement import Arranged
    from cellasso_app.panels.plots.asked import Asked, Drawn

FigureFormat = Literal["png", "svg"]

DPI = 200
"""Of a saved PNG."""

COLUMNS = 3
"""Of panels in a saved figure."""

DARK_INKS = frozenset({INK, LINE, "black", "#888888", "grey"})
"""What `cellasso.pl` draws lines and text in, on a white page."""


def as_figures(drawn: Drawn, label: str, *, dark: bool, size: float) -> str:
    """Return the Bokeh figures of a plot, as wide as the panel, as the JSON that a browser embeds.

    Parameters
    ----------
    drawn
        The plot.
    label
        What the plot is, for those who do not see it.
    dark
        Whether the page is dark.
    size
        How often the usual height.
    """
    figures = [render(overlay, "bokeh") for overlay in drawn.overlays]
    least, most = drawn.heights
    for figure in figures:
        figure.update(
            toolbar_location=None,
            frame_width=None,
            frame_height=None,
            sizing_mode="stretch_both",
            align="start",
            min_height=round(least * size),
            max_height=round(most * size),
            background_fill_alpha=0,
            border_fill_alpha=0,
            outline_line_color=None,
            stylesheets=[NO_OUTLINE],
            html_attributes={"role": "img", "aria-label": label},
        )
        _move_below(figure)
        _ink(figure, dark=dark)
    return json.dumps(json_item(column(*figures, sizing_mode="stretch_both")))


def _move_below(figure: Plot) -> None:
    """Put legend and colour bar below the plot: the panel is narrow."""
    for each in list(figure.right):
        if isinstance(each, Legend):
            each.update(ncols=3, padding=0, spacing=2, label_text_font_size="11px", border_line_color=None)
        elif isinstance(each, ColorBar):
            each.update(width="auto", height=6, padding=2, title_standoff=2, margin=0)
        else:
            continue
        figure.right.remove(each)
        each.orientation = "horizontal"
        figure.add_layout(each, "below")


def _ink(figure: Plot, *, dark: bool) -> None:
    """Draw text and lines in the inks of the page."""
    ink = INKS[dark]
    for model in figure.references():
        if isinstance(model, Axis):
            model.update(
                axis_line_color=ink.line if model.axis_line_color else None,
                major_tick_line_color=ink.line if model.major_tick_line_color else None,
                minor_tick_line_color=None,
                major_label_text_color=ink.text,
                axis_label_text_color=ink.text,
                major_label_text_font=FONT,
                axis_label_text_font=FONT,
                axis_label_text_font_style="normal",
            )
        elif isinstance(model, ColorBar):
            model.update(
                background_fill_alpha=0,
                title_text_color=ink.text,
                major_label_text_color=ink.text,
                title_text_font=FONT,
                major_label_text_font=FONT,
                bar_line_color=None,
                major_tick_line_color=ink.line,
            )
        elif isinstance(model, Legend):
            model.update(label_text_color=ink.text, label_text_font=FONT, background_fill_alpha=0)
        elif isinstance(model, Title):
            model.update(text_color=ink.text, text_font=FONT, text_font_style="normal")
        else:
            for name in model.properties():
                if (
                    name.endswith("_color")
                    and isinstance(getattr(model, name), str)
                    and getattr(model, name) in DARK_INKS
                ):
                    setattr(model, name, ink.text if name.startswith("text") else ink.line)


def picture_of(asked: Asked, shown: Arranged, kind: str) -> list[Any]:
    """Return a dotplot or matrixplot as `cellasso.pl` draws it, of the numbers that the page shows."""
    groups, features, _ = lay_out(replace(asked, arranged=Arrangement()))  # it may be laid out otherwise since
    at = [place for place, label in enumerate(shown.groups) if label in groups.labels]  # those that have cells
    groups = groups.ordered([groups.labels.index(shown.groups[place]) for place in at])
    values = GroupValues(groups, features, shown.mean[at], shown.fraction[at])
    low, high = shown.limits
    scale = color_scale(values.mean, "Reds" if kind == "dotplot" else "viridis", vmin=low, vmax=high)
    tree = shown.tree if shown.tree is not None and len(at) == len(shown.groups) else None
    if kind == "dotplot":
        above = f"Fraction of cells\nabove {shown.cutoff:g} (%)"
        sizes = DotSizes.of(values.fraction, None, None, 0.0)
        return [draw_dots(values, scale, sizes, tree=tree, swap_axes=shown.swapped, titles=(None, "Mean", above))]
    return [draw_squares(values, scale, tree=tree, swap_axes=shown.swapped, titles=(None, "Mean"))]


def as_file(overlays: Sequence[Any], file_format: FigureFormat) -> bytes:
    """Return a plot as the bytes of a file, drawn by matplotlib.

    Parameters
    ----------
    overlays
        HoloViews objects; of several a grid is made.
    file_format
        An SVG has text that can be edited.
    """
    file = io.BytesIO()
    with drawing_alone({"svg.fonttype": "none"}):
        figure = render(in_columns(overlays, COLUMNS), "matplotlib")
        figure.savefig(file, format=file_format, dpi=DPI, bbox_inches="tight")
    return file.getvalue()
