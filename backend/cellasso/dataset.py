"""A file as its users see it: what can be asked of its cells, and done with them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, overload

import numpy as np

from cellasso.core.derived_cache import default_root
from cellasso.core.errors import ElementError
from cellasso.inspect import summary
from cellasso.model import modality as model
from cellasso.model.container import Container, format_of
from cellasso.model.vector import Vector
from cellasso.model.vectors import Vectors
from cellasso.points.polygon import points_in_polygon
from cellasso.selection import expression as where
from cellasso.stats.group_summary import GroupSummary, count_groups, summarise_groups
from cellasso.store.registry import open_store

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from concurrent.futures import Executor
    from types import TracebackType
    from typing import Self

    import anndata as ad
    import mudata as md
    from numpy.typing import NDArray
    from scipy import sparse

    from cellasso.column_index.index import ColumnIndex
    from cellasso.core.progress import Progress
    from cellasso.model.cells import Cells
    from cellasso.model.submatrix import RowChoice
    from cellasso.model.vector import Reference
    from cellasso.model.vectors import Values
    from cellasso.selection.recipe import Recipe
    from cellasso.write.export import Exported

CACHED_BYTES = 128 << 20
"""Columns up to which those of a summary are read together and kept, half of the cache: they are likely to colour the
cells, too."""


class _Options(TypedDict):
    layer: str | None
    normalised: bool
    executor: Executor | None
    progress: Progress | None


class _Verbs(ABC):
    """What is asked of cells by name, of a modality's as of the global ones."""

    @property
    @abstractmethod
    def vectors(self) -> Vectors:
        """One value for each cell, by the name of a vector."""

    @property
    def cells(self) -> Cells:
        """The cells as a pandas frame whose columns are read when they are named; see `model.cells.Cells`."""
        from cellasso.model.cells import Cells  # noqa: PLC0415 - pandas takes half a second to import

        return Cells(self.vectors)

    def __getitem__(self, reference: Reference) -> Values:
        """Read what a reference of `anndata.acc` refers to, such as `A.obs["leiden"]`, `(n_obs,)`; see `Vector.of`."""
        return self.vectors.read(Vector.of(reference))

    @abstractmethod
    def read_embedding(self, key: str, dims: tuple[int, int] = (0, 1)) -> NDArray[np.float32]:
        """Read two dimensions of an embedding, `(n_obs, 2)` float32.

        Parameters
        ----------
        key, dims
            As of `Modality.read_embedding` and `Container.read_embedding`.
        """

    def read_column(self, name: str) -> Values:
        """Read what a where-expression calls `name`, `(n_obs,)`, over all cells; see `Vectors.resolve`."""
        return self.vectors.read_column(name)

    def expression_name(self, column: str) -> str:
        """Return what a where-expression calls a column that `read_obs` calls so; see `Vectors.expression_name`."""
        return self.vectors.expression_name(column)

    def where(self, expression: str) -> NDArray[np.bool_]:
        """Return the mask `(n_obs,)` of the cells for which a where-expression is true; see `selection.expression`.

        Raises
        ------
        ExpressionError
            It cannot be parsed, names what the file does not have, or compares what cannot be compared.
        ElementError
            A column that it names is damaged.
        """
        return where.parse(expression).evaluate(self.vectors)

    def lasso(self, key: str, polygon: Sequence[Sequence[float]], dims: tuple[int, int] = (0, 1)) -> NDArray[np.bool_]:
        """Return the mask `(n_obs,)` of the cells inside a polygon drawn over an embedding.

        Exact on the float32 coordinates that are drawn; see `points_in_polygon`. A cell without coordinates is not
        inside.

        Parameters
        ----------
        key
            Name of the embedding, as `read_embedding` takes it; a cell that its modality lacks is not inside.
        polygon
            Vertices `(m, 2)` in the units of the embedding, closed by itself. Fewer than three enclose nothing.
        dims
            Which two of its columns are x and y, counted from 0.

        Raises
        ------
        NotFoundError, ElementError
            As `read_embedding`.
        ValueError
            The polygon is not `(m, 2)`, or not finite.
        """
        return points_in_polygon(self.read_embedding(key, dims), polygon)


