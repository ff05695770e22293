"""How plots look, said for both plotting libraries, whichever of them is in use when a plot is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from cellasso.pl.styling import load_backends, no_fields, verbatim

if TYPE_CHECKING:
    from collections.abc import Mapping

Shown = TypeVar("Shown", bound=Any)


def styled(
    shown: Shown,
    common: Mapping[str, Any] | None = None,
    *,
    bokeh: Mapping[str, Any] | None = None,
    matplotlib: Mapping[str, Any] | None = None,
) -> Shown:
    """Set options of a HoloViews object for both libraries, and return it.

    Parameters
    ----------
    shown
        An element, an overlay, a layout or a dynamic map.
    common
        Options that both have.
    bokeh, matplotlib
        Options of one of them.
    """
    load_backends()
    for backend, own in (("bokeh", bokeh), ("matplotlib", matplotlib)):
        chosen = {**(common or {}), **(own or {})}
        if chosen:
            shown = shown.opts(**chosen, backend=backend)
    return shown


def titled(text: str) -> dict[str, dict[str, str]]:
    """Return the options, by library, of a title that stands as it is written.

    Braces are doubled, as HoloViews fills them in, and dollars kept from matplotlib, which reads formulas between them.
    """
    plain = no_fields(text)
    return {"bokeh": {"title": plain}, "matplotlib": {"title": verbatim(plain)}}


def plain_texts(plot: Any, _element: Any) -> None:
    """Have matplotlib write names as they are, in a legend and among the cells; a hook of HoloViews.

    Names come from files: between two dollars matplotlib would read a formula, or fail to.

    Parameters
    ----------
    plot
        HoloViews' plot, with its handles.
    """
    axes = plot.handles["axis"]
    legend = axes.get_legend()
    for text in [*axes.texts, *(legend.get_texts() if legend is not None else ())]:
        text.set_parse_math(False)


def plain_ticks(plot: Any, _element: Any) -> None:
    """Do the same for names that stand along the axes.

    Parameters
    ----------
    plot
        HoloViews' plot, with its handles.
    """
    axes = plot.handles["axis"]
    for text in [*axes.get_xticklabels(), *axes.get_yticklabels()]:
        text.set_parse_math(False)
