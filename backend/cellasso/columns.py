"""The cells of a mask, written out of obs and var with their categories and the categories' colours.

anndata drops the categories that no cell of a subset has, and their colours in `uns`; so does this.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from cellasso import elements, subset
from cellasso.errors import ElementError
from cellasso.frame import Frame

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cellasso.handle import Node
    from cellasso.subset import Index
    from cellasso.writer import Copy

LEGACY = "__categories"
"""Where anndata 0.7 kept the categories of a data frame's columns, each column referring to its own."""


class Frames:
    """The data frames of one group, in any of the three layouts that `cellasso.frame.Frame` reads.

    Parameters
    ----------
    copy
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

    def __init__(self, copy: Copy, group: h5py.Group, *, drop_unused: bool) -> None:
        self._copy = copy
        self._group = group
        self._drop_unused = drop_unused
        self.kept: dict[str, list[tuple[int, Index]]] = {}

    def write(self, target: h5py.Group, name: str, rows: Index | None) -> None:
        """Write the rows of a data frame (`None`: all, but without unused categories)."""
        node = self._copy.child(self._group, name)
        if isinstance(node, h5py.Dataset):
            self._write_records(node, target, name, rows)
            return
        written = subset.create_group_like(node, target, name)
        if LEGACY in node:
            subset.create_group_like(self._copy.child(node, LEGACY), written, LEGACY)
        n_rows = self._write_index(node, written, rows)
        for column in self._copy.named(node):
            if column not in {LEGACY, _text(written.attrs["_index"])}:
                self._copy.attempt(partial(self._column, rows, n_rows), node, written, column)
        for unused in set(node.get(LEGACY, ())) - set(written.get(LEGACY, ())):
            self._copy.verbatim(node[LEGACY], written[LEGACY], unused)
        stated = elements.names(node, "column-order")
        order = [column for column in dict.fromkeys(stated) if column in written]
        if order != stated:  # some were left out, or were never there
            written.attrs["column-order"] = np.array(order, dtype=h5py.string_dtype())

    def _write_index(self, node: h5py.Group, target: h5py.Group, rows: Index | None) -> int:
        """Write the names of the rows; return how many the source has. Without names they are row numbers."""
        frame = Frame(self._copy.handle, node.name)
        name = frame.index_name
        if name is None:
            name = "_index"
            numbers = np.arange(len(frame)) if rows is None else rows
            made = target.create_dataset(name, data=numbers.astype(str).astype(object), dtype=h5py.string_dtype())
            made.attrs["encoding-type"], made.attrs["encoding-version"] = "string-array", "0.2.0"
        else:
            self._column(rows, len(frame), node, target, name)
        if _text(target.attrs.get("_index", "")) != name:
            target.attrs["_index"] = name
        return len(frame)

    def write_kept(self, node: h5py.Dataset, target: h5py.Group, name: str) -> None:
        """Write what `uns` says of each category (its colour, or in old files its name) for those that stay."""
        if node.ndim != 1:
            self._copy.copy_node(node, target, name)
            return
        positions = np.arange(node.shape[0])
        for n_categories, keep in self.kept[name]:
            if len(positions) != n_categories:
                return  # colours of another number of categories are nobody's; anndata removes them too
            positions = positions[keep]
        subset.subset_dataset(self._copy.handle, node, target, name, rows=positions, advance=self._copy.advance)

    def _column(self, rows: Index | None, n_rows: int, source: h5py.Group, target: h5py.Group, column: str) -> None:
        node = self._copy.child(source, column)
        shape = elements.shape(node)
        if shape and shape[0] != n_rows:
            raise ElementError(f"{node.name} has {shape[0]:,} rows; {n_rows:,} were expected.")
        if elements.encoding(node) == "categorical" and isinstance(node, h5py.Group):
            written = subset.create_group_like(node, target, column)
            if "ordered" not in written.attrs:  # anndata asks for it
                written.attrs["ordered"] = False
            codes, categories = (self._copy.child(node, part) for part in ("codes", "categories"))
            keep = self._write_codes(codes, rows, categories, written, column=column)
            self._copy.element(categories, written, "categories", keep)
            return
        reference = node.attrs.get("categories")
        if isinstance(node, h5py.Dataset) and isinstance(reference, h5py.Reference) and LEGACY in source:
            name = node.file[reference].name.rsplit("/", 1)[-1]
            categories = self._copy.child(self._copy.child(source, LEGACY), name)
            keep = self._write_codes(node, rows, categories, target, column=column)
            self._copy.element(categories, target[LEGACY], name, keep)
            return
        self._copy.element(node, target, column, rows)

    def _write_codes(
        self, node: Node, rows: Index | None, categories: Node, target: h5py.Group, *, column: str
    ) -> Index | None:
        """Write the codes of a categorical; return which categories stay, or `None` when all do."""
        n_categories, missing = _length(categories), _missing(categories)
        codes = node[...] if rows is None else subset.take(node, rows)
        if codes.size and not -1 <= int(codes.min()) <= int(codes.max()) < n_categories:
            raise ElementError(f"{node.name} has codes beyond its {n_categories:,} categories.")
        used = np.setdiff1d(_used(codes, n_categories) if self._drop_unused else np.arange(n_categories), missing)
        if self._drop_unused or len(missing):
            self.kept.setdefault(f"{column}_colors", []).append((n_categories, used))
        keep = used if len(used) < n_categories else None
        if keep is not None:
            codes = _recoding(keep, n_categories)[codes]
        subset.write(subset.create_like(node, target, node.name.rpartition("/")[2], codes.shape), codes)
        self._copy.advance(int(node.size))
        return keep

    # -- anndata 0.6 and before: one compound dataset, categories in uns ------------------------------

    def _write_records(self, node: h5py.Dataset, target: h5py.Group, name: str, rows: Index | None) -> None:
        rows = np.arange(node.shape[0]) if rows is None else rows
        recodings: dict[str, Index] = {}
        for field in node.dtype.names or () if self._drop_unused else ():
            n_categories = self._n_field_categories(node, field)
            if n_categories is None:
                continue
            keep = _used(node.fields(field)[...][rows], n_categories)
            recodings[field] = _recoding(keep, n_categories)
            for key in (f"{field}_categories", f"{field}_colors"):
                self.kept.setdefault(key, []).append((n_categories, keep))

        def recode(records: NDArray[Any]) -> NDArray[Any]:
            for field, recoding in recodings.items():
                records[field] = recoding[records[field]]
            return records

        subset.subset_dataset(
            self._copy.handle, node, target, name, rows=rows, advance=self._copy.advance, transform=recode
        )

    def _n_field_categories(self, node: h5py.Dataset, field: str) -> int | None:
        """Return how many categories `uns` has for a field, when they are its own and no other frame's."""
        categories = self._group.get(f"uns/{field}_categories")
        frames = [self._group.get(name) for name in ("obs", "var")]
        owners = [frame for frame in frames if isinstance(frame, h5py.Dataset) and field in (frame.dtype.names or ())]
        if not isinstance(categories, h5py.Dataset) or categories.ndim != 1 or len(owners) != 1:
            return None
        if node.dtype[field].kind not in "iu":
            return None
        codes = node.fields(field)[...]
        fits = not codes.size or -1 <= int(codes.min()) <= int(codes.max()) < len(categories)
        return len(categories) if fits else None


def _length(categories: Node) -> int:
    shape = elements.shape(categories)
    if len(shape) != 1:
        raise ElementError(f"{categories.name} has shape {shape}; a list of categories was expected.")
    return shape[0]


def _missing(categories: Node) -> Index:
    """Return which categories are NaN: anndata refuses them, and their cells have no value."""
    if not isinstance(categories, h5py.Dataset) or categories.dtype.kind != "f":
        return np.empty(0, dtype=np.int64)
    return np.flatnonzero(np.isnan(categories[...]))


def _used(codes: NDArray[Any], n_categories: int) -> Index:
    used = np.zeros(n_categories, dtype=np.bool_)
    used[codes[codes >= 0]] = True
    return np.flatnonzero(used)


def _recoding(keep: Index, n_categories: int) -> Index:
    """Return the new code by old code; the missing value's code -1 finds the -1 at the end."""
    recoding = np.full(n_categories + 1, -1, dtype=np.int64)
    recoding[keep] = np.arange(len(keep))
    return recoding


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
