"""How a plot looks in both of HoloViews' backends, whichever of them is in use when it is made."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

import holoviews as hv

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Shown = TypeVar("Shown")

INK = "#333333"
LINE = "#555555"
FONT_PIXELS = 11
"""Height of the text of labels; a letter is about 0.62 as wide."""

COLORBAR = {"width": 12, "title_text_font_size": "11px", "title_text_font_style": "normal", "title_standoff": 6}
"""How Bokeh draws a colour bar."""


def styled(
    element: Shown,
    *,
    bokeh: Mapping[str, Any] | None = None,
    matplotlib: Mapping[str, Any] | None = None,
    **both: Any,
) -> Shown:
    """Return a HoloViews object with options for both backends, which what a user says with `.opts` replaces.

    Parameters
    ----------
    element
        An element, an overlay or a layout.
    bokeh, matplotlib
        Options that one of them knows.
    **both
        Options that both know.
    """
    load_backends()
    kind = type(element).__name__
    options = [
        hv.Options(kind, backend=backend, **both, **(own or {}))
        for backend, own in (("bokeh", bokeh), ("matplotlib", matplotlib))
    ]
    shown: Shown = element.opts(*options)  # type: ignore[attr-defined] # of HoloViews, which has no types
    return shown


@cache
def load_backends() -> None:
    """Import both backends: options are known for those alone that are. The one that is in use stays so."""
    current, loaded = hv.Store.current_backend, hv.Store.loaded_backends()
    for name in ("bokeh", "mpl"):
        import_module(f"holoviews.plotting.{name}")
    if loaded:
        hv.Store.set_current_backend(current)


def text_width(text: str) -> float:
    """Return about how wide a label is, in pixels."""
    return 0.62 * FONT_PIXELS * len(text)


def verbatim(text: str) -> str:
    """Return what matplotlib writes as this text: between two dollars it would read a formula."""
    return text.replace("$", r"\$")


def no_fields(title: str) -> str:
    """Return a title in which HoloViews finds nothing to fill in."""
    return title.replace("{", "{{").replace("}", "}}")


def labels_of(
    *,
    xticks: Sequence[tuple[float, str]] | None = None,
    yticks: Sequence[tuple[float, str]] | None = None,
    xlabel: str = "",
    ylabel: str = "",
    title: str = "",
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the options for texts around a plot, for Bokeh and for matplotlib; what stands in them is drawn as it is.

    Parameters
    ----------
    xticks, yticks
        Where labels stand along the axes; `None`: where the backend puts numbers.
    xlabel, ylabel, title
        Along the axes and above.
    """
    bokeh: dict[str, Any] = {"xlabel": xlabel, "ylabel": ylabel, "title": no_fields(title)}
    matplotlib: dict[str, Any] = {name: verbatim(text) for name, text in bokeh.items()}
    for name, ticks in (("xticks", xticks), ("yticks", yticks)):
        if ticks:
            bokeh[name] = list(ticks)
            matplotlib[name] = [(at, verbatim(text)) for at, text in ticks]
    return bokeh, matplotlib
