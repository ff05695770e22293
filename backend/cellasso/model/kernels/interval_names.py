"""The compiled loops of `genomic_intervals`: intervals read from millions of names such as `chr1:9,776-10,668`.

A regular expression takes seven microseconds a name, this a fiftieth of that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cellasso.core.compiled import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

NEWLINE, SPACE, TAB, COMMA, DASH, DOT, COLON, UNDERSCORE, ZERO, NINE = (ord(c) for c in "\n \t,-.:_09")


@njit
def _skip_blanks(text: NDArray[np.uint8], at: int, first: int) -> int:
    """Return where a stretch that ends at `at` ends without its blanks."""
    while at > first and (text[at - 1] == SPACE or text[at - 1] == TAB):
        at -= 1
    return at


@njit
def _number_before(text: NDArray[np.uint8], at: int, first: int) -> tuple[int, int]:
    """Return where the digits and commas that end at `at` begin, and the number they spell; -1 where there is none."""
    number, unit, n_digits = 0, 1, 0
    while at > first:
        letter = text[at - 1]
        if letter != COMMA:
            if letter < ZERO or letter > NINE or n_digits == 18:
                break
            number += unit * (letter - ZERO)
            unit *= 10
            n_digits += 1
        at -= 1
    return at, number if n_digits else -1


@njit
def read_intervals(
    text: NDArray[np.uint8], n: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Read an interval from each of `n` names. From behind: a chromosome's name may hold dashes and underscores.

    Parameters
    ----------
    text
        The names as bytes, each ended by a newline, as of `name_index.one_line_each`.
    n
        How many names there are.

    Returns
    -------
    Where the chromosome's name begins and ends in the text, and start and end of the interval, `(n,)` each; the start
    is -1 where a name is no interval.
    """
    names, name_ends = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
    starts, ends = np.full(n, -1, dtype=np.int64), np.full(n, -1, dtype=np.int64)
    first = 0
    for i in range(n):
        last = first
        while text[last] != NEWLINE:
            last += 1
        at, end = _number_before(text, _skip_blanks(text, last, first), first)
        at = _skip_blanks(text, at, first)
        start = -1
        if end >= 0 and at > first:
            if text[at - 1] == DASH or text[at - 1] == UNDERSCORE:
                at, start = _number_before(text, _skip_blanks(text, at - 1, first), first)
            elif at - 1 > first and text[at - 1] == DOT and text[at - 2] == DOT:
                at, start = _number_before(text, _skip_blanks(text, at - 2, first), first)
        at = _skip_blanks(text, at, first)
        if start >= 0 and at > first and (text[at - 1] == COLON or text[at - 1] == DASH or text[at - 1] == UNDERSCORE):
            at = _skip_blanks(text, at - 1, first)
            begin = first
            while begin < at and (text[begin] == SPACE or text[begin] == TAB):
                begin += 1
            plain = at > begin
            for k in range(begin, at):
                if text[k] == COLON or text[k] == SPACE or text[k] == TAB:
                    plain = False
            if plain:
                names[i], name_ends[i], starts[i], ends[i] = begin, at, start, end
        first = last + 1
    return names, name_ends, starts, ends


@njit
def find_runs(
    text: NDArray[np.uint8], begins: NDArray[np.int64], ends: NDArray[np.int64], known: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Return in which run of equal names each name is, `(n,)`, counted from 0; -1 where it is not known.

    Names that are not known interrupt no run. Equal names with others between them are in different runs.

    Parameters
    ----------
    text
        Bytes in which all names lie.
    begins, ends
        Where each name begins and ends in it, `(n,)`.
    known
        Which names count, `(n,)`.
    """
    runs = np.full(len(begins), -1, dtype=np.int64)
    run, before = -1, -1
    for i in range(len(begins)):
        if not known[i]:
            continue
        same = before >= 0 and ends[i] - begins[i] == ends[before] - begins[before]
        if same:
            for k in range(ends[i] - begins[i]):
                if text[begins[i] + k] != text[begins[before] + k]:
                    same = False
                    break
        if not same:
            run += 1
            before = i
        runs[i] = run
    return runs
