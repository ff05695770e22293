"""Objects of a new file made like those of another: type, layout, filters, attributes, order of members.

What HDF5 keeps of an object in its creation list is not all meant for another file. A group's list in the newer
format holds the addresses of its links in its own file; passed on, they make HDF5 read the new file at places
that mean nothing there, and crash. So lists of groups are made anew, and take over what has meaning.
"""

from __future__ import annotations

from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, TypeAlias

import h5py
import numpy as np
from h5py import h5, h5a, h5d, h5g, h5o, h5p, h5s, h5t

from cellasso.store.hdf5.stored_values import Known, attributes, refers

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

    from numpy.typing import NDArray

    Node: TypeAlias = h5py.Group | h5py.Dataset

TEXTS = {
    cset: h5t.py_create(h5py.string_dtype(encoding))
    for cset, encoding in ((h5t.CSET_ASCII, "ascii"), (h5t.CSET_UTF8, "utf-8"))
}
"""How texts of variable length stand in memory, by their character set in HDF5."""


# -- objects ------------------------------------------------------------------------------------------


def create_like(
    source: h5py.Dataset,
    parent: h5py.Group,
    name: str | None,
    shape: tuple[int, ...],
    *,
    dtype: np.dtype[np.generic] | None = None,
) -> h5py.Dataset:
    """Create a dataset of another shape with the source's type, chunks (clipped), filters and attributes.

    Attributes that refer to other objects are left out.

    Parameters
    ----------
    source
        The dataset to be like; it may be of another file.
    parent
        Group of the new file.
    name
        `None`: no group links to the dataset, and it is gone when its last handle is closed.
    shape
        Of the new dataset, with as many dimensions as the source.
    dtype
        Instead of the source's.
    """
    plist = source.id.get_create_plist()
    if plist.get_layout() == h5d.CHUNKED:
        plist.set_chunk(tuple(max(1, min(pair)) for pair in zip(plist.get_chunk(), shape, strict=True)))
    most = source.id.get_space().get_simple_extent_dims(True)
    limits = tuple(h5s.UNLIMITED if limit == h5s.UNLIMITED else n for limit, n in zip(most, shape, strict=True))
    kind = _own(source.id.get_type()) if dtype is None else h5t.py_create(dtype, logical=True)
    _make_room_for_attributes(source, plist)
    made = h5d.create(
        parent.id, name.encode() if name is not None else None, kind, h5s.create_simple(shape, limits), dcpl=plist
    )
    created = h5py.Dataset(made)
    copy_attributes(source, created, plist)
    return created


class Templates:
    """Makes objects like others of which many are alike, such as the columns of a data frame.

    The first of a kind is made without a name and stays empty; it, and each further one, is a copy of that. HDF5 copies
    an object with its attributes in a quarter of the time in which they are made one by one.

    Attributes
    ----------
    known
        What was read of the originals, by address: it is wanted again when the copies are compared with them.
    """

    def __init__(self) -> None:
        self.known: dict[int, Known] = {}
        self._made: dict[Hashable, tuple[h5p.PropOCID, h5d.DatasetID | h5g.GroupID]] = {}

    def dataset(
        self,
        source: h5py.Dataset,
        parent: h5py.Group,
        name: str,
        shape: tuple[int, ...],
        *,
        dtype: np.dtype[np.generic] | None = None,
    ) -> h5py.Dataset:
        """Create a dataset as `create_like` does, by copying an empty one of the same kind where one was made before.

        Parameters
        ----------
        source, parent, shape, dtype
            As of `create_like`.
        name
            Of the new dataset in `parent`.
        """
        make = partial(create_like, source, parent, None, shape, dtype=dtype)
        known = Known(attributes(source.id), source.id.get_type(), source.shape, source.id.get_offset())
        return h5py.Dataset(self._copy(source, parent, name, known, make, of=(shape, dtype)))

    def group(self, source: h5py.Group, parent: h5py.Group, name: str) -> h5py.Group:
        """Create an empty group as `create_group_like` does, by copying one of the same kind where one was made before.

        Parameters
        ----------
        source, parent
            As of `create_group_like`.
        name
            Of the new group in `parent`.
        """
        known, make = Known(attributes(source.id)), partial(create_group_like, source, parent, None)
        return h5py.Group(self._copy(source, parent, name, known, make))

    def _copy(
        self, source: Node, parent: h5py.Group, name: str, known: Known, make: Callable[[], Node], *, of: Hashable = ()
    ) -> h5d.DatasetID | h5g.GroupID:
        plist = source.id.get_create_plist()
        self.known[h5o.get_info(source.id).addr] = known
        kind = None if known.kind is None else known.kind.encode()
        key = of, kind, *((name, each.kind.encode(), *each[1:]) for name, each in known.attributes.items())
        creation, template = self._made.get(key, (None, None))
        if template is None or not plist.equal(creation):
            template = make().id
            self._made[key] = plist, template
        h5o.copy(template, b".", parent.id, name.encode())
        return h5o.open(parent.id, name.encode())


