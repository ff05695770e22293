"""The violin: how a column or a feature is distributed in each group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import holoviews as hv
import numpy as np
import pandas as pd

from cellasso.color.coloring import palette
from cellasso.core.errors import AmbiguousNameError, ElementError, NotFoundError
from cellasso.pl.columns import read_columns
from cellasso.pl.features import choose_features
from cellasso.pl.groups import Groups, groupby_vector, read_groups
from cellasso.pl.rendering import in_columns
from cellasso.pl.styling import FONT_PIXELS, INK, labels_of, styled, text_width
from cellasso.pl.violins import check_density_norm, outline
from cellasso.stats.density import Densities, group_densities

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from cellasso.dataset import Dataset, Modality
    from cellasso.pl.violins import DensityNorm

MAX_DOTS = 5_000
"""Cells that a panel shows as dots; of more a seeded sample, and the panel says so."""

JITTER = 0.1
"""How far dots lie from the middle at most; seaborn's."""

SLOT_PIXELS = 38.0
MIN_PIXELS = 200.0
HEIGHT_PIXELS = 260.0
PANELS_IN_A_ROW = 4


@dataclass(frozen=True)
class Violins:
    """What a panel shows.

    Attributes
    ----------
    name
        Of the values: what stands along y.
    labels, colors
        Of each violin.
    densities
        Distribution of each.
    dots
        Violin and value of the cells that are shown as dots, `(n_dots,)` each.
    n_cells
        Cells of which these are.
    """

    name: str
    labels: tuple[str, ...]
    colors: tuple[str, ...]
    densities: Densities
    dots: tuple[NDArray[np.integer], NDArray[np.floating]]
    n_cells: int


def violin(
    dataset: Dataset | Modality,
    keys: str | Sequence[str],
    groupby: str | Sequence[str] | None = None,
    *,
    log: bool = False,
    use_raw: bool | None = None,
    stripplot: bool = True,
    jitter: float | bool = True,
    size: float = 1,
    layer: str | None = None,
    normalised: bool = False,
    density_norm: DensityNorm = "width",
    order: Sequence[str] | None = None,
    multi_panel: bool | None = None,
    xlabel: str = "",
    ylabel: str | Sequence[str] | None = None,
    rotation: float | None = None,
    title: str | None = None,
) -> hv.Overlay | hv.Layout:
    """Return violins of columns and features, as `scanpy.pl.violin` draws them.

    Densities are those of all cells, see `cellasso.stats.density`; dots are a sample of `MAX_DOTS` cells where there
    are more. One column is in memory at a time.

    Parameters
    ----------
    dataset
        The file, or a modality of it.
    keys
        Columns of obs, and features.
    groupby
        Column of obs, or several; a panel for each key then. `None`: the keys stand side by side.
    log
        Whether the axis of the values is logarithmic.
    use_raw, layer, normalised
        Which matrix features are read from, as of `dotplot`.
    stripplot, jitter, size
        Whether cells are shown as dots, how far from the middle, and how large.
    density_norm
        `"width"`: all violins are as wide; `"area"`: of one area; `"count"`: as wide as they have cells.
    order
        The groups in the order in which they are wanted; those that are not named are left out.
    multi_panel
        Whether keys have a panel each where there is no `groupby`.
    xlabel, ylabel
        Along the axes; by default the name of `groupby` and the keys.
    rotation
        Of the names below, in degrees; by default they are turned where they are too long.
    title
        Above the panels.

    Returns
    -------
    An overlay of `Polygons` and `Points`; of several panels a layout of them.

    Raises
    ------
    NotFoundError
        There is no such column or feature.
    ElementError
        A column holds no numbers; arguments contradict each other.
    """
    check_density_norm(density_norm)
    names = list(dict.fromkeys([keys] if isinstance(keys, str) else keys))
    if not names:
        raise ElementError("No violins to show: keys is empty.")
    groups = _all_cells(dataset) if groupby is None else read_groups(dataset, groupby, categories_order=order)
    read = _read(dataset, names, groups, use_raw=use_raw, layer=layer, normalised=normalised, n_dots=MAX_DOTS)
    panels = [read[name] for name in names]
    if groupby is None and not multi_panel:
        panels = [_side_by_side(panels)]
    labels = [ylabel] * len(panels) if ylabel is None or isinstance(ylabel, str) else list(ylabel)
    if len(labels) != len(panels):
        raise ElementError(f"ylabel has {len(labels)} names; there are {len(panels)} panels.")
    if not xlabel and groupby is not None and rotation is None:
        xlabel = groups.name.replace("_", " ")
    drawn = [
        draw_violins(
            panel,
            density_norm=density_norm,
            dot_size=size if stripplot else 0,
            jitter=JITTER * jitter,
            log=log,
            labels=(xlabel, panel.name if label is None else label),
            rotation=rotation,
            title=title,
        )
        for panel, label in zip(panels, labels, strict=True)
    ]
    return in_columns(drawn, PANELS_IN_A_ROW)


