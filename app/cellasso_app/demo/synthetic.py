"""Synthetic cells in any number: written block by block, the same on every run, for trying large files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import h5py
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

SEED = 20261126
N_GENES = 2_000
BLOCK = 1 << 14
"""Cells per step, and per chunk of obs: 1.6M stored values, about 60 MB while they are drawn and sorted."""

MATRIX_CHUNK = 1 << 16
"""Stored values per chunk of X: 256 kB before compression, two thirds of a millisecond to inflate."""

MEAN_COUNTS = 112
"""Transcripts a cell: about 100 of the genes are then seen in it."""

QUANTILES = 1 << 16
"""Steps of a type's distribution over genes, so that two random bytes draw a gene."""

CELL_TYPES: dict[str, dict[str, tuple[str, ...]]] = {
    "T": {
        "CD4 naive T": ("CD3D", "CD3E", "CCR7", "NOSIP", "LDHB"),
        "CD4 memory T": ("CD3D", "CD3E", "IL7R", "LTB", "S100A4"),
        "T helper 2": ("CD3D", "CD3E", "GATA3", "IL7R"),
        "Regulatory T": ("CD3D", "CD3E", "TIGIT", "TNFRSF4", "CD27"),
        "CD8 naive T": ("CD3D", "CD8A", "CD8B", "CCR7"),
        "CD8 memory T": ("CD3D", "CD8A", "GZMK", "CD27"),
        "CD8 effector T": ("CD3D", "CD8A", "GZMH", "NKG7", "CCL5"),
        "MAIT": ("CD3D", "CD8A", "KLRB1", "IL7R", "GZMK"),
        "CD4 cytotoxic T": ("CD3D", "CD3E", "GZMH", "FGFBP2", "CCL5"),
        "Interferon-stimulated T": ("CD3D", "OAS1", "LY6E", "BST2", "IRF7"),
        "Gamma-delta T": ("CD3D", "CD247", "GNLY", "NKG7", "CD160"),
    },
    "NK": {
        "CD56-bright NK": ("XCL1", "XCL2", "KLRB1", "GNLY"),
        "CD16 NK": ("FCGR3A", "FGFBP2", "GNLY", "NKG7", "PRF1"),
        "Innate lymphoid": ("IL7R", "KLRB1", "GATA3", "XCL1"),
        "Cycling lymphocyte": ("STMN1", "PCNA", "HMGB2"),
    },
    "B": {
        "Naive B": ("CD79A", "CD79B", "MS4A1", "BANK1", "CD74"),
        "Transitional B": ("CD79A", "CD79B", "MS4A1", "PLD4", "CD74"),
        "Memory B": ("CD79A", "MS4A1", "CD27", "TNFRSF13B", "CD74"),
        "Pre-B": ("CD79A", "CD79B", "IGLL1"),
        "Plasmablast": ("MZB1", "IGJ", "CD27"),
        "Plasma cell": ("MZB1", "IGJ", "IGLL5"),
    },
    "Myeloid": {
        "CD14 monocyte": ("LYZ", "S100A8", "S100A9", "FCN1", "CST3"),
        "CD16 monocyte": ("FCGR3A", "LST1", "AIF1", "FCER1G", "IFITM3"),
        "Intermediate monocyte": ("LYZ", "FCN1", "CTSS", "HLA-DRA"),
        "Inflammatory monocyte": ("LYZ", "IL1B", "NFKBIA", "FOS"),
        "Conventional DC": ("FCER1A", "CLEC10A", "HLA-DRA", "HLA-DQA1", "CST3"),
        "Cross-presenting DC": ("CPVL", "IRF8", "HLA-DRA", "HLA-DQA1"),
        "Plasmacytoid DC": ("IRF7", "IRF8", "SERPINF1", "PLD4"),
    },
    "Progenitor": {
        "Basophil progenitor": ("GATA2", "CYTL1", "FCER1A", "ALOX5AP"),
        "Progenitor": ("SPINK2", "PRSS57", "SOX4", "CDK6"),
    },
}
"""Cell types by lineage, each with genes that mark it; all are in the PBMC data set of `demo`."""

SAMPLES = tuple(f"donor_{n}" for n in range(1, 9))
PHASES = ("G1", "S", "G2M")


def write(path: Path, n_cells: int, symbols: Sequence[str], *, progress: Callable[[float], None] | None = None) -> None:
    """Write an h5ad of `n_cells` by 2,000 genes: clusters on a UMAP, obs columns, log1p counts as CSR.

    Bounded memory: one block of cells at a time. The same arguments write the same values.

    Parameters
    ----------
    symbols
        Names for the first genes; the rest are `GENE_0001` and so on.
    progress
        Told the fraction done after each block.
    """
    genes = gene_names(symbols)
    population = _Population.of(genes)
    with h5py.File(path, "w") as file:
        _mark(file, "anndata", "0.1.0")
        for name in ("layers", "obsp", "uns", "varm", "varp"):
            _mark(file.create_group(name), "dict", "0.1.0")
        _strings(_frame(file, "var", ()), "_index", genes)
        _write_cells(file, n_cells, population, progress or (lambda _: None))


