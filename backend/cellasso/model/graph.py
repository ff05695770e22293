"""Graphs over the cells of a file: which cells are neighbours (obsp), and how groups are connected (PAGA in uns)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from cellasso.core.errors import ElementError, NotFoundError
from cellasso.core.text import nearest
from cellasso.encodings import elements, schema
from cellasso.matrix.open import open_matrix
from cellasso.matrix.row_blocks import over_rows
from cellasso.store.base import Group

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cellasso.core.progress import Progress
    from cellasso.matrix.row_blocks import RowBlock
    from cellasso.model.modality import Modality

MAX_EDGES = 1 << 24
"""Edges that are kept in memory, 128 MB; of a larger graph a part."""

_MIXED = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Edges:
    """The edges of a graph, or a part of them.

    Attributes
    ----------
    cells
        The two cells (rows of obs) of each edge, `(2, n)` int32; an edge that is stored in both directions is one.
    n_stored
        How many edges the file has, counted alike.
    """

    cells: NDArray[np.int32]
    n_stored: int

    def __len__(self) -> int:
        return len(self.cells[0])


def graphs(modality: Modality) -> tuple[str, ...]:
    """Return the names of the elements of obsp; none where the file has no obsp."""
    try:
        node = modality.handle.node(f"{modality.path}/obsp")
    except (NotFoundError, ElementError):
        return ()
    return tuple(name for name, _ in schema.below(modality.handle, node)) if isinstance(node, Group) else ()


def read_edges(modality: Modality, key: str, *, max_edges: int = MAX_EDGES, progress: Progress | None = None) -> Edges:
    """Read the edges of a graph in one pass over its rows, in bounded memory.

    Parameters
    ----------
    modality
        Whose obsp it is in.
    key
        Its name, such as `"connectivities"`.
    max_edges
        Beyond so many about as many are kept: always the same ones, as if drawn at random.
    progress
        Told the fraction done; may raise `Cancelled`.

    Raises
    ------
    NotFoundError
        There is no such graph.
    ElementError
        It is damaged, or not `(n_obs, n_obs)`.
    """
    known = graphs(modality)
    if key not in known:
        raise NotFoundError(f"{modality.handle.name} has no graph {key!r} in obsp{nearest(key, known)}")
    matrix = open_matrix(modality.handle, f"{modality.path}/obsp/{key}")
    if matrix.shape != (modality.n_obs, modality.n_obs):
        raise ElementError(f"{matrix.place} has shape {matrix.shape}; obs has {modality.n_obs:,} cells.")
    # of a graph that holds each edge twice half of them is enough
    share = min(1.0, 2 * max_edges / max(1, matrix.n_stored))
    parts = list(over_rows(matrix, partial(_edges_of, share=share), progress=progress))
    both = [np.sum([part.digests[side] for part in parts], dtype=np.uint64) for side in (0, 1)]
    counts = [sum(part.counts[side] for part in parts) for side in (0, 1)]
    is_symmetric = counts[0] == counts[1] and both[0] == both[1]
    kept = [part.upper if is_symmetric else np.concatenate([part.upper, part.lower], axis=1) for part in parts]
    cells = np.concatenate(kept, axis=1) if kept else np.zeros((2, 0), dtype=np.int32)
    if cells.shape[1] > 1.1 * max_edges:  # stored in one direction alone
        cells = cells[:, np.sort(np.random.default_rng(0).permutation(cells.shape[1])[:max_edges])]
    return Edges(cells, counts[0] if is_symmetric else sum(counts))


@dataclass(frozen=True)
class Paga:
    """The graph of groups that PAGA leaves in uns.

    Attributes
    ----------
    column
        The column of obs with the groups.
    groups
        Pairs of groups by the number of their category, `(n, 2)`.
    weights
        How well each pair is connected, `(n,)`, above 0 and mostly up to 1.
    """

    column: str
    groups: NDArray[np.int64]
    weights: NDArray[np.float64]


def read_paga(modality: Modality, *, threshold: float = 0.01) -> Paga:
    """Read the connections of groups that PAGA has found.

    Parameters
    ----------
    modality
        Whose uns it is in.
    threshold
        Weaker connections are left out; scanpy's plots draw those above 0.01.

    Raises
    ------
    NotFoundError
        There is none.
    ElementError
        It is damaged, or of another shape than scanpy writes.
    """
    from scipy import sparse  # noqa: PLC0415 - takes a third of a second

    handle, path = modality.handle, f"{modality.path}/uns/paga"
    columns = elements.read_strings(handle, handle.node(f"{path}/groups"))
    stored = elements.read(handle, handle.node(f"{path}/connectivities"))
    weights = sparse.coo_matrix(stored)
    if len(columns) != 1 or weights.shape[0] != weights.shape[1]:
        raise ElementError(f"{handle.place(path)} holds no square matrix of the groups of one column.")
    chosen = (weights.row < weights.col) & (weights.data > threshold)
    pairs = np.stack([weights.row[chosen], weights.col[chosen]], axis=1).astype(np.int64)
    return Paga(str(columns[0]), pairs, weights.data[chosen].astype(np.float64))


def has_paga(modality: Modality) -> bool:
    """Whether uns has connections of groups; reads headers alone."""
    try:
        modality.handle.node(f"{modality.path}/uns/paga/connectivities")
    except (NotFoundError, ElementError):
        return False
    return True


@dataclass(frozen=True)
class _Part:
    """Edges of some rows: those to later cells and those to earlier ones, and what tells whether both are the same."""

    upper: NDArray[np.int32]
    lower: NDArray[np.int32]
    counts: tuple[int, int]
    digests: tuple[np.uint64, np.uint64]


def _edges_of(block: RowBlock, *, share: float) -> _Part:
    lengths = np.diff(block.ends, prepend=0)
    rows = np.repeat(np.arange(block.rows.start, block.rows.stop, dtype=np.int32), lengths)
    columns, weights = block.indices.astype(np.int32, copy=False), block.data
    sides, counts, digests = [], [], []
    for is_side in (rows < columns, rows > columns):
        chosen = np.flatnonzero(is_side & (weights != 0))
        pair = np.stack([np.minimum(rows[chosen], columns[chosen]), np.maximum(rows[chosen], columns[chosen])])
        hashes = _hashed(pair)
        counts.append(len(chosen))
        digests.append(np.sum(hashes, dtype=np.uint64))
        sides.append(pair if share >= 1 else pair[:, hashes < np.uint64(share * 2.0**64)])
    return _Part(sides[0], sides[1], (counts[0], counts[1]), (digests[0], digests[1]))


def _hashed(pair: NDArray[np.int32]) -> NDArray[np.uint64]:
    """Return 64 bits of each edge that look random, the same in both directions."""
    key = (pair[0].astype(np.uint64) << np.uint64(32)) | pair[1].astype(np.uint64)
    for shift in (32, 29):
        key = (key ^ (key >> np.uint64(shift))) * _MIXED
    mixed: NDArray[np.uint64] = key ^ (key >> np.uint64(32))
    return mixed
