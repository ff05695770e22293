"""The child process of an export: `python -m cellasso.write.worker` writes what the job on its stdin says.

A process of its own, because an HDF5 write that meets a full disk ends in SIGSEGV. It imports h5py and
NumPy but neither anndata nor pandas, which take seconds. It answers on stdout in JSON lines:
`{"fraction": 0.5}`, at the end `{"left_out": [...]}`, or `{"error": "<class>", "message": "..."}`.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from cellasso.core.errors import CellassoError, ElementError, FileChangedError
from cellasso.store.registry import create_file, open_store
from cellasso.write.context import Context
from cellasso.write.copy import Copy
from cellasso.write.dataframes import write_inner
from cellasso.write.job import Job
from cellasso.write.verification import verify

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cellasso.store.base import Store


def write(job: Job, tell: Callable[[float], None]) -> list[str]:
    """Write the export, flush it to disk, and return what had to be left out and why.

    Parameters
    ----------
    job
        What to write.
    tell
        Told the fraction done, 0 to 1.

    Raises
    ------
    FileChangedError
        The source is no longer the file that the mask was made for.
    ElementError
        An element without which the export would be no use is damaged.
    """
    with open_store(job.source) as handle:
        return write_from(handle, job, tell)


def write_from(handle: Store, job: Job, tell: Callable[[float], None]) -> list[str]:
    """Write the export of a source that is open; as `write`.

    Parameters
    ----------
    handle
        The source.
    job, tell
        As of `write`.

    Raises
    ------
    FileChangedError, ElementError
        As `write`.
    """
    if handle.fingerprint != job.fingerprint:
        raise FileChangedError(f"{job.source} was changed by another program since it was opened; open it again.")
    with create_file(job.target, handle) as new:  # it is there, empty and locked by the parent
        context = Context(handle, new, tell, {"dataframe": write_inner})
        try:
            Copy(context, job).file(handle.root(), new.root())
        except ElementError as error:
            raise ElementError(context.sentence(error)) from error
    handle.check()  # raises when the source changed meanwhile
    verify(job, new, context.intended)
    tell(1.0)
    return context.left_out


def _end_with_parent(target: Path) -> None:
    """Wait until the parent has ended, then remove the partial export and end this process."""
    while os.read(sys.stdin.fileno(), 1):
        pass
    target.unlink(missing_ok=True)
    os._exit(1)


def main() -> None:
    """Run the job on stdin."""
    # nothing but JSON lines may reach the parent, whatever a library prints
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def say(**line: object) -> None:
        answers.write(json.dumps(line) + "\n")
        answers.flush()

    job = Job.receive(sys.stdin.buffer)
    threading.Thread(target=_end_with_parent, args=(job.target,), daemon=True).start()
    try:
        left_out = write(job, lambda fraction: say(fraction=fraction))
        say(left_out=left_out)
    except BaseException as error:  # noqa: BLE001 - reported to the parent, which may be gone
        job.target.unlink(missing_ok=True)
        with suppress(OSError):
            say(error=type(error).__name__, message=str(error), known=isinstance(error, CellassoError))
        # HDF5 would try once more to flush what did not fit, and crash
        os._exit(1)


if __name__ == "__main__":
    main()
