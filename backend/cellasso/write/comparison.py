"""One element of an export held against the same element of its source, whatever its encoding."""

from __future__ import annotations

import json
import zlib
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from cellasso.core.errors import ExportError
from cellasso.encodings import elements, registry, schema
from cellasso.encodings.awkward import Awkward
from cellasso.encodings.sparse import PARTS, SHAPES, is_csr, is_sparse
from cellasso.store.comparable import SMALL_BYTES, Stored, first_difference, same

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Iterable, Mapping

    from numpy.typing import NDArray

    from cellasso.store.base import Group
    from cellasso.store.comparable import Attribute, Side
    from cellasso.write.arrays import IntArray

    Member = Group | Stored

N_SAMPLED = 16
"""Rows that are compared of what is too large to be compared whole."""

SAMPLED_BYTES = 1 << 28
"""What may be read and inflated for them, in 0.3 s: a row of a matrix in tall chunks may cost as much by itself."""

BLOCK = 1 << 17
"""Names that are compared at a time: 20 MB of text."""

ENCODING = {b"encoding-type", b"encoding-version"}

MAY_BE_ADDED = {*ENCODING, b"ordered", b"_index", b"column-order"}
"""Attributes that an export may give to an element that lacks them."""


class Comparison:
    """Compares elements of two files; what differs is raised, with its path in the source.

    Parameters
    ----------
    source, target
        The two files.
    left_out
        Paths of the source that the export is not to have.
    """

    def __init__(self, source: Side, target: Side, left_out: Collection[str]) -> None:
        self.source = source
        self.target = target
        self.left_out = left_out
        self._copied: set[tuple[Hashable, Hashable]] = set()

    def difference(self, path: str, what: str) -> ExportError:
        """Return the error that says where the export differs, and how.

        Parameters
        ----------
        path
            Path in the source; `""`: the root.
        what
            The end of a sentence, without a full stop: what is other.
        """
        return ExportError(f"The export was not kept, because it differs from its source: {path or '/'}: {what}.")

    # -- elements -------------------------------------------------------------------------------------

    def element(self, s: Member, t: Member, path: str, rows: IntArray | None, columns: IntArray | None = None) -> None:
        """Compare some rows of an element, whatever its encoding, for obsp also the columns.

        Parameters
        ----------
        s, t
            The element in the source, and in the export.
        path
            Path in the source, for the message.
        rows, columns
            Positions in the source of what the export is to have along the first and the second axis, in its order;
            `None`: all.

        Raises
        ------
        ExportError
            They differ.
        """
        node, copy = self.alike(s, t, path)
        if isinstance(node, Stored):
            self.array(node, copy, path, rows, columns)
        else:
            self._group_element(node, copy, path, rows, columns)

    def _group_element(self, s: Group, t: Group, path: str, rows: IntArray | None, columns: IntArray | None) -> None:
        encoding = registry.find(s)
        if is_sparse(s):
            self._sparse(s, t, path, rows, columns)
        elif encoding is not None and encoding.parts:
            self.attributes(s, t, path)
            for name, has_rows in encoding.parts.items():
                self.element(*self.open(s, t, name), f"{path}/{name}", rows if has_rows else None)
        elif isinstance(encoding, Awkward) and rows is not None:
            self._ragged(s, t, path, rows)
        else:
            self.group(s, t, path)

    def alike(self, s: Any, t: Any, path: str) -> tuple[Any, Any]:
        """Return two members as they are, if both are groups or both are arrays.

        Parameters
        ----------
        s, t, path
            As of `element`.

        Raises
        ------
        ExportError
            One is a group, the other an array.
        """
        if isinstance(s, Stored) != isinstance(t, Stored):
            raise self.difference(path, f"it is {'a group' if isinstance(s, Stored) else 'an array'}")
        return s, t

    def open(self, s: Group, t: Group, name: str) -> tuple[Any, Any]:
        """Return the member of that name of both groups.

        Parameters
        ----------
        s, t
            The groups, of the source and of the export.
        name
            Of the member.
        """
        return self.source.open(s, name), self.target.open(t, name)

    def group(self, s: Group, t: Group, path: str) -> None:
        """Compare all that is in a group, member by member, and its attributes.

        Parameters
        ----------
        s, t, path
            As of `element`.

        Raises
        ------
        ExportError
            They differ.
        """
        self.attributes(s, t, path)
        for name in self.members(s, t, path):
            self.member(s, t, name, f"{path}/{name}")

    def member(self, s: Group, t: Group, name: str, path: str) -> None:
        """Compare what was copied as it is: a link, a dataset, or a group with all that is in it.

        A pair of groups that several paths lead to is compared once.

        Parameters
        ----------
        s, t
            The groups that hold it.
        name
            Its name in both.
        path
            Its Path in the source, for the message.

        Raises
        ------
        ExportError
            They differ.
        """
        link = self.source.store.soft_link(s, name)
        if link is not None:
            if self.target.store.soft_link(t, name) != link:
                raise self.difference(path, "the link is another")
            return
        node, copy = self.alike(*self.open(s, t, name), path)
        if isinstance(node, Stored):
            self.array(node, copy, path)
            return
        pair = self.source.store.key(node), self.target.store.key(copy)
        if pair not in self._copied:  # a group may contain itself
            self._copied.add(pair)
            self.group(node, copy, path)

    def members(
        self,
        s: Group,
        t: Group,
        path: str,
        *,
        may_be_added: Collection[str] = (),
        may_lack: Collection[str] = (),
    ) -> list[str]:
        """Return the names that both groups have to have, in the source's order.

        Names of the source that are no text, and paths in `left_out`, are not expected.

        Parameters
        ----------
        s, t, path
            As of `element`.
        may_be_added
            Names that the export may have beside them.
        may_lack
            Names of the source that are not looked for in the export; where it has one, that is an addition.

        Raises
        ------
        ExportError
            The export lacks a name, or has one that it is not meant to.
        """
        names = (name for name in s if isinstance(name, str) and name not in may_lack)
        expected = [name for name in names if f"{path}/{name}" not in self.left_out]
        found = set(t)
        missing, foreign = set(expected) - found, found - set(expected) - set(may_be_added)
        if missing or foreign:
            raise self.difference(path, f"it lacks {named(missing)}" if missing else f"it has {named(foreign)}")
        return expected

    def attributes(self, s: Group, t: Group, path: str, *, changed: Collection[bytes] = ()) -> None:
        """Compare the attributes of two groups: which there are, their types, shapes and values.

        Those in `MAY_BE_ADDED` may be in the export alone. The values of those that refer to objects are not compared:
        the objects lie elsewhere in another file.

        Parameters
        ----------
        s, t, path
            As of `element`.
        changed
            Names of attributes that are not compared.

        Raises
        ------
        ExportError
            They differ.
        """
        self.same_attributes(self.source.attributes(s), self.target.attributes(t), path, changed)

    def same_attributes(
        self,
        expected: Mapping[bytes, Attribute],
        found: Mapping[bytes, Attribute],
        path: str,
        changed: Collection[bytes] = (),
    ) -> None:
        """Compare attributes that were read.

        Parameters
        ----------
        expected, found
            Those of the source, and of the export, by name.
        path, changed
            As of `attributes`.

        Raises
        ------
        ExportError
            They differ.
        """
        for name in expected.keys() | found.keys():
            if name in changed or (name in MAY_BE_ADDED and name not in expected):
                continue
            if name not in found or name not in expected:
                what = "is missing" if name not in found else "is not the source's"
                raise self.difference(path, f"the attribute {name.decode(errors='replace')!r} {what}")
            if expected[name][1:] != found[name][1:] or expected[name].kind != found[name].kind:
                raise self.difference(path, f"the attribute {name.decode(errors='replace')!r} has another value")

    # -- arrays ---------------------------------------------------------------------------------------

    def array(
        self, s: Stored, t: Stored, path: str, rows: IntArray | None = None, columns: IntArray | None = None
    ) -> None:
        """Compare some rows of an array and its attributes.

        All values where both are small, see `are_small`; else `N_SAMPLED` rows or fewer.

        Parameters
        ----------
        s, t, path, rows, columns
            As of `element`.

        Raises
        ------
        ExportError
            They differ.
        """
        self.same_attributes(s.attributes, t.attributes, path, ENCODING if s.shape is None else ())
        shape = s.shape
        if shape and rows is not None:
            shape = (len(rows), *(shape[1:] if columns is None else (len(columns), *shape[2:])))
        if t.shape != shape:
            raise self.difference(path, f"its shape is {t.shape}, not {shape}")
        if shape is None or 0 in shape:
            self._conversion(s, t, path)
        else:
            self._values(s, t, path, rows, columns)

    def _values(
        self, expected: Stored, found: Stored, path: str, rows: IntArray | None, columns: IntArray | None
    ) -> None:
        convert = self._conversion(expected, found, path)
        if not expected.shape or are_small(expected, found):
            values, copied = expected.read(), found.read()
            values = values if rows is None else values[rows]
        else:
            at = sampled(len(rows) if rows is not None else expected.shape[0], path, expected, found)
            values, copied = expected.read_rows(at if rows is None else rows[at]), found.read_rows(at)
        if columns is not None:
            values = values[:, columns]
        self._same(copied, convert(values), path)

    def _same(self, copied: NDArray[Any], values: NDArray[Any], path: str) -> None:
        if not same(copied, values):
            row = first_difference(copied, values)
            raise self.difference(path, f"{shown(copied, row)} stands where the source has {shown(values, row)}")

    def names(self, s: Member, t: Member, path: str, rows: IntArray | None) -> None:
        """Compare the names of rows, all of them however many there are.

        Where the export has many of them in another order than the source, `N_SAMPLED` of each block.

        Parameters
        ----------
        s, t, path, rows
            As of `element`.

        Raises
        ------
        ExportError
            They differ.
        """
        expected, found = self.alike(s, t, path)
        shape = expected.shape if isinstance(expected, Stored) else None
        if shape is None or len(shape) != 1 or shape[0] <= BLOCK:
            self.element(s, t, path, rows)
            return
        rows = np.arange(shape[0]) if rows is None else rows
        self.array(expected, found, path, rows)  # types, attributes, and shape
        order = np.argsort(rows, kind="stable")
        for start in range(0, shape[0], BLOCK):
            at = order[slice(*np.searchsorted(rows, (start, start + BLOCK), sorter=order))]
            if not len(at):
                continue
            values = expected.read_stretch(start, min(start + BLOCK, shape[0]))[rows[at] - start]
            low, high = int(at.min()), int(at.max()) + 1
            if high - low > 4 * BLOCK:  # in another order than the source's: they lie anywhere in the export
                at, values = at[:N_SAMPLED], values[:N_SAMPLED]
                self._same(found.read_rows(at), values, path)
            else:
                self._same(found.read_stretch(low, high)[at - low], values, path)

    def _conversion(self, expected: Stored, found: Stored, path: str) -> Callable[[NDArray[Any]], NDArray[Any]]:
        """Return how values of the source become the export's: as they are, or in a type that anndata can read."""
        if expected.has_type_of(found):
            return lambda values: values
        before, after = expected.dtype, found.dtype
        flags = before.kind in "iu" and after == np.bool_
        halves = before.kind == "f" and before.itemsize == 2 and after == np.float32
        if not (flags or halves or (before.kind in "iufc" and before.newbyteorder("=") == after)):
            raise self.difference(path, f"its type is {after}, not {before}")
        return lambda values: values.astype(after)

    # -- sparse matrices ------------------------------------------------------------------------------

    def _sparse(self, s: Group, t: Group, path: str, rows: IntArray | None, columns: IntArray | None) -> None:
        """Compare rows of a CSR matrix, or columns of a CSC one."""
        self.attributes(s, t, path, changed=set(map(str.encode, SHAPES)))
        taken = zip(elements.shape(s), (rows, columns), strict=True)
        shape = tuple(n if of_axis is None else len(of_axis) for n, of_axis in taken)
        if elements.shape(t) != shape:
            raise self.difference(path, f"its shape is {elements.shape(t)}, not {shape}")
        by_row = is_csr(s)
        majors, minors = (rows, columns) if by_row else (columns, rows)
        expected, found = _Lines(self.source, s), _Lines(self.target, t)
        for name, part, copied in zip(PARTS, expected.parts, found.parts, strict=True):
            self.same_attributes(part.attributes, copied.attributes, f"{path}/{name}")
        convert = self._conversion(expected.data, found.data, f"{path}/data")
        if found.n_major != shape[0 if by_row else 1] or found.n_stored != found.end:
            raise self.difference(path, "its indptr does not fit")
        at = np.arange(found.n_major) if are_small(expected, found) else sampled(found.n_major, path, expected, found)
        lengths, indices, data = expected.read(at if majors is None else majors[at])
        if minors is not None:
            lengths, indices, data = _among(minors, lengths, indices, data)
        for copy, right in zip(found.read(at), (lengths, indices, convert(data)), strict=True):
            if not same(copy, right):
                line = "row" if by_row else "column"
                raise self.difference(path, f"a {line} does not hold the source's values")

    # -- ragged arrays --------------------------------------------------------------------------------

    def _ragged(self, s: Group, t: Group, path: str, rows: IntArray) -> None:
        self.attributes(s, t, path, changed={b"length"})
        if int(t.attrs["length"]) != len(rows):
            raise self.difference(path, f"it has {int(t.attrs['length']):,} rows, not {len(rows):,}")
        form = json.loads(schema.text(s.attrs["form"]))
        buffers = _Buffers(self.source, s), _Buffers(self.target, t)
        expected, found = (partial(_ragged_row, form, each) for each in buffers)
        for at in sampled(len(rows), path).tolist():
            if found(at) != expected(int(rows[at])):
                raise self.difference(path, f"row {at:,} does not hold the source's values")


