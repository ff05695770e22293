"""Work off the event loop, one queue per concern of a session: the latest job alone, or one after the other."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from cellasso.core.errors import Cancelled, CellassoError, FileChangedError
from cellasso_app.runtime.document_loop import DocumentLoop
from cellasso_app.runtime.pools import is_stopping, long_pool, pool

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

    from bokeh.application.application import SessionContext

    from cellasso.core.progress import Progress
    from cellasso_app.runtime.priority import Priority, Urgency

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

PACE = 0.1
"""Seconds between two words of progress: a bar needs no more, and each is a message to the browser."""

UNEXPECTED = "Something went wrong here; the server's log says what. The rest of the page still works."


def sentence_of(error: CellassoError) -> str:
    """Return what a user of the page is told: a file that is gone by its name, without its folder."""
    if isinstance(error, FileChangedError) and error.path is not None:
        return str(error).replace(str(error.path), error.path.name)
    return str(error)


class _Ends:
    """Ends with its session: the browser went away, nobody waits for what it still had to do."""

    def __init__(self) -> None:
        self._document_loop = DocumentLoop()
        document = self._document_loop.document
        if document.session_context is not None:
            document.on_session_destroyed(self._end)

    def _end(self, session_context: SessionContext) -> None:
        raise NotImplementedError


class SerialQueue(_Ends):
    """Runs every step it is given, one after the other: of what a hand does nothing may be dropped or overtaken.

    Must be made inside a session, and ends with it. A step is prepared off the event loop; what that returns
    then runs on it, document locked.

    Parameters
    ----------
    failed
        Called with a sentence for the user when preparing a step raised.
    """

    def __init__(self, failed: Callable[[str], None]) -> None:
        super().__init__()
        self._failed = failed
        self._lock = threading.Lock()
        self._waiting: deque[Callable[[Progress], Callable[[], None]]] = deque()
        self._running = False
        self._ended = False

    def take(self, prepare: Callable[[Progress], Callable[[], None]]) -> None:
        """Run `prepare(progress)` in the pool and what it returns on the loop, after all that was taken before.

        Its `progress` raises `Cancelled` once the session has ended.
        """
        with self._lock:
            self._waiting.append(prepare)
            if self._running:
                return
            self._running = True
        pool().submit(self._run)

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._running = False
                    return
                prepare = self._waiting.popleft()
            try:
                step = prepare(self._progress)
            except Cancelled:
                continue
            except CellassoError as error:
                step = partial(self._failed, sentence_of(error))
            except Exception:  # one step must not end the others; what is not ours is logged in full
                if not is_stopping():  # else its pool ended with the process
                    logger.exception("A step failed")
                step = partial(self._failed, UNEXPECTED)
            self._document_loop.call(step)

    def _progress(self, _fraction: float) -> None:
        if self._ended or is_stopping():
            raise Cancelled("The session has ended.")

    def _end(self, session_context: SessionContext) -> None:  # noqa: ARG002 - Bokeh calls with it
        self._ended = True
        with self._lock:
            self._waiting.clear()


class JobContext(Generic[Result]):
    """What a job tells while it runs: `reports(fraction)`, and `reports.show(result)` before its last word.

    Both raise `Cancelled` once the job is no longer wanted.
    """

    def __init__(self, tell: Callable[[float], None], show: Callable[[Result], None]) -> None:
        self._tell = tell
        self.show = show

    def __call__(self, fraction: float) -> None:
        """Tell the fraction done."""
        self._tell(fraction)


class _Given(NamedTuple):
    """A job that was given, where it runs, its token if it is urgent, and whether it waits for urgent ones."""

    job: Callable[[JobContext[Any]], Any]
    executor: Executor
    token: object | None
    waits: bool


class LatestJob(_Ends, Generic[Result]):
    """Runs the newest of the jobs it is given: an older one still waiting is dropped, one that runs is cancelled.

    Must be made inside a session, and given work once the session is live; what it reports arrives
    there, on the event loop, document locked. With the session it ends.

    Parameters
    ----------
    done
        Called with a job's result, and with what it shows before.
    failed
        Called with a sentence for the user when a job raised.
    progressed
        Called with the fraction done while a job runs.
    outlives_session
        Whether what runs is brought to its end also when the browser goes away, as a file that is being written.
    finishes
        Whether what runs is brought to its end and reported also when a newer job waits: where they come faster than
        they end, none would ever be reported.
    urgency
        Of the session, for jobs that are urgent or may wait for those.
    """

    def __init__(
        self,
        done: Callable[[Result], None],
        failed: Callable[[str], None],
        progressed: Callable[[float], None] | None = None,
        *,
        outlives_session: bool = False,
        finishes: bool = False,
        urgency: Urgency | None = None,
    ) -> None:
        super().__init__()
        self._urgency = urgency
        self._tokens: set[object] = set()  # of its urgent jobs that are under way
        self._outlives_session = outlives_session
        self._finishes = finishes
        self._done = done
        self._failed = failed
        self._progressed = progressed
        self._lock = threading.Lock()
        self._newest = 0
        self._told = 0.0  # when progress was last told
        self._waiting: _Given | None = None
        self._running = False

    @property
    def is_busy(self) -> bool:
        """Whether a job of it runs or waits."""
        with self._lock:
            return self._running or self._waiting is not None

    def submit(
        self, job: Callable[[JobContext[Result]], Result], *, long: bool = False, priority: Priority = "normal"
    ) -> None:
        """Run `job(progress)` in a pool; its `progress` raises `Cancelled` once it is no longer wanted.

        Parameters
        ----------
        long
            Whether it may take seconds, and shall not stand in the way of what is done at once.
        priority
            Whether others wait for it to end, or it for those.
        """
        token = self._urgency.begin() if priority == "urgent" and self._urgency is not None else None
        waits = priority == "when_idle" and self._urgency is not None
        with self._lock:
            if not self._finishes:
                self._newest += 1
            dropped, self._waiting = self._waiting, _Given(job, long_pool() if long else pool(), token, waits)
            if token is not None:
                self._tokens.add(token)
            self._take_up()
        if dropped is not None:
            self._end_token(dropped.token)
        if waits:  # in a step of its own: what is urgent may be about to be given, by the same change
            self._document_loop.call(self._start_when_idle)

    def cancel(self) -> None:
        """Drop what waits and stop what runs; nothing of either is reported."""
        with self._lock:
            self._newest += 1
            self._waiting = None
            tokens = list(self._tokens)
        for token in tokens:
            self._end_token(token)

    def _take_up(self) -> None:
        """Run what waits, unless one runs, which is followed by it."""
        if self._waiting is not None and not self._waiting.waits and not self._running:
            self._running = True
            self._waiting.executor.submit(self._run)

    def _start_when_idle(self) -> None:
        if self._urgency is not None:
            self._urgency.when_idle(self._start)

    def _start(self) -> None:
        with self._lock:
            if self._waiting is not None:
                self._waiting = self._waiting._replace(waits=False)
                self._take_up()

    def _end_token(self, token: object | None) -> None:
        if token is not None and self._urgency is not None:
            with self._lock:
                self._tokens.discard(token)
            self._urgency.end(token)

    def _end(self, session_context: SessionContext) -> None:  # noqa: ARG002 - Bokeh calls with it
        if not self._outlives_session:
            self.cancel()

    def _run(self) -> None:
        with self._lock:
            given, number = self._waiting, self._newest
            if given is not None and given.waits:
                given = None  # it came in the place of one that did not
            else:
                self._waiting = None
        if given is not None:
            self._run_one(given.job, number)
            if given.token is not None:  # after what was reported has been shown
                self._document_loop.call(partial(self._end_token, given.token))
        with self._lock:
            self._running = False
            self._take_up()

    def _run_one(self, job: Callable[[JobContext[Result]], Result], number: int) -> None:
        self._told = time.monotonic()  # what takes less than that has no progress to tell
        try:
            result = job(JobContext(partial(self._progress, number), partial(self._show, number)))
        except Cancelled:
            return
        except CellassoError as error:
            self._report(number, partial(self._failed, sentence_of(error)))
        except Exception:  # a job must not end the others; what is not ours is logged in full
            if not is_stopping():  # else its pool ended with the process
                logger.exception("A job failed")
            self._report(number, partial(self._failed, UNEXPECTED))
        else:
            self._report(number, partial(self._done, result))

    def _progress(self, number: int, fraction: float) -> None:
        if number != self._newest or is_stopping():
            raise Cancelled("A newer request took its place.")
        now = time.monotonic()
        if self._progressed is not None and now - self._told >= PACE:
            self._told = now
            self._report(number, partial(self._progressed, fraction))

    def _show(self, number: int, result: Result) -> None:
        if number != self._newest:
            raise Cancelled("A newer request took its place.")
        self._report(number, partial(self._done, result))

    def _report(self, number: int, callback: Callable[[], None]) -> None:
        def on_loop() -> None:
            if number == self._newest:
                callback()

        try:
            self._document_loop.call(on_loop)
        except Exception:  # as Tornado does with what fails on its loop: the others go on
            logger.exception("A result could not be shown")
