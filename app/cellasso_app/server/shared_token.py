"""One token for the processes of one server (`panel serve --num-procs`), which make it up when they are first asked.

They meet in a file that is named by the process that started them. Each holds a lock on it as long as it lives: a file
without one is of a server that is gone, however that ended.
"""

from __future__ import annotations

import atexit
import os
import secrets
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

from tornado.process import task_id

from cellasso.core.atomic_file import lock_shared, try_to_lock
from cellasso_app.server.private_files import PrivacyError, private_folder, write_private
from cellasso_app.server.token import new_token

if TYPE_CHECKING:
    from pathlib import Path

MAX_TOKEN = 1000


def shared_token(port: int) -> tuple[str, bool]:
    """Return the token of a server, and whether this process is the first to know it.

    Raises
    ------
    PrivacyError
        There is no place for it that only the owner of this process can read.
    """
    if task_id() is None:
        return new_token(), True
    folder = private_folder()
    for old in folder.glob("*.token"):
        _sweep(old)
    path, mine = folder / f"{socket.gethostname()}-{os.getppid()}-{port}.token", folder / f".{secrets.token_hex(8)}"
    write_private(mine, new_token())
    try:
        held, is_first = _joined(mine, path)
    except OSError as error:
        raise PrivacyError(f"{path} cannot be used ({error.strerror}).") from error
    finally:
        mine.unlink()
    atexit.register(_let_go, held, path)
    return os.pread(held, MAX_TOKEN, 0).decode(), is_first


def _joined(mine: Path, path: Path) -> tuple[int, bool]:
    """Return a lock on the file that all share, which is mine if there was none yet, and whether it is."""
    while True:
        held = _locked(mine)  # before it has its name: else somebody might take it for unused
        try:
            path.hardlink_to(mine)
        except FileExistsError:
            os.close(held)
        else:
            return held, True
        with suppress(FileNotFoundError):  # removed meanwhile
            held = _locked(path)
            if os.fstat(held).st_nlink:
                return held, False
            os.close(held)


def _locked(path: Path) -> int:
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    lock_shared(file)
    return file


def _sweep(path: Path) -> None:
    with suppress(OSError):
        _let_go(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW), path)


def _let_go(file: int, path: Path) -> None:
    """Remove a file that nobody else holds."""
    try:
        with suppress(OSError):
            if try_to_lock(file):
                path.unlink(missing_ok=True)
    finally:
        os.close(file)
