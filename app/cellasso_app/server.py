"""Serving the explorer: the files of this process, opened once, and a page for each visitor."""

from __future__ import annotations

import argparse
import logging
import os
import secrets
import signal
import socket
import threading
from concurrent.futures import CancelledError
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import panel as pn
from bokeh.util.browser import view
from panel.io.server import get_server

import cellasso
from cellasso.errors import CellassoError, FileChangedError
from cellasso_app import compiling
from cellasso_app.background import index_in_background
from cellasso_app.components import PAGE_STYLE, Notice, Opening
from cellasso_app.guard import Door, guard, is_unspecified
from cellasso_app.indexing_cli import add_index_options, index_option
from cellasso_app.session import survey
from cellasso_app.work import UNEXPECTED, Lane, pool, when_live
from cellasso_app.work import stop as stop_work

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from bokeh.server.server import Server
    from tornado.ioloop import IOLoop

    from cellasso.dataset import Dataset

logger = logging.getLogger(__name__)

FIRST_PORT = 5006


class Catalogue:
    """The files that this process serves, each opened when first asked for and then shared by all sessions."""

    def __init__(self, paths: Sequence[Path], *, index: bool | Path = True) -> None:
        self._index = index
        self._paths = {path.name if _unique(path, paths) else str(path): path for path in paths}
        self._open: dict[str, Dataset] = {}
        self._locks = {name: threading.Lock() for name in self._paths}  # a file on a slow disk holds up no other

    @property
    def names(self) -> list[str]:
        """How the files are called on the page."""
        return list(self._paths)

    def called(self, name: str | None) -> str:
        """Return the name of the file that a visitor asks for: this one if it is served, else the first."""
        return name if name in self._paths else next(iter(self._paths), "")

    def open(self, name: str | None = None) -> Dataset:
        """Return an open file by its name on the page, the first one without; opened anew when it has changed."""
        if not self._paths:
            raise CellassoError("No file was given; start it as `cellasso FILE`.")
        key = self.called(name)
        with self._locks[key]:
            dataset = self._open.get(key)
            if dataset is not None:
                try:
                    dataset.handle.root()
                except FileChangedError:
                    dataset = None  # sessions that have the old one are told so when they next read
            if dataset is None:
                dataset = self._open[key] = cellasso.open(self._paths[key], index=self._index)
                if self._index:
                    index_in_background(dataset)
            return dataset


def page(catalogue: Catalogue, export_dir: Path) -> pn.viewable.Viewable:
    """Return the page for one visitor: its frame at once, filled when the file is open, or with a sentence why not."""
    pn.config.raw_css = [PAGE_STYLE]
    asked = pn.state.session_args.get("file", [b""])[0]
    name = catalogue.called(asked.decode(errors="replace"))  # Tornado has undone the quoting already
    _set_title("cellasso")
    frame = pn.Column(
        Opening(name="opening", file=name, **STRETCHED), **STRETCHED, styles={"height": "100vh", "width": "100vw"}
    )
    # the event loop reads nothing, not even a file's structure: on a slow disk all sessions would stand still
    opened = pool().submit(_open, catalogue, name)

    def fill(dataset: Dataset) -> None:
        from cellasso_app.explorer import Explorer  # noqa: PLC0415 - imported by _open already

        explorer = Explorer(dataset, export_dir=export_dir, files=catalogue.names)
        frame[:] = [explorer]
        _set_title(f"{dataset.file_path.name} · {dataset.n_obs:,} cells · cellasso")

    def say(sentence: str) -> None:
        frame[:] = [Notice(text=sentence, **STRETCHED)]

    opening = Lane(fill, say)
    when_live(lambda: opening.submit(lambda _: opened.result()))
    return frame


def page_or_notice(catalogue: Catalogue, export_dir: Path) -> pn.viewable.Viewable:
    """Return a page, or one sentence: Panel would show the traceback, with all its paths."""
    try:
        return page(catalogue, export_dir)
    except Exception:
        logger.exception("A page could not be built")
        return Notice(text=UNEXPECTED, **STRETCHED)


STRETCHED: dict[str, Any] = {"sizing_mode": "stretch_both", "margin": 0}


