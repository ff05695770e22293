"""The cells of a mask, written out of obs and var with their categories and the categories' colours.

anndata drops the categories that no cell of a subset has, and their colours in `uns`; so does this.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from cellasso.core.errors import ElementError
from cellasso.core.numeric import foreign_order
from cellasso.encodings import elements, schema
from cellasso.encodings.dataframe import Frame
from cellasso.encodings.schema import CATEGORIES
from cellasso.store.base import Array, Group, is_empty
from cellasso.write import arrays
from cellasso.write.transfer import Share, set_encoding

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cellasso.store.base import Node
    from cellasso.write.arrays import IntArray
    from cellasso.write.context import Context


@dataclass(frozen=True)
class Names:
    """What the rows of a frame are called in the export, instead of by their own names.

    Attributes
    ----------
    index, rows
        The index of another frame, and the rows of it that name these.
    own
        The column that keeps their own names.
    """

    index: Node
    rows: IntArray
    own: str


@dataclass(frozen=True)
class _Table:
    """A data frame that is being written.

    Attributes
    ----------
    has_store
        Whether its columns refer to categories that are kept apart, as anndata 0.7 had it.
    """

    path: str
    source: Group
    target: Group
    rows: IntArray | None
    n_rows: int
    has_store: bool


class Frames:
    """The data frames of one group, in any of the three layouts that `cellasso.encodings.dataframe.Frame` reads.

    Parameters
    ----------
    context
        The export that they are part of.
    group
        The group that holds them, with the `uns` that belongs to them.
    drop_unused
        Whether categories without a cell are dropped.

    Attributes
    ----------
    kept
        By name in `uns`: the number of categories that are expected there, and the positions of those
        that stay, in the order of the columns that said so.
    """

    def __init__(self, context: Context, group: Group, *, drop_unused: bool) -> None:
        self._context = context
        self._group = group
        self._drop_unused = drop_unused
        self.kept: dict[str, list[tuple[int, IntArray]]] = {}
        self._new = context.new

    def write(self, target: Group, name: str, rows: IntArray | None, names: Names | None = None) -> None:
        """Write some rows of a data frame, without unused categories where `drop_unused` says so.

        A column that cannot be written is left out and named.

        Parameters
        ----------
        target, name
            Group of the export, and the name of the frame in it and in the source.
        rows
            Positions, in the order of the export; `None`: all.
        names
            What the rows are called instead of by their own names, which become a column.

        Raises
        ------
        ElementError, NotFoundError
            It, or its index, is damaged or missing.
        """
        node = self._context.child(self._group, name)
        if not isinstance(node, Group):
            self._write_records(node, target, name, rows)
            return
        written = self._new.group_like(node, target, name)
        store = schema.category_store(self._context.handle, node)
        if store is not None:
            self._new.group_like(store, written, CATEGORIES)
        frame = Frame(self._context.handle, node.name)
        table = _Table(node.name, node, written, rows, len(frame), has_store=store is not None)
        own_names = self._write_index(frame, table, names)
        self._context.named(node)  # notes the members whose names are not UTF-8
        # a name with a slash may lie in the group of another column: that one is made first
        columns = sorted(frame.columns, key=lambda column: column.count("/"))
        others = [column for column in columns if column != frame.index_name]
        done = {c for c in others if self._context.write_or_skip(partial(self._column, table), node, written, c)}
        if not own_names and frame.index_name in columns:
            done.add(frame.index_name)
        if store is not None:
            written_store = written.get(CATEGORIES)
            for unused in set(store) - set(written_store):
                self._context.copy_unchanged(store, written_store, unused)
        stated = schema.names(node, "column-order")
        order = [column for column in dict.fromkeys(stated) if column in done] + own_names
        if order != stated or is_empty(node.attrs.get("column-order")):
            # some were left out, or were never there
            self._new.set_attribute(written, "column-order", np.array(order, dtype=object))

    def _write_index(self, frame: Frame, table: _Table, names: Names | None) -> list[str]:
        """Write the names of the rows, row numbers where there are none; return the column of those replaced."""
        name, target = frame.index_name, table.target
        own: list[str] = []
        if names is not None:
            if name is not None:
                own = [names.own]
                self._column(table, table.source, target, name, called=names.own)
            name = name or "_index"
            self._context.element(names.index, target, name, names.rows)
        elif name is not None:
            self._column(table, table.source, target, name)
        else:
            name = "_index"
            numbers = np.arange(table.n_rows) if table.rows is None else table.rows
            made = self._new.put(target, name, numbers.astype(str).astype(object))
            set_encoding(self._new, made, "string-array", "0.2.0")
        if schema.text(target.attrs.get("_index", "")) != name:
            self._new.set_attribute(target, "_index", name)
        return own

    def write_kept(self, node: Array, target: Group, name: str) -> None:
        """Write what `uns` says of each category (its colour, or in old files its name) for those that stay.

        Nothing is written where it has another number of values than a column has categories: anndata removes it, too.

        Parameters
        ----------
        node
            Of the source's `uns`; of more than one dimension it is copied as it is.
        target, name
            `uns` of the export, and the name in it, which is in `kept`.

        Raises
        ------
        ElementError
            Its bytes are damaged.
        """
        if node.ndim != 1:
            self._context.copy_node(node, target, name)
            return
        positions = np.arange(node.size)
        for n_categories, keep in self.kept[name]:
            if len(positions) != n_categories:
                return  # colours of another number of categories belong to no column; anndata removes them too
            positions = positions[keep]
        arrays.subset_array(self._context.transfer, node, target, name, rows=positions)

    def _column(self, table: _Table, source: Group, target: Group, column: str, *, called: str | None = None) -> None:
        """Write one column, under another name if it is `called` so."""
        source, target, name = self._context.path_to(source, target, column)
        node, called = self._context.child(source, name), called or name
        is_categorical = isinstance(node, Group) and schema.encoding(node) == "categorical"
        codes = self._context.handle.child(node, "codes") if is_categorical else node
        shape = elements.shape(codes)
        if shape and shape[0] != table.n_rows:
            raise ElementError(f"{node.name} has {shape[0]:,} rows; {table.n_rows:,} were expected.")
        if not isinstance(node, Group):
            self._dataset_column(table, node, target, called, column)
        elif is_categorical:
            written = self._new.group_like(node, target, called, of_many=True)
            if "ordered" not in node.attrs:  # anndata asks for it
                self._new.set_attribute(written, "ordered", value=False)
            categories = self._context.child(node, "categories")
            keep = self._write_codes(codes, table.rows, categories, written, "codes", column=column)
            self._context.element(categories, written, "categories", keep)
        else:
            self._context.element(node, target, called, table.rows)

    def _dataset_column(self, table: _Table, node: Array, target: Group, called: str, column: str) -> None:
        referent = self._context.handle.referent(node, "categories") if table.has_store else None
        if referent is not None:
            name = referent.name.rsplit("/", 1)[-1]
            categories = self._context.child(table.source, f"{CATEGORIES}/{name}")
            keep = self._write_codes(node, table.rows, categories, target, called, column=column)
            self._context.element(categories, table.target.get(CATEGORIES), name, keep)
            return
        rows, dtype = table.rows, foreign_order(node.dtype)
        if not node.shape or (rows is None and dtype is None):
            self._context.copy_node(node, target, called)
            return
        rows = np.arange(table.n_rows) if rows is None else rows
        arrays.subset_array(self._context.transfer, node, target, called, rows=rows, dtype=dtype, of_many=True)

    def _write_codes(
        self, node: Node, rows: IntArray | None, categories: Node, target: Group, name: str, *, column: str
    ) -> IntArray | None:
        """Write the codes of a categorical; return which categories stay, or `None` when all do."""
        if not isinstance(node, Array) or node.dtype.kind not in "iu":
            raise ElementError(f"{node.name} holds no codes of categories; whole numbers were expected.")
        n_categories, missing = _length(categories), self._missing(categories)
        codes = arrays.take(self._context.handle, node, np.arange((node.shape or (0,))[0]) if rows is None else rows)
        if codes.size and not -1 <= int(codes.min()) <= int(codes.max()) < n_categories:
            raise ElementError(f"{node.name} has codes beyond its {n_categories:,} categories.")
        used = np.setdiff1d(_used(codes, n_categories) if self._drop_unused else np.arange(n_categories), missing)
        if self._drop_unused or len(missing):
            self.kept.setdefault(f"{column}_colors", []).append((n_categories, used))
        keep = used if len(used) < n_categories else None
        if keep is not None:
            codes = _recoding(keep, n_categories)[codes]
        self._new.write(self._new.array_like(node, target, name, codes.shape, of_many=True), codes)
        Share(self._context.transfer, node).reach(1.0)
        return keep

    def _missing(self, categories: Node) -> IntArray:
        """Return which categories are NaN: anndata refuses them, and their cells have no value."""
        if not isinstance(categories, Array) or categories.dtype.kind != "f":
            return np.empty(0, dtype=np.int64)
        return np.flatnonzero(np.isnan(self._context.handle.read(categories)))

    # -- anndata 0.6 and before: one compound dataset, categories in uns ------------------------------

    def _write_records(self, node: Array, target: Group, name: str, rows: IntArray | None) -> None:
        rows = np.arange((node.shape or (0,))[0]) if rows is None else rows
        recodings: dict[str, IntArray] = {}
        for field in node.dtype.names or () if self._drop_unused else ():
            n_categories = self._n_field_categories(node, field)
            if n_categories is None:
                continue
            keep = _used(self._context.handle.read(node, field=field)[rows], n_categories)
            recodings[field] = _recoding(keep, n_categories)
            for key in (f"{field}_categories", f"{field}_colors"):
                self.kept.setdefault(key, []).append((n_categories, keep))

        def recode(records: NDArray[Any]) -> NDArray[Any]:
            for field, recoding in recodings.items():
                records[field] = recoding[records[field]]
            return records

        arrays.subset_array(self._context.transfer, node, target, name, rows=rows, transform=recode)

    def _n_field_categories(self, node: Array, field: str) -> int | None:
        """Return how many categories `uns` has for a field, when they are its own and no other frame's."""
        categories = self._group.get(f"uns/{field}_categories")
        frames = [self._group.get(name) for name in ("obs", "var")]
        owners = [frame for frame in frames if isinstance(frame, Array) and field in (frame.dtype.names or ())]
        if not isinstance(categories, Array) or categories.ndim != 1 or len(owners) != 1:
            return None
        if node.dtype[field].kind not in "iu":
            return None
        codes = self._context.handle.read(node, field=field)
        fits = not codes.size or -1 <= int(codes.min()) <= int(codes.max()) < categories.size
        return categories.size if fits else None


