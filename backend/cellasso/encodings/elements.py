"""Reading one small element (a column, an embedding, a piece of uns), whatever its encoding."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from cellasso.core.errors import ElementError, NotFoundError
from cellasso.core.executors import run_quickly
from cellasso.store.base import Array, Group, is_empty, is_text, members

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    import pandas as pd
    from numpy.typing import NDArray

    from cellasso.store.base import Node, Store


LARGE = 1 << 20
"""Values of one dimension from which on all cores inflate them; HDF5 would do it on one."""

BAND = 1 << 18
"""Values that a core reads at a time, at least."""


AXES = {
    "X": ("obs", "var"),
    "layers": ("obs", "var"),
    "obsm": ("obs",),
    "obsp": ("obs", "obs"),
    "varm": ("var",),
    "varp": ("var", "var"),
    "raw.X": ("obs",),
}
"""The axes whose lengths the first dimensions of an element must have."""

CATEGORIES = "__categories"
"""Where anndata 0.7 kept the categories of a data frame's columns, each column referring to its own."""


def encoding(node: Node) -> str:
    """Return the element's `encoding-type`, in today's words also for files older than anndata 0.7."""
    stated = node.attrs.get("encoding-type")
    if stated is not None:
        return text(stated)
    if "h5sparse_format" in node.attrs:
        return text(node.attrs["h5sparse_format"]) + "_matrix"
    if isinstance(node, Group):
        return "dict"
    if node.shape is None:
        return "null"
    if node.dtype.names is not None:
        return "rec-array"
    return "string-array" if is_text(node.dtype) else "array"


def is_nothing(node: Node) -> bool:
    """Whether an element stands for Python's `None`."""
    return isinstance(node, Array) and node.shape is None


def names(node: Node, attribute: str) -> list[str]:
    """Return the names that an attribute such as `column-order` lists, as text; `[]` when it is missing or empty.

    Parameters
    ----------
    node
        The group or array that has the attribute.
    attribute
        Its name; a single text in it counts as a list of one.
    """
    stated = node.attrs.get(attribute, ())
    return [] if is_empty(stated) else [text(name) for name in np.atleast_1d(stated)]


def category_store(handle: Store, frame: Group) -> Group | None:
    """Return the group of categories to which the columns of a frame refer, as anndata 0.7 wrote it.

    `None` where there is none: nothing is called `CATEGORIES`, or a column of the frame is, or a link. Reads
    attributes.

    Parameters
    ----------
    handle
        The file.
    frame
        The group of a data frame in it.

    Raises
    ------
    ElementError
        What is called so cannot be opened, or is neither a group nor an array.
    """
    if not handle.is_own(frame, CATEGORIES) or CATEGORIES in names(frame, "column-order"):
        return None
    store = handle.child(frame, CATEGORIES)
    return store if isinstance(store, Group) and encoding(store) == "dict" else None


def below(handle: Store, group: Group) -> Iterator[tuple[str, Node | ElementError | NotFoundError]]:
    """Yield each element of a group such as obsm by its name; in place of one that is unsafe, the error.

    HDF5 takes the slash in a name for a path: `obsm["harmony/umap"]` lies in a group `harmony`, which is no
    element itself. Opens each element, and reads no values.

    Parameters
    ----------
    handle
        The file.
    group
        A group of elements in it.

    Yields
    ------
    The name below `group`, and the element, or what `Store.child` raised for it.
    """
    yield from _below(handle, group, "", set())


def _below(
    handle: Store, group: Group, prefix: str, seen: set[Hashable]
) -> Iterator[tuple[str, Node | ElementError | NotFoundError]]:
    seen.add(handle.key(group))
    for member in members(group):
        name = f"{prefix}{member}"
        try:
            node = handle.child(group, member)
        except (ElementError, NotFoundError) as error:
            yield name, error
            continue
        # a group that contains itself is yielded as an element: reading it raises ElementError
        if isinstance(node, Group) and is_part_of_names(node) and handle.key(node) not in seen:
            yield from _below(handle, node, f"{name}/", seen)
        else:
            yield name, node


def is_part_of_names(node: Node) -> bool:
    """Whether a group is what stands before a slash in the names of the elements in it, and no element itself."""
    return isinstance(node, Group) and encoding(node) == "dict" and len(node) > 0


def shape(node: Node) -> tuple[int, ...]:
    """Return the shape of an array-like element; reads attributes, at most one small dataset header.

    `()` when the element does not say it, or says nonsense.
    """
    try:
        return _stated_shape(node)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return ()


