"""The rectangle in which a plot of rows and columns is drawn, and what stands around it: labels, brackets, a tree.

All of it is one overlay in one pair of axes, so both backends put it in the same places and plots can be laid out side
by side. Coordinates are those of the main area: column j and row i of a plot of squares are the unit square from
(j, n_rows - i - 1), so rows run from the top; what stands around is measured in pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import holoviews as hv
import numpy as np

from cellasso.pl.styling import FONT_PIXELS, INK, LINE, labels_of, styled, text_width

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cellasso.pl.features import FeatureGroup
    from cellasso.stats.dendrogram import Dendrogram

TREE_PIXELS = 58
"""Width of a dendrogram beside a plot: scanpy's 0.8 inches."""

BRACKET_PIXELS = 7
GAP_PIXELS = 6
EDGE_PIXELS = 1.5
"""Around all that is drawn, so that no line is cut in half."""

INCH_PIXELS = 72.0
"""Pixels of the Bokeh plot for an inch of the matplotlib one: so text has the same size in proportion."""

X, Y = "x", "y"
"""Dimensions of what is drawn; each plot has axes of its own (see `overlay`)."""


@dataclass
class PlotArea:
    """The main area of a plot and what is drawn around it so far.

    Attributes
    ----------
    width, height
        Of the main area in the units of its coordinates.
    pixels
        Its width and height as it is drawn.
    left, right, bottom, top
        Pixels around it that are taken.
    elements
        What is drawn, from the lowest.
    """

    width: float
    height: float
    pixels: tuple[float, float]
    left: float = 0.0
    right: float = 0.0
    bottom: float = 0.0
    top: float = 0.0
    elements: list[Any] = field(default_factory=list)

    def across(self, pixels: float) -> float:
        """Return a horizontal distance of so many pixels in coordinates."""
        return pixels * self.width / self.pixels[0]

    def up(self, pixels: float) -> float:
        """Return a vertical distance of so many pixels in coordinates."""
        return pixels * self.height / self.pixels[1]

    def pad(self, x: float, y: float) -> None:
        """Leave so many pixels free on either side, and above and below.

        Parameters
        ----------
        x
            On either side.
        y
            Above, and below.
        """
        self.left, self.right = self.left + x, self.right + x
        self.bottom, self.top = self.bottom + y, self.top + y

    def add(self, element: Any) -> None:
        """Draw an element above the others."""
        self.elements.append(element)

    def add_box(self, *, line_width: float = 1.2) -> None:
        """Draw a line around the main area and its padding."""
        x = (-self.across(self.left), self.width + self.across(self.right))
        y = (-self.up(self.bottom), self.height + self.up(self.top))
        corners = np.array([(x[0], y[0]), (x[0], y[1]), (x[1], y[1]), (x[1], y[0]), (x[0], y[0])])
        self.add_lines([corners], "Box", line_width=line_width)

    def add_lines(
        self, lines: Sequence[NDArray[Any]], group: str, *, line_width: float = 1.2, color: str = LINE
    ) -> None:
        """Draw lines through points `(n, 2)` each.

        Parameters
        ----------
        lines
            Points of each, `(n, 2)`, in coordinates.
        group
            What HoloViews calls the element.
        line_width
            In pixels.
        color
            Of all lines.
        """
        element = hv.Path([np.asarray(line) for line in lines], [X, Y], group=group)
        self.add(styled(element, color=color, bokeh={"line_width": line_width}, matplotlib={"linewidth": line_width}))

    def add_texts(
        self,
        at: Sequence[tuple[float, float]],
        texts: Sequence[str],
        group: str,
        *,
        align: str = "center",
        baseline: str = "middle",
        angle: float = 0,
    ) -> None:
        """Draw texts at points; `align` and `baseline` are of the text as it reads, before it is turned by `angle`.

        Parameters
        ----------
        at
            Where each stands, in coordinates.
        texts
            As they are written.
        group
            What HoloViews calls the element.
        align, baseline
            Which side, and which line, of a text is at its point.
        angle
            In degrees, against the clock.
        """
        if not texts:
            return
        element = hv.Labels(([x for x, _ in at], [y for _, y in at], list(texts)), [X, Y], group=group)
        turned = {"left": "bottom", "right": "top", "center": "center"}
        upright = {"top": "top", "bottom": "bottom", "middle": "center"}
        across = {"top": "left", "bottom": "right", "middle": "center"}
        sides = (turned[align], across[baseline]) if angle == 90 else (upright[baseline], align)
        self.add(
            styled(
                element,
                bokeh={
                    "text_font_size": f"{FONT_PIXELS}px",
                    "text_align": align,
                    "text_baseline": baseline,
                    "angle": angle,
                    "text_color": INK,
                },
                matplotlib={
                    "size": FONT_PIXELS * 0.9,
                    "verticalalignment": sides[0],
                    "horizontalalignment": sides[1],
                    "rotation": angle,
                    "color": INK,
                },
            )
        )

    # -- brackets over features -------------------------------------------------------------------------

    def add_brackets(self, groups: Sequence[FeatureGroup], *, on_right: bool, rotation: float | None = None) -> None:
        """Draw a bracket over the features of each label: above the columns, or to the right of the rows.

        Parameters
        ----------
        groups
            Neighbouring features with a label.
        on_right
            Whether features are rows.
        rotation
            Of the labels above, 0 or 90 degrees; by default they are turned where they are long.
        """
        if not groups:
            return
        labels = [group.label for group in groups]
        start = GAP_PIXELS + (self.right if on_right else self.top)
        turned = not on_right and (max(map(len, labels)) > 4 if rotation is None else rotation == 90)
        lines, places = [], []
        for group in groups:
            near, far = group.first + 0.2, group.last + 0.8
            if on_right:
                x = self.width + self.across(start)
                top, bottom = self.height - near, self.height - far
                end = x + self.across(BRACKET_PIXELS)
                lines.append(np.array([(x, top), (end, top), (end, bottom), (x, bottom)]))
                places.append((end + self.across(4), (top + bottom) / 2))
            else:
                y = self.height + self.up(start)
                end = y + self.up(BRACKET_PIXELS)
                lines.append(np.array([(near, y), (near, end), (far, end), (far, y)]))
                places.append(((near + far) / 2, end + self.up(4)))
        self.add_lines(lines, "Brackets", color=INK)
        align, baseline = ("left", "middle") if on_right or turned else ("center", "bottom")
        self.add_texts(places, labels, "Brackets", align=align, baseline=baseline, angle=90 if turned else 0)
        longest = max(map(text_width, labels))
        needed = BRACKET_PIXELS + 8 + (longest if on_right or turned else FONT_PIXELS)
        if on_right:
            self.right = start + needed
        else:
            self.top = start + needed

    # -- the tree -----------------------------------------------------------------------------------------

    def add_tree(self, tree: Dendrogram, leaves: NDArray[np.floating], *, on_right: bool) -> None:
        """Draw a dendrogram to the right of the rows, or above the columns.

        Parameters
        ----------
        tree
            Its leaf i is the i-th of the rows or columns.
        leaves
            Where each leaf stands: along x, or for rows counted from the top.
        on_right
            Whether leaves are rows.
        """
        along = np.interp(tree.branches[..., 0], np.arange(len(leaves)) + 0.5, leaves)
        start = GAP_PIXELS + (self.right if on_right else self.top)
        away = start + tree.branches[..., 1] / max(tree.height, 1e-300) * TREE_PIXELS
        if on_right:
            corners = np.stack([self.width + self.across(1.0) * away, self.height - along], axis=2)
            self.right = start + TREE_PIXELS + 2
        else:
            corners = np.stack([along, self.height + self.up(1.0) * away], axis=2)
            self.top = start + TREE_PIXELS + 2
        self.add_lines(list(corners), "Tree")

    # -- the whole ------------------------------------------------------------------------------------------

    def overlay(
        self,
        *,
        xticks: Sequence[tuple[float, str]],
        yticks: Sequence[tuple[float, str]],
        title: str | None = None,
        xlabel: str = "",
        ylabel: str = "",
        rotation: float | None = None,
        sides: tuple[str, str] = ("bottom", "left"),
        more: float = 0.0,
    ) -> Any:
        """Return all that was added as one overlay.

        Parameters
        ----------
        xticks, yticks
            Where labels stand along the axes, in coordinates.
        title, xlabel, ylabel
            Above it, and along the axes.
        rotation
            Of the labels below; by default they are turned where one has more than two letters.
        sides
            Where the labels of the columns and those of the rows stand.
        more
            Pixels that matplotlib needs beside the axes, such as for a colour bar.
        """
        turned = (max((len(text) for _, text in xticks), default=0) > 2) * 90 if rotation is None else rotation
        width = self.left + self.pixels[0] + self.right + 2 * EDGE_PIXELS
        height = self.bottom + self.pixels[1] + self.top + 2 * EDGE_PIXELS
        inches = ((width + more) / INCH_PIXELS / 0.78, height / INCH_PIXELS / 0.76)
        bokeh, matplotlib = labels_of(xticks=xticks, yticks=yticks, xlabel=xlabel, ylabel=ylabel, title=title or "")
        overlay = hv.Overlay(self.elements)
        return styled(
            overlay,
            xlim=(-self.across(self.left + EDGE_PIXELS), self.width + self.across(self.right + EDGE_PIXELS)),
            ylim=(-self.up(self.bottom + EDGE_PIXELS), self.height + self.up(self.top + EDGE_PIXELS)),
            xaxis=sides[0] if xticks else None,
            yaxis=sides[1] if yticks else None,
            xrotation=turned,
            show_frame=False,
            show_grid=False,
            show_legend=False,
            bokeh={
                "frame_width": round(width),
                "frame_height": round(height),
                **bokeh,
                "fontsize": {"ticks": f"{FONT_PIXELS}px", "title": "13px", "labels": f"{FONT_PIXELS + 1}px"},
                "toolbar": "above",
                "active_tools": [],
                "shared_axes": False,
                "hooks": [_bare_bokeh],
            },
            matplotlib={
                "fig_inches": inches,
                "aspect": width / height,
                **matplotlib,
                "fontsize": {"ticks": FONT_PIXELS * 0.9, "title": 12, "labels": FONT_PIXELS},
                "hooks": [_bare_matplotlib],
            },
        )


