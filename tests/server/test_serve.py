"""The files of a process, the page for a visitor, and what the server says when it cannot start."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import panel as pn
import pytest
from bokeh.core.json_encoder import serialize_json
from bokeh.events import DocumentReady
from panel.models.esm import ReactiveESM
from tornado.httpclient import AsyncHTTPClient

import cellasso
from cellasso.core.errors import CellassoError, FileError, NotFoundError
from cellasso.store.hdf5.handle import Hdf5Store
from cellasso_app.panels.opening.component import Notice, Opening
from cellasso_app.server import serve as serving
from cellasso_app.server.access_policy import AccessPolicy
from cellasso_app.server.open_files import Catalogue, shortened
from cellasso_app.server.page import page
from cellasso_app.server.serve import ServeError, serve
from cellasso_app.state.session import Session, prefetch_metadata
from conftest import make_adata, write
from served import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bokeh.document import Document
    from bokeh.server.server import Server

LOCAL = AccessPolicy.of("127.0.0.1")
PATIENCE = 30  # seconds; only a failing test waits so long

# Bokeh 3.10 leaves a step of a session undone when a test closes the loop under it, of which a later test is told
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def _closed(monkeypatch) -> Iterator[None]:
    """A process keeps its files for as long as it lives; a test does not."""
    opened: list[cellasso.dataset.Dataset] = []
    reading = cellasso.open

    def remembered(path: Path, **options: object) -> cellasso.dataset.Dataset:
        opened.append(reading(path, **options))
        return opened[-1]

    monkeypatch.setattr(cellasso, "open", remembered)
    yield
    _drain()
    for dataset in opened:
        dataset.close()


def _drain() -> None:
    """Wait until the pool's threads have come to the end of what they were given."""
    n_threads = serving.pool()._max_workers
    everyone = threading.Barrier(n_threads + 1)
    for _ in range(n_threads):
        serving.pool().submit(everyone.wait, PATIENCE)
    everyone.wait(PATIENCE)


@pytest.fixture
def two(plain, tmp_path) -> list[Path]:
    """Two different files of one name."""
    paths = [tmp_path / folder / "cells.h5ad" for folder in ("a", "b")]
    for n_obs, path in zip((10, 20), paths, strict=True):
        path.parent.mkdir()
        write(make_adata(n_obs=n_obs, full=False), path)
    return paths


# -- the catalogue ------------------------------------------------------------------------------------


def test_a_file_is_opened_when_first_asked_for_and_then_shared(plain, monkeypatch):
    calls: list[Path] = []
    reading = cellasso.open
    monkeypatch.setattr(cellasso, "open", lambda path, **_: calls.append(path) or reading(path))
    catalogue = Catalogue([plain.path])
    assert calls == []
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: catalogue.open("plain.h5ad"), range(32)))
    assert len(set(map(id, found))) == 1
    assert calls == [plain.path]


def test_files_go_by_their_names(plain, two):
    catalogue = Catalogue([plain.path, two[0]])
    assert catalogue.names == ["plain.h5ad", "cells.h5ad"]
    assert catalogue.open("cells.h5ad").n_obs == 10
    assert catalogue.open("plain.h5ad").n_obs == 60


def test_files_of_one_name_go_by_their_paths(two, plain):
    catalogue = Catalogue([*two, plain.path])
    assert catalogue.names == [str(two[0]), str(two[1]), "plain.h5ad"]
    assert [catalogue.open(name).n_obs for name in catalogue.names] == [10, 20, 60]


def test_a_file_named_twice_is_listed_once(plain):
    catalogue = Catalogue([plain.path, plain.path])
    assert len(catalogue.names) == 1
    assert catalogue.open(catalogue.names[0]).n_obs == 60


@pytest.mark.parametrize("name", ["", "no_such.h5ad", "../../etc/passwd", "/etc/passwd", "x" * 10_000])
def test_only_the_files_that_were_given_are_opened(plain, two, name):
    with pytest.raises(NotFoundError, match=r"No file is called '.*' here") as caught:
        Catalogue([plain.path, two[0]]).open(name)
    assert len(str(caught.value)) < 120


def test_without_a_name_the_first_that_can_be_opened_is(plain, two, tmp_path):
    broken = tmp_path / "broken.h5ad"
    broken.write_text("no HDF5")
    catalogue = Catalogue([broken, tmp_path / "missing.h5ad", plain.path, two[0]])
    name, dataset = catalogue.find()
    assert (name, dataset.file_path) == ("plain.h5ad", plain.path)
    with pytest.raises(CellassoError, match=r"broken\.h5ad is not an HDF5 file"):
        Catalogue([broken, tmp_path / "missing.h5ad"]).find()