def _stated_shape(node: Node) -> tuple[int, ...]:
    if isinstance(node, Array):
        return tuple(int(n) for n in node.shape or ())
    kind = encoding(node)
    if kind in {"csr_matrix", "csc_matrix"}:
        stored = node.attrs.get("shape", node.attrs.get("h5sparse_shape"))
        return tuple(int(n) for n in stored) if stored is not None else ()
    if kind == "categorical":
        return _shape_of(node, "codes")
    if kind.startswith("nullable-"):
        return _shape_of(node, "values")
    if kind == "dataframe":
        columns = names(node, "column-order")
        index = node.get(text(node.attrs.get("_index", "_index")))
        return (*(shape(index)[:1] if index is not None else ()), len(columns))
    if kind == "awkward-array":
        return (int(node.attrs["length"]),)
    return ()


def _shape_of(group: Group, part: str) -> tuple[int, ...]:
    found = group.get(part)
    return shape(found) if found is not None else ()


def integer_flags(node: Group) -> tuple[str, ...]:
    """Return the names of the parts of a nullable element that are flags stored as integers, as R's packages do.

    anndata refuses such an element.
    """
    flags = ("mask", "values") if encoding(node) == "nullable-boolean" else ("mask",)
    parts = {name: node.get(name) for name in flags}
    return tuple(n for n, part in parts.items() if isinstance(part, Array) and part.dtype.kind in "iu")


def read(handle: Store, node: Node) -> Any:
    """Read a whole element into memory as anndata does: by its reader, which knows every encoding.

    Numbers and categories, of which most columns are, are read without it.

    Parameters
    ----------
    handle
        The file.
    node
        A group or array in it; of a group all that is below is read.

    Raises
    ------
    ElementError
        It is damaged, leads out of the file, or its encoding is not known; the message names the file, the HDF5 path
        and the reason.
    NotFoundError
        Something below is a link to nothing.
    FileChangedError
        The file changed before or while it was read.
    """
    if isinstance(node, Group):
        handle.check_inside(node)
    elif "encoding-type" not in node.attrs:  # an old or a foreign file, at which anndata would warn
        if is_text(node.dtype) and node.shape:
            return read_strings(handle, node).reshape(node.shape)
        if node.dtype.kind in "biuf":
            return read_numbers(handle, node)
    plain = _read_plain(handle, node)
    if plain is not None:
        return plain
    try:
        if isinstance(node, Group) and encoding(node).startswith("nullable-") and integer_flags(node):
            values = _read_with_flags(handle, node)
        else:
            values = handle.read_element(node)
    except Exception as error:  # anndata raises whatever its parts raise
        handle.root()
        is_known = type(error).__name__ != "IORegistryError"  # anndata gives it no public name
        if is_known and isinstance(node, Group) and encoding(node) == "categorical":
            categorical = _read_categorical(handle, node)
            if categorical is not None:
                return categorical
        raise ElementError(f"{handle.place(node.name)} {_refusal(node, error, is_known=is_known)}.") from error
    handle.root()
    return values


