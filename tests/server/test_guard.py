"""Who is let in: by the name a request is addressed to, by token, and what the answers say and allow."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import socket
import sys
from typing import TYPE_CHECKING

import panel as pn
import pytest
from bokeh.io.doc import _PATCHED_CURDOCS
from bokeh.protocol import Protocol
from bokeh.server.contexts import ApplicationContext
from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from cellasso_app.panels.opening.component import Notice
from cellasso_app.runtime.jobs import UNEXPECTED
from cellasso_app.server import guard as guarding
from cellasso_app.server import serve as serving
from cellasso_app.server.access_policy import AccessPolicy
from cellasso_app.server.open_files import Catalogue
from cellasso_app.server.page import page_or_notice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bokeh.server.server import Server
    from tornado.httpclient import HTTPResponse

TOKEN = "a-token-of-the-test"
REBOUND = ["evil.example", "evil.example:5006", "localhost.evil.example", "127.0.0.1.nip.io", "", "[::2", "127.0.0.2"]
REBOUND += ["127.0.0.1#.evil.example", "x@127.0.0.1", "localhost/evil.example", "*", "[::1]:99999", "127.0.0.1:65536"]
REBOUND += ["::1", "[::1%25lo]", "[127.0.0.1]", "127.0.0.1:x"]


@pytest.fixture
def listening() -> Iterator[Callable[[AccessPolicy], Server]]:
    """A server behind a policy, whose loop runs while the test asks for something."""
    interrupt = signal.getsignal(signal.SIGINT)
    made = asyncio.new_event_loop()
    asyncio.set_event_loop(made)
    started: list[Server] = []

    def start(policy: AccessPolicy, build=lambda: Notice(text="the page")) -> Server:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        started.append(serving._listen(build, "127.0.0.1", [port], policy))
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


def ask(server: Server, path: str = "/", method: str = "GET", **headers: str) -> HTTPResponse:
    async def fetch() -> HTTPResponse:
        url = f"http://127.0.0.1:{server.port}{path}"
        request = HTTPRequest(url, method, headers=headers, follow_redirects=False)
        return await AsyncHTTPClient().fetch(request, raise_error=False)

    return server.io_loop.run_sync(fetch)


def page_token(answer: HTTPResponse) -> str:
    """Bokeh's token of the session, as its script finds it in the page."""
    return json.loads(re.search(rb'"token":("[^"]+")', answer.body).group(1))


async def closed(socket: WebSocketClientConnection) -> None:
    """Close a websocket and wait until it is: the loop may not run again."""
    socket.close()
    while await socket.read_message() is not None:
        pass


def connect(server: Server, token: str, **headers: str) -> str:
    """Open the websocket of a session; return the kind of its first message, or the status it was refused with."""

    async def opened() -> str:
        url = f"ws://127.0.0.1:{server.port}/ws"
        try:
            socket = await websocket_connect(HTTPRequest(url, headers=headers), subprotocols=["bokeh", token])
        except HTTPClientError as error:
            return str(error.code)
        first = await socket.read_message()
        await closed(socket)
        return json.loads(first)["msgtype"] if first is not None else "closed"

    return server.io_loop.run_sync(opened)


# -- names ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.0.0.1:9000", "localhost", "LOCALHOST:1", "localhost.", "[::1]", "[::1]:5006", "[0:0:0:0::1]"],
)
def test_this_machines_own_names_are_known_at_any_port(host):
    assert AccessPolicy.of("127.0.0.1").knows(host)


@pytest.mark.parametrize("host", REBOUND)
def test_other_names_are_not(host):
    assert not AccessPolicy.of("127.0.0.1").knows(host)


def test_the_address_and_allowed_names_are_known():
    policy = AccessPolicy.of("192.0.2.7", ["Cells.Example.org", "[2001:db8::1]"])
    assert all(map(policy.knows, ["192.0.2.7:5006", "cells.example.org", "[2001:DB8::1]:80", "localhost"]))
    assert not any(map(policy.knows, ["192.0.2.8", "example.org", "x.cells.example.org"]))


