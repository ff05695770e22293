"""The child process of an export: `python -m cellasso.write.worker` writes what the job on its stdin says.

A process of its own, because an HDF5 write that meets a full disk ends in SIGSEGV. It imports h5py and
NumPy but neither anndata nor pandas, which take seconds. It answers on stdout in JSON lines:
`{"fraction": 0.5}`, at the end `{"left_out": [...]}`, or `{"error": "<class>", "message": "..."}`.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import h5py
import numpy as np

from cellasso.core.errors import CellassoError, ElementError, FileChangedError, NotFoundError
from cellasso.encodings import elements
from cellasso.encodings.dataframe import Frame
from cellasso.store.hdf5 import replica
from cellasso.store.hdf5.handle import Handle, members
from cellasso.store.hdf5.stored_values import refers
from cellasso.write import arrays
from cellasso.write.dataframes import Frames, Names, free_name, native
from cellasso.write.job import Job
from cellasso.write.sparse import known_to_scipy, subset_sparse
from cellasso.write.verification import Intended, verify

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cellasso.store.hdf5.handle import Node
    from cellasso.write.arrays import Index

Member: TypeAlias = "Callable[[h5py.Group, h5py.Group, str], None]"
"""Writes the member of that name from the first group into the second."""

WRITTEN = 0.95
"""The fraction that is told when all is written; the rest is for its comparison with the source."""

OWN_NAMES = "own_names"
"""The column that keeps the names of cells that are called otherwise in the export."""

SPARSE = {"csr_matrix", "csc_matrix"}

STEPS = 500
"""How many times at most the fraction is told."""

NAMES_BLOCK = 1 << 17
"""Cells whose names are compared at a time: 20 MB of text."""


def write(job: Job, tell: Callable[[float], None]) -> list[str]:
    """Write the export, flush it to disk, and return what had to be left out and why.

    Raises
    ------
    FileChangedError
        The source is no longer the file that the mask was made for.
    ElementError
        An element without which the export would be no use is damaged.
    """
    with Handle(job.source) as handle:
        if handle.fingerprint != job.fingerprint:
            raise FileChangedError(f"{job.source} was changed by another program since it was opened; open it again.")
        root = handle.root()
        copy = Copy(handle, job, tell)
        # the old superblock cannot hold what a newer file may have, such as attributes above 64 kB
        modern = root.file.id.get_create_plist().get_version()[0] >= 2
        user_block = root.file.userblock_size
        with h5py.File(
            # it is there, empty and locked by the parent
            job.target,
            "w",
            libver=("v108" if modern else "earliest", "latest"),
            userblock_size=user_block,
            track_order=replica.keeps_order(root),
            locking=False,
        ) as target:
            try:
                copy.file(root, target["/"])
            except ElementError as error:
                raise ElementError(copy.sentence(error)) from error
        with job.source.open("rb") as signed, job.target.open("r+b") as target:
            target.write(signed.read(user_block))  # mudata recognises its files by the text before HDF5's part
            target.flush()
            os.fsync(target.fileno())
        handle.root()  # raises when the source changed meanwhile
        verify(job, handle, copy.intended)
        tell(1.0)
    return copy.left_out


class Copy:
    """One export: walks the source and writes each element, subset where it is aligned to obs."""

    def __init__(self, handle: Handle, job: Job, tell: Callable[[float], None]) -> None:
        self.handle = handle
        self._job = job
        self._tell = tell
        self._total = max(1, handle.fingerprint.size)
        self._done = 0
        self._linked: dict[int, str] = {}
        self._lengths: dict[str, int] = {}  # of obs and var of the group that is being written
        self.left_out: list[str] = []
        self.templates = replica.Templates()
        self.intended = Intended(known=self.templates.known)

    # -- groups ---------------------------------------------------------------------------------------

    def file(self, source: h5py.Group, target: h5py.Group) -> None:
        """Write everything below the root."""
        replica.copy_attributes(source, target)
        self._annotated(source, target, "")
        self._provenance(source, target)
        _repoint(source, target)

    def _modalities(self, source: h5py.Group, target: h5py.Group, path: str) -> None:
        """Write the modalities of the MuData at `path`, and where their cells are among its own."""
        mod = self._group(source, "mod")
        written = replica.create_group_like(mod, target, "mod")
        for name in mod:
            modality, inner = self._group(mod, name), f"{path}/mod/{name}"
            if inner not in self._job.rows:
                raise ElementError(f"{self.handle.place(inner)} is nested too deep, or contains itself.")
            self._annotated(modality, replica.create_group_like(modality, written, name), inner)
        if "obsmap" in source:
            obsmap = self._group(source, "obsmap")
            made = replica.create_group_like(obsmap, target, "obsmap")
            self._each(obsmap, made, partial(self._obsmap, path))

    def _annotated(self, source: h5py.Group, target: h5py.Group, path: str) -> None:
        """Write the AnnData at `path`, or the MuData with its modalities."""
        at = self._job.rows[path]
        rows = at[at >= 0]
        mudata = "mod" in source
        _put_encoding_right(target, "MuData" if mudata else "anndata")
        # mudata, unlike anndata, keeps categories that no cell of the subset has
        frames = Frames(self, source, drop_unused=not mudata)
        self._lengths = {axis: len(Frame(self.handle, f"{path}/{axis}")) for axis in ("obs", "var") if axis in source}
        for name in source:
            if name == "obs":
                frames.write(target, name, rows, self._names_of_root(path) if path else None)
            elif name == "var":
                frames.write(target, name, None)
            elif self._is_nothing(source, name):  # anndata may write so that there is no X, or no raw
                self.attempt(self.verbatim, source, target, name)
            elif name in {"X", "raw.X"}:
                self._matrix(source, target, name, rows)
            elif name in elements.AXES:
                self.attempt(partial(self._aligned, rows), source, target, name)
            elif name == "raw":
                self.attempt(partial(self._raw, rows), source, target, name)
            elif name != "uns" and not (mudata and name in {"mod", "obsmap"}):
                self.attempt(self.verbatim, source, target, name)
        if "uns" in source:
            self._uns(source, target, rows, frames)
        if mudata:
            self._modalities(source, target, path)

    def _is_nothing(self, source: h5py.Group, name: str) -> bool:
        with suppress(CellassoError):  # raised again where the member is written
            return elements.is_nothing(self.child(source, name))
        return False

    def _matrix(self, source: h5py.Group, target: h5py.Group, name: str, rows: Index) -> None:
        """Write X, without which an export would be no use."""
        try:
            self._fitting(self.child(source, name), target, name, rows, elements.AXES[name])
        except ElementError as error:
            raise ElementError(
                f"{error} Nothing was written: have the program that wrote the file write X anew, or export a table."
            ) from error

    def _aligned(self, rows: Index, source: h5py.Group, target: h5py.Group, name: str) -> None:
        """Write obsm, layers, obsp or varm."""
        node, axes = self.child(source, name), elements.AXES[name]
        chosen = rows if axes[0] == "obs" else None
        if isinstance(node, h5py.Dataset) and node.dtype.names:  # before anndata 0.7: one compound dataset
            self._fitting(node, target, name, chosen, axes[:1])
            return

        def member(node: Node, into: h5py.Group, key: str) -> None:
            self._fitting(node, into, key, chosen, axes)

        group = self._group(source, name)
        self._each_below(group, replica.create_group_like(group, target, name), member)

    def _raw(self, rows: Index, source: h5py.Group, target: h5py.Group, name: str) -> None:
        raw = self._group(source, name)
        written = replica.create_group_like(raw, target, name)
        for key in raw:
            if key == "X":
                self._fitting(self.child(raw, key), written, key, rows, ("obs",))
            elif key == "varm" and isinstance(varm := self.child(raw, key), h5py.Group):
                self._each_below(varm, replica.create_group_like(varm, written, key), self._whole)
            else:
                self.verbatim(raw, written, key)

    def _whole(self, node: Node, target: h5py.Group, name: str) -> None:
        self.element(node, target, name, None)

    def _fitting(self, node: Node, target: h5py.Group, name: str, rows: Index | None, axes: tuple[str, ...]) -> None:
        """Write an element along obs or var, unless it is of another length."""
        kind, shape = elements.encoding(node), elements.shape(node)
        expected = tuple(self._lengths[axis] for axis in axes if axis in self._lengths)
        is_sized = bool(shape) or (isinstance(node, h5py.Dataset) and kind != "null")
        if is_sized and kind in {"dataframe", "awkward-array"}:
            shape, expected = shape[:1], expected[:1]
        if (is_sized and shape[: len(expected)] != expected) or (kind == "null" and name != "X"):
            raise ElementError(
                f"{self.handle.place(node.name)} has shape {shape}, which does not fit {' and '.join(axes)}:"
                f" it was to begin with {', '.join(map(str, expected))}."
            )
        self.element(node, target, name, rows, rows if axes == ("obs", "obs") else None)

    def _obsmap(self, path: str, source: h5py.Group, target: h5py.Group, modality: str) -> None:
        node = self.child(source, modality)
        at = self._job.rows.get(f"{path}/mod/{modality}")
        if at is None or not isinstance(node, h5py.Dataset):
            raise ElementError(f"{self.handle.place(node.name)} belongs to no modality.")
        at = at[self._job.rows[path] >= 0]
        # counted from 1; 0 marks a cell that the modality lacks
        values = np.where(at >= 0, np.cumsum(at >= 0), 0).astype(node.dtype)
        shape = (len(at), *node.shape[1:])
        replica.write(replica.create_like(node, target, modality, shape), values.reshape(shape))

    def _uns(self, group: h5py.Group, target: h5py.Group, rows: Index, frames: Frames) -> None:
        source = self.child(group, "uns")
        if isinstance(source, h5py.Dataset):
            self.copy_node(source, target, "uns")
            return

        def member(parent: h5py.Group, into: h5py.Group, key: str) -> None:
            if key == "cellasso" and parent.name == "/uns":
                return
            if key in frames.kept and isinstance(node := self.child(parent, key), h5py.Dataset):
                frames.write_kept(node, into, key)
            elif key == "neighbors" and isinstance(node := self.child(parent, key), h5py.Group):
                self._each(node, replica.create_group_like(node, into, key), neighbors)
            else:
                self.verbatim(parent, into, key)

        def neighbors(parent: h5py.Group, into: h5py.Group, key: str) -> None:
            # before anndata 0.7 the graphs lay here; its reader moves them into obsp, where they must fit
            node = self.child(parent, key)
            graph = key in {"distances", "connectivities"} and elements.encoding(node)[:3] in {"csr", "csc"}
            if graph:
                self.element(node, into, key, rows, rows)
            else:
                self.verbatim(parent, into, key)

        self._each(source, replica.create_group_like(source, target, "uns"), member)

    def _provenance(self, source: h5py.Group, target: h5py.Group) -> None:
        if "uns" not in target:
            _encode(target.create_group("uns"), "dict", "0.1.0")
        if not isinstance(target["uns"], h5py.Group):
            return
        own = target["uns"].create_group("cellasso")
        _encode(own, "dict", "0.1.0")
        for key, value in {**self._job.provenance, "left_out": "\n".join(self.left_out)}.items():
            text = isinstance(value, str)
            own[key] = value
            _encode(own[key], "string" if text else "numeric-scalar", "0.2.0")
        if "uns" in source and "cellasso" in (uns := self._group(source, "uns")):
            self.attempt(lambda *_: self.copy_node(self.child(uns, "cellasso"), own, "previous"), uns, own, "previous")

    def _names_of_root(self, path: str) -> Names | None:
        """Return how obs of the file calls the cells of a modality, if the modality calls them otherwise.

        mudata knows a cell by its name alone: it takes those of other names for further cells, or refuses the
        file. R keeps patients in the one and samples in the other; obsmap says which are the same.
        """
        at, in_root = self._job.rows[path], self._job.rows[""]
        rows = at[at >= 0]
        in_root = in_root[at >= 0]
        root, own = Frame(self.handle, "/obs"), Frame(self.handle, f"{path}/obs")
        blocks = [slice(start, start + NAMES_BLOCK) for start in range(0, len(rows), NAMES_BLOCK)]
        index = _index(self.handle, root)
        if index is None or all(
            _names(self.handle, root, in_root[block]) == _names(self.handle, own, rows[block]) for block in blocks
        ):
            return None
        place = self.handle.place(own.path)
        if len({name for block in blocks for name in _names(self.handle, root, in_root[block])}) < len(rows):
            self.left_out.append(
                f"{place} calls cells otherwise than /obs does, where names repeat: mudata finds none."
            )
            return None
        column = free_name(OWN_NAMES, {*own.columns, own.index_name or ""})
        self.left_out.append(
            f"{place}: its cells are called as in /obs, or mudata would not know them; their own names are in its"
            f" column {column!r}."
        )
        self.intended.own_names[own.path] = column
        return Names(index, in_root, column)

    # -- elements -------------------------------------------------------------------------------------

    def element(
        self, node: Node, target: h5py.Group, name: str, rows: Index | None, columns: Index | None = None
    ) -> None:
        """Write the rows of one element (`None`: all of it), whatever its encoding."""
        if isinstance(node, h5py.Group):
            self._group_element(node, target, name, rows, columns)
        elif rows is None or not node.shape:
            self.copy_node(node, target, name)
        else:
            arrays.subset_dataset(self.handle, node, target, name, rows=rows, columns=columns, advance=self.advance)

    def _group_element(
        self, node: h5py.Group, target: h5py.Group, name: str, rows: Index | None, columns: Index | None
    ) -> None:
        kind = elements.encoding(node)
        for part in node:
            self.child(node, part)  # none may lead out of the file
        if kind == "dataframe":
            # anndata drops their unused categories even where all rows stay, and mudata with it
            Frames(self, node.parent, drop_unused=True).write(target, name, rows)
        elif rows is None and not self._is_odd(node):
            self.copy_node(node, target, name)
        elif kind in SPARSE:
            subset_sparse(self.handle, node, target, name, rows=rows, columns=columns, advance=self.advance)
        elif kind.startswith("nullable-"):
            self._nullable(node, target, name, rows)
        elif kind == "categorical":
            written = replica.create_group_like(node, target, name)
            for part in ("codes", "categories"):
                self.element(self.child(node, part), written, part, None if part == "categories" else rows)
        elif kind == "awkward-array" and rows is not None:
            arrays.subset_awkward(node, target, name, rows, advance=self.advance)
        else:
            raise ElementError(f"{self.handle.place(node.name)} has the encoding {kind!r}, which is not known here.")

    def _nullable(self, node: h5py.Group, target: h5py.Group, name: str, rows: Index | None) -> None:
        """Write values and flags; flags that are integers (R has no booleans in HDF5) with the type of flags."""
        written = replica.create_group_like(node, target, name)
        flags = elements.integer_flags(node)
        for part in ("mask", "values"):
            child = self.child(node, part)
            if not isinstance(child, h5py.Dataset) or child.ndim != 1:
                raise ElementError(f"{self.handle.place(child.name)} is no list of values; one was expected.")
            at = np.arange(child.shape[0]) if rows is None else rows
            dtype = np.dtype(np.bool_) if part in flags else native(child.dtype)
            arrays.subset_dataset(self.handle, child, written, part, rows=at, advance=self.advance, dtype=dtype)

    def _is_odd(self, node: h5py.Group) -> bool:
        """Whether anndata refuses an element that has one meaning, which is written so that it does not."""
        kind = elements.encoding(node)
        part = "data" if kind in SPARSE else "values" if kind.startswith("nullable-") else None
        if part is None or part not in members(node):
            return False
        values = self.child(node, part)
        if not isinstance(values, h5py.Dataset):
            return False
        if kind in SPARSE:
            return known_to_scipy(values.dtype) is not None
        return bool(elements.integer_flags(node)) or native(values.dtype) is not None

    def verbatim(self, source: h5py.Group, target: h5py.Group, name: str) -> None:
        """Copy a member of a group as it is, but for what points out of the file."""
        link = source.get(name, getlink=True)
        if isinstance(link, h5py.SoftLink):
            target[name] = h5py.SoftLink(link.path)
        else:
            self.copy_node(self.child(source, name), target, name)

    def copy_node(self, node: Node, target: h5py.Group, name: str) -> None:
        """Copy a dataset byte by byte, a group member by member; what is linked twice stays linked twice."""
        address = h5py.h5o.get_info(node.id).addr
        known = self._linked.get(address)
        if known is not None and known in target.file:
            target[name] = target.file[known]
            return
        self._linked[address] = f"{target.name.rstrip('/')}/{name}"
        if isinstance(node, h5py.Dataset):
            replica.copy_dataset(node, target, name)
            if node.shape is None and node.dtype.kind in "OSV":
                _encode(target[name], "null", "0.1.0")  # without this word anndata fails at a text that is not there
            arrays.Share(self.advance, node).reach(1.0)
        elif self._is_odd(node):
            self._group_element(node, target, name, None, None)
        else:
            self._each(node, replica.create_group_like(node, target, name), self.verbatim)

    def child(self, parent: h5py.Group, name: str) -> Node:
        """Return a member of a group, unless its values lie outside of the file."""
        return self.handle.child(parent, name)

    def attempt(
        self, write_member: Member, source: h5py.Group, target: h5py.Group, name: str, *, called: str | None = None
    ) -> bool:
        """Write one member and return whether that succeeded; what cannot be written is left out and named.

        Parameters
        ----------
        called
            Its name in the target, where it is not the source's.
        """
        called = called or name
        try:
            write_member(source, target, called)
        except (ElementError, NotFoundError) as error:
            self.left_out.append(self.sentence(error))
            self.intended.left_out.add(f"{source.name.rstrip('/')}/{name}")
            if called in target:
                del target[called]
            return False
        return True

    def sentence(self, error: Exception) -> str:
        """Return what an error says, with the file's name before the HDF5 path where it is missing."""
        return self.handle.place(str(error)) if str(error).startswith("/") else str(error)

    def advance(self, n_bytes: int) -> None:
        """Tell the fraction when it has grown enough to be seen."""
        before = STEPS * self._done // self._total
        self._done += n_bytes
        if STEPS * self._done // self._total > before:
            self._tell(min(1.0, self._done / self._total) * WRITTEN)

    def _each(self, source: h5py.Group, target: h5py.Group, write_member: Member) -> None:
        for name in self.named(source):
            self.attempt(write_member, source, target, name)

    def _each_below(
        self, source: h5py.Group, target: h5py.Group, write_element: Callable[[Node, h5py.Group, str], None]
    ) -> None:
        """Write each element of a group such as obsm; for a slash in its name, at which anndata fails, it gets `_`."""
        self.named(source)  # says which members nobody can ask for
        found = list(elements.below(self.handle, source))
        taken = {name for name, _ in found}

        def write(node: Node | Exception, _: h5py.Group, into: h5py.Group, name: str) -> None:
            if isinstance(node, Exception):
                raise node
            write_element(node, into, name)

        for name, node in found:
            called = free_name(name.replace("/", "_"), taken) if "/" in name else name
            taken.add(called)
            if self.attempt(partial(write, node), source, target, name, called=called) and called != name:
                path = f"{source.name}/{name}"
                self.intended.called[path] = called
                why = "anndata takes no slash in such a name"
                self.left_out.append(f"{self.handle.place(path)} is called {called!r} in the export: {why}.")

    def path_to(self, source: h5py.Group, target: h5py.Group, name: str) -> tuple[h5py.Group, h5py.Group, str]:
        """Return the groups that hold a member, and its name there: a name with slashes leads into groups below."""
        first, _, rest = name.partition("/")
        if not rest:
            return source, target, name
        inner = self._group(source, first)
        made = target[first] if first in target else replica.create_group_like(inner, target, first)
        return self.path_to(inner, made, rest)

    def named(self, group: h5py.Group) -> list[str]:
        """Return the names in a group; what has a name that is no UTF-8 is left out, and said so."""
        for name in group:
            if not isinstance(name, str):
                place = self.handle.place(group.name)
                self.left_out.append(f"{place} has a member whose name is not UTF-8: {name!a}.")
        return members(group)

    def _group(self, parent: h5py.Group, name: str) -> h5py.Group:
        node = self.child(parent, name)
        if not isinstance(node, h5py.Group):
            raise ElementError(f"{self.handle.place(node.name)} is a dataset; a group was expected.")
        return node


