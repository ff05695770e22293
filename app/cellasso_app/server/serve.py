"""Serving the explorer: the files of this process, opened once, and a page for each visitor."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
import sys
import threading
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

import panel as pn
from panel.io.server import get_server

import cellasso
from cellasso.core.errors import CellassoError, FileChangedError, NotFoundError
from cellasso_app.panels.opening.component import Notice, Opening
from cellasso_app.render import compiling
from cellasso_app.runtime.document_loop import when_live
from cellasso_app.runtime.jobs import UNEXPECTED, LatestJob
from cellasso_app.runtime.pools import pool
from cellasso_app.runtime.pools import stop as stop_work
from cellasso_app.server.background import index_in_background
from cellasso_app.server.entrance import Entrance
from cellasso_app.server.guard import AccessPolicy, guard, is_unspecified, port_of
from cellasso_app.server.token import new_token
from cellasso_app.state.session import prefetch_metadata
from cellasso_app.ui.component import PAGE_STYLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

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
        self._problems: dict[str, str] = {}  # why a file could not be opened when it was last tried; empty: it could
        self._locks = {name: threading.Lock() for name in self._paths}  # a file on a slow disk holds up no other

    @property
    def names(self) -> list[str]:
        """How the files are called on the page."""
        return list(self._paths)

    def open(self, name: str | None = None) -> Dataset:
        """Return an open file by its name on the page; without one the first that can be opened."""
        return self.find(name)[1]

    def find(self, name: str | None = None) -> tuple[str, Dataset]:
        """Return the same with its name; opened anew when it has changed.

        Raises
        ------
        NotFoundError
            No file is called so.
        CellassoError
            It cannot be opened; the sentence names it as the page does, without its folder.
        """
        if name is not None and name not in self._paths:
            raise NotFoundError(f"No file is called {shortened(name)!r} here.")
        problems = []
        for each in [name] if name is not None else self.names:
            try:
                return each, self._open_one(each)
            except CellassoError as error:
                problems.append(error)
        raise problems[0] if problems else CellassoError("No file was given; start it as `cellasso FILE`.")

    def problems(self) -> list[str]:
        """Return why files cannot be opened; reads those that were not opened yet, and those that could not be."""
        for name, path in self._paths.items():
            if name in self._open or self._problems.get(name) == "":
                continue
            with suppress(CellassoError), self._trying(name):
                cellasso.open(path).close()
        return [problem for problem in map(self._problems.get, self.names) if problem]

    def _open_one(self, name: str) -> Dataset:
        with self._trying(name):
            return self._current(name)

    @contextmanager
    def _trying(self, name: str) -> Iterator[None]:
        """Keep what becomes of a file, and say it without the folders of this machine."""
        with self._locks[name]:
            try:
                yield
            except CellassoError as error:
                self._problems[name] = _on_the_page(error, self._paths[name], name)
                error.args = (self._problems[name],)
                raise
            self._problems[name] = ""

    def _current(self, name: str) -> Dataset:
        dataset = self._open.get(name)
        if dataset is not None:
            try:
                dataset.handle.root()
            except FileChangedError:  # sessions that have the old one are told so when they next read
                del self._open[name]
            else:
                return dataset
        dataset = self._open[name] = cellasso.open(self._paths[name], index=self._index)
        if self._index:
            index_in_background(dataset)
        return dataset


def _on_the_page(error: CellassoError, path: Path, name: str) -> str:
    """Return a sentence about a file without its folder, and without the other files that are in there."""
    if not os.path.lexists(path):
        return f"{name} does not exist; it was moved or removed."
    return str(error).replace(str(path.absolute()), name).replace(str(path), name)


def shortened(name: str) -> str:
    """Return a name that came from an address as a sentence repeats it."""
    return name if len(name) <= 80 else f"{name[:79]}…"


def page(catalogue: Catalogue, export_dir: Path) -> pn.viewable.Viewable:
    """Return the page for one visitor: its frame at once, filled when the file is open, or with a sentence why not."""
    pn.config.raw_css = [PAGE_STYLE]
    asked = pn.state.session_args.get("file", [b""])[0].decode(errors="replace")  # Tornado has undone the quoting
    _set_title("cellasso")
    if asked and asked not in catalogue.names:
        return Notice(text=f"No file is called {shortened(asked)!r} here.", files=catalogue.names, **STRETCHED)
    frame = pn.Column(
        Opening(name="opening", file=asked or next(iter(catalogue.names), ""), **STRETCHED),
        **STRETCHED,
        styles={"height": "100vh", "width": "100vw"},
    )
    # the event loop reads nothing, not even a file's structure: on a slow disk all sessions would stand still
    opened = pool().submit(_open, catalogue, asked or None)

    def fill(found: tuple[str, Dataset]) -> None:
        from cellasso_app.page.explorer import Explorer  # noqa: PLC0415 - imported by _open already

        name, dataset = found
        explorer = Explorer(dataset, export_dir=export_dir, files=catalogue.names, file=name)
        frame[:] = [explorer]
        _set_title(f"{dataset.file_path.name} · {dataset.n_obs:,} cells · cellasso")
        trying = LatestJob(explorer.tell_of, lambda _: None)
        trying.submit(lambda _: catalogue.problems())

    def say(sentence: str) -> None:
        others = [name for name in catalogue.names if name != asked]
        frame[:] = [Notice(text=sentence, files=others if asked else [], **STRETCHED)]

    opening = LatestJob(fill, say)
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


def _open(catalogue: Catalogue, name: str | None) -> tuple[str, Dataset]:
    """Return an open file of which all that a page lists has been looked up, and its name."""
    import cellasso_app.page.explorer  # noqa: F401, PLC0415 - takes a second, here beside the event loop

    name, dataset = catalogue.find(name)
    prefetch_metadata(dataset)
    return name, dataset


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
    door = AccessPolicy.of(address, allow_hosts, shown)
    server = _listen(build, address, [port] if port is not None else range(FIRST_PORT, FIRST_PORT + 100), door)
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


def _unique(path: Path, paths: Sequence[Path]) -> bool:
    return sum(other.name == path.name for other in paths) == 1


def _listen(
    build: Callable[[], pn.viewable.Viewable], address: str, ports: Iterable[int], door: AccessPolicy
) -> Server:
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
