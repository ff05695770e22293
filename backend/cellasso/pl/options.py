"""How plots look, said for each plotting library that HoloViews has loaded."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

import holoviews as hv

from cellasso.pl.styling import no_fields, verbatim

if TYPE_CHECKING:
    from collections.abc import Mapping

HOMES = {"bokeh": "holoviews.plotting.bokeh", "matplotlib": "holoviews.plotting.mpl"}
"""The module of each library that plots are dressed for."""

Shown = TypeVar("Shown", bound=Any)


def backends() -> tuple[str, ...]:
    """Return the plotting libraries that options are set for: those that `hv.extension` has loaded.

    Where none is loaded, both are, with Bokeh the one that shows plots: so a script needs no `hv.extension`.
    """
    if not hv.Store.renderers:
        for module in HOMES.values():  # the first one becomes the current one
            import_module(module)
    return tuple(name for name in HOMES if name in hv.Store.renderers)


def styled(
    shown: Shown,
    common: Mapping[str, Any] | None = None,
    *,
    bokeh: Mapping[str, Any] | None = None,
    matplotlib: Mapping[str, Any] | None = None,
) -> Shown:
    """Set options of a HoloViews object for each loaded library, and return it.

    Parameters
    ----------
    shown
        An element, an overlay, a layout or a dynamic map.
    common
        Options that all libraries have.
    bokeh, matplotlib
        Options of one of them.
    """
    own = {"bokeh": bokeh, "matplotlib": matplotlib}
    for backend in backends():
        chosen = {**(common or {}), **(own[backend] or {})}
        if chosen:
            shown = shown.opts(**chosen, backend=backend)
    return shown


def titled(text: str) -> dict[str, dict[str, str]]:
    """Return the options, by library, of a title that stands as it is written.

    Braces are doubled, as HoloViews fills them in, and dollars kept from matplotlib, which reads formulas between them.
    """
    plain = no_fields(text)
    return {"bokeh": {"title": plain}, "matplotlib": {"title": verbatim(plain)}}
