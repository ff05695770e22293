"""How a dataset lies in the file: its filters, its size there and in memory, what reading a feature touches."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import h5py

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

STRING_BYTES = 64
"""What one short text takes in memory: a pointer and a Python object."""

FILTER_NAMES = {
    h5py.h5z.FILTER_DEFLATE: "gzip",
    h5py.h5z.FILTER_SHUFFLE: "shuffle",
    h5py.h5z.FILTER_FLETCHER32: "fletcher32",
    h5py.h5z.FILTER_SZIP: "szip",
    h5py.h5z.FILTER_LZF: "lzf",
    32001: "blosc",
    32004: "lz4",
    32008: "bitshuffle",
    32015: "zstd",
    32026: "blosc2",
}
"""What users call the filters; others go by the name in the file."""


def dtype(of: np.dtype[np.generic]) -> str:
    """Return a dtype in a word: `float32`, `str`, `8 fields`."""
    if h5py.check_string_dtype(of) is not None:
        return "str"
    if h5py.check_enum_dtype(of) is not None:
        return "bool" if h5py.check_enum_dtype(of).keys() == {"FALSE", "TRUE"} else "enum"
    if of.names is not None:
        return f"{len(of.names)} field{'' if len(of.names) == 1 else 's'}"
    return str(of)


def layout(node: h5py.Dataset) -> str:
    """Return `"chunked"`, `"contiguous"` or `"compact"`."""
    if node.chunks is not None:
        return "chunked"
    is_compact = node.id.get_create_plist().get_layout() == h5py.h5d.COMPACT
    return "compact" if is_compact else "contiguous"


def compression(node: h5py.Dataset) -> str:
    """Return the filters that values go through, by name, such as `"shuffle gzip-4"`."""
    words = []
    for code, (name, options) in filters(node).items():
        level = f"-{options[0]}" if code == h5py.h5z.FILTER_DEFLATE and options else ""
        words.append(f"{FILTER_NAMES.get(code, name or f'filter {code}')}{level}")
    return " ".join(words)


def missing_filter(node: h5py.Dataset) -> str:
    """Return the name of a filter that HDF5 lacks here, without which nothing can be read; `""` if it has all."""
    for code, (name, _) in filters(node).items():
        if not h5py.h5z.filter_avail(code):
            return FILTER_NAMES.get(code, name or f"filter {code}")
    return ""


def filters(node: h5py.Dataset) -> dict[int, tuple[str, tuple[int, ...]]]:
    """Return the name and the options of each filter by its registered number."""
    plist = node.id.get_create_plist()
    found = (plist.get_filter(at) for at in range(plist.get_nfilters()))
    return {code: (name.decode(errors="replace"), tuple(options)) for code, _, options, name in found}


def disk_bytes(node: h5py.Dataset) -> int:
    """Return the bytes that the values take in the file; text of variable length is kept elsewhere, uncounted."""
    return int(node.id.get_storage_size())


def memory_bytes(node: h5py.Dataset) -> int:
    """Return the bytes that the values would take in memory; for text a guess."""
    is_text = h5py.check_string_dtype(node.dtype) is not None
    return math.prod(node.shape or ()) * (STRING_BYTES if is_text else int(node.dtype.itemsize))


def dense_feature_bytes(node: h5py.Dataset) -> int:
    """Return what reading one column of a dense matrix reads: the chunks that it crosses."""
    n_rows, n_columns = node.shape
    if node.chunks is None:
        return int(n_rows * node.dtype.itemsize)
    return disk_bytes(node) // max(1, math.ceil(int(n_columns) / int(node.chunks[1])))


def sparse_feature_bytes(parts: Mapping[str, h5py.Dataset], *, n_columns: int | None) -> int:
    """Return what reading one feature of a sparse matrix reads.

    Parameters
    ----------
    parts
        Its `data`, `indices` and `indptr`.
    n_columns
        Of a CSC matrix, which is read for an average column; `None` for CSR, which is scanned whole.
    """
    values = (parts["data"], parts["indices"])
    if n_columns is None:
        return sum(map(disk_bytes, (*values, parts["indptr"])))
    return sum(_run_bytes(part, part.size / max(1, n_columns)) for part in values)


def _run_bytes(node: h5py.Dataset, length: float) -> int:
    """Bytes of the chunks that a run of values somewhere in a one-dimensional dataset crosses on average."""
    if not node.size:
        return 0
    crossed = length + node.chunks[0] - 1 if node.chunks else length
    return int(disk_bytes(node) * min(1, crossed / node.size))
