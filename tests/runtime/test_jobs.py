"""Latest jobs: the newest wins, what is no longer wanted stops, and nothing of it is reported."""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from bokeh.document import Document

from cellasso.core.errors import Cancelled, ElementError
from cellasso_app.runtime import jobs, pools
from cellasso_app.runtime.jobs import UNEXPECTED, LatestJob, SerialQueue
from cellasso_app.runtime.pools import long_pool, pool

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE = 20  # seconds; only a failing test waits so long


class Told:
    """What a latest reported, in order."""

    def __init__(self) -> None:
        self.all: list[tuple[str, Any]] = []
        self._changed = threading.Condition()

    def _add(self, kind: str, value: Any) -> None:
        with self._changed:
            self.all.append((kind, value))
            self._changed.notify_all()

    def latest(self) -> LatestJob:
        return LatestJob(
            *(lambda value, kind=kind: self._add(kind, value) for kind in ("done", "failed", "progressed"))
        )

    def wait_for(self, kind: str, value: Any) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: (kind, value) in self.all, PATIENCE), self.all


class Gate:
    """A job that runs until the test lets it go on."""

    def __init__(self, result: str = "slow") -> None:
        self.result = result
        self.started, self.open, self.ended = threading.Event(), threading.Event(), threading.Event()
        self.cancelled = False

    def __call__(self, progress: Callable[[float], None]) -> str:
        self.started.set()
        try:
            assert self.open.wait(PATIENCE)
            progress(0.5)
        except Cancelled:
            self.cancelled = True
            raise
        finally:
            self.ended.set()
        return self.result


@pytest.fixture
def reports() -> Told:
    return Told()


def start(latest: LatestJob) -> Gate:
    gate = Gate()
    latest.submit(gate)
    assert gate.started.wait(PATIENCE)
    return gate


def settle(latest: LatestJob, reports: Told) -> None:
    """Wait until all that was submitted is through."""
    latest.submit(lambda _: "settled")
    reports.wait_for("done", "settled")


def test_a_result_and_its_progress_are_reported_in_order(reports, monkeypatch):
    monkeypatch.setattr(jobs, "PACE", 0.0)

    def job(progress: Callable[[float], None]) -> str:
        progress(0.25)
        progress(0.75)
        progress(1.0)
        return "result"

    reports.latest().submit(job)
    reports.wait_for("done", "result")
    assert reports.all == [("progressed", 0.25), ("progressed", 0.75), ("progressed", 1.0), ("done", "result")]


def test_progress_is_told_at_a_pace(reports):
    def job(progress: Callable[[float], None]) -> str:
        for part in range(50):
            progress(part / 100)
        time.sleep(2 * jobs.PACE)
        progress(0.5)
        progress(0.6)
        return "result"

    reports.latest().submit(job)
    reports.wait_for("done", "result")
    assert ("progressed", 0.5) in reports.all
    assert len(reports.all) < 50


def test_jobs_run_off_the_callers_thread(reports):
    latest = reports.latest()
    ran_in: list[str] = []
    latest.submit(lambda _: ran_in.append(threading.current_thread().name))
    reports.wait_for("done", None)
    assert ran_in[0].startswith("cellasso")


def test_a_latest_job_without_progress_still_cancels():
    done: list[str] = []
    latest: LatestJob[str] = LatestJob(done.append, done.append)
    gate = start(latest)
    latest.cancel()
    gate.open.set()
    assert gate.ended.wait(PATIENCE)
    assert gate.cancelled


def test_the_newest_wins_those_waiting_are_dropped_and_the_running_one_is_cancelled(reports):
    latest, ran = reports.latest(), []
    gate = start(latest)
    for number in range(10):
        latest.submit(lambda _, number=number: ran.append(number) or number)
    assert ran == []  # one at a time
    gate.open.set()
    reports.wait_for("done", 9)
    assert gate.cancelled
    assert ran == [9]
    assert reports.all == [("done", 9)]


def test_what_an_outdated_job_still_brings_back_or_raises_is_not_reported(reports, caplog):
    latest = reports.latest()
    for outcome in (lambda: "late", lambda: 1 / 0, lambda: (_ for _ in ()).throw(ElementError("late"))):
        started, go = threading.Event(), threading.Event()

        def job(_progress, started=started, go=go, outcome=outcome):
            started.set()
            go.wait(PATIENCE)
            value = outcome()
            return value if isinstance(value, str) else next(value)

        latest.submit(job)
        assert started.wait(PATIENCE)
        latest.submit(lambda _: "newer")
        go.set()
        settle(latest, reports)
    assert {value for _, value in reports.all} <= {"newer", "settled"}


