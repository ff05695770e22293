"""What a lasso costs by the number of its vertices, beside matplotlib's `contains_points`, in one run."""

from __future__ import annotations

import argparse
import os
import platform
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import matplotlib.path
import numpy as np

from cellasso.points.polygon import points_in_polygon

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

VERTICES = (50, 500, 20_000)
PATIENCE = 1e9
"""Points times vertices beyond which matplotlib is timed on a part of the points, and the time scaled up."""

PACKAGES = ("numpy", "numba", "matplotlib")
ABOUT = """
Normally distributed float32 points; both sides give the same answer for each of them. Medians; ratios are within a
turn. (scaled): matplotlib was timed on a part of the points.
"""


def shapes(n: int) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Yield a smooth stroke, as a hand draws it, and a star whose every edge runs far."""
    angle = np.arange(n) * 2 * np.pi / n
    round_ = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    yield "stroke", round_ * (1.2 + 0.3 * np.sin(5 * angle))[:, None]
    yield "star", round_ * (1 + 0.5 * np.random.default_rng(0).random((n, 1)))


def timed(run: Callable[[], NDArray[np.bool_]]) -> tuple[float, NDArray[np.bool_]]:
    """Return milliseconds and the answer."""
    start = time.perf_counter()
    answer = run()
    return 1e3 * (time.perf_counter() - start), answer


def rows(n_points: int, repeats: int) -> Iterator[str]:
    """Yield a row of the table for each polygon; both sides have to agree."""
    points = np.random.default_rng(1).normal(size=(n_points, 2)).astype(np.float32)
    for n in VERTICES:
        part = points[: max(1000, int(min(n_points, PATIENCE / n)))]
        for name, polygon in shapes(n):
            path = matplotlib.path.Path(np.vstack([polygon, polygon[:1]]), closed=True)
            ours, theirs = [], []
            for _ in range(repeats):
                ms, inside = timed(lambda polygon=polygon: points_in_polygon(points, polygon))
                ours.append(ms)
                ms, expected = timed(lambda path=path, part=part: path.contains_points(part))
                theirs.append(ms * n_points / len(part))
                if not np.array_equal(inside[: len(part)], expected):
                    raise SystemExit(f"{n_points} points, {name} of {n} vertices: the answers differ")
            mine, other = f"{median(ours):,.0f} ms", f"{median(theirs):,.0f} ms"
            other += "" if len(part) == n_points else " (scaled)"
            ratio = median(b / a for a, b in zip(ours, theirs, strict=True))
            yield f"| {n_points:,} | {name}, {n:,} | {mine} | {other} | {ratio:,.0f} |"


def main() -> None:
    """Print the table; with --write, keep it beside this file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    points_in_polygon(np.zeros((1, 2), dtype=np.float32), [(0, 0), (1, 0), (1, 1)])  # compiled, or read from its cache
    lines = [
        "# A lasso, by the number of its vertices",
        "",
        "| points | polygon, vertices | cellasso | matplotlib | matplotlib / cellasso |",
        "|---:|---|---:|---:|---:|",
    ]
    for n_points in options.points:
        lines += rows(n_points, options.repeats)
    lines.append(ABOUT)
    lines.append(
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, load {load:.1f} before the run, {platform.system()},"
        f" Python {platform.python_version()}, {', '.join(f'{p} {version(p)}' for p in PACKAGES)}."
    )
    lines += ["", "```", "python tests/benchmarks/lasso.py --write", "```"]
    text = "\n".join(lines) + "\n"
    print(text)
    if options.write:
        Path(__file__).with_suffix(".md").write_text(text)


if __name__ == "__main__":
    main()
