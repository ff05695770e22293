"""From any thread to a session's event loop: what changes the page runs there, document locked, and is sent as one."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import panel as pn
from bokeh.io import curdoc

from cellasso_app.runtime.one_message import unhold_as_one

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bokeh.document import Document
    from bokeh.server.contexts import BokehServerContext
    from tornado.ioloop import IOLoop


def when_live(callback: Callable[[], None]) -> None:
    """Run `callback` when the browser has the page, at once if it has it already, or if there is no browser.

    What a thread hands to a session that is still being made is lost.
    """
    if curdoc().session_context is None:
        callback()
    else:
        pn.state.onload(partial(DocumentLoop().call, callback))


@contextmanager
def batched_updates(document: Document) -> Iterator[None]:
    """Send the browser what a document changes by in here when it is left, as one, by Bokeh's own way.

    Panel writes each change to the socket at once, or, when Bokeh is writing, later; of those for later the last
    can stay behind (Panel 1.9: `_dispatch_msgs` ends a block that a newer message relies on). While a document is
    held Panel leaves the writing to Bokeh, which waits its turn and keeps the order.
    """
    if document.session_context is None or document.callbacks.hold_value is not None:
        yield
        return
    document.hold()
    try:
        yield
    finally:
        unhold_as_one(document)


class DocumentLoop:
    """Runs steps of a session on its event loop, in the order they are given, document locked; from any thread.

    Must be made inside a session. Without one (a notebook's or a test's document) a step runs at once.
    """

    def __init__(self) -> None:
        self.document = curdoc()
        self._loop = _loop_of(self.document)

    def call(self, step: Callable[[], None]) -> None:
        """Run `step()` on the loop; what it changes reaches the browser together."""
        if self._loop is None:
            step()
        else:  # the document itself is for the loop alone: what a thread adds while it is held can be lost
            self._loop.add_callback(self._schedule, step)

    def _schedule(self, step: Callable[[], None]) -> None:
        if self.document.session_context is not None:  # else the browser went away meanwhile
            self.document.add_next_tick_callback(partial(self._run, step))

    def _run(self, step: Callable[[], None]) -> None:
        with batched_updates(self.document):
            step()


def _loop_of(document: Document) -> IOLoop | None:
    """Return the event loop of a document's session; `None` without one."""
    if document.session_context is None:
        return None
    server = cast("BokehServerContext", document.session_context.server_context)  # the only one that Bokeh makes
    application: Any = server.application_context  # versions of Bokeh differ in what they say of its loop
    loop: IOLoop | None = None if application is None else application.io_loop
    return loop
