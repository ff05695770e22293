"""One block of an index: a file with the values of some consecutive cells, feature by feature.

The file begins with a header of fixed size: JSON with its checksum. Then the segments (see `packing`), then the
sections that the header names: `table` says where each feature's segment lies and what its checksum is; the others
are sums. A file under a block's name is complete: it is written under another name, brought to the disk, renamed.
"""

from __future__ import annotations

import os
import struct
import threading
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Self

import deflate
import numpy as np
from cachetools import LRUCache

from cellasso.core.atomic_file import Replacement
from cellasso.core.derived_cache import json_with_crc, parse_json_with_crc

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path
    from types import TracebackType

    from numpy.typing import NDArray

FORMAT = 1
"""Part of each index's key: another layout, another index."""

HEADER_BYTES = 4096

MAX_OPEN = 256
"""Blocks that a process keeps open: 6M cells; systems allow 1,024 files and more."""

ENTRY = np.dtype([("offset", "<u8"), ("length", "<u4"), ("checksum", "<u4")])
"""Of the table. The checksum goes on from the feature's number, so that neither zeros nor another feature's segment
pass for this one's."""

ENTRY_STRUCT = struct.Struct("<QII")

SUMS = {
    "totals": "<f8",
    "row_nonzero": "<u4",
    "sums": "<f8",
    "squares": "<f8",
    "n_nonzero": "<u4",
}
"""Sections that are kept beside the values: of each cell, then of each feature."""


class BlockError(Exception):
    """A block cannot be read; its cells are scanned instead."""


class DamagedBlockError(BlockError):
    """A block is cut off, or its bytes are not those that were written: it is removed and built again."""


@dataclass(frozen=True)
class Extent:
    """Which part of which matrix a block holds.

    Attributes
    ----------
    key
        Of the matrix and its state, see `index.key_of`.
    number
        Of the block, from 0.
    start, stop
        Its rows.
    """

    key: str
    number: int
    start: int
    stop: int
    n_columns: int
    dtype: np.dtype[np.generic]

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return self.stop - self.start

    def path(self, folder: Path) -> Path:
        """Return where the block lies in the folder of its index."""
        return folder / f"{self.number:05d}.block"

    def stated(self) -> dict[str, Any]:
        """Return what the block's header says of it."""
        return {
            "format": FORMAT,
            "key": self.key,
            "number": self.number,
            "rows": [self.start, self.stop],
            "n_columns": self.n_columns,
            "dtype": self.dtype.str,
        }


