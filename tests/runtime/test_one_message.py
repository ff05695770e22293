"""What a step changes reaches the browser as one message; nobody hears of what he changed himself."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from bokeh.document import Document
from bokeh.models import Range1d
from bokeh.protocol import Protocol
from bokeh.server.session import ServerSession
from tornado.ioloop import IOLoop

from cellasso_app.runtime.document_loop import batched_updates
from cellasso_app.runtime.one_message import IS_KNOWN

pytestmark = pytest.mark.skipif(not IS_KNOWN, reason="with this Bokeh each change is a message of its own")


class Browser:
    """A connection that keeps what it is sent."""

    def __init__(self) -> None:
        self.protocol = Protocol()
        self.received: list[list[tuple[str, Any]]] = []
        self._socket = self

    def send_message(self, message: Any) -> None:
        events = message.content["events"]
        self.received.append([(event.get("attr", event["kind"]), event.get("new")) for event in events])

    def send_patch_document(self, event: Any) -> None:
        self.send_message(self.protocol.create("PATCH-DOC", [event]))


@pytest.fixture
def served() -> Any:
    """A document with a range, its session, and two browsers of it."""
    document, model = Document(), Range1d(start=0, end=1)
    document.add_root(model)
    loop = IOLoop(make_current=False)
    session = ServerSession("name", document, io_loop=loop)
    context = SimpleNamespace(session=session)
    document._session_context = lambda: context
    browsers = [Browser(), Browser()]
    session._subscribed_connections.update(browsers)
    session._pending_writes = []  # as where the document is locked
    yield SimpleNamespace(document=document, model=model, session=session, browsers=browsers)
    loop.close()


def test_all_changes_of_a_step_are_one_message(served):
    with batched_updates(served.document):
        served.model.end = 5
        served.model.start = 2
        served.model.end = 7
    assert [browser.received for browser in served.browsers] == [[[("end", 7), ("start", 2)]]] * 2  # of each the last
    assert len(served.session._pending_writes) == 2  # Bokeh waits for them


def test_a_step_that_changes_nothing_sends_nothing_and_the_next_change_is_sent_as_ever(served):
    with batched_updates(served.document):
        pass
    assert served.browsers[0].received == []
    served.model.end = 3
    assert served.browsers[0].received == [[("end", 3)]]


def test_changes_are_sent_also_where_a_step_fails(served):
    def fail() -> None:
        with batched_updates(served.document):
            served.model.end = 5
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    assert served.browsers[0].received == [[("end", 5)]]
    served.model.end = 6
    assert served.browsers[0].received[1:] == [[("end", 6)]]


def test_a_browser_does_not_hear_of_what_it_changed_itself(served):
    teller, other = served.browsers
    served.session._current_patch_connection = teller
    with batched_updates(served.document):
        served.model.set_from_json("end", 9, setter=served.session)
        served.model.start = 1
    assert teller.received == [[("start", 1)]]
    assert other.received == [[("end", 9)], [("start", 1)]]


def test_a_callback_that_a_step_adds_is_the_sessions(served):
    called = []
    with batched_updates(served.document):
        callback = served.document.add_next_tick_callback(lambda: called.append(1))
    assert served.browsers[0].received == []
    served.document.remove_next_tick_callback(callback)  # it knows it
