"""All that a file holds of its cells: one AnnData, or a MuData whose modalities answer for the global cells.

A name may have a modality before a colon: `"rna:leiden"`, `"rna:CD4"` and `"rna:X_umap"` are a column, a feature and an
embedding of a modality, aligned to all cells; where a modality lacks a cell the value is missing (NaN, code -1). A
modality that holds modalities of its own (mudata nests them) is followed by those, as `"rna:raw"` with `"rna:raw:CD4"`.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeAlias, TypeVar

import numpy as np
from cachetools import LRUCache

from cellasso.core.column_cache import size_within
from cellasso.core.errors import ElementError, FileError, NotFoundError
from cellasso.core.single_flight import SingleFlight
from cellasso.core.text import nearest
from cellasso.encodings import schema
from cellasso.model.alignment import Alignment, read_alignment
from cellasso.model.modality import Modality, embedding_rank
from cellasso.model.point_indexes import PointIndexes
from cellasso.store.base import Group

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import pandas as pd
    from numpy.typing import NDArray

    from cellasso.column_index.indexed_matrix import IndexedMatrix
    from cellasso.core.progress import Preview, Progress
    from cellasso.encodings.dataframe import Frame
    from cellasso.model.features import Features
    from cellasso.model.vector import Vector
    from cellasso.points.point_index import PointIndex
    from cellasso.stats.cell_sums import CellSums
    from cellasso.stats.feature_sums import FeatureSums
    from cellasso.store.base import Store

Format: TypeAlias = Literal["h5ad", "h5mu"]
Part = TypeVar("Part", bound=Modality)

KEPT_BYTES = 128 << 20
"""Vectors that are kept for the frames of cells that are in use: datashader asks for each column many times."""

MAX_NESTING = 8
"""Modalities inside of modalities; deeper ones are a group that contains itself."""


class Container(Generic[Part]):
    """The cells of an open file.

    Parameters
    ----------
    root
        What stands at the root of the file: an AnnData, or the global obs, var and obsm of a MuData.
    format
        `"h5mu"` when modalities are to be looked for below it.

    Attributes
    ----------
    handle
        The open file.
    root, format
        As given.
    """

    def __init__(self, root: Part, format: Format) -> None:  # noqa: A002 - what it is called everywhere
        self.root = root
        self.handle: Store = root.handle
        self.format: Format = format
        self._alignments: dict[str, Alignment] = {}
        self._planes = PointIndexes(self.handle, root.path, self.read_embedding)
        self.vectors_in_use: SingleFlight[Vector, Any] = SingleFlight(
            LRUCache(KEPT_BYTES, getsizeof=size_within(KEPT_BYTES))
        )

    # -- what there is --------------------------------------------------------------------------------

    @property
    def file_path(self) -> Path:
        """Where the file is."""
        return self.handle.path

    @property
    def obs(self) -> Frame:
        """The global obs."""
        return self.root.obs

    @property
    def var(self) -> Frame:
        """The var of an AnnData; a MuData repeats there those of its modalities."""
        return self.root.var

    @property
    def n_obs(self) -> int:
        """Number of cells, of a MuData of global ones."""
        return self.root.n_obs

    @property
    def n_vars(self) -> int:
        """Number of features of X (raw may have more), of a MuData of all modalities."""
        return self.root.n_vars

    @property
    def obs_names(self) -> NDArray[np.object_]:
        """Names of the cells, `(n_obs,)`; read once."""
        return self.root.obs_names

    @property
    def obsm(self) -> dict[str, tuple[int, ...]]:
        """Shape of each element of the global obsm by name."""
        return self.root.obsm

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers of an AnnData."""
        return self.root.layers

    @property
    def matrices(self) -> tuple[str, ...]:
        """What `layer` may be in `read_feature` of an AnnData: `X`, `raw` and the layers."""
        return self.root.matrices

    @cached_property
    def modalities(self) -> dict[str, Part]:
        """The modalities of an h5mu by name, in the file's order, nested ones after theirs; none for an h5ad."""
        return {modality.name: modality for modality in self._inside(self.root)} if self.format == "h5mu" else {}

    @property
    def parts(self) -> tuple[Part, ...]:
        """The root and all modalities."""
        return (self.root, *self.modalities.values())

    def __getitem__(self, modality: str) -> Part:
        """Return a modality; `""` is the root."""
        if not modality:
            return self.root
        if modality not in self.modalities:
            raise NotFoundError(f"{self.handle.name} has no modality {modality!r}{nearest(modality, self.modalities)}")
        return self.modalities[modality]

    def name_of(self, part: Modality) -> str:
        """Return what a part is called among the modalities: `""` for the root."""
        return "" if part is self.root else part.name

    def matrix(self, layer: str | None = None) -> IndexedMatrix:
        """Return a lazy matrix of an AnnData; see `Modality.matrix`."""
        return self.root.matrix(layer)

    def features(self, layer: str | None = None) -> Features:
        """Return the features of a matrix of an AnnData; see `Modality.features`."""
        return self.root.features(layer)

    def holds_counts(self, layer: str | None = None) -> bool:
        """Whether a matrix of an AnnData holds counts; see `Modality.holds_counts`."""
        return self.root.holds_counts(layer)

    def read_cell_sums(self, layer: str | None = None, *, progress: Progress | None = None) -> CellSums:
        """Read the sums of each cell of an AnnData, over the root's own matrix; see `Modality.read_cell_sums`.

        Parameters
        ----------
        layer, progress
            As of `Modality.read_cell_sums`.

        Raises
        ------
        NotFoundError, ElementError
            As there; a MuData has no matrix of its own.
        """
        return self.root.read_cell_sums(layer, progress=progress)

    def read_feature_sums(self, layer: str | None = None, *, progress: Progress | None = None) -> FeatureSums:
        """Read the sums of each feature of an AnnData's own matrix; see `Modality.read_feature_sums`.

        Parameters
        ----------
        layer, progress
            As of `Modality.read_feature_sums`.

        Raises
        ------
        NotFoundError, ElementError
            As there; a MuData has no matrix of its own.
        """
        return self.root.read_feature_sums(layer, progress=progress)

    # -- names with a modality before the colon -------------------------------------------------------

    def owner(self, name: str, *, own: object = ()) -> tuple[Part, str]:
        """Split a name such as `"rna:leiden"` into the modality and the name there; neither is looked for in the file.

        Parameters
        ----------
        name
            With or without a modality before a colon; of nested ones the longest that exists is taken, so
            `"rna:raw:CD4"` is `CD4` of `rna:raw` where there is one.
        own
            Names of the root, which are not split.

        Returns
        -------
        The root and the whole name where it is in `own` or begins with no modality.
        """
        if name in own:  # type: ignore[operator] # any container
            return self.root, name
        parts = name.split(":")
        # the longest first: "rna:raw" may be a modality inside of "rna"
        for n in range(len(parts) - 1, 0, -1):
            prefix = ":".join(parts[:n])
            if prefix in self.modalities:
                return self.modalities[prefix], ":".join(parts[n:])
        return self.root, name

    def feature_owner(self, name: str, layer: str | None = None) -> tuple[Part, str]:
        """Return the modality of a feature, and its name there: that before the colon, or the one that alone has it.

        Parameters
        ----------
        name
            As of `owner`. With a modality, and of an h5ad, it is not looked for in the file.
        layer
            Matrix whose features are searched, as of `Modality.matrix`.

        Raises
        ------
        NotFoundError
            No modality of an h5mu has it, or several have; the message says how to write each.
        """
        modality, inner = self.owner(name)
        if modality is not self.root or self.format == "h5ad":
            return modality, inner
        holders = [m for m in self.modalities.values() if m.has_feature(name, layer)]
        if len(holders) == 1:
            return holders[0], name
        if not holders:
            known = [f"{m.name}:{s.name}" for m in self.modalities.values() for s in m.features().search(name, limit=3)]
            raise NotFoundError(f"No modality of {self.handle.name} has a feature {name!r}{nearest(name, known)}")
        raise NotFoundError(
            f"{name!r} is a feature of several modalities; write {' or '.join(f'{m.name}:{name}' for m in holders)}."
        )

    def alignment(self, modality: str) -> Alignment:
        """Return where the cells of a modality stand among the global ones; read once.

        Raises
        ------
        ElementError, NotFoundError
            The file does not say it in a way that fits, or there is no such modality.
        """
        if modality not in self._alignments:
            self._alignments[modality] = self._align(self[modality])
        return self._alignments[modality]

    def _align(self, inner: Part) -> Alignment:
        if inner is self.root:
            return Alignment(self.n_obs)
        outer_path = inner.path.rpartition("/mod/")[0]
        outer = next((m for m in self.modalities.values() if m.path == outer_path), self.root)
        return read_alignment(self.handle, outer, inner).within(self.alignment(self.name_of(outer)))

    # -- obs and obsm ---------------------------------------------------------------------------------

    def read_obs(self, column: str) -> pd.Series:
        """Read a column of the global obs, or of a modality's as `"rna:leiden"`, `(n_obs,)`; see `Frame.read`."""
        modality, name = self.owner(column, own=self.obs)
        return self.alignment(self.name_of(modality)).series(modality.read_obs(name))

    def read_colors(self, column: str) -> list[str] | None:
        """Return the colours in `uns` for a column as `read_obs` names it; `None` when there are none."""
        stated = self.root.read_colors(column)
        modality, name = self.owner(column)  # the global obs repeats columns of modalities, but not their colours
        return modality.read_colors(name) if stated is None and modality is not self.root else stated

    @cached_property
    def embeddings(self) -> tuple[str, ...]:
        """The drawable obsm, those of modalities as `"rna:X_umap"`; UMAP first. Looked up once."""
        found = [
            (embedding_rank(name, part.obsm[name][1]), f"{part.name}:{name}" if part is not self.root else name)
            for part in self.parts
            for name in part.embeddings
        ]
        return tuple(name for _, name in sorted(found, key=lambda ranked: ranked[0]))

    def read_embedding(self, key: str, dims: tuple[int, int] = (0, 1)) -> NDArray[np.float32]:
        """Read an embedding of the global obs, or of a modality as `"rna:X_umap"`, `(n_obs, 2)` float32.

        NaN where a modality lacks a cell, or the cell has no coordinates.

        Parameters
        ----------
        key
            Its name, with the modality before a colon where it is not the root's.
        dims
            As of `Modality.read_embedding`.

        Raises
        ------
        NotFoundError, ElementError
            As `Modality.read_embedding` does.
        """
        modality, name = self.owner(key, own=self.obsm)
        aligned = self.alignment(self.name_of(modality)).array(modality.read_embedding(name, dims))
        return aligned.astype(np.float32, copy=False)

    def drawable_dims(self, key: str) -> Sequence[int]:
        """Return which columns of an embedding can be drawn; see `Modality.drawable_dims`.

        `key` is as of `read_embedding`.
        """
        modality, name = self.owner(key, own=self.obsm)
        return modality.drawable_dims(name)

    def dim_name(self, key: str, dim: int) -> str:
        """Return what a column of an embedding is called; see `Modality.dim_name`.

        Parameters
        ----------
        key
            As of `read_embedding`.
        dim
            Its position, from 0.

        Raises
        ------
        NotFoundError, ElementError
            As `Modality.dim_name` does.
        """
        modality, name = self.owner(key, own=self.obsm)
        return modality.dim_name(name, dim)

    def point_index(self, key: str, dims: tuple[int, int] = (0, 1)) -> PointIndex:
        """Return two dimensions of an embedding, sorted for drawing; all who ask while it is in use share one.

        That of millions of cells is kept where the indexes are, if the file was opened with them.

        Parameters
        ----------
        key, dims
            As of `read_embedding`.

        Raises
        ------
        NotFoundError, ElementError, FileChangedError
            As `read_embedding` does.
        """
        return self._planes.get(key, dims, self.n_obs)

    # -- features -------------------------------------------------------------------------------------

    def read_feature(
        self, name: str, layer: str | None = None, *, progress: Progress | None = None
    ) -> NDArray[np.generic]:
        """Read one feature for all cells, `(n_obs,)`; as `read_features`.

        Parameters
        ----------
        name
            As `feature_owner` takes it.
        layer, progress
            As of `Modality.read_feature`.

        Raises
        ------
        NotFoundError, ElementError
            As `read_features`.
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
        """Read features by name, in an h5mu as `"rna:CD4"`, or `"CD4"` when one modality alone has it.

        Those of one modality are read in one pass, in the stored dtype and exact; of a modality that lacks cells as
        float64, or the float that they are.

        Parameters
        ----------
        names
            As `feature_owner` takes them.
        layer, normalised, progress, preview
            As of `Modality.read_features`; the preview only where all are of one modality.

        Raises
        ------
        NotFoundError
            There is no such feature or matrix.
        """
        found = [self.feature_owner(name, layer) for name in names]
        columns: dict[int, NDArray[np.generic]] = {}
        for owner in dict.fromkeys(modality for modality, _ in found):
            alignment = self.alignment(self.name_of(owner))
            slots = [slot for slot, (modality, _) in enumerate(found) if modality is owner]
            inner = [found[slot][1] for slot in slots]
            show = alignment.preview(preview) if preview and len(slots) == len(names) else None
            read = owner.read_features(inner, layer, normalised=normalised, progress=progress, preview=show)
            for slot, values in zip(slots, read, strict=True):
                columns[slot] = alignment.array(values)
        return [columns[slot] for slot in range(len(names))]

    # -------------------------------------------------------------------------------------------------

    def _inside(self, outer: Part) -> Iterator[Part]:
        """Yield the modalities inside of the file or of one of them, each followed by its own."""
        group = self.handle.group(f"{outer.path}/mod")
        order = [name for name in schema.names(group, "mod-order") if name in group]
        for name in dict.fromkeys([*order, *group]):
            path = f"{outer.path}/mod/{name}"
            modality = type(outer)(self.handle, f"{outer.name}:{name}" if outer.name else name, path)
            yield modality
            try:
                members = self.handle.group(path)
            except (ElementError, NotFoundError):  # reported when its obs is read
                continue
            if "mod" in members and path.count("/mod/") < MAX_NESTING:
                yield from self._inside(modality)


def format_of(handle: Store) -> Format:
    """Return which of the two formats a file is of; looks at its structure alone.

    Raises
    ------
    FileError
        It is neither.
    """
    root = handle.root()
    stated = root.attrs.get("encoding-type", "")
    if stated == "MuData" or isinstance(root.get("mod"), Group):
        found: Format = "h5mu"
    elif "obs" in root and "var" in root:
        found = "h5ad"
    else:
        members = ", ".join(sorted(root)[:6]) or "nothing"
        raise FileError(
            f"{handle.path} is HDF5 but neither AnnData nor MuData: it holds {members}; obs and var were expected."
        )
    try:
        handle.node("/obs")
    except NotFoundError:
        raise FileError(f"{handle.path} has no obs; an AnnData (.h5ad) or MuData (.h5mu) file was expected.") from None
    return found