def test_cancel_stops_what_runs_drops_what_waits_and_reports_nothing(reports):
    latest, ran = reports.latest(), []
    gate = start(latest)
    latest.submit(lambda _: ran.append("waiting"))
    latest.cancel()
    gate.open.set()
    assert gate.ended.wait(PATIENCE)
    settle(latest, reports)
    assert gate.cancelled
    assert ran == []
    assert reports.all == [("done", "settled")]


def test_a_latest_job_works_again_after_a_cancel_while_idle(reports):
    latest = reports.latest()
    latest.cancel()
    settle(latest, reports)


def test_a_job_that_cancels_itself_reports_nothing(reports):
    latest = reports.latest()
    ended = threading.Event()

    def job(_progress: object) -> None:
        ended.set()
        raise Cancelled("by itself")

    latest.submit(job)
    assert ended.wait(PATIENCE)
    settle(latest, reports)
    assert reports.all == [("done", "settled")]


def test_our_errors_are_their_sentence(reports, caplog):
    def job(_progress: object) -> None:
        raise ElementError("X of cells.h5ad is damaged.")

    reports.latest().submit(job)
    reports.wait_for("failed", "X of cells.h5ad is damaged.")
    assert reports.all == [("failed", "X of cells.h5ad is damaged.")]
    assert not caplog.records


def test_any_other_error_is_one_general_sentence_and_logged_in_full(reports, caplog):
    latest = reports.latest()
    with caplog.at_level(logging.ERROR, "cellasso_app.runtime.jobs"):
        latest.submit(lambda _: {}["/home/secret/path"])
        reports.wait_for("failed", UNEXPECTED)
    assert "secret" not in UNEXPECTED
    (record,) = caplog.records
    assert record.exc_info[0] is KeyError
    assert "/home/secret/path" in caplog.text
    settle(latest, reports)


def test_a_latest_job_goes_on_after_a_result_that_could_not_be_shown(reports, caplog):
    shown: list[str] = []
    settled = threading.Event()

    def show(value: str) -> None:
        if value == "bad":
            raise ValueError("not to be shown")
        shown.append(value)
        settled.set()

    latest: LatestJob[str] = LatestJob(show, shown.append)
    gate = start(latest)
    latest.submit(lambda _: "bad")
    gate.open.set()
    end = time.monotonic() + PATIENCE
    while not caplog.records:
        assert time.monotonic() < end
        time.sleep(0.005)
    latest.submit(lambda _: "good")
    assert settled.wait(PATIENCE)
    assert shown == ["good"]


def test_a_report_may_submit_the_next_job():
    results: list[int] = []
    finished = threading.Event()

    def done(number: int) -> None:
        results.append(number)
        if number < 5:
            latest.submit(lambda _: number + 1)
        else:
            finished.set()

    latest: LatestJob[int] = LatestJob(done, lambda _: None)
    latest.submit(lambda _: 0)
    assert finished.wait(PATIENCE)
    assert results == list(range(6))


def test_many_submits_from_many_threads_end_with_the_newest_one_at_a_time(reports):
    latest = reports.latest()
    running, overlaps = threading.Lock(), []

    def job(progress: Callable[[float], None]) -> str:
        if not running.acquire(blocking=False):
            overlaps.append(1)
            return "overlap"
        try:
            for step in range(3):
                progress(step / 3)
            return "one of many"
        finally:
            running.release()

    def hammer(seed: int) -> None:
        for i in range(200):
            if (seed + i) % 7:
                latest.submit(job)
            else:
                latest.cancel()

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(hammer, range(8)))
    settle(latest, reports)
    assert not overlaps
    assert reports.all[-1] == ("done", "settled")
    assert not [value for kind, value in reports.all if kind == "failed"]


def test_all_sessions_share_two_pools():
    assert pool() is pool() is not long_pool()
    assert long_pool() is long_pool()


def test_what_takes_long_does_not_hold_up_what_is_done_at_once(reports):
    gates, latest_jobs = [Gate() for _ in range(40)], [reports.latest() for _ in range(40)]
    for latest, gate in zip(latest_jobs, gates, strict=True):
        latest.submit(gate, long=True)
    quick = reports.latest()
    quick.submit(lambda _: threading.current_thread().name)
    end = time.monotonic() + PATIENCE
    while not reports.all:
        assert time.monotonic() < end
        time.sleep(0.005)
    assert not reports.all[0][1].startswith("cellasso-long")
    assert sum(gate.started.is_set() for gate in gates) < 40  # the others wait for their turn
    for latest, gate in zip(latest_jobs, gates, strict=True):
        latest.cancel()
        gate.open.set()
    for latest in latest_jobs:
        settle(latest, reports)