class _Lines:
    """The rows of a CSR matrix or the columns of a CSC one, read line by line."""

    def __init__(self, side: Side, group: Group) -> None:
        self.parts: list[Stored] = [side.open(group, name) for name in PARTS]
        self.data, self.indices, self.indptr = self.parts
        self.n_major = (self.indptr.shape or (0,))[0] - 1
        self.n_stored = (self.indices.shape or (0,))[0]
        self.n_bytes = self.indptr.n_bytes + self.indices.n_bytes + self.data.n_bytes

    @property
    def end(self) -> int:
        """Where the last line ends."""
        return int(self.indptr.read_rows(np.array([self.n_major]))[0])

    @property
    def band_bytes(self) -> int:
        """What HDF5 handles to read one line, about."""
        return self.indptr.band_bytes + self.indices.band_bytes + self.data.band_bytes

    def read(self, majors: IntArray) -> tuple[IntArray, NDArray[Any], NDArray[Any]]:
        """Return how many values each line has, and their indices and values, one line after the other."""
        starts, stops = (self.indptr.read_rows(majors + past).astype(np.int64) for past in (0, 1))
        lengths = stops - starts
        indices, data = (part.read_stretches(starts, lengths) for part in (self.indices, self.data))
        return lengths, indices.astype(np.int64), data


