"""The embedding and its colours: reads what is chosen, draws it off the event loop, shows it with its legend."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import panel as pn

from cellasso.errors import Cancelled, CellassoError
from cellasso.lasso import points_in_polygon
from cellasso.selection import Lasso, Where
from cellasso_app.coloring import CLIP_PERCENTILE, MISSING_COLOR, Categories, Values, color_by_feature, color_by_obs
from cellasso_app.components import CellsPanel, PlotBar, StatusLine
from cellasso_app.embedding_plot import EmbeddingPlot
from cellasso_app.raster import Cells, Viewport, draw
from cellasso_app.session import ColorBy, Source
from cellasso_app.work import Lane, Reports, Turns, when_live

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from cellasso.dataset import Dataset
    from cellasso.matrix import Progress
    from cellasso.selection import Operation
    from cellasso_app.coloring import Coloring
    from cellasso_app.session import Session

HISTOGRAM_BINS = 40

NO_EMBEDDING = (
    "This file has no embedding to draw: obsm holds no array of two or more columns with a row per cell."
    " Select by category on the left."
)


@dataclass(frozen=True)
class _Asked:
    """What is to be read: the choices of a session that decide it."""

    embedding: str
    color: ColorBy | None
    source: Source  # of a gene
    as_categories: bool = False


@dataclass(frozen=True)
class _Loaded:
    """What a reading job brings back."""

    asked: _Asked
    points: NDArray[np.float32]
    cells: Cells
    bounds: Viewport
    legend: dict[str, Any] | None
    notes: str  # what of the cells the picture does not show
    problem: str  # why the colour could not be read; empty when it could
    read: float = 1.0  # fraction of the cells whose colour is known so far


@dataclass(frozen=True)
class _Drawn:
    """What a drawing job brings back."""

    picture: NDArray[np.uint32]
    viewport: Viewport
    n_visible: int


class EmbeddingView:
    """The middle of the page, and the legend on its left.

    Parameters
    ----------
    session
        Whose choices are shown; strokes and clicks on the legend select in it.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._operation: Operation = "replace"
        self._loaded: _Loaded | None = None
        self._complete: _Loaded | None = None  # what was last read to its end
        self._reading: Lane[_Loaded] = Lane(self._show_loaded, self._fail, self._show_progress)
        self._drawing: Lane[_Drawn] = Lane(self._show_drawn, self._fail)
        self._turns = Turns(self._fail_turn)
        self.plot = EmbeddingPlot(on_view=self._draw, on_stroke=self._select_inside)
        self.bar = PlotBar(on_message=self._on_message, sizing_mode="stretch_width", height=42, margin=0)
        self.status = StatusLine(sizing_mode="stretch_width", height=26, margin=0)
        self.cells_panel = CellsPanel(on_message=self._on_message, sizing_mode="stretch_both", margin=0)
        self.layout = pn.Column(
            self.bar,
            pn.pane.Bokeh(self.plot.figure, sizing_mode="stretch_both", margin=0),
            self.status,
            sizing_mode="stretch_both",
            margin=0,
        )
        session.param.watch(self._read, ["embedding", "color", "matrix", "normalise", "as_categories"])
        session.param.watch(lambda _: self._draw(), ["selection"])
        session.param.watch(self._change_theme, ["dark"])
        session.param.watch(self._list_columns, ["modality"])
        self.bar.param.watch(lambda _: self._draw(), ["pixel_ratio"])
        self._list_columns()
        when_live(self._read)

    # -- reading --------------------------------------------------------------------------------------

    def _read(self, *_events: object) -> None:
        session, before = self._session, self._complete
        embedding, color = session.embedding, session.color
        self.bar.param.update(embeddings=list(session.dataset.embeddings), embedding=embedding)
        as_categories = color is not None and color.name in session.as_categories
        source = session.source_of(color.name) if color is not None and color.kind == "gene" else Source(None)
        asked = _Asked(embedding, color, source, as_categories)
        if before is not None and asked == before.asked:  # back to what is on the screen
            self._reading.cancel()
            self._show_loaded(before)
            return
        points = before.points if before is not None and before.asked.embedding == embedding else None
        active = color.name if color is not None and color.kind == "obs" else ""
        self.bar.param.update(busy=True, fraction=0.0)
        self.cells_panel.param.update(active=active, legend=None, busy=bool(active), message="")

        def job(reports: Reports[_Loaded]) -> _Loaded:
            return _load(session.dataset, asked, points, reports)

        self._reading.submit(job, long=color is not None and color.kind == "gene")

    def _show_loaded(self, loaded: _Loaded) -> None:
        asked, before = loaded.asked, self._loaded
        moved = before is None or before.asked.embedding != asked.embedding
        self._loaded = loaded
        if loaded.read == 1:
            self._complete = loaded
        active = asked.color.name if asked.color is not None and asked.color.kind == "obs" else ""
        coloring = loaded.cells.coloring
        self.bar.param.update(
            busy=loaded.read < 1,
            color=self._session.label(coloring.name) if coloring is not None else "",
            color_source=coloring.source if isinstance(coloring, Values) else "",
        )
        self.cells_panel.param.update(active=active, legend=loaded.legend, busy=False, message=loaded.problem)
        self.plot.set_coloring(coloring if asked.embedding else None)
        if moved:
            self.plot.clear()  # the old picture means nothing on the new axes
            name = asked.embedding.rpartition(":")[2].removeprefix("X_")
            name = name.upper() if name.islower() and len(name) <= 4 else name
            self.plot.set_bounds(loaded.bounds, (f"{name}1", f"{name}2") if name else ("", ""))
        else:
            self._draw()
        if not asked.embedding:
            self.status.param.update(text=f"{len(loaded.points):,} cells", warning=loaded.problem or NO_EMBEDDING)

    def _show_progress(self, fraction: float) -> None:
        self.bar.fraction = fraction

    def _fail(self, sentence: str) -> None:
        self._stay()
        self.status.warning = sentence

    def _fail_turn(self, sentence: str) -> None:
        self.status.warning = sentence

    def _stay(self) -> None:
        """Choose again what is on the screen: what was chosen instead cannot be had, or was cancelled."""
        self.bar.busy = False
        self.cells_panel.busy = False
        session, shown = self._session, self._complete
        if shown is None:
            self.cells_panel.param.update(active="", legend=None)
            return
        asked = shown.asked
        choice: dict[str, Any] = {"color": asked.color, "embedding": asked.embedding}
        if asked.source.layer is not None:
            choice["matrix"] = asked.source.layer
        if asked.color is not None and asked.color.kind == "obs":
            others = session.as_categories - {asked.color.name}
            choice["as_categories"] = others | ({asked.color.name} if asked.as_categories else set())
        session.param.update(**choice)
        self._read()  # also where nothing of the choice had changed: the panels are then set back

    # -- drawing --------------------------------------------------------------------------------------

    def _draw(self) -> None:
        loaded, canvas = self._loaded, self.plot.canvas(self.bar.pixel_ratio)
        if loaded is None or canvas is None or not loaded.asked.embedding:
            return
        viewport, selection = self.plot.viewport, self._session.selection

        def job(_progress: Progress) -> _Drawn:
            mask = selection.mask if selection is not None else None
            picture = draw(loaded.cells, viewport, canvas, mask)
            return _Drawn(picture, viewport, loaded.cells.visible(viewport))

        self._drawing.submit(job)

    def _show_drawn(self, drawn: _Drawn) -> None:
        self.plot.show(drawn.picture, drawn.viewport)
        loaded = self._loaded
        if loaded is None:
            return
        coloring = loaded.cells.coloring
        parts = [f"{drawn.n_visible:,} cells in view"]
        if isinstance(coloring, Values):
            parts.append("highest value on top")
            if coloring.clipped:
                parts.append(f"colours end at the {CLIP_PERCENTILE:.0f}th percentile")
        parts.append("exact" if loaded.read == 1 else "sharpening…")
        self.status.text = " · ".join(parts)
        unread = f"{loaded.read:.0%} of the cells are read; the others have no colour yet" if loaded.read < 1 else ""
        self.status.warning = loaded.problem or unread or loaded.notes

    def _change_theme(self, *_events: object) -> None:
        self.plot.set_theme(dark=self._session.dark)
        self._draw()

    # -- what the user does -----------------------------------------------------------------------------

    def _on_message(self, message: dict[str, Any]) -> None:
        session = self._session
        match message:
            case {"type": "embedding", "value": str(name)} if name in session.dataset.embeddings:
                session.embedding = name
            case {"type": "color", "column": str(name)} if any(c["name"] == name for c in session.columns()):
                session.color = ColorBy("obs", name)
            case {
                "type": "category",
                "column": str(column),
                "label": str(label),
                "operation": "replace" | "add" | "subtract" | "intersect" as operation,
            }:
                self._select_category(column, label, operation)
            case {"type": "as_categories", "column": str(name), "value": bool(value)}:
                session.treat_as_categories(name, value)
            case {"type": "operation", "operation": "replace" | "add" | "subtract" | "intersect" as operation}:
                self._operation = operation
            case {"type": "fit"}:
                self.plot.fit()
            case {"type": "zoom", "factor": float(factor) | int(factor)} if 0.01 <= factor <= 100:
                self.plot.zoom(factor)
            case {"type": "cancel"}:
                self._cancel()

    def _cancel(self) -> None:
        """Stop reading and stay with the picture that is on the screen."""
        self._reading.cancel()
        self._stay()

    def _select_inside(self, polygon: list[tuple[float, float]]) -> None:
        loaded = self._loaded
        if loaded is None or not loaded.asked.embedding or len(polygon) < 3:
            return
        recipe, operation = Lasso(loaded.asked.embedding, tuple(polygon)), self._operation
        session = self._session

        def prepare(progress: Progress) -> Callable[[], None]:
            mask = points_in_polygon(loaded.points, polygon, progress=progress)
            return partial(session.select, operation, recipe, mask)

        self._turns.take(prepare)

    def _select_category(self, column: str, label: str, operation: Operation) -> None:
        loaded, dataset = self._loaded, self._session.dataset
        color = loaded.asked.color if loaded is not None else None
        if loaded is None or color is None or not isinstance(loaded.cells.coloring, Categories):
            return
        if color.name != column:  # the legend that was clicked is no longer there
            return
        recipe = Where(category_expression(color.name, label, loaded.cells.coloring))
        session = self._session
        self._turns.take(lambda _: partial(session.select, operation, recipe, recipe.mask(dataset)))

    def in_turn(self, step: Callable[[], None]) -> None:
        """Run a step of selecting (clear, undo, …) after the strokes and clicks before it."""
        self._turns.take(lambda _: step)

    def _list_columns(self, *_events: object) -> None:
        self.cells_panel.columns = self._session.columns()


