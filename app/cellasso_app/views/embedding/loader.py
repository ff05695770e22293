"""What is read for a view: the newest of its choices, in one piece or in several."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import param

from cellasso.color.coloring import Values
from cellasso.color.palettes import Scale
from cellasso_app.render.cell_values import page_name, without_matrix
from cellasso_app.render.coloring_cache import coloring_cache
from cellasso_app.runtime.jobs import LatestJob
from cellasso_app.state.axes import Axes
from cellasso_app.views.embedding.loaded import Asked, Loaded, load, rescaled

if TYPE_CHECKING:
    from collections.abc import Callable

    from cellasso_app.render.cell_values import ColoringKey
    from cellasso_app.runtime.jobs import JobContext
    from cellasso_app.state.session import Session
    from cellasso_app.state.view_state import ViewState


class Loader:
    """Reads what one view's choices ask for.

    Parameters
    ----------
    session, number
        Whose choices, and which view's.
    on_loaded
        Called with what was read, a first part of it maybe, and what was there before.
    on_failed
        Called with a sentence when it cannot be read.

    Attributes
    ----------
    on_progress
        Called with the fraction done.
    shown
        What was read last, a first part of it maybe.
    complete
        What was last read to its end.
    """

    def __init__(
        self,
        session: Session,
        number: int,
        *,
        on_loaded: Callable[[Loaded, Loaded | None], None],
        on_failed: Callable[[str], None],
    ) -> None:
        self._session = session
        self._number = number
        self._on_loaded = on_loaded
        self._under_way: Asked | None = None  # what is being read
        self.on_progress: Callable[[float], None] = lambda _: None
        self._reading: LatestJob[Loaded] = LatestJob(self._show, on_failed, self._tell, urgency=session.urgency)
        self._finishing: LatestJob[Loaded] = LatestJob(self._show, on_failed, self._tell, urgency=session.urgency)
        self.shown: Loaded | None = None
        self.complete: Loaded | None = None

    @property
    def is_busy(self) -> bool:
        """Whether something is being read."""
        return self._reading.is_busy or self._finishing.is_busy

    @property
    def scale(self) -> Scale:
        """How the values of the chosen colour become colours."""
        color = self._state.color
        return self._session.scales.get(color, Scale()) if color is not None else Scale()

    @property
    def asked(self) -> Asked:
        """What the choices ask for."""
        session, state = self._session, self._state
        axes = Axes(state.embedding, state.dims)
        if state.pair is not None:
            x, y = state.pair
            axes = Axes("", (0, 1), (session.resolve(x), session.resolve(y)))
        return Asked(axes, session.resolve_color(state.color) if state.color is not None else None)

    @property
    def _state(self) -> ViewState:
        state: ViewState = self._session.views[self._number]
        return state

    def read(self) -> Asked | None:
        """Begin to read what is chosen, and return it; `None` where that is what is on the screen."""
        asked = self.asked
        if self.complete is not None and asked == self.complete.asked:
            self.stop()
            self._show(self.complete)
            return None
        if asked != self._under_way:
            self._begin(asked)
        return asked

    def stop(self) -> None:
        """Drop what is being read, and what was to follow."""
        self._reading.cancel()
        self._drop_rest()
        self._under_way = None

    def go_on(self) -> None:
        """Begin with the rest once what is there has been drawn, or is not going to be."""
        loaded = self.shown
        if loaded is not None and loaded.rest is not None:
            self.shown = replace(loaded, rest=None)
            color = loaded.asked.color
            scans = loaded.is_coarse and color is not None and self._session.needs_scan(color.vector)
            self._finishing.submit(loaded.rest, long=scans, priority="urgent")

    def rescale(self) -> None:
        """Put the values that are on the screen on another scale; nothing is read for it."""
        before, scale = self.complete, self.scale
        if before is None or before.cells.scale == scale or self._under_way is not None:
            return
        if isinstance(before.cells.coloring, Values):
            self._reading.submit(lambda _: rescaled(before, scale))

    def choose_shown(self, *, is_active: bool) -> None:
        """Choose again what is on the screen: what was chosen instead cannot be had, or was cancelled.

        Parameters
        ----------
        is_active
            Whether the session's choices, too, are those of this view.
        """
        session = self._session
        if self.complete is None:
            return
        (embedding, dims, pair), color = self.complete.asked.axes, self.complete.asked.color
        with param.parameterized.batch_call_watchers(session):
            session.change_view(
                self._number,
                embedding=embedding or self._state.embedding,
                dims=dims,
                pair=(without_matrix(pair[0]), without_matrix(pair[1])) if pair is not None else None,
                color=without_matrix(color.vector) if color is not None else None,
            )
            if is_active and color is not None:
                self._choose_reading(color)

    def close(self) -> None:
        """Read nothing more."""
        self._reading.cancel()
        self._finishing.cancel()

    def _choose_reading(self, color: ColoringKey) -> None:
        session, (vector, as_categories) = self._session, color
        if vector.layer is not None:
            session.matrix = vector.layer
        if vector.kind == "obs":
            name = page_name(vector)
            others = session.as_categories - {name}
            session.as_categories = others | ({name} if as_categories else set())

    def _tell(self, fraction: float) -> None:
        self.on_progress(fraction)

    def _begin(self, asked: Asked) -> None:
        dataset, scale, shown = self._session.dataset, self.scale, self.shown
        plane = shown.plane if shown is not None and shown.asked.axes == asked.axes else None

        def job(reports: JobContext[Loaded]) -> Loaded:
            return load(dataset, asked, scale, plane, reports)

        read = [*(asked.axes.pair or ())]
        if asked.color is not None and coloring_cache(dataset).get(asked.color) is None:
            read.append(asked.color.vector)
        self._under_way = asked
        # before what was to follow is dropped: what may wait for a picture must find no gap between the two
        self._reading.submit(job, long=any(map(self._session.needs_scan, read)), priority="urgent")
        self._drop_rest()

    def _drop_rest(self) -> None:
        self._finishing.cancel()
        if self.shown is not None:
            self.shown = replace(self.shown, rest=None)

    def _show(self, loaded: Loaded) -> None:
        before, self.shown = self.shown, loaded
        if loaded.complete:
            self.complete, self._under_way = loaded, None
        self._on_loaded(loaded, before)
        if loaded.complete:
            self.rescale()  # what was chosen meanwhile
