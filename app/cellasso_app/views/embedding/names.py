"""Names of categories in a picture: which ones, how long, and where."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cellasso.color.coloring import Categories
from cellasso_app.render.labels import place_labels

if TYPE_CHECKING:
    from cellasso.points.point_index import Viewport
    from cellasso.raster.style import Canvas, Style
    from cellasso_app.views.embedding.loaded import Loaded
    from cellasso_app.views.embedding.states import Shown

LETTER_WIDTH, LETTER_HEIGHT = 7.2, 15.0
"""Of the names in a picture, in pixels, on average."""

LABEL_REACH = 80.0
"""Pixels that a name may stand beside the middle of its cells."""

UNSEEN = 3.0
"""Pixels that a name may move without being drawn anew for it alone."""

LONGEST = 28
"""Letters of a name in a picture."""


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
    places = place_labels(
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


def shortened(label: str) -> str:
    """Return a name cut in the middle where it is too long to stand in a picture."""
    return label if len(label) <= LONGEST else f"{label[: LONGEST - 9]}…{label[-8:]}"
