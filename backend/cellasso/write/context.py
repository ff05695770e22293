"""One export while it is written: what its parts share, and writing one element whatever its encoding."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from cellasso.core.errors import ElementError, NotFoundError
from cellasso.core.text import free_name
from cellasso.encodings import registry, schema
from cellasso.encodings.awkward import Awkward
from cellasso.encodings.sparse import is_sparse
from cellasso.store.base import Array, Group, members
from cellasso.write import arrays
from cellasso.write.awkward import subset_awkward
from cellasso.write.sparse import subset_sparse
from cellasso.write.transfer import Share, Transfer, set_encoding
from cellasso.write.verification import Intended

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    from cellasso.encodings.base import Encoding
    from cellasso.store.base import Node, Store
    from cellasso.store.new_file import NewFile
    from cellasso.write.arrays import IntArray

Member: TypeAlias = "Callable[[Group, Group, str], None]"
"""Writes the member of that name from the first group into the second."""

Writer: TypeAlias = "Callable[[Context, Node, Group, str, IntArray | None], None]"
"""Writes some rows (`None`: all) of an element into a group, under a name."""

WRITTEN = 0.95
"""The fraction that is reported when all is written; the rest is for its comparison with the source."""

STEPS = 500
"""How many times at most the fraction is reported."""


class Context:
    """One export.

    Parameters
    ----------
    handle
        The source.
    new
        The export.
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
    transfer
        What those who write arrays need of it.
    """

    def __init__(
        self, handle: Store, new: NewFile, tell: Callable[[float], None], writers: Mapping[str, Writer]
    ) -> None:
        self.handle = handle
        self.new = new
        self.transfer = Transfer(handle, new, self.advance)
        self._tell = tell
        self._writers = writers
        self._total = max(1, handle.fingerprint.size)
        self._done = 0
        self._linked: dict[Hashable, str] = {}
        self.left_out: list[str] = []
        self.intended = Intended()

    # -- elements -------------------------------------------------------------------------------------

    def element(
        self, node: Node, target: Group, name: str, rows: IntArray | None, columns: IntArray | None = None
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
        if isinstance(node, Group):
            self._group_element(node, target, name, rows, columns)
        elif rows is None or not node.shape:
            self.copy_node(node, target, name)
        else:
            arrays.subset_array(self.transfer, node, target, name, rows=rows, columns=columns)

    def _group_element(
        self, node: Group, target: Group, name: str, rows: IntArray | None, columns: IntArray | None
    ) -> None:
        kind, encoding = schema.encoding(node), registry.find(node)
        for part in node:
            self.child(node, part)  # raises where one leads out of the file
        if kind in self._writers:
            self._writers[kind](self, node, target, name, rows)
        elif rows is None and not self._is_odd(node):
            self.copy_node(node, target, name)
        elif is_sparse(node):
            subset_sparse(self.transfer, node, target, name, rows=rows, columns=columns)
        elif kind in Awkward.names and rows is not None:
            subset_awkward(self.transfer, node, target, name, rows)
        elif encoding is not None and encoding.parts:
            self._parts(encoding, node, target, name, rows)
        else:
            raise ElementError(f"{self.handle.place(node.name)} has the encoding {kind!r}, which is not known here.")

    def _parts(self, encoding: Encoding, node: Group, target: Group, name: str, rows: IntArray | None) -> None:
        """Write the arrays of which an element consists, in types that anndata reads."""
        written = self.new.group_like(node, target, name)
        dtypes = encoding.conversions(self.handle, node)
        for part, has_rows in encoding.parts.items():
            child = self.child(node, part)
            if has_rows and (not isinstance(child, Array) or child.ndim != 1):
                raise ElementError(f"{self.handle.place(child.name)} is no list of values; one was expected.")
            if part in dtypes and isinstance(child, Array):
                at = np.arange(child.size) if rows is None else rows
                arrays.subset_array(self.transfer, child, written, part, rows=at, dtype=dtypes[part])
            else:
                self.element(child, written, part, rows if has_rows else None)

    def _is_odd(self, node: Group) -> bool:
        """Whether anndata refuses an element that has one meaning, which is written so that it does not."""
        encoding = registry.find(node)
        return encoding is not None and bool(encoding.conversions(self.handle, node))

    def copy_unchanged(self, source: Group, target: Group, name: str) -> None:
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
        path = self.handle.soft_link(source, name)
        if path is not None:
            self.new.link_to(target, name, path)
        else:
            self.copy_node(self.child(source, name), target, name)

    def copy_node(self, node: Node, target: Group, name: str) -> None:
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
        key = self.handle.key(node)
        known = self._linked.get(key)
        written = self.new.root().get(known) if known is not None else None
        if written is not None:
            self.new.link(target, name, written)
            return
        self._linked[key] = f"{target.name.rstrip('/')}/{name}"
        if isinstance(node, Array):
            self.new.copy_array(node, target, name)
            if node.shape is None and node.dtype.kind in "OSV":
                set_encoding(self.new, target.get(name), "null", "0.1.0")  # without this anndata fails at an empty text
            Share(self.transfer, node).reach(1.0)
        elif self._is_odd(node):
            self._group_element(node, target, name, None, None)
        else:
            self.each(node, self.new.group_like(node, target, name), self.copy_unchanged)

    def child(self, parent: Group, name: str) -> Node:
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
        self, write_member: Member, source: Group, target: Group, name: str, *, called: str | None = None
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
                self.new.remove(target, called)
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

    def each(self, source: Group, target: Group, write_member: Member) -> None:
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

    def each_below(self, source: Group, target: Group, write_element: Callable[[Node, Group, str], None]) -> None:
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
        found = list(schema.below(self.handle, source))
        taken = {name for name, _ in found}

        def write(node: Node | Exception, _: Group, into: Group, name: str) -> None:
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

    def path_to(self, source: Group, target: Group, name: str) -> tuple[Group, Group, str]:
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
        made = target.get(first) if first in target else self.new.group_like(inner, target, first)
        return self.path_to(inner, made, rest)

    def named(self, group: Group) -> list[str]:
        """Return the names in a group that are UTF-8; of others `left_out` gets a sentence each."""
        for name in group:
            if not isinstance(name, str):
                place = self.handle.place(group.name)
                self.left_out.append(f"{place} has a member whose name is not UTF-8: {name!a}.")
        return members(group)

    def group(self, parent: Group, name: str) -> Group:
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
        return self.handle.child_group(parent, name)