def copy_dataset(source: h5py.Dataset, parent: h5py.Group, name: str) -> None:
    """Copy a whole dataset with its attributes, but for those that refer to objects: here they would lead nowhere.

    HDF5 copies the chunks as they are stored, without inflating them.

    Parameters
    ----------
    source
        A dataset of another file, or of the same.
    parent
        Group of the new file.
    name
        Of the copy; it is not taken.
    """
    h5o.copy(source.id, b".", parent.id, name.encode())
    for attribute in [
        each.name for each in _attributes(source, source.id.get_create_plist()) if refers(each.get_type())
    ]:
        h5a.delete(parent.id, attribute, obj_name=name.encode())


def create_group_like(source: h5py.Group, parent: h5py.Group, name: str | None) -> h5py.Group:
    """Create an empty group with the source's attributes and order of members.

    Attributes that refer to other objects are left out.

    Parameters
    ----------
    source
        The group to be like; it may be of another file.
    parent
        Group of the new file.
    name
        `None`: no group links to the new one, and it is gone when its last handle is closed.
    """
    stored, plist = source.id.get_create_plist(), h5p.create(h5p.GROUP_CREATE)
    plist.set_link_creation_order(stored.get_link_creation_order())
    plist.set_attr_creation_order(stored.get_attr_creation_order())
    plist.set_attr_phase_change(*stored.get_attr_phase_change())
    _make_room_for_attributes(source, plist)
    created = h5py.Group(h5g.create(parent.id, name.encode() if name is not None else None, gcpl=plist))
    copy_attributes(source, created, stored)
    return created


def keeps_order(group: h5py.Group) -> bool:
    """Whether a group lists its members in the order in which they were made."""
    return bool(group.id.get_create_plist().get_link_creation_order() & h5p.CRT_ORDER_TRACKED)


def _make_room_for_attributes(source: Node, plist: h5p.PropOCID) -> None:
    """Let the copy's attributes be as large as the source's may be: above 64 kB the old object header cannot.

    A file in the old format may hold objects in the new one. HDF5 makes such an object when it is to keep the
    order of its attributes, whatever the format of the rest.
    """
    if h5o.get_info(source.id).hdr.version > 1 and not plist.get_attr_creation_order():
        plist.set_attr_creation_order(h5p.CRT_ORDER_TRACKED)


# -- attributes ---------------------------------------------------------------------------------------


def copy_attributes(source: Node, target: Node, plist: h5p.PropOCID | None = None) -> None:
    """Copy attributes in their stored types, but for those that refer to objects: these may not exist yet.

    Parameters
    ----------
    source, target
        Objects of two files, or of one; the target has no attributes of these names.
    plist
        The source's creation list, where it is at hand; `None`: it is looked up.
    """
    for stored in _attributes(source, plist or source.id.get_create_plist()):
        kind, space = stored.get_type(), stored.get_space()
        if refers(kind):
            continue
        made = h5a.create(target.id, stored.name, _own(kind), space)
        values, in_memory = _read_attribute(stored, kind, space)
        if values is not None:
            made.write(values, in_memory)


def _read_attribute(
    stored: h5a.AttrID, kind: h5t.TypeID, space: h5s.SpaceID
) -> tuple[NDArray[Any] | None, h5t.TypeID | None]:
    """Return the values of an attribute, `None` if it has none, and how they stand in memory."""
    if space.get_simple_extent_type() == h5s.NULL or not space.get_simple_extent_npoints():
        return None, None
    if isinstance(kind, h5t.TypeStringID) and kind.is_variable_str():
        dtype, in_memory = np.dtype(object), TEXTS[kind.get_cset()]  # most are such, and looking it up is slow
    elif _is_flat(kind):  # byte by byte, whatever the bytes mean
        dtype, in_memory = np.dtype(f"V{kind.get_size()}"), kind
    else:
        dtype, in_memory = kind.dtype, memory_type(kind)
    values = np.empty(space.get_simple_extent_dims(), dtype=dtype)
    stored.read(values, in_memory)
    return values, in_memory


def _attributes(node: Node, plist: h5p.PropOCID) -> Iterator[h5a.AttrID]:
    """Yield the attributes of an object, in the order in which they were made if that was kept."""
    by = h5.INDEX_CRT_ORDER if plist.get_attr_creation_order() & h5p.CRT_ORDER_TRACKED else h5.INDEX_NAME
    for at in range(h5a.get_num_attrs(node.id)):
        yield h5a.open(node.id, index=at, index_type=by)