def _among(
    minors: IntArray, lengths: IntArray, indices: NDArray[Any], data: NDArray[Any]
) -> tuple[IntArray, NDArray[Any], NDArray[Any]]:
    """Return what lines keep of the other axis, and where it stands among `minors`."""
    order = np.argsort(minors, kind="stable")
    at = np.searchsorted(minors, indices, sorter=order)
    at = order[np.minimum(at, len(order) - 1)] if len(order) else np.zeros_like(indices)
    kept = minors[at] == indices if len(order) else np.zeros(len(indices), dtype=np.bool_)
    line = np.repeat(np.arange(len(lengths)), lengths)
    return np.bincount(line[kept], minlength=len(lengths)), at[kept].astype(np.int64), data[kept]


class _Buffers:
    """The buffers of a ragged array by name, the small ones in memory: its strings are read letter by letter."""

    def __init__(self, side: Side, group: Group) -> None:
        self._side = side
        self._group = group
        self._found: dict[str, Stored | NDArray[Any]] = {}

    def read(self, name: str, start: int, stop: int) -> NDArray[Any]:
        """Read values `start` to `stop` of a buffer."""
        found = self._found.get(name)
        if found is None:
            stored = self._side.open(self._group, name)
            found = self._found[name] = stored.read() if stored.n_bytes <= SMALL_BYTES else stored
        return found[start:stop] if isinstance(found, np.ndarray) else found.read_stretch(start, stop)

    def one(self, name: str, at: int) -> Any:
        """Read one value of a buffer."""
        return self.read(name, at, at + 1)[0]


