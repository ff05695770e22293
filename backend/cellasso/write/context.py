"""One export while it is written: what its parts share, and writing one element whatever its encoding."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import h5py
import numpy as np

from cellasso.core.errors import ElementError, NotFoundError
from cellasso.core.numeric import foreign_order
from cellasso.core.text import free_name
from cellasso.encodings import elements
from cellasso.store.base import members
from cellasso.store.hdf5 import replica
from cellasso.write import arrays
from cellasso.write.sparse import known_to_scipy, subset_sparse
from cellasso.write.verification import Intended

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cellasso.store.base import Store
    from cellasso.store.hdf5.nodes import Node
    from cellasso.write.arrays import IntArray

Member: TypeAlias = "Callable[[h5py.Group, h5py.Group, str], None]"
"""Writes the member of that name from the first group into the second."""

Writer: TypeAlias = "Callable[[Context, Node, h5py.Group, str, IntArray | None], None]"
"""Writes some rows (`None`: all) of an element into a group, under a name."""

WRITTEN = 0.95
"""The fraction that is reported when all is written; the rest is for its comparison with the source."""

SPARSE = {"csr_matrix", "csc_matrix"}

STEPS = 500
"""How many times at most the fraction is reported."""


class Context:
    """One export.

    Parameters
    ----------
    handle
        The source.
    tell
        Told the fraction written.
    writers
        By `encoding-type`: how elements are written that are made of others.

    Attributes
    ----------
    left_out
        A sentence for each element that could not be written.
    intended
        In what the export is meant to differ from its source.
    templates
        What makes objects of which many are alike.
    """

    def __init__(self, handle: Store, tell: Callable[[float], None], writers: Mapping[str, Writer]) -> None:
        self.handle = handle
        self._tell = tell
        self._writers = writers
        self._total = max(1, handle.fingerprint.size)
        self._done = 0
        self._linked: dict[int, str] = {}
        self.left_out: list[str] = []
        self.templates = replica.Templates()
        self.intended = Intended(known=self.templates.known)

    # -- elements -------------------------------------------------------------------------------------

    def element(
        self, node: Node, target: h5py.Group, name: str, rows: IntArray | None, columns: IntArray | None = None
    ) -> None:
        """Write some rows of one element, whatever its encoding.

        Parameters
        ----------
        node
            Of the source.
        target, name
            Group of the export, and the name of the copy in it.
        rows, columns
            Positions along the first and the second axis, in the order of the export; `None`: all. Columns only of a
            dataset or a sparse matrix.

        Raises
        ------
        ElementError
            It is damaged, leads out of the file, or its encoding is not known; a part of it may be written by then.
        NotFoundError
            A part of it is missing.
        """
        if isinstance(node, h5py.Group):
            self._group_element(node, target, name, rows, columns)
        elif rows is None or not node.shape:
            self.copy_node(node, target, name)
        else:
            arrays.subset_dataset(self.handle, node, target, name, rows=rows, columns=columns, advance=self.advance)

    def _group_element(
        self, node: h5py.Group, target: h5py.Group, name: str, rows: IntArray | None, columns: IntArray | None
    ) -> None:
        kind = elements.encoding(node)
        for part in node:
            self.child(node, part)  # raises where one leads out of the file
        if kind in self._writers:
            self._writers[kind](self, node, target, name, rows)
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

    def _nullable(self, node: h5py.Group, target: h5py.Group, name: str, rows: IntArray | None) -> None:
        """Write values and flags; flags that are integers (R has no booleans in HDF5) with the type of flags."""
        written = replica.create_group_like(node, target, name)
        flags = elements.integer_flags(node)
        for part in ("mask", "values"):
            child = self.child(node, part)
            if not isinstance(child, h5py.Dataset) or child.ndim != 1:
                raise ElementError(f"{self.handle.place(child.name)} is no list of values; one was expected.")
            at = np.arange(child.shape[0]) if rows is None else rows
            dtype = np.dtype(np.bool_) if part in flags else foreign_order(child.dtype)
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
        return bool(elements.integer_flags(node)) or foreign_order(values.dtype) is not None

    def copy_unchanged(self, source: h5py.Group, target: h5py.Group, name: str) -> None:
        """Copy a member of a group as it is: a soft link as a link, anything else with all that is in it.

        Parameters
        ----------
        source, target
            The groups, of the source and of the export.
        name
            Of the member in both.

        Raises
        ------
        ElementError
            It leads out of the file. A member of a group that does is left out and named instead.
        NotFoundError
            There is no such member.
        """
        link = source.get(name, getlink=True)
        if isinstance(link, h5py.SoftLink):
            target[name] = h5py.SoftLink(link.path)
        else:
            self.copy_node(self.child(source, name), target, name)

    def copy_node(self, node: Node, target: h5py.Group, name: str) -> None:
        """Copy a dataset byte by byte, a group member by member; what is linked twice stays linked twice.

        Elements that anndata refuses though their meaning is plain (half precision, a foreign byte order, integer
        flags) are written so that it reads them.

        Parameters
        ----------
        node
            Of the source.
        target, name
            Group of the export, and the name of the copy in it.

        Raises
        ------
        ElementError
            As `element`. A member of a group that cannot be copied is left out and named instead.
        """
        address = h5py.h5o.get_info(node.id).addr
        known = self._linked.get(address)
        if known is not None and known in target.file:
            target[name] = target.file[known]
            return
        self._linked[address] = f"{target.name.rstrip('/')}/{name}"
        if isinstance(node, h5py.Dataset):
            replica.copy_dataset(node, target, name)
            if node.shape is None and node.dtype.kind in "OSV":
                set_encoding(target[name], "null", "0.1.0")  # without this anndata fails at an empty text
            arrays.Share(self.advance, node).reach(1.0)
        elif self._is_odd(node):
            self._group_element(node, target, name, None, None)
        else:
            self.each(node, replica.create_group_like(node, target, name), self.copy_unchanged)

    def child(self, parent: h5py.Group, name: str) -> Node:
        """Return a member of a group of the source, each step to it guarded; see `Store.child`.

        Parameters
        ----------
        parent, name
            As of `Store.child`.

        Raises
        ------
        NotFoundError, ElementError
            As `Store.child`.
        """
        return self.handle.child(parent, name)

    def write_or_skip(
        self, write_member: Member, source: h5py.Group, target: h5py.Group, name: str, *, called: str | None = None
    ) -> bool:
        """Write one member and return whether that succeeded; what cannot be written is left out and named.

        Parameters
        ----------
        write_member
            Writes it. An `ElementError` or a `NotFoundError` of it is noted in `left_out`, and what it has written
            under the name is removed; any other error goes on to the caller.
        source, target
            The groups, of the source and of the export.
        name
            Of the member in the source.
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
        """Note bytes of the source that are dealt with, and report the fraction when it has grown enough to be seen."""
        before = STEPS * self._done // self._total
        self._done += n_bytes
        if STEPS * self._done // self._total > before:
            self._tell(min(1.0, self._done / self._total) * WRITTEN)

    def each(self, source: h5py.Group, target: h5py.Group, write_member: Member) -> None:
        """Write each member of a group; what cannot be written is left out and named.

        Parameters
        ----------
        source, target
            The groups, of the source and of the export.
        write_member
            As of `write_or_skip`.
        """
        for name in self.named(source):
            self.write_or_skip(write_member, source, target, name)

    def each_below(
        self, source: h5py.Group, target: h5py.Group, write_element: Callable[[Node, h5py.Group, str], None]
    ) -> None:
        """Write each element of a group such as obsm; what cannot be written is left out and named.

        An element whose name has a slash, at which anndata fails, gets a name with `_` instead that is not taken.

        Parameters
        ----------
        source, target
            The groups, of the source and of the export.
        write_element
            Writes an element of the source into a group, under a name.
        """
        self.named(source)  # notes the members whose names are not UTF-8
        found = list(elements.below(self.handle, source))
        taken = {name for name, _ in found}

        def write(node: Node | Exception, _: h5py.Group, into: h5py.Group, name: str) -> None:
            if isinstance(node, Exception):
                raise node
            write_element(node, into, name)

        for name, node in found:
            called = free_name(name.replace("/", "_"), taken) if "/" in name else name
            taken.add(called)
            if self.write_or_skip(partial(write, node), source, target, name, called=called) and called != name:
                path = f"{source.name}/{name}"
                self.intended.called[path] = called
                why = "anndata takes no slash in such a name"
                self.left_out.append(f"{self.handle.place(path)} is called {called!r} in the export: {why}.")

    def path_to(self, source: h5py.Group, target: h5py.Group, name: str) -> tuple[h5py.Group, h5py.Group, str]:
        """Return the groups that hold a member, and its name there: a name with slashes leads into groups below.

        Groups that the export lacks on the way are made like the source's.

        Parameters
        ----------
        source, target
            The groups, of the source and of the export.
        name
            Of the member, with or without slashes.

        Returns
        -------
        Group of the source, group of the export, last part of the name.

        Raises
        ------
        ElementError
            A part of the path is no group, or leads out of the file.
        NotFoundError
            A part of the path is missing in the source.
        """
        first, _, rest = name.partition("/")
        if not rest:
            return source, target, name
        inner = self.group(source, first)
        made = target[first] if first in target else replica.create_group_like(inner, target, first)
        return self.path_to(inner, made, rest)

    def named(self, group: h5py.Group) -> list[str]:
        """Return the names in a group that are UTF-8; of others `left_out` gets a sentence each."""
        for name in group:
            if not isinstance(name, str):
                place = self.handle.place(group.name)
                self.left_out.append(f"{place} has a member whose name is not UTF-8: {name!a}.")
        return members(group)

    def group(self, parent: h5py.Group, name: str) -> h5py.Group:
        """Return a member of a group of the source that has to be a group itself.

        Parameters
        ----------
        parent, name
            As of `child`.

        Raises
        ------
        ElementError
            It is a dataset; or as `child`.
        NotFoundError
            As `child`.
        """
        node = self.child(parent, name)
        if not isinstance(node, h5py.Group):
            raise ElementError(f"{self.handle.place(node.name)} is a dataset; a group was expected.")
        return node


def set_encoding(node: Node, kind: str, version: str) -> None:
    """Write in an object what it is: `encoding-type` and `encoding-version`.

    Parameters
    ----------
    node
        Of the export; what it says already is replaced.
    kind, version
        In anndata's words, such as `"string-array"` and `"0.2.0"`.
    """
    node.attrs["encoding-type"] = kind
    node.attrs["encoding-version"] = version