@pytest.mark.parametrize("address", ["0.0.0.0", "::"])
def test_at_all_interfaces_any_address_is_known_and_no_foreign_name(address):
    policy = AccessPolicy.of(address)
    assert all(map(policy.knows, ["192.0.2.8:5006", "[2001:db8::9]", "127.0.0.2", socket.gethostname()]))
    assert not any(map(policy.knows, ["evil.example", ""]))


ADMITTED = [
    ("http://127.0.0.1:5006", "127.0.0.1:5006", True),
    ("http://localhost:9000", "localhost:9000", True),  # through a tunnel
    ("http://[::1]:5006", "[::1]:5006", True),
    ("http://127.0.0.1", "127.0.0.1", True),
    ("http://127.0.0.1:80", "127.0.0.1", True),
    ("http://127.0.0.1:8000", "127.0.0.1:5006", False),  # another program on this machine
    ("http://127.0.0.1", "127.0.0.1:5006", False),
    ("http://localhost:5006", "127.0.0.1:5006", False),
    ("https://127.0.0.1:5006", "127.0.0.1:5006", False),
    ("http://evil.example", "127.0.0.1:5006", False),
    ("http://evil.example:5006", "evil.example:5006", False),
    ("null", "127.0.0.1:5006", False),
    ("file://", "127.0.0.1:5006", False),
    ("http://[::1", "127.0.0.1:5006", False),
    ("http://127.0.0.1:5006/x", "127.0.0.1:5006", False),
    ("http://x@127.0.0.1:5006", "127.0.0.1:5006", False),
    ("", "127.0.0.1:5006", False),
]


@pytest.mark.parametrize(("origin", "host", "admitted"), ADMITTED)
def test_of_an_origin_scheme_host_and_port_are_compared(origin, host, admitted):
    assert AccessPolicy.of("127.0.0.1").takes(origin, "http", host) is admitted


@pytest.mark.parametrize(
    ("allowed", "origin", "host", "admitted"),
    [
        ("cells.example.org", "https://cells.example.org", "cells.example.org", True),  # the proxy hands the name on
        ("cells.example.org", "https://cells.example.org", "127.0.0.1:5006", True),  # or does not
        ("cells.example.org", "http://cells.example.org", "127.0.0.1:5006", True),
        ("cells.example.org", "http://cells.example.org:5006", "cells.example.org:5006", True),  # no proxy
        ("cells.example.org", "https://cells.example.org:8443", "cells.example.org:8443", True),
        ("cells.example.org", "https://cells.example.org:8443", "127.0.0.1:5006", False),  # something else there
        ("cells.example.org", "https://cells.example.org:8443", "cells.example.org", False),
        ("cells.example.org:8443", "https://cells.example.org:8443", "cells.example.org", True),
        ("cells.example.org:8443", "https://cells.example.org:8443", "127.0.0.1:5006", True),
        ("cells.example.org:8443", "https://cells.example.org", "127.0.0.1:5006", False),
        ("cells.example.org", "https://x.cells.example.org", "127.0.0.1:5006", False),
        ("cells.example.org", "https://127.0.0.1:5006", "127.0.0.1:5006", False),
        ("[2001:db8::1]:8443", "https://[2001:DB8::1]:8443", "[2001:db8::1]:8443", True),
        ("*.example.org", "https://cells.example.org", "cells.example.org", True),
        ("*.example.org", "https://example.com", "cells.example.org", False),
        ("*", "https://any.example:1234", "other.example", True),
    ],
)
def test_behind_a_proxy_pages_come_from_the_allowed_name(allowed, origin, host, admitted):
    assert AccessPolicy.of("127.0.0.1", [allowed]).takes(origin, "http", host) is admitted


@pytest.mark.parametrize(
    "path", ["/", "/ws", "/static/js/bokeh.min.js", "/autoload.js", "/metadata", "/favicon.ico", "/x"]
)
def test_a_request_under_a_foreign_name_is_refused_everywhere_in_one_sentence(listening, path):
    answer = ask(listening(AccessPolicy.of("127.0.0.1")), path, Host="evil.example:5006")
    assert answer.code == 403
    assert answer.body.decode() == (
        "This server is not called 'evil.example:5006'. If it should be, start it with --allow-host and that name."
    )
    assert answer.headers["Content-Type"].startswith("text/plain")


