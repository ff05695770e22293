"""The event loop of tests that have no server: what threads hand to a session runs in the test's own thread."""

from __future__ import annotations

import threading
import time
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from cellasso_app.runtime.document_loop import DocumentLoop

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

PATIENCE = 30  # seconds; only a failing test waits so long

_given: SimpleQueue[Callable[[], None]] = SimpleQueue()


def keep_to_this_thread(patch: pytest.MonkeyPatch) -> None:
    """Keep the steps that other threads give for `until`: a session, as on a server, is for one thread alone."""
    own, call = threading.current_thread(), DocumentLoop.call

    def call_here(loop: DocumentLoop, step: Callable[[], None]) -> None:
        if threading.current_thread() is own:
            call(loop, step)
        else:
            _given.put(step)

    while not _given.empty():  # what an earlier test did not wait for
        _given.get_nowait()
    patch.setattr(DocumentLoop, "call", call_here)


def until(true: Callable[[], Any]) -> None:
    """Run the steps that threads give until it is true."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, "waited in vain"
        run_steps()
        time.sleep(0.002)


def run_steps() -> None:
    """Run the steps that threads have given so far."""
    while True:
        try:
            _given.get_nowait()()
        except Empty:
            return
