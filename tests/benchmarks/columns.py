"""What a gene of a large CSR file costs: with the column index, without, and by anndata; and what the index costs.

Every step is a process of its own. The file is made by `big.py`, or named with --file. "Cold" is after the kernel was
asked to forget the index's files (`POSIX_FADV_DONTNEED`), so that they come from the disk.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import deque
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import anndata
import h5py
import numpy as np
from big import write
from measuring import Facts, Meter, duration, machine, number

import cellasso
from cellasso.core.executors import run_blocks
from cellasso.matrix.compressed import StoredVector
from cellasso.matrix.open import open_matrix

if TYPE_CHECKING:
    from collections.abc import Callable

LIBRARIES = ("cellasso", "anndata", "h5py", "numpy", "scipy", "numba", "deflate")
GENES = {"median gene": 0.5, "one in ten has more cells": 0.9, "gene in most cells": 1.0}
REPEATS = 21
TINY, WIDE = "tiny.h5ad", "wide.h5ad"
N_WIDE_CELLS, N_PEAKS = 11_909, 108_377
"""Of the ATAC modality of a multiome data set of 12,000 cells."""


def inflate(path: Path, _root: Path) -> Facts:
    """Read the whole matrix once, chunks inflated past HDF5 on all cores."""
    with cellasso.open(path, index=False) as dataset:
        matrix = dataset.matrix().matrix
        begun = time.process_time()
        with Meter() as meter:
            for name in ("indices", "data"):
                part = StoredVector(matrix, name)
                step = max(1, (1 << 20) // part.chunk) * part.chunk
                blocks = [slice(at, min(at + step, matrix.n_stored)) for at in range(0, matrix.n_stored, step)]
                deque(run_blocks(lambda block, part=part: len(part.read(block)), blocks), maxlen=0)
        meter.facts["seconds of CPU"] = time.process_time() - begun
    return meter.facts


def inflate_h5py(path: Path, _root: Path) -> Facts:
    """Read the whole matrix once through h5py."""
    with h5py.File(path) as file, Meter() as meter:
        for name in ("indices", "data"):
            part = file["X"][name]
            step = max(1, (1 << 20) // part.chunks[0]) * part.chunks[0]
            for at in range(0, len(part), step):
                part[at : at + step]
    return meter.facts


def build(path: Path, root: Path) -> Facts:
    """Build the index."""
    with cellasso.open(path, index=root) as dataset:
        begun = time.process_time()
        with Meter() as meter:
            index = dataset.build_index()
        meter.facts["seconds of CPU"] = time.process_time() - begun
        meter.facts["size"] = sum(file.stat().st_size for file in index.folder.iterdir()) / 1e6
        group = h5py.File(path)["X"]
        meter.facts["matrix"] = sum(group[name].id.get_storage_size() for name in group) / 1e6
        meter.facts["n_stored"] = group["data"].shape[0]
    return meter.facts


def genes_of(index: object) -> dict[str, int]:
    counts = index.read_sums("n_nonzero")
    order = np.argsort(counts, kind="stable")
    return {name: int(order[min(len(order) - 1, int(len(order) * at))]) for name, at in GENES.items()}


def read_indexed(path: Path, root: Path) -> Facts:
    """Read genes from the index: again and again, and each time after the kernel has forgotten its files."""
    facts: Facts = {}
    with cellasso.open(path, index=root) as dataset:
        matrix = dataset.matrix()
        assert matrix.index is not None
        matrix.read_columns([0])
        for name, gene in genes_of(matrix.index).items():
            facts[f"{name}: warm"] = timed(lambda gene=gene: matrix.read_columns([gene]))
            facts[f"{name}: cold"] = timed(
                lambda gene=gene: matrix.read_columns([gene]), before=lambda: forget(matrix.index.folder)
            )
            column = matrix.read_columns([gene])[:, 0]
            facts[f"{name}: cells"] = int(np.count_nonzero(column))
            facts[f"{name}: sum"] = float(column.sum(dtype=np.float64))
            facts[f"{name}: gene"] = gene
    return facts


def timed(read: Callable[[], object], before: Callable[[], None] = lambda: None) -> float:
    taken = []
    for _ in range(REPEATS):
        before()
        start = time.perf_counter()
        read()
        taken.append(1e3 * (time.perf_counter() - start))
    return median(taken)


def forget(folder: Path) -> None:
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def scan(path: Path, root: Path) -> Facts:
    """Read the median gene without an index."""
    with cellasso.open(path, index=root) as dataset:
        gene = genes_of(dataset.matrix().index)["median gene"]
    with cellasso.open(path, index=False) as dataset, Meter() as meter:
        column = dataset.matrix().read_columns([gene])
    return {**meter.facts, "sum": float(column.sum(dtype=np.float64))}


def read_anndata(path: Path, root: Path) -> Facts:
    """Read the median gene through anndata, backed."""
    with cellasso.open(path, index=root) as dataset:
        gene = genes_of(dataset.matrix().index)["median gene"]
    adata = anndata.read_h5ad(path, backed="r")
    with Meter() as meter:
        column = adata.X[:, gene]
    return {**meter.facts, "sum": float(column.sum(dtype=np.float64))}


def first_look(path: Path, root: Path) -> Facts:
    """Open the file and read an embedding and the column that colours it."""

    def look(file: Path) -> int:
        with cellasso.open(file, index=root) as dataset:
            points, column = dataset.read_embedding(dataset.embeddings[0]), dataset.read_obs("cell_type")
            return len(points) + len(column.cat.codes)

    look(root.parent / TINY)  # imports
    with Meter() as meter:
        look(path)
    return meter.facts


def first_look_anndata(path: Path, root: Path) -> Facts:
    """Do the same through anndata, backed."""

    def look(file: Path) -> int:
        adata = anndata.read_h5ad(file, backed="r")
        return len(adata.obsm["X_umap"]) + len(adata.obs["cell_type"].cat.codes)

    look(root.parent / TINY)
    with Meter() as meter:
        look(path)
    return meter.facts


def dotplot(path: Path, root: Path) -> Facts:
    """Summarise 50 genes, from rare to common ones, over the 30 groups; no column of them has been read before."""
    with cellasso.open(path, index=root) as dataset:
        codes = dataset.read_obs("cell_type").cat.codes.to_numpy()
        names = dataset.features().names
        order = np.argsort(dataset.matrix().index.read_sums("n_nonzero"), kind="stable")
        chosen = [str(names[order[at]]) for at in np.linspace(len(order) // 2, len(order) - 1, 51).astype(int)]
        dataset.summarise(chosen[:1], codes, 30)  # compiles
        with Meter() as meter:
            found = dataset.summarise(chosen[1:], codes, 30)
    return {**meter.facts, "sum": float(found.sums.sum())}


def open_wide(path: Path, root: Path) -> Facts:
    """Open a matrix of 108,377 peaks and list what it has."""
    return _open_wide(lambda file: cellasso.open(file, index=False).n_vars, root)


def open_wide_anndata(path: Path, root: Path) -> Facts:
    """Open it through anndata, backed."""
    return _open_wide(lambda file: anndata.read_h5ad(file, backed="r").n_vars, root)


def _open_wide(look: Callable[[Path], int], root: Path) -> Facts:
    look(root.parent / TINY)
    with Meter() as meter:
        assert look(root.parent / WIDE) == N_PEAKS
    return meter.facts


_STEPS = (
    inflate,
    inflate_h5py,
    build,
    read_indexed,
    scan,
    read_anndata,
    first_look,
    first_look_anndata,
    dotplot,
    open_wide,
    open_wide_anndata,
)
STEPS = {step.__name__: step for step in _STEPS}


def measure(path: Path, root: Path, skipped: list[str]) -> dict[str, Facts]:
    measured = {}
    for name in STEPS:
        if name in skipped:
            continue
        command = [sys.executable, "-W", "ignore", __file__, "--file", str(path), "--child", name, str(root)]
        child = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
        if not child.stdout:
            sys.exit(f"{name}: ended with code {child.returncode} and without an answer")
        measured[name] = json.loads(child.stdout.strip().rpartition("\n")[2])
        print(f"{name}: {measured[name]}", file=sys.stderr, flush=True)
    sums = {name: measured[name]["sum"] for name in ("scan", "read_anndata") if name in measured}
    if any(found != measured["read_indexed"]["median gene: sum"] for found in sums.values()):
        sys.exit(f"the sides disagree: {sums}, {measured['read_indexed']}")
    return measured


def table(measured: dict[str, Facts], shape: tuple[int, int]) -> str:
    built, indexed = measured["build"], measured["read_indexed"]
    n_stored = built["n_stored"]
    lines = [
        f"# A gene of {shape[0]:,} cells by {shape[1]:,} genes, {n_stored / 1e9:.2f}e9 values, CSR, gzip",
        "",
        "| a gene | cells that have it | index, warm | index, cold |",
        "|---|---:|---:|---:|",
    ]
    for name in GENES:
        warm, cold = (duration(indexed[f"{name}: {state}"]) for state in ("warm", "cold"))
        lines.append(f"| {name} | {int(indexed[f'{name}: cells']):,} | {warm} | {cold} |")
    lines += ["", "| | time | peak memory, MB |", "|---|---:|---:|"]
    for name, label in (
        ("scan", "the median gene without an index"),
        ("read_anndata", "the median gene, anndata backed"),
        ("inflate", "inflating the matrix once, all cores"),
        ("inflate_h5py", "inflating the matrix once, h5py"),
        ("build", "building the index, all cores"),
        ("first_look", "opening, an embedding and a categorical column"),
        ("first_look_anndata", "the same, anndata backed"),
        ("dotplot", "a dotplot of 50 genes by 30 groups, indexed"),
        ("open_wide", f"opening {N_WIDE_CELLS:,} cells by {N_PEAKS:,} peaks"),
        ("open_wide_anndata", "the same, anndata backed"),
    ):
        if name in measured:
            lines.append(f"| {label} | {duration(measured[name]['ms'])} | {number(measured[name]['memory'])} |")
    ratio = built["ms"] / measured["inflate"]["ms"]
    size, matrix, seconds = built["size"], built["matrix"], built["seconds of CPU"]
    lines += ["", f"Index: {size:,.0f} MB, {size * 1e6 / n_stored:.2f} bytes a value. The matrix: {matrix:,.0f} MB."]
    inflating = measured["inflate"]["seconds of CPU"]
    times_cpu = seconds / inflating
    lines += [
        f"The build: {ratio:.1f} times as long as our own inflating of all chunks on all cores; {times_cpu:.1f} times"
    ]
    lines += [f"the CPU: {seconds:.0f} s, inflating {inflating:.0f} s."]
    if "inflate_h5py" in measured:
        lines[-1] += f" {built['ms'] / measured['inflate_h5py']['ms']:.1f} times as long as inflating by h5py."
    lines += ["Genes are medians of 21 reads; memory is the peak above that of the warm process."]
    if "first_look" in measured:
        per_cell = measured["first_look"]["memory"] * 1e6 / shape[0]
        lines += [f"Opening took {per_cell:.0f} bytes of memory a cell, the two columns of the embedding included."]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--file", type=Path)
    parser.add_argument("--cells", type=int, default=100_000)
    parser.add_argument("--genes", type=int, default=30_000)
    parser.add_argument("--skip", action="append", default=[], choices=[*STEPS], help="a step that is not run")
    parser.add_argument("--write", action="store_true", help="add the table to columns.md")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        name, root = options.child
        print(json.dumps(STEPS[name](options.file, Path(root))))
        return
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="cellasso-columns-") as folder:
        path = options.file or write(Path(folder) / "cells.h5ad", options.cells, options.genes)
        build(write(Path(folder) / TINY, 500, 200), Path(folder) / "tiny")  # numba compiles, and keeps it
        if "open_wide" not in options.skip:
            write(Path(folder) / WIDE, N_WIDE_CELLS, N_PEAKS)
        measured = measure(path, Path(folder) / "index", options.skip)
        with cellasso.open(path) as dataset:
            shape = open_matrix(dataset.handle, "/X").shape
    command = "python tests/benchmarks/columns.py " + " ".join(sys.argv[1:]).replace(str(options.file), "FILE")
    text = f"{table(measured, shape)}\n\n{machine(load, LIBRARIES)}\n\n```\n{command}\n```\n"
    print(text)
    if options.write:
        with Path(__file__).with_suffix(".md").open("a", encoding="utf-8") as file:
            file.write(text)


if __name__ == "__main__":
    main()
