"""An export held against its source, element by element, before it gets its name.

The source may be deleted one day: a letter that an export lost without a word is then lost for good.
So what was written is read back and compared, by code that shares with the code that wrote it no more than the table
of what runs along which axis. Names, categories, colours, attributes, uns and all that is small is compared whole; of
what is large some rows, drawn for each element from a seed.

It runs in the process that wrote, on the file closed and opened again. A further process would cost each export its
start; the server's own is no place for it, because HDF5 may crash at what it wrote wrongly.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from h5py import h5d, h5l, h5o

from cellasso.core.errors import ExportError
from cellasso.encodings import elements
from cellasso.store.hdf5.handle import open_member
from cellasso.store.hdf5.stored_values import Side, Stored, same
from cellasso.write.comparison import ENCODING, SPARSE, Comparison, named

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cellasso.store.base import Store
    from cellasso.store.hdf5.nodes import Node
    from cellasso.store.hdf5.stored_values import Known
    from cellasso.write.arrays import IntArray
    from cellasso.write.job import Job


_DOES_NOT_FIT = (AttributeError, IndexError, KeyError, OSError, RuntimeError, TypeError, ValueError)
"""What h5py and NumPy raise about a file whose parts do not belong together."""


@dataclass(frozen=True)
class Intended:
    """Where an export is meant to differ from its source.

    Attributes
    ----------
    left_out
        HDF5 paths of the source that the export is not to have.
    called
        By HDF5 path in the source: the name that an element has in the export, where it could not keep its own.
    own_names
        By HDF5 path of an obs whose cells are called as in that of the file: the column that keeps their own names.
    known
        Not a difference, but what has been read of objects of the source already, by address.
    """

    left_out: set[str] = field(default_factory=set)
    called: dict[str, str] = field(default_factory=dict)
    own_names: dict[str, str] = field(default_factory=dict)
    known: dict[int, Known] = field(default_factory=dict)


@dataclass(frozen=True)
class _Table:
    """A data frame that is compared.

    Attributes
    ----------
    kept
        By name in uns: how many categories there were and which of them stay, of each column that says so.
    drop
        Whether categories without a cell are meant to go.
    store
        The categories that columns refer to, as anndata 0.7 kept them.
    index, own_names
        The columns of the export that hold the names of its rows, and those that the source had for them, if it is
        another.
    """

    path: str
    rows: IntArray | None
    kept: dict[str, list[tuple[int, IntArray]]]
    drop: bool
    store: h5py.Group | None = None
    index: str = ""
    own_names: str | None = None


def verify(job: Job, handle: Store, intended: Intended) -> None:
    """Compare an export, which is complete and closed, with its source.

    Reads all that is small and some rows of each large element, at most some 100 MB at a time.

    Parameters
    ----------
    job
        What was written, from where to where.
    handle
        The source, open.
    intended
        Where the two are meant to differ.

    Raises
    ------
    ExportError
        They differ where they are not meant to; the message says where, and what.
    """
    with (
        job.source.open("rb") as source,
        job.target.open("rb") as target,
        h5py.File(job.target, "r", locking=False) as written,
    ):
        both = Side(handle.root(), source.fileno()), Side(written["/"], target.fileno())
        try:
            _Verification(job, handle, *both, intended).annotated(both[0].root, both[1].root, "")
        except ExportError:
            raise
        except _DOES_NOT_FIT as error:
            raise ExportError(f"The export was not kept, because it does not fit its source: {error}") from error


class _Verification(Comparison):
    """Walks the members of the source as HDF5 lists them, and looks for each in the export."""

    def __init__(self, job: Job, handle: Store, source: Side, target: Side, intended: Intended) -> None:
        super().__init__(source, target, intended.left_out, intended.known)
        self._job = job
        self._handle = handle
        self._intended = intended

    # -- groups ---------------------------------------------------------------------------------------

    def annotated(self, s: h5py.Group, t: h5py.Group, path: str) -> None:
        """Compare the AnnData at a path, or the MuData with its modalities."""
        at = self._job.rows[path]
        rows, is_mudata = at[at >= 0], "mod" in s
        stated, found = elements.encoding(s), elements.encoding(t)
        expected = stated if stated == "dict" else "MuData" if is_mudata else "anndata"  # old files state none
        self.attributes(s.id, t.id, path or "/", changed=() if stated == expected else ENCODING)
        if found != expected:
            raise self.difference(path, f"its encoding is {found!r}, not {expected!r}")
        kept: dict[str, list[tuple[int, IntArray]]] = {}
        for name in self.members(s, t, path, may_be_added=() if path else ("uns",)):
            inside = f"{path}/{name}"
            if name in {"obs", "var"}:
                self._frame(s[name], t[name], _Table(inside, rows if name == "obs" else None, kept, not is_mudata))
            elif name != "uns" and elements.is_nothing(s[name]):
                self.member(s, t, name, inside)
            elif name in elements.AXES:
                axes = elements.AXES[name]
                columns = rows if axes == ("obs", "obs") else None
                compare = self.element if name in {"X", "raw.X"} else self._mapping
                compare(s[name], t[name], inside, rows if axes[0] == "obs" else None, columns)
            elif name == "raw":
                self._raw(s[name], t[name], inside, rows)
            elif is_mudata and name == "mod":
                self.attributes(s[name].id, t[name].id, inside)
                for modality in self.members(s[name], t[name], inside):
                    self.annotated(s[name][modality], t[name][modality], f"{inside}/{modality}")
            elif is_mudata and name == "obsmap":
                self._obsmap(s[name], t[name], path)
            elif name != "uns":
                self.member(s, t, name, inside)
        if "uns" in s and f"{path}/uns" not in self.left_out:
            self._uns(s["uns"], t["uns"], path, rows, kept)

    def element(self, s: Node, t: Node, path: str, rows: IntArray | None, columns: IntArray | None = None) -> None:
        """Compare the rows of an element; of a data frame without its unused categories."""
        if isinstance(s, h5py.Group) and elements.encoding(s) == "dataframe":
            self._frame(s, t, _Table(path, rows, {}, drop=True))
        else:
            super().element(s, t, path, rows, columns)

    def _mapping(self, s: Node, t: Node, path: str, rows: IntArray | None, columns: IntArray | None) -> None:
        """Compare the elements of obsm, layers and the like, whatever a slash in their names has made of them."""
        if isinstance(s, h5py.Dataset):  # before anndata 0.7: one compound dataset
            self.element(s, t, path, rows, columns)
            return
        self.attributes(s.id, t.id, path)
        expected = set()
        for inside, node in self._below(s, path):
            called = self._intended.called.get(inside, inside.removeprefix(f"{path}/"))
            expected.add(called)
            if called not in t:
                raise self.difference(inside, "it is missing")
            self.element(node, t[called], inside, rows, columns)
        if set(t) != expected:
            raise self.difference(path, f"it has {named(set(t) - expected)}")

    def _below(self, s: h5py.Group, path: str) -> Iterator[tuple[str, Node]]:
        for name in s:
            inside = f"{path}/{name}"
            if not isinstance(name, str) or inside in self.left_out:
                continue
            node = s[name]
            if isinstance(node, h5py.Group) and elements.encoding(node) == "dict" and len(node):
                yield from self._below(node, inside)
            else:
                yield inside, node

    def _raw(self, s: h5py.Group, t: h5py.Group, path: str, rows: IntArray) -> None:
        self.attributes(s.id, t.id, path)
        for name in self.members(s, t, path):
            inside = f"{path}/{name}"
            if name == "X":
                self.element(s[name], t[name], inside, rows)
            elif name == "varm" and isinstance(s[name], h5py.Group):
                self._mapping(s[name], t[name], inside, None, None)
            else:
                self.member(s, t, name, inside)

    def _obsmap(self, s: h5py.Group, t: h5py.Group, path: str) -> None:
        self.attributes(s.id, t.id, f"{path}/obsmap")
        for modality in self.members(s, t, f"{path}/obsmap"):
            self.attributes(s[modality].id, t[modality].id, f"{path}/obsmap/{modality}")
            at = self._job.rows[f"{path}/mod/{modality}"][self._job.rows[path] >= 0]
            # counted from 1, in the order of the cells; 0 marks a cell that the modality lacks
            expected = np.zeros(len(at), dtype=np.int64)
            expected[at >= 0] = np.arange(1, int((at >= 0).sum()) + 1)
            if not np.array_equal(t[modality][...].ravel(), expected):
                raise self.difference(f"{path}/obsmap/{modality}", "it does not lead to the modality's cells")

    # -- uns ------------------------------------------------------------------------------------------

    def _uns(self, s: Node, t: Node, path: str, rows: IntArray, kept: dict[str, list[tuple[int, IntArray]]]) -> None:
        at, own = f"{path}/uns", {"cellasso"} if not path else set()
        if isinstance(s, h5py.Dataset):
            self.dataset(s.id, t.id, at)
            return
        self.attributes(s.id, t.id, at)
        names = {name for name in s if isinstance(name, str) and f"{at}/{name}" not in self.left_out} - own
        of_categories = {n for n in names & kept.keys() if isinstance(s.get(n), h5py.Dataset) and s[n].ndim == 1}
        for name in of_categories:
            self._of_categories(s[name], t.get(name), f"{at}/{name}", kept[name])
        for name in self.members(s, t, at, may_be_added=own | of_categories, may_lack=own | of_categories):
            inside = f"{at}/{name}"
            if name == "neighbors" and isinstance(s[name], h5py.Group):
                self._neighbors(s[name], t[name], inside, rows)
            else:
                self.member(s, t, name, inside)

    def _neighbors(self, s: h5py.Group, t: h5py.Group, path: str, rows: IntArray) -> None:
        """Compare what anndata 0.6 kept there: graphs among the cells, and words on how they were made."""
        self.attributes(s.id, t.id, path)
        for name in self.members(s, t, path):
            if name in {"distances", "connectivities"} and elements.encoding(s[name]) in SPARSE:
                self.element(s[name], t[name], f"{path}/{name}", rows, rows)
            else:
                self.member(s, t, name, f"{path}/{name}")

    def _of_categories(self, s: h5py.Dataset, t: Node | None, path: str, kept: list[tuple[int, IntArray]]) -> None:
        """Compare colours, or names, of the categories that stay; those of another number of categories go."""
        stay = np.arange(s.shape[0])
        for n_categories, used in kept:
            if len(stay) != n_categories:
                if t is not None:
                    raise self.difference(path, f"it is there, though not for {n_categories:,} categories")
                return
            stay = stay[used]
        if t is None:
            raise self.difference(path, "it is missing")
        self.dataset(s.id, t.id, path, stay)

    # -- data frames ----------------------------------------------------------------------------------

    def _frame(self, s: Node, t: Node, table: _Table) -> None:
        if isinstance(s, h5py.Dataset):
            self._records(s, t, table)
            return
        path, own = table.path, self._intended.own_names.get(table.path)
        self.attributes(s.id, t.id, path, changed={b"column-order", b"_index"})
        index = elements.text(t.attrs.get("_index", ""))
        if index not in t:
            raise self.difference(path, "it has no index")
        table = replace(table, store=elements.category_store(self._handle, s), index=index, own_names=own)
        self._index(s, t, table)
        self._columns(s, t, table, path)
        here = set(s) & set(t)
        stated = dict.fromkeys(elements.names(s, "column-order"))
        stated = dict.fromkeys(c for c in stated if c in here or ("/" in c and self._is_kept(s, t, path, c)))
        if own is not None:  # the index holds other names now
            stated.pop(index, None)
        for column in stated:
            first = column.partition("/")[0]
            if first != column and first in stated:  # it lies in the group of another column
                self._column(s, t, column, table, path)
        if elements.names(t, "column-order") != [*stated, *([own] if own else [])]:
            raise self.difference(path, "its columns stand in another order")

    def _is_kept(self, s: h5py.Group, t: h5py.Group, path: str, column: str) -> bool:
        """Whether a column whose name has a slash is in both."""
        return f"{path}/{column}" not in self.left_out and column in s and column in t

    def _index(self, s: h5py.Group, t: h5py.Group, table: _Table) -> None:
        """Compare the names of the rows, all of them."""
        index, own, rows = table.index, table.own_names, table.rows
        path = f"{table.path}/{index}"
        if own is not None:
            root = self.source.root["obs"]
            stated = (elements.text(root.attrs.get("_index", "")), "_index", "index")
            at = self._job.rows[table.path.removesuffix("/obs")]
            of_root = root[next(name for name in stated if name in root)]
            self.names(of_root, t[index], path, self._job.rows[""][at >= 0])
            if index in s:
                self.names(s[index], t[own], f"{table.path}/{own}", rows)
        elif index in s:
            self.names(s[index], t[index], path, rows)
        elif rows is not None and t[index].asstr()[...].tolist() != rows.astype(str).tolist():
            raise self.difference(path, "its names are not the numbers of the rows")

    def _columns(self, s: h5py.Group, t: h5py.Group, table: _Table, path: str) -> None:
        """Compare the columns in a group: that of the frame, or one that a slash in their names leads to."""
        names = {table.index, table.own_names or table.index} if path == table.path else set()
        for name in self.members(s, t, path, may_be_added=names):
            if name not in names:
                self._column(s, t, name, table, path)

    def _column(self, s: h5py.Group, t: h5py.Group, name: str, table: _Table, path: str) -> None:
        copy, inside = h5o.open(t.id, name.encode()), f"{path}/{name}"
        link = s.id.links.get_info(name.encode())
        known = self.known.get(link.u) if link.type == h5l.TYPE_HARD else None  # `u` is the address then
        if known is not None and known.offset is not None and table.store is None:
            expected = Stored(self.source, known)
            if expected.is_in_one_piece:  # its values can be read without opening it
                self.known_dataset(expected, known.attributes, copy, inside, table.rows)
                return
        node = h5o.open(s.id, name.encode())
        if isinstance(node, h5d.DatasetID):
            self._array_column(node, copy, table, inside)
            return
        column, copied = h5py.Group(node), h5py.Group(copy)
        kind = "categorical" if known is not None and known.is_categorical else elements.encoding(column)
        if kind == "categorical":
            self._categorical(column, copied, table, inside)
        elif column == table.store:
            self.attributes(node, copy, inside)  # each category is compared with the column that refers to it
        elif kind == "dict":
            self.attributes(node, copy, inside)
            self._columns(column, copied, table, inside)
        else:
            self.element(column, copied, inside, table.rows)

    def _array_column(self, s: h5d.DatasetID, t: h5d.DatasetID, table: _Table, path: str) -> None:
        reference = h5py.Dataset(s).attrs.get("categories") if table.store is not None else None
        if not isinstance(reference, h5py.Reference):
            self.dataset(s, t, path, table.rows)
            return
        of_source = self.source.root.file[reference]
        of_target = self.target.root.file[h5py.Dataset(t).attrs["categories"]]
        if of_target.name != of_source.name:
            raise self.difference(path, "it refers to other categories")
        self._codes((h5py.Dataset(s), h5py.Dataset(t)), (of_source, of_target), table, path)

    def _categorical(self, s: h5py.Group, t: h5py.Group, table: _Table, path: str) -> None:
        self.attributes(s.id, t.id, path)
        codes, categories = ((open_member(s, name), open_member(t, name)) for name in ("codes", "categories"))
        self._codes(codes, categories, table, path)

    def _codes(
        self, codes_of: tuple[h5py.Dataset, h5py.Dataset], both: tuple[Node, Node], table: _Table, path: str
    ) -> None:
        """Compare every value of a categorical column, and its categories, in both files."""
        (s, t), (categories, copied) = codes_of, both
        self.attributes(s.id, t.id, path)
        n_categories = elements.shape(categories)[0]
        codes = Stored(self.source, s.id).read()
        codes = codes if table.rows is None else codes[table.rows]
        missing = _missing(categories)
        used = np.setdiff1d(np.unique(codes[codes >= 0]) if table.drop else np.arange(n_categories), missing)
        if table.drop or len(missing):
            column = path.removeprefix(f"{table.path}/")
            table.kept.setdefault(f"{column}_colors", []).append((n_categories, used))
        new_code = np.full(n_categories + 1, -1, dtype=np.int64)  # of the missing value, too, whose code is -1
        new_code[used] = np.arange(len(used))
        if t.dtype != s.dtype or not same(Stored(self.target, t.id).read().astype(np.int64), new_code[codes]):
            raise self.difference(path, "its values are not the source's")
        self.names(categories, copied, f"{path}'s categories", used if len(used) < n_categories else None)

    # -- anndata 0.6 and before -----------------------------------------------------------------------

    def _records(self, s: h5py.Dataset, t: h5py.Dataset, table: _Table) -> None:
        """Compare a compound dataset by the categories that its codes stand for."""
        self.attributes(s.id, t.id, table.path)
        if t.dtype != s.dtype:
            raise self.difference(table.path, "its columns are others")
        for name in s.dtype.names:
            inside = f"{table.path}/{name}"
            values, copied = s.fields(name)[...], t.fields(name)[...]
            values = values if table.rows is None else values[table.rows]
            n_categories = self._n_field_categories(s, table, name)
            if n_categories is not None:
                used = np.unique(values[values >= 0])
                for key in (f"{name}_categories", f"{name}_colors"):
                    table.kept.setdefault(key, []).append((n_categories, used))
                new_code = np.full(n_categories + 1, -1, dtype=values.dtype)
                new_code[used] = np.arange(len(used))
                values = new_code[values]
            if not same(copied, np.asarray(values)):
                raise self.difference(inside, "its values are not the source's")

    def _n_field_categories(self, s: h5py.Dataset, table: _Table, name: str) -> int | None:
        """Return how many categories uns has for a field, if they are this frame's and no other's."""
        group = s.parent
        uns, others = group.get("uns"), [group.get(n) for n in ("obs", "var")]
        owners = [each for each in others if isinstance(each, h5py.Dataset) and name in (each.dtype.names or ())]
        categories = uns.get(f"{name}_categories") if isinstance(uns, h5py.Group) else None
        if not table.drop or not isinstance(categories, h5py.Dataset) or categories.ndim != 1 or len(owners) != 1:
            return None
        codes: Any = s.fields(name)[...]
        is_code = codes.dtype.kind in "iu" and (not codes.size or -1 <= codes.min() <= codes.max() < len(categories))
        return len(categories) if is_code else None


def _missing(categories: Node) -> IntArray:
    """Return which categories are NaN: they are meant to go, for their cells have no value."""
    if not isinstance(categories, h5py.Dataset) or categories.dtype.kind != "f":
        return np.empty(0, dtype=np.int64)
    return np.flatnonzero(np.isnan(categories[...]))
