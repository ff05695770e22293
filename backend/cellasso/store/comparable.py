"""A copy and its source as they are compared: what each of the two files holds, apart from the code that copied it.

Values are compared by their bytes, so that neither a NaN nor a last letter nor the sign of a zero slips through;
texts, which may lie elsewhere in a file, by what they say.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from numpy.typing import NDArray

    from cellasso.store.base import Group, Node, Store

SMALL_BYTES = 1 << 23
"""What an array takes in memory up to which it is read whole: reading that takes 10 ms, inflating it 30."""

TEXT_BYTES = 100
"""What a text of variable length takes in memory, about."""


class Attribute(NamedTuple):
    """An attribute: its type, its shape (`None`: it holds nothing), and its values in bytes or as texts.

    Types are equal when the file stores the same. Of one that refers to other objects the values are `None`: these lie
    elsewhere in another file.
    """

    kind: Any
    shape: tuple[int, ...] | None
    values: Hashable


class Stored(ABC):
    """An array of one of the two files; what is asked for many times is looked up once.

    Attributes
    ----------
    shape
        `None` when it holds nothing.
    """

    shape: tuple[int, ...] | None

    @property
    @abstractmethod
    def dtype(self) -> np.dtype[Any]:
        """Of its values as NumPy has them."""

    @property
    @abstractmethod
    def attributes(self) -> Mapping[bytes, Attribute]:
        """Its attributes by name."""

    @property
    @abstractmethod
    def n_bytes(self) -> int:
        """What its values take in memory, about."""

    @property
    @abstractmethod
    def band_bytes(self) -> int:
        """What has to be inflated to read one row: all chunks that hold a part of it, or the row."""

    @abstractmethod
    def has_type_of(self, other: Stored) -> bool:
        """Whether values of both are stored in the same type."""

    @abstractmethod
    def read(self) -> NDArray[Any]:
        """Read all values; a single one, without rows, as `(1,)`."""

    @abstractmethod
    def read_ascending(self, starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[Any]:
        """Read stretches of rows, one after the other, `(lengths.sum(), ...)`; of chunks all that hold one of them.

        Parameters
        ----------
        starts, lengths
            First row and number of rows of each stretch, `(n_stretches,)` each, ascending and without overlap.
        """

    def read_stretch(self, start: int, stop: int) -> NDArray[Any]:
        """Read rows `start` to `stop`, `(stop - start, ...)`; of chunks all that hold one of them.

        Parameters
        ----------
        start, stop
            The first row, and the one behind the last; both within the array.
        """
        return self.read_ascending(np.array([start]), np.array([stop - start]))

    def read_rows(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Read rows in the order asked for, `(len(rows), ...)`; of a large array these should be few."""
        return self.read_stretches(rows, np.ones(len(rows), dtype=np.int64))

    def read_stretches(self, starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[Any]:
        """Read stretches of rows that do not overlap, one after the other in the order given, `(lengths.sum(), ...)`.

        An array of at most `SMALL_BYTES` is read whole, once for each call.

        Parameters
        ----------
        starts, lengths
            First row and number of rows of each stretch, `(n_stretches,)` each. A stretch may be given several times,
            and may be empty.
        """
        if self.n_bytes <= SMALL_BYTES:
            return self.read()[_positions(starts, lengths)]
        starts, lengths = starts[lengths > 0], lengths[lengths > 0]
        first, at, inverse = np.unique(starts, return_index=True, return_inverse=True)
        values = self.read_ascending(first, lengths[at])
        return values[_positions((np.cumsum(lengths[at]) - lengths[at])[inverse], lengths)]


class Side(ABC):
    """One of the two files.

    Attributes
    ----------
    store
        The file, open.
    root
        Its root group.
    """

    store: Store
    root: Group

    @abstractmethod
    def attributes(self, group: Group) -> Mapping[bytes, Attribute]:
        """Return the attributes of a group by name."""

    @abstractmethod
    def of(self, node: Node) -> Stored | Group:
        """Return an array of the file as it is compared; a group as it is."""

    def open(self, group: Group, name: str) -> Any:
        """Return a member of a group: a group, or a `Stored`.

        Parameters
        ----------
        group
            A group of the file.
        name
            Of the member; the copy was made of it, so that it leads nowhere else.
        """
        return self.of(self.store.child(group, name))


# -- values -------------------------------------------------------------------------------------------


def same(found: NDArray[Any], expected: NDArray[Any]) -> bool:
    """Whether two arrays hold the same values in the same order, byte by byte: NaN equals the same NaN, -0.0 not 0.0.

    Parameters
    ----------
    found, expected
        As `Stored.read` returns them. Of records the fields are compared and not what lies between them; texts by what
        they say. Dtypes are compared only within values of variable length.
    """
    return found.shape == expected.shape and plain(found) == plain(expected)


def first_difference(found: NDArray[Any], expected: NDArray[Any]) -> int:
    """Return the row in which two arrays of as many rows begin to differ; that number of rows where they do not.

    Parameters
    ----------
    found, expected
        As of `same`, `(n_rows, ...)` each.
    """
    pairs = enumerate(zip(found, expected, strict=False))
    return next((at for at, (a, b) in pairs if plain(np.asarray(a)) != plain(np.asarray(b))), len(found))


def plain(values: NDArray[Any]) -> Hashable:
    """Return what is equal for arrays of one shape that hold the same: bytes, or a tuple of texts or of fields."""
    if values.dtype.names:  # what is between the fields means nothing
        return tuple(plain(np.ascontiguousarray(values[field])) for field in values.dtype.names)
    if not values.dtype.hasobject:
        return values.tobytes()
    listed = tuple(values.ravel().tolist())
    if not isinstance(next(iter(listed), None), np.ndarray):
        return listed  # texts
    return tuple((value.dtype.str, plain(value)) for value in listed)


def _positions(starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return `starts[0], starts[0] + 1, ...` for each start, `lengths` positions each, one after the other."""
    before = np.cumsum(lengths) - lengths
    return np.repeat(starts - before, lengths) + np.arange(int(lengths.sum()))
