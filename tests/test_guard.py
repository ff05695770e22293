"""Who is let in: by the name a request is addressed to, by token, and what the answers say and allow."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import socket
from typing import TYPE_CHECKING

import panel as pn
import pytest
from bokeh.io.doc import _PATCHED_CURDOCS
from bokeh.protocol import Protocol
from bokeh.server.contexts import ApplicationContext
from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect

from cellasso_app import server as serving
from cellasso_app.components import Notice
from cellasso_app.guard import Door
from cellasso_app.work import UNEXPECTED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bokeh.server.server import Server
    from tornado.httpclient import HTTPResponse

TOKEN = "a-token-of-the-test"
REBOUND = ["evil.example", "evil.example:5006", "localhost.evil.example", "127.0.0.1.nip.io", "", "[::2", "127.0.0.2"]
REBOUND += ["127.0.0.1#.evil.example", "x@127.0.0.1", "localhost/evil.example"]


@pytest.fixture
def listening() -> Iterator[Callable[[Door], Server]]:
    """A server behind a door, whose loop runs while the test asks for something."""
    interrupt = signal.getsignal(signal.SIGINT)
    made = asyncio.new_event_loop()
    asyncio.set_event_loop(made)
    started: list[Server] = []

    def start(door: Door, build=lambda: Notice(text="the page")) -> Server:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        started.append(serving._listen(build, "127.0.0.1", [port], door))
        started[-1].start()
        return started[-1]

    yield start
    for server in started:
        server.stop()
    made.close()
    asyncio.set_event_loop(None)
    signal.signal(signal.SIGINT, interrupt)
    pn.state._servers.clear()
    if isinstance(_PATCHED_CURDOCS, list):  # before 3.10 Bokeh left the document of a message that failed in there
        _PATCHED_CURDOCS.clear()


def ask(server: Server, path: str = "/", **headers: str) -> HTTPResponse:
    async def fetch() -> HTTPResponse:
        url = f"http://127.0.0.1:{server.port}{path}"
        request = HTTPRequest(url, headers=headers, follow_redirects=False)
        return await AsyncHTTPClient().fetch(request, raise_error=False)

    return server.io_loop.run_sync(fetch)


def page_token(answer: HTTPResponse) -> str:
    """Bokeh's token of the session, as its script finds it in the page."""
    return json.loads(re.search(rb'"token":("[^"]+")', answer.body).group(1))


def connect(server: Server, token: str, **headers: str) -> str:
    """Open the websocket of a session; return the kind of its first message, or the status it was refused with."""

    async def opened() -> str:
        url = f"ws://127.0.0.1:{server.port}/ws"
        try:
            socket = await websocket_connect(HTTPRequest(url, headers=headers), subprotocols=["bokeh", token])
        except HTTPClientError as error:
            return str(error.code)
        first = await socket.read_message()
        socket.close()
        return json.loads(first)["msgtype"] if first is not None else "closed"

    return server.io_loop.run_sync(opened)


# -- names ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:9000", "localhost", "LOCALHOST:1", "localhost.", "[::1]", "[::1]:5006"]
)
def test_this_machines_own_names_are_known_at_any_port(host):
    assert Door.of("127.0.0.1").knows(host)


@pytest.mark.parametrize("host", REBOUND)
def test_other_names_are_not(host):
    assert not Door.of("127.0.0.1").knows(host)


def test_the_address_and_allowed_names_are_known():
    door = Door.of("192.0.2.7", ["Cells.Example.org", "[2001:db8::1]"])
    assert all(map(door.knows, ["192.0.2.7:5006", "cells.example.org", "[2001:DB8::1]:80", "localhost"]))
    assert not any(map(door.knows, ["192.0.2.8", "example.org", "x.cells.example.org"]))


@pytest.mark.parametrize("address", ["0.0.0.0", "::"])
def test_at_all_interfaces_any_address_is_known_and_no_foreign_name(address):
    door = Door.of(address)
    assert all(map(door.knows, ["192.0.2.8:5006", "[2001:db8::9]", "127.0.0.2", socket.gethostname()]))
    assert not any(map(door.knows, ["evil.example", ""]))


@pytest.mark.parametrize(
    "path", ["/", "/ws", "/static/js/bokeh.min.js", "/autoload.js", "/metadata", "/favicon.ico", "/x"]
)
def test_a_request_under_a_foreign_name_is_refused_everywhere_in_one_sentence(listening, path):
    answer = ask(listening(Door.of("127.0.0.1")), path, Host="evil.example:5006")
    assert answer.code == 403
    assert answer.body.decode() == (
        "This server is not called 'evil.example:5006'. If it should be, start it with --allow-host and that name."
    )
    assert answer.headers["Content-Type"].startswith("text/plain")


def test_an_allowed_name_is_let_in(listening):
    assert ask(listening(Door.of("127.0.0.1", ["cells.example.org"])), Host="cells.example.org").code == 200


