"""`cellasso.explore`: the explorer as a Panel object whose selection, colour and embedding are values in Python."""

from __future__ import annotations

import os
import tempfile
import weakref
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import panel as pn
import param

import cellasso
from cellasso.core.errors import CellassoError, NotFoundError
from cellasso.core.text import nearest
from cellasso.dataset import Dataset
from cellasso.selection.recipe import MaskRecipe, Recipe, WhereRecipe
from cellasso_app.page.explorer import Explorer
from cellasso_app.state.selection import Selection

if TYPE_CHECKING:
    import anndata as ad
    import mudata as md
    from numpy.typing import NDArray

IN_MEMORY = "in memory, shown from a temporary copy"
"""What the page says instead of a file name."""


@dataclass(frozen=True, eq=False)
class SelectedCells:
    """Cells that are selected in an explorer.

    Attributes
    ----------
    mask
        `(n_obs,)` bool.
    recipe
        How they were found; goes into an export.
    """

    dataset: Dataset
    mask: NDArray[np.bool_]
    recipe: Recipe

    def __len__(self) -> int:
        return int(np.count_nonzero(self.mask))

    def __repr__(self) -> str:
        return f"{len(self):,} of {len(self.mask):,} cells"

    @property
    def obs_names(self) -> NDArray[np.object_]:
        """Their names, `(n,)`; reads the index of obs."""
        names: NDArray[np.object_] = self.dataset.root.obs_names[self.mask]
        return names

    def export(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Any:
        """Write them to a new file; see `cellasso.Dataset.export`.

        Parameters
        ----------
        path
            Of the new file.
        overwrite
            Whether a file that exists is replaced.
        """
        return self.dataset.export(self.mask, path, recipe=self.recipe, overwrite=overwrite)


class Explore(pn.viewable.Viewer):
    """The explorer of one dataset; made by `explore`.

    `selection`, `color` and `embedding` follow the page, and the page follows them. `selection` takes a mask
    `(n_obs,)`, a where-expression, `SelectedCells` or `None`, and is `SelectedCells` or `None` afterwards. `color` is
    the text of a vector such as `"obs:louvain"` or `"gene:CD4"`; shorter names are understood.

    Parameters
    ----------
    dataset
        An open file.
    export_dir
        Where the page writes subsets.
    height
        In CSS.
    name
        What the page calls the file; `""`: as it is called.
    """

    selection = param.Parameter(None, doc="The selected cells, `SelectedCells`, or None.")
    color = param.String("", doc="The vector that colours the cells, as text; empty for none.")
    embedding = param.String("", doc="The embedding that is shown, as `Dataset.read_embedding` takes it.")

    def __init__(self, dataset: Dataset, *, export_dir: Path, height: str, name: str = "") -> None:
        super().__init__()  # type: ignore[no-untyped-call] # param's has no types
        self.dataset = dataset
        self.page = Explorer(dataset, export_dir=export_dir, file=name, files=[name] if name else (), height=height)
        self._follows = False
        self._taken: SelectedCells | None = None
        self._take()
        self.page.session.param.watch(self._take, ["selection", "views", "active"])
        self.param.watch(self._select, ["selection"])
        self.param.watch(self._show, ["color", "embedding"])

    def __panel__(self) -> pn.viewable.Viewable:
        return self.page.__panel__()

    # -- what the page tells ----------------------------------------------------------------------------

    def _take(self, *_events: object) -> None:
        """Take over what is chosen on the page."""
        session = self.page.session
        chosen: Selection | None = session.selection
        known = None
        if chosen is not None:
            known = self._taken if self._taken is not None and self._taken.recipe is chosen.recipe else None
            known = known or SelectedCells(self.dataset, chosen.mask, chosen.recipe)
        self._taken = known
        view = session.view
        color = str(view.color) if view.color is not None else ""
        self._follows = True
        try:
            self.param.update(selection=known, color=color, embedding=view.embedding)
        finally:
            self._follows = False

    # -- what Python sets -------------------------------------------------------------------------------

    def _select(self, *_events: object) -> None:
        if self._follows:
            return
        session, chosen = self.page.session, self.selection
        try:
            found = None if chosen is None else _selection_of(self.dataset, chosen)
        except BaseException:
            self._take()
            raise
        if found is None or not found.n:
            session.clear()
        else:
            session.select("replace", found.recipe, found.mask)
        self._take()

    def _show(self, *events: Any) -> None:
        if self._follows:
            return
        try:
            for event in events:
                self._show_one(event.name, event.new)
        finally:
            self._take()

    def _show_one(self, what: str, chosen: str) -> None:
        session, known = self.page.session, self.dataset.embeddings
        if what == "color":
            session.change_view(color=self.dataset.vectors.resolve(chosen) if chosen else None)
        elif chosen in known:
            session.choose_embedding(chosen)
        else:
            raise NotFoundError(f"{self.dataset.handle.name} has no embedding {chosen!r}{nearest(chosen, known)}")


def explore(
    source: str | os.PathLike[str] | Dataset | ad.AnnData | md.MuData,
    *,
    height: str | int = "800px",
    export_dir: str | os.PathLike[str] | None = None,
) -> Explore:
    """Return the explorer of a file as a Panel object: the last line of a notebook's cell, or part of any Panel app.

    Parameters
    ----------
    source
        Path of an .h5ad or .h5mu file, which is opened and closed again with the explorer; a dataset that is open; or
        an AnnData or MuData in memory, of which a temporary copy is written and shown, and removed with the explorer.
        A backed one is opened by its path, as it lies on the disk.
    height
        In CSS, or in pixels. The width is all that there is.
    export_dir
        Where the page writes subsets; the working directory by default.

    Raises
    ------
    FileError
        The file cannot be opened; the message says why.
    TypeError
        The source is none of these.
    """
    height = f"{height}px" if isinstance(height, int) else height
    folder = Path.cwd() if export_dir is None else Path(export_dir).expanduser().absolute()
    if isinstance(source, Dataset):
        return Explore(source, export_dir=folder, height=height)
    if isinstance(source, str | os.PathLike):
        return _of_file(source, folder, height)
    if getattr(source, "isbacked", False):
        return _of_file(Path(str(source.filename)), folder, height)
    if not hasattr(source, "write_h5ad") and not hasattr(source, "mod"):
        raise TypeError(f"{type(source).__name__} cannot be explored; a path, Dataset, AnnData or MuData can.")
    return _of_memory(source, folder, height)


def _of_file(path: str | os.PathLike[str], folder: Path, height: str) -> Explore:
    dataset = cellasso.open(path)
    made = Explore(dataset, export_dir=folder, height=height)
    weakref.finalize(made, dataset.close)
    return made


def _of_memory(source: Any, folder: Path, height: str) -> Explore:
    # removed at the latest when Python ends
    copy = tempfile.TemporaryDirectory(prefix="cellasso-", ignore_cleanup_errors=True)
    try:
        if hasattr(source, "mod"):
            path = Path(copy.name) / "cells.h5mu"
            source.write(path)
        else:
            path = Path(copy.name) / "cells.h5ad"
            source.write_h5ad(path)
        dataset = cellasso.open(path, index=copy.name)
    except BaseException:
        copy.cleanup()
        raise
    made = Explore(dataset, export_dir=folder, height=height, name=IN_MEMORY)
    weakref.finalize(made, _discard, dataset, copy)
    return made


def _discard(dataset: Dataset, copy: tempfile.TemporaryDirectory[str]) -> None:
    with suppress(CellassoError, OSError):
        dataset.close()
    copy.cleanup()


def _selection_of(dataset: Dataset, chosen: object) -> Selection:
    """Return what a mask, an expression or selected cells stand for."""
    if isinstance(chosen, SelectedCells):
        return Selection.of(chosen.recipe, chosen.mask)
    if isinstance(chosen, str):
        return Selection.of(WhereRecipe(chosen), dataset.where(chosen))
    mask: Any = np.asarray(chosen)
    if mask.dtype != np.bool_ or mask.shape != (dataset.n_obs,):
        found = f"{mask.dtype} {mask.shape}"
        raise TypeError(f"A selection is a mask bool ({dataset.n_obs},), a where-expression or None; this is {found}.")
    return Selection.of(MaskRecipe.of(mask), mask)
