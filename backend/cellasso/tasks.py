"""Work over a whole matrix, cut into blocks that an executor runs side by side."""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Block = TypeVar("Block")
Result = TypeVar("Result")

AHEAD = 2
"""Blocks in flight for each core: enough that none waits, few enough to bound memory."""


@cache
def threads() -> Executor:
    """Return the pool of this process for such work, a thread for each core."""
    return ThreadPoolExecutor(max_workers=os.cpu_count() or 1, thread_name_prefix="cellasso-block")


def run_blocks(
    job: Callable[[Block], Result], blocks: Iterable[Block], *, executor: Executor | None = None
) -> Iterator[Result]:
    """Yield `job(block)` for each block in their order, while the next ones are under way.

    What a job raises is raised here; blocks that have not begun are dropped then, and also when the
    caller stops asking.
    """
    pool = executor if executor is not None else threads()
    in_flight: deque[Future[Result]] = deque()
    room = AHEAD * (os.cpu_count() or 1)
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