def _ragged_row(form: Any, buffers: _Buffers, at: int) -> Any:
    """Return one value of a ragged array, nested as it is."""
    kind, key = form["class"], form.get("form_key")
    if kind == "RecordArray":
        return [_ragged_row(content, buffers, at) for content in form["contents"]]
    if kind == "NumpyArray":
        return buffers.read(f"{key}-data", at, at + 1).tobytes()
    if kind == "EmptyArray":
        return None
    content = form["content"]
    if kind in {"ListOffsetArray", "RegularArray"}:
        size = form.get("size", 0)
        start, stop = (at * size, at * size + size)
        if kind == "ListOffsetArray":
            start, stop = (int(n) for n in buffers.read(f"{key}-offsets", at, at + 2))
        if content["class"] == "NumpyArray" and not content.get("inner_shape"):
            return buffers.read(f"{content['form_key']}-data", start, stop).tobytes()
        return [_ragged_row(content, buffers, inner) for inner in range(start, stop)]
    if kind in {"IndexedOptionArray", "IndexedArray"}:
        inner = int(buffers.one(f"{key}-index", at))
        return None if inner < 0 else _ragged_row(content, buffers, inner)
    if kind == "ByteMaskedArray" and bool(buffers.one(f"{key}-mask", at)) != form["valid_when"]:
        return None
    return _ragged_row(content, buffers, at)