def test_an_allowed_name_is_let_in(listening):
    assert ask(listening(AccessPolicy.of("127.0.0.1", ["cells.example.org"])), Host="cells.example.org").code == 200


def test_a_websocket_is_opened_from_the_page_itself_alone(listening):
    server = listening(AccessPolicy.of("127.0.0.1"))
    here = f"127.0.0.1:{server.port}"
    for headers, expected in (
        ({"Origin": f"http://{here}"}, "ACK"),
        ({"Host": "localhost:9000", "Origin": "http://localhost:9000"}, "ACK"),  # through a tunnel
        ({"Origin": "http://evil.example"}, "403"),
        ({"Origin": f"http://127.0.0.1:{server.port + 1}"}, "403"),  # another program on this machine
        ({"Origin": f"https://{here}"}, "403"),
        ({"Origin": "null"}, "403"),
        ({"Host": "evil.example", "Origin": "http://evil.example"}, "403"),  # a rebound name: Tornado lets it pass
    ):
        token = page_token(ask(server))
        assert connect(server, token, **headers) == expected


def test_a_session_that_the_server_did_not_begin_is_refused(listening):
    from bokeh.util.token import generate_jwt_token, generate_session_id

    server = listening(AccessPolicy.of("127.0.0.1"))
    forged = generate_jwt_token(generate_session_id(signed=False), signed=False)
    assert connect(server, forged, Origin=f"http://127.0.0.1:{server.port}") == "403"


@pytest.mark.parametrize("token", ["x", "x.y", "e30", "e30.e30", "." * 40, "eyJzZXNzaW9uX2lkIjoxfQ"])
def test_what_is_no_session_is_refused_before_the_websocket_is_opened(listening, caplog, token):
    server = listening(AccessPolicy.of("127.0.0.1"))
    assert connect(server, token, Origin=f"http://127.0.0.1:{server.port}") == "403"
    assert not [record for record in caplog.records if record.exc_info]


# -- token ----------------------------------------------------------------------------------------------


def test_without_the_token_nothing_is_served(listening):
    server = listening(AccessPolicy.of("127.0.0.1", token=TOKEN))
    for path in ("/", "/?token=", "/?token=wrong", "/static/js/bokeh.min.js", "/ws", f"/ws?token={TOKEN}"):
        answer = ask(server, path)
        assert answer.code == 403
        assert answer.body.decode().startswith("This page needs a token: open the whole address")
    assert ask(server, Cookie=f"cellasso-{server.port}=wrong").code == 403


def cookie_of(server: Server) -> str:
    """What a browser keeps and shows of the cookie that it is given for the token."""
    return ask(server, f"/?token={TOKEN}").headers["Set-Cookie"].partition(";")[0]


def test_the_token_in_the_address_becomes_a_cookie_and_leaves_the_address(listening):
    server = listening(AccessPolicy.of("127.0.0.1", token=TOKEN))
    answer = ask(server, f"/?file=a%20b.h5ad&token={TOKEN}")
    assert (answer.code, answer.headers["Location"]) == (302, "/?file=a+b.h5ad")
    assert TOKEN not in str(list(answer.headers.get_all()))
    name, *about = answer.headers["Set-Cookie"].split("; ")
    assert name.startswith(f"cellasso-{server.port}=")
    assert set(about) == {"HttpOnly", "Path=/", "SameSite=Strict"}
    page = ask(server, Cookie=name)
    assert page.code == 200
    origin = f"http://127.0.0.1:{server.port}"
    assert connect(server, page_token(page), Origin=origin) == "403"
    assert connect(server, page_token(ask(server, Cookie=name)), Origin=origin, Cookie=name) == "ACK"


