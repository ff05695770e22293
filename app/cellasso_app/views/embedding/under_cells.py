"""What lies under the cells of a view: lines between them, drawn by datashader for what is in view."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import deflate
import numpy as np
from cachetools import LRUCache

from cellasso.color.palettes import rgb
from cellasso.core.single_flight import SingleFlight
from cellasso.model.graph import read_edges, read_paga
from cellasso_app.runtime.jobs import LatestJob
from cellasso_app.state.underlay import underlays
from cellasso_app.ui.theme import INKS

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from cellasso.core.progress import Progress
    from cellasso.dataset import Dataset
    from cellasso.model.graph import Edges
    from cellasso.points.point_index import PointIndex, Viewport
    from cellasso.raster.style import Canvas
    from cellasso.store.base import Store
    from cellasso_app.state.session import Session
    from cellasso_app.state.underlay import Underlay
    from cellasso_app.views.embedding.figure import EmbeddingPlot
    from cellasso_app.views.embedding.loaded import Loaded
    from cellasso_app.views.embedding.loader import Loader

LEVEL = 1
"""Of compression, as of a picture."""

PREPARING = "The lines under the cells are being drawn…"

N_KEPT = 2
"""Graphs of a file whose edges are kept, of up to 128 MB each."""

_edges: SingleFlight[Store, SingleFlight[tuple[str, str], Edges]] = SingleFlight(WeakKeyDictionary())
"""By file: of which modality, and the name of the graph."""


@dataclass(frozen=True)
class Ground:
    """A picture for under the cells.

    Attributes
    ----------
    alpha
        Opacity of each pixel, `(height, width)`, the first row at the bottom.
    note
        What of it is not shown; empty when all is.
    """

    viewport: Viewport
    alpha: NDArray[np.uint8]
    note: str = ""


class UnderCells:
    """Draws what was chosen to lie under the cells, anew for each view of them.

    Parameters
    ----------
    session
        Whose choice it is.
    plot
        Says what is in view.
    loader
        Has the cells that are shown.
    send
        Sends a message to the layer.
    on_note
        Called with what of it is not shown, or why it cannot be.
    """

    def __init__(
        self,
        session: Session,
        plot: EmbeddingPlot,
        loader: Loader,
        *,
        send: Callable[[dict[str, Any]], None],
        on_note: Callable[[str], None],
    ) -> None:
        self._session, self._plot, self._loader, self._send, self._on_note = session, plot, loader, send, on_note
        self._drawing: LatestJob[Ground] = LatestJob(self._show, on_note, urgency=session.urgency)
        self._is_shown = False
        self._drawn: tuple[object, ...] = ()  # for what it was drawn, or is being drawn

    def draw(self, pixel_ratio: float) -> None:
        """Draw what is in view; take away what is no longer chosen, or not there along these axes."""
        chosen, loaded = self._session.underlay, self._loader.shown
        canvas = self._plot.canvas(pixel_ratio)
        if loaded is None or canvas is None:
            return
        if not self._is_wanted(loaded):
            self.clear()
            return
        dataset, plane, viewport = self._session.dataset, loaded.plane, self._plot.viewport
        asked = (chosen, id(plane), viewport, canvas)
        if asked == self._drawn:
            return
        self._drawn = asked
        if not self._is_shown:
            self._on_note(PREPARING)
        self._drawing.submit(
            lambda progress: draw_under(dataset, chosen, plane, viewport, canvas, progress=progress), long=True
        )

    def painter(self) -> Callable[[Viewport, Canvas, Progress], NDArray[np.uint8]] | None:
        """Return what draws the same lines for a figure, `(height, width, 4)` RGBA; `None`: there are none."""
        chosen, loaded = self._session.underlay, self._loader.shown
        if loaded is None or not self._is_wanted(loaded):
            return None
        dataset, plane, color = self._session.dataset, loaded.plane, self._color

        def paint(viewport: Viewport, canvas: Canvas, progress: Progress) -> NDArray[np.uint8]:
            alpha = draw_under(dataset, chosen, plane, viewport, canvas, progress=progress).alpha
            return np.dstack([np.broadcast_to(np.array(color, dtype=np.uint8), (*alpha.shape, 3)), alpha])

        return paint

    def _is_wanted(self, loaded: Loaded) -> bool:
        """Whether lines were chosen that there are along the axes of what is shown."""
        return self._session.underlay in underlays(self._session.dataset, loaded.asked.axes)

    @property
    def _color(self) -> list[int]:
        color: list[int] = rgb([INKS[self._session.dark].text])[0].tolist()
        return color

    def clear(self) -> None:
        """Show nothing under the cells."""
        self._drawing.cancel()
        self._drawn = ()
        if self._is_shown:
            self._is_shown = False
            self._send({"type": "no_ground"})

    def close(self) -> None:
        """Draw nothing more."""
        self._drawing.cancel()

    def _show(self, ground: Ground) -> None:
        height, width = ground.alpha.shape
        packed = bytes(deflate.zlib_compress(np.ascontiguousarray(ground.alpha).tobytes(), LEVEL))
        about = {"viewport": list(map(float, ground.viewport)), "width": width, "height": height, "color": self._color}
        self._is_shown = True
        self._send({"type": "ground", **about, "bytes": packed})
        self._on_note(ground.note)


def draw_under(
    dataset: Dataset, chosen: Underlay, plane: PointIndex, viewport: Viewport, canvas: Canvas, *, progress: Progress
) -> Ground:
    """Draw what lies under the cells in a viewport.

    Parameters
    ----------
    dataset
        The file.
    chosen
        What of it.
    plane
        All cells along the axes.
    viewport, canvas
        What is in view, and how large it is.
    progress
        Told the fraction of the graph that is read; may raise `Cancelled`.

    Raises
    ------
    NotFoundError, ElementError
        As `read_edges` and `read_paga`.
    """
    from cellasso.pl import lines  # noqa: PLC0415 - datashader takes a second to import

    shape = (canvas.height, canvas.width)
    if chosen.kind == "paga":
        starts, stops, weights = _connections(dataset, chosen, plane)
        alpha = lines.draw_thick_lines(starts, stops, weights, viewport, shape, pixel_ratio=canvas.pixel_ratio)
        return Ground(viewport, alpha)

    def read() -> Edges:
        return read_edges(dataset[chosen.modality], chosen.key, progress=progress)

    kept = _edges.get(dataset.handle, lambda: SingleFlight(LRUCache(N_KEPT)))
    edges = kept.get((chosen.modality, chosen.key), read, progress=progress)
    obs_index = dataset.alignment(chosen.modality).obs_index
    own = _coordinates(plane) if obs_index is None else _of_rows(_coordinates(plane), obs_index)
    found = lines.draw_edges(edges, own, viewport, shape)
    note = ""
    if found.n_drawn < found.n_in_view or len(edges) < edges.n_stored:
        in_view = round(found.n_in_view * edges.n_stored / max(1, len(edges)))
        note = f"{found.n_drawn:,} of about {in_view:,} edges in view are drawn."
    return Ground(viewport, lines.opacity_of(found.counts), note)


def _coordinates(plane: PointIndex) -> NDArray[np.float32]:
    """Return the coordinates of all cells in the order of obs, `(n_obs, 2)`; NaN for those without a place."""
    xy = np.full((plane.n_obs, 2), np.nan, dtype=np.float32)
    xy[plane.order] = plane.points
    return xy


def _of_rows(xy: NDArray[np.float32], obs_index: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the coordinates of a modality's cells; NaN for one that is not among the global ones."""
    return np.where((obs_index >= 0)[:, None], xy[obs_index], np.float32(np.nan))


def _connections(
    dataset: Dataset, chosen: Underlay, plane: PointIndex
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return both ends of the connections of groups, at the medians of their cells, and their weights."""
    import pandas as pd  # noqa: PLC0415

    paga = read_paga(dataset[chosen.modality])
    name = f"{chosen.modality}:{paga.column}" if chosen.modality else paga.column
    column = dataset.read_obs(name).astype("category")
    middles = pd.DataFrame(_coordinates(plane)).groupby(column.cat.codes.to_numpy()).median()
    at = middles.reindex(range(len(column.cat.categories))).to_numpy(dtype=np.float64)
    return at[paga.groups[:, 0]], at[paga.groups[:, 1]], paga.weights
