"""How a dataset lies in the file: in chunks or not, its filters, its size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h5py

from cellasso.store.base import Layout

if TYPE_CHECKING:
    from cellasso.store.base import Array

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


def layout_of(array: Array) -> Layout:
    """Return how a dataset lies in the file; reads its header."""
    node: Any = array
    return Layout(_kind(node), compression(node), missing_filter(node), int(node.id.get_storage_size()))


def _kind(node: h5py.Dataset) -> str:
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
