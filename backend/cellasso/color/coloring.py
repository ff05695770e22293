"""What colours the cells: the categories of an obs column, or the values of a column or a feature."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import colorcet
import numpy as np
import pandas as pd

from cellasso.stats.group_summary import count_groups

if TYPE_CHECKING:
    from numpy.typing import NDArray


MISSING_COLOR = "#b8bcc4"
MISSING_CODE = 255
"""Code of cells without category or value, in a picture and in a legend's rows."""

MAX_CATEGORIES = 255
"""Rows of a legend, as many as a palette of 8 bits can tell apart; beyond it the largest 254 and "other"."""

CLIP_PERCENTILE = 99.0
"""Colours run to this percentile of the values: a few extreme cells would leave all others in one colour."""

CLIPS = (100.0, 99.9, CLIP_PERCENTILE, 95.0)
"""Percentiles at which a user may let the colours end."""


@dataclass(frozen=True)
class Categories:
    """A column that sorts cells into categories.

    Attributes
    ----------
    codes
        Category of each cell, `(n_obs,)`; -1 where it is missing.
    labels, colors, counts
        Name, `#rrggbb` and number of cells of each category.
    n_missing
        Cells without a category.
    n_folded
        How many small categories stand together in the last one, "other".
    boolean, integer
        Whether the column holds true and false, or whole numbers, not text that reads so.
    """

    name: str
    codes: NDArray[np.int16]
    labels: tuple[str, ...]
    colors: tuple[str, ...]
    counts: NDArray[np.int64]
    n_missing: int
    n_folded: int = 0
    boolean: bool = False
    integer: bool = False


@dataclass(frozen=True)
class Values:
    """A column of numbers.

    Attributes
    ----------
    values
        `(n_obs,)` float32; NaN where missing or infinite.
    low, high
        The values at the two ends of the colours.
    clipped
        Whether some cells lie above `high`.
    source
        Which matrix they are from, in the words of the screen; empty for a column of obs.
    n_distinct
        How many different values a column of obs has when all are whole and few enough to be categories; else 0.
    ends
        The values at the two ends of the colours for each of `CLIPS`.
    """

    name: str
    values: NDArray[np.float32]
    low: float
    high: float
    clipped: bool
    n_missing: int
    source: str = ""
    n_distinct: int = 0
    ends: dict[float, tuple[float, float]] = field(default_factory=dict)


Coloring: TypeAlias = Categories | Values


@dataclass(frozen=True)
class CellValues:
    """What a file has for each cell, before it is given colours.

    Attributes
    ----------
    values
        A column of obs, or an array; `(n,)`.
    as_categories
        Whether whole numbers, if they are few enough, are to become categories.
    colors
        What `uns` says of a column's colours.
    source
        Which matrix they are from, in the words of the screen; empty for a column of obs.
    """

    name: str
    values: pd.Series | NDArray[np.generic]
    as_categories: bool = False
    colors: list[str] | None = None
    source: str = ""

    def sampled(self, step: int) -> Coloring:
        """Return the colours of every `step`-th cell; the categories are those of all cells."""
        if step == 1:
            return self.coloring
        values = self.values
        if isinstance(values, pd.Series) and not pd.api.types.is_float_dtype(values.dtype):
            n_labels = len(values.cat.categories) if isinstance(values.dtype, pd.CategoricalDtype) else None
            if n_labels is None or n_labels > MAX_CATEGORIES:  # all cells show which there are, which are folded
                found = self.coloring
                if isinstance(found, Categories):
                    return replace(found, codes=found.codes[::step].copy())
        return replace(self, values=values[::step].copy()).coloring

    @cached_property
    def coloring(self) -> Coloring:
        """Its colours: those in `uns` when they are valid, else a fixed palette."""
        values = self.values
        if not isinstance(values, pd.Series):
            return _values(self.name, values, self.source)
        boolean = bool(pd.api.types.is_bool_dtype(values.dtype))  # also of categories that are booleans
        if isinstance(values.dtype, pd.CategoricalDtype):
            return replace(_categories(self.name, values, self.colors), boolean=boolean)
        if boolean:
            return replace(_categories(self.name, _named_booleans(values), self.colors), boolean=True)
        if pd.api.types.is_datetime64_any_dtype(values.dtype):
            return _values(self.name, values.astype("int64").where(values.notna()).to_numpy(dtype=np.float64), "")
        if not pd.api.types.is_numeric_dtype(values.dtype):
            texts = values.astype(object).map(str, na_action="ignore").astype("category")
            return _categories(self.name, texts, self.colors)
        numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
        distinct = _few_whole_numbers(numbers)
        if self.as_categories and distinct is not None:
            labels = [str(int(number)) for number in distinct]
            codes: Any = np.searchsorted(distinct, np.where(np.isnan(numbers), distinct[0], numbers))
            codes[np.isnan(numbers)] = -1
            grouped = pd.Series(pd.Categorical.from_codes(codes, categories=pd.Index(labels)))
            return replace(_categories(self.name, grouped, self.colors), integer=True)
        return replace(_values(self.name, numbers, ""), n_distinct=len(distinct) if distinct is not None else 0)