def test_what_cannot_be_opened_is_said_without_the_folders_of_this_machine(plain, two, tmp_path, monkeypatch):
    (tmp_path / "secret.h5ad").write_text("")
    (tmp_path / "broken.h5ad").write_text("no HDF5")
    monkeypatch.chdir(tmp_path)
    catalogue = Catalogue([plain.path, tmp_path / "broken.h5ad", Path("missing.h5ad"), two[0]])
    assert catalogue.problems() == [
        "broken.h5ad is not an HDF5 file; an .h5ad or .h5mu file was expected.",
        "missing.h5ad does not exist; it was moved or removed.",
    ]
    shutil.copy(plain.path, "missing.h5ad")  # each is tried again until it can be opened
    assert [problem.partition(" ")[0] for problem in catalogue.problems()] == ["broken.h5ad"]
    catalogue.open("cells.h5ad")
    two[0].unlink()
    with pytest.raises(CellassoError, match=r"^cells\.h5ad does not exist; it was moved or removed\.$"):
        catalogue.open("cells.h5ad")
    assert [problem.partition(" ")[0] for problem in catalogue.problems()] == ["broken.h5ad", "cells.h5ad"]


def test_a_file_that_is_fine_is_not_read_again_to_say_so(plain, two, monkeypatch):
    catalogue = Catalogue([plain.path, two[0]])
    assert catalogue.problems() == []
    monkeypatch.setattr(cellasso, "open", lambda *_arguments, **_options: pytest.fail("was opened"))
    assert catalogue.problems() == []


def test_without_a_file_the_way_out_is_said():
    with pytest.raises(CellassoError, match="No file was given; start it as `cellasso FILE`"):
        Catalogue([]).open()


@pytest.mark.parametrize("how", ["replaced", "overwritten"])
def test_a_file_that_changed_is_opened_anew(two, how):
    catalogue = Catalogue(two[:1])
    old = catalogue.open()
    assert old.n_obs == 10
    if how == "replaced":
        two[1].replace(two[0])
    else:
        shutil.copyfile(two[1], two[0])  # into the same inode
        os.utime(two[0], ns=(1, 1))
    new = catalogue.open()
    assert new.n_obs == 20
    assert new is not old
    assert catalogue.open() is new


def test_a_file_that_could_not_be_opened_is_tried_again(tmp_path, plain):
    path = tmp_path / "later.h5ad"
    catalogue = Catalogue([path])
    with pytest.raises(FileError, match="does not exist"):
        catalogue.open()
    shutil.copy(plain.path, path)
    assert catalogue.open().n_obs == 60


def test_a_file_that_is_open_at_exit_does_not_crash_the_process(plain):
    """HDF5 closes at exit what is still open, through Python's file object: a segmentation fault."""
    script = """
import ctypes, sys
from pathlib import Path
import cellasso
dataset = cellasso.open(Path(sys.argv[1]))
ctypes.pythonapi.Py_IncRef(ctypes.py_object(dataset))  # as what a server holds, it outlives the interpreter
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "backend"), str(ROOT / "app")])}
    ended = subprocess.run([sys.executable, "-c", script, plain.path], env=environment, check=False)
    assert ended.returncode == 0


# -- the page -----------------------------------------------------------------------------------------


@pytest.fixture
def asked(monkeypatch) -> Callable[[str], None]:
    """Ask for a file by the page's address."""

    def ask(name: str) -> None:
        monkeypatch.setattr(type(pn.state), "session_args", {"file": [name.encode()]})

    return ask


def filled(frame: pn.Column) -> object:
    """What stands in a page's frame once its file is open, or cannot be."""
    end = time.monotonic() + PATIENCE
    while isinstance(frame[0], Opening):
        assert time.monotonic() < end
        time.sleep(0.01)
    return frame[0]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "does not exist"),
        (b"", "not an HDF5 file"),
        (b"obs,var\n1,2\n" * 100, "not an HDF5 file"),
    ],
    ids=["missing", "empty", "text"],
)
def test_a_bad_file_is_a_notice_with_one_sentence(tmp_path, content, sentence):
    path = tmp_path / "bad.h5ad"
    if content is not None:
        path.write_bytes(content)
    shown = filled(page(Catalogue([path]), tmp_path))
    assert isinstance(shown, Notice)
    assert "bad.h5ad" in shown.text
    assert sentence in shown.text
    assert "Traceback" not in shown.text


