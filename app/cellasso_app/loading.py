"""What a picture is made of, read off the event loop: the plane of its axes and the colours of its cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cellasso.errors import Cancelled, CellassoError
from cellasso_app.axes import make_plane, read_coloring
from cellasso_app.coloring import Categories, Values
from cellasso_app.labels import medians
from cellasso_app.legend import legend
from cellasso_app.raster import Cells

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from cellasso.dataset import Dataset
    from cellasso.plane import Plane
    from cellasso_app.axes import Axes
    from cellasso_app.coloring import Coloring
    from cellasso_app.palettes import Scale
    from cellasso_app.session import Column
    from cellasso_app.work import Reports

COARSE = 4_000_000
"""From so many cells on a first picture shows every sixteenth of them, while the others are put in order."""


LEGEND_LATER = 200_000
"""From so many values on the picture is begun before their legend is counted, which takes as long."""


@dataclass(frozen=True)
class Asked:
    """What is to be read: the choices of a session that decide it."""

    axes: Axes
    color: Column | None


@dataclass(frozen=True)
class Loaded:
    """What a reading job brings back.

    Attributes
    ----------
    cells
        Of the axes, with their colours.
    legend
        For the cells panel; `None` also while it is still counted.
    notes
        What of the cells the picture does not show.
    problem
        Why the colour could not be read; empty when it could.
    read
        Fraction of the cells whose colour is known so far.
    complete
        Whether nothing of it is still to come.
    middles
        Median of both coordinates of the cells of each category, `(n, 2)`; once it is complete.
    """

    asked: Asked
    cells: Cells
    legend: dict[str, Any] | None
    notes: str
    problem: str
    read: float = 1.0
    complete: bool = True
    middles: NDArray[np.float32] | None = None

    @property
    def is_coarse(self) -> bool:
        """Whether it is a first picture of some of the cells."""
        return not self.complete and self.read == 1


def load(dataset: Dataset, asked: Asked, scale: Scale, plane: Plane | None, reports: Reports[Loaded]) -> Loaded:
    """Read axes and colours, unless the plane is there; show of many cells or of a scan what is known before the end.

    Raises
    ------
    CellassoError
        The axes cannot be read. A colour that cannot be read is a `problem` of what is returned.
    """
    if plane is None:
        plane = make_plane(dataset, asked.axes, progress=reports)
    where = plane

    def show(so_far: Values, read: float) -> None:
        if 0 < read < 1:
            reports.show(_loaded(asked, Cells(where, so_far, scale), "", read=read, complete=False))

    coloring: Coloring | None = None
    problem = ""
    try:
        if asked.color is not None:
            options = {"preview": show} if asked.color.kind == "gene" else {}
            coloring = read_coloring(dataset, asked.color, progress=reports, **options)
    except Cancelled:
        raise
    except CellassoError as error:  # the cells are still drawn, without colours
        problem = str(error)
    if len(plane) >= COARSE:
        reports.show(_loaded(asked, Cells(plane.coarse, coloring, scale), problem, complete=False))
    cells = Cells(plane, coloring, scale)
    if len(plane) >= (LEGEND_LATER if isinstance(coloring, Values) else COARSE):
        reports.show(_loaded(asked, cells, problem, complete=False))
    return _loaded(asked, cells, problem)


def rescaled(loaded: Loaded, scale: Scale) -> Loaded:
    """Return the same cells with their values on another scale of colours."""
    cells = Cells(loaded.cells.plane, loaded.cells.coloring, scale)
    return Loaded(loaded.asked, cells, loaded.legend, loaded.notes, loaded.problem)


def _loaded(asked: Asked, cells: Cells, problem: str, *, read: float = 1.0, complete: bool = True) -> Loaded:
    counted = legend(cells.coloring) if complete or read < 1 else None
    notes = " · ".join(_notes(cells.plane)) if asked.axes and complete else ""
    middles = None
    if complete and isinstance(cells.coloring, Categories):
        middles = medians(cells.plane.points, cells.codes, len(cells.coloring.labels))
    return Loaded(asked, cells, counted, notes, problem, read, complete, middles)


def _notes(plane: Plane) -> Iterator[str]:
    """Yield what a picture of a plane's bounds does not show of the cells, in the words of the status line."""
    n = len(plane)
    if n < plane.n_obs:
        yield f"{_count(plane.n_obs - n)} without coordinates here, not drawn"
    n_outside = n - plane.count(plane.bounds)
    if n_outside:
        yield f"{_count(n_outside)} far outside of this view; zoom out for them"
    if n > 1 and np.array_equal(plane.boxes.min(axis=0)[[0, 2]], plane.boxes.max(axis=0)[[1, 3]]):
        yield f"all {_count(n)} lie at one point"


def _count(n: int) -> str:
    return f"{n:,} cell" if n == 1 else f"{n:,} cells"