class BlockWriter:
    """Writes the file of a block; nothing stands under its name before `finish`."""

    def __init__(self, extent: Extent, folder: Path, *, shift: int, book: NDArray[np.uint64]) -> None:
        self._extent = extent
        self._table = np.zeros(extent.n_columns, dtype=ENTRY)
        self.n_columns = 0
        self._shift, self._book = shift, book
        self._new = Replacement(extent.path(folder))
        self._file = self._new.file
        self._file.seek(HEADER_BYTES)

    def append(self, packed: NDArray[np.uint8], lengths: NDArray[np.int64], checksums: Sequence[int]) -> None:
        """Write the segments of the next columns; the first call has column 0.

        Parameters
        ----------
        packed
            The segments, one after the other, `(lengths.sum(),)`.
        lengths
            Of each segment in bytes, `(n_columns,)`; 0 for a column without values.
        checksums
            Of each segment, as of `checksum`.
        """
        entries = self._table[self.n_columns : self.n_columns + len(lengths)]
        entries["offset"] = self._file.tell() + np.cumsum(lengths) - lengths
        entries["length"], entries["checksum"] = lengths, checksums
        self.n_columns += len(lengths)
        self._file.write(packed.data)

    def finish(self, sums: dict[str, NDArray[Any]]) -> None:
        """Write the rest, bring it to the disk, and give the file its name."""
        parts = {"table": self._table, "book": self._book.astype("<u8")}
        parts |= {name: sums[name].astype(dtype) for name, dtype in SUMS.items()}
        sections = {}
        for name, values in parts.items():
            stored = values.tobytes()
            sections[name] = [self._file.tell(), len(stored), deflate.crc32(stored)]
            self._file.write(stored)
        stated = {**self._extent.stated(), "shift": self._shift, "size": self._file.tell(), "sections": sections}
        self._file.seek(0)
        self._file.write(json_with_crc(stated).ljust(HEADER_BYTES, b"\n"))
        self._new.put(sync=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._new.__exit__(kind, value, trace)


class Block:
    """A finished block, whose header and book were checked; `read` checks what it reads.

    Raises
    ------
    BlockError
        It cannot be opened.
    DamagedBlockError
        It is not what was written for this extent.
    """

    def __init__(self, extent: Extent, folder: Path) -> None:
        self.extent = extent
        self.path = extent.path(folder)
        file = _descriptors.open(self.path)
        stated = parse_json_with_crc(file.pread(0, HEADER_BYTES))
        if stated is None or {name: stated.get(name) for name in extent.stated()} != extent.stated():
            raise DamagedBlockError(f"{self.path} has a damaged header")
        if stated["size"] != file.size:
            raise DamagedBlockError(f"{self.path} has {file.size:,} bytes; {stated['size']:,} were written")
        from cellasso.column_index.kernels import unpacking  # noqa: PLC0415 - numba takes half a second to import, and most files have no index

        self._unpacking = unpacking
        self._identity = file.identity
        self._shift = int(stated["shift"])
        self._sections: dict[str, list[int]] = stated["sections"]
        self._table = self._sections["table"][0]
        self._book = self._section(file, "book", "<u8")
        self._bits = np.dtype(f"u{extent.dtype.itemsize}")

    def expect_entries(self, columns: Iterable[int]) -> None:
        """Have the system fetch the entries of columns, without waiting for them."""
        file = self._file()
        for column in columns:
            file.expect(self._table + column * ENTRY_STRUCT.size, ENTRY_STRUCT.size)

    def expect_segments(self, columns: Iterable[int]) -> None:
        """Have the system fetch the segments of columns, without waiting for them; reads the entries."""
        file = self._file()
        for column in columns:
            offset, length, _ = self._entry(file, column)
            file.expect(offset, length)

    def read(self, columns: Iterable[int]) -> list[tuple[int, NDArray[np.int32], NDArray[Any]] | None]:
        """Return for each column whether a cell has several values of it, the rows in the block, the values' bits.

        Reads the entries of the columns in the table and their segments, nothing else; `None` stands for a column
        without values.
        """
        file = self._file()
        return [self._read_column(file, column) for column in columns]

    def sums(self, name: str) -> NDArray[Any]:
        """Return one of `SUMS`, `(n_rows,)` or `(n_columns,)`."""
        return self._section(self._file(), name, SUMS[name])

    def check(self) -> None:
        """Read all of the block and compare every checksum."""
        file = self._file()
        for name, dtype in SUMS.items():
            self._section(file, name, dtype)
        for column, entry in enumerate(self._section(file, "table", ENTRY).tolist()):
            self._segment(file, column, *entry)

    def _file(self) -> _Descriptor:
        file = _descriptors.open(self.path)
        if file.identity != self._identity:  # built again since then: its codes may mean other values
            raise BlockError(f"{self.path} was replaced")
        return file

    def _read_column(self, file: _Descriptor, column: int) -> tuple[int, NDArray[np.int32], NDArray[Any]] | None:
        # structs, not NumPy's records: a gene of a million cells takes 40 of these calls
        stored = self._segment(file, column, *self._entry(file, column))
        if not stored:
            return None
        n, repeats = self._unpacking.header_of(stored)
        rows, bits = np.empty(n, dtype=np.int32), np.empty(n, dtype=self._bits)
        segment = np.frombuffer(stored, dtype=np.uint8)
        if not self._unpacking.unpack(segment, self._book, self._shift, self.extent.n_rows, rows, bits):
            raise DamagedBlockError(f"{self.path} has a damaged column {column}")
        return repeats, rows, bits

    def _entry(self, file: _Descriptor, column: int) -> tuple[int, int, int]:
        stored = file.pread(self._table + column * ENTRY_STRUCT.size, ENTRY_STRUCT.size)
        offset, length, expected = ENTRY_STRUCT.unpack(stored)
        return offset, length, expected

    def _segment(self, file: _Descriptor, column: int, offset: int, length: int, expected: int) -> bytes:
        stored = file.pread(offset, length)
        if checksum(column, stored) != expected:
            raise DamagedBlockError(f"{self.path} has a damaged column {column}")
        return stored

    def _section(self, file: _Descriptor, name: str, dtype: str | np.dtype[Any]) -> NDArray[Any]:
        offset, length, expected = self._sections[name]
        stored = file.pread(offset, length)
        if deflate.crc32(stored) != expected:
            raise DamagedBlockError(f"{self.path} has damaged {name}")
        return np.frombuffer(stored, dtype=dtype)


def checksum(column: int, segment: bytes) -> int:
    """Return the checksum of a column's segment (libdeflate's CRC-32, many times faster than zlib's).

    Parameters
    ----------
    column
        Its number, from which the checksum goes on: another column's segment does not pass for this one's.
    segment
        Its bytes; `b""` for a column without values.
    """
    return int(deflate.crc32(segment, column + 1))


def checksums(first: int, segments: NDArray[np.uint8], lengths: NDArray[np.int64]) -> list[int]:
    """Return the checksums of the segments of consecutive columns, as `checksum` of each.

    Parameters
    ----------
    first
        Number of the first column.
    segments
        One after the other, `(lengths.sum(),)`.
    lengths
        Of each segment in bytes, `(n_columns,)`.
    """
    # slices of a memoryview take half as long as those of an array
    stored, ends = segments.data, np.cumsum(lengths).tolist()
    spans = enumerate(pairwise([0, *ends]), first)
    return [deflate.crc32(stored[start:stop], column + 1) for column, (start, stop) in spans]


class _Descriptor:
    """A file open for `pread` by any thread; it is closed when the last reference to it is gone."""

    _descriptor = -1

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        except OSError as error:
            raise BlockError(f"{path} cannot be opened ({error.strerror})") from error
        status = os.fstat(self._descriptor)
        self.size = status.st_size
        self.identity = status.st_ino, status.st_size, status.st_mtime_ns

    def pread(self, offset: int, length: int) -> bytes:
        if not 0 <= offset <= offset + length <= self.size:
            raise DamagedBlockError(f"{self._path} ends at {self.size:,} bytes")
        try:
            stored = os.pread(self._descriptor, length, offset)
        except OSError as error:
            raise BlockError(f"{self._path} cannot be read ({error.strerror})") from error
        if len(stored) != length:
            raise DamagedBlockError(f"{self._path} ends at {offset + len(stored):,} bytes")
        return stored

    def expect(self, offset: int, length: int) -> None:
        if hasattr(os, "posix_fadvise") and 0 <= offset <= offset + length <= self.size:
            os.posix_fadvise(self._descriptor, offset, length, os.POSIX_FADV_WILLNEED)

    def __del__(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)


class _Descriptors:
    """The blocks read lately, kept open: opening and closing would double the time of a read.

    A file that was removed or replaced goes on serving what it held, until its block is dropped.
    """

    def __init__(self, most: int) -> None:
        self._open: LRUCache[Path, _Descriptor] = LRUCache(most)
        self._lock = threading.Lock()

    def open(self, path: Path) -> _Descriptor:
        with self._lock:
            file = self._open.get(path)
            if file is None:
                file = self._open[path] = _Descriptor(path)
            return file

    def close(self, path: Path) -> None:
        with self._lock:
            self._open.pop(path, None)


_descriptors = _Descriptors(MAX_OPEN)


def close_block(path: Path) -> None:
    """Close the file of a block, as soon as no thread reads it any more."""
    _descriptors.close(path)
