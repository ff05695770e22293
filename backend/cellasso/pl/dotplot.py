"""The dotplot: the mean of each feature in each group as colour, the fraction of expressing cells as size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import holoviews as hv
import numpy as np

from cellasso.core.errors import ElementError
from cellasso.pl.color_scale import color_scale
from cellasso.pl.grid import CELL_PIXELS, HOVER, grid_area, grid_overlay, long_form, surround
from cellasso.pl.group_values import read_group_values
from cellasso.pl.layout import read_layout
from cellasso.pl.plot_area import GAP_PIXELS, X, Y
from cellasso.pl.styling import COLORBAR, styled, text_width

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cellasso.dataset import Dataset, Modality
    from cellasso.pl.color_scale import ColorScale
    from cellasso.pl.features import VarNames
    from cellasso.pl.group_values import GroupValues, StandardScale
    from cellasso.pl.plot_area import PlotArea
    from cellasso.stats.dendrogram import Dendrogram

SIZE_EXPONENT = 1.5
LARGEST_DOT = 200.0
"""Area of the largest dot in points², as matplotlib measures a marker; scanpy's."""

KEY_STEP = 23.0
"""Pixels from one dot of the key to the next."""


@dataclass(frozen=True)
class DotSizes:
    """Which size a dot has.

    Attributes
    ----------
    dot_min, dot_max
        Fractions of the smallest and the largest dot; fractions beyond them have that size.
    smallest_dot, largest_dot
        Their areas in points².
    """

    dot_min: float
    dot_max: float
    smallest_dot: float = 0.0
    largest_dot: float = LARGEST_DOT

    @classmethod
    def of(
        cls, fraction: NDArray[np.float64], dot_min: float | None, dot_max: float | None, smallest_dot: float
    ) -> DotSizes:
        """Return the sizes of a plot; the largest fraction, rounded up to a tenth, has the largest dot.

        Parameters
        ----------
        fraction
            Those that are shown.
        dot_min, dot_max, smallest_dot
            As given to `dotplot`.

        Raises
        ------
        ElementError
            A fraction is not within 0 to 1, or they do not ascend.
        """
        highest = float(np.nanmax(fraction, initial=0.0))
        low = 0.0 if dot_min is None else dot_min
        high = (np.ceil(highest * 10) / 10 or 1.0) if dot_max is None else dot_max
        if not 0 <= low < high <= 1:
            raise ElementError(f"dot_min={low:g} and dot_max={high:g} have to ascend, from 0 to 1.")
        return cls(low, float(high), smallest_dot)

    def area(self, fraction: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the area of dots in points²; 0 of those without a fraction."""
        part = (np.clip(fraction, self.dot_min, self.dot_max) - self.dot_min) / (self.dot_max - self.dot_min)
        size = np.nan_to_num(part) ** SIZE_EXPONENT
        return size * (self.largest_dot - self.smallest_dot) + self.smallest_dot

    def key(self) -> NDArray[np.float64]:
        """Return the fractions whose dots the key shows, ascending to the largest."""
        span = self.dot_max - self.dot_min
        step = 0.05 if span <= 0.3 else 0.1 if span <= 0.6 else 0.2
        return np.arange(self.dot_max, self.dot_min, -step)[::-1]


def dotplot(
    dataset: Dataset | Modality,
    var_names: VarNames,
    groupby: str | Sequence[str],
    *,
    use_raw: bool | None = None,
    log: bool = False,
    num_categories: int = 7,
    categories_order: Sequence[str] | None = None,
    expression_cutoff: float = 0.0,
    mean_only_expressed: bool = False,
    standard_scale: StandardScale = None,
    title: str | None = None,
    colorbar_title: str = "Mean expression in group",
    size_title: str = "Fraction of cells\nin group (%)",
    dendrogram: bool | str = False,
    var_group_positions: Sequence[tuple[int, int]] | None = None,
    var_group_labels: Sequence[str] | None = None,
    var_group_rotation: float | None = None,
    layer: str | None = None,
    normalised: bool = False,
    swap_axes: bool = False,
    vmin: float | None = None,
    vmax: float | None = None,
    vcenter: float | None = None,
    norm: Any = None,
    cmap: Any = "Reds",
    dot_max: float | None = None,
    dot_min: float | None = None,
    smallest_dot: float = 0.0,
) -> hv.Overlay:
    """Return a dotplot of features by groups, as `scanpy.pl.dotplot` draws it.

    Reads the features' columns, or the matrix once where it has neither columns nor an index (`Dataset.summarise`).

    Parameters
    ----------
    dataset
        The file, or a modality of it.
    var_names
        A feature, several, or lists of them by label; in an h5mu also `"rna:CD4"`.
    groupby
        Column of obs, or several whose categories are joined.
    use_raw, layer, normalised
        Which matrix: `raw` where there is one and no layer is named. Values are shown as they are stored, or with
        `normalised` counts as log1p of counts per 10,000.
    log
        Whether of the values their log1p is taken.
    num_categories
        Ranges into which a column of numbers is cut.
    categories_order
        The groups in the order in which they are wanted; those that are not named are left out.
    expression_cutoff, mean_only_expressed, standard_scale
        As of `read_group_values`.
    title, colorbar_title, size_title
        Above the plot, its colour bar and the key of its sizes.
    dendrogram
        Whether groups are in the order of their dendrogram, which stands beside the plot; or its name in `uns`.
    var_group_positions, var_group_labels, var_group_rotation
        Brackets over features: first and last position, label, and by how many degrees labels are turned (0 or 90).
    swap_axes
        Whether features are rows and groups columns.
    vmin, vmax, vcenter, norm, cmap
        Colours of the means, as of `color_scale`.
    dot_max, dot_min, smallest_dot
        Fractions with the largest and the smallest dot, and the area of that in points².

    Returns
    -------
    An overlay: `Points` of the dots with all they show, the key, brackets and tree; for both backends.

    Raises
    ------
    NotFoundError
        There is no such feature, column or matrix.
    ElementError
        Arguments contradict each other, or an element is damaged.
    """
    groups, features, tree = read_layout(
        dataset,
        var_names,
        groupby,
        categories_order=categories_order,
        num_categories=num_categories,
        dendrogram=dendrogram,
        use_raw=use_raw,
        layer=layer,
        normalised=normalised,
        var_group_labels=var_group_labels,
        var_group_positions=var_group_positions,
    )
    values = read_group_values(
        dataset,
        features,
        groups,
        log=log,
        expression_cutoff=expression_cutoff,
        mean_only_expressed=mean_only_expressed,
        standard_scale=standard_scale,
    )
    return draw_dots(
        values,
        color_scale(values.mean, cmap, vmin=vmin, vmax=vmax, vcenter=vcenter, norm=norm),
        DotSizes.of(values.fraction, dot_min, dot_max, smallest_dot),
        tree=tree,
        swap_axes=swap_axes,
        rotation=var_group_rotation,
        titles=(title, colorbar_title, size_title),
    )


def draw_dots(
    values: GroupValues,
    scale: ColorScale,
    sizes: DotSizes,
    *,
    tree: Dendrogram | None = None,
    swap_axes: bool = False,
    rotation: float | None = None,
    titles: tuple[str | None, str, str] = (None, "", ""),
) -> hv.Overlay:
    """Draw a dotplot.

    Parameters
    ----------
    values
        What it shows.
    scale, sizes
        Colours of its means, sizes of its fractions.
    tree
        Of the groups, in their order.
    swap_axes, rotation
        As of `dotplot`.
    titles
        Of the plot, the colour bar and the sizes.
    """
    area = grid_area(len(values.groups), len(values.features), swap_axes=swap_axes)
    area.pad(0.3 * CELL_PIXELS[0], 0.5 * CELL_PIXELS[1])
    area.add(_dots(values, scale, sizes, titles[1], swap_axes=swap_axes))
    area.add_box()
    surround(area, values.groups, values.features, tree, swap_axes=swap_axes, rotation=rotation)
    _add_key(area, sizes, titles[2])
    return grid_overlay(area, values.groups, values.features, titles[0], swap_axes=swap_axes)


def _dots(values: GroupValues, scale: ColorScale, sizes: DotSizes, title: str, *, swap_axes: bool) -> Any:
    data = long_form(values, swap_axes=swap_axes)
    data["area"] = sizes.area(data["fraction"])
    data["diameter"] = np.sqrt(data["area"])
    known = np.isfinite(data["mean"])
    data = {name: column[known] for name, column in data.items()}
    points = hv.Points(data, [X, Y], ["mean", "feature", "group", "fraction", "cells", "area", "diameter"])
    return styled(
        points,
        color="mean",
        cmap=list(scale.colors),
        clim=scale.limits,
        colorbar=True,
        clabel=title,
        bokeh={
            "size": hv.dim("diameter"),
            "line_color": "black",
            "line_width": 0.3,
            "tools": ["hover"],
            "hover_tooltips": HOVER,
            "colorbar_opts": COLORBAR,
        },
        matplotlib={"s": hv.dim("area"), "edgecolors": "black", "linewidth": 0.2, "cbar_width": 0.03},
    )


def _add_key(area: PlotArea, sizes: DotSizes, title: str) -> None:
    """Add the key of the sizes to the right, at half of the height."""
    fractions = sizes.key()
    lines = title.split("\n")
    wide = max(len(fractions) * KEY_STEP, *map(text_width, lines))
    middle = area.width + area.across(area.right + 3 * GAP_PIXELS + wide / 2)
    base = area.height / 2
    at = middle + area.across(KEY_STEP) * (np.arange(len(fractions)) - (len(fractions) - 1) / 2)
    areas = sizes.area(fractions)
    data = {X: at, Y: np.full(len(at), base), "fraction": fractions, "area": areas, "diameter": np.sqrt(areas)}
    points = hv.Points(data, [X, Y], ["fraction", "area", "diameter"], group="Key")
    area.add(
        styled(
            points,
            color="grey",
            bokeh={"size": hv.dim("diameter"), "line_color": "black", "line_width": 0.3},
            matplotlib={"s": hv.dim("area"), "edgecolors": "black", "linewidth": 0.2},
        )
    )
    texts = [f"{fraction * 100:.0f}" for fraction in fractions]
    area.add_texts([(x, base - area.up(12)) for x in at], texts, "Key", baseline="top")
    above = [(middle, base + area.up(14 + 14 * (len(lines) - 1 - i))) for i in range(len(lines))]
    area.add_texts(above, lines, "Key", baseline="bottom")
    area.right += 3 * GAP_PIXELS + wide + 2 * GAP_PIXELS
    short = 2 * (28 + 14 * len(lines)) - area.pixels[1] - area.bottom - area.top
    if short > 0:
        area.bottom, area.top = area.bottom + short / 2, area.top + short / 2