def _open(catalogue: Catalogue, name: str) -> Dataset:
    """Return an open file of which all that a page lists has been looked up."""
    import cellasso_app.explorer  # noqa: F401, PLC0415 - takes a second, here beside the event loop

    dataset = catalogue.open(name)
    survey(dataset)
    return dataset


def _set_title(title: str) -> None:
    if pn.state.curdoc is not None:
        pn.state.curdoc.title = title


def serve(
    paths: Sequence[Path],
    *,
    port: int | None,
    address: str,
    export_dir: Path,
    open_browser: bool,
    allow_hosts: Sequence[str] = (),
    token: str = "",
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
        What a browser has to show; empty asks for none.
    index
        Where column indexes are kept and built in the background, as for `cellasso.open`; `False`: none are.
    """
    _warm_up(many=compiling.are_many(paths))
    export_dir = export_dir.absolute()
    catalogue = Catalogue(paths, index=index)

    def build() -> pn.viewable.Viewable:  # Panel calls plain functions only
        return page_or_notice(catalogue, export_dir)

    door = Door.of(address, allow_hosts, token)
    server = _listen(build, address, [port] if port is not None else range(FIRST_PORT, FIRST_PORT + 100), door)
    host = socket.gethostname() if is_unspecified(address) else address
    url = f"http://{f'[{host}]' if ':' in host else host}:{server.port}"
    url += f"/?{urlencode({'token': token})}" if token else ""
    if open_browser:
        server.io_loop.add_callback(view, url)
    server.start()
    print(f"cellasso is at {url} (Ctrl-C stops it); exported subsets go to {export_dir}", flush=True)
    try:
        _run(server.io_loop)
    finally:
        stop_work()


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
}


OWN_TITLE = {"/": ""}
"""Any other title Panel writes over the one that the page gives itself."""


def serve_script(arguments: Sequence[str]) -> None:
    """Build the page inside `panel serve app/main.py --args FILE… [--export-dir DIR]`."""
    parser = argparse.ArgumentParser(prog="panel serve app/main.py --args", add_help=False)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--export-dir", type=Path, default=Path())
    add_index_options(parser)
    try:
        options = parser.parse_args(list(arguments))
    except SystemExit:
        text = "Name a file after --args: panel serve app/main.py --args FILE [--export-dir DIR]"
        Notice(text=text, sizing_mode="stretch_both").servable()
        return
    catalogue = _shared_catalogue(tuple(options.files), index_option(options))
    page_or_notice(catalogue, options.export_dir.absolute()).servable()


@cache
def _shared_catalogue(paths: tuple[Path, ...], index: bool | Path) -> Catalogue:
    """Return one catalogue for all sessions: `panel serve` runs the script anew for each."""
    _warm_up(many=compiling.are_many(paths))
    return Catalogue(paths, index=index)


@cache
def _warm_up(*, many: bool) -> None:
    """Import and compile what the first picture needs, while the browser still loads."""
    compiling.begin(many=many)
    pool().submit(import_module, "cellasso_app.explorer")

    def run(step: Callable[[], None]) -> None:
        with suppress(RuntimeError, CancelledError):  # the server has been stopped meanwhile
            pool().submit(step).result()

    # a thread that only waits: at the end of the process nobody waits for it
    threading.Thread(target=compiling.load, args=(run,), daemon=True, name="cellasso-loading").start()


def _unique(path: Path, paths: Sequence[Path]) -> bool:
    return sum(other.name == path.name for other in paths) == 1


def _listen(build: Callable[[], pn.viewable.Viewable], address: str, ports: Iterable[int], door: Door) -> Server:
    """Return a server behind a door that has taken the first port that is free."""
    problem = ""
    for port in ports:
        try:
            server = get_server({"/": build}, port=port, address=address, title=OWN_TITLE, **SERVER_OPTIONS)
        except OSError as error:
            problem = error.strerror or str(error)
        else:
            guard(server, door)
            return server
    raise ServeError(f"{address}:{port} cannot be listened at ({problem}); choose another with --port.")


class ServeError(CellassoError, OSError):
    """The server cannot start."""
