"""What arrays take in memory, and what reading a feature of a matrix touches."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from cellasso.store.base import is_flag, is_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from cellasso.store.base import Array

STRING_BYTES = 64
"""What one short text takes in memory: a pointer and a Python object."""


def dtype(of: np.dtype[np.generic]) -> str:
    """Return a dtype in a word: `float32`, `str`, `8 fields`."""
    if is_text(of):
        return "str"
    if "enum" in dict(of.metadata or {}):
        return "bool" if is_flag(of) else "enum"
    if of.names is not None:
        return f"{len(of.names)} field{'' if len(of.names) == 1 else 's'}"
    return str(of)


def memory_bytes(node: Array) -> int:
    """Return the bytes that the values would take in memory; for text a guess."""
    return math.prod(node.shape or ()) * (STRING_BYTES if is_text(node.dtype) else int(node.dtype.itemsize))


def dense_feature_bytes(node: Array, disk_bytes: int) -> int:
    """Return what reading one column of a dense matrix takes from the file: its column of chunks, or all of it.

    Parameters
    ----------
    node
        The dataset; without chunks its rows are read whole, since they lie one after the other.
    disk_bytes
        What all its values take in the file.
    """
    n_rows, n_columns = node.shape or (0, 0)
    if node.chunks is None:
        return int(n_rows * n_columns * node.dtype.itemsize)
    return disk_bytes // max(1, math.ceil(int(n_columns) / int(node.chunks[1])))


def sparse_feature_bytes(parts: Mapping[str, tuple[Array, int]], *, n_columns: int | None) -> int:
    """Return what reading one feature of a sparse matrix reads.

    Parameters
    ----------
    parts
        Its `data`, `indices` and `indptr`, and what each takes in the file.
    n_columns
        Of a CSC matrix, which is read for an average column; `None` for CSR, which is scanned whole.
    """
    values = (parts["data"], parts["indices"])
    if n_columns is None:
        return sum(n_bytes for _, n_bytes in (*values, parts["indptr"]))
    return sum(_run_bytes(part, n_bytes, part.size / max(1, n_columns)) for part, n_bytes in values)


def _run_bytes(node: Array, disk_bytes: int, length: float) -> int:
    """Bytes of the chunks that a run of values somewhere in a one-dimensional dataset crosses on average."""
    if not node.size:
        return 0
    crossed = length + node.chunks[0] - 1 if node.chunks else length
    return int(disk_bytes * min(1, crossed / node.size))
