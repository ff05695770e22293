"""What the first look at a large file costs, beside anndata: open, a gene, a lasso, an export, one more session.

Every run is a process of its own, warmed up on a tiny file so that neither imports nor compilation count, and
the sides take turns. Linux only: peak memory and bytes read are the kernel's figures.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
import zlib
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import anndata
import h5py
import matplotlib.path
import numpy as np
from measuring import Children, Facts, Meter, duration, machine, memory, number

import cellasso
from cellasso.points.polygon import points_in_polygon

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

TINY = 2_000
GENE = "CD8A"
PAGES = 20
SETTLE = 0.5
"""Seconds after a page, while its threads read the points: 0.2 s at 1M cells."""


# -- the sides of each step: they return what they found, on which they have to agree ---------------------------


def open_cellasso(meter: Meter, path: Path) -> float:
    with meter:
        dataset = cellasso.open(path)
        points, column = dataset.read_embedding("X_umap"), dataset.read_obs("cell_type")
    return float(points.sum(dtype=np.float64) + column.cat.codes.sum())


def open_anndata(meter: Meter, path: Path) -> float:
    with meter:
        adata = anndata.read_h5ad(path, backed="r")
        points, column = adata.obsm["X_umap"], adata.obs["cell_type"]
    return float(points.sum(dtype=np.float64) + column.cat.codes.sum())


def gene_cellasso(meter: Meter, path: Path) -> float:
    with cellasso.open(path) as dataset, meter:
        values = dataset.read_feature(GENE)
    return float(values.sum(dtype=np.float64))


def gene_anndata(meter: Meter, path: Path) -> float:
    adata = anndata.read_h5ad(path, backed="r")
    with meter:
        values = adata[:, GENE].X.toarray()
    return float(values.sum(dtype=np.float64))


def lasso_cellasso(meter: Meter, path: Path) -> float:
    points, polygon = points_of(path), ring()
    with meter:
        inside = points_in_polygon(points, polygon)
    return float(inside.sum())


def lasso_matplotlib(meter: Meter, path: Path) -> float:
    points, polygon = points_of(path), ring()
    with meter:
        inside = matplotlib.path.Path(polygon).contains_points(points)
    return float(inside.sum())


def export_cellasso(meter: Meter, path: Path) -> float:
    with cellasso.open(path) as dataset, Children() as children, meter:
        dataset.export(tenth(dataset.n_obs), path.with_name("subset.h5ad"))
    meter.facts["memory"] += sum(children.peaks.values())
    return check_export(meter, path)


def export_anndata(meter: Meter, path: Path, *, in_memory: bool) -> float:
    adata = anndata.read_h5ad(path, backed="r")
    target = path.with_name("subset.h5ad")
    with meter:
        subset = adata[tenth(adata.n_obs)]
        if in_memory:
            subset.to_memory().write_h5ad(target, compression="gzip", compression_opts=1)
        else:
            subset.copy(filename=target)
    return check_export(meter, path)


def pages(meter: Meter, path: Path, *, read: bool) -> None:
    """Build page after page, all of which stay; with `read` each reads what a browser would ask for first."""
    from bokeh.document import Document  # the other children do without the app
    from panel.io.state import set_curdoc

    from cellasso_app.server.open_files import Catalogue
    from cellasso_app.server.page import page

    catalogue, kept = Catalogue([path]), []
    for _ in range(PAGES + 1):
        document, start = Document(), time.perf_counter()
        if read:
            page(catalogue, path.parent).server_doc(document)  # outside of a session nothing waits for a browser
        else:
            with set_curdoc(document):
                page(catalogue, path.parent).server_doc(document)
        took = 1e3 * (time.perf_counter() - start)
        time.sleep(SETTLE if read else 0)
        gc.collect()
        kept.append((document, took, memory("VmRSS")))
    meter.facts |= {"ms": median(took for _, took, _ in kept[1:]), "memory": (kept[-1][2] - kept[0][2]) / PAGES}


# -- the limits: the least that a reader of these files has to do, in one thread ---------------------------------


def lasso_limit(meter: Meter, path: Path) -> None:
    points = points_of(path)
    meter.facts["limit"] = points.nbytes / 1e6
    with meter:
        points.max()


def gene_limit(meter: Meter, path: Path) -> None:
    with h5py.File(path) as file:
        rows = slice(0, sys.maxsize)
        if file["X"].attrs["encoding-type"] == "csc_matrix":
            column = list(file["var/_index"].asstr()).index(GENE)
            rows = slice(*(int(n) for n in file["X/indptr"][column : column + 2]))
    inflate(meter, path, ["X/indices", "X/data"], rows)


def export_limit(meter: Meter, path: Path) -> None:
    names: list[str] = []
    with h5py.File(path) as file:
        file.visititems(lambda name, node: names.append(name) if isinstance(node, h5py.Dataset) else None)
    inflate(meter, path, names, deflate_every=10)


def inflate(
    meter: Meter, path: Path, names: list[str], rows: slice = slice(0, sys.maxsize), *, deflate_every: int = sys.maxsize
) -> None:
    """Inflate the chunks of datasets that hold some rows, by zlib; deflate one in `deflate_every` again.

    Of those that are not compressed each byte is looked at.
    """
    compressed: list[bytes] = []
    plain: list[bytes] = []
    with h5py.File(path) as file, path.open("rb") as stored:
        for dataset in (file[name] for name in names):
            chunks: list[h5py.h5d.StoreInfo] = []
            if dataset.chunks:
                dataset.id.chunk_iter(chunks.append)
            elif dataset.id.get_offset() is not None:
                stored.seek(dataset.id.get_offset())
                plain.append(stored.read(dataset.nbytes))
            for chunk in chunks:
                if rows.start - dataset.chunks[0] < chunk.chunk_offset[0] < rows.stop:
                    stored.seek(chunk.byte_offset)
                    (compressed if dataset.compression else plain).append(stored.read(chunk.size))
    meter.facts["limit"] = sum(map(len, compressed + plain)) / 1e6
    with meter:
        for piece in plain:
            np.frombuffer(piece, np.uint8).max()
        for n, chunk in enumerate(compressed, start=1):
            inflated = zlib.decompress(chunk)
            if n % deflate_every == 0:
                zlib.compress(inflated, 1)


# ----------------------------------------------------------------------------------------------------------------


def points_of(path: Path) -> NDArray[np.float32]:
    with h5py.File(path) as file:
        points: NDArray[np.float32] = file["obsm/X_umap"][...]
    return points


def ring() -> NDArray[np.float64]:
    """Return a ragged polygon of 50 vertices around half of the cells."""
    angle = np.linspace(0, 2 * np.pi, 50, endpoint=False)
    return np.random.default_rng(0).uniform(7, 12, (50, 1)) * np.stack([np.cos(angle), np.sin(angle)], axis=1)


def tenth(n_obs: int) -> NDArray[np.bool_]:
    return np.random.default_rng(0).random(n_obs) < 0.1


def check_export(meter: Meter, path: Path) -> float:
    target = path.with_name("subset.h5ad")
    meter.facts["written"] = target.stat().st_size / 1e6
    with h5py.File(target) as file:
        total = float(np.sum(file["X/data"][...], dtype=np.float64))
    target.unlink()
    return total


EXPORT = "export of a random 10%"
OPEN_SIDES = {
    "cellasso": open_cellasso,
    "anndata": open_anndata,
    "limit": partial(inflate, names=["obsm/X_umap", "obs/cell_type/codes"]),
}
GENE_SIDES = {"cellasso": gene_cellasso, "anndata": gene_anndata, "limit": gene_limit}
PLAIN = "as `write_h5ad` writes without options"
STEPS: dict[str, dict[str, Callable[[Meter, Path], float | None]]] = {
    "open, read a UMAP and a categorical column": OPEN_SIDES,
    f"the same, {PLAIN}": OPEN_SIDES,
    "first gene, CSR without an index": GENE_SIDES,
    f"the same, {PLAIN}, CSR": GENE_SIDES,
    "first gene, CSC": GENE_SIDES,
    "lasso of 50 vertices": {"cellasso": lasso_cellasso, "matplotlib": lasso_matplotlib, "limit": lasso_limit},
    EXPORT: {
        "cellasso": export_cellasso,
        "anndata copy": partial(export_anndata, in_memory=False),
        "anndata to_memory": partial(export_anndata, in_memory=True),
        "limit": export_limit,
    },
    "one more session: the frame of its page": {"cellasso": partial(pages, read=False)},
    "one more session: points read too": {"cellasso": partial(pages, read=True)},
}


# -- running -----------------------------------------------------------------------------------------------------


def write_files(folder: Path, n_cells: int) -> None:
    """Write the CSR file, its copy in one piece, and its CSC copy as anndata makes them, of the tiny one as well."""
    from cellasso_app.demo.files import write_synthetic

    for n in (TINY, n_cells):
        adata = anndata.read_h5ad(write_synthetic(folder, n).rename(folder / f"csr_{n}.h5ad"))
        adata.write_h5ad(folder / f"plain_{n}.h5ad")
        adata.X = adata.X.tocsc()
        adata.write_h5ad(folder / f"csc_{n}.h5ad", compression="gzip", compression_opts=1)


def run_child(step: str, side: str, folder: Path, n_cells: int) -> Facts:
    """Warm one side of a step up on the tiny file, run it on the large one and return what was measured."""
    kind, run = ("csc" if "CSC" in step else "plain" if PLAIN in step else "csr"), STEPS[step][side]
    run(Meter(), folder / f"{kind}_{TINY}.h5ad")
    meter = Meter()
    found = run(meter, folder / f"{kind}_{n_cells}.h5ad")
    return meter.facts if found is None else {**meter.facts, "found": found}


def measure(folder: Path, n_cells: int, n_repeats: int) -> dict[str, dict[str, list[Facts]]]:
    """Run all sides of all steps in turn; return what each run measured."""
    command = [sys.executable, "-W", "ignore", __file__, "--cells", str(n_cells), "--child"]
    subprocess.run([*command, "write", "", str(folder)], check=True)
    measured: dict[str, dict[str, list[Facts]]] = {step: {side: [] for side in STEPS[step]} for step in STEPS}
    for repeat in range(n_repeats):
        for step, sides in measured.items():
            first = repeat % len(sides)  # another one each time
            for side in [*sides][first:] + [*sides][:first]:
                os.sync()  # what the last one wrote is not this one's work
                child = subprocess.run(
                    [*command, step, side, str(folder)], check=False, stdout=subprocess.PIPE, text=True
                )
                if not child.stdout:
                    sys.exit(f"{step}, {side}: ended with code {child.returncode} and without an answer")
                answer = json.loads(child.stdout.strip().rpartition("\n")[2])
                sides[side].append(answer | {"crashed": float(child.returncode != 0)})
                print(f"{repeat + 1}/{n_repeats} {step}, {side}: {sides[side][-1]}", file=sys.stderr, flush=True)
            found = [run["found"] for runs in sides.values() for run in runs if "found" in run]
            if found and not np.allclose(found, found[0], rtol=1e-6):
                sys.exit(f"{step}: the sides disagree: {found}")
    return measured


# -- the table ---------------------------------------------------------------------------------------------------

TABLE = """\
# The first look at {cells:,} synthetic cells by 2,000 genes

