"""What a new user waits for: from the command to the picture, and each gesture's first time beside its second.

Every run starts with empty caches: nothing is compiled, nothing is sorted or indexed. A second start, which finds what
the first one has kept, stands beside it. The browser is open already, as it mostly is.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from browsing import CELLASSO, FLAGS, NO_CHROMIUM, find_chromium, served
from measuring import machine
from playwright.sync_api import sync_playwright

from cellasso_app.demo.files import synthetic_folder, write_synthetic

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from playwright.sync_api import Browser, Page

TEMPLATE = """\
# The first minute on a new machine

{arguments}

`python tests/benchmarks/first_minute.py{options}`

Seconds, the median of {runs} runs. "New": the caches are empty. "Again": a second start, which finds what the first
one has kept.

| | new | again |
|---|---:|---:|
{starts}

Milliseconds from the end of a gesture to its effect, the first and the second time in one session.

| | new, first | new, second | again, first |
|---|---:|---:|---:|
{gestures}
"""


class Watch:
    """Notes how long after the start things are there."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.times: dict[str, float] = {}

    def until(self, name: str, selector: str, start: float, *, text: re.Pattern[str] | None = None) -> None:
        found = self.page.locator(selector)
        (found.filter(has_text=text) if text is not None else found).first.wait_for(timeout=60_000)
        self.times[name] = time.monotonic() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--cells", type=int, help="synthetic cells instead of the demo")
    parser.add_argument("--write", type=Path, help="write the table to this file")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    path = write_synthetic(synthetic_folder(), options.cells) if options.cells else None
    measured: dict[str, dict[str, list[float]]] = {"new": {}, "again": {}}
    chromium = find_chromium()
    if chromium is None:
        sys.exit(NO_CHROMIUM)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        run(
            browser, path, Path(tempfile.gettempdir(), "cellasso-warm-disk")
        )  # the libraries come from memory, not the disk
        for _ in range(options.runs):
            with tempfile.TemporaryDirectory() as caches:
                for name, times in measured.items():
                    for step, seconds in run(browser, path, Path(caches)).items():
                        times.setdefault(step, []).append(seconds)
                        print(f"{name:6} {step:28} {seconds:6.2f} s", file=sys.stderr, flush=True)
        browser.close()
    what = f"{options.cells:,} synthetic cells" if options.cells else "the demo's 700 cells"
    table = table_of(measured, f"{what}; {machine(load, ('numba', 'panel', 'bokeh'))}", options)
    print(table)
    if options.write:
        options.write.write_text(table)


def run(browser: Browser, path: Path | None, caches: Path) -> dict[str, float]:
    """Start a server, open its page, and make every gesture twice; return seconds by step."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, color_scheme="light")
    page = context.new_page()
    start = time.monotonic()
    with served_with(caches, ["serve", str(path)] if path else ["demo"]) as (address, _):
        watch = Watch(page)
        watch.times["address"] = time.monotonic() - start
        page.goto(address, wait_until="commit")
        watch.until("frame", "[aria-label='Embedding']", start)
        watch.until("legend", ".legend .item", start)
        watch.until("picture", "canvas.cells[data-drawn]", start)
        for turn in ("first", "second"):
            gestures(watch, turn)
        context.close()
    return watch.times


def gestures(watch: Watch, turn: str) -> None:
    page = watch.page
    box = page.locator("canvas.cells").first.bounding_box()
    assert box is not None
    x, y, width, height = (box[key] for key in ("x", "y", "width", "height"))

    def at(right: float, down: float) -> tuple[float, float]:
        return x + right * width, y + down * height

    page.keyboard.press("l")
    page.mouse.move(*at(0.2, 0.2))
    page.mouse.down()
    far = 0.8 if turn == "first" else 0.7
    for corner in ((far, 0.2), (far, far), (0.2, far), (0.2, 0.22)):
        page.mouse.move(*at(*corner), steps=5)
    done(watch, f"lasso, {turn}", page.mouse.up, "[aria-label='Selected cells']", re.compile(r" of [\d,]+"))
    page.keyboard.press("Escape")
    page.locator("[aria-label='Selected cells']").wait_for(state="hidden")
    page.keyboard.press("p")
    drawn = int(page.locator("canvas.cells").first.get_attribute("data-drawn") or 0)
    page.mouse.move(*at(0.5, 0.5))
    begun = time.monotonic()
    page.mouse.wheel(0, -240)
    page.wait_for_function(f"() => {FIND}.dataset.drawn > {drawn} || {FIND}.dataset.kind === 'dots'", timeout=60_000)
    watch.times[f"zoom, {turn}"] = time.monotonic() - begun
    page.keyboard.press("f")
    page.mouse.move(*at(0.02, 0.02))
    point(watch, turn, at)


FIND = """(function find(root) {
    for (const e of root.querySelectorAll("*")) {
        if (e.matches("canvas.cells")) return e;
        const inner = e.shadowRoot && find(e.shadowRoot);
        if (inner) return inner;
    }
})(document)"""


def point(watch: Watch, turn: str, at: object) -> None:
    """Move over the cells until one is named."""
    page = watch.page
    tip = page.locator(".tip:not([hidden])")
    begun = time.monotonic()
    for n in range(400):
        page.mouse.move(*at(0.2 + 0.6 * (n % 40) / 40, 0.2 + 0.6 * (n // 40) / 10))  # type: ignore[operator]
        if tip.count():
            break
        page.wait_for_timeout(5)
    watch.times[f"pointing, {turn}"] = time.monotonic() - begun


def done(watch: Watch, name: str, act: object, selector: str, text: re.Pattern[str]) -> None:
    start = time.monotonic()
    act()  # type: ignore[operator]
    watch.until(name, selector, start, text=text)


def served_with(caches: Path, command: list[str]) -> AbstractContextManager[tuple[str, int]]:
    """Run a server whose caches are in a folder."""
    caches.mkdir(exist_ok=True)
    environment = {**os.environ, "XDG_CACHE_HOME": str(caches / "cache"), "NUMBA_CACHE_DIR": str(caches / "numba")}
    quietly = ["--no-browser", "--no-token", "--export-dir", str(caches)]
    return served([*CELLASSO, *command, *quietly], caches / "server.log", environment)


def table_of(measured: dict[str, dict[str, list[float]]], arguments: str, options: argparse.Namespace) -> str:
    middle = {name: {step: median(seconds) for step, seconds in times.items()} for name, times in measured.items()}
    starts = [step for step in middle["new"] if "," not in step]
    names = [step.removesuffix(", first") for step in middle["new"] if step.endswith(", first")]
    return TEMPLATE.format(
        arguments=arguments,
        options=f" --cells {options.cells}" if options.cells else "",
        runs=options.runs,
        starts="\n".join(f"| {step} | {middle['new'][step]:.1f} | {middle['again'][step]:.1f} |" for step in starts),
        gestures="\n".join(
            f"| {name} | {1e3 * middle['new'][f'{name}, first']:.0f} | {1e3 * middle['new'][f'{name}, second']:.0f}"
            f" | {1e3 * middle['again'][f'{name}, first']:.0f} |"
            for name in names
        ),
    )


if __name__ == "__main__":
    main()
