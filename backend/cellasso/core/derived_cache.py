"""The folder that keeps what was worked out of files: indexes of matrices, and sorted points of embeddings.

One folder below it for each, capped in size; the one opened longest ago goes first.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import deflate
import platformdirs

from cellasso.core.atomic_file import try_to_lock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from cellasso.core.progress import Progress

CAP_BYTES = 64 << 30
"""What the indexes in the user's cache may take; the environment variable below says otherwise, in bytes."""

CAP_VARIABLE = "CELLASSO_INDEX_CAP"

ABOUT = "about.json"
"""What each folder begins with; its time stamp says when it was last opened."""

LOCK = "lock"
PLANE = "plane"
"""Name of the one file that the sorted points of an embedding have there."""

PATIENCE = 0.2
"""Seconds between two attempts to take a lock that another process holds."""


@dataclass(frozen=True)
class Entry:
    """One index in the folder.

    Attributes
    ----------
    file, matrix
        Of what it is, as it was called when the index was begun.
    n_bytes
        What it takes on the disk.
    fraction
        How much of it is finished, by blocks.
    opened
        When it was last opened, in seconds since 1970.
    """

    folder: Path
    file: str
    matrix: str
    n_bytes: int
    fraction: float
    opened: float


def default_root() -> Path:
    """Return where this user's indexes are; the folder need not exist."""
    return platformdirs.user_cache_path("cellasso") / "index"


def entries(root: Path) -> list[Entry]:
    """Return what is in the folder, the index opened last first."""
    found = [_entry(folder) for folder in root.iterdir() if (folder / ABOUT).exists()] if root.is_dir() else []
    return sorted((entry for entry in found if entry is not None), key=lambda entry: -entry.opened)


def clear(root: Path) -> int:
    """Remove all indexes of a folder, and nothing else; return how many bytes that were."""
    removed = 0
    for entry in entries(root):
        removed += entry.n_bytes if _remove(entry.folder) else 0
    return removed


def trim(root: Path, *, keep: Path, room: int = 0) -> None:
    """Remove the indexes opened longest ago until those left and `room` bytes more are within `cap()`.

    A folder other than `default_root()` is left alone: the user chose it. An index that another process builds stays.

    Parameters
    ----------
    root
        Folder of the indexes.
    keep
        Folder of the one index that is never removed.
    room
        Bytes that are about to be written beside what is there.
    """
    if root != default_root():
        return
    found = entries(root)
    total = sum(entry.n_bytes for entry in found) + room
    for entry in reversed(found):
        if total <= cap():
            return
        if entry.folder != keep and _remove(entry.folder):
            total -= entry.n_bytes


def cap() -> int:
    """Return what the indexes may take in bytes."""
    stated = os.environ.get(CAP_VARIABLE, "")
    return int(stated) if stated.isdecimal() else CAP_BYTES


def remove_leftovers(folder: Path) -> None:
    """Remove partial files of a build that was killed. The caller holds the lock; finished blocks have other names."""
    for path in folder.glob(".*.block.*"):
        path.unlink(missing_ok=True)


@contextmanager
def locked(folder: Path, *, progress: Progress | None, fraction: Callable[[], float]) -> Iterator[None]:
    """Hold the lock of an index; while another process has it, wait and report how far that one is.

    The system releases it when a process ends in whatever way. A file system without locks does without: two builds
    at a time write the same bytes, and each file appears whole.

    Parameters
    ----------
    folder
        Of the index; it exists.
    progress
        Called every `PATIENCE` seconds of waiting, so that it can cancel; `None`: the wait goes on.
    fraction
        Returns how much of the index the other process has finished, 0 to 1.

    Yields
    ------
    Nothing, once the lock is held.
    """
    with (folder / LOCK).open("a") as file:
        while try_to_lock(file.fileno()) is False:
            time.sleep(PATIENCE)
            if progress is not None:
                progress(fraction())
        yield


def _entry(folder: Path) -> Entry | None:
    try:
        about = parse_json_with_crc((folder / ABOUT).read_bytes())
        if about is None or about.get("key") != folder.name:  # no index: left alone, whatever it holds
            return None
        opened = (folder / ABOUT).stat().st_mtime
        files = [path.stat().st_size for path in folder.iterdir()]
    except OSError:  # another process removes it at this moment
        return None
    n_blocks = max(1, len(about.get("starts", ())) - 1)
    n_done = sum(1 for _ in folder.glob("[0-9]*.block")) + (folder / PLANE).exists()
    return Entry(
        folder, about.get("file", "?"), about.get("matrix", "?"), sum(files), min(1.0, n_done / n_blocks), opened
    )


def _remove(folder: Path) -> bool:
    """Remove an index, unless a build holds it; of a folder only the files that an index has."""
    with suppress(OSError), (folder / LOCK).open("a") as lock:
        if try_to_lock(lock.fileno()) is False:
            return False
        for pattern in ("[0-9]*.block", ".*.block.*", PLANE, f".{PLANE}.*", f".{ABOUT}.*", ABOUT, LOCK):
            for path in folder.glob(pattern):
                path.unlink(missing_ok=True)
        folder.rmdir()
    return not folder.exists()


def json_with_crc(stated: dict[str, Any]) -> bytes:
    """Return JSON text of plain values and, in a second line, its checksum (CRC-32)."""
    text = json.dumps(stated).encode()
    return text + f"\n{deflate.crc32(text):08x}\n".encode()


def parse_json_with_crc(stored: bytes) -> dict[str, Any] | None:
    """Return what `json_with_crc` was given; `None` when the bytes are damaged."""
    text, _, rest = stored.partition(b"\n")
    if rest.strip(b"\n") != f"{deflate.crc32(text):08x}".encode():
        return None
    stated: dict[str, Any] = json.loads(text)
    return stated
