"""What colours the cells of a plot: scanpy's arguments for colours, turned into a coloring and 256 colours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from cellasso.color.coloring import MISSING_CODE, Categories, CellValues, Values
from cellasso.color.palettes import COLOR_MAPS, STANDARD
from cellasso.color.ramp import N_STEPS
from cellasso.core.errors import ElementError, NotFoundError
from cellasso.core.text import nearest
from cellasso.pl.vectors import find_vector, read_values, vector_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cellasso.color.coloring import Coloring
    from cellasso.dataset import Dataset, Modality

    Bound: TypeAlias = float | str | None
    Palette: TypeAlias = str | Sequence[str] | Mapping[str, str]

DEFAULT_MAP = "viridis"
"""matplotlib's own, which scanpy shows where no colour map is chosen."""


@dataclass(frozen=True)
class ColorOptions:
    """How scanpy's users say what colours mean; see `embedding` for each."""

    use_raw: bool | None = None
    layer: str | None = None
    normalised: bool = False
    groups: Sequence[str] | str | None = None
    palette: Palette | None = None
    cmap: Any = None
    vmin: Bound = None
    vmax: Bound = None
    vcenter: Bound = None
    na_color: Any = "lightgray"


@dataclass(frozen=True)
class CellColors:
    """What colours the cells of one plot.

    Attributes
    ----------
    name
        Of the column or feature; empty where all cells look alike.
    coloring
        Categories or values of all cells; `None`: all look alike. Of values, `low` and `high` are the ends of the
        colours.
    table
        The colour `#rrggbb` of each code, 256 of them; the last is of cells without a value.
    """

    name: str
    coloring: Coloring | None
    table: tuple[str, ...] = field(repr=False)

    @property
    def missing(self) -> str:
        """Colour of the cells without a value."""
        return self.table[MISSING_CODE]

    @property
    def missing_label(self) -> str:
        """What a legend calls them, as scanpy does; never the name of a category."""
        label = "NA"
        while isinstance(self.coloring, Categories) and label in self.coloring.labels:
            label += " "
        return label


def read_colors(dataset: Dataset | Modality, color: str | None, options: ColorOptions) -> CellColors:
    """Read what colours the cells, `(n_obs,)`: one column or feature.

    Parameters
    ----------
    dataset
        The file, or a modality of it.
    color
        As of `find_vector`; `None`: all cells have the colour of missing ones.
    options
        The matrix, the colours, and their ends.

    Raises
    ------
    NotFoundError, AmbiguousNameError
        There is no such column, feature, matrix, group or colour map.
    ElementError
        It is damaged, or an option makes no sense.
    """
    missing = hex_color(options.na_color)
    if color is None:
        return CellColors("", None, (missing,) * 256)
    vector = find_vector(dataset, color, use_raw=options.use_raw, layer=options.layer, normalised=options.normalised)
    name = vector_name(vector)
    stated = dataset.vectors.read_colors(vector) if vector.kind == "obs" else None
    coloring = CellValues(name, read_values(dataset, vector), colors=stated).coloring
    if isinstance(coloring, Categories):
        coloring = _of_groups(coloring, options)
        own = tuple(coloring.colors)
        return CellColors(name, coloring, own + (missing,) * (256 - len(own)))
    low, high, center = _limits(coloring, options)
    table = (*_steps(map_colors(options.cmap), low, high, center), missing)
    return CellColors(name, replace(coloring, low=low, high=high, ends={}), table)


# -- categories -------------------------------------------------------------------------------------------


def _of_groups(coloring: Categories, options: ColorOptions) -> Categories:
    """Return the categories in the colours of a palette; of groups the others are missing ones."""
    if options.palette is not None:
        coloring = replace(coloring, colors=palette_colors(options.palette, coloring.labels))
    if options.groups is None:
        return coloring
    groups = [options.groups] if isinstance(options.groups, str) else [str(group) for group in options.groups]
    for group in groups:
        if group not in coloring.labels:
            raise NotFoundError(f"{coloring.name} has no group {group!r}{nearest(group, coloring.labels)}")
    kept = np.array([code for code, label in enumerate(coloring.labels) if label in groups], dtype=np.int64)
    places = np.full(len(coloring.labels) + 1, -1, dtype=np.int16)  # the last one: where code -1 looks
    places[kept] = np.arange(len(kept))
    codes = places[coloring.codes]
    counts = coloring.counts[kept]
    return replace(
        coloring,
        codes=codes,
        labels=tuple(coloring.labels[code] for code in kept),
        colors=tuple(coloring.colors[code] for code in kept),
        counts=counts,
        n_missing=int(len(codes) - counts.sum()),
    )


