"""The cells of a mask, written out of an awkward array: scirpy keeps the receptors of cells so."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from cellasso.core.errors import ElementError
from cellasso.encodings import schema
from cellasso.write.arrays import ranges, take
from cellasso.write.transfer import Share

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cellasso.store.base import Array, Group
    from cellasso.write.arrays import IntArray
    from cellasso.write.transfer import Transfer


def subset_awkward(transfer: Transfer, source: Group, parent: Group, name: str, rows: IntArray) -> None:
    """Write rows of an awkward array (scirpy keeps receptors so) by its buffers; holds one buffer at a time.

    Buffers are named and laid out by the form as in `awkward.from_buffers`.

    Parameters
    ----------
    transfer
        From which file to which.
    source
        The array's group.
    parent, name
        Group of the export, and the name of the copy in it.
    rows
        Positions, in any order.

    Raises
    ------
    ElementError
        The form has a node that is not known here.
    NotFoundError
        A buffer is missing.
    """
    new, handle = transfer.target, transfer.source
    group = new.group_like(source, parent, name)
    new.set_attribute(group, "length", len(rows))
    _take_node(transfer, json.loads(schema.text(source.attrs["form"])), (source, group), rows)
    Share(transfer, *(handle.child_array(source, part) for part in source)).reach(1.0)


def _take_node(transfer: Transfer, form: Any, groups: tuple[Group, Group], at: IntArray) -> None:
    kind, key = form["class"], form.get("form_key")
    source, target = groups

    def buffer(part: str) -> Array:
        return transfer.source.child_array(source, f"{key}-{part}")

    def put(part: str, values: NDArray[Any]) -> None:
        made = transfer.target.array_like(buffer(part), target, f"{key}-{part}", values.shape)
        transfer.target.write(made, values)

    def taken(part: str) -> NDArray[Any]:
        return take(transfer.source, buffer(part), at)

    def go_on(content: Any, inner: IntArray) -> None:
        _take_node(transfer, content, groups, inner)

    if kind == "NumpyArray" and not form.get("inner_shape"):
        put("data", taken("data"))
    elif kind == "RecordArray":
        for content in form["contents"]:
            go_on(content, at)
    elif kind == "ListOffsetArray":
        offsets = transfer.source.read(buffer("offsets")).astype(np.int64)
        lengths = np.diff(offsets)[at]
        put("offsets", np.concatenate([[0], np.cumsum(lengths)]))
        go_on(form["content"], ranges(offsets[at], lengths))
    elif kind == "RegularArray":
        go_on(form["content"], ranges(at * form["size"], np.full(len(at), form["size"])))
    elif kind in {"IndexedOptionArray", "IndexedArray"}:
        index = taken("index").astype(np.int64)
        put("index", np.where(index >= 0, np.cumsum(index >= 0) - 1, -1))
        go_on(form["content"], index[index >= 0])
    elif kind in {"ByteMaskedArray", "UnmaskedArray"}:
        if kind == "ByteMaskedArray":
            put("mask", taken("mask"))
        go_on(form["content"], at)
    elif kind != "EmptyArray":
        raise ElementError(f"{source.name} has a ragged part of the kind {kind}, which is not known here.")
