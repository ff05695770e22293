"""Elements that are one array: numbers, texts, records, and nothing at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cellasso.core.executors import run_quickly
from cellasso.encodings import schema
from cellasso.encodings.base import Encoding
from cellasso.store.base import Array, is_flag, is_text

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cellasso.encodings.base import Kind
    from cellasso.store.base import Node, Store

LARGE = 1 << 20
"""Values of one dimension from which on all cores inflate them; HDF5 would do it on one."""

BAND = 1 << 18
"""Values that a core reads at a time, at least."""


class PlainArray(Encoding):
    """An array, whatever its values are."""

    names = frozenset({"array", "string-array", "string", "numeric-scalar", "rec-array", "null"})
    is_array = True

    def kind(self, node: Node) -> Kind:
        """Return what sort of values it has, by its dtype; codes of anndata 0.7 refer to their categories."""
        if "categories" in node.attrs:
            return "category"
        return kind_of_dtype(node.dtype) if isinstance(node, Array) else "other"

    def read(self, store: Store, node: Node) -> Any:
        """Read numbers; of old and foreign files, which say no encoding, texts too: anndata would warn.

        Parameters
        ----------
        store, node
            As of `Encoding.read`.
        """
        if not isinstance(node, Array):
            return None
        if "encoding-type" not in node.attrs:
            if is_text(node.dtype) and node.shape:
                return schema.texts(store.read(node)).reshape(node.shape)
            return read_numbers(store, node) if node.dtype.kind in "biuf" else None
        is_plain = schema.encoding(node) == "array" and node.dtype.kind in "biuf" and node.shape
        return read_numbers(store, node) if is_plain else None


def kind_of_dtype(dtype: np.dtype[Any]) -> Kind:
    """Return what sort of values an array of a dtype holds."""
    if is_flag(dtype):
        return "boolean"
    if dtype.kind in "iuf":
        return "number"
    if dtype.kind == "M":
        return "datetime"
    return "text" if dtype.kind in "OSU" else "other"


def read_numbers(handle: Store, dataset: Array) -> NDArray[np.generic]:
    """Read a whole dataset of numbers, of its shape and dtype.

    One of one dimension and `LARGE` values or more is inflated on all cores where its chunks can be read past HDF5.

    Parameters
    ----------
    handle
        The file.
    dataset
        An array of numbers in it.

    Raises
    ------
    ElementError
        Its bytes are damaged.
    FileChangedError
        The file changed before or while it was read.
    """
    chunks = handle.open_chunks(dataset) if dataset.ndim == 1 and dataset.size >= LARGE else None
    if chunks is None or dataset.chunks is None:
        return np.asarray(handle.read(dataset))
    values = np.empty(dataset.shape or (), dtype=dataset.dtype)
    step = -(-BAND // dataset.chunks[0]) * dataset.chunks[0]

    def fill(start: int) -> None:
        values[start : start + step] = chunks.read(slice(start, start + step))

    run_quickly(fill, range(0, len(values), step))
    return values
