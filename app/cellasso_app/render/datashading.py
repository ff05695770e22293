"""Pictures by way of datashader, from when it has been imported.

datashader and HoloViews take a second of CPU and 70 MB to import, which no first picture waits for. Until they are
there the same loops are called directly, and give the same bytes.
"""

from __future__ import annotations

import logging
import sys
import threading
from typing import TYPE_CHECKING

from cellasso.raster.drawing import reduce_cells

if TYPE_CHECKING:
    from cellasso.dataset import Dataset
    from cellasso.model.vector import Vector
    from cellasso.raster.draw import Reducer

logger = logging.getLogger(__name__)

DELAY = 3.0
"""Seconds after the first picture: while a page opens, the server has other work."""

_begun = threading.Event()
_ready = threading.Event()


def prefetch(delay: float = DELAY) -> None:
    """Import datashader in a thread, once; returns at once."""
    if _begun.is_set():
        return
    _begun.set()
    waiting = threading.Timer(delay, _import)
    waiting.name, waiting.daemon = "cellasso-datashader", True
    waiting.start()


def _import() -> None:
    try:
        import cellasso.pl  # noqa: F401, PLC0415 - that it is imported is what this is for
    except Exception:  # an installation may be damaged; the pictures are the same without
        logger.exception("datashader cannot be imported")
        return
    if not sys.is_finalizing():
        _ready.set()


def reducer(dataset: Dataset, axes: tuple[Vector, Vector]) -> Reducer:
    """Return what makes the pixels of a picture, for `raster.draw.draw`.

    Parameters
    ----------
    dataset
        The file.
    axes
        What stands along x and y.
    """
    if not _ready.is_set():
        return reduce_cells
    from cellasso.pl.pictures import reducer_of  # noqa: PLC0415 - see above

    return reducer_of(dataset.cells, *axes)
