"""One modality of a file: lazy obs, var, obsm and matrices, and the reads that the explorer asks for."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from cellasso.column_index.indexed_matrix import IndexedMatrix
from cellasso.core.column_cache import ColumnCache
from cellasso.core.errors import ElementError, NotFoundError
from cellasso.core.single_flight import SingleFlight
from cellasso.core.text import nearest
from cellasso.encodings import elements, schema
from cellasso.encodings.dataframe import Frame
from cellasso.matrix.open import open_matrix
from cellasso.model.coordinates import open_coordinates
from cellasso.model.features import Features
from cellasso.model.point_indexes import PointIndexes
from cellasso.store.base import Array, Group, members

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Executor

    import pandas as pd
    from numpy.typing import NDArray

    from cellasso.core.column_cache import Key
    from cellasso.core.progress import Preview, Progress
    from cellasso.model.coordinates import Coordinates
    from cellasso.points.point_index import PointIndex
    from cellasso.stats.cell_sums import CellSums
    from cellasso.stats.feature_sums import FeatureSums
    from cellasso.store.base import Store

CACHE_BYTES = 256 << 20
"""Feature columns kept per modality: 64 genes at 1M cells. A scan of a CSR matrix costs seconds."""

EMBEDDING_ORDER = ("umap", "tsne", "draw_graph", "phate", "mde", "spatial", "diffmap", "pca")
"""Which obsm to show first: what people call *the* embedding, PCA last."""

MAX_EMBEDDING_DIMS = 3
"""A wider obsm under another name may be anything, such as the counts of another assay: listed after all others."""


class Modality:
    """The AnnData-shaped part of a file at one HDF5 group; nothing is read until asked for.

    Parameters
    ----------
    handle
        The file.
    name
        The modality's name; `""` for the root.
    path
        HDF5 path of its group without a final slash; `""` for the root.
    """

    def __init__(self, handle: Store, name: str, path: str) -> None:
        self.handle = handle
        self.name = name
        self.path = path
        self.obs = Frame(handle, f"{path}/obs", legacy_uns=f"{path}/uns")
        self.var = Frame(handle, f"{path}/var", legacy_uns=f"{path}/uns")
        self._cache = ColumnCache(CACHE_BYTES)
        self._opened: dict[str, IndexedMatrix] = {}
        self._cell_sums: SingleFlight[str, CellSums] = SingleFlight({})
        self._counts: dict[str, bool] = {}
        self._drawable: dict[str, Sequence[int]] = {}
        self._opened_obsm: dict[str, Coordinates] = {}
        self._planes = PointIndexes(handle, path, self.read_embedding)

    @property
    def n_obs(self) -> int:
        """Number of cells."""
        return len(self.obs)

    @property
    def n_vars(self) -> int:
        """Number of features of X (raw may have more)."""
        return len(self.var)

    @property
    def obs_names(self) -> NDArray[np.object_]:
        """Names of the cells, `(n_obs,)`; read once."""
        return self.obs.names

    # -- matrices ---------------------------------------------------------------------------------

    @cached_property
    def _matrix_paths(self) -> dict[str, str]:
        """HDF5 path of each matrix by the name users choose it by: `X`, `raw`, then the layers."""
        members = self._members("")
        paths = {"X": "X"} if "X" in members and not self._is_null("X") else {}
        if "raw.X" in members:  # anndata 0.6 and before
            paths["raw"] = "raw.X"
        elif "X" in self._members("raw"):
            paths["raw"] = "raw/X"
        for layer in self.layers:
            # a layer may be called X or raw
            paths[layer if layer not in {"X", "raw"} else f"layers/{layer}"] = f"layers/{layer}"
        return {name: f"{self.path}/{path}" for name, path in paths.items()}

    @cached_property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers."""
        try:
            node = self.handle.node(f"{self.path}/layers")
        except (NotFoundError, ElementError):
            return ()
        return tuple(name for name, _ in schema.below(self.handle, node)) if isinstance(node, Group) else ()

    @property
    def matrices(self) -> tuple[str, ...]:
        """What `layer` may be in `read_feature`: `X` and `raw` where the file has them, then the layers."""
        return tuple(self._matrix_paths)

    def matrix(self, layer: str | None = None) -> IndexedMatrix:
        """Return a lazy matrix: X, `"raw"`, or a layer; without a name X, or the first there is.

        Raises
        ------
        NotFoundError
            The file has no such matrix, or none at all.
        ElementError
            It is there but cannot be read.
        """
        name = layer if layer is not None else next(iter(self._matrix_paths), None)
        path = self._matrix_paths.get(name) if name is not None else None
        if path is None:
            wanted = f"matrix {layer!r}" if layer is not None else "matrix"
            raise NotFoundError(f"{self._place()} has no {wanted}{nearest(layer or '', self.matrices)}")
        if path not in self._opened:
            self._opened[path] = IndexedMatrix(open_matrix(self.handle, path), self.handle.index_root)
        return self._opened[path]

    def fitting_matrix(self, layer: str | None = None) -> IndexedMatrix:
        """Return a matrix as `matrix` does, of the shape that obs and var have.

        Raises
        ------
        NotFoundError
            As `matrix`.
        ElementError
            It has another shape; or as `matrix`.
        """
        matrix, expected = self.matrix(layer), (self.n_obs, len(self.features(layer)))
        if matrix.shape != expected:
            raise ElementError(f"{matrix.place} has shape {matrix.shape}; obs and var have {expected}.")
        return matrix

    def has_columns(self, layer: str | None = None) -> bool:
        """Whether a feature of a matrix is read in its own bytes: it is stored by columns, or its index is complete."""
        return self.fitting_matrix(layer).has_columns

    def features(self, layer: str | None = None) -> Features:
        """Return the features of a matrix: those of var, or raw's own; without a name those of `matrix()`."""
        name = layer if layer is not None else next(iter(self._matrix_paths), None)
        return self._raw_features if name == "raw" and "raw" in self._matrix_paths else self._features

    def read_feature(
        self, name: str, layer: str | None = None, *, progress: Progress | None = None
    ) -> NDArray[np.generic]:
        """Read one feature for all cells, `(n_obs,)`, in the stored dtype and exact.

        O(values of this feature) on CSC and where an index covers the cells; one scan of the rest in bounded
        memory on CSR; a cache of recent columns answers again at once.

        Parameters
        ----------
        name
            Feature name, or an alias as in `Features.position`.
        layer
            `None` for X, `"raw"`, or a layer's name.
        progress
            Told the fraction done; may raise `Cancelled`.

        Raises
        ------
        NotFoundError
            No such feature or matrix.
        """
        return self.read_features([name], layer, progress=progress)[0]

    def read_features(
        self,
        names: Sequence[str],
        layer: str | None = None,
        *,
        normalised: bool = False,
        progress: Progress | None = None,
        preview: Preview | None = None,
    ) -> list[NDArray[np.generic]]:
        """Read several features in one pass; as `read_feature`, one `(n_obs,)` array each.

        Parameters
        ----------
        names
            Feature names or aliases, in any order; one may be asked for several times.
        layer, progress
            As of `read_feature`.
        normalised
            Whether counts are log-normalised, `log1p(10,000 * count / total of the cell)`, float32. The totals
            take a pass over the matrix the first time, unless its column index is complete.
        preview
            Shown the columns of `names` while a scan fills them; not called for what is read at once.

        Raises
        ------
        NotFoundError
            No such feature or matrix.
        ElementError
            The matrix is damaged, or has another shape than obs and var.
        """
        matrix, features = self.fitting_matrix(layer), self.features(layer)
        keys = [(matrix.path, features.position(name)) for name in names]
        shown = self._normalisation(layer, progress) if normalised else _as_stored

        def load(asked: list[Key]) -> list[NDArray[np.generic]]:
            def show(so_far: list[NDArray[np.float32]]) -> None:
                if preview is not None and set(keys) <= set(asked):  # else a part of them is in the cache
                    preview([shown(so_far[asked.index(key)]) for key in keys])

            columns = [position for _, position in asked]
            block = matrix.read_columns(columns, progress=progress, preview=None if preview is None else show)
            return [np.ascontiguousarray(block[:, slot]) for slot in range(len(asked))]

        # ascending, so that a scan meets them in the file's order
        columns = self._cache.read(sorted(set(keys)), load, progress=progress)
        return [shown(columns[key]) for key in keys]

    # -- sums over cells ----------------------------------------------------------------------------

    def read_cell_sums(
        self, layer: str | None = None, *, executor: Executor | None = None, progress: Progress | None = None
    ) -> CellSums:
        """Read each cell's total and its number of values other than 0, and keep them; see `stats.cell_sums`.

        Takes one pass over the values the first time, unless the column index of the matrix is complete; at the same
        time only one caller reads, and others wait for it.

        Parameters
        ----------
        layer
            As of `matrix`.
        executor
            Where blocks of rows are dealt with, as of `over_rows`; `None`: in this process.
        progress
            Told the fraction done; may raise `Cancelled`.

        Returns
        -------
        Read-only arrays, `(n_obs,)` each: every session has the same.

        Raises
        ------
        NotFoundError
            There is no such matrix.
        ElementError
            It is damaged, or has another shape than obs and var.
        """
        from cellasso.stats.cell_sums import read_cell_sums  # noqa: PLC0415 - numba takes a second

        matrix = self.fitting_matrix(layer)

        def read() -> CellSums:
            sums = read_cell_sums(matrix.matrix, matrix.index, executor=executor, progress=progress)
            for values in sums:
                values.flags.writeable = False  # every session's
            return sums

        return self._cell_sums.get(matrix.path, read, progress=progress)

    def read_feature_sums(
        self, layer: str | None = None, *, executor: Executor | None = None, progress: Progress | None = None
    ) -> FeatureSums:
        """Read each feature's sum, sum of squares, and number of values other than 0; see `stats.feature_sums`.

        From the column index of the matrix if that is complete, else in one pass over the values.

        Parameters
        ----------
        layer, executor, progress
            As of `read_cell_sums`.

        Raises
        ------
        NotFoundError, ElementError
            As `read_cell_sums`.
        """
        from cellasso.stats.feature_sums import read_feature_sums  # noqa: PLC0415 - scipy takes a third of a second

        matrix = self.fitting_matrix(layer)
        return read_feature_sums(matrix.matrix, matrix.index, executor=executor, progress=progress)

    def _normalisation(self, layer: str | None, progress: Progress | None) -> Callable[[NDArray[Any]], NDArray[Any]]:
        from cellasso.stats.normalise import factors_of, log_normalised  # noqa: PLC0415 - numba takes a second

        factors = factors_of(self.read_cell_sums(layer, progress=progress).totals)
        return lambda counts: log_normalised(counts, factors)

    def holds_counts(self, layer: str | None = None) -> bool:
        """Whether a matrix holds counts, by a sample of it; False where it cannot be read.

        See `stats.cell_sums.holds_counts`; the answer is kept.
        """
        from cellasso.stats.cell_sums import holds_counts  # noqa: PLC0415

        key = layer or ""
        if key not in self._counts:
            try:
                self._counts[key] = holds_counts(self.matrix(layer).matrix)
            except (ElementError, NotFoundError):
                self._counts[key] = False
        return self._counts[key]

    def is_feature(self, name: str) -> bool:
        """Whether a feature of X is called exactly so."""
        try:
            return bool(self.matrices) and name in self.features()
        except (ElementError, NotFoundError):  # what is wrong is reported when a feature is read
            return False

    def has_feature(self, name: str, layer: str | None = None) -> bool:
        """Whether a matrix has a feature of that name or alias; False also where there is no such matrix.

        Parameters
        ----------
        name
            As of `Features.position`.
        layer
            As of `matrix`.
        """
        try:
            return bool(self.matrices) and self.features(layer).find(name) is not None
        except (NotFoundError, ElementError):
            return False

    # -- obs and obsm -----------------------------------------------------------------------------

    def read_obs(self, column: str) -> pd.Series:
        """Read one column of obs, `(n_obs,)`; see `Frame.read`."""
        return self.obs.read(column)

    def read_colors(self, column: str) -> list[str] | None:
        """Return the colours that `uns["<column>_colors"]` gives a column's categories, if it does."""
        try:
            node = self.handle.node(f"{self.path}/uns/{column}_colors")
            colours = elements.read_strings(self.handle, node)
        except (NotFoundError, ElementError):
            return None
        return [str(colour) for colour in colours]

    @cached_property
    def obsm(self) -> dict[str, tuple[int, ...]]:
        """Shape of each element of obsm by name."""
        try:
            node = self.handle.node(f"{self.path}/obsm")
        except NotFoundError:
            return {}
        if isinstance(node, Array):  # anndata 0.6 and before: one compound dataset
            return {name: (*(node.shape or ()), *node.dtype[name].shape) for name in node.dtype.names or ()}
        found = schema.below(self.handle, node)
        return {name: elements.shape(each) for name, each in found if not isinstance(each, Exception)}

    @property
    def embeddings(self) -> tuple[str, ...]:
        """The obsm that can be drawn (one row a cell, two or more columns of numbers), UMAP first."""
        drawable = [name for name in self.obsm if len(self.drawable_dims(name)) >= 2]
        return tuple(sorted(drawable, key=lambda name: embedding_rank(name, self.obsm[name][1])))

    def drawable_dims(self, key: str) -> Sequence[int]:
        """Return which columns of an obsm can be drawn: those that hold numbers; looked up once, in headers alone.

        None of what is not two-dimensional, has another length than obs, or is damaged: that is reported when it is
        read.
        """
        if key not in self._drawable:
            try:
                self._drawable[key] = self._coordinates(key).drawable
            except (ElementError, NotFoundError):
                self._drawable[key] = ()
        return self._drawable[key]

    def dim_name(self, key: str, dim: int) -> str:
        """Return what a column of an obsm is called: its name in a data frame, else its number, counted from 1.

        Parameters
        ----------
        key
            Name in obsm.
        dim
            Position of the column, from 0.

        Raises
        ------
        NotFoundError, ElementError
            There is no such obsm; it is damaged, not two-dimensional, or of another length than obs.
        """
        return self._coordinates(key).name(dim)

    def read_embedding(self, key: str, dims: tuple[int, int] = (0, 1)) -> NDArray[np.float32]:
        """Read two dimensions of an obsm, `(n_obs, 2)` float32; cells without coordinates are NaN.

        Reads the chunks that hold them; where the rows lie one after the other, all of it.

        Parameters
        ----------
        key
            Name in obsm.
        dims
            Positions of the two columns, from 0.

        Raises
        ------
        NotFoundError
            No such obsm, or not that many dimensions.
        ElementError
            It is of another length than obs, or a dimension holds no numbers.
        """
        coordinates = self._coordinates(key)
        n_dims = self.obsm[key][1]
        if not all(0 <= d < n_dims for d in dims):
            raise NotFoundError(f"{coordinates.place} has {n_dims} dimensions; {dims} were asked for.")
        return coordinates.read(dims)

    def point_index(self, key: str, dims: tuple[int, int] = (0, 1)) -> PointIndex:
        """Return two dimensions of an embedding, sorted for drawing; see `Container.point_index`.

        Parameters
        ----------
        key, dims
            As of `read_embedding`.

        Raises
        ------
        NotFoundError, ElementError, FileChangedError
            As `read_embedding`.
        """
        return self._planes.get(key, dims, self.n_obs)

    def _coordinates(self, key: str) -> Coordinates:
        if key not in self.obsm:
            raise NotFoundError(f"{self._place('obsm')} has no {key!r}{nearest(key, self.obsm)}")
        shape = self.obsm[key]
        if len(shape) != 2 or shape[0] != self.n_obs:
            raise ElementError(f"{self._place('obsm')}/{key} has shape {shape}; {self.n_obs:,} rows were expected.")
        if key not in self._opened_obsm:
            self._opened_obsm[key] = open_coordinates(self.handle, self.handle.node(f"{self.path}/obsm"), key)
        return self._opened_obsm[key]

    # ---------------------------------------------------------------------------------------------

    @cached_property
    def _features(self) -> Features:
        return Features(self.var)

    @cached_property
    def _raw_features(self) -> Features:
        legacy = self._matrix_paths["raw"].endswith("raw.X")
        path = f"{self.path}/raw.var" if legacy else f"{self.path}/raw/var"
        return Features(Frame(self.handle, path, legacy_uns=f"{self.path}/uns"))

    def _members(self, part: str) -> list[str]:
        """Names in one of the modality's groups; none when it is missing or not a group."""
        try:
            node = self.handle.node(f"{self.path}/{part}")
        except (NotFoundError, ElementError):
            return []
        return members(node) if isinstance(node, Group) else []

    def _is_null(self, part: str) -> bool:
        """Whether the file says that there is none, as mudata writes an X that is absent."""
        try:
            return schema.encoding(self.handle.node(f"{self.path}/{part}")) == "null"
        except ElementError:  # it is there: what is wrong is reported when it is read
            return False

    def _place(self, part: str = "") -> str:
        return self.handle.place(f"{self.path}/{part}")


def embedding_rank(name: str, n_dims: int) -> tuple[int, str]:
    """Return the sort key of an embedding, best first: known names, then narrow ones, then wide ones.

    Parameters
    ----------
    name
        In obsm; one that contains a word of `EMBEDDING_ORDER`, in any case, is known.
    n_dims
        Its number of columns; more than `MAX_EMBEDDING_DIMS` are wide.
    """
    lowered = name.casefold()
    ranks = [i for i, word in enumerate(EMBEDDING_ORDER) if word in lowered]
    return (min(ranks, default=len(EMBEDDING_ORDER) + (n_dims > MAX_EMBEDDING_DIMS)), name)


def _as_stored(values: NDArray[Any]) -> NDArray[Any]:
    return values
