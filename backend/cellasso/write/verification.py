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

import numpy as np

from cellasso.core.errors import CellassoError, ExportError
from cellasso.encodings import elements, schema
from cellasso.encodings.sparse import is_sparse
from cellasso.store.base import LIBRARY_ERRORS, Array, Group
from cellasso.store.comparable import Stored, same
from cellasso.write.comparison import ENCODING, Comparison, named

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from cellasso.store.comparable import Attribute, Side
    from cellasso.store.new_file import NewFile
    from cellasso.write.arrays import IntArray
    from cellasso.write.comparison import Member
    from cellasso.write.job import Job


@dataclass(frozen=True)
class Intended:
    """Where an export is meant to differ from its source.

    Attributes
    ----------
    left_out
        Paths of the source that the export is not to have.
    called
        By path in the source: the name that an element has in the export, where it could not keep its own.
    own_names
        By path of an obs whose cells are called as in that of the file: the column that keeps their own names.
    """

    left_out: set[str] = field(default_factory=set)
    called: dict[str, str] = field(default_factory=dict)
    own_names: dict[str, str] = field(default_factory=dict)


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
    store: Group | None = None
    index: str = ""
    own_names: str | None = None


def verify(job: Job, new: NewFile, intended: Intended) -> None:
    """Compare an export, which is complete and closed, with its source.

    Reads all that is small and some rows of each large element, at most some 100 MB at a time.

    Parameters
    ----------
    job
        What was written, from where to where.
    new
        The export.
    intended
        Where the two are meant to differ.

    Raises
    ------
    ExportError
        They differ where they are not meant to; the message says where, and what.
    """
    with new.reopen() as (source, target):
        try:
            _Verification(job, source, target, intended).annotated(source.root, target.root, "")
        except ExportError:
            raise
        except (CellassoError, *LIBRARY_ERRORS) as error:  # its parts do not belong together
            raise ExportError(f"The export was not kept, because it does not fit its source: {error}") from error


