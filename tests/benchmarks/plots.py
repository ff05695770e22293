"""What each plot costs: 50 genes by 30 groups of an indexed h5ad, to the HoloViews object and to the drawn figure.

Every plot is a process of its own, which has drawn the same plot of a small file before: what is compiled and imported
is there. Beside it is scanpy's plot of the same genes, which it has in memory. The file is made by `big.py`, or named
with --file.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from big import write
from measuring import Facts, Meter, duration, machine, number

import cellasso

LIBRARIES = ("cellasso", "holoviews", "bokeh", "matplotlib", "scanpy", "numpy", "scipy", "numba")
GROUPBY = "cell_type"
N_GENES = 50
PATIENCE = 120
"""Seconds after which a plot of the peer is given up."""

TINY = "tiny.h5ad"


@dataclass(frozen=True)
class Row:
    """A row of the table.

    Attributes
    ----------
    plot
        In `cellasso.pl`.
    given
        What it is called with after the dataset; `"GENES"` stands for the 50 genes, `"GENE"` for one of them.
    options, peer
        Further arguments of ours, and of scanpy's plot of the same name; `None`: there is none, or it takes too long.
    label
        What the table says of it.
    """

    plot: str
    given: tuple[str, ...] = ("GENES", GROUPBY)
    options: dict[str, Any] = field(default_factory=dict)
    peer: dict[str, Any] | None = field(default_factory=dict)
    label: str = ""

    @property
    def name(self) -> str:
        return f"{self.plot}{', ' if self.label else ''}{self.label}"

    def arguments(self, genes: list[str]) -> list[Any]:
        stands = {"GENES": genes, "GENE": genes[-1]}
        return [stands.get(each, each) for each in self.given]


ROWS = (
    Row("dotplot"),
    Row("dotplot", options={"expression_cutoff": 1.0}, peer={"expression_cutoff": 1.0}, label="with a cutoff"),
    Row("matrixplot"),
    Row("dendrogram", given=(GROUPBY,), options={"var_names": "GENES"}, peer=None, label="of the genes"),
    Row("heatmap", options={"swap_axes": True}, peer={"swap_axes": True}),
    Row("tracksplot"),
    Row("violin", given=("GENE", GROUPBY), peer={"stripplot": False}, label="one gene"),
    Row("violin", given=("GENES", GROUPBY), peer=None, label="a panel for each gene"),
    Row("stacked_violin", peer=None),
)
"""Other plots are added here."""


def chosen_genes(dataset: Any) -> list[str]:
    """Return genes from the median one to the one in most cells."""
    names = dataset.features().names
    counts = dataset.matrix().index.read_sums("n_nonzero")
    order = np.argsort(counts, kind="stable")
    return [str(names[order[at]]) for at in np.linspace(len(order) // 2, len(order) - 1, N_GENES).astype(int)]


def draw(row: Row, path: Path, root: Path, *, render: bool) -> tuple[Facts, Facts]:
    """Draw a plot of a file; return what the object took, and what drawing it in Bokeh took."""
    import holoviews as hv

    import cellasso.pl

    with cellasso.open(path, index=root) as dataset:
        genes = chosen_genes(dataset)
        options = {name: genes if value == "GENES" else value for name, value in row.options.items()}
        plot = getattr(cellasso.pl, row.plot)
        begun = time.process_time()
        with Meter() as made:
            shown = plot(dataset, *row.arguments(genes), **options)
        made.facts["cpu"] = 1e3 * (time.process_time() - begun)
        drawn: Facts = {"ms": 0.0}
        if render:
            with Meter() as meter:
                hv.render(shown, backend="bokeh")
            drawn = meter.facts
    return made.facts, drawn


def ours(number_: int, path: Path, root: Path) -> Facts:
    row = ROWS[number_]
    draw(row, root.parent / TINY, root.parent / "tiny", render=True)
    made, drawn = draw(row, path, root, render=True)
    return {**made, "render": drawn["ms"]}


def theirs(number_: int, path: Path, root: Path) -> Facts:
    """Draw scanpy's plot of the same genes, which are in memory."""
    import anndata as ad
    import matplotlib as mpl
    import pandas as pd
    import scanpy as sc

    mpl.use("Agg")
    row = ROWS[number_]

    def adata_of(file: Path, index: Path) -> tuple[Any, list[str]]:
        with cellasso.open(file, index=index) as dataset:
            genes = chosen_genes(dataset)
            values = np.stack(dataset.read_features(genes), axis=1)
            obs = pd.DataFrame({GROUPBY: dataset.read_obs(GROUPBY).array}, index=dataset.obs_names)
        return ad.AnnData(values, obs=obs, var=pd.DataFrame(index=genes)), genes

    def peer(adata: Any, genes: list[str]) -> None:
        getattr(sc.pl, row.plot)(adata, *row.arguments(genes), show=False, **(row.peer or {}))

    peer(*adata_of(root.parent / TINY, root.parent / "tiny"))
    given = adata_of(path, root)
    with Meter() as meter:
        peer(*given)
    return meter.facts


