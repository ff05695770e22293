"""Building the column indexes of an open file while people already look at it."""

from __future__ import annotations

import logging
import os
import threading
from typing import TYPE_CHECKING

from cellasso.core.errors import Cancelled, CellassoError
from cellasso_app.runtime.pools import is_stopping

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cellasso.dataset import Dataset, Modality

logger = logging.getLogger(__name__)


def index_in_background(dataset: Dataset) -> threading.Thread:
    """Build the indexes that are worth it, one after the other, X first; ends with the file or the process.

    At least one core is left to the screen, and the threads have a lower priority.
    """
    # no daemon: that would be stopped wherever it is when the process ends, with the lock of HDF5, say, for which the
    # files that are still open then wait forever
    thread = threading.Thread(target=_build_all, args=(dataset,), name="cellasso-indexing")
    thread.start()
    return thread


def _build_all(dataset: Dataset) -> None:
    try:
        for modality, layer in _matrices(dataset):
            _build(dataset, modality, layer)
    except Cancelled:
        return
    except Exception:  # h5py and pools have words of their own for being closed meanwhile; the page goes on either way
        if dataset.handle.is_open and not is_stopping():
            logger.exception("Indexing ended")


def _build(dataset: Dataset, modality: Modality, layer: str) -> None:
    from cellasso.column_index.build import is_worthwhile  # noqa: PLC0415 - numba takes half a second to import

    threads = max(1, (os.cpu_count() or 1) - 1)

    def check(_fraction: float) -> None:
        dataset.handle.check()
        if is_stopping():
            raise Cancelled("The process ends.")

    try:
        if is_worthwhile(modality.matrix(layer).matrix):
            modality.build_index(layer, threads=threads, background=True, progress=check)
    except Cancelled:
        raise
    except CellassoError as error:  # the file still opens, and the next matrix may be sound
        logger.warning("No index was built: %s", error)
    except OSError as error:
        logger.warning("No index was built in %s (%s)", dataset.handle.index_root, error.strerror)


def _matrices(dataset: Dataset) -> Iterator[tuple[Modality, str]]:
    """Yield the matrices in the order in which the page offers them: what is shown first of each modality, the rest."""
    modalities = list(dataset.modalities.values()) or [dataset.root]
    for modality in modalities:
        for layer in modality.matrices[:1]:
            yield modality, layer
    for modality in modalities:
        for layer in modality.matrices[1:]:
            yield modality, layer
