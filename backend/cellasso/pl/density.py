"""Where the cells of an embedding are dense: how many lie in each pixel, of all of them or group by group."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import datashader as ds
import holoviews as hv
import numpy as np
import pandas as pd

import cellasso.pl.datashading  # noqa: F401 - teaches datashader what cells are
from cellasso.core.errors import ElementError
from cellasso.core.text import nearest
from cellasso.dataset import Dataset
from cellasso.model.vector import Vector
from cellasso.pl.cell_colors import map_colors
from cellasso.pl.cell_plot import Dress, frame_options
from cellasso.pl.groups import read_groups
from cellasso.pl.legends import BAR_OPTIONS
from cellasso.pl.options import styled, titled
from cellasso.pl.plane import basis_key, embedding_plane
from cellasso.pl.side_by_side import in_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cellasso.dataset import Modality
    from cellasso.pl.plane import Plane

How: TypeAlias = Literal["eq_hist", "linear", "log", "cbrt"]
"""How numbers of cells become colours, in datashader's words."""

MOST_GROUPS = 60
"""Pictures of one plot; more are asked for by name."""

FEWEST_BINS, MOST_BINS = 40, 400
"""Bins along the longer side: as many as cells would stand in a square, up to a bin for each pixel."""

STEPS = 1 << 14
"""Numbers of cells that have a colour of their own."""

BEHIND = (0xE6, 0xE8, 0xEB, 0xFF)
"""Of all cells behind those of one group."""


def density(
    dataset: Dataset | Modality,
    basis: str,
    *,
    groupby: str | Sequence[str] | None = None,
    groups: str | Sequence[str] | None = None,
    dimensions: tuple[int, int] = (0, 1),
    how: How = "eq_hist",
    bins: int | None = None,
    color_map: Any = "YlOrRd",
    title: str | None = None,
    frameon: bool = True,
    ncols: int = 4,
) -> Any:
    """Show how many cells lie where in an embedding.

    Counted by datashader, exactly; no estimate is made between the cells.

    Parameters
    ----------
    dataset
        The file, or a modality of it.
    basis, dimensions
        As of `embedding`.
    groupby
        A column of obs, or several: each group has a picture of its own, with all cells behind it.
    groups
        Which groups, in this order; `None`: all.
    how
        How numbers become colours: by their rank among the pixels, linear, by their logarithm or cubic root.
    bins
        Along the longer side of the picture; `None` goes by how many cells there are.
    color_map
        As of `embedding`.
    title
        Of the picture of all cells; groups have their names.
    frameon, ncols
        As of `embedding`.

    Returns
    -------
    An `hv.Image` of the number of cells, NaN where there are none; with `groupby` an `hv.Layout`, each over an
    `hv.RGB` of all cells.

    Raises
    ------
    NotFoundError, AmbiguousNameError
        There is no such embedding, column, group or colour map.
    ElementError
        It is damaged, an argument makes no sense, or there are too many groups.
    """
    if how not in get_args(How):
        raise ElementError(f"There is no how {how!r}{nearest(str(how), get_args(How))}")
    plane = embedding_plane(dataset, basis, dimensions)
    canvas = _canvas(plane, bins)
    colors = map_colors(color_map)
    dress = Dress(frameon=frameon)
    if groupby is None:
        counts = _count_all(dataset, basis_key(dataset, basis), dimensions, canvas)
        return _image(counts, plane, how=how, colors=colors, dress=dress, title=title or "")
    order = [groups] if isinstance(groups, str) else groups
    found = read_groups(dataset, groupby, categories_order=order)
    if len(found) > MOST_GROUPS:
        raise ElementError(f"{found.name} has {len(found):,} groups; name up to {MOST_GROUPS} of them as groups.")
    codes = plane.points.gather(found.codes)
    behind = _silhouette(_count_all(dataset, basis_key(dataset, basis), dimensions, canvas), plane, dress)
    pictures = _count_groups(plane, codes, len(found), canvas)
    plots = [
        _framed(behind * _image(counts, plane, how=how, colors=colors, dress=dress, title=label), plane, dress, label)
        for counts, label in zip(pictures, found.labels, strict=True)
    ]
    return in_rows(plots, ncols)


def _canvas(plane: Plane, bins: int | None) -> Any:
    """Return datashader's canvas: square pixels over what the plot shows."""
    if bins is not None and not 1 <= bins <= 4 * MOST_BINS:
        raise ElementError(f"bins is {bins}; 1 to {4 * MOST_BINS:,} were expected.")
    longest = int(np.clip(np.sqrt(len(plane.points)), FEWEST_BINS, MOST_BINS)) if bins is None else bins
    shape = [max(1, round(longest * side / max(plane.width, plane.height))) for side in (plane.width, plane.height)]
    seen = plane.viewport
    return ds.Canvas(*shape, x_range=(seen.x_low, seen.x_high), y_range=(seen.y_low, seen.y_high))


