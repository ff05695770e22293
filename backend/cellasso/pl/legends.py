"""What explains the colours of cells: a legend beside them, names among them, or a colour bar."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import holoviews as hv
import numpy as np
import pandas as pd

from cellasso.color.coloring import MISSING_CODE, Categories, Values
from cellasso.core.errors import ElementError
from cellasso.core.text import nearest
from cellasso.pl.options import plain_texts, styled
from cellasso.pl.styling import load_backends

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cellasso.pl.cell_colors import CellColors
    from cellasso.pl.plane import Plane

RIGHT, ON_DATA = "right margin", "on data"

POSITIONS = {
    RIGHT: "right",
    "right": "right",
    "left margin": "left",
    "upper right": "top_right",
    "upper left": "top_left",
    "lower right": "bottom_right",
    "lower left": "bottom_left",
    "upper center": "top",
    "lower center": "bottom",
    "best": "top_right",
}
"""HoloViews' words for those of scanpy and matplotlib."""

MOST_ROWS = 60
"""Rows of a legend, three columns of twenty: more are higher than the plot. The largest categories have one."""

NOWHERE = (np.nan, np.nan)


def legend(plane: Plane, colors: CellColors, *, na_in_legend: bool) -> Any:
    """Return points that are nowhere, one of each category, which a legend is made of; `None` without categories.

    Parameters
    ----------
    plane, colors
        As of `cell_element`.
    na_in_legend
        Whether cells without a category have a row.
    """
    rows = legend_rows(colors, na_in_legend=na_in_legend)
    if not rows:
        return None
    points = {
        label: styled(
            hv.Points([NOWHERE], list(plane.labels)),
            {"color": color, "show_legend": True, "apply_ranges": False},
            bokeh={"size": 8, "line_color": None},
            matplotlib={"s": 36, "linewidth": 0},
        )
        for label, color in rows.items()
    }
    return styled(hv.NdOverlay(points, kdims=["legend"], sort=False), {"legend_limit": len(rows) + 1})


def legend_rows(colors: CellColors, *, na_in_legend: bool) -> dict[str, str]:
    """Return the rows of a legend: a colour for each label; of too many the largest, and one that counts the others.

    Parameters
    ----------
    colors
        What colours the cells.
    na_in_legend
        Whether cells without a category have a row.
    """
    coloring = colors.coloring
    if not isinstance(coloring, Categories):
        return {}
    codes = np.arange(len(coloring.labels))
    if len(codes) > MOST_ROWS:
        codes = np.sort(np.argsort(-coloring.counts, kind="stable")[: MOST_ROWS - 1])
    rows = {coloring.labels[code]: colors.table[code] for code in codes}
    if len(codes) < len(coloring.labels):
        rows[f"… {len(coloring.labels) - len(codes):,} more"] = "#ffffff"
    if na_in_legend and coloring.n_missing:
        rows[colors.missing_label] = colors.missing
    return rows


def legend_options(loc: str, n_rows: int, fontsize: float | None) -> dict[str, dict[str, Any]]:
    """Return the options, by library, of a plot with a legend.

    Parameters
    ----------
    loc
        Where it stands, in scanpy's words.
    n_rows
        How many rows it has.
    fontsize
        Of its text, in points.

    Raises
    ------
    ElementError
        There is no such place.
    """
    if loc not in POSITIONS:
        raise ElementError(f"There is no legend_loc {loc!r}{nearest(loc, [ON_DATA, *POSITIONS])}")
    n_columns = 1 if n_rows <= 14 else 2 if n_rows <= 30 else 3  # as scanpy's
    size = fontsize if fontsize is not None else 9 if n_rows <= 30 else 7.5
    # beyond 25 HoloViews shows none
    common = {"show_legend": True, "legend_position": POSITIONS[loc], "legend_limit": n_rows + 10}
    in_margin = POSITIONS[loc] in {"right", "left"}
    narrow = {"glyph_height": 14, "glyph_width": 14, "label_height": 14, "label_standoff": 3, "spacing": 2}
    bokeh: dict[str, Any] = {"ncols": n_columns, "padding": 4, "margin": 4, **narrow}
    matplotlib: dict[str, Any] = {"ncols": n_columns, "handletextpad": 0.2, "columnspacing": 1.0}
    if in_margin:
        bokeh |= {"border_line_color": None, "background_fill_alpha": 0.0, "location": "center"}
        matplotlib |= {"frameon": False, "borderaxespad": 0.0}
    return {
        "common": common,
        "bokeh": {"legend_opts": bokeh, "fontsize": {"legend": f"{size:g}pt"}},
        "matplotlib": {"legend_opts": matplotlib, "fontsize": {"legend": size}, "hooks": [plain_texts]},
    }


