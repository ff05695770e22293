"""cellasso: single-cell files of any size, read where they lie.

`cellasso.open` opens an .h5ad or .h5mu file without loading it; the `Dataset` it returns reads obs
columns, embeddings and features one at a time, selects cells, and exports them to a new file.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cellasso.core.errors import CellassoError
    from cellasso.dataset import Dataset
    from cellasso.dataset import open_dataset as open  # noqa: A004 - `cellasso.open` reads as it should
    from cellasso.model.modality import Modality

__all__ = ["CellassoError", "Dataset", "Modality", "__version__", "open"]

try:
    __version__ = version("cellasso")
except PackageNotFoundError:  # run from a checkout
    __version__ = "0+unknown"

_HOMES = {
    "open": ("cellasso.dataset", "open_dataset"),
    "Dataset": ("cellasso.dataset", "Dataset"),
    "Modality": ("cellasso.model.modality", "Modality"),
    "CellassoError": ("cellasso.core.errors", "CellassoError"),
}


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for: `import cellasso` alone stays light."""
    if name not in _HOMES:
        raise AttributeError(f"module 'cellasso' has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415

    module, attribute = _HOMES[name]
    return getattr(import_module(module), attribute)
