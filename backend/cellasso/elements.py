"""Reading one small element (a column, an embedding, a piece of uns), whatever its encoding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from cellasso.errors import ElementError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cellasso.handle import Handle, Node


def encoding(node: Node) -> str:
    """Return the element's `encoding-type`, in today's words also for files older than anndata 0.7."""
    stated = node.attrs.get("encoding-type")
    if stated is not None:
        return _text(stated)
    if "h5sparse_format" in node.attrs:
        return _text(node.attrs["h5sparse_format"]) + "_matrix"
    if isinstance(node, h5py.Group):
        return "dict"
    if node.dtype.names is not None:
        return "rec-array"
    return "string-array" if h5py.check_string_dtype(node.dtype) else "array"


def shape(node: Node) -> tuple[int, ...]:
    """Return the shape of an array-like element; reads attributes, at most one small dataset header."""
    if isinstance(node, h5py.Dataset):
        return tuple(int(n) for n in node.shape or ())
    kind = encoding(node)
    if kind in {"csr_matrix", "csc_matrix"}:
        stored = node.attrs.get("shape", node.attrs.get("h5sparse_shape"))
        return tuple(int(n) for n in stored) if stored is not None else ()
    if kind == "categorical":
        return shape(node["codes"])
    if kind.startswith("nullable-"):
        return shape(node["values"])
    if kind == "dataframe":
        columns = node.attrs.get("column-order", ())
        index = node.get(_text(node.attrs.get("_index", "_index")))
        return (*(shape(index)[:1] if index is not None else ()), len(columns))
    if kind == "awkward-array":
        return (int(node.attrs["length"]),)
    return ()


def read(handle: Handle, node: Node) -> Any:
    """Read a whole element into memory with anndata's reader, which knows every encoding.

    Raises
    ------
    ElementError
        Nobody here can read it; the message names the file, the HDF5 path and the reason.
    """
    from anndata.io import read_elem  # noqa: PLC0415 - anndata takes seconds to import

    try:
        return read_elem(node)
    except Exception as error:  # anndata raises whatever its parts raise
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ElementError(f"{handle.place(node.name)} cannot be read ({reason}).") from error


def read_strings(handle: Handle, node: Node) -> NDArray[np.object_]:
    """Read a one-dimensional element as text, `(n,)`; numbers are written out, missing values are ''."""
    if isinstance(node, h5py.Dataset) and h5py.check_string_dtype(node.dtype):
        try:
            return np.asarray(node.asstr()[...], dtype=object)
        except UnicodeDecodeError:
            return np.asarray(node.asstr(errors="replace")[...], dtype=object)
    import pandas as pd  # noqa: PLC0415

    values = pd.Series(read(handle, node))
    return values.astype(object).where(values.notna(), "").map(str).to_numpy(dtype=object)


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
