"""The threads of this process, and running work that is cut into blocks side by side on them."""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, Generic, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Block = TypeVar("Block")
Result = TypeVar("Result")
Arguments = ParamSpec("Arguments")

AHEAD = 2
"""Blocks in flight for each core: enough that none waits, few enough to bound memory."""

ALL_BYTES = 1 << 27
"""What blocks in flight may take together, where chunks are so large that fewer of them have to do."""


def max_in_flight(n_bytes: int) -> int:
    """Return how many blocks of so many bytes may be under way at a time."""
    return max(1, ALL_BYTES // max(1, n_bytes))


@cache
def threads() -> Executor:
    """Return the pool of this process for such work, a thread for each core."""
    return ThreadPoolExecutor(max_workers=os.cpu_count() or 1, thread_name_prefix="cellasso-block")


@cache
def quick_threads() -> Executor:
    """Return the pool for work that a user waits for: milliseconds, never behind the blocks of a scan."""
    return ThreadPoolExecutor(max_workers=os.cpu_count() or 1, thread_name_prefix="cellasso-quick")


def _forget_pools() -> None:
    threads.cache_clear()
    quick_threads.cache_clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pools)  # a forked process has the pools, but not their threads


def run_blocks(
    job: Callable[[Block], Result],
    blocks: Iterable[Block],
    *,
    executor: Executor | None = None,
    most: int | None = None,
) -> Iterator[Result]:
    """Yield `job(block)` for each block in their order, while the next ones are under way.

    What a job raises is raised here; blocks that have not begun are dropped then, and also when the
    caller stops asking.

    Parameters
    ----------
    job
        Called with one block, by threads of this process or by `executor`.
    blocks
        Made one by one, as they are submitted.
    executor
        `None`: the threads of this process, `AHEAD` blocks for each core at a time.
    most
        Blocks that may be under way at a time, where they are large; one of them always may.
    """
    pool = executor if executor is not None else threads()
    in_flight: deque[Future[Result]] = deque()
    room = _room(most) if executor is None or most is None else max(1, most)
    try:
        for block in blocks:
            in_flight.append(pool.submit(job, block))
            if len(in_flight) >= room:
                yield in_flight.popleft().result()
        while in_flight:
            yield in_flight.popleft().result()
    finally:
        for future in in_flight:
            future.cancel()


def run_quickly(job: Callable[[Block], object], blocks: Iterable[Block]) -> None:
    """Run `job(block)` for each block on `quick_threads`, which never wait for a scan; return when all are done.

    Parameters
    ----------
    job
        What it returns is dropped. What it raises is raised here; blocks that have not begun are dropped then.
    blocks
        What it is called with, each once; made one by one, as they are submitted.
    """
    for _ in run_blocks(job, blocks, executor=quick_threads()):
        pass


class Ahead(Generic[Result]):
    """Runs jobs side by side as they come, and takes their results in the order in which they came.

    Parameters
    ----------
    take
        Called in the thread that submits, with each result.
    most
        As for `run_blocks`.
    """

    def __init__(self, take: Callable[[Result], None], *, most: int | None = None) -> None:
        self._take = take
        self._room = _room(most)
        self._in_flight: deque[Future[Result]] = deque()

    def submit(self, job: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs) -> None:
        """Run `job`; first take the oldest result when enough are under way. What a job raised is raised here."""
        if len(self._in_flight) >= self._room:
            self._take(self._in_flight.popleft().result())
        self._in_flight.append(threads().submit(job, *args, **kwargs))

    def finish(self) -> None:
        """Take all results that are left."""
        while self._in_flight:
            self._take(self._in_flight.popleft().result())


def _room(most: int | None = None) -> int:
    room = AHEAD * (os.cpu_count() or 1)
    return room if most is None else max(1, min(most, room))
