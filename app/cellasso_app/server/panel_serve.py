"""The explorer under Panel's own server, behind the same guard: `panel serve app/main.py --args FILE…`.

Panel runs the script for each session, the first time when the first page is asked for. That request has passed no
guard yet: nothing is built for it. The guard is put up, and the browser is sent here once more.
"""

from __future__ import annotations

import argparse
import atexit
import gc
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from weakref import WeakKeyDictionary

import panel as pn
from bokeh.application.handlers.handler import Handler
from bokeh.server.server import BaseServer
from bokeh.settings import settings

from cellasso.core.errors import CellassoError
from cellasso_app.panels.opening.component import Notice
from cellasso_app.render import compiling
from cellasso_app.runtime.pools import stop as stop_work
from cellasso_app.server.access_policy import AccessPolicy
from cellasso_app.server.entrance import Entrance
from cellasso_app.server.guard import Keeper, guard, let_in, port_of, take_token
from cellasso_app.server.index_option import add_index_options, index_option
from cellasso_app.server.open_files import Catalogue
from cellasso_app.server.page import WHOLE, page_or_notice
from cellasso_app.server.serve import reached, warm_up
from cellasso_app.server.shared_token import shared_token
from cellasso_app.server.token import add_token_options, token_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bokeh.application.application import ServerContext
    from bokeh.document import Document
    from bokeh.server.contexts import ApplicationContext, BokehServerContext, BokehSessionContext
    from bokeh.server.tornado import BokehTornado
    from tornado.httputil import HTTPServerRequest

USAGE = "Name a file after --args: panel serve app/main.py --args FILE [--export-dir DIR]"

NOT_SET_UP = "This server is not set up yet; its log says what is missing."

UNGUARDED = "cellasso cannot guard this kind of server; use `cellasso FILE`, or `panel serve` with Tornado."


def serve_script(arguments: Sequence[str]) -> None:
    """Build the page of one session, if its request has passed the guard."""
    try:
        options = _parser().parse_args(list(arguments))
    except SystemExit:
        _show(USAGE)
        return
    document = pn.state.curdoc
    # the only kind that a server of Bokeh makes
    context = None if document is None else cast("BokehSessionContext | None", document.session_context)
    if context is None or context.request is None:
        return  # `--warm`: nobody has asked for anything yet
    try:
        server_context = cast("BokehServerContext", context.server_context)
        keeper = _keeper_of(server_context.application_context, token_option(options))
    except CellassoError as error:
        print(f"cellasso: {error}", file=sys.stderr, flush=True)
        _show(NOT_SET_UP)
        return
    inner: Any = context.request  # Bokeh gives scripts a copy of its arguments alone
    request: HTTPServerRequest = inner._request  # noqa: SLF001
    # with several processes the page may have come from one and its websocket, the first request here, to another
    is_socket = request.headers.get("Upgrade", "").lower() == "websocket"
    if request in let_in or (is_socket and keeper.admits_socket(request)):
        catalogue = _shared_catalogue(tuple(options.files), index_option(options))
        page_or_notice(catalogue, options.export_dir.absolute()).servable()
    else:
        _send_again(request)


def _send_again(request: HTTPServerRequest) -> None:
    """Send a browser to this same address, past the guard this time; Panel does so with what its callback names."""
    again = f"./{request.path.rpartition('/')[2]}{'?' if request.query else ''}{request.query}"
    take_token(request)  # it will be logged
    pn.config.authorize_callback = lambda _user, _path: again


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="panel serve app/main.py --args", add_help=False)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--export-dir", type=Path, default=Path())
    add_token_options(parser)
    add_index_options(parser)
    return parser


@cache
def _shared_catalogue(paths: tuple[Path, ...], index: bool | Path) -> Catalogue:
    """Return one catalogue for all sessions."""
    warm_up(many=compiling.are_many(paths))
    return Catalogue(paths, index=index)


def _server_of(context: ApplicationContext | None) -> BaseServer | None:
    """Return the server of an application: Bokeh tells a script of everything but that."""
    for found in gc.get_objects():
        if issubclass(type(found), BaseServer) and context in _tornado(found).applications.values():
            server: BaseServer = found
            return server
    return None


def _keeper_of(page: ApplicationContext | None, chosen: str | None) -> Keeper:
    """Return who guards a page's server; the first time puts up the guard and says how its owner gets in.

    Raises
    ------
    CellassoError
        It is no server of Bokeh's, or its token has no private place.
    """
    server = _server_of(page)
    if server is None or page is None:
        raise CellassoError(UNGUARDED)
    if server in _keepers:
        return _keepers[server]
    application, address = _tornado(server), getattr(server, "address", None) or ""
    token, is_first = _token_of(server, chosen)
    host = reached(address) if address else "localhost"  # listens everywhere, but nobody has said that others may come
    entrance = Entrance(host, port_of(server), token, f"{server.prefix}{page.url}", is_chosen=chosen is not None)
    said = entrance.announced(sys.stdout) if token and is_first else []
    atexit.register(entrance.close)
    origins = {*application.websocket_origins, *(settings.allowed_ws_origin() or ())}
    # Bokeh writes port 80 where none was given, whatever the scheme
    policy = AccessPolicy.of(
        address, {origin.removesuffix(":80") for origin in origins}, token, "--allow-websocket-origin"
    )
    keeper = _keepers[server] = guard(server, policy, pages={page})
    page.application.add(_End())
    print(*said, sep="\n", end="\n" if said else "", flush=True)
    return keeper


class _End(Handler):
    """Cancels what runs for anybody when the server stops: the process would wait for it."""

    def modify_document(self, doc: Document) -> None:
        """Add nothing to a page."""

    def on_server_unloaded(self, server_context: ServerContext) -> None:  # noqa: ARG002
        """Cancel what runs."""
        stop_work()


def _token_of(server: BaseServer, chosen: str | None) -> tuple[str, bool]:
    """Return the token of a server and whether nobody knows it yet; none where Panel asks for a login."""
    provider = _tornado(server).auth_provider
    if provider.get_user is not None or provider.get_user_async is not None:
        return "", True
    return (chosen, True) if chosen is not None else shared_token(port_of(server))


_keepers: WeakKeyDictionary[BaseServer, Keeper] = WeakKeyDictionary()


def _tornado(server: BaseServer) -> BokehTornado:
    return server._tornado  # noqa: SLF001 - as in `guard`


def _show(sentence: str) -> None:
    Notice(text=sentence, **WHOLE).servable()
