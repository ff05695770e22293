"""A large h5ad of seeded counts, written on all cores: `python tests/benchmarks/big.py PATH [--cells N] [--genes N]`.

Genes have log-normal means, cells log-normal depths, and 30 types of cells differ in a tenth of their genes. X is
float32 CSR as `adata.write_h5ad(path, compression="gzip")` lays it out: gzip level 4, h5py's own chunks.
"""

from __future__ import annotations

import argparse
import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import deflate
import h5py
import numba
import numpy as np
import pandas as pd
from h5py._hl.filters import guess_chunk

SEED = 20261124
N_GROUPS = 30
ROWS = 2_048
"""Cells drawn at a time, 2.5M values."""

DENSITY = 0.0414
SPREAD = 2.4
"""Standard deviation of the logarithm of the genes' means: the median gene is then seen in 1 of 400 cells."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("--cells", type=int, default=100_000)
    parser.add_argument("--genes", type=int, default=30_000)
    parser.add_argument("--log1p", action="store_true", help="log1p of counts per 10,000 instead of counts")
    options = parser.parse_args()
    write(options.path, options.cells, options.genes, log1p=options.log1p)


def write(path: Path, n_cells: int, n_genes: int, *, log1p: bool = False) -> Path:
    """Write the file under a temporary name, then give it its own."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        rates = gene_rates(n_genes)
        rng = np.random.default_rng(SEED)
        groups = rng.choice(N_GROUPS, n_cells, p=rng.dirichlet(np.full(N_GROUPS, 3.0))).astype(np.int8)
        depths = rng.lognormal(0, 0.5, n_cells).astype(np.float32)
        write_frames(partial, groups, depths, n_genes)
        with h5py.File(partial, "r+") as file:
            write_counts(file, rates, groups, depths, log1p=log1p)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def gene_rates(n_genes: int) -> np.ndarray:
    """Return the mean count of each gene in each group, `(N_GROUPS, n_genes)`, so that DENSITY is met."""
    rng = np.random.default_rng(SEED + 1)
    usual = rng.lognormal(0, SPREAD, n_genes)
    low, high = 1e-8, 1e2
    for _ in range(60):
        scale = np.sqrt(low * high)
        low, high = (scale, high) if np.mean(-np.expm1(-scale * usual)) < DENSITY else (low, scale)
    factors = np.where(rng.random((N_GROUPS, n_genes)) < 0.1, rng.lognormal(0, 1.5, (N_GROUPS, n_genes)), 1)
    return (scale * usual * factors).astype(np.float32)


def write_frames(path: Path, groups: np.ndarray, depths: np.ndarray, n_genes: int) -> None:
    """Write obs, var and obsm."""
    import anndata as ad

    rng = np.random.default_rng(SEED + 2)
    centres = rng.uniform(-12, 12, (N_GROUPS, 2))
    obs = pd.DataFrame(
        {"cell_type": pd.Categorical.from_codes(groups, [f"type_{n}" for n in range(N_GROUPS)]), "depth": depths},
        index=[f"CELL_{n:07d}" for n in range(len(groups))],
    )
    var = pd.DataFrame(index=[f"GENE_{n:05d}" for n in range(n_genes)])
    umap = (centres[groups] + rng.normal(size=(len(groups), 2))).astype(np.float32)
    ad.AnnData(obs=obs, var=var, obsm={"X_umap": umap}).write_h5ad(path, compression="gzip")


