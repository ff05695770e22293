"""What an operation of the page costs the event loop that all sessions share: CPU of its thread, messages, bytes.

A server in this process and a browser's side of its websocket in another thread: nothing is drawn there.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import sys
import tempfile
import threading
import time
from itertools import count
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from measuring import duration, machine, number
from panel.io.server import get_server
from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.websocket import websocket_connect

import cellasso
from cellasso_app.demo.files import synthetic_folder, write_synthetic
from cellasso_app.page.explorer import Explorer
from cellasso_app.server.serve import SERVER_OPTIONS

if TYPE_CHECKING:
    from collections.abc import Callable

GENES = ("CD8A", "MS4A1")
COLUMNS = ("cell_type", "sample")  # of 30 and of 8 categories
QUIET = 0.3
"""Seconds without a message after which an operation is over."""

FIRST = 4  # turns that are not counted
WIDTH, HEIGHT = 800, 700
LIBRARIES = ("cellasso", "panel", "bokeh", "param", "tornado", "numba")


class Browser:
    """A browser's side of a session: sends what a page would, and keeps the time and size of what comes."""

    def __init__(self, port: int) -> None:
        self.frames: list[str | bytes] = []
        self.last = time.monotonic()
        self._port = port
        self._numbers = count()
        self._ready = threading.Event()
        self._loop: Any = None
        self._socket: Any = None

    async def open(self) -> None:
        """Open the page and its websocket."""
        page = (await AsyncHTTPClient().fetch(f"http://127.0.0.1:{self._port}/")).body.decode()
        found = re.search(r'"token":("[^"]+")', page)
        if found is None:
            sys.exit("The page has no token.")
        threading.Thread(target=asyncio.run, args=(self._listen(json.loads(found.group(1))),), daemon=True).start()
        await asyncio.to_thread(self._ready.wait)
        await self.send("PULL-DOC-REQ", {})
        await asyncio.sleep(0.5)
        loaded = {"type": "event", "name": "document_ready", "values": {"type": "map"}}
        await self.patch({"kind": "MessageSent", "msg_type": "bokeh_event", "msg_data": loaded})
        await self.settle(1.0)

    async def _listen(self, token: str) -> None:
        request = HTTPRequest(f"ws://127.0.0.1:{self._port}/ws", headers={"Origin": f"http://127.0.0.1:{self._port}"})
        self._loop = asyncio.get_running_loop()
        self._socket = await websocket_connect(request, subprotocols=["bokeh", token], max_message_size=1 << 28)
        self._ready.set()
        while (frame := await self._socket.read_message()) is not None:
            self.frames.append(frame)
            self.last = time.monotonic()

    async def send(self, kind: str, content: dict[str, Any]) -> None:
        """Send a message of Bokeh's protocol."""
        header = {"msgid": f"message {next(self._numbers)}", "msgtype": kind}

        async def write() -> None:
            for piece in (header, {}, content):
                await self._socket.write_message(json.dumps(piece))

        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(write(), self._loop))

    async def patch(self, event: dict[str, Any]) -> None:
        """Send a change."""
        await self.send("PATCH-DOC", {"events": [event]})

    async def settle(self, quiet: float = QUIET) -> None:
        """Wait until nothing more comes."""
        began = time.monotonic()
        while time.monotonic() - max(self.last, began) < quiet:  # noqa: ASYNC110 - frames come in another thread
            await asyncio.sleep(0.03)


