"""Peaks and other intervals of the genome: reading them from names, finding those that overlap a region."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cellasso.model.name_index import one_line_each

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_REGION = re.compile(r"\s*([^\s:]+?)\s*[:\-_]\s*([\d,]+)\s*(?:-|_|\.\.)\s*([\d,]+)\s*")
_WHOLE = re.compile(r"\s*(chr[\w.]+)\s*", re.IGNORECASE)

TRIED = 1000
"""Names that are looked at to see whether intervals are worth reading."""


@dataclass(frozen=True)
class GenomicRange:
    """A stretch of a chromosome, in base pairs; `start` is in it, `end` is not."""

    chromosome: str
    start: int
    end: int

    @classmethod
    def parse(cls, text: str) -> GenomicRange | None:
        """Read `chr1:1,000,000-1,200,000` (also with `-` or `_` throughout), or a chromosome; `None` for other text."""
        if found := _REGION.fullmatch(text):
            start, end = (int(number.replace(",", "") or -1) for number in found.groups()[1:])
            return cls(_plain(found[1]), start, end) if 0 <= start < end else None
        return cls(_plain(found[1]), 0, 1 << 62) if (found := _WHOLE.fullmatch(text)) else None


class Intervals:
    """Many intervals, `(n,)` each of chromosome (its code), start and end; code -1 where a feature has none."""

    def __init__(
        self, names: dict[str, int], codes: NDArray[np.integer], starts: NDArray[np.int64], ends: NDArray[np.int64]
    ) -> None:
        self._names = names
        self._codes = codes
        self._starts = starts
        self._ends = ends

    @classmethod
    def of_names(cls, names: Sequence[str] | NDArray[np.object_]) -> Intervals | None:
        """Read them from feature names such as `chr1:9776-10668`; `None` when hardly any name is one."""
        if not sum(_REGION.fullmatch(str(name)) is not None for name in names[:TRIED]) * 2 > len(names[:TRIED]):
            return None
        from cellasso.model.kernels.interval_names import find_runs, read_intervals  # noqa: PLC0415 - numba takes a second

        lines = one_line_each(names)
        text = np.frombuffer(lines.encode(), dtype=np.uint8)
        begins, stops, starts, ends = read_intervals(text, len(names))
        known = starts >= 0
        if known.sum() * 2 <= len(names):
            return None
        runs = find_runs(text, begins, stops, known)
        firsts = np.flatnonzero(np.diff(runs[known], prepend=-1))
        found: dict[str, int] = {}
        code_of_run = [
            found.setdefault(_plain(text[begin:stop].tobytes().decode()), len(found))
            for begin, stop in zip(begins[known][firsts].tolist(), stops[known][firsts].tolist(), strict=True)
        ]
        codes = np.append(np.array(code_of_run, dtype=np.int32), np.int32(-1))[runs]  # run -1 looks up the last code
        return cls(found, codes, starts, ends)

    def overlapping(self, region: GenomicRange) -> NDArray[np.int64]:
        """Return the positions of the intervals that share a base with a region, in the order of the genome."""
        if region.chromosome not in self._names:
            return np.zeros(0, dtype=np.int64)
        same = self._codes == self._names[region.chromosome]
        found = np.flatnonzero(same & (self._starts < region.end) & (self._ends > region.start))
        return found[np.argsort(self._starts[found], kind="stable")]


def _plain(chromosome: str) -> str:
    """`chr1`, `Chr1` and `1` are one chromosome."""
    return chromosome.casefold().removeprefix("chr")
