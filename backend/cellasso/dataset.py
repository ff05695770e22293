"""The whole file: an AnnData, or a MuData whose modalities answer for the global cells."""

from __future__ import annotations

from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, TypedDict

import h5py
import numpy as np

from cellasso.column_index.cache import default_root
from cellasso.core.errors import ElementError, FileError, NotFoundError
from cellasso.encodings import elements
from cellasso.model.modality import Modality, embedding_rank
from cellasso.stats.group_summary import GroupSummary, count_groups
from cellasso.store.hdf5.handle import Handle, nearest

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence
    from types import TracebackType
    from typing import Self

    import pandas as pd
    from numpy.typing import NDArray

    from cellasso.matrix.matrix import Preview, Progress
    from cellasso.selection.recipe import Recipe
    from cellasso.write.export import Exported

Format: TypeAlias = Literal["h5ad", "h5mu"]

MAX_NESTING = 8
"""Modalities inside of modalities; deeper ones are a group that contains itself."""


class _Options(TypedDict):
    layer: str | None
    normalised: bool
    progress: Progress | None


class Dataset(Modality):
    """An open .h5ad or .h5mu file.

    An h5ad has no further modalities and answers for itself. An h5mu answers for its *global* cells:
    `"rna:leiden"`, `"rna:CD4"` and `"rna:X_umap"` name a column, a feature and an embedding of a
    modality, spread over all cells; where a modality lacks a cell the value is missing (NaN, code -1).
    A modality that holds modalities of its own (mudata nests them) is followed by those, as `"rna:raw"`
    with `"rna:raw:CD4"`.

    Use `cellasso.open`; several processes may have the same file open.
    """

    def __init__(self, handle: Handle) -> None:
        super().__init__(handle, "", "")
        self.format: Format = _format_of(handle)
        self._check_frames()

    @property
    def file_path(self) -> Path:
        """Where the file is."""
        return self.handle.path

    @cached_property
    def modalities(self) -> dict[str, Modality]:
        """The modalities of an h5mu by name, in the file's order, nested ones after theirs; none for an h5ad."""
        return {modality.name: modality for modality in self._inside(self)} if self.format == "h5mu" else {}

    def __getitem__(self, modality: str) -> Modality:
        """Return a modality; `dataset[""]` is the dataset itself."""
        if not modality:
            return self
        if modality not in self.modalities:
            raise NotFoundError(f"{self.handle.name} has no modality {modality!r}{nearest(modality, self.modalities)}")
        return self.modalities[modality]

    def positions(self, modality: str) -> NDArray[np.int64] | None:
        """Return where each cell of a modality stands among the global cells, `(n_obs of modality,)`.

        -1 marks a cell that the global obs does not have; `None` says that they are the same cells in
        the same order.
        """
        if not modality:
            return None
        if modality not in self._positions:
            self._positions[modality] = self._read_positions(modality)
        return self._positions[modality]

    # -- names with a modality before the colon -----------------------------------------------------

    @property
    def embeddings(self) -> tuple[str, ...]:
        """The drawable obsm, those of modalities as `"rna:X_umap"`; UMAP first."""
        own = [(embedding_rank(name, self.obsm[name][1]), name) for name in super().embeddings]
        of_modalities = [
            (embedding_rank(name, modality.obsm[name][1]), f"{modality.name}:{name}")
            for modality in self.modalities.values()
            for name in modality.embeddings
        ]
        return tuple(name for _, name in sorted(own + of_modalities, key=lambda ranked: ranked[0]))

    def read_obs(self, column: str) -> pd.Series:
        """Read a column of the global obs, or of a modality's as `"rna:leiden"`, `(n_obs,)`."""
        modality, name = self.owner(column, own=self.obs)
        values = super().read_obs(name) if modality is self else modality.read_obs(name)
        return self._spread(values, modality)

    def read_colors(self, column: str) -> list[str] | None:
        """Return the colours in `uns` for a column as `read_obs` names it."""
        stated = super().read_colors(column)
        modality, name = self.owner(column)  # the global obs repeats columns of modalities, but not their colours
        return modality.read_colors(name) if stated is None and modality is not self else stated

    def read_embedding(self, key: str, dims: tuple[int, int] = (0, 1)) -> NDArray[np.float32]:
        """Read an embedding of the global obs, or of a modality as `"rna:X_umap"`, `(n_obs, 2)` float32."""
        modality, name = self.owner(key, own=self.obsm)
        if modality is self:
            return super().read_embedding(name, dims)
        points = modality.read_embedding(name, dims)
        at = self.positions(modality.name)
        if at is None:
            return points
        spread = np.full((self.n_obs, 2), np.nan, dtype=np.float32)
        spread[at[at >= 0]] = points[at >= 0]
        return spread

    def drawable_dims(self, key: str) -> Sequence[int]:
        """Return which columns of an embedding, named as `read_embedding` names it, can be drawn."""
        modality, name = self.owner(key, own=self.obsm)
        return super().drawable_dims(name) if modality is self else modality.drawable_dims(name)

    def dim_name(self, key: str, dim: int) -> str:
        """Return what a column of an embedding is called."""
        modality, name = self.owner(key, own=self.obsm)
        return super().dim_name(name, dim) if modality is self else modality.dim_name(name, dim)

    def read_features(
        self,
        names: Sequence[str],
        layer: str | None = None,
        *,
        normalised: bool = False,
        progress: Progress | None = None,
        preview: Preview | None = None,
    ) -> list[NDArray[np.generic]]:
        """Read features by name, in an h5mu as `"rna:CD4"`, or `"CD4"` when one modality alone has it."""
        if self.format == "h5ad":
            return super().read_features(names, layer, normalised=normalised, progress=progress, preview=preview)
        found = [self._feature_owner(name, layer) for name in names]
        columns: dict[int, NDArray[np.generic]] = {}
        for owner in dict.fromkeys(modality for modality, _ in found):
            slots = [slot for slot, (modality, _) in enumerate(found) if modality is owner]
            inner = [found[slot][1] for slot in slots]
            show = partial(self._show_spread, preview, owner.name) if preview and len(slots) == len(names) else None
            read = owner.read_features(inner, layer, normalised=normalised, progress=progress, preview=show)
            for slot, values in zip(slots, read, strict=True):
                columns[slot] = self.spread(values, owner.name)
        return [columns[slot] for slot in range(len(names))]

    def _show_spread(self, preview: Preview, modality: str, columns: list[NDArray[np.float32]]) -> None:
        preview([self.spread(column, modality).astype(np.float32, copy=False) for column in columns])

    def summarise(
        self,
        names: Sequence[str] | None,
        codes: NDArray[np.integer],
        n_groups: int,
        *,
        layer: str | None = None,
        normalised: bool = False,
        progress: Progress | None = None,
    ) -> GroupSummary:
        """Summarise features over groups of the global cells; of an h5mu those named, in any of its modalities."""
        options: _Options = {"layer": layer, "normalised": normalised, "progress": progress}
        if self.format == "h5ad":
            return super().summarise(names, codes, n_groups, **options)
        if names is None:
            raise ElementError(f"{self.handle.name} has no features of its own; ask one of its modalities.")
        slots: dict[Modality, list[int]] = {}
        inner = []
        for slot, name in enumerate(names):
            owner, its_name = self._feature_owner(name, layer)
            slots.setdefault(owner, []).append(slot)
            inner.append(its_name)
        parts = [
            owner.summarise([inner[slot] for slot in its], self._codes_within(codes, owner.name), n_groups, **options)
            for owner, its in slots.items()
        ]
        taken = [slot for its in slots.values() for slot in its]
        summary = GroupSummary.side_by_side(count_groups(codes, n_groups), parts)
        return summary.of_features(np.argsort(np.array(taken, dtype=np.int64)).tolist())

    def _codes_within(self, codes: NDArray[np.integer], modality: str) -> NDArray[np.integer]:
        """Return the codes of a modality's cells; -1 for a cell that the global obs does not have."""
        at = self.positions(modality)
        return codes if at is None else np.where(at >= 0, codes[at], -1)

    def read_column(self, name: str) -> pd.Series | NDArray[np.generic]:
        """Read what a where-expression calls `name`, over the global cells; in an h5mu also as `"rna:obs:leiden"`."""
        if self.format == "h5ad":
            return super().read_column(name)
        modality, inner = self.owner(name, own=self.obs)
        kind, plain = modality.resolve(inner, prefix=f"{modality.name}:" if modality.name else "")
        if kind != "feature":
            return (
                super().read_column(inner) if modality is self else self._spread(modality.read_column(inner), modality)
            )
        # not by `read_features`, whose missing values are NaN among floats: whole numbers stay whole
        owner, its_name = (modality, plain) if modality is not self else self._feature_owner(plain, None)
        return self._spread(owner.read_feature(its_name), owner)

    def expression_name(self, column: str) -> str:
        """Return what a where-expression has to call a column that `read_obs` calls so."""
        modality, inner = self.owner(column, own=self.obs)
        if modality is self:
            return super().expression_name(column)
        return f"{modality.name}:{modality.expression_name(inner)}"

    def is_feature(self, name: str) -> bool:
        """Whether a feature, in an h5mu of any modality, is called exactly so."""
        if self.format == "h5ad":
            return super().is_feature(name)
        modality, inner = self.owner(name)
        asked = [modality] if modality is not self else list(self.modalities.values())
        return any(each.is_feature(inner) for each in asked)

    def owner(self, name: str, *, own: object = ()) -> tuple[Modality, str]:
        """Split `"rna:leiden"` into modality and name; a name in `own`, or without a modality, is the root's."""
        if name in own:  # type: ignore[operator] # any container
            return self, name
        parts = name.split(":")
        # the longest first: "rna:raw" may be a modality inside of "rna"
        for n in range(len(parts) - 1, 0, -1):
            prefix = ":".join(parts[:n])
            if prefix in self.modalities:
                return self.modalities[prefix], ":".join(parts[n:])
        return self, name

    # -- writing ------------------------------------------------------------------------------------

    def export(
        self,
        mask: NDArray[np.bool_],
        path: str | os.PathLike[str],
        *,
        recipe: Recipe | None = None,
        overwrite: bool = False,
        progress: Progress | None = None,
    ) -> Exported:
        """Write the cells of `mask` `(n_obs,)` bool to a new file; see `cellasso.write.export.export`."""
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

    # ------------------------------------------------------------------------------------------------

    @cached_property
    def _positions(self) -> dict[str, NDArray[np.int64] | None]:
        return {}

    def _check_frames(self) -> None:
        try:
            self.handle.node("/obs")
        except NotFoundError:
            raise FileError(
                f"{self.handle.path} has no obs; an AnnData (.h5ad) or MuData (.h5mu) file was expected."
            ) from None

    def _inside(self, outer: Modality) -> Iterator[Modality]:
        """Yield the modalities inside of the file or of one of them, each followed by its own."""
        group = self.handle.group(f"{outer.path}/mod")
        order = [name for name in elements.names(group, "mod-order") if name in group]
        for name in dict.fromkeys([*order, *group]):
            path = f"{outer.path}/mod/{name}"
            modality = Modality(self.handle, f"{outer.name}:{name}" if outer.name else name, path)
            yield modality
            try:
                members = self.handle.group(path)
            except (ElementError, NotFoundError):  # who asks for its cells is told why
                continue
            if "mod" in members and path.count("/mod/") < MAX_NESTING:
                yield from self._inside(modality)

    def _read_positions(self, modality: str) -> NDArray[np.int64] | None:
        inner = self.modalities[modality]
        outer_path, _, key = inner.path.rpartition("/mod/")
        outer = next((m for m in self.modalities.values() if m.path == outer_path), self)
        at = self._read_obsmap(outer, inner, key)
        at_outer = self.positions(outer.name)
        if at_outer is not None:  # from cells of the modality around it to global ones
            at = np.where(at >= 0, at_outer[at], -1)
        same = len(at) == self.n_obs and bool(np.array_equal(at, np.arange(self.n_obs)))
        return None if same else at

    def _read_obsmap(self, outer: Modality, inner: Modality, key: str) -> NDArray[np.int64]:
        """Return where each cell of a modality stands among those of what it is in, -1 for nowhere."""
        n_obs, path = inner.n_obs, f"{outer.path}/obsmap/{key}"
        try:
            node = self.handle.node(path)
        except NotFoundError:
            return self._match_names(outer, inner, path)
        # one entry a cell outside: its row in the modality counted from 1; 0 where it is absent
        stored = np.asarray(elements.read(self.handle, node)).ravel()
        numbers = stored.dtype.kind in "iu"
        rows = stored.astype(np.int64) if numbers else np.empty(0, dtype=np.int64)
        inside = len(rows) == 0 or 0 <= rows.min() <= rows.max() <= n_obs
        if not (numbers and inside and len(rows) == outer.n_obs and np.bincount(rows)[1:].max(initial=0) <= 1):
            raise ElementError(
                f"{self.handle.place(path)} does not fit {outer.n_obs:,} cells and a modality of {n_obs:,}."
            )
        at = np.full(n_obs, -1, dtype=np.int64)
        present = np.flatnonzero(rows)
        at[rows[present] - 1] = present
        return at

    def _match_names(self, outer: Modality, inner: Modality, path: str) -> NDArray[np.int64]:
        import pandas as pd  # noqa: PLC0415

        names, of_modality = pd.Index(outer.obs_names), pd.Index(inner.obs_names)
        if not (names.is_unique and of_modality.is_unique):
            raise ElementError(f"{self.handle.name} has no {path}, and its obs_names are not unique.")
        return np.asarray(names.get_indexer(of_modality), dtype=np.int64)

    def _feature_owner(self, name: str, layer: str | None) -> tuple[Modality, str]:
        modality, inner = self.owner(name)
        if modality is not self:
            return modality, inner
        holders = [m for m in self.modalities.values() if _has_feature(m, name, layer)]
        if len(holders) == 1:
            return holders[0], name
        if not holders:
            known = [f"{m.name}:{s.name}" for m in self.modalities.values() for s in m.features().search(name, limit=3)]
            raise NotFoundError(f"No modality of {self.handle.name} has a feature {name!r}{nearest(name, known)}")
        raise NotFoundError(
            f"{name!r} is a feature of several modalities; write {' or '.join(f'{m.name}:{name}' for m in holders)}."
        )

    def _spread(self, values: pd.Series | NDArray[np.generic], modality: Modality) -> pd.Series:
        """Return values of a modality's cells over the global ones, `(n_obs,)`; missing where it lacks a cell."""
        import pandas as pd  # noqa: PLC0415

        series, at = pd.Series(values), self.positions(modality.name)
        if at is None:
            return series
        kept = at >= 0
        present = series[kept].array
        if len(present) < self.n_obs and isinstance(series.dtype, np.dtype) and series.dtype.kind in "biu":
            # a plain boolean or integer has no missing value; the nullable one keeps all others exact, as in mudata
            present = pd.array(present.to_numpy())
        placed = pd.Series(present, index=at[kept], name=series.name)
        return placed.reindex(pd.RangeIndex(self.n_obs))

    def spread(self, values: NDArray[np.generic], modality: str) -> NDArray[np.generic]:
        """Return values of a modality's cells over the global ones, `(n_obs,)`; NaN where it lacks a cell."""
        at = self.positions(modality)
        if at is None:
            return values
        wide = values.dtype if values.dtype.kind == "f" else np.dtype(np.float64)
        spread = np.full(self.n_obs, np.nan, dtype=wide)
        spread[at[at >= 0]] = values[at >= 0]
        return spread


