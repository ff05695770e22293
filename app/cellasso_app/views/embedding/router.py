"""From the messages of a view's parts to what they change: the picture itself here, all that is chosen in `choices`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from cellasso_app.views.embedding.messages import Message, are_finite, viewport

if TYPE_CHECKING:
    from collections.abc import Callable

    from cellasso.points.point_index import Viewport
    from cellasso_app.views.embedding.choices import Choices
    from cellasso_app.views.embedding.figure import EmbeddingPlot
    from cellasso_app.views.embedding.hover import Hover

FileFormat: TypeAlias = Literal["png", "svg"]

MAX_RATIO = 16
"""Pixels of a screen to one of the page, whatever a browser claims."""


class Router:
    """Takes the messages of one view; what is none of those that there are does nothing.

    Parameters
    ----------
    plot, hover, choices
        Which do what they are asked.
    on_ready
        Called with the pixels of the screen to one of the page, once the browser can show pictures.
    on_moved
        Called with what is in view now, and which view of the server's that was before.
    on_save
        Called with the format and the dots per inch of a figure.
    on_cancel
        Called when what is read is no longer wanted.
    on_arrange
        Called with "add" or "remove".
    """

    def __init__(
        self,
        plot: EmbeddingPlot,
        hover: Hover,
        choices: Choices,
        *,
        on_ready: Callable[[float], None],
        on_moved: Callable[[Viewport, int], None],
        on_save: Callable[[FileFormat, int], None],
        on_cancel: Callable[[], None],
        on_arrange: Callable[[str], None],
    ) -> None:
        self._plot = plot
        self._hover = hover
        self._choices = choices
        self._on_ready = on_ready
        self._on_moved = on_moved
        self._on_save = on_save
        self._on_cancel = on_cancel
        self._on_arrange = on_arrange

    def take(self, message: Message) -> None:
        """Do what a message asks."""
        match message:
            case {"type": "ready", "pixel_ratio": float(ratio) | int(ratio)} if 0 < ratio <= MAX_RATIO:
                self._on_ready(float(ratio))
            case {"type": "moved", "view": list(ends), "number": int(n)}:
                self._move(viewport(ends), n)
            case {"type": "point", "at": list(at), "number": int(n)} if len(at) == 4 and are_finite(at):
                x, y, reach_x, reach_y = map(float, at)
                self._hover.point(x, y, (abs(reach_x) or 1.0, abs(reach_y) or 1.0), n)
            case {"type": "fit"}:
                self._plot.fit()
            case {"type": "zoom", "factor": float(factor) | int(factor)} if 0.01 <= factor <= 100:
                self._plot.zoom(factor)
            case {"type": "figure", "format": "png" | "svg" as file_format, "dpi": 150 | 300 | 600 as dpi}:
                self._on_save(file_format, dpi)
            case {"type": "cancel"}:
                self._on_cancel()
            case {"type": "add" | "remove" as what}:
                self._on_arrange(what)
            case _:
                self._choices.take(message)

    def _move(self, seen: Viewport | None, number: int) -> None:
        if seen is not None and seen.x_low < seen.x_high and seen.y_low < seen.y_high:
            self._on_moved(seen, number)
