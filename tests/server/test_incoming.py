"""What somebody who speaks Bokeh's protocol can make a server do: what a page may say, and nothing else."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import signal
import socket
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import panel as pn
import pytest
from bokeh.core.property.descriptors import UnsetValueError
from bokeh.document import Document
from bokeh.io.doc import _PATCHED_CURDOCS
from bokeh.models import Plot
from panel.models.esm import ReactiveESM
from tornado.httpclient import AsyncHTTPClient

from cellasso_app.server import incoming
from cellasso_app.server import serve as serving
from cellasso_app.server.access_policy import AccessPolicy
from cellasso_app.server.guard import MAX_LOGGED
from cellasso_app.server.incoming import Incoming, Refused, Unreadable
from cellasso_app.server.open_files import Catalogue
from cellasso_app.server.page import page as page_of
from cellasso_app.ui.component import Component
from cellasso_app.ui.theme import INKS
from served import write_h5ad
from wire import Wire, changed, event, page_token, told, written

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from bokeh.model import Model
    from bokeh.server.server import Server

N_OBS = 60
PATIENCE = 30  # seconds; only a failing test waits so long

pytestmark = pytest.mark.xdist_group("incoming")  # all on one worker: they share the page


class Session:
    """A page of the explorer whose file is open, and the websocket of somebody who means no good."""

    def __init__(self, server: Server, document: Document, wire: Wire) -> None:
        self.server, self.document, self.wire = server, document, wire

    def run(self, job: Callable[[], Awaitable[Any]]) -> Any:
        return self.server.io_loop.run_sync(job, timeout=PATIENCE)

    def until(self, true: Callable[[], Any]) -> None:
        async def wait() -> None:
            end = time.monotonic() + PATIENCE
            while not true():
                assert time.monotonic() < end, "waited in vain"
                await asyncio.sleep(0.01)

        self.run(wait)

    def part(self, name: str) -> ReactiveESM:
        (found,) = (model for model in self.models(ReactiveESM) if model.class_name == name)
        return found

    def models(self, kind: type[Model]) -> list[Any]:
        return [model for model in self.document.models if isinstance(model, kind)]

    def seen(self) -> list[Any]:
        """The document, as a browser gets it that asks for it now, but for what pages may say."""
        content = json.loads(json.dumps(self.run(self.wire.pull), sort_keys=True))
        return content["roots"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("incoming")
    (folder / "exports" / "inner").mkdir(parents=True)
    write_h5ad(folder / "cells.h5ad", N_OBS)
    return folder


@pytest.fixture(scope="module")
def page(folder: Path) -> Iterator[tuple[Server, str]]:
    """The server of a page whose file is open, and the token of its session."""
    interrupt = signal.getsignal(signal.SIGINT)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    catalogue = Catalogue([folder / "cells.h5ad"], index=False)
    server = serving._listen(
        lambda: page_of(catalogue, folder / "exports"), "127.0.0.1", [port], AccessPolicy.of("127.0.0.1")
    )
    server.start()

    async def fetched() -> str:
        return page_token((await AsyncHTTPClient().fetch(f"http://127.0.0.1:{port}/")).body)

    token = server.io_loop.run_sync(fetched, timeout=PATIENCE)
    with opened(server, token) as session:
        assert session.run(lambda: session.wire.patch(event("document_ready"))) == "OK"
        session.until(lambda: session.document.select_one({"name": "opening"}) is None)
        session.until(lambda: session.part("CellsPanel").data.legend)
        session.until(lambda: not session.part("PlotBar").data.busy)
    yield server, token
    server.stop()
    left = asyncio.all_tasks(loop)  # what the pages' last messages set off
    for task in left:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
    for dataset in catalogue._open.values():
        dataset.close()
    loop.close()
    asyncio.set_event_loop(None)
    signal.signal(signal.SIGINT, interrupt)
    pn.state._servers.clear()
    if isinstance(_PATCHED_CURDOCS, list):
        _PATCHED_CURDOCS.clear()


@contextmanager
def opened(server: Server, token: str) -> Iterator[Session]:
    (own,) = server.get_sessions("/")
    wire = server.io_loop.run_sync(lambda: Wire.open(server.port, token), timeout=PATIENCE)
    session = Session(server, own.document, wire)
    yield session
    wire.close()
    session.until(lambda: not own.connection_count)


@pytest.fixture
def session(page: tuple[Server, str]) -> Iterator[Session]:
    with opened(*page) as session:
        yield session


def other(value: Any) -> Any:
    """Another value of the same kind, as JSON."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return value + 1 if math.isfinite(value) else 1
    return f"{value}!" if isinstance(value, str) else []


