"""What many ask for at the same time is made once."""

from __future__ import annotations

import gc
import threading
from concurrent.futures import ThreadPoolExecutor
from weakref import WeakValueDictionary

import pytest

from cellasso.core.errors import Cancelled
from cellasso.core.single_flight import SingleFlight


class Value:
    """Something that can be referred to weakly."""


def test_all_who_ask_at_the_same_time_get_the_same_one():
    flight: SingleFlight[str, Value] = SingleFlight({})
    made, everybody = [], threading.Barrier(8)

    def make() -> Value:
        made.append(Value())
        return made[-1]

    def ask(_: int) -> Value:
        everybody.wait()
        return flight.get("key", make)

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(ask, range(8)))
    assert len(made) == 1
    assert set(found) == set(made)


def test_one_key_does_not_wait_for_another():
    flight: SingleFlight[str, Value] = SingleFlight({})
    go_on = threading.Event()

    def slow() -> Value:
        assert go_on.wait(10)
        return Value()

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(flight.get, "slow", slow)
        assert isinstance(flight.get("quick", Value), Value)
        assert not first.done()
        go_on.set()
        first.result(10)


def test_after_a_failure_whoever_waited_makes_it():
    flight: SingleFlight[str, Value] = SingleFlight({})
    begun, fail = threading.Event(), threading.Event()

    def failing() -> Value:
        begun.set()
        assert fail.wait(10)
        raise OSError("damaged")

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(flight.get, "key", failing)
        assert begun.wait(10)
        second = pool.submit(flight.get, "key", Value)
        fail.set()
        with pytest.raises(OSError, match="damaged"):
            first.result(10)
        assert isinstance(second.result(10), Value)


def test_a_wait_can_be_cancelled():
    flight: SingleFlight[str, Value] = SingleFlight({})
    begun, go_on = threading.Event(), threading.Event()

    def slow() -> Value:
        begun.set()
        assert go_on.wait(10)
        return Value()

    def cancel(_fraction: float) -> None:
        raise Cancelled("no longer wanted")

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(flight.get, "key", slow)
        assert begun.wait(10)
        with pytest.raises(Cancelled):
            flight.get("key", Value, progress=cancel)
        go_on.set()
        first.result(10)


def test_values_in_a_weak_dictionary_are_let_go():
    flight: SingleFlight[str, Value] = SingleFlight(WeakValueDictionary())
    first = flight.get("key", Value)
    assert flight.get("key", Value) is first
    known = id(first)
    del first
    gc.collect()
    other = [Value() for _ in range(100)]  # so that the new one does not lie where the old one was
    assert id(flight.get("key", Value)) != known or other