def palette_colors(palette: Palette, labels: Sequence[str]) -> tuple[str, ...]:
    """Return the colours `#rrggbb` of categories as scanpy understands `palette`.

    Parameters
    ----------
    palette
        The name of one of matplotlib's colour maps, a list of colours (which begins anew at its end), or the colour of
        each category.
    labels
        Names of the categories.

    Raises
    ------
    NotFoundError
        There is no such colour map, or a category is not in the mapping.
    ElementError
        One is no colour.
    """
    if isinstance(palette, Mapping):
        lacking = [label for label in labels if label not in palette]
        if lacking:
            raise NotFoundError(f"palette has no colour for {lacking[0]!r}{nearest(lacking[0], map(str, palette))}")
        return tuple(hex_color(palette[label]) for label in labels)
    if isinstance(palette, str):
        from matplotlib.colors import to_hex  # noqa: PLC0415 - half a second

        return tuple(to_hex(each) for each in _color_map(palette)(np.linspace(0, 1, len(labels))))
    colors = [hex_color(each) for each in palette]
    if not colors:
        raise ElementError("palette is empty; a list of colours was expected.")
    return tuple(colors[i % len(colors)] for i in range(len(labels)))


# -- values -----------------------------------------------------------------------------------------------


def _limits(coloring: Values, options: ColorOptions) -> tuple[float, float, float | None]:
    """Return the values at both ends of the colours, apart from each other, and the one in their middle."""
    known = coloring.values[np.isfinite(coloring.values)]
    ends = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    low = bound(options.vmin, known, "vmin")
    high = bound(options.vmax, known, "vmax")
    center = bound(options.vcenter, known, "vcenter")
    low = ends[0] if low is None else low
    high = ends[1] if high is None else high
    if center is not None:  # one that lies beyond an end widens it, as matplotlib's own does
        low, high = min(low, center), max(high, center)
    if low > high:
        raise ElementError(f"vmin ({low:g}) is above vmax ({high:g}) for {coloring.name}.")
    return low, high if high > low else low + max(1.0, abs(low) * 1e-6), center


def bound(value: Bound, known: NDArray[np.floating], name: str) -> float | None:
    """Return an end of the colours: a number, or a percentile of the values as `"p99.9"`.

    Parameters
    ----------
    value
        As scanpy takes it; `None`: it is left open.
    known
        The finite values.
    name
        Of the argument, for messages.

    Raises
    ------
    ElementError
        It is neither.
    """
    if value is None:
        return None
    try:
        if isinstance(value, str) and value.startswith("p"):
            percentile = float(value[1:])
            if 0 <= percentile <= 100:
                return float(np.percentile(known.astype(np.float64), percentile)) if len(known) else None
        elif np.isfinite(float(value)):
            return float(value)
    except (TypeError, ValueError):
        pass
    raise ElementError(f"{name}={value!r} is no end of colours; a number or a percentile such as 'p99' was expected.")


def map_colors(cmap: Any) -> tuple[str, ...]:
    """Return the colours `#rrggbb` of a colour map from low to high, 256 of a named one.

    Parameters
    ----------
    cmap
        A name of matplotlib's, `"cellasso"`, a colour map of matplotlib, or a list of colours; `None`: `DEFAULT_MAP`.

    Raises
    ------
    NotFoundError
        There is no such name.
    ElementError
        One is no colour.
    """
    if isinstance(cmap, str) and cmap == STANDARD:
        return COLOR_MAPS[False]
    if cmap is None or isinstance(cmap, str) or callable(cmap):
        from matplotlib.colors import to_hex  # noqa: PLC0415 - half a second

        found = cmap if callable(cmap) else _color_map(cmap or DEFAULT_MAP)
        return tuple(to_hex(each) for each in found(np.linspace(0, 1, 256)))
    return tuple(hex_color(each) for each in cmap)


def _steps(colors: Sequence[str], low: float, high: float, center: float | None) -> list[str]:
    """Return the colours of equal steps from `low` to `high`, `N_STEPS`; with a center that has the middle colour.

    So the picture, its points and its colour bar are linear in the value, whatever the colours mean.
    """
    share = np.linspace(0, 1, N_STEPS)
    if center is not None:
        values = low + share * (high - low)
        # as matplotlib's TwoSlopeNorm; an end in the center leaves its side without a slope
        share = np.interp(values, *_slopes(low, center, high))
    at = np.rint(share * (len(colors) - 1)).astype(int)
    return [colors[i] for i in at]


def _slopes(low: float, center: float, high: float) -> tuple[list[float], list[float]]:
    if low == center:
        return [center, high], [0.5, 1.0]
    if center == high:
        return [low, center], [0.0, 0.5]
    return [low, center, high], [0.0, 0.5, 1.0]


def _color_map(name: str) -> Any:
    from matplotlib import colormaps  # noqa: PLC0415 - half a second

    if name not in colormaps:
        raise NotFoundError(f"There is no colour map {name!r}{nearest(name, colormaps)}")
    return colormaps[name]


def hex_color(color: Any) -> str:
    """Return a colour as `#rrggbb`, of any form that matplotlib knows.

    Raises
    ------
    ElementError
        It is none.
    """
    from matplotlib.colors import to_hex  # noqa: PLC0415 - half a second

    try:
        return to_hex(color)
    except (ValueError, TypeError) as error:
        raise ElementError(
            f"{color!r} is no colour; one such as 'red', '#ff0000' or (1, 0, 0) was expected."
        ) from error
