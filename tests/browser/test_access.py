"""What a browser lets other pages do with a server, how its owner gets in, and what stands there when a file is not."""

from __future__ import annotations

import json
import re
import shutil
import sys
import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import anndata as ad
import numpy as np
import pytest
from matplotlib.path import Path as Polygon
from shapely.geometry import LineString, Point

from cellasso_app.server.entrance import Entrance
from explorer_page import cells, open_page, paste, status
from served import Address, served, write_h5ad

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

pytestmark = [
    pytest.mark.browser,
    pytest.mark.xdist_group("browser"),  # all on one worker: they share the server
    pytest.mark.filterwarnings("ignore::FutureWarning:(anndata|mudata)"),
]

CLI = [sys.executable, "-c", "import sys; from cellasso_app.cli.main import main; sys.exit(main())"]


def export(page: Page, name: str) -> Path:
    page.get_by_role("textbox", name="File name of the export").fill(name)
    page.get_by_role("button", name="Export subset").click()
    outcome = page.get_by_role("status", name="Export", exact=True)
    outcome.filter(has_text="written to").wait_for(timeout=60_000)
    return Path(re.search(r"written to (\S+)", outcome.inner_text()).group(1))


@contextmanager
def another_program(folder: Path) -> Iterator[str]:
    """A web server of somebody else on the same machine, whose pages are of the same site."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def stranger(browser: Browser) -> Iterator[Page]:
    """A page of a browser that was not let in."""
    context = browser.new_context(viewport={"width": 1100, "height": 700})
    page = context.new_page()
    page.set_default_timeout(30_000)
    yield page
    context.close()


# -- who gets in ------------------------------------------------------------------------------------------


def test_without_the_token_a_browser_is_told_so(stranger: Page, server: Address) -> None:
    answer = stranger.goto(server)
    assert answer.status == 403
    stranger.get_by_role("alert").filter(has_text="This page needs a token").wait_for()


def test_the_file_that_the_browser_is_started_with_lets_it_in_and_leaves_no_token_behind(
    stranger: Page, server: Address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    token = server.whole.partition("token=")[2]
    stranger.goto(Entrance("127.0.0.1", int(server.rpartition(":")[2]), token)._write_redirection().as_uri())
    status(stranger).filter(has_text="in view").wait_for()
    assert stranger.url == f"{server}/"
    (cookie,) = stranger.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    assert token not in json.dumps(stranger.context.cookies()) + stranger.content()
    assert stranger.evaluate("document.cookie") == ""
    stranger.go_back()  # the address with the token, and the file that had it, are not in the history
    assert stranger.url == "about:blank"


def test_a_page_of_another_program_on_this_machine_gets_nothing(page: Page, server: Address, tmp_path: Path) -> None:
    open_page(page, server)
    (tmp_path / "evil.html").write_text("<!DOCTYPE html><title>evil</title>")
    with another_program(tmp_path) as address:
        page.goto(f"{address}/evil.html")
        got = page.evaluate(
            """async (server) => {
                const script = (path) => new Promise((done) => {
                    const node = document.createElement("script");
                    node.src = server + path;
                    node.onload = () => done("loaded");
                    node.onerror = () => done("refused");
                    document.head.append(node);
                });
                const readable = (node) => { try { return node.contentDocument; } catch { return null; } };
                const fetched = (path, mode) => fetch(server + path, {mode, credentials: "include"})
                    .then((answer) => answer.type, () => "refused");
                const socket = (protocols) => new Promise((done) => {
                    const made = new WebSocket(server.replace("http", "ws") + "/ws", protocols);
                    made.onopen = () => done("open");
                    made.onerror = () => done("refused");
                });
                const frame = () => new Promise((done) => {
                    const node = document.createElement("iframe");
                    node.src = server + "/";
                    node.onload = () => done(readable(node) ? "ours" : "refused");
                    document.body.append(node);
                });
                return {
                    autoload: await script("/autoload.js?bokeh-autoload-element=x"),
                    static: await script("/static/js/bokeh.min.js"),
                    page: await fetched("/", "cors"), opaque: await fetched("/", "no-cors"),
                    socket: await socket(["bokeh", "x"]), frame: await frame(), length: window.frames[0]?.length,
                };
            }""",
            server,
        )
        refused = dict.fromkeys(("autoload", "static", "page", "opaque", "socket", "frame"), "refused")
        assert got == {**refused, "length": 0}
        opened = page.evaluate("(server) => { window.other = window.open(server); return !!window.other; }", server)
        assert opened
        page.wait_for_timeout(1000)
        assert page.evaluate("window.other === null || window.other.closed")  # no hold on the page either


def test_panel_serve_lets_in_who_has_the_token_and_shows_the_whole_page(
    page: Page, stranger: Page, folder: Path, tmp_path: Path
) -> None:
    """As the README has it; the browser's is the first request, before there is a guard."""
    command = [sys.executable, "-m", "panel", "serve", "app/main.py", "--port", "0", "--args"]
    options = ["--export-dir", str(tmp_path), "--token", "chosen-token", "--no-index"]
    log = tmp_path / "log"
    with served([*command, str(folder / "cells.h5ad"), *options], log, has_token=False) as address:
        page.goto(f"{address}?token=chosen-token&file=cells.h5ad")
        status(page).filter(has_text="900 cells in view").wait_for()
        assert page.url == f"{address}?file=cells.h5ad"
        page.wait_for_function("document.title === 'cells.h5ad · 900 cells · cellasso'")
        page.get_by_role("group", name="Legend of cell_type").get_by_role("button", name=re.compile("^B,")).click()
        cells(page).filter(has_text="selected").wait_for()
        assert export(page, "b.h5ad").parent == tmp_path
        page.goto(f"{address}?file=nothing")
        page.get_by_role("link", name="cells.h5ad").click()
        status(page).filter(has_text="900 cells in view").wait_for()
        assert stranger.goto(address).status == 403
        stranger.get_by_role("alert").filter(has_text="This page needs a token").wait_for()
        assert "chosen-token" not in page.content() + log.read_text()


