"""Two pools of threads for all sessions of a process: what is done at once never waits for what takes long."""

from __future__ import annotations

import os
import threading
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import cache

_stopping = threading.Event()


def stop() -> None:
    """Cancel what runs for anybody, exports too: the process is about to end, and would wait for it."""
    _stopping.set()


def is_stopping() -> bool:
    """Whether the process is about to end: it was told to stop, or its main thread is done and waits for the others."""
    return _stopping.is_set() or not threading.main_thread().is_alive()


@cache
def pool() -> Executor:
    """Return the pool for what is done at once (drawing, suggesting, opening), which all sessions share.

    More threads than cores: one waiting for a disk must not hold up another session's drawing.
    """
    return ThreadPoolExecutor(max_workers=2 + 2 * (os.cpu_count() or 1), thread_name_prefix="cellasso")


@cache
def long_pool() -> Executor:
    """Return the pool for what takes long (scans, exports): however much of it waits, drawing does not.

    A scan keeps every core busy by itself; two at a time bound memory, and one alone would let a single
    export hold up everybody's genes.
    """
    return ThreadPoolExecutor(max_workers=max(2, os.cpu_count() or 1), thread_name_prefix="cellasso-long")