def open_dataset(path: str | os.PathLike[str], *, index: bool | str | os.PathLike[str] = True) -> Dataset:
    """Open an .h5ad or .h5mu file read-only; reads its structure, no values.

    Parameters
    ----------
    index
        Where column indexes of its matrices are looked for, and built by `build_index` alone: in the user's
        cache, in a folder, or (`False`) nowhere.

    Raises
    ------
    FileError
        The path is missing, not HDF5, truncated, or neither AnnData nor MuData; the message says which.
    """
    handle = Handle(path)
    if index is not False:
        handle.index_root = default_root() if index is True else Path(index).expanduser().absolute()
    try:
        return Dataset(handle)
    except BaseException:
        handle.close()
        raise


def _format_of(handle: Handle) -> Format:
    root = handle.root()
    stated = root.attrs.get("encoding-type", "")
    if stated == "MuData" or isinstance(root.get("mod"), h5py.Group):
        return "h5mu"
    if "obs" not in root or "var" not in root:
        members = ", ".join(sorted(root)[:6]) or "nothing"
        raise FileError(
            f"{handle.path} is HDF5 but neither AnnData nor MuData: it holds {members}; obs and var were expected."
        )
    return "h5ad"


def _has_feature(modality: Modality, name: str, layer: str | None) -> bool:
    try:
        modality.features(layer).position(name)
    except (NotFoundError, ElementError):
        return False
    return bool(modality.matrices)
