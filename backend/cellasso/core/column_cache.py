"""The columns that were read lately, shared by all sessions; sessions that ask at the same time share one read."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from cachetools import LRUCache

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import pandas as pd
    from numpy.typing import NDArray

    from cellasso.core.progress import Progress

Key: TypeAlias = tuple[str, int]
"""HDF5 path of the matrix and position of the column."""

PATIENCE = 0.1
"""Seconds between two calls of `progress`, which may cancel, while another thread reads."""


def size_within(most: int) -> Callable[[pd.Series | NDArray[Any]], int]:
    """Return what a cache of `most` bytes takes a vector for: one that is larger is kept alone, until the next."""

    def size(values: pd.Series | NDArray[Any]) -> int:
        stored = values.nbytes if isinstance(values, np.ndarray) else values.memory_usage(index=False, deep=True)
        return min(int(stored), most)

    return size


class ColumnCache:
    """A cache of columns, bounded in bytes, for many threads.

    Parameters
    ----------
    max_bytes
        What all columns in it may take; the least recently used go first.
    """

    def __init__(self, max_bytes: int) -> None:
        self._columns: LRUCache[Key, NDArray[np.generic]] = LRUCache(
            max_bytes, getsizeof=lambda column: int(column.nbytes)
        )
        self._arriving: dict[Key, threading.Event] = {}
        self._lock = threading.Lock()

    def read(
        self,
        keys: Iterable[Key],
        load: Callable[[list[Key]], Iterable[NDArray[np.generic]]],
        *,
        progress: Progress | None = None,
    ) -> dict[Key, NDArray[np.generic]]:
        """Return the columns of `keys`, loading in one call those neither kept nor being read by another thread.

        Parameters
        ----------
        keys
            HDF5 path of the matrix and position of the column; one that is given twice is loaded once.
        load
            Reads columns `(n_obs,)`, in the order given. What it raises is raised here; another thread that waited for
            those columns then loads them itself.
        progress
            Called with 0 while waiting for another thread, so that it can cancel.

        Returns
        -------
        By key; read-only, since every session has the same array.
        """
        wanted = list(dict.fromkeys(keys))
        found: dict[Key, NDArray[np.generic]] = {}
        while len(found) < len(wanted):
            mine, theirs = self._claim([key for key in wanted if key not in found], found)
            if mine:
                found |= self._load(mine, load)
            for arrival in theirs:
                while not arrival.wait(PATIENCE):
                    if progress is not None:
                        progress(0.0)
        return found

    def _claim(self, keys: list[Key], found: dict[Key, NDArray[np.generic]]) -> tuple[list[Key], list[threading.Event]]:
        """Take what is there; return what this thread is to load, and whose loading to wait for."""
        mine, theirs = [], []
        with self._lock:
            for key in keys:
                if key in self._columns:
                    found[key] = self._columns[key]
                elif key in self._arriving:
                    theirs.append(self._arriving[key])
                else:
                    self._arriving[key] = threading.Event()
                    mine.append(key)
        return mine, theirs

    def _load(
        self, keys: list[Key], load: Callable[[list[Key]], Iterable[NDArray[np.generic]]]
    ) -> dict[Key, NDArray[np.generic]]:
        loaded: dict[Key, NDArray[np.generic]] = {}
        try:
            for key, column in zip(keys, load(keys), strict=True):
                column.flags.writeable = False  # it is every session's
                loaded[key] = column
            return loaded
        finally:
            with self._lock:
                for key in keys:
                    if key in loaded and loaded[key].nbytes <= self._columns.maxsize:
                        self._columns[key] = loaded[key]
                    self._arriving.pop(key).set()