def test_a_latest_job_that_finishes_reports_what_ran_and_then_the_newest(reports):
    latest = LatestJob(lambda value: reports._add("done", value), lambda _: None, finishes=True)
    gate = start(latest)
    for value in ("dropped", "newest"):
        latest.submit(lambda _, value=value: value)
    gate.open.set()
    reports.wait_for("done", "newest")
    assert reports.all == [("done", "slow"), ("done", "newest")]
    gate = start(latest)
    latest.cancel()
    gate.open.set()
    settle(latest, reports)
    assert ("done", "slow") not in reports.all[2:]


def test_a_latest_job_changes_its_pool_with_its_job(reports):
    latest = reports.latest()
    gate = Gate()
    latest.submit(gate, long=True)
    assert gate.started.wait(PATIENCE)
    latest.submit(lambda _: threading.current_thread().name)
    gate.open.set()
    end = time.monotonic() + PATIENCE
    while not reports.all:
        assert time.monotonic() < end
        time.sleep(0.005)
    assert not reports.all[0][1].startswith("cellasso-long")


@pytest.fixture
def session(monkeypatch):
    """A document of a live session, whose callbacks run at once."""
    document = Document()
    loop = SimpleNamespace(add_callback=lambda callback, *values: callback(*values))
    context = SimpleNamespace(server_context=SimpleNamespace(application_context=SimpleNamespace(io_loop=loop)))
    document._session_context = lambda: context
    monkeypatch.setattr(document, "add_next_tick_callback", lambda callback: callback())
    monkeypatch.setattr("cellasso_app.runtime.document_loop.curdoc", lambda: document)
    return document


def end(document) -> None:
    for callback in document.session_destroyed_callbacks:
        callback(None)


def test_when_the_browser_goes_away_its_jobs_are_cancelled_but_not_what_is_written(session, reports):
    latest = reports.latest()
    writing = LatestJob(lambda value: reports._add("written", value), lambda _: None, outlives_session=True)
    gate, file = start(latest), start(writing)
    ran: list[str] = []
    latest.submit(lambda _: ran.append("waiting"))
    end(session)
    gate.open.set()
    file.open.set()
    reports.wait_for("written", "slow")
    assert gate.ended.wait(PATIENCE)
    assert gate.cancelled
    assert not file.cancelled
    settle(latest, reports)
    assert ran == []


def test_when_the_browser_goes_away_its_turns_end(session):
    taken: list[str] = []
    turns = SerialQueue(taken.append)
    gate = Gate()
    turns.take(lambda progress: lambda: taken.append(gate(progress)))
    turns.take(lambda progress: gate(progress) and (lambda: taken.append("late")))
    turns.take(lambda _: lambda: taken.append("later"))
    assert gate.started.wait(PATIENCE)
    end(session)
    gate.open.set()
    assert gate.ended.wait(PATIENCE)
    assert "later" not in taken


def test_every_turn_is_taken_in_its_order_also_after_one_that_fails():
    taken: list[object] = []
    finished = threading.Event()
    turns = SerialQueue(taken.append)

    def slow_then(value: object) -> Callable[[], None]:
        time.sleep(0.002 * (7 - int(value) % 7))
        return lambda: taken.append(value)

    def fail(_progress: object) -> Callable[[], None]:
        raise ElementError("The cells are gone.")

    for value in range(20):
        turns.take(lambda _, value=value: slow_then(value))
    turns.take(fail)
    turns.take(lambda _: finished.set)
    assert finished.wait(PATIENCE)
    assert taken == [*range(20), "The cells are gone."]


def test_when_the_process_is_to_end_nothing_goes_on(monkeypatch):
    monkeypatch.setattr(pools, "_stopping", threading.Event())
    started, ended = threading.Event(), threading.Event()

    def endless(progress) -> None:
        started.set()
        try:
            while True:
                progress(0.5)
                time.sleep(0.001)
        finally:
            ended.set()

    latest = LatestJob(lambda _: None, lambda _: None, outlives_session=True)
    latest.submit(endless, long=True)
    assert started.wait(30)
    pools.stop()
    assert ended.wait(30)
