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
from typing import TYPE_CHECKING
from weakref import WeakSet

import panel as pn
from bokeh.server.server import BaseServer
from bokeh.settings import settings

from cellasso.errors import CellassoError
from cellasso_app.components import Notice
from cellasso_app.entrance import Entrance, shared_token
from cellasso_app.guard import Door, guard, port_of
from cellasso_app.indexing_cli import add_index_options, index_option
from cellasso_app.server import STRETCHED, Catalogue, page_or_notice, reached
from cellasso_app.token_cli import add_token_options, token_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bokeh.server.contexts import ApplicationContext
    from bokeh.server.tornado import BokehTornado

USAGE = "Name a file after --args: panel serve app/main.py --args FILE [--export-dir DIR]"

UNGUARDED = "cellasso cannot guard this kind of server; use `cellasso FILE`, or `panel serve` with Tornado."


def serve_script(arguments: Sequence[str]) -> None:
    """Build the page of one session, if its request has passed the guard."""
    try:
        options = _parser().parse_args(list(arguments))
    except SystemExit:
        _show(USAGE)
        return
    context = pn.state.curdoc.session_context
    if context is None or context.request is None:
        return  # `--warm`: nobody has asked for anything yet
    if getattr(context.request, "was_let_in", False):
        catalogue = _shared_catalogue(tuple(options.files), index_option(options))
        page_or_notice(catalogue, options.export_dir.absolute()).servable()
        return
    try:
        _put_up_guard(context.server_context.application_context, token_option(options))
    except CellassoError as error:
        print(f"cellasso: {error}", file=sys.stderr, flush=True)
        _show(str(error))
    else:
        # Panel sends a browser wherever this points: to this same address, past the guard this time
        again = f"./{context.request.uri.rpartition('/')[2]}"
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
    return Catalogue(paths, index=index)


def _server_of(context: ApplicationContext) -> BaseServer | None:
    """Return the server of an application: Bokeh tells a script of everything but that."""
    for found in gc.get_objects():
        if issubclass(type(found), BaseServer) and context in _tornado(found).applications.values():
            server: BaseServer = found
            return server
    return None


def _put_up_guard(page: ApplicationContext, chosen: str | None) -> None:
    """Guard the server of a page from here on, once, and say how its owner gets in.

    Where Panel asks for a login no token is: who may come in is already decided.

    Raises
    ------
    CellassoError
        It is no server of Bokeh's, or its token has no private place.
    """
    server = _server_of(page)
    if server is None:
        raise CellassoError(UNGUARDED)
    if server in _guarded:
        return
    application, address = _tornado(server), getattr(server, "address", None) or ""
    token, is_first = (chosen, True) if chosen is not None else shared_token(port_of(server))
    provider = application.auth_provider
    if provider.get_user is not None or provider.get_user_async is not None:
        token = ""
    origins = {*application.websocket_origins, *(settings.allowed_ws_origin() or ())}
    # Bokeh writes port 80 where none was given, whatever the scheme
    door = Door.of(address, {origin.removesuffix(":80") for origin in origins}, token, "--allow-websocket-origin")
    guard(server, door, pages={page})
    _guarded.add(server)
    entrance = Entrance(reached(address), port_of(server), token, f"{server.prefix}{page.url}")
    atexit.register(entrance.close)
    if token and is_first:
        print(*filter(None, entrance.announced(sys.stdout)), sep="\n", flush=True)


_guarded: WeakSet[BaseServer] = WeakSet()


def _tornado(server: BaseServer) -> BokehTornado:
    return server._tornado  # noqa: SLF001 - as in `guard`


def _show(sentence: str) -> None:
    Notice(text=sentence, **STRETCHED).servable()
