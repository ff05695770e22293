"""The picture of a tissue under its cells: sent whole, once; the browser shows of it what is in view."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from cachetools import LRUCache

from cellasso.core.single_flight import SingleFlight
from cellasso.model.spatial import read_tissue
from cellasso_app.render.tissue_image import cut, pack
from cellasso_app.runtime.jobs import LatestJob
from cellasso_app.state.underlay import Underlay, tissue_under

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from cellasso.core.progress import Progress
    from cellasso.dataset import Dataset
    from cellasso.model.spatial import Tissue
    from cellasso.points.point_index import Viewport
    from cellasso.raster.style import Canvas
    from cellasso.store.base import Store
    from cellasso_app.render.tissue_image import Packed
    from cellasso_app.state.session import Session
    from cellasso_app.views.embedding.loader import Loader

N_KEPT = 4
"""Pictures of a file that are kept for other sessions, of some megabytes each."""

_packed: SingleFlight[Store, SingleFlight[Underlay, Packed]] = SingleFlight(WeakKeyDictionary())


class TissueLayer:
    """Sends the picture of a tissue to the browser when other cells, axes or another choice call for it.

    Parameters
    ----------
    session
        Whose choice it is.
    loader
        Has the cells that are shown.
    send
        Sends a message to the layer of cells.
    on_spot
        Called with the diameter of the spots of the tissue that is shown, in data units; `None`: none is known.
    on_note
        Called with why it cannot be shown.
    """

    def __init__(
        self,
        session: Session,
        loader: Loader,
        *,
        send: Callable[[dict[str, Any]], None],
        on_spot: Callable[[float | None], None],
        on_note: Callable[[str], None],
    ) -> None:
        self._session, self._loader, self._send, self._on_spot = session, loader, send, on_spot
        self._reading: LatestJob[Packed] = LatestJob(self._show, on_note)
        self._asked: Underlay | None = None

    def show(self) -> None:
        """Show the picture that belongs under the cells; take away what does not."""
        wanted = self.wanted
        if wanted == self._asked:
            return
        self._reading.cancel()
        if wanted is None:
            self._clear()
            return
        self._asked = wanted
        dataset = self._session.dataset
        self._reading.submit(lambda progress: read_packed(dataset, wanted, progress=progress), long=True)

    @property
    def wanted(self) -> Underlay | None:
        """Which picture belongs under the cells that are shown."""
        loaded = self._loader.shown
        return None if loaded is None else tissue_under(self._session.tissue, self._session.dataset, loaded.asked.axes)

    def painter(self) -> Callable[[Viewport, Canvas, Progress], NDArray[np.uint8]] | None:
        """Return what draws the same picture for a figure, `(height, width, 4)` RGBA; `None`: there is none."""
        dataset, wanted = self._session.dataset, self.wanted
        if wanted is None:
            return None
        return lambda viewport, canvas, _: cut(read_tissue_of(dataset, wanted), viewport, (canvas.height, canvas.width))

    def take_away(self) -> None:
        """Show no picture that does not belong under these cells, before they are drawn."""
        if self.wanted != self._asked:
            self._clear()

    def close(self) -> None:
        """Read nothing more."""
        self._reading.cancel()

    def _clear(self) -> None:
        self._reading.cancel()
        if self._asked is not None:
            self._asked = None
            self._send({"type": "no_tissue"})
            self._on_spot(None)

    def _show(self, packed: Packed) -> None:
        self._send({"type": "tissue", "extent": list(packed.extent), "mime": packed.mime, "bytes": packed.content})
        self._on_spot(packed.spot)


def read_tissue_of(dataset: Dataset, chosen: Underlay) -> Tissue:
    """Read the picture of a tissue that was chosen.

    Raises
    ------
    NotFoundError, ElementError
        As `read_tissue`.
    """
    library, _, key = chosen.key.partition("/")
    return read_tissue(dataset[chosen.modality], library, key)


def read_packed(dataset: Dataset, chosen: Underlay, *, progress: Progress) -> Packed:
    """Read the picture of a tissue as the browser takes it; sessions on the same file read it once.

    Raises
    ------
    NotFoundError, ElementError
        As `read_tissue`.
    """
    kept = _packed.get(dataset.handle, lambda: SingleFlight(LRUCache(N_KEPT)))
    return kept.get(chosen, lambda: pack(read_tissue_of(dataset, chosen)), progress=progress)