def gene_names(symbols: Sequence[str]) -> list[str]:
    """Return 2,000 unique gene names: the symbols, the marker genes, then numbered ones."""
    markers = [gene for types in CELL_TYPES.values() for genes in types.values() for gene in genes]
    named = list(dict.fromkeys([*symbols, *markers]))[:N_GENES]
    return named + [f"GENE_{n:04d}" for n in range(1, N_GENES - len(named) + 1)]


@dataclass(frozen=True)
class _Block:
    """Some consecutive cells: columns of obs (codes where categorical), UMAP, and their rows of X as CSR parts."""

    obs: dict[str, NDArray[np.generic]]
    umap: NDArray[np.float32]
    n_stored: NDArray[np.int64]
    indices: NDArray[np.int32]
    data: NDArray[np.float32]


@dataclass(frozen=True)
class _Population:
    """What the cells of each type have in common.

    Attributes
    ----------
    frequency
        Share of each type, `(n_types,)`.
    genes
        Quantile table of the genes that a transcript of a type comes from, `(n_types, QUANTILES)`.
    centre, axis, bend, width
        The arc that a type covers on the UMAP: `(n_types, 2)`, `(n_types, 2)`, `(n_types,)`, `(n_types,)`.
    """

    frequency: NDArray[np.float64]
    genes: NDArray[np.int16]
    centre: NDArray[np.float64]
    axis: NDArray[np.float64]
    bend: NDArray[np.float64]
    width: NDArray[np.float64]

    @classmethod
    def of(cls, genes: Sequence[str]) -> _Population:
        """Draw the types' shapes and expression."""
        rng = np.random.default_rng(SEED)
        n_types = sum(map(len, CELL_TYPES.values()))
        frequency = rng.dirichlet(np.full(n_types, 3.0))
        angle = rng.uniform(0, 2 * np.pi, n_types)
        length = rng.uniform(1.0, 2.0, n_types) * np.sqrt(frequency * n_types)
        return cls(
            frequency=frequency,
            genes=_quantiles(rng, genes),
            centre=_centres(rng),
            axis=length[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1),
            bend=rng.uniform(0.2, 0.8, n_types) * rng.choice([-1, 1], n_types),
            width=rng.uniform(0.2, 0.4, n_types),
        )

    def block(self, start: int, n: int) -> _Block:
        """Draw `n` cells, always the same for a `start`."""
        rng = np.random.default_rng([SEED, start])
        types = rng.choice(len(self.frequency), n, p=self.frequency).astype(np.int8)
        totals = np.maximum(rng.lognormal(np.log(MEAN_COUNTS), 0.35, n).astype(np.int64), 1)
        n_stored, indices, data = self._expression(rng, types, totals)
        obs: dict[str, NDArray[np.generic]] = {
            "cell_type": types,
            "sample": rng.choice(len(SAMPLES), n).astype(np.int8),
            "phase": rng.choice(len(PHASES), n, p=(0.7, 0.18, 0.12)).astype(np.int8),
            "total_counts": totals.astype(np.float32),
            "pct_mito": np.minimum(rng.lognormal(np.log(3.0), 0.5, n), 100).astype(np.float32),
        }
        return _Block(obs, self._umap(rng, types), n_stored, indices, data)

    def _umap(self, rng: np.random.Generator, types: NDArray[np.int8]) -> NDArray[np.float32]:
        along = np.tanh(rng.normal(0, 0.8, (len(types), 1)))
        axis = self.axis[types]
        across = axis[:, ::-1] * (1, -1)
        points: NDArray[np.float64] = self.centre[types] + axis * along + across * self.bend[types, None] * along**2
        points += rng.normal(0, 1, points.shape) * self.width[types, None]
        return points.astype(np.float32)

    def _expression(
        self, rng: np.random.Generator, types: NDArray[np.int8], totals: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]:
        """Draw each cell's transcripts and count them by gene: a sorted key holds the cell and the gene."""
        cell = np.repeat(np.arange(len(types), dtype=np.int32), totals)
        gene = self.genes[types[cell], rng.integers(0, QUANTILES, len(cell), dtype=np.uint16)]
        key = cell * np.int32(N_GENES) + gene
        key.sort()
        first = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1]]))
        counts = np.diff(first, append=len(key))
        row, column = np.divmod(key[first], np.int32(N_GENES))
        log1p = np.log1p(np.arange(int(counts.max()) + 1, dtype=np.float32))
        return np.bincount(row, minlength=len(types)), column, log1p[counts]


def _centres(rng: np.random.Generator) -> NDArray[np.float64]:
    """Return where each type lies, `(n_types, 2)`: the lineages are islands, their types lie around them."""
    centres = []
    for island, types in enumerate(CELL_TYPES.values()):
        at = 9 * np.array([np.cos(2 * np.pi * island / 5), np.sin(2 * np.pi * island / 5)])
        turn = rng.uniform(0, 2 * np.pi) + 2 * np.pi * np.arange(len(types)) / len(types)
        radius = 0.45 * len(types) ** 0.9
        centres.append(at + radius * np.stack([np.cos(turn), np.sin(turn)], axis=1))
    return np.concatenate(centres)


