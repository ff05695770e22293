"""Peaks and other intervals of the genome: reading them from names, finding those that overlap a region."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

_REGION = re.compile(r"\s*([^\s:]+?)\s*[:\-_]\s*([\d,]+)\s*(?:-|_|\.\.)\s*([\d,]+)\s*")
_WHOLE = re.compile(r"\s*(chr[\w.]+)\s*", re.IGNORECASE)


@dataclass(frozen=True)
class Region:
    """A stretch of a chromosome, in base pairs; `start` is in it, `end` is not."""

    chromosome: str
    start: int
    end: int

    @classmethod
    def parse(cls, text: str) -> Region | None:
        """Read `chr1:1,000,000-1,200,000` (also with `-` or `_` throughout), or a chromosome; `None` for other text."""
        if found := _REGION.fullmatch(text):
            start, end = (int(number.replace(",", "") or -1) for number in found.groups()[1:])
            return cls(_plain(found[1]), start, end) if 0 <= start < end else None
        return cls(_plain(found[1]), 0, 1 << 62) if (found := _WHOLE.fullmatch(text)) else None


class Intervals:
    """Many intervals, `(n,)` each of chromosome, start and end; -1 where a feature has none."""

    def __init__(self, chromosomes: Iterable[str], starts: Iterable[int], ends: Iterable[int]) -> None:
        names: dict[str, int] = {}
        codes = [names.setdefault(_plain(name), len(names)) for name in chromosomes]
        self._names = names
        self._codes = np.asarray(codes, dtype=np.int32)
        self._starts = np.asarray(list(starts), dtype=np.int64)
        self._ends = np.asarray(list(ends), dtype=np.int64)

    @classmethod
    def of_names(cls, names: Iterable[str]) -> Intervals | None:
        """Read them from feature names such as `chr1:9776-10668`; `None` when hardly any name is one."""
        found = [_REGION.fullmatch(str(name)) for name in names]
        if sum(match is not None for match in found) * 2 <= len(found):
            return None
        parts = [(m[1], int(m[2].replace(",", "")), int(m[3].replace(",", ""))) if m else ("", -1, -1) for m in found]
        return cls(*zip(*parts, strict=True))

    def overlapping(self, region: Region) -> NDArray[np.int64]:
        """Return the positions of the intervals that share a base with a region, in the order of the genome."""
        if region.chromosome not in self._names:
            return np.zeros(0, dtype=np.int64)
        same = self._codes == self._names[region.chromosome]
        found = np.flatnonzero(same & (self._starts < region.end) & (self._ends > region.start))
        return found[np.argsort(self._starts[found], kind="stable")]


def _plain(chromosome: str) -> str:
    """`chr1`, `Chr1` and `1` are one chromosome."""
    return chromosome.casefold().removeprefix("chr")