def operations(explorer: Explorer) -> dict[str, Callable[[int], None]]:
    """Return what is done, by its name; it is called with the number of the turn."""
    view, numbers = explorer.views.active, count()
    cells, genes, bar = view.cells_panel.receive, explorer.genes.panel.receive, view.bar.receive

    def pan(turn: int) -> None:
        x_low, x_high, y_low, y_high = view.plot.viewport
        by = (x_high - x_low) * (0.01 if turn % 2 else -0.01)
        seen = [x_low + by, x_high + by, y_low, y_high]
        view.layer.receive({"type": "moved", "view": seen, "number": view.plot.n_set})

    def point(turn: int) -> None:
        x_low, x_high, y_low, y_high = view.plot.viewport
        at = [
            x_low + (0.3 + 0.05 * (turn % 5)) * (x_high - x_low),
            (y_low + y_high) / 2,
            x_high - x_low,
            y_high - y_low,
        ]
        view.layer.receive({"type": "point", "at": at, "number": next(numbers)})

    def category(turn: int) -> dict[str, Any]:
        rows = (view.cells_panel.legend or {}).get("rows", [{"label": ""}])
        return {"column": COLUMNS[0], "label": rows[turn % len(rows)]["label"], "operation": "replace"}

    return {
        "pan": pan,
        "zoom by a button": lambda turn: bar({"type": "zoom", "factor": 0.9 if turn % 2 else 1 / 0.9}),
        "point at a cell": point,
        "colour by a gene": lambda turn: genes({"type": "color", "gene": GENES[turn % 2]}),
        "colour by another column": lambda turn: cells({"type": "color", "column": COLUMNS[1 - turn % 2]}),
        "select a category": lambda turn: cells({"type": "category", **category(turn)}),
        "hide a category, show it": lambda turn: cells(
            {"type": "hide", "label": category(0)["label"], "hidden": not turn % 2}
        ),
        "take a gene off the list, add it": lambda turn: genes(
            {"type": "add" if turn % 2 else "remove", "gene": GENES[0]}
        ),
    }


async def measure(browser: Browser, explorer: Explorer, repeats: int) -> list[str]:
    """Return the rows of the table."""
    view = explorer.views.active
    for side, pixels in (("inner_width", WIDTH), ("inner_height", HEIGHT)):
        model = {"id": view.plot.figure.id}
        await browser.patch({"kind": "ModelChanged", "model": model, "attr": side, "new": pixels})
    view.layer.receive({"type": "ready", "pixel_ratio": 1})
    for gene in GENES:
        explorer.genes.panel.receive({"type": "add", "gene": gene})
        await browser.settle(2.0)
    rows = []
    for name, act in operations(explorer).items():
        costs, messages, sizes = [], [], []
        for turn in range(FIRST + repeats):
            await browser.settle()
            n_before, before = len(browser.frames), time.thread_time()
            act(turn)
            await browser.settle()
            costs.append(time.thread_time() - before)
            came = browser.frames[n_before:]
            messages.append(sum(isinstance(frame, str) and '"msgtype"' in frame for frame in came))
            sizes.append(sum(map(len, came)) / 1e3)
        counted = sorted(costs[FIRST:])
        spread = f"{duration(counted[0] * 1e3)} to {duration(counted[-1] * 1e3)}"
        cost = f"{duration(median(counted) * 1e3)} | {spread}"
        rows.append(f"| {name} | {cost} | {number(median(messages[FIRST:]))} | {number(median(sizes[FIRST:]))} |")
        print(rows[-1], file=sys.stderr, flush=True)
    return rows


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cells", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--write", action="store_true", help="save the table beside this script")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    made: list[Explorer] = []
    with (
        cellasso.open(write_synthetic(synthetic_folder(), options.cells)) as dataset,
        tempfile.TemporaryDirectory() as out,
    ):

        def build() -> Explorer:
            made.append(Explorer(dataset, export_dir=Path(out)))
            return made[-1]

        server = get_server({"/": build}, port=0, address="127.0.0.1", start=False, **SERVER_OPTIONS)
        server.start()

        async def run() -> list[str]:
            browser = Browser(server.port)
            await browser.open()
            return await measure(browser, made[-1], options.repeats)

        rows = "\n".join(server.io_loop.run_sync(run))
    table = f"""\
# What an operation costs the server

| operation | CPU of the event loop | range | messages | kB |
|---|---:|---:|---:|---:|
{rows}

Medians of {options.repeats} turns after {FIRST}, {options.cells:,} synthetic cells, picture of {WIDTH} by {HEIGHT}
pixels, two genes in the dotplot. CPU of the thread that serves all sessions, from the browser's message until nothing
more comes for {QUIET} s; what reads and draws runs in other threads. Messages and kB: to the browser.

{machine(load, LIBRARIES)}

```
python tests/benchmarks/steps.py --cells {options.cells} --repeats {options.repeats} --write
```
"""
    print(table)
    if options.write:
        Path(__file__).with_suffix(".md").write_text(table)
    os._exit(0)  # the browser's thread still listens


if __name__ == "__main__":
    main()
