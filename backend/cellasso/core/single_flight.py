"""What several sessions ask for at the same time is made once: one makes it, the others wait for it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

    from cellasso.core.progress import Progress

Key = TypeVar("Key")
Value = TypeVar("Value")

LOOK_SECONDS = 0.1
"""Between two calls of `progress`, which may cancel, while another thread makes the value."""


class SingleFlight(Generic[Key, Value]):
    """A cache of values that take long to make, for many threads.

    Parameters
    ----------
    kept
        Where finished values are kept: a dict keeps all, a `WeakValueDictionary` those that are in use.
    """

    def __init__(self, kept: MutableMapping[Key, Value]) -> None:
        self._kept = kept
        self._arriving: dict[Key, threading.Event] = {}
        self._lock = threading.Lock()

    def get(self, key: Key, make: Callable[[], Value], *, progress: Progress | None = None) -> Value:
        """Return the value of a key: what is kept, or what `make` returns; of one key it runs once at a time.

        Parameters
        ----------
        key
            What the value is kept under.
        make
            What it raises is raised here; another thread that waited for it then calls its own `make`.
        progress
            Called with 0 while waiting for another thread, so that it can cancel.
        """
        while True:
            with self._lock:
                value = self._kept.get(key)
                if value is not None:
                    return value
                arrival = self._arriving.get(key)
                if arrival is None:
                    self._arriving[key] = threading.Event()
            if arrival is None:
                return self._make(key, make)
            while not arrival.wait(LOOK_SECONDS):
                if progress is not None:
                    progress(0.0)

    def _make(self, key: Key, make: Callable[[], Value]) -> Value:
        try:
            value = make()
            with self._lock:
                self._kept[key] = value
            return value
        finally:
            with self._lock:
                self._arriving.pop(key).set()