def _load(dataset: Dataset, asked: _Asked, points: NDArray[np.float32] | None, reports: Reports[_Loaded]) -> _Loaded:
    if points is None:
        nowhere = np.full((dataset.n_obs, 2), np.nan, dtype=np.float32)
        points = dataset.read_embedding(asked.embedding) if asked.embedding else nowhere
    coloring: Coloring | None = None
    problem, color = "", asked.color
    placed = points

    def show(so_far: Values, read: float) -> None:
        if 0 < read < 1:
            reports.show(_loaded(asked, placed, so_far, "", read))

    try:
        if color is not None and color.kind == "gene":
            layer, normalised = asked.source
            coloring = color_by_feature(
                dataset, color.name, layer, normalised=normalised, progress=reports, preview=show
            )
        elif color is not None:
            coloring = color_by_obs(dataset, color.name, as_categories=asked.as_categories)
    except Cancelled:
        raise
    except CellassoError as error:  # the cells are still drawn, without colours
        problem = str(error)
    return _loaded(asked, points, coloring, problem)


def _loaded(
    asked: _Asked, points: NDArray[np.float32], coloring: Coloring | None, problem: str, read: float = 1.0
) -> _Loaded:
    cells = Cells(points, coloring)
    bounds = cells.bounds()
    notes = " · ".join(_notes(cells, bounds)) if asked.embedding else ""
    return _Loaded(asked, points, cells, bounds, _legend(coloring), notes, problem, read)


