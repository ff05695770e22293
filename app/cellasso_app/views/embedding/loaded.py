"""What a picture is made of, read off the event loop: the plane of its axes and the colours of its cells."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cellasso.color.coloring import Categories
from cellasso.core.errors import Cancelled, CellassoError
from cellasso.points.point_index import SAMPLE_STEP
from cellasso.raster.cells import ColoredCells
from cellasso_app.render.cell_values import page_name, read_cell_values
from cellasso_app.render.coloring_cache import SAMPLED_FROM, coloring_cache
from cellasso_app.render.labels import medians
from cellasso_app.render.legend import legend
from cellasso_app.runtime.jobs import sentence_of
from cellasso_app.state.axes import make_points

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from cellasso.color.coloring import CellValues
    from cellasso.color.palettes import Scale
    from cellasso.dataset import Dataset
    from cellasso.points.point_index import PointIndex
    from cellasso_app.render.cell_values import ColoringKey
    from cellasso_app.runtime.jobs import JobContext
    from cellasso_app.state.axes import Axes


LEGEND_LATER = 200_000
"""From so many cells on the picture is begun before legend and names are worked out, which takes as long."""


@dataclass(frozen=True)
class Asked:
    """What is to be read: the choices of a session that decide it."""

    axes: Axes
    color: ColoringKey | None


@dataclass(frozen=True)
class Loaded:
    """What a reading job brings back.

    Attributes
    ----------
    plane
        All cells along the axes.
    cells
        Those that are drawn, with their colours: all, or a sample.
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
        Median of both coordinates of the cells of each category, `(n, 2)`; of a sample until it is complete.
    rest
        The job that goes on with it, for when it has been drawn; until then all cores draw it.
    """

    asked: Asked
    plane: PointIndex
    cells: ColoredCells
    legend: dict[str, Any] | None
    notes: str
    problem: str
    read: float = 1.0
    complete: bool = True
    middles: NDArray[np.float32] | None = None
    rest: Callable[[JobContext[Loaded]], Loaded] | None = None

    @property
    def is_coarse(self) -> bool:
        """Whether it is a first picture of some of the cells."""
        return self.cells.plane is not self.plane

    @property
    def legend_column(self) -> str:
        """The column that the legend is of; empty where a gene colours the cells, or nothing does."""
        color = self.asked.color
        return page_name(color.vector) if color is not None and color.vector.kind != "gene" else ""

    @property
    def labels(self) -> tuple[str, ...]:
        """What the rows of the legend are called, once it is counted."""
        return tuple(row["label"] for row in (self.legend or {}).get("rows", ()))

    @property
    def coloring_kind(self) -> type | None:
        """Whether it is `Categories` or `Values` that colour the cells."""
        return type(self.cells.coloring) if self.cells.coloring is not None else None


def load(dataset: Dataset, asked: Asked, scale: Scale, plane: PointIndex | None, reports: JobContext[Loaded]) -> Loaded:
    """Read axes and colours, unless they are there; of many cells return what the first picture shows.

    That of very many cells is coarse. Shows of a scan what is known before its end.

    Raises
    ------
    CellassoError
        The axes cannot be read. A colour that cannot be read is a `problem` of what is returned.
    """
    if plane is None:
        plane = make_points(dataset, asked.axes, progress=reports)
    colors = coloring_cache(dataset)
    if colors.step > 1 and len(plane) >= SAMPLED_FROM:
        return _sample(dataset, asked, scale, plane, reports)
    kept = colors.get(asked.color) if asked.color is not None and colors.step == 1 else None
    if kept is not None:
        return _all(asked, plane, ColoredCells(plane, kept, scale), "", reports)
    read = _read(dataset, asked, scale, plane, reports)
    if asked.color is not None and read.values is not None:
        colors.keep(asked.color, read.values)
    return _color_all(asked, scale, plane, read, reports)


def _sample(dataset: Dataset, asked: Asked, scale: Scale, plane: PointIndex, reports: JobContext[Loaded]) -> Loaded:
    """Show a sample, at once if its colours are kept."""
    colors = coloring_cache(dataset)
    kept = colors.get(asked.color) if asked.color is not None else None

    def read_rest(later: JobContext[Loaded]) -> Loaded:
        return _color_all(asked, scale, plane, _read(dataset, asked, scale, plane, later, preview=False), later)

    rest, problem = read_rest, ""
    if kept is None:
        read = _read(dataset, asked, scale, plane, reports)
        if asked.color is not None and read.values is not None:
            kept = colors.keep(asked.color, read.values)
        rest, problem = partial(_color_all, asked, scale, plane, read), read.problem
        if read.previewed:
            return rest(reports)
    cells = ColoredCells(plane.sample, kept, scale)
    return Loaded(asked, plane, cells, None, "", problem, complete=False, rest=rest)


class _Read(NamedTuple):
    """What colours the cells, if it can be read, why not, and whether a part of it was shown already."""

    values: CellValues | None
    problem: str = ""
    previewed: bool = False


def _read(
    dataset: Dataset,
    asked: Asked,
    scale: Scale,
    plane: PointIndex,
    reports: JobContext[Loaded],
    *,
    preview: bool = True,
) -> _Read:
    """Read what colours the cells; show what a scan has found so far, unless a picture of all is there."""
    if asked.color is None:
        return _Read(None)
    previewed = False

    def show(so_far: CellValues, part: float) -> None:
        nonlocal previewed
        if 0 < part < 1:
            cells = ColoredCells(plane, so_far.coloring, scale)
            counted = legend(cells.coloring)
            reports.show(Loaded(asked, plane, cells, counted, "", "", read=part, complete=False))
            previewed = True

    try:
        vector, as_categories = asked.color
        options = {"preview": show} if preview and vector.kind == "gene" else {}
        values = read_cell_values(dataset, vector, as_categories=as_categories, progress=reports, **options)
        return _Read(values, "", previewed)
    except Cancelled:
        raise
    except CellassoError as error:  # the cells are still drawn, without colours
        return _Read(None, sentence_of(error), previewed)


def _color_all(asked: Asked, scale: Scale, plane: PointIndex, read: _Read, reports: JobContext[Loaded]) -> Loaded:
    """Give all cells their colours."""
    reports(1.0)  # whether it is still wanted
    coloring = read.values.coloring if read.values is not None else None
    reports(1.0)
    return _all(asked, plane, ColoredCells(plane, coloring, scale), read.problem, reports)


def _all(asked: Asked, plane: PointIndex, cells: ColoredCells, problem: str, reports: JobContext[Loaded]) -> Loaded:
    """Show all cells; what else is told of many is counted after that."""
    if len(plane) < LEGEND_LATER:
        return _count_all(asked, plane, cells, problem, reports)
    middles = None
    if isinstance(cells.coloring, Categories):  # nearly where they are
        xy = np.ascontiguousarray(plane.xy[:, ::SAMPLE_STEP])
        codes = np.ascontiguousarray(cells.codes[::SAMPLE_STEP])
        middles = medians(xy, codes, len(cells.coloring.labels))
    rest = partial(_count_all, asked, plane, cells, problem)
    return Loaded(asked, plane, cells, None, "", problem, complete=False, middles=middles, rest=rest)


def _count_all(
    asked: Asked, plane: PointIndex, cells: ColoredCells, problem: str, reports: JobContext[Loaded]
) -> Loaded:
    coloring, middles = cells.coloring, None
    if isinstance(coloring, Categories):
        middles = medians(plane.xy, cells.codes, len(coloring.labels))
    reports(1.0)
    notes = " · ".join(_notes(plane)) if asked.axes else ""
    return Loaded(asked, plane, cells, legend(coloring), notes, problem, middles=middles)


def rescaled(loaded: Loaded, scale: Scale) -> Loaded:
    """Return the same cells with their values on another scale of colours."""
    cells = ColoredCells(loaded.cells.plane, loaded.cells.coloring, scale)
    return replace(loaded, cells=cells, middles=None)


def _notes(plane: PointIndex) -> Iterator[str]:
    """Yield what a picture of a plane's bounds does not show of the cells, in the words of the status line."""
    n = len(plane)
    if n < plane.n_obs:
        yield f"{n_cells(plane.n_obs - n)} without coordinates here, not drawn"
    n_outside = n - plane.count(plane.bounds)
    if n_outside:
        yield f"{n_cells(n_outside)} far outside of this view; zoom out for them"
    if n > 1 and np.array_equal(plane.boxes.min(axis=0)[[0, 2]], plane.boxes.max(axis=0)[[1, 3]]):
        yield f"all {n_cells(n)} lie at one point"


def n_cells(n: int) -> str:
    """Return a number of cells in words."""
    return f"{n:,} cell" if n == 1 else f"{n:,} cells"
