"""The vectors of a file: found by name, read when asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from cellasso.core.errors import AmbiguousNameError, ElementError, NotFoundError
from cellasso.core.text import nearest
from cellasso.model.vector import GENE, OBS, OBS_NAMES, SUMS, Vector, VectorError, VectorText, split

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from cellasso.core.progress import Preview, Progress
    from cellasso.model.container import Container
    from cellasso.model.modality import Modality
    from cellasso.points.point_index import PointIndex
    from cellasso.store.base import Store

    Values: TypeAlias = pd.Series | NDArray[np.generic]

UNNAMED = "_index"
"""What anndata calls the index in the file where it has no name."""


class Vectors:
    """The vectors of a file, one value for each of its cells: found by name, read when asked for.

    Parameters
    ----------
    container
        The file, or one modality of it as a container of its own.
    """

    def __init__(self, container: Container[Any]) -> None:
        self._container = container

    @property
    def container(self) -> Container[Any]:
        """The file, or one modality of it as a container of its own."""
        return self._container

    @property
    def store(self) -> Store:
        """The file."""
        return self._container.handle

    @property
    def path(self) -> str:
        """Path of the group in the file whose vectors they are; `""`: the root."""
        path: str = self._container.root.path
        return path

    @property
    def n_obs(self) -> int:
        """Number of cells."""
        return self._container.n_obs

    def read(self, vector: Vector, *, progress: Progress | None = None, preview: Preview | None = None) -> Values:
        """Read a vector over all cells, `(n_obs,)`: a series of obs, or an array.

        Whole numbers and booleans of a modality that lacks cells become nullable ones, sums NaN.

        Parameters
        ----------
        vector
            What to read.
        progress
            Told the fraction done where it takes a pass over a matrix; may raise `Cancelled`.
        preview
            Shown what a scan for a feature has found so far, `(n_obs,)` float32, NaN where nothing is known yet.

        Raises
        ------
        NotFoundError
            The file does not have it.
        ElementError
            It is damaged.
        """
        modality, alignment = self._container[vector.modality], self._container.alignment(vector.modality)
        if vector.kind == "obs":
            return alignment.series(_read_obs(modality, vector.name))
        if vector.kind == "obsm":
            return alignment.array(modality.read_embedding(vector.name, (vector.dim, vector.dim))[:, 0])
        if vector.kind == "sum":
            sums = modality.read_cell_sums(vector.layer, progress=progress)
            return alignment.array(sums.totals if vector.name == SUMS[0] else sums.n_nonzero)
        show = None if preview is None else alignment.preview(preview)
        read = modality.read_features(
            [vector.name], vector.layer, normalised=vector.normalised, progress=progress, preview=show
        )[0]
        return read if alignment.obs_index is None else alignment.series(read)

    def read_kept(self, vector: Vector) -> Values:
        """Read a vector as `read` does; what was read last is kept for all who ask, so arrays are read-only.

        Parameters
        ----------
        vector
            What to read.

        Raises
        ------
        NotFoundError, ElementError
            As `read`.
        """

        def load() -> Values:
            values = self.read(vector)
            if isinstance(values, np.ndarray):
                values = values.view()
                values.flags.writeable = False
            return values

        kept: Values = self._container.vectors_in_use.get(vector, load)
        return kept

    def point_index(self, x: Vector, y: Vector) -> PointIndex:
        """Return two dimensions of one embedding, sorted in space; see `Container.point_index`.

        Parameters
        ----------
        x, y
            Vectors of the kind `"obsm"`, of one key and modality.

        Raises
        ------
        NotFoundError, ElementError
            As `Container.point_index`.
        """
        key = f"{x.modality}:{x.name}" if x.modality else x.name
        return self._container.point_index(key, (x.dim, y.dim))

    def read_colors(self, vector: Vector) -> list[str] | None:
        """Return the colours that `uns` gives the categories of a column of obs, if it does."""
        name = f"{vector.modality}:{vector.name}" if vector.modality else vector.name
        return self._container.read_colors(name)

    def read_numbers(self, vector: Vector, *, progress: Progress | None = None) -> NDArray[np.float32]:
        """Read a vector as what stands along an axis, `(n_obs,)` float32; NaN for a cell that has no number.

        Parameters
        ----------
        vector, progress
            As of `read`.

        Raises
        ------
        NotFoundError, ElementError
            As `read`; and it holds no numbers.
        """
        import pandas as pd  # noqa: PLC0415

        values = self.read(vector, progress=progress)
        with np.errstate(over="ignore"):  # beyond float32 a value becomes infinite: its cell has no place on the axis
            if isinstance(values, pd.Series):
                if not pd.api.types.is_numeric_dtype(values.dtype):
                    raise ElementError(f"{vector.name} holds {values.dtype}; numbers were expected along an axis.")
                return values.to_numpy(dtype=np.float64, na_value=np.nan).astype(np.float32)
            if values.dtype.kind not in "biuf":
                raise ElementError(f"{vector.name} holds {values.dtype}; numbers were expected along an axis.")
            return values.astype(np.float32)

    def read_column(self, name: str) -> Values:
        """Read what an expression calls `name`; see `resolve` and `read`."""
        return self.read(self.resolve(name))

    # -- names ----------------------------------------------------------------------------------------

    def names(self) -> tuple[str, ...]:
        """Return what the columns of obs and the dimensions of embeddings are called, each as `resolve` finds it.

        Those of the root, then those of each modality. Features are found too; of them there may be 100,000. Reads the
        names of features, with which a column may share its own, and headers.
        """
        container = self._container
        parts = [("", container.root), *((f"{name}:", part) for name, part in container.modalities.items() if name)]
        found: list[str] = []
        for prefix, part in parts:
            found += [self.expression_name(f"{prefix}{column}") for column in part.obs if column != part.obs.index_name]
            for key in part.obsm:
                modality = container.name_of(part)
                found += [str(Vector("obsm", key, modality, dim=dim)) for dim in part.drawable_dims(key)]
        return tuple(dict.fromkeys(found))

    def resolve(self, name: str) -> Vector:
        """Return what is meant by a name, in which kind and modality may be left out where one reading remains.

        Alone, a name is a column of obs, its index (called as in the file, or `obs_names`), or a feature of X. With a
        slash or a colon it may also be a feature of a layer, a sum, or a dimension of obsm, as `Vector` prints them.

        Raises
        ------
        AmbiguousNameError
            A column of obs and a feature are both called so; the message says how to write each.
        NotFoundError
            There is nothing of that name; the message lists the nearest.
        """
        container = self._container
        if isinstance(name, VectorText):
            full = self._find_full(name)
            if full is not None:
                return full
            *before, last = split(name)
            modality, inner = container[":".join(each.name for each in before)], last.name
        else:
            modality, inner = container.owner(name, own=container.obs)
        kind, plain = self._kind_of(modality, inner)
        if kind == "obs":
            found = Vector("obs", plain, container.name_of(modality))
            other = self._find_full(name) if name == inner else None
            if other is not None and other != found:
                raise AmbiguousNameError(f"{name!r} is a column of obs and more; write {found} or {other}.")
            return found
        if inner == plain and not self._is_feature(modality, plain):
            full = self._find_full(name)
            if full is not None:
                return full
        owner, its_name = (modality, plain) if modality is not container.root else container.feature_owner(plain)
        if not owner.has_feature(its_name):
            place = f"{owner.handle.place(f'{owner.path}/' if owner.path else '')}"
            known = [*owner.obs, *(owner.features().names if owner.matrices else ())]
            raise NotFoundError(f"{place} has no column of obs and no feature {name!r}{nearest(name, known)}")
        return Vector("gene", its_name, container.name_of(owner))

    def expression_name(self, column: str) -> str:
        """Return what an expression has to call a column that `read_obs` calls so: `obs:` before it where needed."""
        modality, inner = self._container.owner(column, own=self._container.obs)
        stated = f"{OBS}{inner}" if self._is_feature(modality, inner) else inner
        prefix = self._container.name_of(modality)
        return f"{prefix}:{stated}" if prefix else stated

    def _kind_of(self, modality: Modality, name: str) -> tuple[str, str]:
        """Return whether a name is one of obs or else a feature, and the name without the word that says so."""
        is_feature = self._is_feature(modality, name)
        if name in modality.obs:
            if is_feature:
                own = self._container.name_of(modality)
                prefix = f"{own}:" if own else ""
                ways = f"{prefix}{OBS}{name} or {prefix}{GENE}{name}"
                raise AmbiguousNameError(f"{name!r} is a column of obs and a feature; write {ways}.")
            return "obs", name
        plain = name.removeprefix(OBS)
        if plain in modality.obs:
            return "obs", plain
        if plain in {modality.obs.index_name, OBS_NAMES} and plain != UNNAMED and not self._is_feature(modality, plain):
            return "obs", plain
        return "gene", name.removeprefix(GENE)

    def _is_feature(self, modality: Modality, name: str) -> bool:
        """Whether a feature, for the root of an h5mu of any modality, is called exactly so."""
        container = self._container
        if modality is not container.root or container.format == "h5ad":
            return modality.is_feature(name)
        owner, inner = container.owner(name)
        asked = [owner] if owner is not container.root else list(container.modalities.values())
        return any(each.is_feature(inner) for each in asked)

    def _find_full(self, name: str) -> Vector | None:
        """Return the vector that a name is the full text of, if the file has it."""
        try:
            vector = Vector.parse(name)
            modality = self._container[vector.modality]
        except (VectorError, NotFoundError):
            return None
        if vector.kind == "obsm":
            return vector if vector.name in modality.obsm else None
        if vector.kind == "obs":
            is_there = vector.name in modality.obs or vector.name in {modality.obs.index_name, OBS_NAMES}
            return vector if is_there else None
        if vector.layer is not None and vector.layer not in modality.matrices:
            return None
        return vector if vector.kind == "sum" or modality.has_feature(vector.name, vector.layer) else None


def _read_obs(modality: Modality, name: str) -> pd.Series:
    """Read a column of obs, or its index."""
    if name in modality.obs or name not in {modality.obs.index_name, OBS_NAMES}:
        return modality.read_obs(name)
    import pandas as pd  # noqa: PLC0415

    return pd.Series(modality.obs_names, dtype=object)
