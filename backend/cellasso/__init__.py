"""cellasso: single-cell files of any size, read where they lie.

`cellasso.open` opens an .h5ad or .h5mu file without loading it; the `Dataset` it returns reads obs
columns, embeddings and features one at a time, selects cells, and exports them to a new file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cellasso.core.errors import CellassoError
    from cellasso.core.version import __version__
    from cellasso.dataset import Dataset, Modality
    from cellasso.dataset import open_dataset as open  # noqa: A004 - `cellasso.open` reads as it should

__all__ = ["CellassoError", "Dataset", "Modality", "__version__", "open"]

_HOMES = {
    "open": ("cellasso.dataset", "open_dataset"),
    "Dataset": ("cellasso.dataset", "Dataset"),
    "Modality": ("cellasso.dataset", "Modality"),
    "__version__": ("cellasso.core.version", "__version__"),
    "CellassoError": ("cellasso.core.errors", "CellassoError"),
}


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for: `import cellasso` alone stays light."""
    if name not in _HOMES:
        raise AttributeError(f"module 'cellasso' has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415

    module, attribute = _HOMES[name]
    return getattr(import_module(module), attribute)