def _encode(node: Node, kind: str, version: str) -> None:
    node.attrs["encoding-type"] = kind
    node.attrs["encoding-version"] = version


def _repoint(source: h5py.Group, target: h5py.Group) -> None:
    """Give attributes that refer to an object (anndata 0.7: a column to its categories) the copy's object."""
    lacking: list[bytes] = []

    def compare(name: bytes, info: h5py.h5o.ObjInfo) -> None:
        with suppress(KeyError, RuntimeError):  # it is of the export alone
            if h5py.h5o.get_info(source.id, name).num_attrs > info.num_attrs:
                lacking.append(name)

    h5py.h5o.visit(target.id, compare, info=True)  # opens no object, of which there may be thousands
    for name in map(bytes.decode, lacking):
        for attribute in source[name].attrs:
            if refers(source[name].attrs.get_id(attribute).get_type()):
                _point(source, target, name, attribute)


def _point(source: h5py.Group, target: h5py.Group, name: str, attribute: str) -> None:
    reference = source[name].attrs[attribute]
    if not isinstance(reference, h5py.Reference) or not reference:  # arrays of them nobody writes
        return
    with suppress(KeyError, ValueError, RuntimeError, OSError):  # it leads nowhere, here and in the source
        referent = source[reference].name
        if referent is not None and referent in target:
            target[name].attrs[attribute] = target[referent].ref


