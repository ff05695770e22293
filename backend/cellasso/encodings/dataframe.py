"""The lazy data frame: obs or var, read one column at a time."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from cellasso.core.errors import ElementError, NotFoundError
from cellasso.core.text import nearest
from cellasso.encodings import arrays, elements, registry, schema
from cellasso.store.base import Array, Group, is_text, members

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pandas as pd
    from numpy.typing import NDArray

    from cellasso.encodings.base import Kind
    from cellasso.store.base import Node, Store


class Frame:
    """`obs` or `var` of a file: names now, values when asked.

    Three layouts are read: a group with one element per column (anndata 0.7 and later), the same with
    categories under `__categories`, and the compound dataset of anndata 0.6 and before with categories
    in `uns`. Nothing but the structure is read on construction.

    Parameters
    ----------
    handle
        The file.
    path
        HDF5 path of the frame, such as `/obs` or `/mod/rna/var`.
    legacy_uns
        HDF5 path of the `uns` that holds `<column>_categories` of a compound frame.
    """

    def __init__(self, handle: Store, path: str, *, legacy_uns: str | None = None) -> None:
        self._handle = handle
        self.path = path
        self._legacy_uns = legacy_uns
        self._kinds: dict[str, Kind] = {}

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Column names in the file's order; the index is one of them where the file lists it so, as anndata does."""
        node = self._node()
        if isinstance(node, Array):
            return tuple(name for name in node.dtype.names or () if name != self.index_name)
        order = dict.fromkeys(schema.names(node, "column-order"))
        present = set(members(node))
        stated = [n for n in order if n in present or self._lies_below(node, n)]
        return (*stated, *self._unstated(node, order))

    def _unstated(self, node: Group, order: Mapping[str, object]) -> Iterator[str]:
        """Yield the names of columns that the order of columns lacks."""
        store = schema.category_store(self._handle, node)
        known = {*order, self.index_name} | ({schema.CATEGORIES} if store is not None else set())
        for name in members(node):
            if name in known:
                continue
            try:
                column = self._handle.child(node, name)
            except (ElementError, NotFoundError):  # listed all the same: what is wrong is reported when it is read
                yield name
                continue
            if isinstance(column, Group) and schema.is_part_of_names(column):
                inner = (f"{name}/{below}" for below, _ in schema.below(self._handle, column))
                yield from (path for path in inner if path not in known)
            else:
                yield name

    def _lies_below(self, node: Group, name: str) -> bool:
        """Whether a column's name with a slash is a path that leads to an element."""
        try:
            return "/" in name and not schema.is_part_of_names(self._handle.child(node, name))
        except (ElementError, NotFoundError):
            return False

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __contains__(self, name: object) -> bool:
        return name in self._column_set

    def __len__(self) -> int:
        """Return the number of rows, from the shapes alone."""
        return self._n_rows

    def kind(self, column: str) -> Kind:
        """Return what sort of values a column has, without reading them; looked up once.

        A column that cannot be opened is `"other"`; what is wrong is reported when it is read.
        """
        if column not in self._kinds:
            try:
                self._kinds[column] = self._find_kind(column)
            except ElementError:
                self._kinds[column] = "other"
        return self._kinds[column]

    def _find_kind(self, column: str) -> Kind:
        node = self._column_node(column)
        if node is None:  # a field of a compound dataset
            if self._legacy_categories(column) is not None:
                return "category"
            return arrays.kind_of_dtype(self._records().dtype[column])
        encoding = registry.find(node)
        return encoding.kind(node) if encoding is not None else "other"

    def read(self, column: str) -> pd.Series:
        """Read one column as a pandas Series `(n_rows,)` with a plain range index.

        Categories keep their order and their colours' order; missing values stay missing. Reads this
        column's bytes and no others (a compound dataset, which has no columns on disk, reads its rows).

        Raises
        ------
        NotFoundError
            There is no such column; the message lists the nearest.
        ElementError
            Its encoding is unknown, or its length is not the frame's.
        """
        import pandas as pd  # noqa: PLC0415

        if column not in self:
            raise NotFoundError(
                f"{self._handle.place(self.path)} has no column {column!r}{nearest(column, self.columns)}"
            )
        node = self._column_node(column)
        if node is None:
            values = self._read_field(column)
        elif isinstance(node, Array) and "categories" in node.attrs:
            values = self._read_referenced_categories(node)
        else:
            values = elements.read_column(self._handle, node)
        series = pd.Series(values, name=column)
        if len(series) != len(self):
            place = self._handle.place(f"{self.path}/{column}")
            raise ElementError(f"{place} has {len(series):,} values; {len(self):,} were expected.")
        return series.reset_index(drop=True)

    def read_texts(self, column: str) -> NDArray[np.object_]:
        """Read one column as text, `(n_rows,)`; missing values are ''."""
        node = self._column_node(column)
        if isinstance(node, Array) and schema.encoding(node) == "string-array" and node.shape == (len(self),):
            return elements.read_strings(self._handle, node)  # without anndata, which takes seconds to import
        return elements.written_out(self.read(column))

    @cached_property
    def names(self) -> NDArray[np.object_]:
        """The index (`obs_names` or `var_names`) as text, `(n_rows,)`; row numbers when the file has none."""
        node = self._node()
        if isinstance(node, Array):
            return schema.texts(self._handle.read(node, field=self.index_name))
        if self.index_name is None:
            return _row_numbers(len(self))
        return elements.read_strings(self._handle, self._handle.child(node, self.index_name))

    def read_names(self, rows: slice) -> NDArray[np.object_]:
        """Read the names of consecutive rows; of an index stored as texts no others are read or kept."""
        node = self._node()
        if isinstance(node, Group) and self.index_name is not None:
            index = self._handle.child(node, self.index_name)
            if isinstance(index, Array) and is_text(index.dtype) and index.ndim == 1:
                return schema.texts(self._handle.read(index, rows))
        return self.names[rows]

    @cached_property
    def index_name(self) -> str | None:
        """Name of the column or field that holds the names of the rows; `None` when the file has none."""
        node = self._node()
        if isinstance(node, Array):  # whatever the first field is called, as anndata has it
            return next(iter(node.dtype.names or ()), None)
        members = tuple(node)
        stated = node.attrs.get("_index")
        candidates = [None if stated is None else schema.text(stated), "_index", "index"]
        return next((name for name in candidates if name in members), None)

    @cached_property
    def _column_set(self) -> frozenset[str]:
        return frozenset(self.columns)

    @cached_property
    def _n_rows(self) -> int:
        node = self._node()
        if isinstance(node, Array):
            return int(node.size)
        names = [self.index_name] if self.index_name is not None else list(self.columns)[:1]
        found = [elements.shape(self._handle.child(node, name)) for name in names]
        return found[0][0] if found and found[0] else 0

    def _node(self) -> Node:
        node = self._handle.node(self.path)
        if isinstance(node, Array) and (node.dtype.names is None or node.ndim != 1):
            raise ElementError(f"{self._handle.place(self.path)} is no data frame; a group of columns was expected.")
        return node

    def _records(self) -> Array:
        """Return the frame as the compound dataset that it was before anndata 0.7."""
        node = self._node()
        if isinstance(node, Group):
            raise ElementError(f"{self._handle.place(self.path)} is a group; records were expected.")
        return node

    def _column_node(self, column: str) -> Node | None:
        node = self._node()
        return None if isinstance(node, Array) else self._handle.child(node, column)

    def _read_referenced_categories(self, node: Array) -> pd.Categorical:
        """Codes whose attribute `categories` refers to a dataset under `__categories` (anndata 0.7)."""
        target = self._handle.referent(node, "categories")
        if not isinstance(target, Array):
            raise ElementError(f"{self._handle.place(node.name)} refers to no categories.")
        categories = elements.read_strings(self._handle, target) if is_text(target.dtype) else self._handle.read(target)
        codes: Any = arrays.read_numbers(self._handle, node)
        return _categorical(codes, categories, ordered=bool(target.attrs.get("ordered", False)))

    def _read_field(self, column: str) -> object:
        values = self._handle.read(self._records(), field=column)
        categories = self._legacy_categories(column)
        if categories is not None:
            return _categorical(values, categories, ordered=False)
        return schema.texts(values) if values.dtype.kind in "OS" else values

    def _legacy_categories(self, column: str) -> NDArray[np.object_] | None:
        if self._legacy_uns is None or self._records().dtype[column].kind not in "iu":
            return None
        try:
            node = self._handle.array(f"{self._legacy_uns}/{column}_categories")
        except NotFoundError:
            return None
        # a single category was stored as a scalar
        return np.atleast_1d(schema.texts(np.atleast_1d(self._handle.read(node, ()))))


def _categorical(codes: NDArray[np.integer], categories: NDArray[np.object_], *, ordered: bool) -> pd.Categorical:
    import pandas as pd  # noqa: PLC0415

    # the stubs ask for a list of codes, which would cost 1M cells 36 MB
    return pd.Categorical.from_codes(codes, categories=pd.Index(categories), ordered=ordered)  # type: ignore[arg-type]


def _row_numbers(n: int) -> NDArray[np.object_]:
    return np.arange(n).astype(str).astype(object)
