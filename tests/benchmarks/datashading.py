"""`Canvas.points` over the cells of a file beside the same call over a pandas frame: CPU time, in turns."""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import anndata as ad
import datashader as ds
import numpy as np
import pandas as pd
from measuring import machine

import cellasso
import cellasso.pl
from cellasso.points.point_index import Viewport

if TYPE_CHECKING:
    from collections.abc import Callable

N_CATEGORIES = 30
SIZE = (800, 700)
X, Y = "X_umap:0", "X_umap:1"
REDUCTIONS = {
    "count": ds.count(),
    "max": ds.max("score"),
    "by": ds.by("cluster"),
    "mean": ds.mean("score"),
    "std": ds.std("score"),
    "top": cellasso.pl.top("cluster"),
    "mix": cellasso.pl.mix("cluster"),
}

TABLE = """\
# Points of a file through datashader

CPU of `Canvas.points(dataset.cells, …)` beside that over pandas: {n:,} cells of {categories} clusters,
{size[0]} x {size[1]} pixels; medians of {repeats} in turns. The goals: count and max 3.5, by 10, mean 4 over all
cells; 8 on the view of 10%.
`top` and `mix` stand beside pandas' `by`, of which they are made there.

| | all cells | pandas | ratio | 10% of the cells | pandas | ratio |
|---|---:|---:|---:|---:|---:|---:|
{rows}

{machine}

```
python tests/benchmarks/datashading.py --cells {n} --repeats {repeats} --write
```
"""


def write(path: Path, n: int) -> None:
    """Write a file of clustered points with one column of categories and one of numbers."""
    rng = np.random.default_rng(0)
    middles = rng.normal(size=(N_CATEGORIES, 2)) * 6
    codes = rng.integers(0, N_CATEGORIES, n)
    labels = [f"c{i}" for i in range(N_CATEGORIES)]
    obs = pd.DataFrame(
        {"cluster": pd.Categorical.from_codes(codes, labels), "score": rng.gamma(2, size=n).astype("f4")},
        index=pd.RangeIndex(n).astype(str),
    )
    adata = ad.AnnData(obs=obs)
    adata.obsm["X_umap"] = (middles[codes] + rng.normal(size=(n, 2)) * 0.8).astype("f4")
    adata.write_h5ad(path)


def cpu(run: Callable[[], Any]) -> float:
    """Return the milliseconds of CPU that a call takes."""
    start = time.process_time()
    run()
    return 1e3 * (time.process_time() - start)


def view_of(points: Any, part: float) -> Viewport:
    """Return a view with a part of the cells around one of them."""
    x, y = map(float, points.points[len(points) // 3])
    low, high, bounds = 0.0, 1.0, points.bounds
    for _ in range(30):
        half = (low + high) / 2
        width, height = half * (bounds.x_high - bounds.x_low), half * (bounds.y_high - bounds.y_low)
        view = Viewport(x - width, x + width, y - height, y + height)
        low, high = (half, high) if points.count(view) < part * len(points) else (low, half)
    return view


def compare(cells: Any, frame: pd.DataFrame, view: Viewport, name: str, repeats: int) -> list[str]:
    """Return what a reduction costs over both, and the ratio."""
    reduction = REDUCTIONS[name]
    peer = ds.by("cluster") if name in {"top", "mix"} else reduction
    columns = [X, Y, *({"cluster"} if name in {"by", "top", "mix"} else {"score"} if name != "count" else ())]
    canvas = ds.Canvas(*SIZE, (view.x_low, view.x_high), (view.y_low, view.y_high))
    ours, theirs, narrow = [], [], frame[columns]
    for turn in range(repeats + 1):
        own = cpu(lambda: canvas.points(cells[columns], X, Y, reduction))
        other = cpu(lambda: canvas.points(narrow, X, Y, peer))
        if turn:  # the first compiles, and gathers the columns
            ours.append(own)
            theirs.append(other)
    ratio = median(other / own for own, other in zip(ours, theirs, strict=True))
    return [f"{median(ours):,.1f} ms", f"{median(theirs):,.0f} ms", f"{ratio:,.1f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=10_000_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--write", action="store_true", help="save the table beside this script")
    options = parser.parse_args()
    load, rows = os.getloadavg()[0], []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cells.h5ad"
        write(path, options.cells)
        with cellasso.open(path, index=False) as dataset:
            cells = dataset.cells
            frame = cells[[X, Y, "cluster", "score"]].copy()
            points = dataset.point_index("X_umap")
            views = (points.bounds, view_of(points, 0.1))
            for name in REDUCTIONS:
                found = [compare(cells, frame, view, name, options.repeats) for view in views]
                rows.append(f"| {name} | {' | '.join(found[0])} | {' | '.join(found[1])} |")
                print(rows[-1], flush=True)
    facts = {"n": options.cells, "categories": N_CATEGORIES, "size": SIZE, "repeats": options.repeats}
    text = TABLE.format(rows="\n".join(rows), machine=machine(load, ("datashader", "numba", "numpy")), **facts)
    if options.write:
        Path(__file__).with_suffix(".md").write_text(text)


if __name__ == "__main__":
    main()