def names_on_data(plane: Plane, colors: CellColors, fontsize: float | None) -> Any:
    """Return the names of the categories at the median of their cells, `hv.Labels`; `None` without categories.

    Parameters
    ----------
    plane, colors
        As of `cell_element`.
    fontsize
        Of the names, in points.
    """
    coloring = colors.coloring
    if not isinstance(coloring, Categories):
        return None
    codes = plane.points.gather(coloring.codes)
    places = medians(plane.points.points, codes, len(coloring.labels))
    there = np.flatnonzero(np.isfinite(places[:, 0]))
    frame = pd.DataFrame(places[there], columns=list(plane.labels))
    frame["category"] = [coloring.labels[code] for code in there]
    size = fontsize if fontsize is not None else 9
    texts = {"text_font_size": f"{size:g}pt", "text_font_style": "bold"}
    print_options = {"size": size, "weight": "bold", "color": "black", "hooks": [_outline]}
    names = hv.Labels(frame, list(plane.labels), "category")
    above = styled(names, {"apply_ranges": False}, bokeh={**texts, "text_color": "black"}, matplotlib=print_options)
    if not _has_wide_outlines():
        return above.opts(background_fill_color="white", background_fill_alpha=0.6, backend="bokeh")
    halo = {**texts, "text_color": "white", "text_outline_color": "white", "text_outline_width": 3}
    # Bokeh draws the outline over the letters: so the halo is a text of its own, below
    return styled(names.clone(), {"apply_ranges": False}, bokeh=halo, matplotlib=print_options) * above


def _has_wide_outlines() -> bool:
    """Whether the outlines of texts have a width, as from Bokeh 3.9 on."""
    load_backends()
    return "text_outline_width" in hv.Store.options(backend="bokeh")["Labels"].groups["style"].allowed_keywords


def _outline(plot: Any, _element: Any) -> None:
    """Give the texts of a plot of matplotlib a white outline."""
    from matplotlib.patheffects import withStroke  # noqa: PLC0415 - only where it draws

    plain_texts(plot, None)
    for text in plot.handles["axis"].texts:
        text.set_path_effects([withStroke(linewidth=2.5, foreground="white")])


def medians(points: NDArray[np.float32], codes: NDArray[np.integer], n: int) -> NDArray[np.float64]:
    """Return the median place of the cells of each category, `(n, 2)`; NaN for one without cells.

    Parameters
    ----------
    points
        `(n_points, 2)`, finite.
    codes
        Category of each, `(n_points,)`; outside of 0 to `n - 1`: none.
    n
        How many categories there are.
    """
    order = np.argsort(codes, kind="stable")
    edges = np.searchsorted(codes[order], np.arange(n + 1))
    middles = np.full((n, 2), np.nan)
    for code in np.flatnonzero(np.diff(edges)):
        middles[code] = np.median(points[order[edges[code] : edges[code + 1]]].astype(np.float64), axis=0)
    return middles


def color_bar(plane: Plane, colors: CellColors) -> Any:
    """Return a point without extent that a colour bar is made of; `None` without values.

    Parameters
    ----------
    plane, colors
        As of `cell_element`.
    """
    coloring = colors.coloring
    if not isinstance(coloring, Values):
        return None
    seen = plane.viewport
    place = ((seen.x_low + seen.x_high) / 2, (seen.y_low + seen.y_high) / 2, coloring.low)
    return styled(
        hv.Points([place], list(plane.labels), ["value"]),
        {
            "color": "value",
            "cmap": list(colors.table[:MISSING_CODE]),
            "clim": (coloring.low, coloring.high),
            "show_legend": False,
            "apply_ranges": False,
            **BAR_OPTIONS["common"],
        },
        bokeh={"size": 0, "line_color": None, **BAR_OPTIONS["bokeh"]},
        matplotlib={"s": 0, "linewidth": 0, **BAR_OPTIONS["matplotlib"]},
    )


BAR_OPTIONS: dict[str, dict[str, Any]] = {
    "common": {"colorbar": True, "clabel": ""},
    "bokeh": {"colorbar_opts": {"width": 12, "padding": 5, "bar_line_color": None}},
    "matplotlib": {"cbar_width": 0.03, "cbar_padding": 0.01, "cbar_extend": "neither"},
}
"""Of a colour bar beside the cells, narrow and without a name: the plot's title has it."""
