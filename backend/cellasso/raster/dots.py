"""Round dots with smooth edges: what datashader's square pixels lack."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def disc(radius: float) -> NDArray[np.float32]:
    """Return the coverage of each pixel by a disc around the middle one, `(k, k)`, k odd, 0 to 1."""
    reach = int(np.ceil(radius + 0.5)) - 1
    offsets = np.arange(-reach, reach + 1)
    distance = np.hypot(offsets[:, None], offsets[None, :])
    return np.clip(radius + 0.5 - distance, 0, 1).astype(np.float32)