def test_a_bad_file_offers_the_others(plain, tmp_path, asked):
    broken = tmp_path / "broken.h5ad"
    broken.write_text("no HDF5")
    asked("broken.h5ad")
    shown = filled(page(Catalogue([plain.path, broken]), tmp_path))
    assert isinstance(shown, Notice)
    assert (shown.text, shown.files) == (
        "broken.h5ad is not an HDF5 file; an .h5ad or .h5mu file was expected.",
        ["plain.h5ad"],
    )


@pytest.mark.parametrize("name", ["unknown.h5ad", "<b>", "../../etc/passwd", "x" * 10_000])
def test_a_file_that_is_not_there_is_said_so_and_those_that_are_offered(plain, two, tmp_path, asked, name):
    asked(name)
    shown = page(Catalogue([plain.path, two[0]]), tmp_path)
    assert isinstance(shown, Notice)
    assert shown.text == f"No file is called {shortened(name)!r} here."
    assert shown.files == ["plain.h5ad", "cells.h5ad"]
    assert len(shown.text) < 120


def test_no_file_is_a_notice_too(tmp_path):
    assert isinstance(filled(page(Catalogue([]), tmp_path)), Notice)


def test_a_good_file_is_the_explorer(plain, tmp_path):
    frame = page(Catalogue([plain.path]), tmp_path)
    filled(frame)
    parts = {type(part).__name__ for part in frame.select(pn.custom.JSComponent)}
    assert {"AppBar", "CellsPanel", "GenesPanel", "SelectionPanel", "PlotBar", "StatusLine"} <= parts


# -- the server ---------------------------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def loop() -> Iterator[None]:
    """An event loop of the test's own; Panel takes the Ctrl-C of the process, which is given back."""
    interrupt = signal.getsignal(signal.SIGINT)
    made = asyncio.new_event_loop()
    asyncio.set_event_loop(made)
    yield
    made.close()
    asyncio.set_event_loop(None)
    signal.signal(signal.SIGINT, interrupt)


@pytest.fixture
def running(tmp_path, loop) -> Iterator[Callable[[list[Path]], Server]]:
    """The server of some files, in this process; its loop runs while a test asks for something."""
    started: list[Server] = []

    def start(paths: list[Path], policy: AccessPolicy = LOCAL) -> Server:
        catalogue = Catalogue(paths)
        server = serving._listen(lambda: page(catalogue, tmp_path), "127.0.0.1", [free_port()], policy)
        started.append(server)
        server.start()
        return server

    yield start
    for server in started:
        _drain()
        server.stop()
    pn.state._servers.clear()


def get(server: Server, path: str = "/") -> str:
    async def fetch() -> bytes:
        answer = await AsyncHTTPClient().fetch(f"http://127.0.0.1:{server.port}{path}", request_timeout=PATIENCE)
        return answer.body

    return server.io_loop.run_sync(fetch).decode()


def document(server: Server) -> Document:
    (session,) = server.get_sessions("/")
    return session.document


def visit(server: Server, path: str = "/") -> Document:
    """Get a page, say that it is there as its script does, and wait until its file is open."""
    get(server, path)
    (session,) = server.get_sessions("/")
    session.document.callbacks.trigger_event(DocumentReady())

    async def opened() -> None:
        end = time.monotonic() + PATIENCE
        while session.document.select_one({"name": "opening"}) is not None:
            assert time.monotonic() < end
            await asyncio.sleep(0.01)

    server.io_loop.run_sync(opened)
    return session.document


def outside(text: str, server: Server) -> set[str]:
    """Addresses of other machines in a text."""
    names = {"http://www.w3.org/2000/svg"}  # names a kind of element; nothing is fetched
    found = set(re.findall(r"(?:https?|wss?)://[^\s\"'\\)<>`]+", text)) - names
    return {url for url in found if not url.startswith(f"http://127.0.0.1:{server.port}/")}


def test_a_page_asks_nothing_of_another_machine(plain, running):
    server = running([plain.path])
    assert not outside(get(server), server)
    content = serialize_json(document(server).to_json())
    assert not outside(content, server)


def test_the_explorer_asks_nothing_of_another_machine(plain, running):
    server = running([plain.path])
    content = serialize_json(visit(server).to_json())
    assert len(json.loads(content)["roots"]) > 0
    assert "AppBar" in content
    assert not outside(content, server)


def test_a_notice_asks_nothing_of_another_machine(tmp_path, running):
    server = running([tmp_path / "missing.h5ad"])
    shown = visit(server)
    content = serialize_json(shown.to_json())
    assert "missing.h5ad does not exist" in content
    assert shown.title == "cellasso"
    assert not outside(content, server)


def test_the_title_names_the_file_and_its_cells(plain, running):
    server = running([plain.path])
    assert visit(server).title == "plain.h5ad · 60 cells · cellasso"


