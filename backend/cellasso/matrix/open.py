"""Which kind of matrix stands at a place of a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cellasso.core.errors import ElementError
from cellasso.encodings import elements, schema
from cellasso.encodings.sparse import is_csr, is_sparse
from cellasso.matrix.compressed import SparseMatrix
from cellasso.matrix.dense import DenseMatrix
from cellasso.store.base import Array

if TYPE_CHECKING:
    from cellasso.matrix.base import Matrix
    from cellasso.store.base import Store


def open_matrix(handle: Store, path: str) -> Matrix:
    """Return the matrix at an HDF5 path; reads its header only.

    Parameters
    ----------
    handle
        The file.
    path
        HDF5 path of a dataset of two dimensions, or of the group of a CSR or CSC matrix.

    Raises
    ------
    NotFoundError
        Nothing stands there.
    ElementError
        What stands there is no matrix that is known here.
    """
    node = handle.node(path)
    shape = elements.shape(node)
    if len(shape) == 1 and isinstance(node, Array):
        raise ElementError(f"{handle.place(path)} has shape {shape}; two dimensions were expected.")
    if is_sparse(node):
        if len(shape) != 2:
            raise ElementError(f"{handle.place(path)} does not say its shape.")
        return SparseMatrix(handle, path, (shape[0], shape[1]), storage="csr" if is_csr(node) else "csc")
    if isinstance(node, Array) and len(shape) == 2 and node.dtype.kind in "biuf":
        return DenseMatrix(handle, path, (shape[0], shape[1]))
    kind = schema.encoding(node)
    raise ElementError(f"{handle.place(path)} is no matrix (encoding {kind!r}); dense, CSR or CSC was expected.")