def read_numbers(handle: Store, dataset: Array) -> NDArray[np.generic]:
    """Read a whole dataset of numbers, of its shape and dtype.

    One of one dimension and `LARGE` values or more is inflated on all cores where its chunks can be read past HDF5.

    Parameters
    ----------
    handle
        The file.
    dataset
        An array of numbers in it.

    Raises
    ------
    ElementError
        Its bytes are damaged.
    FileChangedError
        The file changed before or while it was read.
    """
    chunks = None
    if dataset.ndim == 1 and dataset.size >= LARGE:
        with suppress(OSError, RuntimeError, ValueError, KeyError):  # HDF5's own: the read below reports them as ours
            chunks = handle.open_chunks(dataset)
    if chunks is None or dataset.chunks is None:
        return np.asarray(handle.read(dataset))
    values = np.empty(dataset.shape or (), dtype=dataset.dtype)
    step = -(-BAND // dataset.chunks[0]) * dataset.chunks[0]

    def fill(start: int) -> None:
        values[start : start + step] = chunks.read(slice(start, start + step))

    run_quickly(fill, range(0, len(values), step))
    return values


def _read_plain(handle: Store, node: Node) -> Any:
    """Read numbers, and categories, as anndata would; `None` for anything else, which is left to anndata."""
    if isinstance(node, Array):
        is_plain = encoding(node) == "array" and node.dtype.kind in "biuf" and node.shape
        return read_numbers(handle, node) if is_plain else None
    if encoding(node) != "categorical":
        return None
    codes, categories = node.get("codes"), node.get("categories")
    if not isinstance(codes, Array) or not isinstance(categories, Array) or codes.dtype.kind != "i":
        return None
    try:
        numbers: Any = read_numbers(handle, codes)  # the stubs ask for a list
        is_text = encoding(categories) == "string-array" and categories.dtype.kind == "O"
        stored = handle.read(categories) if is_text else _read_plain(handle, categories)
        if stored is None or stored.ndim != 1 or numbers.ndim != 1:
            return None
        import pandas as pd  # noqa: PLC0415

        labels: Any = np.array([each.decode() for each in stored], dtype=object) if is_text else stored
        return pd.Categorical.from_codes(numbers, categories=labels, ordered=bool(node.attrs["ordered"]))
    except Exception:  # noqa: BLE001 - whatever it is, anndata meets it next, and its error is the one reported
        return None


def _refusal(node: Node, error: Exception, *, is_known: bool) -> str:
    """Return the end of the sentence about an element that anndata does not read."""
    if not is_known:
        found = f"{encoding(node)!r}, version {text(node.attrs.get('encoding-version', 'none'))}"
        return (
            f"cannot be read: its encoding ({found}), or that of a part, is not known here; a newer anndata may know it"
        )
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return f"cannot be read ({reason.rstrip('.')})"


def _read_with_flags(handle: Store, node: Group) -> Any:
    import pandas as pd  # noqa: PLC0415

    values = handle.child_array(node, "values")
    mask = np.asarray(handle.read(handle.child_array(node, "mask"))).astype(np.bool_)
    if encoding(node) == "nullable-boolean":
        return pd.arrays.BooleanArray(handle.read(values).astype(np.bool_), mask)
    if encoding(node) == "nullable-integer":
        return pd.arrays.IntegerArray(handle.read(values), mask)
    texts = pd.Series(read_strings(handle, values), dtype="string")
    return texts.mask(mask).array


def _read_categorical(handle: Store, node: Group) -> pd.Categorical | None:
    """Read what anndata refuses: no word on the order, or NaN among the categories; `None` if more is wrong."""
    import pandas as pd  # noqa: PLC0415

    try:
        codes = np.asarray(handle.read(handle.child_array(node, "codes")))
        categories = pd.Index(read(handle, handle.child(node, "categories")))
        new_code = np.append(np.where(categories.isna(), -1, np.cumsum(categories.notna()) - 1), -1)
        new_codes: Any = new_code[codes]  # the stubs ask for a list
        return pd.Categorical.from_codes(new_codes, categories.dropna(), ordered=bool(node.attrs.get("ordered", False)))
    except (ElementError, NotFoundError, ValueError, TypeError, IndexError):
        return None


def read_column(handle: Store, node: Node) -> Any:
    """Read an element of one dimension, as the columns of a data frame are, whole and as `read` does.

    Parameters
    ----------
    handle, node
        As of `read`.

    Raises
    ------
    ElementError
        As `read`; and it is of another kind, such as a group of elements, a matrix, or nothing at all.
    NotFoundError, FileChangedError
        As `read`.
    """
    kind = encoding(node)
    if isinstance(node, Group) and kind in {"dict", "dataframe"}:
        raise ElementError(f"{handle.place(node.name)} is a group of elements (encoding {kind!r}), not a column.")
    if kind == "null":
        raise ElementError(f"{handle.place(node.name)} holds nothing; a column of values was expected.")
    values = read(handle, node)
    n_dimensions = getattr(values, "ndim", 1)
    if n_dimensions != 1:
        raise ElementError(f"{handle.place(node.name)} has {n_dimensions} dimensions; a column has one.")
    return values


def read_strings(handle: Store, node: Node) -> NDArray[np.object_]:
    """Read a whole element of one dimension as text, `(n,)`; numbers are written out, missing values are ''.

    Text that is an array is read without anndata, of any shape, flattened; bytes that are not UTF-8 show as U+FFFD.

    Parameters
    ----------
    handle, node
        As of `read`.

    Raises
    ------
    ElementError, NotFoundError, FileChangedError
        As `read_column`.
    """
    if isinstance(node, Array) and is_text(node.dtype):
        return texts(handle.read(node))
    import pandas as pd  # noqa: PLC0415

    return written_out(pd.Series(read_column(handle, node)))


def written_out(values: pd.Series) -> NDArray[np.object_]:
    """Return each value as text, `(n,)`; missing ones are ''."""
    return values.astype(object).where(values.notna(), "").map(str).to_numpy(dtype=object)


def texts(stored: NDArray[Any]) -> NDArray[np.object_]:
    """Return `text` of each value, `(n,)`."""
    return np.array([text(value) for value in np.ravel(stored).tolist()], dtype=object)


def text(value: object) -> str:
    """Return text that a file stores as bytes; what is not UTF-8 in it shows as U+FFFD."""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
