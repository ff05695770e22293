"""What it costs to colour by a gene and to export a tenth of the cells, worked out from measurements of the file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from cellasso.column_index.plan import VALUE_BYTES, n_blocks

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cellasso.matrix.base import Storage

Task: TypeAlias = Literal["gene", "export"]
Way: TypeAlias = Literal["now", "index"]

EXPORTED = 0.1
"""The part of the cells whose export is forecast."""

START_SECONDS = 0.7
"""What an export takes besides its values: a process begins, the file is checked and flushed. The median of 20 exports
of 50 cells on 2 cores that had other work as well; the fastest took 0.44 s."""


@dataclass(frozen=True)
class Stored:
    """A matrix of features, as far as costs depend on it.

    Attributes
    ----------
    name
        As users choose it: `"X"`, `"counts"`, `"rna:X"`.
    gene_bytes
        Stored bytes that reading one gene takes.
    """

    name: str
    storage: Storage
    shape: tuple[int, int]
    n_stored: int
    chunks: tuple[int, ...] | None
    memory_bytes: int
    gene_bytes: int

    @property
    def column_values(self) -> int:
        """Stored values of an average gene."""
        return -(-self.n_stored // max(1, self.shape[1]))


@dataclass(frozen=True)
class Timed:
    """The measurement that the forecasts of one matrix follow from.

    Attributes
    ----------
    gene_values, gene_seconds
        So many of its stored values (of a dense matrix: rows) took the reading of a gene so long.
    export_values, read_seconds
        So many of its stored values were read and picked from for an export.
    written_values, write_seconds
        So many were compressed and written.
    """

    matrix: str
    gene_values: int
    gene_seconds: float
    export_values: int
    read_seconds: float
    written_values: int
    write_seconds: float


@dataclass(frozen=True)
class Cost:
    """What one task will cost.

    Attributes
    ----------
    task
        `"gene"`: colour by one gene of average density; `"export"`: a tenth of the cells, scattered, as a new file.
    matrix
        Which matrix it is about; `""` for the file.
    way
        `"now"`, or `"index"`: once the matrix has a column index.
    method
        How it is done, in words.
    n_reads
        How many places of the file are read; 1 where it is read from front to back.
    seconds
        `None` where nothing could be timed.
    """

    task: Task
    matrix: str
    way: Way
    method: str
    bytes_read: int
    n_reads: int = 1
    bytes_written: int = 0
    seconds: float | None = None


@dataclass(frozen=True)
class Forecast:
    """What a file will cost, and the measurements behind it.

    Attributes
    ----------
    threads
        Cores, all of which scan a matrix.
    bytes_per_second, seconds_per_read
        Of one stretch somewhere in the file, and of one small read; those of the page cache if it is there.
    took
        Seconds that the measuring took.
    """

    threads: int
    bytes_per_second: float
    seconds_per_read: float
    took: float
    timed: tuple[Timed, ...]
    costs: tuple[Cost, ...]


@dataclass(frozen=True)
class Volume:
    """Bytes of all elements of a file: stored, in memory, and what a tenth of the cells keeps of the stored ones."""

    disk: int = 0
    memory: int = 0
    kept: int = 0


def gene_costs(stored: Stored, timed: Timed | None, *, bytes_per_second: float, seconds_per_read: float) -> list[Cost]:
    """Return what one gene of a matrix costs now and, of a CSR matrix, with a column index; `[]` of an empty matrix.

    Parameters
    ----------
    stored
        The matrix.
    timed
        What was measured of it; `None`: the cost without an index has no seconds.
    bytes_per_second, seconds_per_read
        Of the disk, as of `Forecast`.
    """
    if 0 in stored.shape:
        return []
    n_values, n_reads = stored.n_stored, 1
    if stored.storage == "csr":
        method = "scans the whole matrix"
    elif stored.storage == "csc":
        method, n_values, n_reads = "reads the gene's own values", stored.column_values, 2
    else:
        n_values = stored.shape[0]
        n_reads = -(-n_values // stored.chunks[0]) if stored.chunks else 1
        method = "reads a column of chunks" if stored.chunks else "reads all rows"
    seconds = None
    if timed is not None:
        seconds = n_values / timed.gene_values * timed.gene_seconds + stored.gene_bytes / bytes_per_second
    now = Cost("gene", stored.name, "now", method, stored.gene_bytes, n_reads, seconds=seconds)
    if stored.storage == "csc":
        return [now]
    n_segments = n_blocks(stored.shape[0], stored.n_stored)
    n_bytes = VALUE_BYTES * stored.column_values  # of a dense matrix at most: zeros are not kept
    method = "reads the gene's own values"
    if n_segments > 1:
        method += f" in {n_segments:,} blocks of cells"
    seconds = n_segments * seconds_per_read + n_bytes / bytes_per_second
    return [now, Cost("gene", stored.name, "index", method, n_bytes, n_segments, seconds=seconds)]


def export_cost(
    matrices: Sequence[Stored], timed: Mapping[str, Timed], volume: Volume, *, bytes_per_second: float
) -> Cost:
    """Return what a new file of a tenth of the cells costs; scattered cells are in every chunk, so all is read.

    Parameters
    ----------
    matrices
        All matrices of features of the file.
    timed
        What was measured, by the name of the matrix. What lacks here is taken to go at the speed of the others; where
        nothing is measured though a matrix has values, the cost has no seconds.
    volume
        Of all elements of the file.
    bytes_per_second
        Of the disk.
    """
    seconds, memory = 0.0, 0
    for stored in matrices:
        piece = timed.get(stored.name)
        if piece is not None:
            seconds += stored.n_stored * piece.read_seconds / piece.export_values
            seconds += EXPORTED * stored.n_stored * piece.write_seconds / piece.written_values
            memory += stored.memory_bytes
    untimed = any(stored.name not in timed for stored in matrices if stored.n_stored) and not memory
    # what was not timed, such as obs and embeddings, goes at the speed of what was
    seconds *= max(1.0, volume.memory / max(1, memory))
    seconds += START_SECONDS + volume.disk / bytes_per_second
    method = "reads everything, compresses a tenth"
    return Cost(
        "export", "", "now", method, volume.disk, bytes_written=volume.kept, seconds=None if untimed else seconds
    )