class _Verification(Comparison):
    """Walks the members of the source as its file lists them, and looks for each in the export."""

    def __init__(self, job: Job, source: Side, target: Side, intended: Intended) -> None:
        super().__init__(source, target, intended.left_out)
        self._job = job
        self._intended = intended

    # -- groups ---------------------------------------------------------------------------------------

    def annotated(self, s: Group, t: Group, path: str) -> None:
        """Compare the AnnData at a path, or the MuData with its modalities."""
        at = self._job.rows[path]
        rows, is_mudata = at[at >= 0], "mod" in s
        stated, found = schema.encoding(s), schema.encoding(t)
        expected = stated if stated == "dict" else "MuData" if is_mudata else "anndata"  # old files state none
        self.attributes(s, t, path or "/", changed=() if stated == expected else ENCODING)
        if found != expected:
            raise self.difference(path, f"its encoding is {found!r}, not {expected!r}")
        kept: dict[str, list[tuple[int, IntArray]]] = {}
        for name in self.members(s, t, path, may_be_added=() if path else ("uns",)):
            if is_mudata and name == "mod":
                self._mod(s, t, path)
            elif is_mudata and name == "obsmap":
                self._obsmap(s, t, path)
            elif name in {"obs", "var"}:
                table = _Table(f"{path}/{name}", rows if name == "obs" else None, kept, not is_mudata)
                self._frame(*self.open(s, t, name), table)
            elif name != "uns":
                self._part(s, t, name, f"{path}/{name}", rows)
        if "uns" in s and f"{path}/uns" not in self.left_out:
            self._uns(*self.open(s, t, "uns"), path, rows, kept)

    def _part(self, s: Group, t: Group, name: str, path: str, rows: IntArray) -> None:
        """Compare what an AnnData or MuData holds beside obs, var, uns and modalities."""
        part, copy = self.open(s, t, name)
        if isinstance(part, Stored) and part.shape is None:
            self.member(s, t, name, path)
        elif name in schema.AXES and name not in schema.MAPS:
            axes = schema.AXES[name]
            compare = self.element if name in {"X", "raw.X"} else self._mapping
            columns = rows if axes == ("obs", "obs") else None
            compare(part, copy, path, rows if axes[0] == "obs" else None, columns)
        elif name == "raw":
            self._raw(part, copy, path, rows)
        else:
            self.member(s, t, name, path)

    def _mod(self, s: Group, t: Group, path: str) -> None:
        mod, copy = self.open(s, t, "mod")
        self.attributes(mod, copy, f"{path}/mod")
        for modality in self.members(mod, copy, f"{path}/mod"):
            self.annotated(*self.open(mod, copy, modality), f"{path}/mod/{modality}")

    def element(self, s: Member, t: Member, path: str, rows: IntArray | None, columns: IntArray | None = None) -> None:
        """Compare the rows of an element; of a data frame without its unused categories."""
        if isinstance(s, Group) and schema.encoding(s) == "dataframe":
            self._frame(s, t, _Table(path, rows, {}, drop=True))
        else:
            super().element(s, t, path, rows, columns)

    def _mapping(self, s: Any, t: Any, path: str, rows: IntArray | None, columns: IntArray | None) -> None:
        """Compare the elements of obsm, layers and the like, whatever a slash in their names has made of them."""
        if isinstance(s, Stored):  # before anndata 0.7: one array of records
            self.element(s, t, path, rows, columns)
            return
        self.attributes(s, t, path)
        expected = set()
        for inside, node in self._below(s, path):
            called = self._intended.called.get(inside, inside.removeprefix(f"{path}/"))
            expected.add(called)
            if called not in t:
                raise self.difference(inside, "it is missing")
            self.element(node, self.target.open(t, called), inside, rows, columns)
        if set(t) != expected:
            raise self.difference(path, f"it has {named(set(t) - expected)}")

    def _below(self, s: Group, path: str) -> Iterator[tuple[str, Any]]:
        for name in s:
            inside = f"{path}/{name}"
            if not isinstance(name, str) or inside in self.left_out:
                continue
            node = self.source.open(s, name)
            if isinstance(node, Group) and schema.encoding(node) == "dict" and len(node):
                yield from self._below(node, inside)
            else:
                yield inside, node

    def _raw(self, s: Group, t: Group, path: str, rows: IntArray) -> None:
        self.attributes(s, t, path)
        for name in self.members(s, t, path):
            part, copy = self.open(s, t, name)
            if name == "X":
                self.element(part, copy, f"{path}/X", rows)
            elif name == "varm" and isinstance(part, Group):
                self._mapping(part, copy, f"{path}/varm", None, None)
            else:
                self.member(s, t, name, f"{path}/{name}")

    def _obsmap(self, s: Group, t: Group, path: str) -> None:
        obsmap, copy = self.open(s, t, "obsmap")
        self.attributes(obsmap, copy, f"{path}/obsmap")
        for modality in self.members(obsmap, copy, f"{path}/obsmap"):
            right, found = self.open(obsmap, copy, modality)
            self.same_attributes(right.attributes, found.attributes, f"{path}/obsmap/{modality}")
            at = self._job.rows[f"{path}/mod/{modality}"][self._job.rows[path] >= 0]
            # counted from 1, in the order of the cells; 0 marks a cell that the modality lacks
            expected = np.zeros(len(at), dtype=np.int64)
            expected[at >= 0] = np.arange(1, int((at >= 0).sum()) + 1)
            if not np.array_equal(found.read().ravel(), expected):
                raise self.difference(f"{path}/obsmap/{modality}", "it does not lead to the modality's cells")

    # -- uns ------------------------------------------------------------------------------------------

    def _uns(self, s: Any, t: Any, path: str, rows: IntArray, kept: dict[str, list[tuple[int, IntArray]]]) -> None:
        at, own = f"{path}/uns", {"cellasso"} if not path else set()
        if isinstance(s, Stored):
            self.array(s, t, at)
            return
        self.attributes(s, t, at)
        names = {name for name in s if isinstance(name, str) and f"{at}/{name}" not in self.left_out} - own
        opened = {name: self.source.open(s, name) for name in names & kept.keys()}
        of_categories = {
            name: node for name, node in opened.items() if isinstance(node, Stored) and len(node.shape or ()) == 1
        }
        for name, listed in of_categories.items():
            copy = self.target.open(t, name) if name in t else None
            self._of_categories(listed, copy, f"{at}/{name}", kept[name])
        apart = own | of_categories.keys()
        for name in self.members(s, t, at, may_be_added=apart, may_lack=apart):
            node = self.source.open(s, name) if name == "neighbors" else None
            if isinstance(node, Group):
                self._neighbors(node, self.target.open(t, name), f"{at}/{name}", rows)
            else:
                self.member(s, t, name, f"{at}/{name}")

    def _neighbors(self, s: Group, t: Group, path: str, rows: IntArray) -> None:
        """Compare what anndata 0.6 kept there: graphs among the cells, and words on how they were made."""
        self.attributes(s, t, path)
        for name in self.members(s, t, path):
            node = self.source.open(s, name) if name in {"distances", "connectivities"} else None
            if node is not None and is_sparse(node):
                self.element(node, self.target.open(t, name), f"{path}/{name}", rows, rows)
            else:
                self.member(s, t, name, f"{path}/{name}")

    def _of_categories(self, s: Stored, t: Any, path: str, kept: list[tuple[int, IntArray]]) -> None:
        """Compare colours, or names, of the categories that stay; those of another number of categories go."""
        stay = np.arange((s.shape or (0,))[0])
        for n_categories, used in kept:
            if len(stay) != n_categories:
                if t is not None:
                    raise self.difference(path, f"it is there, though not for {n_categories:,} categories")
                return
            stay = stay[used]
        if t is None:
            raise self.difference(path, "it is missing")
        self.element(s, t, path, stay)

    # -- data frames ----------------------------------------------------------------------------------

    def _frame(self, s: Any, t: Any, table: _Table) -> None:
        s, t = self.alike(s, t, table.path)
        if isinstance(s, Stored):
            self._records(s, t, table)
            return
        path, own = table.path, self._intended.own_names.get(table.path)
        self.attributes(s, t, path, changed={b"column-order", b"_index"})
        index = schema.text(t.attrs.get("_index", ""))
        if index not in t:
            raise self.difference(path, "it has no index")
        table = replace(table, store=schema.category_store(self.source.store, s), index=index, own_names=own)
        self._index(s, t, table)
        self._columns(s, t, table, path)
        here = set(s) & set(t)
        stated = dict.fromkeys(schema.names(s, "column-order"))
        stated = dict.fromkeys(c for c in stated if c in here or ("/" in c and self._is_kept(s, t, path, c)))
        if own is not None:  # the index holds other names now
            stated.pop(index, None)
        for column in stated:
            first = column.partition("/")[0]
            if first != column and first in stated:  # it lies in the group of another column
                self._column(s, t, column, table, path)
        if schema.names(t, "column-order") != [*stated, *([own] if own else [])]:
            raise self.difference(path, "its columns stand in another order")

    def _is_kept(self, s: Group, t: Group, path: str, column: str) -> bool:
        """Whether a column whose name has a slash is in both."""
        return f"{path}/{column}" not in self.left_out and column in s and column in t

    def _index(self, s: Group, t: Group, table: _Table) -> None:
        """Compare the names of the rows, all of them."""
        index, own, rows = table.index, table.own_names, table.rows
        path = f"{table.path}/{index}"
        if own is not None:
            root = self.source.open(self.source.root, "obs")
            stated = (schema.text(root.attrs.get("_index", "")), "_index", "index")
            at = self._job.rows[table.path.removesuffix("/obs")]
            of_root = self.source.open(root, next(name for name in stated if name in root))
            self.names(of_root, self.target.open(t, index), path, self._job.rows[""][at >= 0])
            if index in s:
                names = self.source.open(s, index), self.target.open(t, own)
                self.names(*names, f"{table.path}/{own}", rows)
        elif index in s:
            self.names(*self.open(s, t, index), path, rows)
        elif rows is not None:
            found = self.target.open(t, index).read().tolist()
            if [schema.text(name) for name in found] != rows.astype(str).tolist():
                raise self.difference(path, "its names are not the numbers of the rows")

    def _columns(self, s: Group, t: Group, table: _Table, path: str) -> None:
        """Compare the columns in a group: that of the frame, or one that a slash in their names leads to."""
        names = {table.index, table.own_names or table.index} if path == table.path else set()
        for name in self.members(s, t, path, may_be_added=names):
            if name not in names:
                self._column(s, t, name, table, path)

    def _column(self, s: Group, t: Group, name: str, table: _Table, path: str) -> None:
        inside = f"{path}/{name}"
        if table.store is not None and self._refers(s, t, name, table, inside):
            return
        column, copied = self.alike(*self.open(s, t, name), inside)
        if isinstance(column, Stored):
            self.array(column, copied, inside, table.rows)
            return
        attributes = self.source.attributes(column)
        kind = _encoding(attributes) or schema.encoding(column)
        if kind == "categorical":
            self.same_attributes(attributes, self.target.attributes(copied), inside)
            codes, categories = (self.open(column, copied, part) for part in ("codes", "categories"))
            self._codes(codes, categories, table, inside)
        elif column == table.store:
            self.attributes(column, copied, inside)  # each category is compared with the column that refers to it
        elif kind == "dict":
            self.attributes(column, copied, inside)
            self._columns(column, copied, table, inside)
        else:
            self.element(column, copied, inside, table.rows)

    def _refers(self, s: Group, t: Group, name: str, table: _Table, path: str) -> bool:
        """Compare a column that refers to its categories, as anndata 0.7 wrote it; return whether it is one."""
        source, target = self.source.store, self.target.store
        column = source.child(s, name)
        categories = source.referent(column, "categories") if isinstance(column, Array) else None
        if categories is None:
            return False
        copied = target.child(t, name)
        found = target.referent(copied, "categories")
        if found is None or found.name != categories.name:
            raise self.difference(path, "it refers to other categories")
        codes = self.source.of(column), self.target.of(copied)
        self._codes(codes, (self.source.of(categories), self.target.of(found)), table, path)
        return True

    def _codes(self, codes_of: tuple[Any, Any], both: tuple[Any, Any], table: _Table, path: str) -> None:
        """Compare every value of a categorical column, and its categories, in both files."""
        (s, t), (categories, copied) = codes_of, both
        self.same_attributes(s.attributes, t.attributes, path)
        shape = categories.shape if isinstance(categories, Stored) else elements.shape(categories)
        n_categories = (shape or (0,))[0]
        codes = s.read()
        codes = codes if table.rows is None else codes[table.rows]
        missing = _missing(categories)
        used = np.setdiff1d(np.unique(codes[codes >= 0]) if table.drop else np.arange(n_categories), missing)
        if table.drop or len(missing):
            column = path.removeprefix(f"{table.path}/")
            table.kept.setdefault(f"{column}_colors", []).append((n_categories, used))
        new_code = np.full(n_categories + 1, -1, dtype=np.int64)  # of the missing value, too, whose code is -1
        new_code[used] = np.arange(len(used))
        if t.dtype != s.dtype or not same(t.read().astype(np.int64), new_code[codes]):
            raise self.difference(path, "its values are not the source's")
        self.names(categories, copied, f"{path}'s categories", used if len(used) < n_categories else None)

    # -- anndata 0.6 and before -----------------------------------------------------------------------

    def _records(self, s: Stored, t: Stored, table: _Table) -> None:
        """Compare an array of records by the categories that its codes stand for."""
        self.same_attributes(s.attributes, t.attributes, table.path)
        if t.dtype != s.dtype:
            raise self.difference(table.path, "its columns are others")
        records, written = s.read(), t.read()
        for name in s.dtype.names or ():
            inside = f"{table.path}/{name}"
            values, copied = records[name], written[name]
            n_categories = self._n_field_categories(values, table, name)
            values = values if table.rows is None else values[table.rows]
            if n_categories is not None:
                used = np.unique(values[values >= 0])
                for key in (f"{name}_categories", f"{name}_colors"):
                    table.kept.setdefault(key, []).append((n_categories, used))
                new_code = np.full(n_categories + 1, -1, dtype=values.dtype)
                new_code[used] = np.arange(len(used))
                values = new_code[values]
            if not same(np.ascontiguousarray(copied), np.ascontiguousarray(values)):
                raise self.difference(inside, "its values are not the source's")

    def _n_field_categories(self, codes: NDArray[Any], table: _Table, name: str) -> int | None:
        """Return how many categories uns has for a field, if they are this frame's and no other's."""
        group = self.source.store.parent(self.source.store.node(table.path))
        categories = group.get(f"uns/{name}_categories")
        others = [group.get(each) for each in ("obs", "var")]
        owners = [each for each in others if isinstance(each, Array) and name in (each.dtype.names or ())]
        if not table.drop or not isinstance(categories, Array) or categories.ndim != 1 or len(owners) != 1:
            return None
        is_code = codes.dtype.kind in "iu" and (not codes.size or -1 <= codes.min() <= codes.max() < categories.size)
        return categories.size if is_code else None


def _encoding(attributes: Mapping[bytes, Attribute]) -> str:
    """Return the encoding that attributes state in one text; `""` if they do not."""
    stated = attributes.get(b"encoding-type")
    values = stated.values if stated is not None else None
    return schema.text(values[0]) if isinstance(values, tuple) and len(values) == 1 else ""


def _missing(categories: Any) -> IntArray:
    """Return which categories are NaN: they are meant to go, for their cells have no value."""
    if not isinstance(categories, Stored) or categories.dtype.kind != "f":
        return np.empty(0, dtype=np.int64)
    return np.flatnonzero(np.isnan(categories.read()))