# -- the tab's title --------------------------------------------------------------------------------------


def test_the_tab_is_called_as_its_file_and_its_cells(page: Page, server: Address) -> None:
    open_page(page, server)
    page.wait_for_function("document.title === 'cells.h5ad · 900 cells · cellasso'")
    page.get_by_role("combobox", name="File", exact=True).select_option("tissue.h5ad")
    page.wait_for_function("document.title === 'tissue.h5ad · 60,000 cells · cellasso'")
    page.goto(f"{server}/?file=nothing")
    page.get_by_role("alert").wait_for()
    assert page.title() == "cellasso"


# -- files that are not there -----------------------------------------------------------------------------


def test_a_file_that_is_not_there_is_said_so_and_the_others_are_a_click_away(page: Page, server: Address) -> None:
    page.goto(f"{server}/?file=%3Cb%3Eunknown.h5ad")
    page.get_by_role("alert").filter(has_text="No file is called '<b>unknown.h5ad' here.").wait_for()
    files = page.get_by_role("navigation", name="Files")
    names = ["cells.h5ad", "cells.h5mu", "plain.h5ad", "tissue.h5ad", "crowded.h5ad"]
    assert files.get_by_role("link").all_inner_texts() == names
    files.get_by_role("link", name="cells.h5mu").click()
    status(page).filter(has_text="in view").wait_for()
    assert page.url == f"{server}/?file=cells.h5mu"


def test_good_files_are_served_beside_broken_ones_and_removed_ones_have_a_way_on(page: Page, tmp_path: Path) -> None:
    write_h5ad(tmp_path / "good.h5ad", 200)
    shutil.copy(tmp_path / "good.h5ad", tmp_path / "gone.h5ad")
    (tmp_path / "broken.h5ad").write_text("no HDF5")
    files = [str(tmp_path / f"{name}.h5ad") for name in ("broken", "good", "gone")]
    log = tmp_path / "log"
    with served([*CLI, *files, "--no-browser", "--export-dir", str(tmp_path)], log) as address:
        assert f"cellasso: {tmp_path}/broken.h5ad is not an HDF5 file" in log.read_text()
        page.goto(address.whole)
        status(page).filter(has_text="200 cells in view").wait_for()
        problems = page.get_by_role("status", name="Files that cannot be opened")
        problems.filter(has_text="broken.h5ad is not an HDF5 file").wait_for()
        assert str(tmp_path) not in problems.inner_text()
        problems.get_by_role("button", name="Put away").click()
        problems.wait_for(state="hidden")

        page.goto(f"{address}/?file=broken.h5ad")
        page.get_by_role("alert").filter(has_text="broken.h5ad is not an HDF5 file").wait_for()
        page.get_by_role("link", name="gone.h5ad").click()
        status(page).filter(has_text="200 cells in view").wait_for()
        (tmp_path / "gone.h5ad").unlink()
        page.get_by_role("button", name="Colour by n_counts").click()
        said = page.get_by_role("alert").filter(has_text="gone.h5ad was removed or cannot be reached")
        said.wait_for()
        assert str(tmp_path) not in said.inner_text()
        page.reload()
        page.get_by_role("alert").filter(has_text="gone.h5ad does not exist; it was moved or removed.").wait_for()
        page.get_by_role("link", name="good.h5ad").click()
        status(page).filter(has_text="200 cells in view").wait_for()


