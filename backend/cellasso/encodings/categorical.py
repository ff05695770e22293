"""Categories and the code of each row; the code -1 is a missing value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cellasso.encodings import schema
from cellasso.encodings.arrays import PlainArray, read_numbers
from cellasso.encodings.base import Encoding
from cellasso.store.base import Array, Group

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cellasso.encodings.base import Kind
    from cellasso.store.base import Node, Store


class Categorical(Encoding):
    """A categorical column."""

    names = frozenset({"categorical"})
    parts = {"codes": True, "categories": False}  # noqa: RUF012 - a constant of the class
    leading = "codes"

    def kind(self, node: Node) -> Kind:  # noqa: ARG002
        """Return `"category"`."""
        return "category"

    def read(self, store: Store, node: Node) -> Any:
        """Read codes and categories of text or numbers; `None` if something is odd: anndata meets it, and says so.

        Parameters
        ----------
        store, node
            As of `Encoding.read`.
        """
        codes, categories = (node.get(name) if isinstance(node, Group) else None for name in self.parts)
        if not isinstance(codes, Array) or not isinstance(categories, Array) or codes.dtype.kind != "i":
            return None
        try:
            numbers: Any = read_numbers(store, codes)  # the stubs ask for a list
            labels: Any = _labels(store, categories)
            if labels is None or labels.ndim != 1 or numbers.ndim != 1:
                return None
            import pandas as pd  # noqa: PLC0415

            return pd.Categorical.from_codes(numbers, categories=labels, ordered=bool(node.attrs["ordered"]))
        except Exception:  # noqa: BLE001 - whatever it is, anndata meets it next, and its error is the one reported
            return None

    def read_refused(self, store: Store, node: Node) -> Any:
        """Read one without a word on the order, or with NaN among the categories; `None` if more is wrong.

        Parameters
        ----------
        store, node
            As of `Encoding.read_refused`.
        """
        import pandas as pd  # noqa: PLC0415

        try:
            codes = np.asarray(store.read(store.child_array(node, "codes")))
            categories = pd.Index(_categories(store, store.child(node, "categories")))
            new_code = np.append(np.where(categories.isna(), -1, np.cumsum(categories.notna()) - 1), -1)
            new_codes: Any = new_code[codes]  # the stubs ask for a list
            ordered = bool(node.attrs.get("ordered", False))
            return pd.Categorical.from_codes(new_codes, categories.dropna(), ordered=ordered)
        except Exception:  # noqa: BLE001 - the error of anndata, which was first, is the one reported
            return None


def _labels(store: Store, categories: Array) -> NDArray[Any] | None:
    if schema.encoding(categories) == "string-array" and categories.dtype.kind == "O":
        return np.array([each.decode() for each in store.read(categories)], dtype=object)
    found: NDArray[Any] | None = PlainArray().read(store, categories)
    return found


def _categories(store: Store, categories: Node) -> Any:
    found = PlainArray().read(store, categories) if isinstance(categories, Array) else None
    return store.read_element(categories) if found is None else found