def part(shown: Document, name: str) -> ReactiveESM:
    (found,) = (model for model in shown.models if isinstance(model, ReactiveESM) and model.class_name == name)
    return found


def test_the_page_of_a_good_file_says_which_others_are_broken_and_why(plain, tmp_path, running):
    broken = tmp_path / "broken.h5ad"
    broken.write_text("no HDF5")
    server = running([broken, plain.path])
    shown = visit(server)
    bar, problems = part(shown, "AppBar").data, part(shown, "Problems")

    async def told() -> None:
        end = time.monotonic() + PATIENCE
        while not problems.visible:
            assert time.monotonic() < end
            await asyncio.sleep(0.01)

    server.io_loop.run_sync(told)
    assert problems.data.sentences == ["broken.h5ad is not an HDF5 file; an .h5ad or .h5mu file was expected."]
    assert (bar.file, bar.files) == ("plain.h5ad", ["broken.h5ad", "plain.h5ad"])


def test_files_of_one_name_are_told_apart_on_the_page(two, running):
    server = running(two)
    assert part(visit(server, f"/?file={quote(str(two[1]), safe='')}"), "AppBar").data.file == str(two[1])


@pytest.mark.parametrize("name", ["other.h5ad", "a b.h5ad", "100%25 µ&=.h5ad", "a+b.h5ad", "%2e%2e.h5ad"])
def test_the_address_chooses_the_file(plain, tmp_path, running, name):
    path = tmp_path / name
    write(make_adata(n_obs=10, full=False), path)
    server = running([plain.path, path])
    shown = visit(server, f"/?file={quote(name, safe='')}")  # as the browser's encodeURIComponent
    assert shown.title == f"{name} · 10 cells · cellasso"


@pytest.mark.parametrize("query", ["", "?file=", "?other=1"])
def test_an_address_that_names_no_file_shows_the_first(plain, running, query):
    server = running([plain.path])
    assert visit(server, f"/{query}").title.startswith("plain.h5ad")


@pytest.mark.parametrize("query", ["?file=nothing", "?file=%ff%fe", "?file=a&file=b", "?file=plain.h5ad%00"])
def test_an_address_of_no_file_says_so(plain, running, query):
    server = running([plain.path])
    content = serialize_json(visit(server, f"/{query}").to_json())
    assert "No file is called" in content
    assert str(plain.path.parent) not in content


def test_the_event_loop_reads_nothing_of_a_file(multimodal, running, monkeypatch):
    """Every step into a file first checks that it is still the same one: those are noted, with their thread."""
    steps: list[str] = []
    checking = Hdf5Store.check

    def noted(handle: Hdf5Store) -> None:
        steps.append(threading.current_thread().name)
        checking(handle)

    monkeypatch.setattr(Hdf5Store, "check", noted)
    server = running([multimodal.path])
    shown = visit(server)
    assert shown.title != "cellasso"
    assert steps
    assert threading.current_thread().name not in steps  # which runs the loop


def test_kinds_of_columns_are_looked_up_once_for_all_sessions(multimodal, monkeypatch):
    with cellasso.open(multimodal.path) as dataset:
        prefetch_metadata(dataset)
        n_read = dataset.handle.bytes_read
        monkeypatch.setattr(Hdf5Store, "check", lambda _: pytest.fail("the file was asked again"))
        for _ in range(3):
            session = Session(dataset)
            for modality in session.modalities:
                session.choose_modality(modality)
                assert session.columns()
                assert len(session.current.features(session.matrix)) > 0
                session.add_gene(f"{modality}:any")
                session.layer_of(f"{modality}:any")
        assert dataset.handle.bytes_read == n_read


def test_a_taken_port_is_one_sentence(plain, tmp_path, loop):
    with _taken_port() as port:
        sentence = rf"127\.0\.0\.1:{port} cannot be listened at \(.+\); choose another with --port\."
        with pytest.raises(ServeError, match=sentence) as caught:
            serve([plain.path], port=port, address="127.0.0.1", export_dir=tmp_path, open_browser=False)
        assert isinstance(caught.value, CellassoError)
        assert isinstance(caught.value, OSError)
        assert "\n" not in str(caught.value)
        del caught  # its traceback holds that socket


def test_without_a_port_the_next_free_one_is_taken(loop):
    with _taken_port() as taken:
        server = serving._listen(lambda: Notice(text=""), "127.0.0.1", range(taken, taken + 50), LOCAL)
        assert taken < server.port < taken + 50
        server.stop()
    pn.state._servers.clear()


@contextmanager
def _taken_port() -> Iterator[int]:
    with socket.socket() as other, warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # tornado leaves the socket that it could not bind
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]
        gc.collect()
