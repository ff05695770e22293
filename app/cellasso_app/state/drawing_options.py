"""How cells are drawn, as the user chooses it: what is offered, and what of an answer is taken over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cellasso.color.coloring import CLIPS, Values
from cellasso.color.palettes import NAMED, STANDARD, Scale
from cellasso.raster import draw
from cellasso.raster.style import ORDERS
from cellasso_app.state.underlay import NO_TISSUE, Underlay, tissue_under, tissues, underlays

if TYPE_CHECKING:
    from cellasso.color.ramp import Shading
    from cellasso.model.vector import Vector
    from cellasso_app.state.axes import Axes
    from cellasso_app.state.session import Session

SAID = {
    "random": "random order",
    "legend": "last category on top",
    "rare": "rarest category on top",
    "mixed": "colours mixed",
    "high": "highest value on top",
    "low": "lowest value on top",
    "mean": "mean of each pixel",
}
"""What the page calls the orders of drawing."""

SHADINGS: dict[Shading, str] = {
    "linear": "linear",
    "log": "logarithm",
    "cbrt": "cube root",
    "eq_hist": "equal areas",
}
"""What the page calls the ways from numbers to shades."""

SHADED = {"log": "log scale", "cbrt": "cube-root scale", "eq_hist": "histogram-equalised colours"}
"""What is said of a picture whose colours are not linear."""

SIZES = (1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0)
"""Diameters of cells that can be chosen, in pixels."""

MAX_TOLD = 8
"""Columns that are told of the cell under the pointer."""


def offered(session: Session, kind: type | None, scale: Scale, order: str, *, axes: Axes) -> dict[str, Any]:
    """Return how cells are drawn and can be drawn, as plain values.

    Parameters
    ----------
    kind
        Of the colouring: `Categories`, `Values`, or `None` without one.
    scale, order
        Those that are drawn.
    axes
        Along which they are drawn.
    """
    options: dict[str, Any] = {
        "size": session.dot_size,
        "sizes": list(SIZES),
        "labelled": session.labelled,
        "downward": session.downward if axes.in_space else None,
        "hover": list(session.hover_columns),
        "columns": [column["name"] for column in session.columns()],
        "orders": [{"value": each, "label": SAID[each]} for each in ORDERS.get(kind, ())] if kind else [],
        "order": order,
        "underlay": str(session.underlay),
        "underlays": [{"value": str(each), "label": each.label} for each in underlays(session.dataset, axes)],
        "tissue": str(tissue_under(session.tissue, session.dataset, axes) or NO_TISSUE),
        "tissues": [{"value": str(each), "label": each.label} for each in tissues(session.dataset, axes)],
        "crowds": session.crowds if _has_crowds(session) else None,
        "shadings": [{"value": each, "label": label} for each, label in SHADINGS.items()],
    }
    if kind is Values:
        options["scale"] = {**scale._asdict(), "clips": list(CLIPS), "color_maps": [STANDARD, *NAMED]}
    return options


def _has_crowds(session: Session) -> bool:
    """Whether a cell of this size is one pixel in some view, where opacity tells how many cells are in it."""
    n_obs = session.dataset.n_obs
    return bool(n_obs > draw.N_DOTS if session.dot_size == 1 else session.dot_size is None and n_obs >= draw.DENSE)


def choose(session: Session, kind: type | None, color: Vector | None, choice: dict[str, Any]) -> None:
    """Take a choice over into the session, if it is one of those that are offered.

    Parameters
    ----------
    kind, color
        Of what is coloured now: its colours are the ones that are chosen.
    """
    match choice:
        case {"order": str(order)} if kind is not None and order in ORDERS[kind]:
            session.order = {**session.order, kind.__name__: order}
        case {"size": None | float() | int() as size} if size is None or size in SIZES:
            session.dot_size = None if size is None else float(size)
        case {"crowds": str(crowds)} if crowds in SHADINGS:
            session.crowds = crowds
        case {"labelled": bool(labelled)}:
            session.labelled = labelled
        case {"downward": bool(downward)}:
            session.downward = downward
        case {"underlay": str(text)}:
            session.underlay = Underlay.parse(text)
        case {"tissue": str(text)}:
            session.tissue = str(Underlay.parse(text)) or NO_TISSUE
        case {"hover": list(names)}:
            known = [column["name"] for column in session.columns()]
            session.hover_columns = tuple(name for name in names if name in known)[:MAX_TOLD]
        case {"clip": float() | int() as clip} if clip in CLIPS:
            _set_scale(session, color, clip=float(clip))
        case {"color_map": str(name)} if name in {STANDARD, *NAMED}:
            _set_scale(session, color, color_map=name)
        case {"shading": str(shading)} if shading in SHADINGS and len(choice) == 1:
            _set_scale(session, color, shading=shading)
        case {"reverse": bool()} | {"centre": bool()} if len(choice) == 1:
            _set_scale(session, color, **choice)


def _set_scale(session: Session, color: Vector | None, **changes: Any) -> None:
    if color is not None:
        session.scales = {**session.scales, color: session.scales.get(color, Scale())._replace(**changes)}
