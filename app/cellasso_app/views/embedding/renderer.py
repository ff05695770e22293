"""From the choices of a session to what its browser is sent: cells drawn, packed, and told of under the pointer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import deflate
import numpy as np
import pandas as pd

from cellasso.color.coloring import MISSING_CODE, Categories, Values
from cellasso.raster.draw import HIDDEN, Dots
from cellasso.selection.recipe import Combined, WhereRecipe
from cellasso.stats.group_summary import count_groups
from cellasso_app.figures.sheet import ColorBar, Design, Label, Legend, Row
from cellasso_app.render.cell_values import page_name, read_cell_values
from cellasso_app.render.labels import medians, place
from cellasso_app.render.legend import codes_of, missing_label, visible_expression

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from cellasso.core.progress import Progress
    from cellasso.dataset import Dataset
    from cellasso.points.point_index import Plane, Viewport
    from cellasso.raster.draw import Canvas, Cells, Picture, Style
    from cellasso.selection.recipe import Recipe
    from cellasso_app.render.cell_values import ColoringKey
    from cellasso_app.state.session import Selection, Session
    from cellasso_app.views.embedding.loader import Loaded

LEVEL = 1
"""Of compression: a picture's planes shrink to a tenth within milliseconds; more takes longer than sending."""


LETTER_WIDTH, LETTER_HEIGHT = 7.2, 15.0
"""Of the names in a picture, in pixels, on average."""

LABEL_REACH = 80.0
"""Pixels that a name may stand beside the middle of its cells."""

UNSEEN = 3.0
"""Pixels that a name may move without being drawn anew for it alone."""

FIGURE_WIDTH = 4.5
"""Of a figure's picture, in inches: between one and two columns of a journal."""

LONGEST = 28
"""Letters of a name in a picture."""

ENOUGH = 10_000
"""Cells of a category that say where its middle is, within a hundredth of its extent: of all of ten million cells it
took 0.7 s, for which the picture of a filter would wait."""


class Filter(NamedTuple):
    """Labels that are hidden, by the columns they are of."""

    hidden: tuple[tuple[ColoringKey, frozenset[str]], ...] = ()

    def mask(self, dataset: Dataset, *, progress: Progress) -> NDArray[np.bool_] | None:
        """Return which cells are hidden by none, `(n_obs,)`; `None` when nothing is hidden."""
        return self.find(dataset, progress=progress)[0]

    def recipe(self, dataset: Dataset, *, progress: Progress) -> Recipe | None:
        """Return the recipe of what `mask` returns."""
        return self.find(dataset, progress=progress)[1]

    def find(self, dataset: Dataset, *, progress: Progress) -> tuple[NDArray[np.bool_] | None, Recipe | None]:
        """Return mask and recipe of the visible cells, with one reading of the columns."""
        visible: NDArray[np.bool_] | None = None
        recipe: Recipe | None = None
        for (vector, as_categories), labels in self.hidden:
            found = read_cell_values(dataset, vector, as_categories=as_categories, progress=progress).coloring
            if not isinstance(found, Categories):
                continue
            shown = np.ones(256, dtype=np.bool_)
            shown[list(codes_of(found, labels))] = False
            mask = shown[found.codes.astype(np.uint8)]
            step = WhereRecipe(visible_expression(dataset.expression_name(page_name(vector)), labels, found))
            visible = mask if visible is None else visible & mask
            recipe = step if recipe is None else Combined("intersect", recipe, step)
        return visible, recipe


def filter_of(session: Session, *, except_for: str | None = None) -> Filter:
    """Return what a session hides, but for that of one column."""
    hidden = sorted((column, labels) for column, labels in session.hidden.items() if column != except_for)
    return Filter(tuple((session.obs_key(column), labels) for column, labels in hidden))


class Shown(NamedTuple):
    """Of the categories of a colouring, the cells that no other column hides: only those have names in a picture.

    Attributes
    ----------
    counts
        Cells of each category, `(n,)`.
    n_missing
        Cells of none.
    middles
        Median of both coordinates of each, `(n, 2)`, NaN without cells; `None` while it is not known.
    """

    counts: NDArray[np.int64]
    n_missing: int
    middles: NDArray[np.float32] | None

    def codes(self, style: Style) -> list[int]:
        """Return which categories have cells to be seen, from the first to the last."""
        return [code for code, count in enumerate(self.counts) if count and code not in style.hidden]


