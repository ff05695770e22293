"""Which colour a value has: scanpy's `cmap`, `vmin`, `vmax` and `vcenter`, as colours at equal steps of the value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cellasso.core.errors import ElementError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

N_STEPS = 256


@dataclass(frozen=True)
class ColorScale:
    """Colours of values.

    Attributes
    ----------
    low, high
        The values at both ends.
    colors
        `#rrggbb` at equal steps from `low` to `high`.
    """

    low: float
    high: float
    colors: tuple[str, ...]

    @property
    def limits(self) -> tuple[float, float]:
        """Both ends, as HoloViews' `clim` takes them."""
        return self.low, self.high

    def of(self, values: NDArray[np.floating]) -> list[str]:
        """Return the colour of each value; those beyond an end have its colour, missing ones that of the low end."""
        at = np.nan_to_num((values - self.low) / (self.high - self.low), nan=0.0)
        steps = np.clip(at * len(self.colors), 0, len(self.colors) - 1).astype(int)
        return [self.colors[step] for step in steps.ravel()]


def color_scale(
    values: NDArray[np.floating],
    cmap: str | Sequence[str] | Any,
    *,
    vmin: float | None = None,
    vmax: float | None = None,
    vcenter: float | None = None,
    norm: Any = None,
) -> ColorScale:
    """Return the colours of values.

    Parameters
    ----------
    values
        What is shown; the ends that are not given are the lowest and the highest of them.
    cmap
        Name of a colour map of matplotlib, Bokeh or colorcet, one of matplotlib's objects, or colours.
    vmin, vmax
        Values at the ends.
    vcenter
        Value at the middle of the colours.
    norm
        A `Normalize` of matplotlib, in place of the three.

    Raises
    ------
    ElementError
        There is no such colour map; `vmin`, `vcenter` and `vmax` do not ascend; there is a `norm` beside them.
    """
    from matplotlib.colors import Normalize, TwoSlopeNorm, to_hex  # noqa: PLC0415 - where something is drawn

    if norm is not None and (vmin, vmax, vcenter) != (None, None, None):
        raise ElementError("norm= and vmin=, vmax=, vcenter= exclude each other.")
    known = values[np.isfinite(values)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    if norm is None:
        low, high = low if vmin is None else float(vmin), high if vmax is None else float(vmax)
        if low > high:
            raise ElementError(f"vmin={low:g} is above vmax={high:g}.")
        high = high if high > low else low + 1.0
        if vcenter is not None and not low < vcenter < high:
            raise ElementError(f"vcenter={vcenter:g} is not between {low:g} and {high:g}, the ends of the colours.")
        norm = Normalize(low, high) if vcenter is None else TwoSlopeNorm(vcenter, low, high)
    else:
        norm.autoscale_None(known)
        low, high = float(norm.vmin), float(norm.vmax)
    at = np.clip(np.asarray(norm(np.linspace(low, high, N_STEPS))), 0, 1)
    return ColorScale(low, high, tuple(to_hex(color) for color in _color_map(cmap)(at)))


def _color_map(cmap: Any) -> Any:
    from matplotlib import colormaps  # noqa: PLC0415 - see above
    from matplotlib.colors import Colormap, ListedColormap  # noqa: PLC0415

    if isinstance(cmap, Colormap):
        return cmap
    if isinstance(cmap, str):
        if cmap in colormaps:
            return colormaps[cmap]
        from holoviews.plotting.util import list_cmaps, process_cmap  # noqa: PLC0415 - slow, and rarely asked

        if cmap not in list_cmaps():
            raise ElementError(f"There is no colour map {cmap!r}; viridis, Reds, RdBu_r and others of matplotlib are.")
        cmap = process_cmap(cmap, N_STEPS)
    return ListedColormap(list(cmap))
