"""What a user waits for in a real Chromium, from the input to the last new pixel, beside HoloViews with datashader.

Both sides show the same cells of the synthetic file in a plot of the same size, each from a server process of its
own. A script in the page looks at every sixteenth pixel of the plot in every animation frame.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from browsing import CELLASSO, FLAGS, NO_CHROMIUM, find_chromium, served
from measuring import duration, machine, memory, number
from playwright.sync_api import sync_playwright

from cellasso_app.demo.files import synthetic_folder, write_synthetic

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Browser, Locator, Page

SIZE = (800, 700)  # of the plot
GENE = "CD8A"
COLUMN, OTHER_COLUMN = "cell_type", "sample"  # of 30 and of 8 categories
FIRST_PAGES, FURTHER_PAGES = 3, 10
QUIET = 1.5
"""Seconds without a new pixel after which the picture counts as final: longer than any delay of either side."""

PATIENCE = 60.0  # seconds
PICTURE = 50_000
"""Bytes over the websocket that can only be a picture."""

WATCH = """() => {
    const seen = window.seen = {input: 0, first: 0, pixels: 0, text: 0, started: performance.now()};
    // events that are heard outside of a shadow root, as "change" is not
    for (const type of ["wheel", "pointerup", "click", "input", "keydown"])
        window.addEventListener(type, (event) => { seen.input = event.timeStamp; }, {capture: true, passive: true});
    const all = function* (root) {
        for (const element of root.querySelectorAll("*")) {
            yield element;
            if (element.shadowRoot) yield* all(element.shadowRoot);
        }
    };
    const glass = new OffscreenCanvas(200, 175).getContext("2d", {willReadFrequently: true});
    glass.imageSmoothingEnabled = false;
    let canvases = [], status = null, hash = 0, words = "", looked = -1e9;
    const look = (now) => {
        if (now - looked > 1000) { // the page builds itself, and may build parts of it anew
            looked = now;
            const elements = [...all(document)];
            const area = (canvas) => canvas.width * canvas.height;
            canvases = elements.filter((element) => element instanceof HTMLCanvasElement);
            canvases = canvases.filter((c) => area(c) && area(c) === Math.max(...canvases.map(area)));
            status = elements.find((element) => element.getAttribute("aria-label") === "Cells" && element.role);
        }
        let fresh = 0;
        glass.clearRect(0, 0, 200, 175);
        for (const canvas of canvases) glass.drawImage(canvas, 0, 0, 200, 175);
        for (const pixel of new Uint32Array(glass.getImageData(0, 0, 200, 175).data.buffer))
            fresh = (Math.imul(fresh, 31) + pixel) | 0;
        if (fresh !== hash) {
            hash = fresh;
            if (seen.first <= seen.input) seen.first = performance.now();
            seen.pixels = performance.now();
        }
        const text = status ? status.textContent : "";
        if (text !== words) { words = text; seen.text = performance.now(); }
        requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
}"""
BOX = """() => {
    const all = function* (root) {
        for (const element of root.querySelectorAll("*")) {
            yield element;
            if (element.shadowRoot) yield* all(element.shadowRoot);
        }
    };
    const canvases = [...all(document)].filter((element) => element instanceof HTMLCanvasElement);
    const frames = canvases.map((canvas) => canvas.getBoundingClientRect());
    const [frame] = frames.sort((a, b) => b.width * b.height - a.width * a.height);
    return frame && {x: frame.x, y: frame.y, width: frame.width, height: frame.height};
}"""


class Step(NamedTuple):
    """What one input took: milliseconds to the last new pixel (or word), bytes received, ms to the first new pixel."""

    ms: float
    received: int
    first: float


class Tab:
    """A page that is watched."""

    def __init__(self, browser: Browser, address: str, viewport: tuple[int, int]) -> None:
        self.context = browser.new_context(viewport={"width": viewport[0], "height": viewport[1]}, color_scheme="light")
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(1e3 * PATIENCE)
        self.received = 0
        network = self.context.new_cdp_session(self.page)
        network.send("Network.enable")
        network.on("Network.webSocketFrameReceived", self._count)
        self.page.goto(address)
        self.page.wait_for_function(f"({BOX})()?.width > 300")
        self.page.evaluate(WATCH)
        self.settle()

    def _count(self, event: dict[str, Any]) -> None:
        data, binary = event["response"]["payloadData"], event["response"]["opcode"] == 2  # binary ones come as base64
        self.received += len(data) * 3 // 4 if binary else len(data)

    def settle(self) -> dict[str, float]:
        """Wait until pixels and words have been the same for a while."""
        self.page.wait_for_function(
            f"performance.now() - Math.max(seen.pixels, seen.text, seen.input, seen.started) > {1e3 * QUIET}",
            polling=50,
        )
        seen: dict[str, float] = self.page.evaluate("seen")
        return seen

    def measure(self, act: Callable[[], object], *, by: str = "pixels", picture: bool = False) -> Step:
        """Do something and wait for what it changes; the last input is where the time begins.

        With `picture` a new one has to arrive: the browser moves and stretches the old one by itself.
        """
        before, received = self.settle(), self.received
        act()
        deadline = time.monotonic() + PATIENCE
        while picture and self.received - received < PICTURE:
            if time.monotonic() > deadline:
                sys.exit("No new picture arrived.")
            self.page.wait_for_timeout(50)
        self.page.wait_for_function(f"seen.{by} > {before[by]}", polling=50)
        seen = self.settle()
        if seen["input"] <= before["input"] or seen[by] < seen["input"]:
            sys.exit(f"The page saw no input, or nothing changed after it: {before}, {seen}")
        return Step(seen[by] - seen["input"], self.received - received, seen["first"] - seen["input"])

    def box(self) -> dict[str, float]:
        box: dict[str, float] = self.page.evaluate(BOX)
        return box

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Return a point of the screen, given as parts of the plot."""
        box = self.box()
        return box["x"] + x * box["width"], box["y"] + y * box["height"]

    def wheel(self, delta: float) -> None:
        self.page.mouse.move(*self.at(0.5, 0.5))
        self.page.mouse.wheel(0, delta)

    def drag(self, points: list[tuple[float, float]]) -> None:
        places = [self.at(*point) for point in points]
        self.page.mouse.move(*places[0])
        self.page.mouse.down()
        for place in places[1:]:
            self.page.mouse.move(*place)
        self.page.mouse.up()


# -- the two sides -----------------------------------------------------------------------------------------------


def steps_of_cellasso(tab: Tab, turn: int) -> dict[str, Step]:
    page = tab.page

    def button(name: str) -> Locator:
        return page.get_by_role("button", name=name, exact=True)

    def recolour(what: str) -> Step:
        button(f"Colour by {what}").hover()  # a legend that the pointer leaves changes the picture
        return tab.measure(button(f"Colour by {what}").click)

    found = common_steps(tab, turn, recolour)
    hide = page.get_by_role("button", name=re.compile("^Hide "))
    if hide.count():
        hide.first.hover()  # which brings the category out
        step = tab.measure(hide.first.click)
        found["hide a category, until it is gone"] = step._replace(ms=step.first)
        found["hide a category, until what was under it is there"] = step
        page.get_by_role("button", name=re.compile("^Show ")).first.click()
        tab.settle()
    if not button(f"Colour by {GENE}").count():
        search = page.get_by_role("combobox", name="Find a gene")
        search.fill(GENE)
        page.get_by_role("option", name=GENE, exact=True).wait_for()
        tab.measure(lambda: search.press("Enter"))
        recolour(COLUMN)
    found |= first_and_last("colour by an indexed gene", recolour(GENE))
    recolour(COLUMN)
    button("Lasso").click()
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    ring = np.stack([0.5 + 0.25 * np.cos(angle), 0.5 + 0.25 * np.sin(angle)], axis=1)
    found["lasso until the count shows"] = tab.measure(lambda: tab.drag(list(map(tuple, ring))), by="text")
    tab.measure(lambda: page.keyboard.press("Escape"), by="text")
    button("Pan").click()
    return found


def steps_of_holoviews(tab: Tab, turn: int) -> dict[str, Step]:
    choose = tab.page.get_by_role("combobox").select_option
    return common_steps(tab, turn, lambda column: tab.measure(lambda: choose(column)))


def common_steps(tab: Tab, turn: int, recolour: Callable[[str], Step]) -> dict[str, Step]:
    found = {"wheel zoom": tab.measure(lambda: tab.wheel(-200), picture=True)}
    there = [(0.6 - 0.02 * n, 0.55 - 0.01 * n) for n in range(11)]
    found["pan, from the release"] = tab.measure(lambda: tab.drag(there if turn % 2 else there[::-1]), picture=True)
    tab.measure(lambda: tab.wheel(200), picture=True)
    found |= first_and_last("recolour by another column", recolour(OTHER_COLUMN))
    recolour(COLUMN)
    return found


def first_and_last(name: str, step: Step) -> dict[str, Step]:
    """Return a step under two names: until the first picture, a coarse one maybe, and until the last."""
    return {f"{name}, first picture": step._replace(ms=step.first), name: step}


def serve_peer(path: Path) -> None:
    """Show the same cells as the documentation of HoloViews does for large data."""
    import datashader as ds
    import holoviews as hv
    import pandas as pd
    import panel as pn
    from holoviews.operation.datashader import datashade, dynspread

    import cellasso
    from cellasso.color.coloring import palette

    hv.extension("bokeh")
    with cellasso.open(path) as dataset:
        points = dataset.read_embedding("X_umap")
        table = pd.DataFrame(
            {"x": points[:, 0], "y": points[:, 1], **{c: dataset.read_obs(c).array for c in (COLUMN, OTHER_COLUMN)}}
        )
    colors = list(palette(max(table[column].nunique() for column in (COLUMN, OTHER_COLUMN))))
    cells = hv.Points(table, ["x", "y"], [COLUMN, OTHER_COLUMN])

    def app() -> pn.Column:
        column = pn.widgets.Select(options={name: ds.by(name, ds.count()) for name in (COLUMN, OTHER_COLUMN)})
        width, height = SIZE
        picture = dynspread(
            datashade(cells, aggregator=column.param.value, color_key=colors, width=width, height=height)
        )
        options = {
            "frame_width": width,
            "frame_height": height,
            "xaxis": None,
            "yaxis": None,
            "active_tools": ["wheel_zoom"],
        }
        return pn.Column(column, picture.opts(hv.opts.RGB(**options)))

    pn.serve({"peer": app}, port=0, address="127.0.0.1", show=False, verbose=True)


# -- running -----------------------------------------------------------------------------------------------------


def viewport_for(browser: Browser, url: str, start: tuple[int, int] = (1460, 812)) -> tuple[int, int]:
    """Return the window's size at which the plot has the size that it is to have."""
    tab = Tab(browser, url, start)
    box = tab.box()
    tab.context.close()
    return round(start[0] + SIZE[0] - box["width"]), round(start[1] + SIZE[1] - box["height"])


def run_side(
    browser: Browser,
    url: str,
    pid: int,
    viewport: tuple[int, int],
    steps: Callable[[Tab, int], dict[str, Step]],
    *,
    n_repeats: int,
) -> tuple[dict[str, list[Step]], float]:
    """Return what the steps took, by their names, and MB that each further page takes in the server."""
    pages = [Tab(browser, url, viewport) for _ in range(FIRST_PAGES)]
    before = memory("VmRSS", str(pid))
    pages += [Tab(browser, url, viewport) for _ in range(FURTHER_PAGES)]
    per_page = (memory("VmRSS", str(pid)) - before) / FURTHER_PAGES
    for page in pages:
        page.context.close()
    tab = Tab(browser, url, viewport)
    steps(tab, 1)  # compiles, and fills what is kept
    measured: dict[str, list[Step]] = {}
    for turn in range(n_repeats):
        for name, step in steps(tab, turn).items():
            measured.setdefault(name, []).append(step)
            print(f"{turn + 1}/{n_repeats} {name}: {step}", file=sys.stderr, flush=True)
    tab.context.close()
    return measured, per_page


SECTION = """\
## {cells:,} synthetic cells

| input | cellasso | range | HoloViews | range | HoloViews / cellasso | received, kB |
|---|---:|---:|---:|---:|---:|---:|
{rows}
| one more page, MB in the server | {memory} | | {memory_peer} | | | |

"""
NOTES = """\
Medians of {repeats} turns in a real Chromium without a GPU, from the browser's time stamp of the input to the first
frame that has the final pixels, the names in the picture too (of a lasso: the final count; where it says so, to the
first frame with new pixels), plot of {width} by {height} pixels, coloured by {types} categories. Received: over the
websocket, cellasso / HoloViews. A delay that a side waits for further inputs counts. The picture is final when it has
not changed for {quiet} s. HoloViews: `dynspread(datashade(points, aggregator=by(column)))` with its own settings,
served by Panel, same file, same browser. Memory: resident, of {further} pages beyond the first {first}.

{machine}

```
python tests/benchmarks/browser.py --cells {cells} --repeats {repeats}{alone} --write
```
"""
LIBRARIES = ("cellasso", "holoviews", "datashader", "panel", "bokeh", "numba", "playwright")


def row(name: str, ours: list[Step], theirs: list[Step]) -> str:
    def shown(steps: list[Step]) -> tuple[str, str]:
        if not steps:
            return "", ""
        ms = [step.ms for step in steps]
        return duration(median(ms)), f"{duration(min(ms))} to {duration(max(ms))}"

    received = " / ".join(number(median(step.received for step in side) / 1e3) for side in (ours, theirs) if side)
    ratio = number(median(s.ms for s in theirs) / median(s.ms for s in ours)) if theirs else ""
    return f"| {' | '.join((name, *shown(ours), *shown(theirs), ratio, received))} |"


def measure_all(chromium: str, n_cells: int, n_repeats: int, *, alone: bool) -> str:
    """Measure both sides with so many cells, and return their section."""
    path = write_synthetic(synthetic_folder(), n_cells)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        index = ["--index-dir", folder]
        subprocess.run(
            [sys.executable, "-W", "ignore", *CELLASSO, "index", str(path), *index], check=True, stdout=sys.stderr
        )
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        serve = [*CELLASSO, "serve", str(path), "--no-browser", "--no-token", *index, "--export-dir", folder]
        with served(serve, Path(folder, "cellasso.log")) as (url, pid):
            viewport = viewport_for(browser, url)
            ours, memory_ours = run_side(browser, url, pid, viewport, steps_of_cellasso, n_repeats=n_repeats)
        theirs: dict[str, list[Step]] = {}
        memory_theirs = float("nan")
        if not alone:
            with served([__file__, "--peer", str(path)], Path(folder, "peer.log")) as (url, pid):
                theirs, memory_theirs = run_side(
                    browser, f"{url}/peer", pid, (1000, 900), steps_of_holoviews, n_repeats=n_repeats
                )
        browser.close()
    return SECTION.format(
        rows="\n".join(row(name, steps, theirs.get(name, [])) for name, steps in ours.items()),
        cells=n_cells,
        memory=number(memory_ours),
        memory_peer="" if alone else number(memory_theirs),
    )


def main() -> None:
    """Measure and print the tables, or serve the other side."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cells", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--alone", action="store_true", help="without HoloViews")
    parser.add_argument("--write", action="store_true", help="save the tables beside this script")
    parser.add_argument("--peer", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peer:
        serve_peer(options.peer)
        return
    chromium = find_chromium()
    if chromium is None:
        sys.exit(NO_CHROMIUM)
    load = os.getloadavg()[0]
    sections = [measure_all(chromium, n, options.repeats, alone=options.alone) for n in options.cells]
    notes = NOTES.format(
        cells=" ".join(map(str, options.cells)),
        repeats=options.repeats,
        alone=" --alone" if options.alone else "",
        width=SIZE[0],
        height=SIZE[1],
        types=30,
        quiet=QUIET,
        first=FIRST_PAGES,
        further=FURTHER_PAGES,
        machine=machine(load, LIBRARIES),
    )
    table = "# In the browser\n\n" + "".join(sections) + notes
    print(table)
    if options.write:
        Path(__file__).with_suffix(".md").write_text(table)


if __name__ == "__main__":
    main()
