"""What an export takes whose obs has thousands of columns, beside anndata writing the same frame.

Every run exports in this process, as the child of `export` does, so that no start counts; the sides take turns.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
import warnings
from pathlib import Path
from statistics import median

import anndata as ad
import numpy as np
import pandas as pd
from measuring import duration, machine

import cellasso
from cellasso.write import export, worker

N_CELLS = 50
WIDTHS = (1_022, 2_045, 4_090)
KINDS = {"numbers": "float64", "a sixth categorical": "category"}

TABLE = """\
# Exporting {cells} cells whose obs is wide

| columns | kind | export | of it the comparison | anndata's `write_h5ad` | export / anndata (range) |
|---:|---|---:|---:|---:|---:|
{rows}

Medians of {repeats} runs in turn in one process; ratios are within a turn. `write_h5ad` writes a frame that is in
memory; the export reads the columns from the source, one by one, writes them, and compares the result with the source.

{machine}

```
python tests/benchmarks/wide_obs.py --repeats {repeats} --write
```
"""


def make(n_columns: int, kind: str) -> ad.AnnData:
    rng = np.random.default_rng(0)
    obs = pd.DataFrame(rng.random((N_CELLS, n_columns)), columns=[f"column{i}" for i in range(n_columns)])
    if KINDS[kind] == "category":
        for column in obs.columns[::6]:
            obs[column] = pd.Categorical(rng.choice(["a", "b", "c"], N_CELLS))
    obs.index = [f"c{i}" for i in range(N_CELLS)]
    return ad.AnnData(np.ones((N_CELLS, 10), "f4"), obs=obs)


def timed_export(path: Path, target: Path) -> tuple[float, float]:
    """Return how long an export of all cells takes, and its comparison with the source, in ms."""
    spent = []

    def verify(*arguments: object) -> None:
        start = time.perf_counter()
        original(*arguments)  # type: ignore[arg-type]
        spent.append(time.perf_counter() - start)

    original, worker.verify = worker.verify, verify
    try:
        with cellasso.open(path) as dataset:
            start = time.perf_counter()
            rows = export._rows(dataset, np.ones(dataset.n_obs, bool))
            worker.write(export.Job(path, target, dataset.handle.fingerprint, rows, {}), lambda _: None)
            return 1e3 * (time.perf_counter() - start), 1e3 * spent[0]
    finally:
        worker.verify = original


def timed_anndata(adata: ad.AnnData, target: Path) -> float:
    start = time.perf_counter()
    adata.write_h5ad(target)
    return 1e3 * (time.perf_counter() - start)


def measure(folder: Path, n_columns: int, kind: str, repeats: int) -> str:
    adata, path = make(n_columns, kind), folder / "wide.h5ad"
    adata.write_h5ad(path)
    runs = []
    for _ in range(repeats):
        took, compared = timed_export(path, folder / "export.h5ad")
        runs.append((took, compared, timed_anndata(adata, folder / "theirs.h5ad")))
    ours, compared, theirs = (median(run[at] for run in runs) for at in range(3))
    ratios = [took / other for took, _, other in runs]
    ratio = f"{median(ratios):.2g} ({min(ratios):.2g} to {max(ratios):.2g})"
    times = " | ".join(duration(ms) for ms in (ours, compared, theirs))
    return f"| {n_columns:,} | {kind} | {times} | {ratio} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--write", action="store_true", help="write the table beside this file")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), 10, "numbers", 1)  # imports, and what is compiled
        rows = [measure(Path(folder), width, kind, options.repeats) for kind in KINDS for width in WIDTHS]
    text = TABLE.format(
        cells=N_CELLS,
        rows="\n".join(rows),
        repeats=options.repeats,
        machine=machine(load, ("h5py", "anndata", "pandas", "numpy")),
    )
    print(text)
    if options.write:
        Path(__file__).with_suffix(".md").write_text(text)


if __name__ == "__main__":
    main()
