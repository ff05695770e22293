"""CSR and CSC matrices, under the names of today and of anndata 0.6; `matrix.compressed` reads their columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cellasso.encodings import schema
from cellasso.encodings.base import Encoding
from cellasso.store.base import Array, Group, members

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cellasso.store.base import Node, Store

PARTS = ("data", "indices", "indptr")
"""The arrays of a sparse matrix: values, their positions along a line, where each line begins."""

SHAPES = ("shape", "h5sparse_shape")
"""Attributes that say its shape, the newer one first."""


class Sparse(Encoding):
    """A CSR or CSC matrix."""

    names = frozenset({"csr_matrix", "csc_matrix"})
    leading = "data"

    def shape(self, node: Node) -> tuple[int, ...]:
        """Return the shape that it states."""
        stored = next((node.attrs[name] for name in SHAPES if name in node.attrs), ())
        return tuple(int(n) for n in stored)

    def conversions(self, store: Store, node: Node) -> Mapping[str, np.dtype[Any]]:
        """Return the type of values that SciPy has matrices of, where it has none of the stored one.

        Parameters
        ----------
        store, node
            As of `Encoding.conversions`.
        """
        if not isinstance(node, Group) or "data" not in members(node):
            return {}
        data = store.child(node, "data")
        native = known_to_scipy(data.dtype) if isinstance(data, Array) else None
        return {} if native is None else {"data": native}


def is_csr(node: Node) -> bool:
    """Whether a sparse matrix is stored row by row; else it is column by column."""
    return schema.encoding(node) == "csr_matrix"


def is_sparse(node: Node) -> bool:
    """Whether an element is a group that says to be a CSR or CSC matrix."""
    return isinstance(node, Group) and schema.encoding(node) in Sparse.names


def known_to_scipy(dtype: np.dtype[Any]) -> np.dtype[Any] | None:
    """Return the type that holds the same values and that SciPy has matrices of; `None` when it is `dtype`.

    SciPy refuses half precision and foreign byte orders, and anndata with it the whole file.
    """
    native = np.dtype(np.float32) if dtype.kind == "f" and dtype.itemsize == 2 else dtype.newbyteorder("=")
    return None if native == dtype else native
