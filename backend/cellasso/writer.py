"""The child process of an export: `python -m cellasso.writer` writes what the job on its stdin says.

A process of its own, because an HDF5 write that meets a full disk ends in SIGSEGV. It imports h5py and
NumPy but neither anndata nor pandas, which take seconds. It answers on stdout in JSON lines:
`{"fraction": 0.5}`, at the end `{"left_out": [...]}`, or `{"error": "<class>", "message": "..."}`.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import h5py
import numpy as np

from cellasso import elements, subset
from cellasso.columns import Frames
from cellasso.compressed import subset_sparse
from cellasso.errors import CellassoError, ElementError, FileChangedError, NotFoundError
from cellasso.handle import Handle
from cellasso.job import Job

if TYPE_CHECKING:
    from collections.abc import Callable

    from cellasso.handle import Node
    from cellasso.subset import Index

Member: TypeAlias = "Callable[[h5py.Group, h5py.Group, str], None]"
"""Writes the member of that name from the first group into the second."""

STEPS = 500
"""How many times at most the fraction is told."""


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
            job.target, "x", libver=("v108" if modern else "earliest", "latest"), userblock_size=user_block
        ) as target:
            copy.file(root, target["/"])
        handle.root()  # raises when the source changed meanwhile
    with job.source.open("rb") as signed, job.target.open("r+b") as target:
        target.write(signed.read(user_block))  # mudata recognises its files by the text before HDF5's part
        target.flush()
        os.fsync(target.fileno())
    return copy.left_out


class Copy:
    """One export: walks the source and writes each element, subset where it is aligned to obs."""

    def __init__(self, handle: Handle, job: Job, tell: Callable[[float], None]) -> None:
        self.handle = handle
        self._job = job
        self._tell = tell
        self._total = _n_values(handle.root())
        self._done = 0
        self._linked: dict[int, str] = {}
        self.left_out: list[str] = []

    # -- groups ---------------------------------------------------------------------------------------

    def file(self, source: h5py.Group, target: h5py.Group) -> None:
        """Write everything below the root."""
        subset.copy_attributes(source, target)
        mudata = "mod" in source
        self._annotated(source, target, "")
        if mudata:
            self._modalities(source, target)
        self._provenance(source, target)
        _repoint(source, target)
        self._tell(1.0)

    def _modalities(self, source: h5py.Group, target: h5py.Group) -> None:
        mod = self._group(source, "mod")
        written = subset.create_group_like(mod, target, "mod")
        for name in mod:
            modality = self._group(mod, name)
            if "mod" in modality:
                raise ElementError(f"{modality.name} holds modalities of its own, which is not supported.")
            self._annotated(modality, subset.create_group_like(modality, written, name), f"/mod/{name}")
        if "obsmap" in source:
            obsmap = self._group(source, "obsmap")
            self._each(obsmap, subset.create_group_like(obsmap, target, "obsmap"), self._obsmap)

    def _annotated(self, source: h5py.Group, target: h5py.Group, path: str) -> None:
        """Write the AnnData-shaped group at `path`."""
        at = self._job.rows[path]
        rows = at[at >= 0]
        mudata = "mod" in source
        # mudata, unlike anndata, keeps categories that no cell of the subset has
        frames = Frames(self, source, drop_unused=not mudata)
        for name in source:
            if name in {"obs", "var"}:
                frames.write(target, name, rows if name == "obs" else None)
            elif name in {"X", "raw.X"}:
                self.element(self.child(source, name), target, name, rows)
            elif name in {"obsm", "layers", "obsp", "varm"}:
                self._aligned(self.child(source, name), target, name, None if name == "varm" else rows)
            elif name == "raw":
                self.attempt(partial(self._raw, rows), source, target, name)
            elif name != "uns" and not (mudata and name in {"mod", "obsmap"}):
                self.attempt(self.verbatim, source, target, name)
        if "uns" in source:
            self._uns(source, target, rows, frames)

    def _aligned(self, source: Node, target: h5py.Group, name: str, rows: Index | None) -> None:
        if isinstance(source, h5py.Dataset):  # before anndata 0.7: obsm as one compound dataset
            self.element(source, target, name, rows)
            return

        def member(parent: h5py.Group, into: h5py.Group, key: str) -> None:
            self.element(self.child(parent, key), into, key, rows, rows if name == "obsp" else None)

        self._each(source, subset.create_group_like(source, target, name), member)

    def _raw(self, rows: Index, source: h5py.Group, target: h5py.Group, name: str) -> None:
        raw = self._group(source, name)
        written = subset.create_group_like(raw, target, name)
        for key in raw:
            if key == "X":
                self.element(self.child(raw, key), written, key, rows)
            elif key == "varm":
                self._aligned(self.child(raw, key), written, key, None)
            else:
                self.verbatim(raw, written, key)

    def _obsmap(self, source: h5py.Group, target: h5py.Group, modality: str) -> None:
        node = self.child(source, modality)
        at = self._job.rows.get(f"/mod/{modality}")
        if at is None or not isinstance(node, h5py.Dataset):
            raise ElementError(f"{node.name} belongs to no modality.")
        # counted from 1; 0 marks a cell that the modality lacks
        values = np.where(at >= 0, np.cumsum(at >= 0), 0).astype(node.dtype)
        shape = (len(at), *node.shape[1:])
        subset.write(subset.create_like(node, target, modality, shape), values.reshape(shape))

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
                self._each(node, subset.create_group_like(node, into, key), neighbors)
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

        self._each(source, subset.create_group_like(source, target, "uns"), member)

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

    # -- elements -------------------------------------------------------------------------------------

    def element(
        self, node: Node, target: h5py.Group, name: str, rows: Index | None, columns: Index | None = None
    ) -> None:
        """Write the rows of one element (`None`: all of it), whatever its encoding."""
        kind = elements.encoding(node)
        if isinstance(node, h5py.Group):
            for part in node:
                self.child(node, part)  # none may lead out of the file
        if kind == "dataframe":
            # anndata drops their unused categories even where all rows stay, and mudata with it
            Frames(self, node.parent, drop_unused=True).write(target, name, rows)
        elif rows is None or (isinstance(node, h5py.Dataset) and not node.shape):
            self.copy_node(node, target, name)
        elif isinstance(node, h5py.Dataset):
            subset.subset_dataset(self.handle, node, target, name, rows=rows, columns=columns, advance=self.advance)
        elif kind in {"csr_matrix", "csc_matrix"}:
            subset_sparse(self.handle, node, target, name, rows=rows, columns=columns, advance=self.advance)
        elif kind == "categorical" or kind.startswith("nullable-"):
            written = subset.create_group_like(node, target, name)
            for part in node:
                self.element(self.child(node, part), written, part, None if part == "categories" else rows)
        elif kind == "awkward-array":
            subset.subset_awkward(node, target, name, rows, advance=self.advance)
        else:
            raise ElementError(f"{self.handle.place(node.name)} has the encoding {kind!r}, which is not known here.")

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
            h5py.h5o.copy(node.id, b".", target.id, name.encode())
            self.advance(int(node.size or 0))
        else:
            self._each(node, subset.create_group_like(node, target, name), self.verbatim)

    def child(self, parent: h5py.Group, name: str) -> Node:
        """Return a member of a group, unless its values lie outside of the file."""
        node = self.handle.child(parent, name)
        if h5py.h5o.get_info(node.id).fileno != h5py.h5o.get_info(parent.id).fileno:
            raise ElementError(f"{self.handle.place(parent.name)}/{name} leads to another file, which is not followed.")
        return node

    def attempt(self, write_member: Member, source: h5py.Group, target: h5py.Group, name: str) -> None:
        """Write one member; what cannot be written is left out and named."""
        try:
            write_member(source, target, name)
        except (ElementError, NotFoundError) as error:
            self.left_out.append(str(error))
            if name in target:
                del target[name]

    def advance(self, n_values: int) -> None:
        """Tell the fraction when it has grown enough to be seen."""
        before = STEPS * self._done // self._total
        self._done += n_values
        if STEPS * self._done // self._total > before:
            self._tell(min(1.0, self._done / self._total))

    def _each(self, source: h5py.Group, target: h5py.Group, write_member: Member) -> None:
        for name in source:
            self.attempt(write_member, source, target, name)

    def _group(self, parent: h5py.Group, name: str) -> h5py.Group:
        node = self.child(parent, name)
        if not isinstance(node, h5py.Group):
            raise ElementError(f"{self.handle.place(node.name)} is a dataset; a group was expected.")
        return node


def _n_values(root: h5py.Group) -> int:
    sizes: list[int] = []

    def visit(_name: str, node: Node) -> None:
        if isinstance(node, h5py.Dataset):
            sizes.append(int(node.size or 0))

    root.visititems(visit)
    return max(1, sum(sizes))


def _encode(node: Node, kind: str, version: str) -> None:
    node.attrs["encoding-type"] = kind
    node.attrs["encoding-version"] = version


def _repoint(source: h5py.Group, target: h5py.Group) -> None:
    """Give attributes that refer to an object (anndata 0.7: a column to its categories) the copy's object."""

    def visit(name: str, written: Node) -> None:
        node = source.get(name)
        for attribute in node.attrs if node is not None else ():
            if h5py.check_ref_dtype(node.attrs.get_id(attribute).dtype) is not h5py.Reference:
                continue
            reference = node.attrs[attribute]
            referent = source[reference].name if reference else None
            if referent is not None and referent in target:
                written.attrs[attribute] = target[referent].ref

    target.visititems(visit)


def main() -> None:
    """Run the job on stdin."""
    # nothing but JSON lines may reach the parent, whatever a library prints
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def say(**line: object) -> None:
        answers.write(json.dumps(line) + "\n")
        answers.flush()

    job = Job.receive(sys.stdin.buffer)
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