class States:
    """Finds which cells of a view are selected or hidden, and keeps it for as long as that is the same.

    `of` is for one thread at a time.
    """

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._visible: tuple[Filter, NDArray[np.bool_] | None, Recipe | None] = (Filter(), None, None)
        # of all cells, and of a sample of them
        self._known: dict[int, tuple[Plane, Selection | None, Filter, NDArray[np.uint8] | None]] = {}
        self._shown: tuple[Cells, Filter, Shown] | None = None

    def visible(self, hidden: Filter, *, progress: Progress) -> tuple[NDArray[np.bool_] | None, Recipe | None]:
        """Return mask and recipe of the cells that are not hidden; as `Filter.find`, kept."""
        kept = self._visible
        if kept[0] != hidden:
            self._visible = kept = (hidden, *hidden.find(self._dataset, progress=progress))
        return kept[1:]

    def of(
        self, plane: Plane, selection: Selection | None, others: Filter, *, progress: Progress
    ) -> NDArray[np.uint8] | None:
        """Return the state of each point of a plane, `(n,)`; `None`: all are plain."""
        known = self._known.get(plane.step)
        if known is None or known[0] is not plane or known[1] is not selection or known[2] != others:
            found = self._find_states(plane, selection, others, progress=progress)
            self._known[plane.step] = known = (plane, selection, others, found)
        return known[3]

    def shown(self, loaded: Loaded, others: Filter, *, progress: Progress) -> Shown | None:
        """Return what is seen of the categories that colour the cells where `others` are hidden; `None`: of values."""
        cells, coloring = loaded.cells, loaded.cells.coloring
        if not isinstance(coloring, Categories):
            return None
        visible, _ = self.visible(others, progress=progress)
        if visible is None or loaded.middles is None:
            return Shown(coloring.counts, coloring.n_missing, loaded.middles)
        kept = self._shown
        if kept is None or kept[0] is not cells or kept[1] != others:
            n = len(coloring.labels)
            codes = np.where(cells.plane.arrange(visible), cells.codes, np.uint8(MISSING_CODE))
            found = Shown(
                count_groups(coloring.codes, n, visible),
                int(np.count_nonzero(coloring.codes[visible] < 0)),
                medians(cells.plane.xy, codes, n, most=ENOUGH),
            )
            self._shown = kept = (cells, others, found)
        return kept[2]

    def _find_states(
        self, plane: Plane, selection: Selection | None, others: Filter, *, progress: Progress
    ) -> NDArray[np.uint8] | None:
        visible, _ = self.visible(others, progress=progress)
        if selection is None and visible is None:
            return None
        states = np.zeros(plane.n_obs, dtype=np.uint8)
        if selection is not None:
            states[:] = selection.mask[:: plane.step]
        if visible is not None:
            states[~visible[:: plane.step]] = HIDDEN
        return plane.arrange(states)


def pack(drawn: Picture | Dots) -> dict[str, Any]:
    """Return what the browser is sent of drawn cells; its script `cells_layer.js` says how it is read."""
    if isinstance(drawn, Dots):
        parts = [drawn.points, drawn.codes, drawn.faded]
        about: dict[str, Any] = {
            "type": "dots",
            "area": list(map(float, drawn.area)),
            "n": len(drawn.codes),
            "some": len(drawn.faded) > 0,
            "radius": drawn.radius,
        }
    else:
        mixed = drawn.mixture is not None
        parts = [drawn.alpha, drawn.mixture if mixed else drawn.codes]
        height, width = drawn.alpha.shape
        about = {
            "type": "picture",
            "viewport": list(map(float, drawn.viewport)),
            "width": width,
            "height": height,
            "mixed": mixed,
        }
    together = b"".join(np.ascontiguousarray(part).tobytes() for part in parts)
    return {**about, "bytes": bytes(deflate.zlib_compress(together, LEVEL))}


