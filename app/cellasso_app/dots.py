"""Round dots with smooth edges, stamped over one another: what datashader's square pixels lack."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numba
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def disc(radius: float) -> NDArray[np.float32]:
    """Return the coverage of each pixel by a disc around the middle one, `(k, k)`, k odd, 0 to 1."""
    reach = int(np.ceil(radius + 0.5)) - 1
    offsets = np.arange(-reach, reach + 1)
    distance = np.hypot(offsets[:, None], offsets[None, :])
    return np.clip(radius + 0.5 - distance, 0, 1).astype(np.float32)


@numba.njit(nogil=True, cache=True)
def stamp(
    rows: NDArray[np.intp],
    columns: NDArray[np.intp],
    colors: NDArray[np.float32],
    coverage: NDArray[np.float32],
    picture: NDArray[np.float32],
) -> None:
    """Draw a dot at each pixel, later ones over earlier ones.

    Parameters
    ----------
    rows, columns
        Where, `(n,)`.
    colors
        `(n, 3)`, 0 to 1.
    coverage
        The dot, as `disc` makes it.
    picture
        `(height, width, 4)` premultiplied RGBA, drawn into.
    """
    reach = coverage.shape[0] // 2
    for i in range(len(rows)):
        for dy in range(-reach, reach + 1):
            y = rows[i] + dy
            if y < 0 or y >= picture.shape[0]:
                continue
            for dx in range(-reach, reach + 1):
                x = columns[i] + dx
                cover = coverage[dy + reach, dx + reach]
                if cover == 0 or x < 0 or x >= picture.shape[1]:
                    continue
                for channel in range(3):
                    picture[y, x, channel] = colors[i, channel] * cover + picture[y, x, channel] * (1 - cover)
                picture[y, x, 3] = cover + picture[y, x, 3] * (1 - cover)
