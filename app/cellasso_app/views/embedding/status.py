"""The line under a picture: how many cells are in view, how exact it is, and what it does not show."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cellasso.color.coloring import Values
from cellasso_app.render import compiling
from cellasso_app.state.drawing_options import SAID, SHADED
from cellasso_app.views.embedding.loaded import n_cells

if TYPE_CHECKING:
    from cellasso_app.views.embedding.loaded import Loaded
    from cellasso_app.views.embedding.renderer import Drawn

NO_EMBEDDING = (
    "This file has no embedding to draw: obsm holds no array of two or more columns with a row per cell."
    " Select by category on the left."
)
COMPILES = "The first start on this machine compiles what draws the cells…"


def awaited(n_obs: int) -> str:
    """Return what a page waits for that has no picture yet."""
    return "" if compiling.is_done("dots", n_obs) else COMPILES


def picture_status(loaded: Loaded, drawn: Drawn, order: str) -> tuple[str, str]:
    """Return what is said of a picture, and what it lacks; `order` says which cells lie on top."""
    coloring, scale = loaded.cells.coloring, loaded.cells.scale
    is_sample = drawn.cells.plane.step > 1
    parts = [f"{'a sample of ' if is_sample else ''}{n_cells(drawn.n_visible)} in view"]
    if drawn.lacks_selected:
        parts.append("no selected cell is shown here")
    parts.append("sharpening…" if is_sample or loaded.read < 1 else "exact")
    if coloring is not None:
        parts.append(SAID[order])
    if isinstance(coloring, Values):
        if coloring.ends and scale.limits(coloring) != scale.limits_of(coloring.ends[100.0]):
            parts.append(f"colours end at the {scale.clip:g}th percentile")
        if scale.shading != "linear":
            parts.append(SHADED[scale.shading])
    unread = f"{loaded.read:.0%} of the cells are read; the others have no colour yet" if loaded.read < 1 else ""
    return " · ".join(parts), loaded.problem or unread or loaded.notes
