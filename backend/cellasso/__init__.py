"""cellasso: single-cell files of any size, read where they lie.

`cellasso.open` opens an .h5ad or .h5mu file without loading it; the `Dataset` it returns reads obs
columns, embeddings and features one at a time, selects cells, and exports them to a new file.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import os

    from cellasso.core.errors import CellassoError
    from cellasso.core.version import __version__
    from cellasso.dataset import Dataset, Modality

__all__ = ["CellassoError", "Dataset", "Modality", "__version__", "explore", "open"]

_HOMES = {
    "Dataset": ("cellasso.dataset", "Dataset"),
    "Modality": ("cellasso.dataset", "Modality"),
    "__version__": ("cellasso.core.version", "__version__"),
    "CellassoError": ("cellasso.core.errors", "CellassoError"),
}


def open(path: str | os.PathLike[str], *, index: bool | str | os.PathLike[str] = True) -> Dataset:  # noqa: A001 - `cellasso.open` reads as it should
    """Open an .h5ad or .h5mu file read-only; reads its structure, no values.

    Where HoloViews has been imported its elements then take the dataset as data, as after `import cellasso.pl`.

    Parameters
    ----------
    path
        Of the file.
    index
        Where column indexes of its matrices are looked for, and built by `build_index` alone: in the user's
        cache, in a folder, or (`False`) nowhere.

    Raises
    ------
    FileError
        The path is missing, not HDF5, truncated, or neither AnnData nor MuData; the message says which.
    """
    from cellasso.dataset import open_dataset  # noqa: PLC0415 - `import cellasso` alone stays light

    if "holoviews" in sys.modules and "cellasso.pl" not in sys.modules:  # which another thread may be importing
        import cellasso.pl  # noqa: F401, PLC0415 - registers with HoloViews
    return open_dataset(path, index=index)


def explore(source: Any, **options: Any) -> Any:
    """Return the explorer of a file as a Panel object, to be shown in a notebook, a template or an app.

    Parameters
    ----------
    source
        Path of an .h5ad or .h5mu file, a `Dataset`, or an AnnData or MuData in memory.
    options
        `height` in CSS or pixels, `export_dir` where the page writes subsets; see `cellasso_app.notebook.explore`.

    Returns
    -------
    An object whose `selection`, `color` and `embedding` can be watched and set.

    Raises
    ------
    ImportError
        The explorer is not installed.
    FileError
        The file cannot be opened.
    """
    from importlib.metadata import entry_points  # noqa: PLC0415 - see above

    found = next(iter(entry_points(group="cellasso", name="explore")), None)
    if found is None:  # which page shows a file is the app's to say
        raise ImportError("The explorer is not installed; `pip install cellasso` brings it.")
    return found.load()(source, **options)


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for: `import cellasso` alone stays light."""
    if name not in _HOMES:
        raise AttributeError(f"module 'cellasso' has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415

    module, attribute = _HOMES[name]
    return getattr(import_module(module), attribute)