class Modality(model.Modality, _Verbs):
    """The AnnData-shaped part of a file at one HDF5 group; nothing is read until asked for."""

    def __repr__(self) -> str:
        """Return what it holds, as anndata lists it; reads headers."""
        return summary.text(summary.summarise_modality(self))

    def _repr_html_(self) -> str:
        return summary.html(summary.summarise_modality(self))

    @cached_property  # with what is kept of the modality's own cells
    def vectors(self) -> Vectors:
        """One value for each cell of this modality alone, by the name of a vector."""
        return Vectors(Container(self, "h5ad"))

    def summarise(
        self,
        names: Sequence[str] | None,
        codes: NDArray[np.integer],
        n_groups: int,
        *,
        layer: str | None = None,
        normalised: bool = False,
        executor: Executor | None = None,
        progress: Progress | None = None,
    ) -> GroupSummary:
        """Summarise features over groups of cells, exactly: means, fractions above 0, sums of squares.

        A few columns are read and kept like any others. More of them are read as `summarise_matrix` does it.

        Parameters
        ----------
        names
            Features as in `read_features`; `None` for all, in their order.
        codes
            Group of each cell, `(n_obs,)`; -1 is in no group.
        n_groups
            How many groups there are.
        layer
            Their matrix, as of `read_features`.
        normalised
            Of log-normalised counts, see `read_features`.
        executor
            Where a pass over the rows runs, such as a Dask client's `get_executor()`; by default in this process.
        progress
            Told the fraction done; may raise `Cancelled`.

        Raises
        ------
        NotFoundError, ElementError
            There is no such feature or matrix; it is damaged.
        """
        from cellasso.stats.normalise import factors_of  # noqa: PLC0415 - numba takes a second
        from cellasso.stats.summarise import summarise_matrix  # noqa: PLC0415

        features, matrix = self.features(layer), self.fitting_matrix(layer)
        if names and len(set(names)) * matrix.shape[0] * matrix.dtype.itemsize <= CACHED_BYTES:
            kept = self.read_features(names, layer, normalised=normalised, progress=progress)
            return summarise_groups(kept, codes, n_groups)
        positions = None if names is None else [features.position(name) for name in names]
        sums = self.read_cell_sums(layer, executor=executor, progress=progress) if normalised else None
        factors = None if sums is None else factors_of(sums.totals)
        return summarise_matrix(
            matrix, positions, codes, n_groups, factors=factors, executor=executor, progress=progress
        )

    def read_matrix(
        self,
        obs_index: RowChoice,
        var_names: Sequence[str],
        layer: str | None = None,
        *,
        normalised: bool = False,
        progress: Progress | None = None,
    ) -> NDArray[np.generic] | sparse.csr_matrix:
        """Read a block of a matrix, `(n_rows, n_features)`; see `cellasso.model.submatrix.read_matrix`.

        Parameters
        ----------
        obs_index, var_names, layer, normalised, progress
            As there.

        Raises
        ------
        NotFoundError, ElementError
            As there.
        """
        from cellasso.model.submatrix import read_matrix  # noqa: PLC0415 - scipy takes a third of a second

        return read_matrix(self, obs_index, var_names, layer, normalised=normalised, progress=progress)

    def to_memory(self, mask: NDArray[np.bool_] | None = None, *, progress: Progress | None = None) -> ad.AnnData:
        """Read cells of this modality into memory; see `cellasso.write.memory.read_modality_into_memory`.

        Parameters
        ----------
        mask
            Which of its cells, `(n_obs,)` bool; `None`: all.
        progress
            Told the fraction done; may raise `Cancelled`.

        Raises
        ------
        ElementError, FileChangedError
            As there.
        """
        from cellasso.write.memory import read_modality_into_memory  # noqa: PLC0415 - reading needs no writer

        return read_modality_into_memory(self, mask, progress=progress)

    def build_index(
        self,
        layer: str | None = None,
        *,
        threads: int | None = None,
        background: bool = False,
        check: bool = False,
        executor: Executor | None = None,
        progress: Progress | None = None,
    ) -> ColumnIndex:
        """Build what is missing of a matrix's column index; see `cellasso.column_index.build.build_index`.

        It goes below the folder that the file was opened with (`cellasso.open(path, index=…)`). What is
        finished of it serves at once.

        Parameters
        ----------
        layer
            Which matrix, as of `matrix`.
        threads, background, check, executor, progress
            As of `cellasso.column_index.build.build_index`.

        Raises
        ------
        IndexingError
            The file was opened without indexes, or see there.
        NotFoundError
            There is no such matrix.
        ElementError, FileChangedError
            The matrix is damaged; the file is no longer the one that was opened.
        """
        from cellasso.column_index.build import IndexingError, build_index  # noqa: PLC0415 - reading needs no builder

        root = self.handle.index_root
        if root is None:
            raise IndexingError(f"{self.handle.path} was opened with index=False; open it with index=True or a folder.")
        return build_index(
            self.matrix(layer).matrix,
            root,
            threads=threads,
            background=background,
            check=check,
            executor=executor,
            progress=progress,
        )


