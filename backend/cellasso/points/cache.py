"""Sorted points of embeddings, kept beside the indexes: opening millions of cells again is then a matter of reading."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import deflate
import numpy as np

from cellasso.core.atomic_file import Replacement
from cellasso.core.derived_cache import ABOUT, PLANE, json_with_crc, parse_json_with_crc, trim
from cellasso.points.point_index import BLOCK, MAX_BITS, PointIndex, Viewport

if TYPE_CHECKING:
    from pathlib import Path

    from cellasso.store.base import Store

logger = logging.getLogger(__name__)

FORMAT = 2
"""Part of each key: another layout, another file."""

WORTH_KEEPING = 1 << 20
"""Points from which on sorting takes long enough to be noticed; fewer are sorted anew."""


def key_of(handle: Store, embedding: str, dims: tuple[int, int]) -> str:
    """Return what names the sorted points of an embedding in the present state of its file, 32 hexadecimal digits.

    Reads nothing of the file: its size, time and inode tell the state.

    Parameters
    ----------
    handle
        The file.
    embedding
        HDF5 path of the embedding.
    dims
        Which two of its columns are x and y.
    """
    state = handle.fingerprint
    facts = ["plane", FORMAT, BLOCK, MAX_BITS, state.size, state.mtime_ns, state.inode, embedding, *dims]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]


def read_points(root: Path, key: str) -> PointIndex | None:
    """Return what `write_points` kept; `None` where there is nothing, or not what was written.

    Reads all of it, compares its checksum, and notes in the folder that it was opened just now.

    Parameters
    ----------
    root
        Folder below which indexes are; it need not exist.
    key
        As of `key_of`.
    """
    folder = root / key
    try:
        about = parse_json_with_crc((folder / ABOUT).read_bytes())
        stored = np.fromfile(folder / PLANE, dtype=np.uint8)
    except OSError:
        return None
    if about is None or about.get("key") != key or about.get("checksum") != deflate.crc32(stored, 0):
        return None
    with suppress(OSError):  # when it was last opened; a cache that this user may only read keeps its time
        os.utime(folder / ABOUT)
    n, n_blocks = int(about["n"]), -(-int(about["n"]) // BLOCK)
    boxes, xy, order = np.split(stored, np.cumsum([n_blocks * 32, n * 8]))
    return PointIndex(
        xy.view(np.float32).reshape(2, n),
        order.view(np.int32),
        boxes.view(np.float64).reshape(n_blocks, 4),
        bounds=Viewport(*about["bounds"]),
        n_obs=int(about["n_obs"]),
    )


def write_points(root: Path, key: str, plane: PointIndex, about: dict[str, Any]) -> None:
    """Keep a plane; where the disk is full or must not be written to, it is sorted again when it is next opened.

    Old indexes are removed for it where the cap asks for that.

    Parameters
    ----------
    root
        Folder below which indexes are; it is made.
    key
        As of `key_of`.
    plane
        The sorted points.
    about
        `file` and `matrix`, in the words of the list of what is kept.
    """
    folder = root / key
    parts = [np.ascontiguousarray(part).reshape(-1).view(np.uint8) for part in (plane.boxes, plane.xy, plane.order)]
    checksum = 0
    for part in parts:
        checksum = deflate.crc32(part, checksum)
    stated = {**about, "key": key, "starts": [], "n": len(plane), "n_obs": plane.n_obs, "bounds": list(plane.bounds)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        trim(root, keep=folder, room=sum(part.nbytes for part in parts))
        with Replacement(folder / ABOUT) as new:
            new.file.write(json_with_crc({**stated, "checksum": checksum}))
            new.put()  # before the points: what a crash leaves is listed, and can be cleared
        with Replacement(folder / PLANE) as new:
            new.file.writelines(part.data for part in parts)
            new.put()  # one that was cut off by a crash has another checksum
    except OSError as error:
        logger.info("The order of %s was not kept (%s)", about["matrix"], error.strerror)