# -- what is on the page is the server's ----------------------------------------------------------------


def test_no_parameter_of_any_part_can_be_set(session):
    parts = session.models(ReactiveESM)
    assert {part.class_name for part in parts} >= {"SelectionPanel", "AppBar", "PlotBar", "GenesPanel", "CellsLayer"}
    before = session.seen()
    for part in parts:
        own = part.data.properties_with_values(include_defaults=True)
        changes = [changed(part.data.id, name, other(value)) for name, value in own.items()]
        assert len(changes) > 1
        assert session.run(lambda changes=changes: session.wire.patch(*changes)) == "OK"
        assert part.data.properties_with_values(include_defaults=True) == own
    assert session.seen() == before


@pytest.mark.more
def test_no_property_of_any_other_model_can_be_set_but_the_size_of_a_figure(session):
    before = session.seen()
    n = 0
    for model in list(session.document.models):
        own = model.properties_with_values(include_defaults=True)
        plain = {name: value for name, value in own.items() if isinstance(value, (bool, int, float, str, list))}
        changes = [changed(model.id, name, other(value)) for name, value in plain.items() if name not in incoming.SIZES]
        n += len(changes)
        assert session.run(lambda changes=changes: session.wire.patch(*changes)) == "OK"
    assert n > 1000
    assert session.seen() == before


def test_the_size_of_a_figure_is_heard_where_it_is_one(session):
    figure = next(plot for plot in session.models(Plot) if plot.name == "view0")
    assert session.run(lambda: session.wire.patch(changed(figure.id, "inner_width", 321))) == "OK"
    assert figure.inner_width == 321
    for wrong in (-1, 40_000, True, 1.5, "100", None, [1], {"type": "number", "value": "nan"}):
        assert session.run(lambda wrong=wrong: session.wire.patch(changed(figure.id, "inner_width", wrong))) == "OK"
        assert figure.inner_width == 321


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "RootAdded", "model": {"type": "object", "name": "Row", "id": "mine"}},
        {"kind": "RootRemoved", "model": None},
        {"kind": "TitleChanged", "title": "mine"},
        {"kind": "ColumnDataChanged", "model": None, "attr": "data", "data": {}, "cols": None},
        {"kind": "ColumnsStreamed", "model": None, "attr": "data", "data": {}, "rollover": 0},
        {"kind": "ColumnsPatched", "model": None, "attr": "data", "patches": {}},
        {"kind": "no such kind"},
        {},
        "RootAdded",
        None,
    ],
    ids=lambda change: str(change)[:30],
)
def test_no_other_kind_of_change_is_made(session, caplog, change):
    root = session.document.roots[0]
    if isinstance(change, dict) and "model" in change and change["model"] is None:
        change = {**change, "model": {"id": root.id}}
    before = session.seen()
    assert session.run(lambda: session.wire.patch(change)) == "ERROR"
    assert session.seen() == before
    assert session.document.title.startswith("cells.h5ad")
    assert not [record for record in caplog.records if record.exc_info]


