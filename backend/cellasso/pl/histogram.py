"""How many cells have which value: of a column or a feature, over all cells or in groups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import holoviews as hv
import numpy as np

from cellasso.color.palettes import PLAIN_COLOR
from cellasso.core.errors import ElementError
from cellasso.pl.groups import read_groups
from cellasso.pl.legends import RIGHT, legend_options
from cellasso.pl.options import styled, titled
from cellasso.pl.styling import load_backends
from cellasso.pl.vectors import find_vector, read_numbers, vector_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cellasso.dataset import Dataset, Modality

MOST_GROUPS = 100
"""Histograms over one another; more hide each other."""

MOST_BINS = 10_000
"""More are narrower than a pixel of any screen."""

WIDTH, HEIGHT = 400, 300
"""Of the frame, in pixels."""


def histogram(
    dataset: Dataset | Modality,
    column: str,
    *,
    bins: int | Sequence[float] = 50,
    by: str | Sequence[str] | None = None,
    categories_order: Sequence[str] | None = None,
    value_range: tuple[float, float] | None = None,
    density: bool = False,
    log: bool = False,
    use_raw: bool | None = None,
    layer: str | None = None,
    normalised: bool = False,
    title: str | None = None,
) -> Any:
    """Show how many cells have which value; exact, over all cells.

    Cells without a finite value are left out.

    Parameters
    ----------
    dataset
        The file, or a modality of it.
    column
        A column of obs that holds numbers, a feature, or any other vector.
    bins
        How many of equal width, or their edges, ascending.
    by
        A column of obs, or several: each group has a histogram of its own, in its colour, over the same bins.
    categories_order
        Which groups are shown, in this order.
    value_range
        From which value to which the bins reach; `None`: over all values.
    density
        Whether each histogram has the area 1, so that groups of different size can be compared.
    log
        Whether numbers of cells stand on a logarithmic axis.
    use_raw, layer, normalised
        From which matrix a feature is read, as of `embedding`.
    title
        `None`: the name of the column.

    Returns
    -------
    An `hv.Histogram`, with `by` an `hv.NdOverlay` of them.

    Raises
    ------
    NotFoundError, AmbiguousNameError
        There is no such column, feature, matrix or group.
    ElementError
        It holds no numbers, or is damaged; the bins make no sense.
    """
    vector = find_vector(dataset, column, use_raw=use_raw, layer=layer, normalised=normalised)
    name = vector_name(vector)
    values = read_numbers(dataset, vector)
    known = np.isfinite(values)
    edges = _edges(values[known], bins, value_range)
    options = _options(name if title is None else title, log=log)
    height = "density" if density else "cells"
    if by is None:
        heights = _heights(values[known], edges, density=density)
        return _one((edges, heights), (name, height), PLAIN_COLOR, 1.0, options)
    groups = read_groups(dataset, by, categories_order=categories_order)
    if len(groups) > MOST_GROUPS:
        raise ElementError(f"{groups.name} has {len(groups):,} groups; at most {MOST_GROUPS} fit into one histogram.")
    codes = np.where(known, groups.codes, -1)
    order = np.argsort(codes, kind="stable")
    ends = np.searchsorted(codes[order], np.arange(len(groups) + 1))
    parts = {}
    for code, (label, color) in enumerate(zip(groups.labels, groups.colors, strict=True)):
        own = values[order[ends[code] : ends[code + 1]]]
        heights = _heights(own, edges, density=density and len(own) > 0)
        parts[label] = _one((edges, heights), (name, height), color, 0.5, options)
    overlay = hv.NdOverlay(parts, kdims=[groups.name if groups.name != name else f"{name} "], sort=False)
    legend = legend_options(RIGHT, len(groups), None)
    return styled(
        overlay,
        {**options["common"], **legend["common"]},
        bokeh={**options["bokeh"], **legend["bokeh"]},
        matplotlib={**options["matplotlib"], **legend["matplotlib"]},
    )


def _heights(values: NDArray[np.float64], edges: NDArray[np.float64], *, density: bool) -> NDArray[Any]:
    # NumPy's stubs know literal values of `density` alone
    heights: NDArray[Any]
    heights, _ = np.histogram(values, edges, density=True) if density else np.histogram(values, edges)
    return heights


def _edges(
    values: NDArray[np.float64], bins: int | Sequence[float], value_range: tuple[float, float] | None
) -> NDArray[np.float64]:
    """Return the edges of the bins, `(n_bins + 1,)`."""
    n_bins = int(bins) if isinstance(bins, int | np.integer) else len(bins) - 1
    if not 1 <= n_bins <= MOST_BINS:
        raise ElementError(f"bins are {n_bins:,}; 1 to {MOST_BINS:,} were expected.")
    if not isinstance(bins, int | np.integer):
        edges = np.asarray(bins, dtype=np.float64)
        if not (np.isfinite(edges).all() and (np.diff(edges) > 0).all()):
            raise ElementError("The edges of bins have to be finite and ascending.")
        return edges
    if value_range is not None and not (np.isfinite(value_range).all() and value_range[0] < value_range[1]):
        raise ElementError(f"value_range is {value_range}; a lower and a higher number were expected.")
    edges = np.histogram_bin_edges(values, n_bins, range=value_range)
    if not (np.diff(edges) > 0).all():
        raise ElementError(f"Values from {edges[0]:g} to {edges[-1]:g} cannot be cut into {n_bins:,} bins; take fewer.")
    return edges


def _options(title: str, *, log: bool) -> dict[str, dict[str, Any]]:
    named = titled(title)
    return {
        "common": {"logy": log, **({"ylim": (0.5, None)} if log else {})},
        "bokeh": {"frame_width": WIDTH, "frame_height": HEIGHT, **named["bokeh"]},
        "matplotlib": {"fig_inches": (WIDTH / 100, HEIGHT / 100), "aspect": "auto", **named["matplotlib"]},
    }


def _one(
    counted: tuple[NDArray[np.float64], NDArray[Any]],
    names: tuple[str, str],
    color: str,
    alpha: float,
    options: dict[str, dict[str, Any]],
) -> Any:
    """Return one histogram."""
    load_backends()
    x, y = names if names[0] != names[1] else (names[0], f"{names[1]} ")
    return styled(
        hv.Histogram(counted, kdims=[x], vdims=[y]),
        options["common"],
        bokeh={
            "fill_color": color,
            "line_color": None,
            "fill_alpha": alpha,
            "tools": ["hover"],
            **options["bokeh"],
        },
        matplotlib={"facecolor": color, "edgecolor": "none", "alpha": alpha, **options["matplotlib"]},
    )