def _index(handle: Handle, frame: Frame) -> Node | None:
    """Return the element that holds the names of a frame's rows."""
    node = handle.node(frame.path)
    if isinstance(node, h5py.Dataset) or frame.index_name is None:
        return None
    return handle.child(node, frame.index_name)


def _names(handle: Handle, frame: Frame, rows: Index) -> list[str]:
    """Return the names of some rows, which may stand in any order; holds no others where they are texts."""
    index = _index(handle, frame)
    if isinstance(index, h5py.Dataset) and index.ndim == 1 and h5py.check_string_dtype(index.dtype):
        return [elements.text(name) for name in arrays.take(index, rows).tolist()]
    return [str(name) for name in frame.names[rows]]


def _put_encoding_right(target: h5py.Group, kind: str) -> None:
    """Give a group the encoding that it has by what it holds: R's MuData writes "AnnData", which anndata refuses."""
    stated = target.attrs.get("encoding-type")
    if stated is not None and elements.text(stated) != kind:
        _encode(target, kind, "0.1.0")


def _end_with_parent(target: Path) -> None:
    """Wait until nobody is left who could want the export, and end without it."""
    while os.read(sys.stdin.fileno(), 1):
        pass
    target.unlink(missing_ok=True)
    os._exit(1)


def main() -> None:
    """Run the job on stdin."""
    # nothing but JSON lines may reach the parent, whatever a library prints
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def say(**line: object) -> None:
        answers.write(json.dumps(line) + "\n")
        answers.flush()

    job = Job.receive(sys.stdin.buffer)
    threading.Thread(target=_end_with_parent, args=(job.target,), daemon=True).start()
    try:
        left_out = write(job, lambda fraction: say(fraction=fraction))
        say(left_out=left_out)
    except BaseException as error:  # noqa: BLE001 - told to the parent, or it is gone
        job.target.unlink(missing_ok=True)
        with suppress(OSError):
            say(error=type(error).__name__, message=str(error), known=isinstance(error, CellassoError))
        # HDF5 would try once more to flush what did not fit, and crash
        os._exit(1)


if __name__ == "__main__":
    main()