def test_the_document_cannot_be_replaced(session, caplog):
    before = session.seen()
    empty = {"version": "3", "title": "mine", "defs": [], "roots": []}
    kind, content = session.run(lambda: _ask(session.wire, "PUSH-DOC", {"doc": empty}))
    assert (kind, content["traceback"]) == ("ERROR", None)
    assert session.seen() == before
    assert not [record for record in caplog.records if record.exc_info]


async def _ask(wire: Wire, kind: str, content: Any) -> tuple[str, Any]:
    return await wire.answer(await wire.send(kind, content))


def test_one_change_that_is_refused_takes_no_other_with_it(session):
    bar = session.part("AppBar")
    changes = [changed(bar.data.id, "n_obs", 1), told(bar.id, {"type": "theme", "dark": True})]
    assert session.run(lambda: session.wire.patch(*changes)) == "OK"
    assert bar.data.n_obs == N_OBS
    figure = next(plot for plot in session.models(Plot) if plot.name == "view0")
    session.until(lambda: figure.xaxis[0].axis_label_text_color == INKS[True].text)


def hostile_events(part: str, figure: str) -> dict[str, Any]:
    deep: Any = "x"
    for _ in range(40):
        deep = [deep]
    return {
        "a model to be made": event("data_event", model={"type": "object", "name": "Row", "id": "mine"}, data=1),
        "a name and more": event("data_event", model={"id": part, "type": "object", "name": "Row"}, data=1),
        "no such model": event("data_event", model={"id": "p9999999"}, data=written({"type": "undo"})),
        "a model that is no part": event("data_event", model={"id": figure}, data=written({"type": "undo"})),
        "a model inside": event("data_event", model={"id": part}, data=[{"id": figure}]),
        "an array": event(
            "data_event", model={"id": part}, data={"type": "ndarray", "shape": [1 << 40], "dtype": "f8"}
        ),
        "deep": told(part, {"type": "undo", "x": deep}),
        "no mapping": event("data_event", model={"id": part}, data={"type": "map", "entries": 1}),
        "another event": event("selectiongeometry", model={"id": figure}, geometry={"type": "map"}, final=True),
        "ready with more": event("document_ready", x=1),
        "a callback": {**changed(figure, "inner_width", 5), "callback_invoker": 1},
        "a message of another kind": {"kind": "MessageSent", "msg_type": "panel", "msg_data": {}},
        "a list for a message": {"kind": "MessageSent", "msg_type": "bokeh_event", "msg_data": []},
    }


@pytest.mark.parametrize("what", sorted(hostile_events("", "")))
def test_what_bokeh_would_stumble_over_changes_nothing(session, caplog, monkeypatch, what):
    heard: list[Any] = []
    monkeypatch.setattr(Component, "receive", lambda _part, data: heard.append(data))
    figure = next(plot for plot in session.models(Plot) if plot.name == "view0")
    before = session.seen()
    change = hostile_events(session.part("AppBar").id, figure.id)[what]
    assert session.run(lambda: session.wire.patch(change)) == "OK"
    assert session.seen() == before
    assert heard == []
    assert not [record for record in caplog.records if record.exc_info]


def test_a_handler_that_fails_tells_nothing_of_the_server_and_ends_nothing(session, caplog):
    def fail(_attr: str, _old: object, _new: object) -> None:
        raise RuntimeError("/home/secret/path")

    figure = next(plot for plot in session.models(Plot) if plot.name == "view0")
    figure.on_change("inner_width", fail)
    change = {"events": [changed(figure.id, "inner_width", figure.inner_width + 1 if _is_laid_out(figure) else 100)]}
    kind, content = session.run(lambda: _ask(session.wire, "PATCH-DOC", change))
    figure.remove_on_change("inner_width", fail)
    assert (kind, content) == (
        "ERROR",
        {"text": "Something went wrong here; the server's log says what.", "traceback": None},
    )
    assert "/home/secret/path" in caplog.text
    assert session.seen()


