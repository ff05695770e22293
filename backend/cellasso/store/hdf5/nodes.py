"""Groups and datasets of HDF5 as h5py has them, for what writes HDF5."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import h5py

Node: TypeAlias = "h5py.Group | h5py.Dataset"
