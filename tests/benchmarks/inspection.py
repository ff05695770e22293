"""What `inspect` takes on a large file, beside anndata's backed opening and `h5ls -r`, and how true its forecasts are.

Every run is a process of its own, warmed up on a tiny file so that no import counts; the sides take turns.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.remove(str(Path(__file__).parent))  # this file is called like a module of Python's

import argparse
import json
import os
import platform
import shutil
import subprocess
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import version
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

import cellasso
from cellasso.inspect.inspection import inspect, render_text
from cellasso_app.demo.files import write_synthetic

if TYPE_CHECKING:
    from collections.abc import Callable

    from cellasso.inspect.report import Report

TINY = 2_000
GENE = "CD8A"


def run_inspect(path: Path) -> Report:
    with cellasso.open(path) as dataset:
        report = inspect(dataset)
        render_text(report)
    return report


def run_anndata(path: Path) -> None:
    import anndata

    anndata.read_h5ad(path, backed="r").file.close()


def run_h5ls(path: Path) -> None:
    subprocess.run(["h5ls", "-r", str(path)], stdout=subprocess.DEVNULL, check=True)


def run_gene(path: Path) -> None:
    with cellasso.open(path) as dataset:
        dataset.read_feature(GENE)


def run_export(path: Path) -> None:
    target = path.with_name("subset.h5ad")
    with cellasso.open(path) as dataset:
        dataset.export(np.random.default_rng(0).random(dataset.n_obs) < 0.1, target)
    target.unlink()


SIDES: dict[str, Callable[[Path], object]] = {
    "inspect": run_inspect,
    "anndata": run_anndata,
    "h5ls": run_h5ls,
    "gene": run_gene,
    "export": run_export,
}


def run_child(side: str, folder: Path, n_cells: int) -> None:
    """Warm up on the tiny file, run on the large one, and print what was measured as JSON."""
    tiny, large = (write_synthetic(folder, n) for n in (TINY, n_cells))
    SIDES[side](tiny)
    start = time.perf_counter()
    found = SIDES[side](large)
    measured = {"ms": 1e3 * (time.perf_counter() - start)}
    if side == "inspect":
        with cellasso.open(large) as dataset:
            before = dataset.handle.bytes_read
            inspect(dataset)
            measured["read"] = (dataset.handle.bytes_read - before) / 1e6
        costs = {(cost.task, cost.way): cost.seconds for cost in found.forecast.costs}
        measured |= {"gene": 1e3 * costs["gene", "now"], "export": 1e3 * costs["export", "now"]}
    print(json.dumps(measured))


TABLE = """\
# Inspecting {cells:,} synthetic cells by 2,000 genes

| | takes | / inspect (range) |
|---|---:|---:|
{rows}

| forecast | said | took | took / said (range) |
|---|---:|---:|---:|
{forecasts}

Medians of {repeats} runs in turn, each a new process warmed up on {tiny:,} cells, the file in the page cache; ratios
are within a turn. `inspect` opens the file, describes it, reads {read:.1f} MB of it (2 MB of that to time the disk) and
writes the tree; opening with anndata reads all of obs and var, and describes nothing. {h5ls}

{date:%Y-%m-%d}, {cores} cores, load {load:.1f} before the first run, {system}, Python {python}, {libraries}.

```
python tests/benchmarks/inspection.py --cells {cells} --repeats {repeats} --write
```
"""


def ratio(of: list[float], to: list[float]) -> str:
    found = [a / b for a, b in zip(of, to, strict=True)]
    return f"{median(found):.2g} ({min(found):.2g} to {max(found):.2g})"


def duration(ms: float) -> str:
    return f"{ms / 1e3:.1f} s" if ms >= 1e3 else f"{ms:.0f} ms"


def table(measured: dict[str, list[dict[str, float]]], options: argparse.Namespace, load: float) -> str:
    ms = {side: [run["ms"] for run in runs] for side, runs in measured.items()}
    names = {"inspect": "cellasso inspect", "anndata": 'anndata, `backed="r"`', "h5ls": "`h5ls -r`"}
    said = {task: [run[task] for run in measured["inspect"]] for task in ("gene", "export")}
    tasks = {"gene": f"a gene ({GENE}), without an index", "export": "a scattered tenth exported"}
    return TABLE.format(
        rows="\n".join(
            f"| {name} | {duration(median(ms[side]))} | {ratio(ms[side], ms['inspect'])} |"
            for side, name in names.items()
            if side in ms
        ),
        forecasts="\n".join(
            f"| {tasks[task]} | {duration(median(of))} | {duration(median(ms[task]))} | {ratio(ms[task], of)} |"
            for task, of in said.items()
        ),
        h5ls="" if "h5ls" in ms else "`h5ls` was not there to compare with.",
        cells=options.cells,
        repeats=options.repeats,
        tiny=TINY,
        read=median(run["read"] for run in measured["inspect"]),
        date=datetime.now(UTC),
        cores=os.cpu_count(),
        load=load,
        system=platform.system(),
        python=platform.python_version(),
        libraries=", ".join(f"{name} {version(name)}" for name in ("cellasso", "anndata", "h5py", "numpy")),
    )


def main() -> None:
    """Measure and print the tables, or be one of the children."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cells", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--write", action="store_true", help="save the tables beside this script")
    parser.add_argument("--child", nargs=2, metavar=("SIDE", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        run_child(options.child[0], Path(options.child[1]), options.cells)
        return
    load = os.getloadavg()[0]
    sides = [side for side in SIDES if side != "h5ls" or shutil.which("h5ls")]
    measured: dict[str, list[dict[str, float]]] = {side: [] for side in sides}
    with tempfile.TemporaryDirectory() as folder:
        for n in (TINY, options.cells):
            write_synthetic(Path(folder), n)
        for _ in range(options.repeats):
            for side, runs in measured.items():
                command = [sys.executable, "-W", "ignore", __file__, "--cells", str(options.cells)]
                child = subprocess.run(
                    [*command, "--child", side, folder], stdout=subprocess.PIPE, text=True, check=True
                )
                runs.append(json.loads(child.stdout.strip().rpartition("\n")[2]))
                print(f"{side}: {runs[-1]}", file=sys.stderr, flush=True)
    text = table(measured, options, load)
    print(text)
    if options.write:
        Path(__file__).with_suffix(".md").write_text(text)


if __name__ == "__main__":
    main()