def cell_ticks(labels: Sequence[str]) -> list[tuple[float, str]]:
    """Return where the labels of columns stand, each of a unit."""
    return [(at + 0.5, label) for at, label in enumerate(labels)]


def row_ticks(labels: Sequence[str]) -> list[tuple[float, str]]:
    """Return where the labels of rows stand, each of a unit, from the top."""
    return [(len(labels) - at - 0.5, label) for at, label in enumerate(labels)]


def _bare_bokeh(plot: Any, _element: Any) -> None:
    """Draw no lines along the axes: the box does."""
    figure = plot.state
    figure.outline_line_color = None
    for axis in figure.axis:
        axis.axis_line_color = axis.major_tick_line_color = axis.minor_tick_line_color = None
        axis.major_label_standoff = 2


def _bare_matplotlib(plot: Any, _element: Any) -> None:
    axis = plot.handles["axis"]
    for spine in axis.spines.values():
        spine.set_visible(False)
    axis.tick_params(length=0)
    for text in axis.texts:
        text.set_parse_math(False)  # a name between dollars is no formula
    for artist in (*axis.collections, *axis.images):
        if getattr(artist, "colorbar", None) is not None:
            artist.colorbar.ax.set_axes_locator(_Beside(axis))


class _Beside:
    """Puts a colour bar beside the axes where these are when they are drawn, not where HoloViews first saw them."""

    def __init__(self, axis: Any) -> None:
        self._axis = axis

    def __call__(self, _bar: Any, _renderer: Any) -> Any:
        from matplotlib.transforms import Bbox  # noqa: PLC0415 - where matplotlib draws

        place = self._axis.get_position()
        pixel = 1 / (INCH_PIXELS * self._axis.figure.get_figwidth())
        return Bbox.from_bounds(place.x1 + 8 * pixel, place.y0, 10 * pixel, place.height)
