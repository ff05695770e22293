"""What a step changes on the page, sent as one message.

Bokeh sends a message for each property that changes, and reckons for each which models the browser knows: of the CPU
that colouring by another column took, its ten messages were a fifth (tests/benchmarks/steps.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import bokeh

if TYPE_CHECKING:
    from bokeh.document import Document

IS_KNOWN = tuple(map(int, bokeh.__version__.split(".")[:2])) < (3, 10)
"""Whether Bokeh's sessions are those that this was tried with; with others each change is a message of its own."""


class _Gathered:
    """Receives what a document tells its session of changes: keeps what is for the browser, hands the rest on."""

    def __init__(self, session: Any) -> None:
        self.events: list[Any] = []
        self._document_patched = self.events.append
        self._session_callback_added = session._session_callback_added  # noqa: SLF001 - Bokeh's receivers are known by these
        self._session_callback_removed = session._session_callback_removed  # noqa: SLF001


def unhold_as_one(document: Document) -> None:
    """Send what a document changed while it was held; in the order of the changes, as one message a browser.

    Must be called with the document locked, as any change of it.
    """
    context: Any = document.session_context
    session = getattr(context, "session", None)
    if (
        not IS_KNOWN or session is None or not hasattr(session, "_pending_writes")
    ):  # a notebook's, or one that is still being made
        document.unhold()
        return
    gathered = _Gathered(session)
    document.callbacks.remove_on_change(session)
    document.callbacks.on_change_dispatch_to(gathered)
    try:
        document.unhold()
    finally:
        document.callbacks.remove_on_change(gathered)
        document.callbacks.on_change_dispatch_to(session)
        _send(session, gathered.events)


def _send(session: Any, events: list[Any]) -> None:
    """Send changes to the browsers of a session; one that made a change itself hears of it no more."""
    if any(event.setter is session for event in events) or session._pending_writes is None:  # noqa: SLF001
        for event in events:
            session._document_patched(event)  # noqa: SLF001 - which leaves that one out, or says what is wrong
        return
    if events:
        for connection in session._subscribed_connections:  # noqa: SLF001
            message = connection.protocol.create("PATCH-DOC", events)
            session._pending_writes.append(connection._socket.send_message(message))  # noqa: SLF001