def _quantiles(rng: np.random.Generator, genes: Sequence[str]) -> NDArray[np.int16]:
    """Return for each type a table from which a uniform draw takes genes at the type's rates."""
    position = {gene: n for n, gene in enumerate(genes)}
    types = [markers for lineage in CELL_TYPES.values() for markers in lineage.values()]
    usual = rng.lognormal(0, 1.2, N_GENES)
    usual /= usual.sum()
    usual[[position[gene] for markers in types for gene in markers]] = 1e-4
    rates = np.tile(usual, (len(types), 1))
    for rate, markers in zip(rates, types, strict=True):
        rate[rng.choice(N_GENES, 80, replace=False)] *= rng.lognormal(1.2, 0.5, 80)
        rate[[position[gene] for gene in markers]] = rng.uniform(0.01, 0.03, len(markers))
    steps = (np.arange(QUANTILES) + 0.5) / QUANTILES
    cumulative = np.cumsum(rates, axis=1) / rates.sum(axis=1, keepdims=True)
    return np.stack([np.searchsorted(row, steps) for row in cumulative]).astype(np.int16)


# -- the file: each element carries the encoding that anndata 0.8 and later write ---------------------


def _write_cells(file: h5py.File, n_cells: int, population: _Population, progress: Callable[[float], None]) -> None:
    obs = _frame(file, "obs", ("cell_type", "sample", "phase", "total_counts", "pct_mito"))
    columns = _columns(obs, n_cells)
    _mark(file.create_group("obsm"), "dict", "0.1.0")
    umap = _array(file["obsm"], "X_umap", (n_cells, 2), np.float32)
    indices, data, indptr = _csr(file, n_cells)
    written = 0
    for start in range(0, n_cells, BLOCK):
        block = population.block(start, min(BLOCK, n_cells - start))
        cells = slice(start, start + len(block.umap))
        for name, values in block.obs.items():
            columns[name][cells] = values
        columns["_index"][cells] = [f"cell_{n:08d}" for n in range(cells.start, cells.stop)]
        umap[cells] = block.umap
        for part, stored in ((indices, block.indices), (data, block.data)):
            part.resize((written + len(stored),))
            part[written:] = stored
        indptr[cells.start + 1 : cells.stop + 1] = written + np.cumsum(block.n_stored)
        written += len(block.data)
        progress(cells.stop / n_cells)


def _columns(obs: h5py.Group, n_cells: int) -> dict[str, h5py.Dataset]:
    """Create the columns of obs, empty; of a categorical return the codes."""
    types = [name for lineage in CELL_TYPES.values() for name in lineage]
    columns = {"_index": _array(obs, "_index", (n_cells,), h5py.string_dtype(), "string-array")}
    for name, categories in (("cell_type", types), ("sample", SAMPLES), ("phase", PHASES)):
        group = obs.create_group(name)
        _mark(group, "categorical", "0.2.0")
        group.attrs["ordered"] = False
        _strings(group, "categories", categories)
        columns[name] = _array(group, "codes", (n_cells,), np.int8)
    for name in ("total_counts", "pct_mito"):
        columns[name] = _array(obs, name, (n_cells,), np.float32)
    return columns


def _csr(file: h5py.File, n_cells: int) -> tuple[h5py.Dataset, h5py.Dataset, h5py.Dataset]:
    group = file.create_group("X")
    _mark(group, "csr_matrix", "0.1.0")
    group.attrs["shape"] = (n_cells, N_GENES)
    indices, data = (
        group.create_dataset(
            name,
            (0,),
            dtype,
            maxshape=(None,),
            chunks=(MATRIX_CHUNK,),
            compression="gzip",
            compression_opts=1,
            shuffle=True,
        )
        for name, dtype in (("indices", np.int32), ("data", np.float32))
    )
    indptr = group.create_dataset("indptr", (n_cells + 1,), np.int64)
    return indices, data, indptr


def _frame(file: h5py.File, name: str, columns: Sequence[str]) -> h5py.Group:
    group = file.create_group(name)
    _mark(group, "dataframe", "0.2.0")
    group.attrs["_index"] = "_index"
    group.attrs.create("column-order", list(columns), dtype=h5py.string_dtype(), shape=(len(columns),))
    return group


def _array(
    group: h5py.Group, name: str, shape: tuple[int, ...], dtype: object, encoding: str = "array"
) -> h5py.Dataset:
    chunks = (min(BLOCK, shape[0]), *shape[1:])
    dataset = group.create_dataset(name, shape, dtype, chunks=chunks, compression="gzip", compression_opts=1)
    _mark(dataset, encoding, "0.2.0")
    return dataset


def _strings(group: h5py.Group, name: str, values: Sequence[str]) -> None:
    _mark(group.create_dataset(name, data=list(values), dtype=h5py.string_dtype()), "string-array", "0.2.0")


def _mark(node: h5py.Group | h5py.Dataset, encoding: str, version: str) -> None:
    node.attrs["encoding-type"], node.attrs["encoding-version"] = encoding, version
