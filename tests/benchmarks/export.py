"""What exporting a tenth of a large CSR file costs, beside anndata's ways: a random tenth, and a cluster.

Every run is a process of its own; the sides take turns. The file is made by `big.py`, or named with --file.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import anndata
import h5py
import numpy as np
from big import write
from measuring import Children, Facts, Meter, duration, machine, number

import cellasso

if TYPE_CHECKING:
    from numpy.typing import NDArray

KINDS = ("random", "clustered")
SIDES = ("cellasso", "anndata copy", "anndata to_memory")
LIBRARIES = ("cellasso", "anndata", "h5py", "numpy", "scipy", "deflate")


def mask_of(kind: str, n_obs: int) -> NDArray[np.bool_]:
    """Return which cells are exported: one in ten anywhere, or a tenth that lies batched_updates, as sorted files have it."""
    if kind == "random":
        return np.random.default_rng(0).random(n_obs) < 0.1
    return (np.arange(n_obs) >= n_obs // 3) & (np.arange(n_obs) < n_obs // 3 + n_obs // 10)


def export(side: str, kind: str, path: Path, target: Path) -> Facts:
    """Export by one side in this process; return time, peak memory with that of children, and what was written."""
    if side == "cellasso":
        with cellasso.open(path) as dataset, Children() as children, Meter() as meter:
            dataset.export(mask_of(kind, dataset.n_obs), target)
        meter.facts["memory"] += sum(children.peaks.values())
    else:
        adata = anndata.read_h5ad(path, backed="r")
        with Meter() as meter:
            subset = adata[mask_of(kind, adata.n_obs)]
            if side == "anndata copy":
                subset.copy(filename=target)
            else:
                subset.to_memory().write_h5ad(target, compression="gzip")
            os.sync()  # cellasso's export is on the disk when it returns
    meter.facts["written"] = target.stat().st_size / 1e6
    with h5py.File(target) as file:
        meter.facts["found"] = float(np.sum(file["X/data"][...], dtype=np.float64)) + float(file["X/indptr"][-1])
    target.unlink()
    return meter.facts


def measure(path: Path, n_repeats: int) -> dict[tuple[str, str], list[Facts]]:
    """Run all sides of both kinds in turn."""
    measured: dict[tuple[str, str], list[Facts]] = {(kind, side): [] for kind in KINDS for side in SIDES}
    for repeat in range(n_repeats):
        for (kind, side), runs in measured.items():
            command = [sys.executable, "-W", "ignore", __file__, "--file", str(path), "--child", side, kind]
            os.sync()
            child = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
            if not child.stdout:
                sys.exit(f"{kind}, {side}: ended with code {child.returncode} and without an answer")
            runs.append(json.loads(child.stdout.strip().rpartition("\n")[2]))
            print(f"{repeat + 1}/{n_repeats} {kind}, {side}: {runs[-1]}", file=sys.stderr, flush=True)
        for kind in KINDS:
            found = [measured[kind, side][-1]["found"] for side in SIDES]
            if len(set(found)) > 1:
                sys.exit(f"{kind}: the sides disagree: {found}")
    return measured


TABLE = """\
# Exporting a tenth of {cells:,} cells by {genes:,} genes ({stored:,} stored values, {size} MB)

| cells | side | time | times cellasso's | peak memory, MB | file written, MB |
|---|---|---:|---:|---:|---:|
{rows}

Medians of {repeats} runs in turn, each a new process, the source in the page cache. Memory is the peak above that of
the process with its libraries loaded; cellasso's has the whole of the child that writes added. cellasso's file is also
checked, and on the disk (fsync); a sync ends the others' time. `to_memory` is written with gzip as the source is,
`copy` does not compress.

{machine}

```
python tests/benchmarks/export.py --cells {cells} --genes {genes} --repeats {repeats} --write
```
"""


def main() -> None:
    """Measure and print the table, or be one of the children."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cells", type=int, default=100_000)
    parser.add_argument("--genes", type=int, default=30_000)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--file", type=Path, help="a file that big.py wrote, instead of writing one")
    parser.add_argument("--write", action="store_true", help="save the table beside this script")
    parser.add_argument("--child", nargs=2, metavar=("SIDE", "KIND"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.file.parent if options.file else None) as folder:
        if options.child:
            print(json.dumps(export(*options.child, options.file, Path(folder) / "subset.h5ad")))
            return
        path = options.file or write(Path(folder) / "cells.h5ad", options.cells, options.genes)
        load = os.getloadavg()[0]
        measured = measure(path, options.repeats)
        rows = []
        for (kind, side), runs in measured.items():
            by = median(run["ms"] / own["ms"] for run, own in zip(runs, measured[kind, "cellasso"], strict=True))
            facts = [duration(median(run["ms"] for run in runs)), number(by) if side != "cellasso" else ""]
            facts += [number(median(run[fact] for run in runs)) for fact in ("memory", "written")]
            rows.append(f"| {kind} | {side} | {' | '.join(facts)} |")
        with h5py.File(path) as file:
            (cells, genes), stored = (int(n) for n in file["X"].attrs["shape"]), file["X/data"].size
        table = TABLE.format(
            rows="\n".join(rows),
            cells=cells,
            genes=genes,
            stored=stored,
            size=number(path.stat().st_size / 1e6),
            repeats=options.repeats,
            machine=machine(load, LIBRARIES),
        )
    print(table)
    if options.write:
        Path(__file__).with_suffix(".md").write_text(table)


if __name__ == "__main__":
    main()
