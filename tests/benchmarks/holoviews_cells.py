"""HoloViews over the cells of a file beside the same calls over a pandas frame: CPU time of the process, in turns."""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import datashader as ds
import holoviews as hv
import numpy as np
from clusters import N_CATEGORIES, X, Y, view_of, write
from holoviews.operation.datashader import rasterize
from measuring import cpu, machine, number

import cellasso
import cellasso.pl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pandas as pd

    from cellasso.dataset import Dataset

N_GENES = 20
SIZE = (800, 700)
GENES = [f"g{i}" for i in range(N_GENES)]

TABLE = """\
# HoloViews over the cells of a file

CPU of HoloViews' calls over a `Dataset` beside that over a pandas frame of the named columns: {n:,} cells of
{categories} clusters, {size[0]} x {size[1]} pixels; medians of {repeats} in turns, the first of each left out: it reads
the file, sorts the points and compiles. The goal: never more than pandas and 2 ms. The lasso has 40 vertices around a
fifth of the cells: `cellasso.pl.selected` beside HoloViews, which evaluates the same expression over pandas.

| | cellasso | pandas | ratio |
|---|---:|---:|---:|
{rows}

{machine}

```
python tests/benchmarks/holoviews_cells.py --cells {n} --repeats {repeats} --write
```
"""


def compare(ours: Callable[[], Any], theirs: Callable[[], Any], repeats: int) -> str:
    """Return what both cost, and the ratio."""
    own, other = [], []
    for turn in range(repeats + 1):
        pair = cpu(ours), cpu(theirs)
        if turn:
            own.append(pair[0])
            other.append(pair[1])
    ratio = median(theirs / ours for ours, theirs in zip(own, other, strict=True))
    return f"{number(median(own))} ms | {number(median(other))} ms | {number(ratio)}"


def drawings(dataset: Dataset, frame: pd.DataFrame) -> Iterator[tuple[str, Callable[[Any], Any]]]:
    """Yield calls over either: of data, what is done with it."""
    points = dataset.point_index("X_umap")
    small = view_of(points, 0.1)
    for view_name, view in (("all cells", points.bounds), ("10% of the cells", small)):
        ranges = {"x_range": (view.x_low, view.x_high), "y_range": (view.y_low, view.y_high)}
        options = {"width": SIZE[0], "height": SIZE[1], "dynamic": False, **ranges}
        for name, reduction in (("count", ds.count()), ("by", ds.by("cluster")), ("mean", ds.mean("score"))):
            yield (
                f"rasterize, {name}, {view_name}",
                lambda data, reduction=reduction, options=options: rasterize(
                    hv.Points(data, [X, Y], ["cluster", "score"]), aggregator=reduction, **options
                ),
            )
    options = {"width": SIZE[0], "height": SIZE[1], "dynamic": False}
    yield "rasterize, count, ranges from the data", lambda data: rasterize(hv.Points(data, [X, Y], []), **options)
    yield "hv.Points", lambda data: hv.Points(data, [X, Y], ["cluster", "score"])
    yield "range of an axis", lambda data: hv.Points(data, [X, Y], []).range(X)
    yield "select one category", lambda data: hv.Points(data, [X, Y], ["cluster", "score"]).select(cluster="c3")
    for n in (1, N_GENES):
        yield (
            f"means of {n} gene{'s' * (n > 1)} by cluster",
            lambda data, n=n: hv.Dataset(data, "cluster", GENES[:n]).aggregate("cluster", np.mean),
        )


def lasso(dataset: Dataset, frame: pd.DataFrame) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """Return how both find the cells in a lasso."""
    from holoviews.element.selection import spatial_select

    view = view_of(dataset.point_index("X_umap"), 0.2)
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    radius = np.array([view.x_high - view.x_low, view.y_high - view.y_low]) / 2
    middle = np.array([view.x_high + view.x_low, view.y_high + view.y_low]) / 2
    polygon = middle + radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    link = hv.link_selections.instance()
    link.selection_expr = hv.dim.pipe(spatial_select, hv.Dimension(X), hv.dim(Y), geometry=polygon)
    plain = hv.Points(frame, [X, Y], [])
    return lambda: cellasso.pl.selected(link, dataset), lambda: link.selection_expr.apply(plain)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--write", action="store_true", help="save the table beside this script")
    options = parser.parse_args()
    load, rows = os.getloadavg()[0], []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cells.h5ad"
        write(path, options.cells, N_GENES)
        with cellasso.open(path, index=False) as dataset:
            frame = dataset.cells[[X, Y, "cluster", "score", *GENES]].copy()
            pairs = [(name, lambda c=c: c(dataset), lambda c=c: c(frame)) for name, c in drawings(dataset, frame)]
            for name, ours, theirs in (*pairs, ("lasso", *lasso(dataset, frame))):
                rows.append(f"| {name} | {compare(ours, theirs, options.repeats)} |")
                print(rows[-1], flush=True)
    facts = {"n": options.cells, "categories": N_CATEGORIES, "size": SIZE, "repeats": options.repeats}
    libraries = ("holoviews", "datashader", "numba", "numpy", "pandas")
    text = TABLE.format(rows="\n".join(rows), machine=machine(load, libraries), **facts)
    if options.write:
        Path(__file__).with_suffix(".md").write_text(text)


if __name__ == "__main__":
    main()
