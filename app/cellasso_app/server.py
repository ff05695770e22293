"""Serving the explorer: the files of this process, opened once, and a page for each visitor."""

from __future__ import annotations

import argparse
import logging
import threading
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import panel as pn
from panel.io.server import get_server

import cellasso
from cellasso.errors import CellassoError, FileChangedError
from cellasso_app.background import index_in_background
from cellasso_app.components import PAGE_STYLE, Notice
from cellasso_app.indexing_cli import add_index_options, index_option
from cellasso_app.work import pool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from bokeh.server.server import Server

    from cellasso.dataset import Dataset

logger = logging.getLogger(__name__)

FIRST_PORT = 5006


class Catalogue:
    """The files that this process serves, each opened when first asked for and then shared by all sessions."""

    def __init__(self, paths: Sequence[Path], *, index: bool | Path = True) -> None:
        self._index = index
        self._paths = {path.name if _unique(path, paths) else str(path): path for path in paths}
        self._open: dict[str, Dataset] = {}
        self._lock = threading.Lock()

    @property
    def names(self) -> list[str]:
        """How the files are called on the page."""
        return list(self._paths)

    def open(self, name: str | None = None) -> Dataset:
        """Return an open file by its name on the page, the first one without; opened anew when it has changed."""
        if not self._paths:
            raise CellassoError("No file was given; start it as `cellasso FILE`.")
        key = name if name in self._paths else next(iter(self._paths))
        with self._lock:
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
    """Return the page for one visitor: the explorer, or a sentence why it cannot be shown."""
    from cellasso_app.explorer import Explorer  # noqa: PLC0415 - datashader and HoloViews take seconds to import

    _warm_up()
    pn.config.raw_css = [PAGE_STYLE]
    asked = pn.state.session_args.get("file", [b""])[0]
    name = asked.decode(errors="replace")  # Tornado has undone the quoting already
    _set_title("cellasso")
    try:
        dataset = catalogue.open(name)
        explorer = Explorer(dataset, export_dir=export_dir, files=catalogue.names)
    except CellassoError as error:
        return Notice(text=str(error), sizing_mode="stretch_both")
    _set_title(f"{dataset.file_path.name} · {dataset.n_obs:,} cells · cellasso")
    return explorer.__panel__()


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
    index
        Where column indexes are kept and built in the background, as for `cellasso.open`; `False`: none are.
    """
    _warm_up()
    export_dir = export_dir.absolute()
    catalogue = Catalogue(paths, index=index)

    def build() -> pn.viewable.Viewable:  # Panel calls plain functions only
        return page(catalogue, export_dir)

    server = _listen(build, address, [port] if port is not None else range(FIRST_PORT, FIRST_PORT + 100))
    url = f"http://{f'[{address}]' if ':' in address else address}:{server.port}"
    if open_browser:
        server.io_loop.add_callback(server.show, "/")
    server.start()
    print(f"cellasso is at {url} (Ctrl-C stops it); exported subsets go to {export_dir}", flush=True)
    server.io_loop.start()  # until Ctrl-C, which Panel turns into a stop


SERVER_OPTIONS: dict[str, Any] = {
    # the browser's connection compresses well: a picture is mostly empty
    "websocket_compression_level": 1,
    "check_unused_sessions_milliseconds": 5_000,
    "unused_session_lifetime_milliseconds": 30_000,
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
    page(_shared_catalogue(tuple(options.files), index_option(options)), options.export_dir.absolute()).servable()


@cache
def _shared_catalogue(paths: tuple[Path, ...], index: bool | Path) -> Catalogue:
    """Return one catalogue for all sessions: `panel serve` runs the script anew for each."""
    return Catalogue(paths, index=index)


@cache
def _warm_up() -> None:
    """Have datashader and numba compile what the first picture needs, while the browser still loads."""
    pool().submit(_draw_once)


def _draw_once() -> None:
    import numpy as np  # noqa: PLC0415

    from cellasso_app.coloring import Values  # noqa: PLC0415
    from cellasso_app.raster import Canvas, Cells, draw  # noqa: PLC0415

    points = np.random.default_rng(0).random((10, 2)).astype(np.float32)
    values = Values("", points[:, 0], 0.0, 1.0, clipped=False, n_missing=0)
    for coloring in (None, values):
        cells = Cells(points, coloring)
        draw(cells, cells.bounds(), Canvas(16, 16))


def _unique(path: Path, paths: Sequence[Path]) -> bool:
    return sum(other.name == path.name for other in paths) == 1


def _listen(build: Callable[[], pn.viewable.Viewable], address: str, ports: Iterable[int]) -> Server:
    """Return a server that has taken the first port that is free."""
    problem = ""
    for port in ports:
        origins = [f"{address}:{port}", f"localhost:{port}"]
        try:
            return get_server(
                {"/": build}, port=port, address=address, websocket_origin=origins, title=OWN_TITLE, **SERVER_OPTIONS
            )
        except OSError as error:
            problem = error.strerror or str(error)
    raise ServeError(f"{address}:{port} cannot be listened at ({problem}); choose another with --port.")


class ServeError(CellassoError, OSError):
    """The server cannot start."""
