from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest

from cellasso.raster.scratch import Scratch


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
    with scratch.lend(6) as first, scratch.lend(7) as second:
        pass
    with scratch.lend(7) as other:
        assert other is not second  # it made room for the first, which came back after it
    with scratch.lend(6) as other:
        assert other is not first  # and this for the other


def test_what_is_larger_than_the_room_drives_nothing_out():
    scratch = Scratch(room=100)
    with scratch.lend(6) as small:
        pass
    with scratch.lend(20) as large:
        pass
    with scratch.lend(6) as again, scratch.lend(20) as other:
        assert again is small
        assert other is not large


def test_threads_do_not_share_what_is_lent():
    scratch, all_have_one = Scratch(), Barrier(8, timeout=30)

    def use(_number: int) -> int:
        with scratch.lend(1000) as lent:
            all_have_one.wait()
            return id(lent)

    with ThreadPoolExecutor(8) as pool:
        first, second = (set(pool.map(use, range(8))) for _ in range(2))
    assert len(first) == 8
    assert second == first