# -- words ------------------------------------------------------------------------------------------------


def are_small(*both: Stored | _Lines) -> bool:
    """Whether what is stored is compared whole."""
    return all(each.n_bytes <= SMALL_BYTES for each in both)


def sampled(n: int, path: str, *both: Stored | _Lines) -> IntArray:
    """Return the first of `n` rows, the last, and some between, `(m,)` ascending; the same for the same path.

    Parameters
    ----------
    n
        How many rows there are; all of them where they are few.
    path
        Path of the element, from which the seed is made.
    both
        What is read: `N_SAMPLED` rows, or fewer where reading them would inflate more than `SAMPLED_BYTES`; the first
        and the last in any case.
    """
    most = min([N_SAMPLED, *(SAMPLED_BYTES // max(1, each.band_bytes) for each in both)])
    if n <= max(2, most):
        return np.arange(n)
    drawn = np.random.default_rng(zlib.crc32(path.encode(errors="replace"))).integers(1, n - 1, max(0, most - 2))
    return np.unique([0, *drawn.tolist(), n - 1])


def named(names: Iterable[str]) -> str:
    """Return some names for a message."""
    first, *more = sorted(names)
    return f"{first[:60]!r}" + (f" and {len(more):,} more" if more else "")


def shown(values: NDArray[Any], row: int) -> str:
    """Return a value as a message shows it: its first three numbers or texts, 40 characters at most.

    Parameters
    ----------
    values
        `(n_rows, ...)`.
    row
        Which of them; one beyond the end shows as "nothing".
    """
    if row >= len(values):
        return "nothing"
    value = np.asarray(values[row]).ravel()
    words = ", ".join(schema.text(each) if isinstance(each, bytes) else str(each) for each in value[:3].tolist())
    return repr(words[:40])
