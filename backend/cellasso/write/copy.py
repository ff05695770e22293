"""Walking an AnnData or MuData: each of its elements is written, subset where it is aligned to obs."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from cellasso.core.errors import CellassoError, ElementError
from cellasso.core.text import free_name
from cellasso.encodings import elements, schema
from cellasso.encodings.dataframe import Frame
from cellasso.encodings.sparse import is_sparse
from cellasso.store.base import Array, Group, is_text
from cellasso.write import arrays
from cellasso.write.dataframes import Frames, Names
from cellasso.write.transfer import set_encoding

if TYPE_CHECKING:
    from cellasso.store.base import Node, Store
    from cellasso.write.arrays import IntArray
    from cellasso.write.context import Context
    from cellasso.write.job import Job

OWN_NAMES = "own_names"
"""The column that keeps the names of cells that are called otherwise in the export."""

NAMES_BLOCK = 1 << 17
"""Cells whose names are compared at a time: 20 MB of text."""


class Copy:
    """The walk through the source of one export.

    Parameters
    ----------
    context
        The export.
    job
        Which cells are written.
    """

    def __init__(self, context: Context, job: Job) -> None:
        self._context = context
        self._new = context.new
        self._job = job
        self._lengths: dict[str, int] = {}  # of obs and var of the group that is being written

    # -- groups ---------------------------------------------------------------------------------------

    def file(self, source: Group, target: Group) -> None:
        """Write everything below the root, and where the export comes from.

        Parameters
        ----------
        source, target
            The root groups, of the source and of the new file.

        Raises
        ------
        ElementError
            X is damaged or does not fit, or obs, var or the modalities cannot be read. What else cannot be written is
            left out and named in `Context.left_out`.
        NotFoundError
            A part of them is missing.
        """
        self._new.copy_attributes(source, target)
        self._annotated(source, target, "")
        self._provenance(source, target)
        self._new.refer_alike(source)

    def modality(self, source: Group, target: Group, path: str) -> None:
        """Write one modality as a file of its own, an AnnData.

        Parameters
        ----------
        source, target
            Its group, and the root of the new file.
        path
            HDF5 path of the group.

        Raises
        ------
        ElementError, NotFoundError
            As `file`.
        """
        self._new.copy_attributes(source, target)
        self._annotated(source, target, path, as_in_root=False)
        self._new.refer_alike(self._context.handle.root())

    def _put_encoding_right(self, target: Group, kind: str) -> None:
        """Give a group the encoding of what it holds: R's MuData writes "AnnData", which anndata refuses."""
        stated = target.attrs.get("encoding-type")
        if stated is not None and schema.text(stated) != kind:
            set_encoding(self._new, target, kind, "0.1.0")

    def _modalities(self, source: Group, target: Group, path: str) -> None:
        """Write the modalities of the MuData at `path`, and where their cells are among its own."""
        mod = self._context.group(source, "mod")
        written = self._new.group_like(mod, target, "mod")
        for name in mod:
            modality, inner = self._context.group(mod, name), f"{path}/mod/{name}"
            if inner not in self._job.rows:
                raise ElementError(f"{self._context.handle.place(inner)} is nested too deep, or contains itself.")
            self._annotated(modality, self._new.group_like(modality, written, name), inner)
        if "obsmap" in source:
            obsmap = self._context.group(source, "obsmap")
            made = self._new.group_like(obsmap, target, "obsmap")
            self._context.each(obsmap, made, partial(self._obsmap, path))

    def _annotated(self, source: Group, target: Group, path: str, *, as_in_root: bool = True) -> None:
        """Write the AnnData at `path`, or the MuData with its modalities; its cells called as those of the file."""
        at = self._job.rows[path]
        rows = at[at >= 0]
        mudata = "mod" in source
        self._put_encoding_right(target, "MuData" if mudata else "anndata")
        # mudata, unlike anndata, keeps categories that no cell of the subset has
        frames = Frames(self._context, source, drop_unused=not mudata)
        self._lengths = {
            axis: len(Frame(self._context.handle, f"{path}/{axis}")) for axis in ("obs", "var") if axis in source
        }
        for name in source:
            if name == "obs":
                frames.write(target, name, rows, self._names_of_root(path) if path and as_in_root else None)
            elif name == "var":
                frames.write(target, name, None)
            elif self._is_nothing(source, name):  # anndata may write so that there is no X, or no raw
                self._context.write_or_skip(self._context.copy_unchanged, source, target, name)
            elif name in {"X", "raw.X"}:
                self._matrix(source, target, name, rows)
            elif name in schema.AXES and name not in schema.MAPS:
                self._context.write_or_skip(partial(self._aligned, rows), source, target, name)
            elif name == "raw":
                self._context.write_or_skip(partial(self._raw, rows), source, target, name)
            elif name != "uns" and not (mudata and name in {"mod", "obsmap"}):
                self._context.write_or_skip(self._context.copy_unchanged, source, target, name)
        if "uns" in source:
            self._uns(source, target, rows, frames)
        if mudata:
            self._modalities(source, target, path)

    def _is_nothing(self, source: Group, name: str) -> bool:
        with suppress(CellassoError):  # raised again where the member is written
            return schema.is_nothing(self._context.child(source, name))
        return False

    def _matrix(self, source: Group, target: Group, name: str, rows: IntArray) -> None:
        """Write X, without which an export would be no use."""
        try:
            self._fitting(self._context.child(source, name), target, name, rows, schema.AXES[name])
        except ElementError as error:
            raise ElementError(
                f"{error} Nothing was written: have the program that wrote the file write X anew, or export a table."
            ) from error

    def _aligned(self, rows: IntArray, source: Group, target: Group, name: str) -> None:
        """Write obsm, layers, obsp or varm."""
        node, axes = self._context.child(source, name), schema.AXES[name]
        chosen = rows if axes[0] == "obs" else None
        if isinstance(node, Array) and node.dtype.names:  # before anndata 0.7: one compound dataset
            self._fitting(node, target, name, chosen, axes[:1])
            return

        def member(node: Node, into: Group, key: str) -> None:
            self._fitting(node, into, key, chosen, axes)

        group = self._context.group(source, name)
        self._context.each_below(group, self._new.group_like(group, target, name), member)

    def _raw(self, rows: IntArray, source: Group, target: Group, name: str) -> None:
        raw = self._context.group(source, name)
        written = self._new.group_like(raw, target, name)
        for key in raw:
            if key == "X":
                self._fitting(self._context.child(raw, key), written, key, rows, ("obs",))
            elif key == "varm" and isinstance(varm := self._context.child(raw, key), Group):
                self._context.each_below(varm, self._new.group_like(varm, written, key), self._whole)
            else:
                self._context.copy_unchanged(raw, written, key)

    def _whole(self, node: Node, target: Group, name: str) -> None:
        self._context.element(node, target, name, None)

    def _fitting(self, node: Node, target: Group, name: str, rows: IntArray | None, axes: tuple[str, ...]) -> None:
        """Write an element along obs or var, unless it is of another length."""
        kind, shape = schema.encoding(node), elements.shape(node)
        expected = tuple(self._lengths[axis] for axis in axes if axis in self._lengths)
        is_sized = bool(shape) or (isinstance(node, Array) and kind != "null")
        if is_sized and kind in {"dataframe", "awkward-array"}:
            shape, expected = shape[:1], expected[:1]
        if (is_sized and shape[: len(expected)] != expected) or (kind == "null" and name != "X"):
            raise ElementError(
                f"{self._context.handle.place(node.name)} has shape {shape}, which does not fit {' and '.join(axes)}:"
                f" it was to begin with {', '.join(map(str, expected))}."
            )
        self._context.element(node, target, name, rows, rows if axes == ("obs", "obs") else None)

    def _obsmap(self, path: str, source: Group, target: Group, modality: str) -> None:
        node = self._context.child(source, modality)
        at = self._job.rows.get(f"{path}/mod/{modality}")
        if at is None or not isinstance(node, Array):
            raise ElementError(f"{self._context.handle.place(node.name)} belongs to no modality.")
        at = at[self._job.rows[path] >= 0]
        # counted from 1; 0 marks a cell that the modality lacks
        values = np.where(at >= 0, np.cumsum(at >= 0), 0).astype(node.dtype)
        shape = (len(at), *(node.shape or ())[1:])
        self._new.write(self._new.array_like(node, target, modality, shape), values.reshape(shape))

    def _uns(self, group: Group, target: Group, rows: IntArray, frames: Frames) -> None:
        source = self._context.child(group, "uns")
        if isinstance(source, Array):
            self._context.copy_node(source, target, "uns")
            return

        def member(parent: Group, into: Group, key: str) -> None:
            if key == "cellasso" and parent.name == "/uns":
                return
            if key in frames.kept and isinstance(node := self._context.child(parent, key), Array):
                frames.write_kept(node, into, key)
            elif key == "neighbors" and isinstance(node := self._context.child(parent, key), Group):
                self._context.each(node, self._new.group_like(node, into, key), neighbors)
            else:
                self._context.copy_unchanged(parent, into, key)

        def neighbors(parent: Group, into: Group, key: str) -> None:
            # before anndata 0.7 the graphs lay here; its reader moves them into obsp, where they must fit
            node = self._context.child(parent, key)
            if key in {"distances", "connectivities"} and is_sparse(node):
                self._context.element(node, into, key, rows, rows)
            else:
                self._context.copy_unchanged(parent, into, key)

        self._context.each(source, self._new.group_like(source, target, "uns"), member)

    def _provenance(self, source: Group, target: Group) -> None:
        if "uns" not in target:
            set_encoding(self._new, self._new.group(target, "uns"), "dict", "0.1.0")
        written = target.get("uns")
        if not isinstance(written, Group):
            return
        own = self._new.group(written, "cellasso")
        set_encoding(self._new, own, "dict", "0.1.0")
        for key, value in {**self._job.provenance, "left_out": "\n".join(self._context.left_out)}.items():
            kind = "string" if isinstance(value, str) else "numeric-scalar"
            set_encoding(self._new, self._new.put(own, key, value), kind, "0.2.0")
        if "uns" in source and "cellasso" in (uns := self._context.group(source, "uns")):
            self._context.write_or_skip(
                lambda *_: self._context.copy_node(self._context.child(uns, "cellasso"), own, "previous"),
                uns,
                own,
                "previous",
            )

    def _names_of_root(self, path: str) -> Names | None:
        """Return how obs of the file calls the cells of a modality, if the modality calls them otherwise.

        mudata knows a cell by its name alone: it takes those of other names for further cells, or refuses the
        file. R keeps patients in the one and samples in the other; obsmap says which are the same.
        """
        at, in_root = self._job.rows[path], self._job.rows[""]
        rows = at[at >= 0]
        in_root = in_root[at >= 0]
        root, own = Frame(self._context.handle, "/obs"), Frame(self._context.handle, f"{path}/obs")
        blocks = [slice(start, start + NAMES_BLOCK) for start in range(0, len(rows), NAMES_BLOCK)]
        index = _index(self._context.handle, root)
        if index is None or all(
            _names(self._context.handle, root, in_root[block]) == _names(self._context.handle, own, rows[block])
            for block in blocks
        ):
            return None
        place = self._context.handle.place(own.path)
        if len({name for block in blocks for name in _names(self._context.handle, root, in_root[block])}) < len(rows):
            self._context.left_out.append(
                f"{place} calls cells otherwise than /obs does, where names repeat: mudata finds none."
            )
            return None
        column = free_name(OWN_NAMES, {*own.columns, own.index_name or ""})
        self._context.left_out.append(
            f"{place}: its cells are called as in /obs, or mudata would not know them; their own names are in its"
            f" column {column!r}."
        )
        self._context.intended.own_names[own.path] = column
        return Names(index, in_root, column)


def _index(handle: Store, frame: Frame) -> Node | None:
    """Return the element that holds the names of a frame's rows."""
    node = handle.node(frame.path)
    if isinstance(node, Array) or frame.index_name is None:
        return None
    return handle.child(node, frame.index_name)


def _names(handle: Store, frame: Frame, rows: IntArray) -> list[str]:
    """Return the names of some rows, which may stand in any order; holds no others where they are texts."""
    index = _index(handle, frame)
    if isinstance(index, Array) and index.ndim == 1 and is_text(index.dtype):
        return [schema.text(name) for name in arrays.take(handle, index, rows).tolist()]
    return [str(name) for name in frame.names[rows]]
