from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from cellasso_app.scratch import Scratch


def test_what_came_back_is_lent_again():
    scratch = Scratch()
    with scratch.lend(3, 4) as first:
        assert (first.shape, first.dtype) == ((3, 4), np.int64)
    with scratch.lend(3, 4) as second:
        assert second is first


def test_what_is_lent_is_nobody_elses():
    scratch = Scratch()
    with scratch.lend(3, 4) as first, scratch.lend(3, 4) as second, scratch.lend(4, 3) as third:
        assert not any(np.shares_memory(*pair) for pair in ((first, second), (first, third), (second, third)))
    with scratch.lend(3, 4) as one, scratch.lend(3, 4) as other:
        assert {id(one), id(other)} == {id(first), id(second)}


def test_what_failed_gives_back_too():
    scratch = Scratch()
    with pytest.raises(ZeroDivisionError), scratch.lend(5) as lent:
        lent[0] = 1 // 0
    with scratch.lend(5) as again:
        assert again is lent


def test_no_more_is_kept_than_there_is_room_for():
    scratch = Scratch(room=100)
    with scratch.lend(6) as first, scratch.lend(7) as second, scratch.lend(20) as large:
        pass
    with scratch.lend(20) as other:
        assert other is not large  # more than the room itself
    with scratch.lend(7) as other:
        assert other is not second  # it made room for the first, which came back after it
    with scratch.lend(6) as other:
        assert other is not first  # and this for the other


def test_threads_do_not_share_what_is_lent():
    scratch = Scratch()

    def use(number: int) -> bool:
        with scratch.lend(1000) as lent:
            lent[:] = number
            return bool((lent == number).all())

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(use, range(400)))