# -- what is too long -------------------------------------------------------------------------------------

STROKE = """(points) => {
    const figure = Bokeh.documents.map((d) => d.get_model_by_name("view0")).find((f) => f);
    const {left, top, width, height} = Bokeh.index.find_one(figure).frame.bbox;
    const {start: x0, end: x1} = figure.x_range, {start: y0, end: y1} = figure.y_range;
    const sx = points.map((p) => left + p[0] * width), sy = points.map((p) => top + p[1] * height);
    const x = points.map((p) => x0 + p[0] * (x1 - x0)), y = points.map((p) => y1 - p[1] * (y1 - y0));
    const {SelectionGeometry} = Bokeh.require("core/bokeh_events");
    figure.trigger_event(new SelectionGeometry({type: "poly", sx, sy, x, y}, true));
    return {polygon: x.map((each, i) => [each, y[i]]), pixel: (x1 - x0) / width};
}"""


def test_a_wild_stroke_arrives_thinned_and_selects_as_all_its_points_would(
    page: Page, server: Address, folder: Path
) -> None:
    open_page(page, server)
    angle = np.linspace(0, 2 * np.pi, 60_000, endpoint=False)
    radius = 0.3 + 0.1 * np.sin(40 * angle) + np.random.default_rng(0).normal(0, 0.0004, len(angle))
    stroke = np.stack([0.5 + radius * np.cos(angle), 0.5 + radius * np.sin(angle)], axis=-1)
    told = page.evaluate(STROKE, stroke.tolist())
    cells(page).filter(has_text="selected").wait_for()
    exported = ad.read_h5ad(export(page, "wild.h5ad"))
    corners = json.loads(exported.uns["cellasso"]["recipe"])["lasso"]["polygon"]
    assert 1_000 < len(corners) <= 10_000

    source = ad.read_h5ad(folder / "cells.h5ad")
    points = source.obsm["X_umap"]
    line = LineString([*told["polygon"], told["polygon"][0]])
    clear = np.array([line.distance(Point(point)) for point in points]) > told["pixel"]
    inside = Polygon(told["polygon"]).contains_points(points)
    found = source.obs_names.isin(exported.obs_names)
    assert 0.7 < clear.mean() < 1
    assert 0 < inside[clear].sum() < clear.sum()
    np.testing.assert_array_equal(found[clear], inside[clear])


def test_a_stroke_that_stays_too_long_is_refused_in_a_sentence_and_the_session_goes_on(
    page: Page, server: Address
) -> None:
    open_page(page, server)
    page.evaluate(STROKE, np.random.default_rng(0).random((30_000, 2)).tolist())
    status(page).filter(has_text=re.compile(r"This stroke has [12]\d,\d{3} corners; at most 10,000")).wait_for()
    page.get_by_role("group", name="Legend of cell_type").get_by_role("button", name=re.compile("^B,")).click()
    cells(page).filter(has_text="selected").wait_for()


def test_a_list_that_is_too_long_is_refused_in_a_sentence_and_the_session_goes_on(page: Page, server: Address) -> None:
    open_page(page, server)
    search = page.get_by_role("combobox", name="Find a gene")
    search.focus()
    paste(page, "CD4," * 1_000_000)
    page.get_by_role("alert").filter(has_text="at most 20,000 characters; this one has 4,000,000.").wait_for()
    search.fill("CD4")
    page.get_by_role("option", name="CD4", exact=True).wait_for()
    search.press("Enter")
    page.get_by_role("button", name="Remove CD4").wait_for()


def test_a_box_selects_what_is_in_it(page: Page, server: Address, folder: Path) -> None:
    open_page(page, server)
    page.get_by_role("button", name="Box", exact=True).click()
    box = page.get_by_role("application", name="Embedding").bounding_box()
    page.mouse.move(box["x"] + 100, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + 300, box["y"] + 300)
    page.mouse.move(box["x"] + 400, box["y"] + 500)
    page.mouse.up()
    cells(page).filter(has_text="selected").wait_for()
    exported = ad.read_h5ad(export(page, "box.h5ad"))
    corners = np.array(json.loads(exported.uns["cellasso"]["recipe"])["lasso"]["polygon"])
    assert len(corners) == 4
    source = ad.read_h5ad(folder / "cells.h5ad")
    low, high = corners.min(axis=0), corners.max(axis=0)
    within = ((source.obsm["X_umap"] > low) & (source.obsm["X_umap"] < high)).all(axis=1)
    assert list(exported.obs_names) == list(source.obs_names[within])
    assert re.match(rf"{within.sum()} of", cells(page).inner_text())