def write_counts(file: h5py.File, rates: np.ndarray, groups: np.ndarray, depths: np.ndarray, *, log1p: bool) -> None:
    """Draw blocks of cells on all cores and write them in their order."""
    n_cells, n_genes = len(groups), rates.shape[1]
    if "X" in file:
        del file["X"]
    matrix = file.create_group("X")
    matrix.attrs["encoding-type"], matrix.attrs["encoding-version"] = "csr_matrix", "0.1.0"
    matrix.attrs["shape"] = (n_cells, n_genes)
    chunk = guess_chunk((max(1, int(DENSITY * n_cells * n_genes)),), None, 4)[0]
    indptr = [np.zeros(1, dtype=np.int64)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        writers = {
            name: Writer(matrix.create_dataset(
                name, (0,), dtype, maxshape=(None,), chunks=(chunk,), compression="gzip", compression_opts=4
            ), pool)
            for name, dtype in (("data", np.float32), ("indices", np.int32))
        }  # fmt: skip
        drawn: deque[Future] = deque()
        starts = iter(range(0, n_cells, ROWS))
        while True:
            while len(drawn) < 2 * (os.cpu_count() or 1) and (start := next(starts, None)) is not None:
                rows = slice(start, start + ROWS)
                drawn.append(pool.submit(draw, rates, groups[rows], depths[rows], start, log1p=log1p))
            if not drawn:
                break
            lengths, indices, data = drawn.popleft().result()
            indptr.append(indptr[-1][-1] + np.cumsum(lengths))
            writers["indices"].append(indices)
            writers["data"].append(data)
        for writer in writers.values():
            writer.close()
    ends = np.concatenate(indptr)
    # SciPy, and so anndata, counts in 32 bits while that is enough
    matrix.create_dataset("indptr", data=ends.astype(np.int32 if ends[-1] < 2**31 else np.int64), compression="gzip")


class Writer:
    """Appends to a dataset in whole chunks that are deflated side by side."""

    def __init__(self, dataset: h5py.Dataset, pool: ThreadPoolExecutor) -> None:
        self.dataset, self.pool = dataset, pool
        self.rest = np.empty(0, dtype=dataset.dtype)
        self.packed: deque[Future] = deque()
        self.n_written = self.n_values = 0

    def append(self, values: np.ndarray) -> None:
        self.n_values += len(values)
        values = np.concatenate([self.rest, values])
        size = self.dataset.chunks[0]
        whole = len(values) // size * size
        for start in range(0, whole, size):
            self.packed.append(self.pool.submit(pack, values[start : start + size]))
        self.rest = values[whole:].copy()
        while len(self.packed) > 200:
            self._write()

    def close(self) -> None:
        if len(self.rest):
            padded = np.zeros(self.dataset.chunks[0], dtype=self.dataset.dtype)
            padded[: len(self.rest)] = self.rest
            self.packed.append(self.pool.submit(pack, padded))
        while self.packed:
            self._write()
        self.dataset.resize((self.n_values,))

    def _write(self) -> None:
        size = self.dataset.chunks[0]
        self.dataset.resize(((self.n_written + 1) * size,))
        self.dataset.id.write_direct_chunk((self.n_written * size,), self.packed.popleft().result())
        self.n_written += 1


def pack(values: np.ndarray) -> bytes:
    return bytes(deflate.zlib_compress(values, 4))


def draw(
    rates: np.ndarray, groups: np.ndarray, depths: np.ndarray, start: int, *, log1p: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the non-zeros a row, their genes and their counts, of the rows from `start`."""
    room = int(len(groups) * rates.shape[1] * DENSITY * 2.5) + rates.shape[1]
    indices, data = np.empty(room, dtype=np.int32), np.empty(room, dtype=np.float32)
    lengths = np.zeros(len(groups), dtype=np.int64)
    n = draw_rows(rates, groups, depths, start, lengths, indices, data)
    data = data[:n].copy()
    if log1p:
        totals = np.add.reduceat(data, np.concatenate([[0], np.cumsum(lengths)[:-1]]))
        data = np.log1p(data / np.repeat(totals, lengths) * np.float32(1e4))
    return lengths, indices[:n].copy(), data


@numba.njit(nogil=True, cache=True)
def draw_rows(rates, groups, depths, start, lengths, indices, data):  # noqa: PLR0917 - a kernel takes arrays
    at = 0
    n_genes = rates.shape[1]
    for row in range(len(groups)):
        state = np.uint64(start + row + 1) * np.uint64(0x9E3779B97F4A7C15)
        before = at
        rate, depth = rates[groups[row]], depths[row]
        for gene in range(n_genes):
            mean = rate[gene] * depth
            state += np.uint64(0x9E3779B97F4A7C15)  # splitmix64
            mixed = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            uniform = float(mixed >> np.uint64(11)) * (1.0 / (1 << 53))
            # most pairs end here: 1 - exp(-mean) < mean
            if uniform >= mean:
                continue
            probability = np.exp(-mean)
            uniform = 1.0 - uniform
            count, cumulative = 0, probability
            while uniform > cumulative and count < 10_000:
                count += 1
                probability *= mean / count
                cumulative += probability
            if count and at < len(indices):
                indices[at], data[at] = gene, count
                at += 1
        lengths[row] = at - before
    return at


if __name__ == "__main__":
    main()
