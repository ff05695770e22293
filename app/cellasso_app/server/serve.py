"""Serving the explorer until somebody stops it."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import sys
import threading
from concurrent.futures import CancelledError
from contextlib import suppress
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from panel.io.server import get_server

from cellasso.core.errors import CellassoError
from cellasso_app.render import compiling
from cellasso_app.runtime.pools import pool
from cellasso_app.runtime.pools import stop as stop_work
from cellasso_app.server.access_policy import AccessPolicy, is_unspecified
from cellasso_app.server.entrance import Entrance
from cellasso_app.server.guard import guard, port_of
from cellasso_app.server.open_files import Catalogue
from cellasso_app.server.page import page_or_notice
from cellasso_app.server.token import new_token

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    import panel as pn
    from bokeh.server.server import Server
    from tornado.ioloop import IOLoop


FIRST_PORT = 5006


def serve(
    paths: Sequence[Path],
    *,
    port: int | None,
    address: str,
    export_dir: Path,
    open_browser: bool,
    allow_hosts: Sequence[str] = (),
    token: str | None = None,
    index: bool | Path = True,
) -> None:
    """Serve files until interrupted.

    Parameters
    ----------
    paths
        The files.
    port
        Where to listen; `None` takes 5006 or the next free one.
    address
        Interface to listen at; `127.0.0.1` is this machine alone.
    export_dir
        Folder for exported subsets.
    open_browser
        Whether to open the page.
    allow_hosts
        Further names under which browsers reach this server.
    token
        What a browser has to show; `None` makes one up, empty asks for none.
    index
        Where column indexes are kept and built in the background, as for `cellasso.open`; `False`: none are.
    """
    warm_up(many=compiling.are_many(paths))
    export_dir = export_dir.absolute()
    catalogue = Catalogue(paths, index=index)

    def build() -> pn.viewable.Viewable:  # Panel calls plain functions only
        return page_or_notice(catalogue, export_dir)

    shown = new_token() if token is None else token
    policy = AccessPolicy.of(address, allow_hosts, shown)
    server = _listen(build, address, [port] if port is not None else range(FIRST_PORT, FIRST_PORT + 100), policy)
    entrance = Entrance(reached(address), port_of(server), shown, is_chosen=token is not None)
    try:
        said = entrance.announced(sys.stdout, f" (Ctrl-C stops it); exported subsets go to {export_dir}")
        if open_browser:
            server.io_loop.add_callback(entrance.open_browser, server.io_loop)
        server.start()
        print(*said, sep="\n", flush=True)
        _run(server.io_loop)
    finally:
        stop_work()
        entrance.close()


def reached(address: str) -> str:
    """Return the name under which a server that listens at an address is reached."""
    return socket.gethostname() if is_unspecified(address) else address


def _run(loop: IOLoop) -> None:
    """Run the event loop until Ctrl-C, which Panel turns into a stop, or until SIGTERM, which ends the process.

    The signal's handler raises nothing: whatever runs when it comes, a finalizer say, might swallow that.
    """
    if threading.current_thread() is not threading.main_thread():  # Python allows no handler elsewhere
        loop.start()
        return
    terminated = threading.Event()

    def stop(*_signal: object) -> None:
        terminated.set()
        loop.add_callback_from_signal(loop.stop)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        loop.start()
    finally:
        signal.signal(signal.SIGTERM, before)
    if terminated.is_set():
        os.kill(os.getpid(), signal.SIGTERM)  # to whoever cleans up


SERVER_OPTIONS: dict[str, Any] = {
    # the browser's connection compresses well: a picture is mostly empty
    "websocket_compression_level": 1,
    "check_unused_sessions_milliseconds": 5_000,
    "unused_session_lifetime_milliseconds": 30_000,
    # only sessions that this process began can be taken up
    "sign_sessions": True,
    "secret_key": secrets.token_bytes(32),
    # the page has them, where scripts can read them
    "include_headers": [],
    "include_cookies": [],
}


OWN_TITLE = {"/": ""}
"""Any other title Panel writes over the one that the page gives itself."""


@cache
def warm_up(*, many: bool) -> None:
    """Import and compile what the first picture needs, while the browser still loads."""
    compiling.begin(many=many)
    pool().submit(import_module, "cellasso_app.page.explorer")

    def run(step: Callable[[], None]) -> None:
        with suppress(RuntimeError, CancelledError):  # the server has been stopped meanwhile
            pool().submit(step).result()

    # a thread that only waits: at the end of the process nobody waits for it
    threading.Thread(target=compiling.load, args=(run,), daemon=True, name="cellasso-loading").start()


def _listen(
    build: Callable[[], pn.viewable.Viewable], address: str, ports: Iterable[int], policy: AccessPolicy
) -> Server:
    """Return a guarded server that has taken the first port that is free."""
    problem = ""
    for port in ports:
        try:
            server = get_server({"/": build}, port=port, address=address, title=OWN_TITLE, **SERVER_OPTIONS)
        except OSError as error:
            problem = error.strerror or str(error)
        else:
            guard(server, policy)
            return server
    raise ServeError(f"{address}:{port} cannot be listened at ({problem}); choose another with --port.")


class ServeError(CellassoError, OSError):
    """The server cannot start."""