def test_a_websocket_is_opened_from_the_page_itself_alone(listening):
    server = listening(Door.of("127.0.0.1"))
    here = f"127.0.0.1:{server.port}"
    for headers, expected in (
        ({"Origin": f"http://{here}"}, "ACK"),
        ({"Host": "localhost:9000", "Origin": "http://localhost:9000"}, "ACK"),  # through a tunnel
        ({"Origin": "http://evil.example"}, "403"),
        ({"Host": "evil.example", "Origin": "http://evil.example"}, "403"),  # a rebound name: Tornado lets it pass
    ):
        token = page_token(ask(server))
        assert connect(server, token, **headers) == expected


def test_a_session_that_the_server_did_not_begin_is_refused(listening):
    from bokeh.util.token import generate_jwt_token, generate_session_id

    server = listening(Door.of("127.0.0.1"))
    forged = generate_jwt_token(generate_session_id(signed=False), signed=False)
    assert connect(server, forged, Origin=f"http://127.0.0.1:{server.port}") in {"403", "closed"}


# -- token ----------------------------------------------------------------------------------------------


def test_without_the_token_nothing_is_served(listening):
    server = listening(Door.of("127.0.0.1", token=TOKEN))
    for path in ("/", "/?token=", "/?token=wrong", "/static/js/bokeh.min.js", "/ws", f"/ws?token={TOKEN}"):
        answer = ask(server, path)
        assert answer.code == 403
        assert answer.body.decode().startswith("This page needs a token: open the whole address")
    assert ask(server, Cookie=f"cellasso-{server.port}=wrong").code == 403


def test_the_token_in_the_address_becomes_a_cookie_and_leaves_the_address(listening):
    server = listening(Door.of("127.0.0.1", token=TOKEN))
    answer = ask(server, f"/?file=a%20b.h5ad&token={TOKEN}")
    assert (answer.code, answer.headers["Location"]) == (302, "/?file=a+b.h5ad")
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith(f"cellasso-{server.port}={TOKEN};")
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    shown = cookie.partition(";")[0]
    page = ask(server, Cookie=shown)
    assert page.code == 200
    token, origin = page_token(page), f"http://127.0.0.1:{server.port}"
    assert connect(server, token, Origin=origin) == "403"
    assert connect(server, page_token(ask(server, Cookie=shown)), Origin=origin, Cookie=shown) == "ACK"


def test_a_foreign_name_is_refused_with_the_token_too(listening):
    server = listening(Door.of("127.0.0.1", token=TOKEN))
    assert ask(server, f"/?token={TOKEN}", Host="evil.example").code == 403


# -- answers --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "code"), [("/", 200), ("/nothing", 404), ("/static/../../x", 403), ("/autoload.js", 400)]
)
def test_every_answer_forbids_scripts_in_attributes_and_foreign_frames(listening, path, code):
    answer = ask(listening(Door.of("127.0.0.1")), path)
    policy = answer.headers["Content-Security-Policy"]
    assert "script-src-attr 'none'" in policy
    assert "frame-ancestors 'self'" in policy
    assert "http" not in policy
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_a_failing_page_tells_nothing_of_the_server(listening, monkeypatch, caplog, tmp_path):
    def fail(*_arguments: object) -> None:
        raise RuntimeError("/home/secret/path")

    monkeypatch.setattr(serving, "page", fail)
    shown = serving.page_or_notice(serving.Catalogue([]), tmp_path)
    assert shown.text == UNEXPECTED
    assert "/home/secret/path" in caplog.text


def test_a_failing_request_tells_nothing_of_the_server(listening, monkeypatch, caplog):
    def fail(*_arguments: object, **_options: object) -> None:
        raise RuntimeError("/home/secret/path")

    monkeypatch.setattr(ApplicationContext, "create_session_if_needed", fail)
    answer = ask(listening(Door.of("127.0.0.1")))
    assert answer.code == 500
    assert answer.body.decode() == "Something went wrong here; the server's log says what."
    assert "/home/secret/path" in caplog.text


def test_a_failing_message_tells_nothing_of_the_server(listening, caplog):
    server = listening(Door.of("127.0.0.1"))
    token = page_token(ask(server))

    async def answered() -> list[str]:
        url = f"ws://127.0.0.1:{server.port}/ws"
        request = HTTPRequest(url, headers={"Origin": f"http://127.0.0.1:{server.port}"})
        socket = await websocket_connect(request, subprotocols=["bokeh", token])
        for _ in range(3):
            await socket.read_message()  # the acknowledgement
        message = Protocol().create("PULL-DOC-REQ")
        message.header["msgtype"] = "PATCH-DOC"
        for fragment in (message.header_json, message.metadata_json, '{"events": [{"kind": "no such kind"}]}'):
            await socket.write_message(fragment)
        fragments = [await socket.read_message() for _ in range(3)]
        socket.close()
        return fragments

    header, _, content = server.io_loop.run_sync(answered)
    assert json.loads(header)["msgtype"] == "ERROR"
    assert json.loads(content) == {"text": "Something went wrong here; the server's log says what.", "traceback": None}
