"""A file while it is written: under a hidden name beside its target, put into place when it is complete, or gone.

What dies with the machine, or is killed together with its writer, leaves its partial file behind; the next one
that is made in the same folder sweeps it away.
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
from typing import TYPE_CHECKING

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
                if _lock(self.descriptor) is not False and _is_at(self.path, self.descriptor):
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
        folder = os.open(self.target.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.path.unlink(missing_ok=True)
        os.close(self.descriptor)


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
        is_free = _lock(descriptor)
        is_old = time.time() - status.st_mtime > DAY
        is_orphan = is_free is not False and (is_old or (is_ours and is_free))
        if is_orphan and stat.S_ISREG(status.st_mode) and _is_at(path, descriptor):
            path.unlink()
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool | None:
    """Lock a file; return whether that succeeded, `None` where the file system has no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


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
