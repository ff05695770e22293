"""Blocks run side by side, come back in order, and stop when told."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from cellasso.tasks import AHEAD, run_blocks


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
