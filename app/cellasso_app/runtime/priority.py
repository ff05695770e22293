"""What of a session's work goes first: a picture that is waited for, and after it what may wait."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

Priority: TypeAlias = Literal["urgent", "normal", "when_idle"]
"""Of a job: it is waited for; it is done beside others; it may wait until no urgent one of its session is under way."""


class Urgency:
    """The urgent jobs of a session that are under way, for many threads.

    A job is under way from when it is given until what it brought is shown, or it is cancelled: what it leads to begins
    before it ends, and nothing that may wait slips in between.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way: set[object] = set()
        self._waiting: list[Callable[[], None]] = []

    @property
    def is_idle(self) -> bool:
        """Whether no urgent job is under way."""
        return not self._under_way

    def begin(self) -> object:
        """Return a token for a job that is under way from now on until `end` is called with it."""
        token = object()
        with self._lock:
            self._under_way.add(token)
        return token

    def end(self, token: object) -> None:
        """Take a job as ended; once more does nothing."""
        with self._lock:
            self._under_way.discard(token)
            ready, self._waiting = ([], self._waiting) if self._under_way else (self._waiting, [])
        for step in ready:
            step()

    def when_idle(self, step: Callable[[], None]) -> None:
        """Run a step as soon as no urgent job is under way, at once if none is; in the thread that ends the last."""
        with self._lock:
            if self._under_way:
                self._waiting.append(step)
                return
        step()