def _count_all(dataset: Dataset | Modality, key: str, dimensions: tuple[int, int], canvas: Any) -> NDArray[np.uint32]:
    """Count all cells in each pixel, the first row at the bottom."""
    owner, name = dataset.owner(key, own=dataset.obsm) if isinstance(dataset, Dataset) else (None, key)
    modality = dataset.name_of(owner) if isinstance(dataset, Dataset) and owner is not None else ""
    x, y = (str(Vector("obsm", name, modality, dim=int(dim))) for dim in dimensions)
    counted: NDArray[np.uint32] = canvas.points(dataset.cells[[x, y]], x, y, ds.count()).to_numpy()
    return counted


def _count_groups(plane: Plane, codes: NDArray[np.int32], n: int, canvas: Any) -> NDArray[np.uint32]:
    """Count the cells of each group in each pixel, `(n, height, width)`."""
    known = codes >= 0  # datashader would count the others in the last group
    chosen: Any = codes[known]  # the stubs ask for a list
    group = pd.Categorical.from_codes(chosen, categories=pd.RangeIndex(n))
    frame = pd.DataFrame({"x": plane.points.xy[0][known], "y": plane.points.xy[1][known], "group": group})
    counted: NDArray[np.uint32] = canvas.points(frame, "x", "y", ds.by("group", ds.count())).to_numpy()
    return np.moveaxis(counted, -1, 0)


def _image(
    counts: NDArray[np.uint32], plane: Plane, *, how: How, colors: Sequence[str], dress: Dress, title: str
) -> Any:
    seen = plane.viewport
    cells = np.where(counts > 0, counts, np.nan).astype(np.float32)[::-1]  # HoloViews begins with the upper row
    bounds = (seen.x_low, seen.y_low, seen.x_high, seen.y_high)
    image = hv.Image(cells, kdims=list(plane.labels), vdims=["cells"], bounds=bounds)
    known = counts[counts > 0]
    low, high = (int(known.min()), int(known.max())) if len(known) else (0, 1)
    if how == "log" and high > low:
        color: dict[str, Any] = {"cmap": list(colors), "cnorm": "log", "clim": (low, high)}
    else:
        color = {"cmap": level_colors(known, how, colors), "clim": (low - 0.5, high + 0.5)}
    image = styled(
        image,
        {**color, **BAR_OPTIONS["common"]},
        bokeh={"tools": ["hover"], **BAR_OPTIONS["bokeh"]},
        matplotlib=BAR_OPTIONS["matplotlib"],
    )
    return _framed(image, plane, dress, title)


def level_colors(counts: NDArray[np.uint32], how: How, colors: Sequence[str]) -> list[str]:
    """Return the colour of each number of cells from the lowest to the highest, as datashader's `tf.shade`.

    Parameters
    ----------
    counts
        Of the pixels with cells.
    how
        How numbers become colours.
    colors
        `#rrggbb`, from low to high.

    Returns
    -------
    Of numbers that are more than `STEPS` apart as many as that, at equal distances.
    """
    low, high = (int(counts.min()), int(counts.max())) if len(counts) else (0, 0)
    levels = np.linspace(low, high, min(high - low + 1, STEPS))
    match how:
        case "eq_hist":
            order = np.sort(counts)
            heights = np.searchsorted(order, levels, side="right") / max(len(order), 1)
        case "cbrt":
            heights = np.cbrt(levels - low)
        case "log":
            heights = np.log1p(levels - low)
        case "linear":
            heights = levels
    span = heights[-1] - heights[0]
    share = (heights - heights[0]) / span if span else np.ones(len(levels))
    at = np.rint(share * (len(colors) - 1)).astype(int)
    return [colors[i] for i in at]


def _silhouette(counts: NDArray[np.uint32], plane: Plane, dress: Dress) -> Any:
    """Return the pixels with cells in grey."""
    seen = plane.viewport
    rgba = np.zeros((*counts.shape, 4), dtype=np.uint8)
    rgba[counts > 0] = BEHIND
    bounds = (seen.x_low, seen.y_low, seen.x_high, seen.y_high)
    return _framed(hv.RGB(rgba[::-1], kdims=list(plane.labels), bounds=bounds), plane, dress, "")


def _framed(shown: Any, plane: Plane, dress: Dress, title: str) -> Any:
    frame, named = frame_options(plane, dress), titled(title)
    return styled(
        shown,
        frame["common"],
        bokeh={**frame["bokeh"], **named["bokeh"]},
        matplotlib={**frame["matplotlib"], **named["matplotlib"]},
    )
