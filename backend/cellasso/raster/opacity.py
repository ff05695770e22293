"""How opaque a pixel is by its number of cells, where a cell is no larger than a pixel: as datashader shades counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cellasso.color.ramp import Shading

LONE = 0.45
"""Opacity of a pixel with one cell; crowds are opaque."""

N_COUNTS = 4096
"""Counts of cells in a pixel that opacity tells apart."""


def opacities(n_pixels: NDArray[np.int64], crowds: Shading = "log") -> NDArray[np.float64]:
    """Return the opacity of a pixel by its number of cells, `LONE` to 1; the last is that of all higher numbers.

    Parameters
    ----------
    n_pixels
        How many pixels in view have each number of cells, `(n,)`; those without any are not counted.
    crowds
        How opacity rises, as `how` of `datashader.transfer_functions.shade`: by the number of cells above one, up to
        the number that nine of ten pixels do not exceed; with "eq_hist" by the part of the pixels that have no more.
    """
    if crowds == "eq_hist":
        return _equalised(n_pixels)
    n = np.maximum(np.arange(max(_crowd(n_pixels), 2) + 1), 1)
    match crowds:
        case "log":
            above = np.log(n)
        case "cbrt":
            above = np.cbrt(n - 1)
        case _:
            above = n - 1.0
    opacity: NDArray[np.float64] = LONE + (1 - LONE) * above / above[-1]
    return opacity


def _equalised(n_pixels: NDArray[np.int64]) -> NDArray[np.float64]:
    there = np.flatnonzero(n_pixels)
    if len(there) < 2:  # nothing tells the pixels apart
        return np.array([LONE, LONE if not len(there) or there[0] == 1 else 1.0])
    fewest, most = there[[0, -1]]
    reached = np.cumsum(n_pixels[: most + 1]) / n_pixels.sum()
    place = np.maximum(reached - reached[fewest], 0) / (1 - reached[fewest])
    opacity: NDArray[np.float64] = LONE + (1 - LONE) * place
    return opacity


def _crowd(n_pixels: NDArray[np.int64]) -> int:
    """Return the count of cells that nine of ten pixels with cells do not exceed; `n_pixels` have each count."""
    reached = np.cumsum(n_pixels)
    return int(np.searchsorted(reached, 0.9 * reached[-1]))