def _is_laid_out(figure: Plot) -> bool:
    try:
        return figure.inner_width > 0
    except UnsetValueError:
        return False


# -- what is no message ---------------------------------------------------------------------------------

HEADER = json.dumps({"msgid": "x", "msgtype": "PATCH-DOC"})


@pytest.mark.parametrize(
    "fragments",
    [
        ["no JSON"],
        ["[]"],
        ["null"],
        [b"binary"],
        ["[" * 100_000],
        ["{}"],
        ['{"msgid": 1, "msgtype": "PATCH-DOC"}'],
        ['{"msgid": "x", "msgtype": "PATCH-DOC", "num_buffers": 1000000}'],
        ['{"msgid": "x", "msgtype": "PATCH-DOC", "num_buffers": -1}'],
        ['{"msgid": "x", "msgtype": "PATCH-DOC", "num_buffers": true}'],
        [HEADER, "{}", "{"],
        [HEADER, "{}", '{"events": [' + "9" * 10_000 + "]}"],
        [HEADER, "{}", '{"events": [NaN]}'],
        [HEADER, "no JSON", '{"events": []}'],
        ['{"msgid": "x", "msgtype": "PATCH-DOC", "num_buffers": 1}', "{}", "{}", "{}", b""],
        ["x" * (incoming.MAX_BYTES + 1)],
        [HEADER, "{}", json.dumps({"events": ["x" * incoming.MAX_BYTES]})],
        [HEADER, "{}", json.dumps({"events": [[]] * (incoming.MAX_COMMAS + 2)})],
    ],
    ids=lambda fragments: str(fragments[-1])[:40],
)
def test_what_is_no_message_ends_the_connection_and_nothing_else(session, caplog, fragments):
    session.run(lambda: session.wire.send_raw(*fragments))
    assert session.run(session.wire.is_closed)
    assert not [record for record in caplog.records if record.exc_info]
    assert all(len(record.getMessage()) < 500 for record in caplog.records)  # no log is flooded either


def test_fragments_are_told_apart_by_their_order():
    document, taking = Document(), Incoming()
    message = ['{"msgid": "a", "msgtype": "PULL-DOC-REQ"}', "{}", "{}"]
    assert [taking.take(fragment, document) for fragment in message * 2] == [[], [], message] * 2
    with_data = ['{"msgid": "a", "msgtype": "PULL-DOC-REQ", "num_buffers": 1}', "{}", "{}", '{"id": "b"}', b"data"]
    assert [taking.take(fragment, document) for fragment in with_data][-1] == with_data
    with pytest.raises(Refused, match="'ACK'") as caught:
        [taking.take(fragment, document) for fragment in ('{"msgid": "c", "msgtype": "ACK"}', "{}", "{}")]
    assert caught.value.name == "c"
    assert taking.take(message[0], document) == []  # goes on


def test_all_fragments_of_a_message_count():
    taking, document = Incoming(), Document()
    taking.take('{"msgid": "a", "msgtype": "PATCH-DOC", "num_buffers": 16}', document)
    for fragment in ("{}", '{"events": []}', '{"id": "b"}', b"x" * 600_000, '{"id": "c"}'):
        taking.take(fragment, document)
    with pytest.raises(Unreadable, match="more than 1,048,576 bytes"):
        taking.take(b"x" * 600_000, document)


def test_a_message_holds_few_changes(session):
    bar = session.part("AppBar")
    for n, expected in ((incoming.MAX_EVENTS, "OK"), (incoming.MAX_EVENTS + 1, "ERROR")):
        changes = [told(bar.id, {"type": "undo"})] * n
        assert session.run(lambda changes=changes: session.wire.patch(*changes)) == expected


@pytest.mark.more
def test_what_is_refused_does_not_fill_the_log(session, caplog):
    async def storm() -> None:
        for _ in range(100):
            await session.wire.answer(await session.wire.send("no such kind", {}))

    session.run(storm)
    assert len([record for record in caplog.records if record.levelno >= logging.WARNING]) <= MAX_LOGGED + 1