class Dataset(Container[Modality], _Verbs):
    """An open .h5ad or .h5mu file; see `cellasso.model.container` for the names of modalities.

    Use `cellasso.open`; several processes may have the same file open.
    """

    def __repr__(self) -> str:
        """Return what the file holds, as anndata lists it; reads headers."""
        return summary.text(summary.summarise_file(self))

    def _repr_html_(self) -> str:
        return summary.html(summary.summarise_file(self))

    @overload
    def __getitem__(self, modality: str) -> Modality: ...
    @overload
    def __getitem__(self, modality: Reference) -> Values: ...
    def __getitem__(self, modality: str | Reference) -> Modality | Values:
        """Return a modality by its name, `""` being the root; or read what a reference refers to, `(n_obs,)`."""
        return super().__getitem__(modality) if isinstance(modality, str) else _Verbs.__getitem__(self, modality)

    @property
    def vectors(self) -> Vectors:
        """One value for each cell, by the name of a vector."""
        return Vectors(self)

    def summarise(
        self,
        names: Sequence[str] | None,
        codes: NDArray[np.integer],
        n_groups: int,
        *,
        layer: str | None = None,
        normalised: bool = False,
        executor: Executor | None = None,
        progress: Progress | None = None,
    ) -> GroupSummary:
        """Summarise features over groups of the global cells; of an h5mu those named, in any of its modalities.

        Parameters
        ----------
        names, codes, n_groups, layer, normalised, executor, progress
            As of `Modality.summarise`; names as in `read_features`, `None` for all of an h5ad.

        Raises
        ------
        NotFoundError, ElementError
            As there; and all features of an h5mu were asked for.
        """
        options: _Options = {"layer": layer, "normalised": normalised, "executor": executor, "progress": progress}
        if self.format == "h5ad":
            return self.root.summarise(names, codes, n_groups, **options)
        if names is None:
            raise ElementError(f"{self.handle.name} has no features of its own; ask one of its modalities.")
        slots: dict[Modality, list[int]] = {}
        inner = []
        for slot, name in enumerate(names):
            owner, its_name = self.feature_owner(name, layer)
            slots.setdefault(owner, []).append(slot)
            inner.append(its_name)
        parts = [
            owner.summarise([inner[slot] for slot in its], self.alignment(owner.name).codes(codes), n_groups, **options)
            for owner, its in slots.items()
        ]
        taken = [slot for its in slots.values() for slot in its]
        summary = GroupSummary.side_by_side(count_groups(codes, n_groups), parts)
        return summary.of_features(np.argsort(np.array(taken, dtype=np.int64)).tolist())

    def build_index(
        self,
        layer: str | None = None,
        *,
        threads: int | None = None,
        background: bool = False,
        check: bool = False,
        executor: Executor | None = None,
        progress: Progress | None = None,
    ) -> ColumnIndex:
        """Build what is missing of the column index of a matrix of an h5ad; see `Modality.build_index`.

        Parameters
        ----------
        layer, threads, background, check, executor, progress
            As of `Modality.build_index`.

        Raises
        ------
        NotFoundError
            There is no such matrix; those of an h5mu belong to its `modalities`.
        IndexingError, ElementError, FileChangedError
            As `Modality.build_index`.
        """
        return self.root.build_index(
            layer, threads=threads, background=background, check=check, executor=executor, progress=progress
        )

    def read_matrix(
        self,
        obs_index: RowChoice,
        var_names: Sequence[str],
        layer: str | None = None,
        *,
        normalised: bool = False,
        progress: Progress | None = None,
    ) -> NDArray[np.generic] | sparse.csr_matrix:
        """Read a block of a matrix of an h5ad; those of an h5mu belong to its `modalities`.

        Parameters
        ----------
        obs_index, var_names, layer, normalised, progress
            As of `cellasso.model.submatrix.read_matrix`.

        Raises
        ------
        NotFoundError, ElementError
            As there.
        """
        return self.root.read_matrix(obs_index, var_names, layer, normalised=normalised, progress=progress)

    def to_memory(
        self, mask: NDArray[np.bool_] | None = None, *, progress: Progress | None = None
    ) -> ad.AnnData | md.MuData:
        """Read the cells of a mask into memory, as an export of them would be read.

        Parameters
        ----------
        mask, progress
            As of `cellasso.write.memory.read_into_memory`.

        Raises
        ------
        ElementError, ExportError, FileChangedError
            As there.
        """
        from cellasso.write.memory import read_into_memory  # noqa: PLC0415 - reading needs no writer

        return read_into_memory(self, mask, progress=progress)

    def export(
        self,
        mask: NDArray[np.bool_],
        path: str | os.PathLike[str],
        *,
        recipe: Recipe | None = None,
        overwrite: bool = False,
        progress: Progress | None = None,
    ) -> Exported:
        """Write the cells of a mask to a new file, complete or not at all; see `cellasso.write.export.export`.

        Parameters
        ----------
        mask
            Which cells, `(n_obs,)` bool.
        path
            Of the new file; ends in `.h5ad` or `.h5mu`, as that of this one.
        recipe
            How the mask was made; kept in the export. `None`: nothing is said of it.
        overwrite
            Whether a file that exists is replaced. The open file itself never is.
        progress
            Told the fraction done several times a second; what it raises stops the export.

        Returns
        -------
        Where it is, how many cells it has, and a sentence for each element that had to be left out.

        Raises
        ------
        ElementError
            The mask is of another shape or dtype, or the file is damaged.
        ExportError
            The file may not be written there, or the disk is full. The old file, if any, is as it was.
        FileChangedError
            The file is no longer the one that was opened.
        """
        from cellasso.write.export import export  # noqa: PLC0415 - reading needs no writer

        return export(self, mask, path, recipe=recipe, overwrite=overwrite, progress=progress)

    def close(self) -> None:
        """Close the file."""
        self.handle.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_dataset(path: str | os.PathLike[str], *, index: bool | str | os.PathLike[str] = True) -> Dataset:
    """Open an .h5ad or .h5mu file read-only; reads its structure, no values.

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
    handle = open_store(path)
    if index is not False:
        handle.index_root = default_root() if index is True else Path(index).expanduser().absolute()
    try:
        return Dataset(Modality(handle, "", ""), format_of(handle))
    except BaseException:
        handle.close()
        raise
