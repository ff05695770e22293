"""Blocks run side by side, come back in order, and stop when told."""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from cellasso.core import executors
from cellasso.core.executors import AHEAD, max_in_flight, run_blocks


def test_results_come_in_the_order_of_the_blocks():
    def job(block: int) -> int:
        time.sleep(0.01 * (block % 3))
        return block

    assert list(run_blocks(job, range(20))) == list(range(20))
    assert list(run_blocks(job, [])) == []


def test_blocks_are_taken_only_a_little_ahead(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    taken = []

    def blocks():
        for block in range(100):
            taken.append(block)
            yield block

    with ThreadPoolExecutor(2) as executor:
        results = run_blocks(lambda block: block, blocks(), executor=executor)
        next(results)
        assert len(taken) == 2 * AHEAD
        results.close()


def test_an_error_drops_the_blocks_that_have_not_begun():
    begun = []
    hold = threading.Event()

    def job(block: int) -> None:
        begun.append(block)
        if block == 0:
            raise ValueError("block 0 is damaged")
        hold.wait(5)

    with ThreadPoolExecutor(1) as executor:
        with pytest.raises(ValueError, match="block 0 is damaged"):
            list(run_blocks(job, range(100), executor=executor))
        hold.set()
    assert len(begun) <= 2


def test_a_forked_process_has_threads_of_its_own():
    assert list(run_blocks(abs, [-1])) == [1]  # this process has its threads
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        with suppress(BaseException):
            os.write(writing, str(list(run_blocks(abs, [-2, -3]))).encode())
        os._exit(0)
    os.close(writing)
    try:
        ready, _, _ = select.select([reading], [], [], 30)
        assert ready, "the child hangs"
        assert os.read(reading, 100) == b"[2, 3]"
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(reading)


def test_large_blocks_are_fewer_at_a_time():
    assert max_in_flight(1) > 1000
    assert max_in_flight(executors.ALL_BYTES) == max_in_flight(10 * executors.ALL_BYTES) == 1
    running, most = 0, 0
    lock = threading.Lock()

    def job(_block: int) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.01)
        with lock:
            running -= 1

    for _ in run_blocks(job, range(10), most=max_in_flight(10 * executors.ALL_BYTES)):
        pass
    assert most == 1
