"""Files that only the owner of this process can read, in a folder that nobody else can put anything into."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

import platformdirs

from cellasso.core.atomic_file import Replacement
from cellasso.core.errors import CellassoError
from cellasso_app.server.token import VARIABLE


class PrivacyError(CellassoError, OSError):
    """There is no place that only the owner of this process can read."""


def private_folder() -> Path:
    """Return a folder that nobody else can read or put anything into.

    Raises
    ------
    PrivacyError
        There is none.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR")  # gone when the user logs out
    places = [*([Path(runtime) / "cellasso"] if runtime else []), platformdirs.user_state_path("cellasso")]
    for folder in places:
        with suppress(OSError):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            # the parent's group may write: with the umask 002 each user has one of their own
            if _is_own(folder, stat.S_IRWXG | stat.S_IRWXO) and _is_own(folder.parent, stat.S_IWOTH):
                return folder
    raise PrivacyError(
        f"The token has no place that you alone can read ({' and '.join(map(str, places))} will not do);"
        f" choose one with {VARIABLE}, or start in a terminal."
    )


def write_private(path: Path, text: str) -> None:
    """Write a file that its owner alone can read, in place of whatever has its name.

    Raises
    ------
    PrivacyError
        It cannot be written.
    """
    try:
        with Replacement(path, mode=0o600) as new:
            new.file.write(text.encode())
            new.put()
    except OSError as error:
        raise PrivacyError(f"{path} cannot be written ({error.strerror}).") from error


def _is_own(folder: Path, forbidden: int) -> bool:
    about = folder.lstat()
    return stat.S_ISDIR(about.st_mode) and about.st_uid == os.getuid() and not about.st_mode & forbidden