def _own(kind: h5t.TypeID) -> h5t.TypeID:
    """Return a type that belongs to no file: one that is committed in a file cannot serve in another."""
    return kind.copy() if kind.committed() else kind


# -- values -------------------------------------------------------------------------------------------


def memory_type(kind: h5t.TypeID) -> h5t.TypeID | None:
    """Return how values of a stored type have to stand in memory to keep every byte; `None`: as h5py has them.

    h5py takes text of fixed length for padded with zeros. Where the file says that it ends with a zero, HDF5
    converts, puts that zero in the place of the last byte, and `#ff0000` in 7 bytes becomes `#ff000`. Julia,
    C and R write such text. In memory as in the file there is nothing to convert.
    """
    if isinstance(kind, h5t.TypeStringID):
        return None if kind.is_variable_str() else kind
    if isinstance(kind, h5t.TypeArrayID):
        inner = memory_type(kind.get_super())
        return None if inner is None else h5t.array_create(inner, kind.get_array_dims())
    if isinstance(kind, h5t.TypeCompoundID):
        return _compound_memory_type(kind)
    return None


def _compound_memory_type(kind: h5t.TypeCompoundID) -> h5t.TypeID | None:
    members = [memory_type(kind.get_member_type(at)) for at in range(kind.get_nmembers())]
    if not any(members):
        return None
    dtype = kind.dtype
    made = h5t.create(h5t.COMPOUND, dtype.itemsize)
    for at, (field, member) in enumerate(zip(dtype.names, members, strict=True)):
        of_field, offset = dtype.fields[field][:2]
        made.insert(kind.get_member_name(at), offset, member or h5t.py_create(of_field))
    return made


def read(dataset: h5py.Dataset, *values: slice) -> NDArray[Any]:
    """Read a stretch along each axis as it is stored.

    Parameters
    ----------
    dataset
        An open dataset.
    values
        A slice without a step for each of the first axes; the others are read whole.

    Raises
    ------
    OSError, RuntimeError, ValueError
        HDF5's own, about damaged bytes.
    """
    stored, shape = dataset.id, dataset.shape
    spans = [each.indices(n)[:2] for each, n in zip(values, shape, strict=False)]
    spans += [(0, n) for n in shape[len(values) :]]
    counts = tuple(max(0, stop - start) for start, stop in spans)
    dtype, in_memory = _in_memory(stored.get_type().encode())
    out = np.empty(counts, dtype=dtype)
    if out.size and counts == shape:
        stored.read(h5s.ALL, h5s.ALL, out, in_memory)
    elif out.size:
        space = stored.get_space()
        space.select_hyperslab(tuple(start for start, _ in spans), counts)
        stored.read(h5s.create_simple(counts), space, out, in_memory)
    return out


def write(target: h5py.Dataset, values: NDArray[Any], at: tuple[int, ...] | None = None) -> None:
    """Write a whole dataset, or a block of it; values of no size write nothing.

    Parameters
    ----------
    target
        The dataset, with room for the values.
    values
        Converted to the dtype of the dataset where theirs is another.
    at
        Position at which the block begins, along each of the first axes (0 along the others); `None`: the values are
        the whole dataset.
    """
    if not values.size:
        return
    stored = target.id
    dtype, in_memory = _in_memory(stored.get_type().encode())
    values = np.ascontiguousarray(values, dtype=dtype).reshape(values.shape)
    if at is None:
        stored.write(h5s.ALL, h5s.ALL, values, in_memory)
        return
    space = stored.get_space()
    space.select_hyperslab((*at, *(0,) * (values.ndim - len(at))), values.shape)
    stored.write(h5s.create_simple(values.shape), space, values, in_memory)


@lru_cache(maxsize=256)
def _in_memory(encoded: bytes) -> tuple[np.dtype[Any], h5t.TypeID]:
    """Return NumPy's and HDF5's type of values in memory; of thousands of columns few are of different types."""
    kind = h5t.decode(encoded)
    dtype = kind.dtype
    return dtype, memory_type(kind) or h5t.py_create(dtype)


def _is_flat(kind: h5t.TypeID) -> bool:
    """Whether values of an HDF5 type stand in their bytes, and none of them elsewhere."""
    if isinstance(kind, h5t.TypeStringID):
        return not kind.is_variable_str()
    if isinstance(kind, h5t.TypeArrayID):
        return _is_flat(kind.get_super())
    if isinstance(kind, h5t.TypeCompoundID):
        return all(_is_flat(kind.get_member_type(at)) for at in range(kind.get_nmembers()))
    return not isinstance(kind, h5t.TypeVlenID)