def name_categories(
    loaded: Loaded, shown: Shown | None, viewport: Viewport, canvas: Canvas, style: Style
) -> list[dict[str, Any]]:
    """Return the names of the categories in view and where they stand, in data units, none over another."""
    coloring = loaded.cells.coloring
    if shown is None or shown.middles is None or not isinstance(coloring, Categories):
        return []
    codes = shown.codes(style)
    texts = [shortened(coloring.labels[code]) for code in codes]
    width, height = canvas.width / canvas.pixel_ratio, canvas.height / canvas.pixel_ratio
    low = np.array([viewport.x_low, viewport.y_low])
    scale = np.array([width, height]) / (np.array([viewport.x_high, viewport.y_high]) - low)
    anchors = (shown.middles[codes] - low) * scale
    widths = [LETTER_WIDTH * len(text) + 4 for text in texts]
    places = place(
        anchors,
        widths,
        [LETTER_HEIGHT] * len(texts),
        width,
        height,
        weights=shown.counts[codes],
        reach=LABEL_REACH,
    )
    at = places / scale + low
    placed = np.isfinite(at).all(axis=1)
    return [
        # the code, so that the browser takes the name away with the cells when it hides these, before the next picture
        {"text": texts[i], "code": codes[i], "x": float(at[i, 0]), "y": float(at[i, 1])}
        for i in np.flatnonzero(placed)
    ]


def a_name_moves(before: Loaded, loaded: Loaded, viewport: Viewport, canvas: Canvas) -> bool:
    """Whether a category's name belongs elsewhere than before, so far that it is seen, or was not there."""
    old, new = before.middles, loaded.middles
    if new is None:
        return False
    if old is None or len(old) != len(new):
        return True
    extent = (viewport.x_high - viewport.x_low, viewport.y_high - viewport.y_low)
    pixels = np.abs(old - new) * np.divide((canvas.width, canvas.height), extent)
    return not ((pixels < UNSEEN) | (np.isnan(old) & np.isnan(new))).all()


def design_figure(
    loaded: Loaded,
    shown: Shown | None,
    canvas: Canvas,
    style: Style,
    names: tuple[str, str],
    *,
    colors: list[str],
    labelled: bool,
    dpi: int,
) -> Design:
    """Return all of a figure but the picture, of what a screen of the size of `canvas` shows.

    Parameters
    ----------
    shown
        What is seen of the categories, if they colour the cells: legend and names tell of no others.
    names
        Of the axes.
    colors
        The `color_table` of the picture.
    """
    coloring, scale = loaded.cells.coloring, loaded.cells.scale
    key: Legend | ColorBar | None = None
    labels: tuple[Label, ...] = ()
    if isinstance(coloring, Categories) and shown is not None:
        codes, counts = shown.codes(style), shown.counts
        rows = [Row(coloring.labels[code], colors[code], int(counts[code])) for code in codes]
        if shown.n_missing and MISSING_CODE not in style.hidden:
            rows.append(Row(missing_label(coloring), colors[MISSING_CODE], shown.n_missing))
        key = Legend(tuple(rows), coloring.name)
        if labelled and shown.middles is not None:
            middles = [(code, *shown.middles[code].tolist()) for code in codes]
            labels = tuple(Label(coloring.labels[i], x, y, float(counts[i])) for i, x, y in middles)
    elif isinstance(coloring, Values):
        low, high = scale.limits(coloring)
        clipped = bool(coloring.ends) and high < coloring.ends[100.0][1]
        title = f"{coloring.name} ({coloring.source})" if coloring.source else coloring.name
        key = ColorBar(tuple(colors[:MISSING_CODE]), low, high, title, log=scale.log, clipped=clipped)
    return Design(
        width=FIGURE_WIDTH,
        height=FIGURE_WIDTH * canvas.height / canvas.width,
        dpi=dpi,
        axis_names=names,
        axes="ticks" if loaded.asked.axes.have_ticks else "glyph",
        key=key,
        labels=labels,
        dark=canvas.dark,
    )


def shortened(label: str) -> str:
    """Return a name cut in the middle where it is too long to stand in a picture."""
    return label if len(label) <= LONGEST else f"{label[: LONGEST - 9]}…{label[-8:]}"


def describe_cell(dataset: Dataset, cells: Cells, point: int, more: Mapping[str, pd.Series]) -> dict[str, Any]:
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