def _named_booleans(values: pd.Series) -> pd.Series:
    """Return the names of those that there are, as a column of categories."""
    codes = values.to_numpy(dtype=np.int8, na_value=-1)
    there = [code for code in (0, 1) if (codes == code).any()]
    place = np.full(3, -1, dtype=np.int8)
    place[there] = np.arange(len(there))
    names = pd.Index([("False", "True")[code] for code in there], dtype=object)
    return pd.Series(pd.Categorical.from_codes(place[codes], categories=names))


def _few_whole_numbers(numbers: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Return the different values, ascending, if all are whole and no more than a legend has rows."""
    # in most columns of measurements one of the first values is no whole number
    for n in (1_000, 100_000, len(numbers)):
        part = numbers[:n]
        part = part[~np.isnan(part)]
        if not len(part) or not np.isfinite(part).all() or np.any(part != np.rint(part)) or np.abs(part).max() > 2**53:
            return None
        distinct = np.unique(part)
        if len(distinct) > MAX_CATEGORIES:
            return None
    return distinct


def palette(n: int) -> tuple[str, ...]:
    """Return `n` colours as unlike each other as can be; the first ones stay the same for every `n`."""
    return tuple(_PALETTE[i % len(_PALETTE)] for i in range(n))


def category_colors(stated: list[str] | None, n: int) -> tuple[str, ...]:
    """Return the colours `#rrggbb` of `n` categories: those stated, if each is a colour, else `palette`.

    Parameters
    ----------
    stated
        What `uns` says of a column's colours; more than there are categories do no harm.
    n
        How many categories there are.
    """
    return _valid_colors(stated, n) or palette(n)


def _luminance(color: str) -> float:
    """Return the relative luminance of `#rrggbb`, 0 to 1 (WCAG 2)."""
    channels = (int(color[i : i + 2], 16) / 255 for i in (1, 3, 5))
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


# neither so dark that it drowns on the dark page nor so light that it fades on the white one
_PALETTE = tuple(color for color in colorcet.b_glasbey_category10 if 0.05 < _luminance(color) < 0.72)


def _categories(name: str, values: pd.Series, stated: list[str] | None) -> Categories:
    labels = [str(label) for label in values.cat.categories]
    codes = values.cat.codes.to_numpy()
    colors = category_colors(stated, len(labels))
    counts = count_groups(codes, len(labels))
    n_missing = int(len(codes) - counts.sum())
    if len(labels) <= MAX_CATEGORIES:
        return Categories(name, codes.astype(np.int16), tuple(labels), colors, counts, n_missing)
    kept = np.sort(np.argsort(-counts, kind="stable")[: MAX_CATEGORIES - 1])
    place = np.full(len(labels) + 1, MAX_CATEGORIES - 1, dtype=np.int16)
    place[kept] = np.arange(len(kept))
    place[-1] = -1  # code -1 looks up the last entry: it stays missing
    folded = place[codes]
    return Categories(
        name,
        folded,
        (*(labels[i] for i in kept), "other"),
        (*(colors[i] for i in kept), MISSING_COLOR),
        count_groups(folded, MAX_CATEGORIES),
        n_missing,
        n_folded=len(labels) - len(kept),
    )


def _values(name: str, values: NDArray[np.generic], source: str) -> Values:
    with np.errstate(over="ignore"):  # beyond float32: infinite
        floats = values.astype(np.float32)  # always a copy: the column belongs to all sessions
    known = np.isfinite(floats)
    n_missing = int(len(floats) - np.count_nonzero(known))
    if n_missing:
        floats[~known] = np.nan  # an infinite value has no colour: it counts as missing
    finite = floats[known] if n_missing else floats
    if not len(finite):
        return Values(name, floats, 0.0, 1.0, clipped=False, n_missing=n_missing, source=source)
    lowest, highest = float(finite.min()), float(finite.max())
    # most values of a gene are 0: what a high value is shows among those above the lowest
    above = finite[finite > lowest]
    highs = np.percentile(above, CLIPS) if len(above) else [highest] * len(CLIPS)
    lows = np.percentile(finite, [100 - clip for clip in CLIPS]) if lowest < 0 else [lowest] * len(CLIPS)
    ends = {clip: (float(low), float(high)) for clip, low, high in zip(CLIPS, lows, highs, strict=True)}
    low, high = ends[CLIP_PERCENTILE]
    return Values(
        name, floats, low, high, clipped=(low, high) != (lowest, highest), n_missing=n_missing, source=source, ends=ends
    )


def _valid_colors(stated: list[str] | None, n: int) -> tuple[str, ...] | None:
    """Return the colours of `uns` as `#rrggbb`, if there are enough and each is a colour."""
    if stated is None or len(stated) < n:
        return None
    colors = [_hex_color(text) for text in stated[:n]]
    return tuple(color for color in colors if color) if all(colors) else None


def _hex_color(text: str) -> str | None:
    text = text.strip().lower()
    if not text.startswith("#"):
        from matplotlib.colors import CSS4_COLORS  # noqa: PLC0415 - half a second, and few files name colours in words

        return str(CSS4_COLORS[text]).lower() if text in CSS4_COLORS else None
    digits = text.removeprefix("#")
    if any(c not in "0123456789abcdef" for c in digits):
        return None
    if len(digits) in {3, 4}:
        digits = "".join(c * 2 for c in digits)
    return f"#{digits[:6]}" if len(digits) in {6, 8} else None
