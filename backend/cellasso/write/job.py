"""The job that an export hands to its child process: what to write, and from where to where."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from cellasso.store.base import Fingerprint

if TYPE_CHECKING:
    from cellasso.write.arrays import IntArray

ROWS = np.dtype("<i8")
"""How row positions go through the pipe."""


@dataclass(frozen=True)
class Job:
    """What to write.

    Attributes
    ----------
    fingerprint
        Of the source, as it was when the mask was made.
    rows
        By HDF5 path of the group (`""`: the root), one entry per cell of the export: its row there, or -1
        where the modality lacks the cell.
    provenance
        What goes into `uns["cellasso"]`.
    """

    source: Path
    target: Path
    fingerprint: Fingerprint
    rows: dict[str, IntArray]
    provenance: dict[str, str | int]

    def send(self, stream: IO[bytes]) -> None:
        """Write the job to the child's stdin: a line of JSON, then the rows."""
        header = {
            "source": os.fspath(self.source),
            "target": os.fspath(self.target),
            "fingerprint": asdict(self.fingerprint),
            "rows": {path: len(rows) for path, rows in self.rows.items()},
            "provenance": self.provenance,
        }
        stream.write(json.dumps(header).encode() + b"\n")
        stream.writelines(rows.astype(ROWS).tobytes() for rows in self.rows.values())

    @classmethod
    def receive(cls, stream: IO[bytes]) -> Job:
        """Read what `send` wrote."""
        header = json.loads(stream.readline())
        rows = {path: np.frombuffer(stream.read(n * ROWS.itemsize), dtype=ROWS) for path, n in header["rows"].items()}
        return cls(
            Path(header["source"]),
            Path(header["target"]),
            Fingerprint(**header["fingerprint"]),
            rows,
            header["provenance"],
        )
