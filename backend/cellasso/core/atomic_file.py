"""A file while it is written: under a hidden name beside its target, put into place when it is complete, or gone.

`Partial` is for the folders of users. What dies with the machine, or is killed together with its writer, leaves its
partial file behind; the next one that is made in the same folder sweeps it away. `Replacement` is for folders of our
own, where whoever clears them knows the names. Renaming, flushing to the disk and locking are done here alone.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import re
import secrets
import stat
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING

from cellasso.core.errors import ExportError

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

NAME = re.compile(r"\..*\.cellasso-(?P<machine>[0-9a-f]{8})-[0-9a-f]{8}\.part", re.DOTALL)

NAME_BYTES = 200
"""How much of the target's name the partial file's keeps: file systems take 255 bytes."""

DAY = 86_400.0
"""Seconds since its last change after which a partial file is swept where its lock does not show whether it is used."""


class Partial:
    """A new file beside `target`, empty at first, which `sweep` spares while this process or its children hold it.

    It is locked (`flock`); a child process that inherits `descriptor` keeps it locked. To be written in place: another
    file of that name would not be locked.

    Raises
    ------
    ExportError
        The folder is missing, full, or may not be written to.
    """

    def __init__(self, target: Path) -> None:
        self.target = target
        sweep(target.parent)
        kept = os.fsencode(target.name)[:NAME_BYTES].decode(errors="ignore")
        try:
            while True:
                self.path = target.with_name(f".{kept}.cellasso-{_machine()}-{secrets.token_hex(4)}.part")
                self.descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
                # a sweep by another process may have removed it before it was locked
                if try_to_lock(self.descriptor) is not False and _is_at(self.path, self.descriptor):
                    return
                os.close(self.descriptor)
        except OSError as error:
            raise ExportError(f"{target} was not written ({error.strerror or error}).") from error

    def put(self, *, overwrite: bool) -> None:
        """Give the file its target's name, and flush the folder to disk.

        Raises
        ------
        ExportError
            Another program has made a file of that name meanwhile, and `overwrite` is false; or it fails.
        """
        try:
            if overwrite:
                self.path.replace(self.target)
            else:
                _move_without_overwriting(self.path, self.target)
        except FileExistsError:
            raise ExportError(f"{self.target} was created by another program meanwhile; choose another name.") from None
        except OSError as error:
            raise ExportError(f"{self.target} could not be put into place ({error.strerror}).") from error
        _sync_folder(self.target.parent)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.path.unlink(missing_ok=True)
        os.close(self.descriptor)


class Replacement:
    """A new file that takes the place of what has its name when it is complete; `file` is open for writing.

    Parameters
    ----------
    path
        The name that it gets. Until then it is called `.NAME.PID.RANDOM`, in the same folder.
    mode
        Who may read and write it, before the umask.

    Raises
    ------
    OSError
        It cannot be made.
    """

    def __init__(self, path: Path, *, mode: int = 0o666) -> None:
        self.path = path
        self.partial = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        self.file = os.fdopen(os.open(self.partial, flags, mode), "wb")

    def put(self, *, sync: bool = False) -> None:
        """Give the file its name, of a link the link's own.

        Parameters
        ----------
        sync
            Whether it has to outlast a loss of power: its bytes, then its name, are brought to the disk.

        Raises
        ------
        OSError
            The disk is full, or the folder may not be written to.
        """
        if sync:
            flush_to_disk(self.file)
        self.file.close()
        self.partial.replace(self.path)
        if sync:
            _sync_folder(self.path.parent)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):  # what did not fit is written again here, and the error is on its way already
            self.file.close()
        self.partial.unlink(missing_ok=True)


def flush_to_disk(file: IO[bytes]) -> None:
    """Bring all bytes of a file that is open for writing to the disk."""
    file.flush()
    os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def try_to_lock(descriptor: int) -> bool | None:
    """Lock a file for this process; return whether that succeeded, `None` where the file system has no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def lock_shared(descriptor: int) -> None:
    """Lock a file beside other processes that do so; waits for one that has it for itself.

    Raises
    ------
    OSError
        The file system has no locks.
    """
    fcntl.flock(descriptor, fcntl.LOCK_SH)


def sweep(folder: Path) -> None:
    """Remove partial files that no living process owns.

    A partial file of this machine is in use while it is locked. A file system may not pass on the locks of other
    machines, nor have any: where in doubt, a file is left alone for a day.
    """
    with suppress(OSError):
        for entry in list(os.scandir(folder)):
            found = NAME.fullmatch(entry.name)
            if found:
                with suppress(OSError):
                    _sweep(Path(entry.path), is_ours=found["machine"] == _machine())


def _sweep(path: Path, *, is_ours: bool) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        is_free = try_to_lock(descriptor)
        is_old = time.time() - status.st_mtime > DAY
        is_orphan = is_free is not False and (is_old or (is_ours and is_free))
        if is_orphan and stat.S_ISREG(status.st_mode) and _is_at(path, descriptor):
            path.unlink()
    finally:
        os.close(descriptor)


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


@cache
def _machine() -> str:
    """Return a name for this machine that stays when it starts again."""
    try:
        identity = Path("/etc/machine-id").read_text()
    except OSError:
        identity = ""
    return hashlib.blake2b(f"{platform.node()} {identity}".encode(), digest_size=4).hexdigest()


def _move_without_overwriting(part: Path, target: Path) -> None:
    try:
        target.hardlink_to(part)  # fails when the target exists, as a rename would not
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links, such as exFAT
        if os.path.lexists(target):
            raise FileExistsError from None
        part.rename(target)
