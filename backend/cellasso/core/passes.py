"""Work over a whole file as tasks that any process can run: on threads here, or on the workers of a cluster.

A task is plain data that pickle can send: a function of a module, or a frozen dataclass that can be called, and what
it is called with. What it returns is added up by the caller of `run_pass`, in the order of the blocks, so that a result
does not depend on which process ran which block.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from cellasso.core.executors import run_blocks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Executor

    from cellasso.core.progress import Progress

Block = TypeVar("Block")
Result = TypeVar("Result")

SENT_AHEAD = 64
"""Tasks that are under way on an executor of other processes, whose number it does not say: enough for 32 workers, few
enough to bound what waits to be added up."""


def run_pass(
    task: Callable[[Block], Result],
    blocks: Iterable[Block],
    *,
    executor: Executor | None = None,
    most: int | None = None,
    progress: Progress | None = None,
    fraction: Callable[[int], float],
) -> Iterator[Result]:
    """Yield `task(block)` for each block in their order, while the next ones are under way.

    Parameters
    ----------
    task
        Called with each block: by threads of this process, or wherever the executor sends it; picklable then.
    blocks
        What it is called with; made one by one, as they are sent.
    executor
        Any of `concurrent.futures`, such as a Dask client's `get_executor()`; by default the threads of this process.
    most
        Blocks that may be under way at a time in this process, where they are large.
    progress
        Told the fraction done after each block; may raise `Cancelled`, which drops what has not begun.
    fraction
        Returns how much is done once so many blocks are, 0 to 1.
    """
    room = most if executor is None else SENT_AHEAD
    for n_done, result in enumerate(run_blocks(task, blocks, executor=executor, most=room), 1):
        if progress is not None:
            progress(fraction(n_done))
        yield result
