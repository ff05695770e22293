"""`panel serve app/main.py --args FILE` as a process of its own: behind the same guard from its first request on."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import stat
import sys
import time
from http.cookiejar import CookieJar
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, HTTPRedirectHandler, Request, build_opener

import pytest
from bokeh.application import Application
from bokeh.document import Document
from bokeh.server.server import Server
from bokeh.util.token import generate_jwt_token, generate_session_id, get_token_payload
from panel.io.state import set_curdoc
from tornado.httpclient import HTTPClientError

from cellasso_app.server import panel_serve
from cellasso_app.server.access_policy import AccessPolicy
from cellasso_app.server.guard import SENTENCES, Keeper
from conftest import make_adata, write
from served import ROOT, Address, served
from wire import Wire, changed, page_token

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from http.client import HTTPResponse


PATIENCE = 60  # seconds; only a failing test waits so long


class _Stay(HTTPRedirectHandler):
    def redirect_request(self, *_arguments: object) -> None:
        return None


def ask(url: str, *, method: str = "GET", **headers: str) -> tuple[int, HTTPResponse | HTTPError, str]:
    """Return status, answer and text, without following it elsewhere."""
    try:
        answer = build_opener(_Stay).open(Request(url, headers=headers, method=method))
    except HTTPError as error:
        answer = error
    with answer:
        return answer.status, answer, answer.read().decode()


def command(*options: str) -> list[str]:
    serve = [sys.executable, "-m", "panel", "serve", str(ROOT / "app" / "main.py")]
    return [*serve, "--port", "0", "--address", "127.0.0.1", *options]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("panel")
    write(make_adata(n_obs=30, full=False), folder / "cells.h5ad")
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[tuple[Address, Path]]:
    log = folder / "log"
    arguments = ["--args", str(folder / "cells.h5ad"), "--export-dir", str(folder), "--no-index"]
    with served(command(*arguments), log) as address:
        yield address, log


pytestmark = pytest.mark.xdist_group("panel")  # all on one worker: they share the server


def cookie(address: Address) -> str:
    for _ in range(2):  # the first request of a process is sent to the same place again, where its guard stands then
        status, answer, _ = ask(address.whole)
        assert status == 302
        if answer.headers["Set-Cookie"]:
            break
    assert answer.headers["Location"] == "/main"
    about = answer.headers["Set-Cookie"]
    assert "HttpOnly" in about
    assert "SameSite=Strict" in about
    return about.partition(";")[0]


def until(true: Callable[[], Any]) -> None:
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)


async def roots(port: int, token: str, **headers: str) -> list[Any]:
    """Return what is on the page of a session."""
    wire = await Wire.open(port, token, path="/main/ws", **headers)
    found = (await wire.pull())["roots"]
    wire.close()
    await wire.is_closed()
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}/exe").exists()  # not of a zombie


def test_nothing_is_built_for_the_first_request_and_it_is_sent_past_the_guard(folder):
    with served(command("--args", str(folder / "cells.h5ad")), folder / "first.log", has_token=False) as address:
        for about in ({}, {"Host": "evil.example"}):
            status, answer, text = ask(address, **about)
            if status == 302:
                assert answer.headers["Location"] == "./main"
                assert text == ""
                status, _, text = ask(address, **about)
            assert status == 403
            assert "token" not in text or text.startswith("This page needs a token")


def test_the_owner_alone_gets_the_token_from_a_file_and_no_log_has_it(server):
    address, log = server
    token = address.whole.partition("token=")[2]
    assert len(token) > 30
    written = Path(re.search(r"is in (/\S+), which you alone can read\.", log.read_text()).group(1))
    assert stat.S_IMODE(written.stat().st_mode) == 0o600
    assert stat.S_IMODE(written.parent.stat().st_mode) == 0o700
    assert written.read_text() == f"{address.whole}\n"
    cookie(address)
    ask(f"{address}?token=wrong-{token}")
    assert token not in log.read_text()


@pytest.mark.parametrize("path", ["/main", "/", "/main/ws", "/main/metadata", "/static/js/bokeh.min.js", "/x"])
def test_without_the_token_nothing_is_served(server, path):
    address = server[0].removesuffix("/main")
    assert ask(f"{address}{path}")[0] == 403
    assert ask(f"{address}{path}", Host="evil.example")[2] == (
        "This server is not called 'evil.example'. If it should be, start it with --allow-websocket-origin and that"
        " name."
    )


def test_with_the_token_the_page_is_there_and_scripts_see_neither_it_nor_the_cookie(server):
    address, _ = server
    shown = cookie(address)
    status, answer, text = ask(address, Cookie=shown)
    assert status == 200
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    payload = str(get_token_payload(page_token(text.encode())))
    assert shown.partition("=")[2] not in payload + text
    assert address.whole.partition("token=")[2] not in payload + text


def test_its_websocket_is_open_to_its_own_page_alone_and_hears_what_pages_say(server):
    address, _ = server
    port = int(address.removesuffix("/main").rpartition(":")[2])
    shown = cookie(address)

    async def opened(**headers: str) -> Wire | int:
        token = page_token(ask(address, Cookie=shown)[2].encode())
        try:
            return await Wire.open(port, token, path="/main/ws", **headers)
        except HTTPClientError as error:
            return error.code

    async def tried() -> None:
        assert await opened() == 403
        assert await opened(Cookie=shown, Origin=f"http://127.0.0.1:{port + 1}") == 403
        wire = await opened(Cookie=shown)
        roots = (await wire.pull())["roots"]
        assert await wire.patch(changed(roots[0]["id"], "name", "mine")) == "OK"
        assert (await wire.pull())["roots"] == roots
        wire.close()
        await wire.is_closed()

    asyncio.run(tried())


def test_what_hands_sessions_to_other_pages_is_closed(server):
    address, _ = server
    shown = cookie(address)
    for url in (
        f"{address}/autoload.js?bokeh-autoload-element=x",
        f"{address.removesuffix('/main')}/components/a/b/c/d",
    ):
        status, answer, text = ask(url, Cookie=shown, Origin="http://127.0.0.1:8000")
        assert (status, text) == (403, SENTENCES[403])
        assert "Access-Control-Allow-Origin" not in answer.headers
    assert ask(address, method="OPTIONS", Cookie=shown, Origin="http://127.0.0.1:8000")[0] == 405


def test_a_token_can_be_chosen_and_the_first_request_that_shows_it_keeps_it_out_of_the_log(folder):
    arguments = ["--log-level", "debug", "--args", str(folder / "cells.h5ad"), "--token", "chosen-token"]
    log = folder / "chosen.log"
    with served(command(*arguments), log, has_token=False) as address:
        query = "file=a/b.h5ad&token=chosen-token"
        while (answer := ask(f"{address}?{query}"))[0] == 404:  # its address is printed before its page is there
            time.sleep(0.1)
        status, about, _ = answer
        assert (status, about.headers["Location"]) == (302, f"./main?{query}")
        status, about, _ = ask(f"{address}?{query}")
        assert (status, about.headers["Location"]) == (302, "/main?file=a%2Fb.h5ad")
        assert "The whole address, with its token" in log.read_text()
        assert "chosen-token" not in log.read_text()


def test_a_websocket_that_comes_before_any_page_is_checked_before_anything_is_built(folder):
    """As where several processes serve: the page came from another one."""
    address = f"127.0.0.1:{free_port()}"
    port = int(address.partition(":")[2])
    shown = f"cellasso-{port}={Keeper(AccessPolicy.of('127.0.0.1', token='chosen-token'), port).cookie}"
    arguments = ["--port", str(port), "--args", str(folder / "cells.h5ad"), "--token", "chosen-token"]
    for headers, is_built in (
        ({}, False),
        ({"Cookie": shown}, True),
        ({"Cookie": shown, "Origin": f"https://{address}"}, False),
    ):
        with served(command(*arguments), folder / "socket.log", has_token=False):
            token = generate_jwt_token(generate_session_id(signed=False), signed=False)
            assert bool(asyncio.run(roots(port, token, **headers))) is is_built
            assert ask(f"http://{address}/main")[0] == 403  # and is guarded from then on


@pytest.mark.more
def test_several_processes_ask_for_one_token_and_keep_it_while_one_of_them_lives(folder):
    address = f"http://127.0.0.1:{free_port()}/main"
    port = address.rpartition(":")[2].partition("/")[0]
    arguments = ["--port", port, "--num-procs", "2", "--args", str(folder / "cells.h5ad"), "--no-index"]
    log, left = folder / "several.log", folder / "state" / "cellasso"
    with served(command(*arguments), log) as known:
        shown = cookie(known)
        cookies = [ask(known.whole)[1].headers["Set-Cookie"] for _ in range(20)]
        assert {each.partition(";")[0] for each in cookies if each} == {shown}
        assert cookies.count(None) <= 1  # the first request of a process is answered when its guard stands
        assert log.read_text().count("The whole address") == 1
        for _ in range(8):  # by chance from one process to the other
            while (answer := ask(address, Cookie=shown))[0] != 200:
                assert answer[0] == 302
            assert asyncio.run(roots(int(port), page_token(answer[2].encode()), Cookie=shown))
        pids = [int(pid) for pid in re.findall(r"with process id: (\d+)", log.read_text())]
        assert len(pids) == 2
        (kept,) = left.glob("*.token")
        os.kill(pids[0], signal.SIGTERM)
        until(lambda: not is_alive(pids[0]))
        assert kept.exists()
        os.kill(pids[1], signal.SIGTERM)
        until(lambda: not kept.exists())
    assert not [path for path in left.iterdir() if f"-{port}." in path.name]


def test_where_panel_asks_for_a_login_no_token_is(folder):
    login = ["--basic-auth", "a-password", "--cookie-secret", "a-secret"]
    log = folder / "login.log"
    with served(command(*login, "--args", str(folder / "cells.h5ad")), log, has_token=False) as address:
        jar = CookieJar()
        browser = build_opener(HTTPCookieProcessor(jar))

        def text_of(url: str, data: bytes | None = None) -> str:
            with browser.open(url, data=data) as answer:
                return answer.read().decode()

        server = address.removesuffix("/main")
        until(lambda: ask(address)[0] == 302)  # its address is printed before its page is there
        assert 'name="password"' in text_of(address)
        form = urlencode({"username": "me", "password": "a-password", "next": "/main"}).encode()
        assert '"token":' in text_of(f"{server}/login", form)
        assert '"token":' in text_of(address)
        cookies = "; ".join(f"{each.name}={each.value}" for each in jar)
        assert ask(address)[0] == 302  # to the login
        assert ask(address, Cookie=cookies)[0] == 200
        assert ask(address, Cookie=cookies, Host="evil.example")[0] == 403
        assert ask(f"{server}/main/autoload.js", Cookie=cookies)[0] == 403
        assert "token" not in log.read_text()


def test_a_script_that_nobody_asked_for_builds_nothing():
    """As `--warm` runs it."""
    document = Document()
    with set_curdoc(document):
        panel_serve.serve_script(["cells.h5ad"])
    assert document.roots == []


def test_what_runs_is_cancelled_when_the_server_stops(monkeypatch):
    stopped = []
    monkeypatch.setattr(panel_serve, "stop_work", lambda: stopped.append(True))
    server = Server({"/main": Application()}, port=0, address="127.0.0.1")
    monkeypatch.setattr(panel_serve, "_server_of", lambda _context: server)
    try:
        panel_serve._keeper_of(server._tornado.applications["/main"], "")
        assert not stopped
    finally:
        server.stop()
        server.io_loop.close(all_fds=True)
    assert stopped
