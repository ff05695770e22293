"""What the legend beside the picture says of a colouring, and the where-expressions for its rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cellasso.color.coloring import MISSING_CODE, MISSING_COLOR, Categories, Values

if TYPE_CHECKING:
    from collections.abc import Collection

    from cellasso.color.coloring import Coloring

HISTOGRAM_BINS = 40


def legend(coloring: Coloring | None) -> dict[str, Any] | None:
    """Return what the cells panel shows of a colouring, as plain values."""
    if isinstance(coloring, Categories):
        rows = [
            {"label": label, "code": code, "color": color, "count": int(count), "selectable": True}
            for code, (label, color, count) in enumerate(
                zip(coloring.labels, coloring.colors, coloring.counts, strict=True)
            )
        ]
        if coloring.n_folded:
            rows[-1]["selectable"] = False
        if coloring.n_missing:
            rows.append(
                {
                    "label": missing_label(coloring),
                    "code": MISSING_CODE,
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


def missing_label(categories: Categories) -> str:
    """Return what a legend calls cells without a category; never the name of one."""
    label = "no value"
    while label in categories.labels:
        label += " "
    return label


def codes_of(categories: Categories, labels: Collection[str]) -> frozenset[int]:
    """Return the codes of a legend's rows; of labels that it does not have none."""
    codes = {code for code, label in enumerate(categories.labels) if label in labels}
    return frozenset(codes | {MISSING_CODE} if missing_label(categories) in labels else codes)


def category_expression(column: str, label: str, categories: Categories) -> str:
    """Return the where-expression that selects a row of a legend."""
    if label == missing_label(categories):
        return f"{_quoted_name(column)} is null"
    return f"{_quoted_name(column)} == {_literal(label, categories)}"


def visible_expression(column: str, hidden: Collection[str], categories: Categories) -> str:
    """Return the where-expression of the cells whose rows of the legend are not hidden."""
    name, missing = _quoted_name(column), missing_label(categories)
    without = "" if missing in hidden or not categories.n_missing else f" or {name} is null"
    gone = [label for label in categories.labels if label in hidden]
    if not gone:
        return f"{name} is not null"
    kept = [label for label in categories.labels if label not in hidden]
    named = len(kept) < len(gone)
    if categories.n_folded:  # "other" has no names of its own
        named = categories.labels[-1] in hidden
    test, labels = ("in", kept) if named else ("not in", gone)
    return f"({name} {test} {_list(labels, categories)}{without})"


def _list(labels: Collection[str], categories: Categories) -> str:
    return f"[{', '.join(_literal(label, categories) for label in labels)}]"


def _literal(label: str, categories: Categories) -> str:
    if categories.boolean:
        return label.lower()
    if categories.integer:
        return label
    quoted = label.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{quoted}'"


def _quoted_name(column: str) -> str:
    return "`" + column.replace("`", "``") + "`"