def test_a_browser_is_sent_on_by_a_page_so_that_it_shows_the_strict_cookie(listening):
    server = listening(AccessPolicy.of("127.0.0.1", token=TOKEN))
    answer = ask(server, f"/?file=a&token={TOKEN}", Accept="text/html,*/*;q=0.8")
    assert (answer.code, answer.headers["Refresh"]) == (200, "0; url=/?file=a")
    assert "SameSite=Strict" in answer.headers["Set-Cookie"]
    assert TOKEN not in answer.body.decode()


@pytest.mark.parametrize("shown", [TOKEN, "wrong"])
def test_the_whole_address_opened_once_more_leaves_the_address_too(listening, shown):
    server = listening(AccessPolicy.of("127.0.0.1", token=TOKEN))
    answer = ask(server, f"/?%74oken={shown}&file=a", Cookie=cookie_of(server))
    assert (answer.code, answer.headers["Location"]) == (302, "/?file=a")


@pytest.mark.parametrize("path", ["//evil.example/", "/\\evil.example/", "///evil.example", "//evil.example/%2f.."])
def test_nobody_is_sent_to_another_machine(listening, path):
    server = listening(AccessPolicy.of("127.0.0.1", token=TOKEN))
    there = ask(server, f"{path}?token={TOKEN}").headers["Location"]
    assert re.match(r"/[^/\\]", there)


def test_the_cookie_is_of_one_server(listening):
    """Cookies know no ports: another server on this machine, even one of the same token, is shown it, too."""
    one, other = (listening(AccessPolicy.of("127.0.0.1", token=TOKEN)) for _ in range(2))
    name, _, value = cookie_of(one).partition("=")
    assert TOKEN not in value
    assert value != cookie_of(other).partition("=")[2]
    for shown in (f"{name}={value}", f"cellasso-{other.port}={value}"):
        assert ask(other, Cookie=shown).code == 403
        assert ask(other, Cookie=shown, Host=f"127.0.0.1:{one.port}").code == 403


def test_another_token_asks_again_and_old_cookies_do_not_stand_in_its_way(listening):
    old, new = (
        listening(AccessPolicy.of("127.0.0.1", token="an-older-token")),
        listening(AccessPolicy.of("127.0.0.1", token=TOKEN)),
    )
    kept = ask(old, "/?token=an-older-token").headers["Set-Cookie"].partition(";")[0].partition("=")[2]
    stale = f"cellasso-{new.port}={kept}"
    assert ask(new, Cookie=stale).code == 403
    assert ask(new, f"/?token={TOKEN}", Cookie=stale).code == 302
    assert ask(new, Cookie=f"{stale}; {cookie_of(new)}").code == 200
    assert ask(new, Cookie=f"{cookie_of(new)}; {stale}").code == 200  # put there by another program


def test_neither_token_nor_cookie_is_where_scripts_or_logs_have_it(listening, caplog):
    from bokeh.util.token import get_token_payload

    caplog.set_level("DEBUG")
    caplog.set_level("DEBUG", "tornado.access")  # which Dask, once imported by another test, silences
    server = listening(AccessPolicy.of("127.0.0.1", token=TOKEN))
    cookie = cookie_of(server)
    for path in (f"/?token={TOKEN}", f"/nothing?token={TOKEN}", f"/ws?token={TOKEN}", f"/?file=a&%74oken={TOKEN}x"):
        ask(server, path, Cookie="other=1")
    page = ask(server, "/?file=a", Cookie=f"other=1; {cookie}; cellasso-9=theirs", Authorization="Basic c2VjcmV0")
    payload = get_token_payload(page_token(page))
    assert payload["arguments"] == {"file": [b"a"]} or payload["arguments"]["file"]
    secrets = (TOKEN, cookie.partition("=")[2], "theirs", "c2VjcmV0")
    for secret in secrets:
        assert secret not in str(payload)
        assert secret not in page.body.decode()
    logged = [record.getMessage() for record in caplog.records if not record.name.startswith("tornado.curl")]
    assert any("/nothing" in line for line in logged)
    assert not [line for line in logged if TOKEN in line or cookie.partition("=")[2] in line]


