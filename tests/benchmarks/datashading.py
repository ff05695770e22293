"""`Canvas.points` over the cells of a file beside the same call over a pandas frame: CPU time, in turns."""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import datashader as ds
from clusters import N_CATEGORIES, X, Y, view_of, write
from measuring import cpu, machine

import cellasso
import cellasso.pl

if TYPE_CHECKING:
    import pandas as pd

    from cellasso.points.point_index import Viewport

SIZE = (800, 700)
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
