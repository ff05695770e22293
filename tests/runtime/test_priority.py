"""Priorities: what may wait begins once no urgent job of its session is under way, and not in a gap between two."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from cellasso.core.errors import ElementError
from cellasso_app.runtime.jobs import LatestJob
from cellasso_app.runtime.priority import Urgency
from stepping import PATIENCE, run_steps, until

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.usefixtures("one_thread")


class Work:
    """Lanes of one session, and what they did in order."""

    def __init__(self) -> None:
        self.done: list[Any] = []
        self.urgency = Urgency()
        self.urgent, self.other, self.waiting = (self.lane() for _ in range(3))

    def lane(self) -> LatestJob[Any]:
        return LatestJob(self.done.append, self.done.append, urgency=self.urgency)


class Held:
    """A job that runs until it is let go."""

    def __init__(self, result: Any) -> None:
        self._result = result
        self.started, self.go = threading.Event(), threading.Event()

    def __call__(self, progress: Callable[[float], None]) -> Any:
        self.started.set()
        assert self.go.wait(PATIENCE)
        progress(1.0)
        if isinstance(self._result, Exception):
            raise self._result
        return self._result


@pytest.fixture
def work() -> Work:
    return Work()


def test_what_may_wait_begins_at_once_where_nothing_is_urgent(work):
    work.waiting.submit(lambda _: "waited", priority="when_idle")
    until(lambda: work.done == ["waited"])


@pytest.mark.parametrize("result", ["picture", ElementError("It cannot be read.")], ids=["done", "failed"])
def test_what_may_wait_begins_after_the_urgent_job_has_been_shown(work, result):
    picture = Held(result)
    work.urgent.submit(picture, priority="urgent")
    work.waiting.submit(lambda _: "waited", priority="when_idle")
    work.other.submit(lambda _: "beside", priority="normal")
    until(lambda: work.done == ["beside"])
    assert work.waiting.is_busy
    assert not work.urgency.is_idle
    picture.go.set()
    until(lambda: len(work.done) == 3)
    assert work.done == ["beside", str(result), "waited"]
    assert work.urgency.is_idle
    until(lambda: not work.waiting.is_busy)


def test_between_an_urgent_job_and_the_one_it_leads_to_nothing_begins(work):
    first, second = Held("read"), Held("drawn")
    lead = LatestJob(lambda _: work.other.submit(second, priority="urgent"), work.done.append, urgency=work.urgency)
    lead.submit(first, priority="urgent")
    work.waiting.submit(lambda _: "waited", priority="when_idle")
    first.go.set()
    until(second.started.is_set)
    run_steps()
    assert work.done == []
    second.go.set()
    until(lambda: work.done == ["drawn", "waited"])


def test_a_cancelled_urgent_job_is_waited_for_no_more(work):
    picture = Held("picture")
    work.urgent.submit(picture, priority="urgent")
    assert picture.started.wait(PATIENCE)
    work.waiting.submit(lambda _: "waited", priority="when_idle")
    work.urgent.cancel()
    assert work.urgency.is_idle
    until(lambda: work.done == ["waited"])
    picture.go.set()
    until(lambda: not work.urgent.is_busy)
    assert work.done == ["waited"]


def test_an_urgent_job_that_a_newer_one_replaces_is_waited_for_no_more(work):
    running, replaced = Held("running"), Held("replaced")
    work.urgent.submit(running, priority="urgent")
    assert running.started.wait(PATIENCE)
    work.urgent.submit(replaced, priority="urgent")
    work.urgent.submit(lambda _: "newest", priority="urgent")
    work.waiting.submit(lambda _: "waited", priority="when_idle")
    running.go.set()
    until(lambda: work.done == ["newest", "waited"])
    assert not replaced.started.is_set()


def test_of_those_that_may_wait_in_one_lane_the_newest_is_run(work):
    picture = Held("picture")
    work.urgent.submit(picture, priority="urgent")
    for name in ("first", "second"):
        work.waiting.submit(lambda _, name=name: name, priority="when_idle")
    picture.go.set()
    until(lambda: work.done == ["picture", "second"])


def test_what_waits_can_be_cancelled_and_given_anew_without_waiting(work):
    picture = Held("picture")
    work.urgent.submit(picture, priority="urgent")
    work.waiting.submit(lambda _: "waited", priority="when_idle")
    work.waiting.cancel()
    work.waiting.submit(lambda _: "at once")
    until(lambda: work.done == ["at once"])
    picture.go.set()
    until(lambda: work.done == ["at once", "picture"])
    until(lambda: not work.waiting.is_busy)
    assert work.done == ["at once", "picture"]


def test_a_token_ends_once():
    urgency, ran = Urgency(), []
    first, second = urgency.begin(), urgency.begin()
    urgency.when_idle(lambda: ran.append(1))
    urgency.end(first)
    urgency.end(first)
    assert not ran
    urgency.end(second)
    assert ran == [1]
    urgency.end(second)
    assert ran == [1]
