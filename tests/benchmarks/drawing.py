"""What drawing costs the server, beside datashader's `by` and `shade` in one run, and a lasso and a pointer."""

from __future__ import annotations

import argparse
import os
import platform
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import datashader as ds
import datashader.transfer_functions as tf
import numpy as np
import pandas as pd
from clusters import N_CATEGORIES, view_of

from cellasso.color.coloring import Categories, Values, palette
from cellasso.points.point_index import PointIndex, Viewport
from cellasso.raster.cells import ColoredCells
from cellasso.raster.draw import draw
from cellasso.raster.style import SELECTED, Canvas, Style
from cellasso_app.views.embedding.renderer import pack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

CANVAS = Canvas(800, 700)
PACKAGES = ("numpy", "numba", "datashader")
ABOUT = f"""
Float32 points of {N_CATEGORIES} clusters, {CANVAS.width} x {CANVAS.height} pixels; medians, ratios within a turn.
"10% of the cells" is a view around one of them that has so many. Random order: the cell on top is seen, as in
a scatter plot of shuffled cells. Mixed: colours in proportion to the cells, as datashader's.
"""


def points_of(n: int) -> tuple[NDArray[np.float32], NDArray[np.int16]]:
    """Return clustered points `(n, 2)` and their clusters."""
    rng = np.random.default_rng(0)
    middles = rng.normal(size=(N_CATEGORIES, 2)) * 6
    codes = rng.integers(0, N_CATEGORIES, n).astype(np.int16)
    return (middles[codes] + rng.normal(size=(n, 2)) * 0.8).astype(np.float32), codes


def timed(run: Callable[[], Any]) -> tuple[float, Any]:
    """Return milliseconds and the answer."""
    start = time.perf_counter()
    answer = run()
    return 1e3 * (time.perf_counter() - start), answer


def compare(ours: Callable[[], Any], theirs: Callable[[], Any] | None, repeats: int) -> tuple[str, str, str]:
    """Return what both take and their ratio, in turns; the first of each, which compiles, does not count."""
    ours()
    times, peers = [], []
    if theirs is not None:
        theirs()
    for _ in range(repeats):
        times.append(timed(ours)[0])
        if theirs is not None:
            peers.append(timed(theirs)[0])
    if not peers:
        return f"{median(times):,.1f} ms", "-", "-"
    ratio = median(peer / time for peer, time in zip(peers, times, strict=True))
    return f"{median(times):,.1f} ms", f"{median(peers):,.0f} ms", f"{ratio:,.0f}"


def rows(n: int, repeats: int) -> Iterator[tuple[str, tuple[str, str, str]]]:
    """Yield what is drawn, and what it takes here and with datashader."""
    points, codes = points_of(n)
    sort_ms, plane = timed(lambda: PointIndex.of(points))
    labels = tuple(f"c{i}" for i in range(N_CATEGORIES))
    colors = palette(N_CATEGORIES)
    coloring = Categories("c", codes, labels, colors, np.bincount(codes, minlength=N_CATEGORIES), 0)
    colour_ms, cells = timed(lambda: ColoredCells(plane, coloring))
    values = np.random.default_rng(1).gamma(2, size=n).astype(np.float32)
    valued = ColoredCells(plane, Values("v", values, 0.0, float(np.percentile(values, 99)), clipped=True, n_missing=0))
    table = pd.DataFrame({"x": points[:, 0], "y": points[:, 1]})
    table["c"] = pd.Categorical.from_codes(codes, labels)
    table["v"] = values

    def theirs(view: Viewport, what: Any, **shading: Any) -> Callable[[], Any]:
        canvas = ds.Canvas(CANVAS.width, CANVAS.height, (view.x_low, view.x_high), (view.y_low, view.y_high))
        return lambda: tf.shade(canvas.points(table, "x", "y", what), how="log", **shading)

    by = {"what": ds.by("c", ds.count()), "color_key": list(colors)}
    for name, view in (("all cells", plane.bounds), ("10% of the cells", view_of(plane, 0.1))):
        for order in ("random", "mixed"):
            style = Style(order=order)
            yield (
                f"categories, {order}, {name}",
                compare(
                    lambda view=view, style=style: draw(cells, view, CANVAS, style, dots=False),
                    theirs(view, **by),
                    repeats,
                ),
            )
        peer = theirs(view, ds.max("v"))
        yield (
            f"values, highest on top, {name}",
            compare(lambda view=view: draw(valued, view, CANVAS, Style(order="high"), dots=False), peer, repeats),
        )
    angle = np.arange(50) * 2 * np.pi / 50
    x, y = map(float, plane.points[len(plane) // 3])
    polygon = np.stack([x + 3 * np.cos(angle), y + 3 * np.sin(angle) * (1 + 0.3 * np.sin(5 * angle))], axis=1)
    states = plane.gather(plane.inside(polygon).astype(np.uint8))
    states[states == 1] = SELECTED
    yield (
        "categories, random, all cells, some selected",
        compare(lambda: draw(cells, plane.bounds, CANVAS, Style(fade=True), states, dots=False), None, repeats),
    )
    picture = draw(cells, plane.bounds, CANVAS, dots=False)
    yield (
        f"packing a picture, {len(pack(picture)['bytes']) / 1e3:,.0f} kB",
        compare(lambda: pack(picture), None, repeats),
    )
    yield "lasso of 50 vertices", compare(lambda: plane.inside(polygon), None, repeats)
    yield "cell next to the pointer", compare(lambda: plane.nearest(x, y, (0.1, 0.1)), None, repeats)
    yield "sorting the points, once", (f"{sort_ms:,.0f} ms", "-", "-")
    yield "arranging a column of categories", (f"{colour_ms:,.0f} ms", "-", "-")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cells", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--write", action="store_true", help="save the table beside this script")
    options = parser.parse_args()
    PointIndex.of(points_of(1000)[0])  # compiles
    parts = ["# Drawing cells"]
    load = os.getloadavg()[0]
    for n in options.cells:
        lines = [f"| {n:,} cells | cellasso | datashader | ratio |", "|---|---:|---:|---:|"]
        for what, (ours, theirs, ratio) in rows(n, options.repeats):
            lines.append(f"| {what} | {ours} | {theirs} | {ratio} |")
            print(lines[-1], flush=True)
        parts.append("\n".join(lines))
    versions = ", ".join(f"{package} {version(package)}" for package in PACKAGES)
    parts.append(ABOUT.strip())
    parts.append(
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, load {load:.1f} before, {platform.system()},"
        f" Python {platform.python_version()}, {versions}."
    )
    parts.append(f"```\npython tests/benchmarks/drawing.py --repeats {options.repeats} --write\n```")
    if options.write:
        Path(__file__).with_suffix(".md").write_text("\n\n".join(parts) + "\n")


if __name__ == "__main__":
    main()