def choose_dots(groups: Groups, n_dots: int = MAX_DOTS) -> NDArray[np.intp]:
    """Return the positions of the cells that are shown as dots: all in a group, of more than `n_dots` a seeded sample.

    Parameters
    ----------
    groups
        What is shown.
    n_dots
        How many there are at most.
    """
    chosen = np.flatnonzero(groups.codes >= 0)
    if len(chosen) <= n_dots:
        return chosen
    return np.sort(np.random.default_rng(0).choice(chosen, n_dots, replace=False))


def violins_of(name: str, values: NDArray[Any], groups: Groups, dots: NDArray[np.intp]) -> Violins:
    """Return what a panel shows of a column.

    Parameters
    ----------
    name
        What stands along y.
    values
        Of all cells, `(n_obs,)`.
    groups
        Those that have a violin.
    dots
        Cells that are shown as dots, of `choose_dots`.
    """
    densities = group_densities(values, groups.codes, len(groups), n_cells=groups.n_cells)
    known = dots[np.isfinite(values[dots])]
    n_known = int(densities.n_known.sum())
    return Violins(name, groups.labels, groups.colors, densities, (groups.codes[known], values[known]), n_known)


def draw_violins(
    violins: Violins,
    *,
    density_norm: DensityNorm = "width",
    dot_size: float = 1,
    jitter: float = JITTER,
    log: bool = False,
    labels: tuple[str, str] = ("", ""),
    rotation: float | None = None,
    title: str | None = None,
) -> hv.Overlay:
    """Draw a panel of violins.

    Parameters
    ----------
    violins
        What it shows.
    density_norm, log, rotation, title
        As of `violin`.
    dot_size
        Of the cells that are shown as dots; 0: they are not shown.
    jitter
        How far these lie from the middle at most.
    labels
        Along x and y.
    """
    found = violins.densities
    known = np.flatnonzero(found.n_known > 0)
    values = found.support[known]
    low, high = _ends(values, log=log)
    elements = [_bodies(violins, known, density_norm, lowest=low if log else None)] if len(known) else []
    has_dots = bool(dot_size and len(violins.dots[0]))
    if has_dots:
        elements.append(_strip(violins, dot_size, jitter))
    n = len(violins.labels)
    width = max(MIN_PIXELS, n * SLOT_PIXELS)
    longest = max(map(text_width, violins.labels), default=0)
    turned = (90 if longest > width / n - 4 else 0) if rotation is None else rotation
    pad = 0.05 * (high - low) or 0.5
    ticks = [(at + 0.5, label) for at, label in enumerate(violins.labels)]
    heading = " - ".join(part for part in (title, _sampled(violins) if has_dots else "") if part)
    bokeh, matplotlib = labels_of(xticks=ticks, xlabel=labels[0], ylabel=labels[1], title=heading)
    return styled(
        hv.Overlay(elements),
        xlim=(0.0, float(n)),
        ylim=(low, high * 1.1) if log else (low - pad, high + pad),
        logy=log,
        xrotation=turned,
        show_legend=False,
        bokeh={
            "frame_width": round(width),
            "frame_height": round(HEIGHT_PIXELS),
            **bokeh,
            "fontsize": {"ticks": f"{FONT_PIXELS}px", "title": "11px", "labels": f"{FONT_PIXELS + 1}px"},
            "toolbar": "above",
            "active_tools": [],
            "shared_axes": False,
        },
        matplotlib={
            "fig_inches": (width / 72 / 0.78, HEIGHT_PIXELS / 72 / 0.76),
            "aspect": width / HEIGHT_PIXELS,
            **matplotlib,
            "fontsize": {"ticks": FONT_PIXELS * 0.9, "title": 10, "labels": FONT_PIXELS},
        },
    )


def _sampled(violins: Violins) -> str:
    """Return of how many cells the dots are a sample; nothing where they are all."""
    n_dots = len(violins.dots[0])
    return f"dots: {n_dots:,} of {violins.n_cells:,} cells" if n_dots < violins.n_cells else ""