def _length(categories: Node) -> int:
    shape = elements.shape(categories)
    if len(shape) != 1:
        raise ElementError(f"{categories.name} has shape {shape}; a list of categories was expected.")
    return shape[0]


def _used(codes: NDArray[Any], n_categories: int) -> IntArray:
    used = np.zeros(n_categories, dtype=np.bool_)
    used[codes[codes >= 0]] = True
    return np.flatnonzero(used)


def _recoding(keep: IntArray, n_categories: int) -> IntArray:
    """Return the new code by old code; the missing value's code -1 finds the -1 at the end."""
    recoding = np.full(n_categories + 1, -1, dtype=np.int64)
    recoding[keep] = np.arange(len(keep))
    return recoding


def write_inner(context: Context, node: Node, target: Group, name: str, rows: IntArray | None) -> None:
    """Write some rows of a data frame that is not obs or var, such as one in obsm or uns.

    anndata drops its unused categories even where all rows stay, and mudata with it.

    Parameters
    ----------
    context
        The export.
    node
        The frame, of the source.
    target, name
        Group of the export, and the name of the copy in it; this is the frame's own name in the source, too.
    rows
        Positions, in the order of the export; `None`: all.

    Raises
    ------
    ElementError, NotFoundError
        As `Frames.write`.
    """
    Frames(context, context.handle.parent(node), drop_unused=True).write(target, name, rows)
