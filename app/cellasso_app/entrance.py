"""How the owner of a server gets in: the address with its token, shown to nobody else.

It is printed to a terminal. What is printed elsewhere ends in a log that others may read: there the address is
written to a file that only its owner can read, and the file is named. A browser is started with the name of a file,
not with the address: everybody on a machine sees the arguments of everybody's processes.
"""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import suppress
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, TextIO
from urllib.parse import urlencode

import platformdirs
from bokeh.util.browser import get_browser_controller
from tornado.process import task_id

from cellasso.errors import CellassoError
from cellasso_app.token_cli import VARIABLE, new_token

if TYPE_CHECKING:
    from tornado.ioloop import IOLoop

OPENING = 60.0
"""Seconds for a browser to start and to read the file that sends it on."""


class EntranceError(CellassoError, OSError):
    """There is no place that only the owner of this process can read."""


class Entrance:
    """The address of a server, with its token for its owner.

    Parameters
    ----------
    address
        The interface that it listens at, or the name of this machine.
    token
        Empty: none is asked for.
    path
        Of the page.
    """

    def __init__(self, address: str, port: int, token: str = "", path: str = "/") -> None:
        host, path = f"[{address}]" if ":" in address else address, path.rstrip("/")
        self.url = f"http://{host}:{port}{path}"
        self.whole = f"{self.url}{'' if path else '/'}?{urlencode({'token': token})}" if token else self.url
        self._port = port
        self._token = token
        self._written: list[Path] = []

    def announced(self, stream: TextIO, more: str = "") -> list[str]:
        """Return the lines that tell a stream the address: a terminal the whole one, another where that is to be found.

        Parameters
        ----------
        more
            What else is to be said in the first line.
        """
        whole = not self._token or stream.isatty()
        lines = [f"cellasso is at {self.whole if whole else self.url}{more}"]
        if not whole:
            path = private_folder() / f"{self._port}.txt"
            write_private(path, f"{self.whole}\n")
            self._written.append(path)
            lines.append(f"The whole address, with its token, is in {path}, which you alone can read.")
        return lines

    def open_browser(self, loop: IOLoop) -> None:
        """Show the page in the user's browser, if there is one."""
        url = self.url
        if self._token:
            path = self._write_redirection()
            loop.call_later(OPENING, path.unlink, missing_ok=True)
            url = path.as_uri()
        with suppress(Exception):  # there may be none, and the address is printed
            get_browser_controller().open(url)

    def _write_redirection(self) -> Path:
        """Write a page that sends a browser on.

        Where Firefox or Chromium is a snap, as on Ubuntu, it sees neither hidden folders nor /tmp nor /run: so the
        page lies in the home folder, for a minute.
        """
        home = Path.home()
        folder = home if os.access(home, os.W_OK) else private_folder()
        path = folder / f"cellasso-{secrets.token_hex(4)}.html"
        url = escape(self.whole)
        write_private(
            path,
            f'<!DOCTYPE html><meta charset="utf-8"><title>cellasso</title>'
            f'<meta name="referrer" content="no-referrer"><meta http-equiv="refresh" content="0; url={url}">'
            f'<p><a href="{url}">Go on to cellasso</a></p>\n',
        )
        self._written.append(path)
        return path

    def close(self) -> None:
        """Remove what was written."""
        for path in self._written:
            with suppress(OSError):
                path.unlink(missing_ok=True)


def shared_token(port: int) -> tuple[str, bool]:
    """Return the token of a server, and whether this process is the first to know it.

    Several processes of one server (`panel serve --num-procs`) make it up when they are first asked for a page, and
    meet in a file that is named by the process that started them.
    """
    if task_id() is None:
        return new_token(), True
    folder = private_folder()
    for old in folder.glob("*.token"):
        if not _is_alive(old.name.partition("-")[0]):
            old.unlink(missing_ok=True)
    path, mine = folder / f"{os.getppid()}-{port}.token", folder / f".{secrets.token_hex(8)}"
    write_private(mine, new_token())
    try:
        path.hardlink_to(mine)
        first = True
    except FileExistsError:
        first = False
    finally:
        mine.unlink()
    return path.read_text(), first


def private_folder() -> Path:
    """Return a folder that nobody else can read or put anything into.

    Raises
    ------
    EntranceError
        There is none.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR")  # gone when the user logs out
    places = [*([Path(runtime) / "cellasso"] if runtime else []), platformdirs.user_state_path("cellasso")]
    for folder in places:
        with suppress(OSError):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if _is_own(folder, stat.S_IRWXG | stat.S_IRWXO) and _is_own(folder.parent, stat.S_IWGRP | stat.S_IWOTH):
                return folder
    raise EntranceError(
        f"The token has no place that you alone can read ({' and '.join(map(str, places))} will not do);"
        f" choose one with {VARIABLE}, or start in a terminal."
    )


def write_private(path: Path, text: str) -> None:
    """Write a file that its owner alone can read, in place of whatever has its name."""
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(new, flags, 0o600), "w") as file:
        file.write(text)
    new.replace(path)  # of a link the link itself


def _is_own(folder: Path, forbidden: int) -> bool:
    about = folder.lstat()
    return stat.S_ISDIR(about.st_mode) and about.st_uid == os.getuid() and not about.st_mode & forbidden


def _is_alive(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except (ProcessLookupError, ValueError):
        return False
    except PermissionError:
        return True
    return True
