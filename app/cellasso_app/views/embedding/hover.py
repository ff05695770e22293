"""What is told of the cell under the pointer: its name, what colours it, and columns of obs that were chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cellasso.color.coloring import Categories, Values
from cellasso_app.render.hover_columns import hover_columns
from cellasso_app.render.legend import missing_label
from cellasso_app.runtime.jobs import LatestJob

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cellasso.core.progress import Progress
    from cellasso.dataset import Dataset
    from cellasso.raster.cells import ColoredCells
    from cellasso_app.state.session import Session
    from cellasso_app.views.embedding.renderer import Renderer


class Hover:
    """Answers a view's browser where its pointer is.

    Parameters
    ----------
    session
        Whose choice of columns is told.
    renderer
        Of the cells that can be pointed at: those that are seen.
    send
        Called with each answer.
    on_failed
        Called with a sentence when a column cannot be read.
    """

    def __init__(
        self,
        session: Session,
        renderer: Renderer,
        *,
        send: Callable[[dict[str, Any]], None],
        on_failed: Callable[[str], None],
    ) -> None:
        self._session = session
        self._renderer = renderer
        self._answering: LatestJob[dict[str, Any]] = LatestJob(send, on_failed)

    def point(self, x: float, y: float, reach: tuple[float, float], number: int) -> None:
        """Tell of the cell nearest to a place in data units, if one that is seen is within reach of it.

        The answer has the number of the question; without `rows` there is no such cell.
        """
        loaded, dataset = self._renderer.loaded, self._session.dataset
        if loaded is None or not loaded.asked.axes:
            return
        find, cells = self._renderer.finder(loaded), loaded.cells
        columns = [name for name in self._session.hover_columns if name != loaded.legend_column]

        def job(progress: Progress) -> dict[str, Any]:
            allowed = find(progress)
            found = cells.plane.nearest(x, y, reach, allowed)
            if found is None:
                return {"type": "tip", "number": number}
            kept = hover_columns(dataset)
            more = {name: kept.read(dataset, name, progress=progress) for name in columns}
            return {"type": "tip", "number": number, **describe_cell(dataset, cells, found, more)}

        self._answering.submit(job)

    def close(self) -> None:
        """Answer nothing more."""
        self._answering.cancel()


def describe_cell(dataset: Dataset, cells: ColoredCells, point: int, more: Mapping[str, pd.Series]) -> dict[str, Any]:
    """Return name and values of the cell at a point of the plane, as texts.

    Parameters
    ----------
    more
        Columns of obs to tell of, `(n_obs,)` each.
    """
    at = int(cells.plane.order[point])
    row = at * cells.plane.step
    coloring = cells.coloring
    rows: list[tuple[str, str]] = []
    if isinstance(coloring, Categories):
        code = int(coloring.codes[at])
        rows.append((coloring.name, coloring.labels[code] if code >= 0 else missing_label(coloring)))
    elif isinstance(coloring, Values):
        rows.append((coloring.name, _number(float(coloring.values[at]))))
    rows += [(name, _text(values.iloc[row])) for name, values in more.items()]
    x, y = map(float, cells.plane.points[point])
    return {"name": str(dataset.obs.read_names(slice(row, row + 1))[0]), "rows": rows, "x": x, "y": y}


def _text(value: Any) -> str:
    if pd.isna(value):
        return "no value"
    return _number(float(value)) if isinstance(value, (float, np.floating)) else str(value)


def _number(value: float) -> str:
    return "no value" if np.isnan(value) else f"{value:.4g}"
