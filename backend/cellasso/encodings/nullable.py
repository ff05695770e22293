"""Values beside a mask of those that are missing: nullable integers, booleans and texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cellasso.core.errors import ElementError
from cellasso.core.numeric import foreign_order
from cellasso.encodings import schema
from cellasso.encodings.base import Encoding
from cellasso.store.base import Array, Group, members

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cellasso.encodings.base import Kind
    from cellasso.store.base import Node, Store


class Nullable(Encoding):
    """A column of pandas' nullable types."""

    names = frozenset({"nullable-integer", "nullable-boolean", "nullable-string-array"})
    parts = {"mask": True, "values": True}  # noqa: RUF012 - a constant of the class
    leading = "values"

    def covers(self, name: str) -> bool:
        """Whether it is one of them, or of the same make."""
        return name.startswith("nullable-")

    def kind(self, node: Node) -> Kind:
        """Return what sort of values it has, by its name."""
        stated = schema.encoding(node)
        if stated.startswith("nullable-string"):
            return "text"
        return "boolean" if stated.endswith("boolean") else "number"

    def read(self, store: Store, node: Node) -> Any:
        """Read one whose flags are integers, as R's packages store them, which anndata refuses; `None` of others.

        Parameters
        ----------
        store, node
            As of `Encoding.read`.
        """
        if not isinstance(node, Group) or not integer_flags(node):
            return None
        import pandas as pd  # noqa: PLC0415

        stored, mask = (store.read(store.child_array(node, name)) for name in ("values", "mask"))
        missing = np.asarray(mask).astype(np.bool_)
        try:
            if schema.encoding(node) == "nullable-boolean":
                return pd.arrays.BooleanArray(stored.astype(np.bool_), missing)
            if schema.encoding(node) == "nullable-integer":
                return pd.arrays.IntegerArray(stored, missing)
            return pd.Series(schema.texts(stored), dtype="string").mask(missing).array
        except (ValueError, TypeError) as error:
            raise ElementError(f"{store.place(node.name)} cannot be read ({error}).") from error

    def conversions(self, store: Store, node: Node) -> Mapping[str, np.dtype[Any]]:
        """Return the type of flags for flags that are integers, and this machine's byte order for values.

        Parameters
        ----------
        store, node
            As of `Encoding.conversions`.
        """
        if not isinstance(node, Group):
            return {}
        flags = integer_flags(node)
        found: dict[str, np.dtype[Any]] = dict.fromkeys(flags, np.dtype(np.bool_))
        values = store.child(node, "values") if "values" in members(node) and "values" not in flags else None
        native = foreign_order(values.dtype) if isinstance(values, Array) else None
        return found if native is None else {**found, "values": native}


def integer_flags(node: Group) -> tuple[str, ...]:
    """Return the names of the parts that are flags stored as integers, as R's packages do: HDF5 has no booleans."""
    flags = ("mask", "values") if schema.encoding(node) == "nullable-boolean" else ("mask",)
    parts = {name: node.get(name) for name in flags}
    return tuple(n for n, part in parts.items() if isinstance(part, Array) and part.dtype.kind in "iu")