@pytest.fixture
def pauses(monkeypatch) -> list[float]:
    """How long the guard has let answers wait, without waiting."""
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(guarding, "sleep", sleep)
    return waited


def test_a_wrong_token_waits_for_its_answer_and_a_right_one_does_not(listening, pauses):
    server = listening(AccessPolicy.of("127.0.0.1", token=TOKEN))
    for path in ("/", f"/?token={TOKEN}"):
        ask(server, path)
    ask(server, Cookie=cookie_of(server))
    assert pauses == []
    assert ask(server, "/?token=wrong").code == 403
    assert ask(server, Cookie=f"cellasso-{server.port}=wrong").code == 403
    assert pauses == [guarding.PAUSE] * 2


def test_many_wrong_tokens_are_turned_away_at_once_while_the_owner_gets_in(listening, monkeypatch):
    server = listening(AccessPolicy.of("127.0.0.1", token=TOKEN))
    monkeypatch.setattr(guarding, "MAX_WAITING", 2)
    opened = asyncio.Event()

    async def wait(_seconds: float) -> None:
        await opened.wait()

    monkeypatch.setattr(guarding, "sleep", wait)

    async def storm() -> tuple[list[int], int, list[int]]:
        url = f"http://127.0.0.1:{server.port}/?token="
        client = AsyncHTTPClient(force_instance=True, max_clients=20)

        async def code(shown: str) -> int:
            return (await client.fetch(HTTPRequest(url + shown, follow_redirects=False), raise_error=False)).code

        wrong = [asyncio.ensure_future(code(f"wrong{n}")) for n in range(6)]
        done, pending = await asyncio.wait(wrong, return_when=asyncio.FIRST_COMPLETED)
        while len(pending) > 2:
            more, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            done |= more
        owner = await code(TOKEN)
        opened.set()
        late = [await each for each in pending]
        client.close()
        return [each.result() for each in done], owner, late

    assert server.io_loop.run_sync(storm) == ([429] * 4, 302, [403] * 2)


def test_without_a_token_everybody_is_let_in(listening):
    server = listening(AccessPolicy.of("127.0.0.1"))
    assert ask(server).code == 200
    assert ask(server, "/?token=any").headers["Location"] == "/"


def test_a_foreign_name_is_refused_with_the_token_too(listening):
    server = listening(AccessPolicy.of("127.0.0.1", token=TOKEN))
    assert ask(server, f"/?token={TOKEN}", Host="evil.example").code == 403


# -- other pages, and the log -----------------------------------------------------------------------------

FROM_ELSEWHERE = [("same-site", "empty"), ("same-site", "script"), ("cross-site", "image"), ("same-site", "iframe")]


@pytest.mark.parametrize(("site", "destination"), FROM_ELSEWHERE)
def test_what_another_page_includes_costs_nothing(listening, site, destination):
    """The cookie is shown with it where only the port is another one."""
    server = listening(AccessPolicy.of("127.0.0.1", token=TOKEN))
    about = {"Cookie": cookie_of(server), "Sec-Fetch-Site": site, "Sec-Fetch-Dest": destination}
    for path in ("/", "/static/js/bokeh.min.js", f"/?token={TOKEN}"):
        answer = ask(server, path, **about)
        assert (answer.code, answer.body.decode()) == (403, guarding.SENTENCES[403])
        assert "Set-Cookie" not in answer.headers
    assert server.get_sessions("/") == []


@pytest.mark.parametrize(
    ("site", "destination"), [("cross-site", "document"), ("none", "document"), ("same-origin", "empty"), ("", "")]
)
def test_a_link_that_is_followed_is_let_in(listening, site, destination):
    server = listening(AccessPolicy.of("127.0.0.1", token=TOKEN))
    about = {"Cookie": cookie_of(server), "Sec-Fetch-Site": site, "Sec-Fetch-Dest": destination}
    assert ask(server, **about).code == 200