def child(side: str, number_: int, path: Path, root: Path) -> Facts | None:
    command = [sys.executable, "-W", "ignore", __file__, "--file", str(path), "--child", side, str(number_), str(root)]
    try:
        ran = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        return None
    if not ran.stdout and side == "ours":
        sys.exit(f"{ROWS[number_].name}: ended with code {ran.returncode} and without an answer")
    return json.loads(ran.stdout.strip().rpartition("\n")[2]) if ran.stdout else None


def table(path: Path, root: Path, shape: tuple[int, int], only: list[str]) -> str:
    lines = [
        f"# Plots of {N_GENES} genes by 30 groups, {shape[0]:,} cells by {shape[1]:,} genes, CSR, gzip, indexed",
        "",
        "| plot | object | CPU | memory, MB | then drawn by Bokeh | scanpy, data in memory | its memory, MB |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for number_, row in enumerate(ROWS):
        if only and row.plot not in only:
            continue
        mine = child("ours", number_, path, root)
        other = child("theirs", number_, path, root) if row.peer is not None else None
        print(f"{row.name}: {mine} {other}", file=sys.stderr, flush=True)
        theirs_ = ("", "") if other is None else (duration(other["ms"]), number(other["memory"]))
        times = duration(mine["ms"]), duration(mine["cpu"]), number(mine["memory"]), duration(mine["render"])
        cells = (row.name, *times, *theirs_)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


ABOUT = """
Genes from the median one to the one in most cells; no column of them has been read before. Memory is the peak above
that of the warm process, which has drawn the same plot of 500 cells. scanpy draws with matplotlib, and has its AnnData
of the 50 genes in memory beforehand; where there is no figure it was not tried, or took more than two minutes.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--file", type=Path)
    parser.add_argument("--index", type=Path, help="folder of the file's index; made where there is none")
    parser.add_argument("--cells", type=int, default=1_000_000)
    parser.add_argument("--genes", type=int, default=2_000)
    parser.add_argument("--only", action="append", default=[], choices=sorted({row.plot for row in ROWS}))
    parser.add_argument("--write", action="store_true", help="keep the table in plots.md")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        side, number_, root = options.child
        print(json.dumps({"ours": ours, "theirs": theirs}[side](int(number_), options.file, Path(root))))
        return
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="cellasso-plots-") as folder:
        path = options.file or write(Path(folder) / "cells.h5ad", options.cells, options.genes)
        root = options.index or Path(folder) / "index"
        for each, index in ((write(root.parent / TINY, 500, 200), root.parent / "tiny"), (path, root)):
            with cellasso.open(each, index=index) as dataset:
                dataset.build_index()
        with cellasso.open(path) as dataset:
            shape = dataset.n_obs, dataset.n_vars
        found = table(path, root, shape, options.only)
    command = "python tests/benchmarks/plots.py " + " ".join(sys.argv[1:]).replace(str(options.file), "FILE")
    text = f"{found}\n{ABOUT}\n{machine(load, LIBRARIES)}\n\n```\n{command}\n```\n"
    print(text)
    if options.write:
        Path(__file__).with_suffix(".md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