def _ends(values: NDArray[np.float64], *, log: bool) -> tuple[float, float]:
    """Return the lowest and the highest value that the axis shows; of a logarithmic one the lowest above 0."""
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    if log:
        low = min((float(row[row > 0].min()) for row in values if (row > 0).any()), default=high / 10)
    return low, high


def _bodies(violins: Violins, known: NDArray[np.intp], density_norm: DensityNorm, *, lowest: float | None) -> Any:
    found = violins.densities
    widths = found.widths(density_norm)
    shapes = []
    for at in known:
        x, y = outline(found.support[at], widths[at], at + 0.5)
        y = y if lowest is None else np.maximum(y, lowest)
        shapes.append({
            "x": x,
            "y": y,
            "violin": float(at),
            "name": violins.labels[at],
            "median": found.median[at],
            "cells": int(found.n_known[at]),
        })  # fmt: skip
    return styled(
        hv.Polygons(shapes, ["x", "y"], ["violin", "name", "median", "cells"]),
        color="violin",
        cmap=list(violins.colors),
        clim=(-0.5, len(violins.colors) - 0.5),
        bokeh={
            "line_color": INK,
            "line_width": 0.8,
            "tools": ["hover"],
            "hover_tooltips": [("", "@name"), ("median", "@median{0.000}"), ("cells", "@cells{0,0}")],
        },
        matplotlib={"edgecolor": INK, "linewidth": 0.8},
    )


def _strip(violins: Violins, size: float, jitter: float) -> Any:
    at, values = violins.dots
    places = at + 0.5 + np.random.default_rng(0).uniform(-jitter, jitter, len(at))
    return styled(
        hv.Points((places, values), ["x", "y"]),
        color="black",
        bokeh={"size": 1 + size, "line_color": None, "alpha": 0.5},
        matplotlib={"s": 1.5 * size, "edgecolors": "none", "alpha": 0.5},
    )


# -- what is read -----------------------------------------------------------------------------------------------


def _all_cells(dataset: Dataset | Modality) -> Groups:
    n_obs = dataset.n_obs
    return Groups("", np.zeros(n_obs, dtype=np.int32), ("",), palette(1), np.array([n_obs]))


def _read(
    dataset: Dataset | Modality, names: Sequence[str], groups: Groups, *, n_dots: int, **which: Any
) -> dict[str, Violins]:
    """Read columns of obs and features, one after the other."""
    features = [name for name in names if not _is_column(dataset, name)]
    chosen = choose_dots(groups, n_dots)

    def columns() -> Iterator[tuple[str, NDArray[Any]]]:
        for name in names:
            if name not in features:
                yield name, _numbers(dataset, name)
        if features:
            wanted = choose_features(dataset, features, **which)
            for slot, column in read_columns(dataset, wanted):
                yield features[slot], column

    return {name: violins_of(name, values, groups, chosen) for name, values in columns()}


def _is_column(dataset: Dataset | Modality, name: str) -> bool:
    try:
        return groupby_vector(dataset, name).kind != "gene"
    except (NotFoundError, AmbiguousNameError):
        return False  # a feature of raw, or of a layer; if there is none, this is said where features are read


def _numbers(dataset: Dataset | Modality, name: str) -> NDArray[np.float64]:
    column = dataset.cells[groupby_vector(dataset, name)]
    if not pd.api.types.is_numeric_dtype(column.dtype):
        raise ElementError(f"{name} holds {column.dtype}; numbers were expected.")
    values: NDArray[np.float64] = column.to_numpy(dtype=np.float64, na_value=np.nan)
    return values


def _side_by_side(panels: Sequence[Violins]) -> Violins:
    """Return panels of one violin each as one panel of all."""
    parts = [panel.densities for panel in panels]
    n_dots = [len(panel.dots[0]) for panel in panels]
    return Violins(
        "value",
        tuple(panel.name for panel in panels),
        palette(1) * len(panels),
        Densities(
            np.concatenate([part.support for part in parts]),
            np.concatenate([part.density for part in parts]),
            np.concatenate([part.median for part in parts]),
            np.concatenate([part.n_known for part in parts]),
        ),
        (np.repeat(np.arange(len(panels)), n_dots), np.concatenate([panel.dots[1] for panel in panels])),
        sum(panel.n_cells for panel in panels),
    )