# -- the attack -------------------------------------------------------------------------------------------


def select(session: Session) -> None:
    """Select the cells of a category, as a click on the legend does."""
    panel = session.part("CellsPanel")
    label = panel.data.legend["rows"][0]["label"]
    message = {"type": "category", "column": panel.data.active, "label": label, "operation": "replace"}
    assert session.run(lambda: session.wire.tell(panel.id, message)) == "OK"
    session.until(lambda: session.part("SelectionPanel").data.n_selected)


def test_an_export_cannot_be_led_out_of_its_folder(session, folder):
    select(session)
    victim = folder / "victim.h5ad"
    victim.write_bytes(b"precious")
    panel = session.part("SelectionPanel")
    outside = "zarr/../../victim.h5ad"
    changes = [
        changed(panel.data.id, "format", outside),
        changed(panel.data.id, "formats", [{"value": outside, "label": ""}]),
        changed(panel.data.id, "file_name", outside),
        changed(panel.data.id, "export", {"state": "exists", "name": "inner"}),
    ]
    session.run(lambda: session.wire.patch(*changes))
    for message in ({"type": "format", "value": outside, "name": "inner"}, {"type": "replace"}):
        session.run(lambda message=message: session.wire.tell(panel.id, message))
    assert panel.data.export["state"] == "idle"
    session.run(lambda: session.wire.tell(panel.id, {"type": "export", "name": "inner"}))
    session.until(lambda: panel.data.export["state"] == "done")
    assert panel.data.export["path"] == str(folder / "exports" / "inner.h5ad")
    for name in (outside, "../victim.h5ad", str(victim), "inner/../../victim.h5ad"):
        session.run(lambda name=name: session.wire.tell(panel.id, {"type": "export", "name": name}))
        session.until(lambda: panel.data.export["state"] == "failed")
        assert "is not a plain file name" in panel.data.export["message"]
    assert victim.read_bytes() == b"precious"
    assert {path.name for path in (folder / "exports").iterdir()} == {"inner", "inner.h5ad"}


def test_a_polygon_of_ten_thousand_corners_is_taken_and_one_more_is_refused_in_a_sentence(session):
    layer, status, panel = (session.part(name) for name in ("CellsLayer", "StatusLine", "SelectionPanel"))
    session.run(lambda: session.wire.tell(layer.id, {"type": "clear"}))
    session.until(lambda: panel.data.n_selected is None)
    corners = [[(-1e6, 1e6)[n % 2], float(n % 4 > 1) * 2e6 - 1e6] for n in range(10_001)]
    session.run(lambda: session.wire.tell(layer.id, {"type": "polygon", "polygon": corners}))
    session.until(lambda: status.data.warning)
    assert status.data.warning == (
        "This stroke has 10,001 corners; at most 10,000 are taken. Draw it in parts: Shift adds to what is selected."
    )
    assert panel.data.n_selected is None
    square = [[-1e6, -1e6], [1e6, -1e6], [1e6, 1e6]] + [[-1e6, 1e6]] * 9_997
    session.run(lambda: session.wire.tell(layer.id, {"type": "polygon", "polygon": square}))
    session.until(lambda: panel.data.n_selected == N_OBS)


def test_a_text_that_is_too_long_is_refused_in_a_sentence(session):
    genes = session.part("GenesPanel")
    for message, sentence in (
        ({"type": "add", "gene": "x" * 20_001}, "What was entered has 20,001 characters; at most 20,000 are taken."),
        ({"type": "search", "text": "x" * 201, "number": 1}, "A gene is searched for by at most 200 characters"),
    ):
        session.run(lambda message=message: session.wire.tell(genes.id, message))
        session.until(lambda sentence=sentence: sentence in genes.data.message)