def _notes(cells: Cells, bounds: Viewport) -> Iterator[str]:
    """Yield what a picture of these bounds does not show of the cells, in the words of the status line."""
    n_obs, n_drawable = len(cells.points), int(np.count_nonzero(cells.drawable))
    if n_drawable < n_obs:
        yield f"{_count(n_obs - n_drawable)} without coordinates here, not drawn"
    n_outside = n_drawable - cells.visible(bounds)
    if n_outside:
        yield f"{_count(n_outside)} far outside of this view; zoom out for them"
    found = cells.points[cells.drawable]
    if n_drawable > 1 and (found == found[0]).all():
        yield f"all {_count(n_drawable)} lie at one point"


def _count(n: int) -> str:
    return f"{n:,} cell" if n == 1 else f"{n:,} cells"


def category_expression(column: str, label: str, categories: Categories) -> str:
    """Return the where-expression that selects a row of a legend."""
    name = "`" + column.replace("`", "``") + "`"
    if label == missing_label(categories):
        return f"{name} is null"
    if categories.boolean:
        return f"{name} == {label.lower()}"
    if categories.integer:
        return f"{name} == {label}"
    quoted = label.replace("\\", "\\\\").replace("'", "\\'")
    return f"{name} == '{quoted}'"


def missing_label(categories: Categories) -> str:
    """Return what a legend calls cells without a category; never the name of one."""
    label = "no value"
    while label in categories.labels:
        label += " "
    return label


def _legend(coloring: Coloring | None) -> dict[str, Any] | None:
    """Return what the cells panel shows of a colouring, as plain values."""
    if isinstance(coloring, Categories):
        rows = [
            {"label": label, "color": color, "count": int(count), "selectable": True}
            for label, color, count in zip(coloring.labels, coloring.colors, coloring.counts, strict=True)
        ]
        if coloring.n_folded:
            rows[-1]["selectable"] = False
        if coloring.n_missing:
            rows.append(
                {
                    "label": missing_label(coloring),
                    "color": MISSING_COLOR,
                    "count": coloring.n_missing,
                    "selectable": True,
                }
            )
        note = f"The {coloring.n_folded:,} smallest categories stand together as other." if coloring.n_folded else ""
        return {"rows": rows, "note": note, "numbers": coloring.integer}
    if isinstance(coloring, Values):
        finite = coloring.values[np.isfinite(coloring.values)]
        low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 0.0)
        wide = max(high - low, 1.0 if high == low else 0.0, abs(low) * 1e-6)  # more than the bins' rounding
        histogram, _ = np.histogram(finite.astype(np.float64), bins=HISTOGRAM_BINS, range=(low, low + wide))
        note = f"{coloring.n_missing:,} cells have no value." if coloring.n_missing else ""
        return {
            "histogram": histogram.tolist(),
            "low": low,
            "high": high,
            "note": note,
            "n_distinct": coloring.n_distinct,  # whole numbers few enough to be categories
        }
    return None
