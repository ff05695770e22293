"""Exporting: the cells of a mask become a new file, written in a child process, complete or not at all."""

from __future__ import annotations

import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cellasso.core import errors
from cellasso.core.atomic_file import Partial
from cellasso.core.errors import CellassoError, ElementError, ExportError
from cellasso.core.version import __version__
from cellasso.encodings import schema
from cellasso.selection import recipe as selection
from cellasso.write.job import Job

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from cellasso.core.progress import Progress
    from cellasso.model.container import Container
    from cellasso.selection.recipe import Recipe
    from cellasso.write.arrays import IntArray

HEARTBEAT = 0.2
"""Seconds without news from the child after which `progress` is called again, so that it can cancel."""

SPACE_FACTOR = 1.1
"""Selected cells may be larger, or compress worse, than the average."""

SPACE_BASE = 1 << 20
"""What HDF5's own structures take, generously."""


@dataclass(frozen=True)
class Exported:
    """A finished export.

    Attributes
    ----------
    left_out
        One sentence for each element that could not be written; the export keeps them in
        `uns["cellasso"]["left_out"]`. Empty when the export is whole.
    """

    path: Path
    n_obs: int
    left_out: tuple[str, ...]


def export(
    dataset: Container[Any],
    mask: NDArray[np.bool_],
    path: str | os.PathLike[str],
    *,
    recipe: Recipe | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Exported:
    """Write the cells of `mask` `(n_obs,)` bool to a new file; return where, and what had to be left out.

    Every other element is kept, in its dtype, encoding, chunks and compression. As in anndata, the
    categories that no selected cell has are dropped, with their colours; as in mudata, a modality's
    cells take the order of the global ones, and a modality without a selected cell stays, empty. Where
    the export comes from is written to `uns["cellasso"]`. Memory is bounded (200 MB, in a child
    process); the file appears under its name when it is complete, checked and on disk.

    Parameters
    ----------
    dataset
        The source, open; it is read again by the child process.
    mask
        Which cells are written, `(n_obs,)` bool.
    path
        Ends in the source's `.h5ad` or `.h5mu`.
    recipe
        How the mask was made; kept in the export.
    overwrite
        Whether a file that exists is replaced. The source itself never is.
    progress
        Told the fraction done several times a second; what it raises stops the export.

    Raises
    ------
    ElementError
        The mask is of another shape or dtype, or the source is damaged.
    ExportError
        The target may not be written there, or the disk is full. The old file, if any, is as it was.
    FileChangedError
        The source is no longer the file that was opened.
    """
    target = Path(path).expanduser().absolute()
    check_mask(mask, dataset.n_obs, dataset.handle.name)
    _check_target(dataset, target, overwrite=overwrite)
    rows = _rows(dataset, mask)
    _check_space(dataset, target, rows)
    with Partial(target) as part:
        job = Job(dataset.file_path, part.path, dataset.handle.fingerprint, rows, _provenance(dataset, mask, recipe))
        left_out = _run(job, part, progress)
        if progress is not None:
            progress(1.0)  # the last moment to stop it
        part.put(overwrite=overwrite)
    return Exported(target, int(mask.sum()), tuple(left_out))


# -- before -------------------------------------------------------------------------------------------


def check_mask(mask: NDArray[np.bool_], n_obs: int, place: str) -> None:
    """Refuse what is no mask over cells.

    Parameters
    ----------
    mask
        What was given.
    n_obs
        How many cells there are.
    place
        What they are called in the message.

    Raises
    ------
    ElementError
        It is not bool `(n_obs,)`.
    """
    found = f"{getattr(mask, 'dtype', type(mask).__name__)} {getattr(mask, 'shape', '')}".strip()
    if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_ or mask.shape != (n_obs,):
        raise ElementError(f"A mask over {place} is bool ({n_obs},); this one is {found}.")


def _check_target(dataset: Container[Any], target: Path, *, overwrite: bool) -> None:
    if target.suffix != f".{dataset.format}":
        raise ExportError(
            f"{target.name} cannot hold cells of {dataset.handle.name}: its name has to end in .{dataset.format}."
        )
    if not target.parent.is_dir():
        raise ExportError(f"The folder {target.parent} does not exist; create it, or choose another.")
    if not os.access(target.parent, os.W_OK):
        raise ExportError(f"The folder {target.parent} may not be written to by this user; choose another.")
    if target.exists() and target.samefile(dataset.file_path):
        raise ExportError(f"{target} is the file that is open; choose another name for the export.")
    if target.is_dir():
        raise ExportError(f"{target} is a folder; choose another name for the export.")
    if os.path.lexists(target) and not overwrite:
        raise ExportError(f"{target} exists already; choose another name, or allow to overwrite it.")


def _rows(dataset: Container[Any], mask: NDArray[np.bool_]) -> dict[str, IntArray]:
    """Return by group which of its rows each cell of the export is; see `Job.rows`."""
    selected = np.flatnonzero(mask)
    rows: dict[str, IntArray] = {"": selected}
    for modality in dataset.modalities.values():
        alignment = dataset.alignment(modality.name)
        rows[modality.path] = selected if alignment.obs_index is None else alignment.rows()[selected]
    return rows


def _provenance(dataset: Container[Any], mask: NDArray[np.bool_], recipe: Recipe | None) -> dict[str, str | int]:
    fingerprint = dataset.handle.fingerprint
    return {
        "recipe": selection.dump(recipe) if recipe is not None else "",
        "source": os.fsencode(dataset.handle.name).decode(errors="replace"),
        "source_fingerprint": f"{fingerprint.size}-{fingerprint.mtime_ns}",
        "version": __version__,
        "n_obs_source": dataset.n_obs,
        "n_obs": int(mask.sum()),
    }


def _check_space(dataset: Container[Any], target: Path, rows: dict[str, IntArray]) -> None:
    free = shutil.disk_usage(target.parent).free
    if free > dataset.handle.fingerprint.size * SPACE_FACTOR + SPACE_BASE:
        return  # whatever is selected
    n_obs = {modality.path: modality.n_obs for modality in dataset.parts}
    fractions = {path: (at >= 0).sum() / max(1, n_obs[path]) for path, at in rows.items()}
    innermost_first = sorted(fractions, key=len, reverse=True)
    stored = 0.0
    for node in dataset.handle.arrays(dataset.handle.root()):
        path = next(path for path in innermost_first if node.name.startswith(f"{path}/"))
        member = node.name.removeprefix(f"{path}/").partition("/")[0]
        aligned = member == "raw" or "obs" in schema.AXES.get(member, ())
        stored += dataset.handle.layout(node).disk_bytes * (fractions[path] if aligned else 1.0)
    needed = int(stored * SPACE_FACTOR) + SPACE_BASE
    if needed > free:
        raise ExportError(
            f"The export needs about {_size(needed)}, and {target.parent} has {_size(free)} free;"
            " make room, or choose another folder."
        )


# -- the child ----------------------------------------------------------------------------------------


def _run(job: Job, part: Partial, progress: Progress | None) -> list[str]:
    """Run the child to its end, relaying its progress; return what it left out."""
    path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
    answer: dict[str, Any] = {}
    with (
        tempfile.TemporaryFile() as complaints,
        subprocess.Popen(
            [sys.executable, "-P", "-m", "cellasso.write.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            env={**os.environ, "PYTHONPATH": path},
            pass_fds=[part.descriptor],  # locked as long as one of the two lives
            start_new_session=True,  # a Ctrl-C in the terminal is for the parent, which decides
        ) as child,
    ):
        lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        talk = threading.Thread(target=_talk, args=(child, job, lines), daemon=True)
        talk.start()
        try:
            for told in _answers(lines):
                if "fraction" not in told:
                    answer = told  # the final one; the process may take a while to end
                elif progress is not None:
                    progress(told["fraction"])
        except BaseException:
            child.kill()
            raise
        finally:
            talk.join()
        code = child.wait()
        complaints.seek(0)
        last_words = complaints.read().decode(errors="replace").strip().rpartition("\n")[2]
    if "left_out" in answer and code == 0:
        return list(answer["left_out"])
    raise _failure(answer, code, last_words, part.target)


def _talk(child: subprocess.Popen[bytes], job: Job, lines: queue.SimpleQueue[bytes | None]) -> None:
    """Hand over the job, then queue the child's lines and, at its end, `None`.

    The child's stdin stays open as long as both live: by its end the child knows that it is alone.
    """
    if child.stdin is None or child.stdout is None:  # cannot happen: both are pipes
        return
    with suppress(OSError):  # a child that is gone says so by its exit code
        job.send(child.stdin)
        child.stdin.flush()
    for line in child.stdout:
        lines.put(line)
    lines.put(None)


def _answers(lines: queue.SimpleQueue[bytes | None]) -> Iterator[dict[str, Any]]:
    """Yield the child's answers; while it is silent, yield the last fraction again."""
    fraction = 0.0
    while True:
        try:
            line = lines.get(timeout=HEARTBEAT)
        except queue.Empty:
            yield {"fraction": fraction}
            continue
        if line is None:
            return
        answer = json.loads(line)
        fraction = answer.get("fraction", fraction)
        yield answer


def _failure(answer: dict[str, Any], code: int, last_words: str, target: Path) -> CellassoError:
    """Return the error that the child's end amounts to."""
    free = shutil.disk_usage(target.parent).free
    reason = str(answer.get("message", ""))
    if answer.get("known"):
        kind: type[CellassoError] = getattr(errors, answer["error"], ExportError)
        return kind(reason)
    if any(sign in reason for sign in ("errno = 28", "No space left")) or (code < 0 and free < SPACE_BASE):
        return ExportError(
            f"{target} was not written: the disk filled up ({_size(free)} are free now); make room and try again."
        )
    if not reason and code < 0:
        reason = f"the writing process ended by {signal.Signals(-code).name}"
    reason = (reason or last_words or f"the writing process ended with code {code}").rstrip(".")
    return ExportError(f"{target} was not written ({reason}; {_size(free)} are free there).")


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:,.1f} GB" if n_bytes >= 1e8 else f"{n_bytes / 1e6:,.1f} MB"