| step | cellasso | the other | other / cellasso (range) | memory, MB | read, MB | limit | cellasso / limit |
|---|---:|---:|---:|---:|---:|---:|---:|
{rows}

Medians of {repeats} runs in turn, each a new process warmed up on {tiny:,} cells, files in the page cache; ratios are
within a turn. Memory is the peak above that of the warm process, with what opening takes and with the whole of the
child that writes an export; memory and bytes are cellasso's / the other's. anndata is opened with `backed="r"`, which
is timed in the first step only. The limit: the stored bytes that hold the answer, and zlib inflating them in one
thread, which a reader with several threads, or with a faster inflate, can undercut; for the export all of the file,
and a tenth of it deflated again; for the lasso one pass over the points. A session's figures are medians of {pages}
pages in one process, without a browser. Processes that crashed after they had answered: {crashed}.

Sizes of the exports: {written}. `copy` does not compress; cellasso's is also checked, and on the disk (fsync).

{machine}

```
python tests/benchmarks/first_look.py --cells {cells} --repeats {repeats} --write
```
"""
LIBRARIES = ("cellasso", "anndata", "h5py", "numpy", "scipy", "numba", "matplotlib", "panel", "bokeh")


def row(step: str, sides: dict[str, list[Facts]]) -> str:
    def middle(side: str, fact: str) -> float:
        return median(run[fact] for run in sides[side])

    def ratios(side: str, other: str) -> list[float]:
        return [a["ms"] / b["ms"] for a, b in zip(sides[side], sides[other], strict=True)]

    others = sorted(sides.keys() - {"cellasso", "limit"}, key=lambda side: middle(side, "ms"))[:1]
    shown = [side for side in ("cellasso", *others) if "read" in sides[side][0]]
    cells = [step, duration(middle("cellasso", "ms")), "", "", number(middle("cellasso", "memory")), "", "", ""]
    for other in others:
        by = ratios(other, "cellasso")
        cells[2] = f"{other}: {duration(middle(other, 'ms'))}"
        cells[3] = f"{number(median(by))} ({number(min(by))} to {number(max(by))})"
        cells[4] = " / ".join(number(middle(side, "memory")) for side in shown)
        cells[5] = " / ".join(number(middle(side, "read")) for side in shown)
    if "limit" in sides:
        cells[6] = f"{number(middle('limit', 'limit'))} MB, {duration(middle('limit', 'ms'))}"
        cells[7] = number(median(ratios("cellasso", "limit")))
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Measure and print the table, or be one of the children."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cells", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--write", action="store_true", help="save the table beside this script")
    parser.add_argument("--child", nargs=3, metavar=("STEP", "SIDE", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        step, side, folder = options.child
        if step == "write":
            write_files(Path(folder), options.cells)
        else:
            print(json.dumps(run_child(step, side, Path(folder), options.cells)))
        return
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        measured = measure(Path(folder), options.cells, options.repeats)
    sizes = {side: median(run["written"] for run in runs) for side, runs in measured[EXPORT].items() if side != "limit"}
    table = TABLE.format(
        rows="\n".join(row(step, sides) for step, sides in measured.items()),
        cells=options.cells,
        repeats=options.repeats,
        tiny=TINY,
        pages=PAGES,
        written=", ".join(f"{side} {number(size)} MB" for side, size in sizes.items()),
        crashed=sum(bool(run["crashed"]) for sides in measured.values() for runs in sides.values() for run in runs),
        machine=machine(load, LIBRARIES),
    )
    print(table)
    if options.write:
        Path(__file__).with_suffix(".md").write_text(table)


if __name__ == "__main__":
    main()