def test_refusals_do_not_fill_the_log(listening, caplog):
    server = listening(AccessPolicy.of("127.0.0.1", token=TOKEN))
    for number in range(guarding.MAX_LOGGED + 10):
        ask(server, f"/{number}/{'x' * 10_000}", Host="evil.example" if number % 2 else "127.0.0.1")
    warned = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warned) == guarding.MAX_LOGGED + 1
    assert warned[0].startswith("403 GET /0/xxx")
    assert warned[-1] == "Further refusals are not logged."
    assert max(map(len, warned)) < 300
    ask(server, Cookie=cookie_of(server))
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


# -- answers --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "code"), [("/", 200), ("/nothing", 404), ("/static/../../x", 403), ("/autoload.js", 403)]
)
def test_every_answer_forbids_scripts_in_attributes_and_what_other_pages_could_do_with_it(listening, path, code):
    answer = ask(listening(AccessPolicy.of("127.0.0.1")), path, Origin="http://127.0.0.1:8000")
    assert answer.code == code
    policy = answer.headers["Content-Security-Policy"]
    assert "script-src-attr 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "http" not in policy
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert not [name for name in answer.headers if name.startswith("Access-Control")]


@pytest.mark.parametrize(
    "path",
    [
        "/autoload.js?bokeh-autoload-element=x",
        "/autoload.js?bokeh-autoload-element=x&bokeh-absolute-url=http://127.0.0.1:8000",
        "/components/antigravity/X/_css/x",
    ],
)
def test_what_hands_a_session_to_other_pages_is_closed_to_those_who_are_let_in_too(listening, path):
    server = listening(AccessPolicy.of("127.0.0.1", token=TOKEN))
    for about in ({}, {"Origin": "http://127.0.0.1:8000"}):
        answer = ask(server, path, Cookie=cookie_of(server), **about)
        assert (answer.code, answer.body.decode()) == (403, guarding.SENTENCES[403])
    assert "antigravity" not in sys.modules
    assert server.get_sessions("/") == []


@pytest.mark.parametrize("path", ["/", "/autoload.js", "/ws", "/x"])
def test_nobody_is_told_that_other_pages_may_ask(listening, path):
    answer = ask(listening(AccessPolicy.of("127.0.0.1")), path, method="OPTIONS", Origin="http://evil.example")
    assert answer.code == 405
    assert not [name for name in answer.headers if name.startswith("Access-Control")]
    assert "evil" not in answer.body.decode() + str(list(answer.headers.get_all()))


def test_a_browser_is_refused_on_a_page_on_which_names_are_text(listening):
    server = listening(AccessPolicy.of("127.0.0.1", token=TOKEN))
    answer = ask(server, "/", Accept="text/html", Host="evil&lt;b&gt;")
    assert answer.code == 403
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "evil&amp;lt;b&amp;gt;" in answer.body.decode()
    assert "This page needs a token" in ask(server, "/", Accept="text/html").body.decode()


def test_a_failing_page_tells_nothing_of_the_server(listening, monkeypatch, caplog, tmp_path):
    def fail(*_arguments: object) -> None:
        raise RuntimeError("/home/secret/path")

    monkeypatch.setattr("cellasso_app.server.page.page", fail)
    shown = page_or_notice(Catalogue([]), tmp_path)
    assert shown.text == UNEXPECTED
    assert "/home/secret/path" in caplog.text


def test_a_failing_request_tells_nothing_of_the_server(listening, monkeypatch, caplog):
    def fail(*_arguments: object, **_options: object) -> None:
        raise RuntimeError("/home/secret/path")

    monkeypatch.setattr(ApplicationContext, "create_session_if_needed", fail)
    answer = ask(listening(AccessPolicy.of("127.0.0.1")))
    assert answer.code == 500
    assert answer.body.decode() == "Something went wrong here; the server's log says what."
    assert "/home/secret/path" in caplog.text


def test_a_failing_message_tells_nothing_of_the_server(listening, caplog):
    server = listening(AccessPolicy.of("127.0.0.1"))
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
        await closed(socket)
        return fragments

    header, _, content = server.io_loop.run_sync(answered)
    assert json.loads(header)["msgtype"] == "ERROR"
    assert json.loads(content) == {"text": "Something went wrong here; the server's log says what.", "traceback": None}
