"""How the owner of a server gets in: the address with its token, shown to nobody else.

It is printed to a terminal. What is printed elsewhere ends in a log that others may read: there the address is
written to a file that only its owner can read, and the file is named. A browser is started with the name of a file,
not with the address: everybody on a machine sees the arguments of everybody's processes.
"""

from __future__ import annotations

import os
import secrets
import socket
from contextlib import suppress
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, TextIO
from urllib.parse import urlencode

from bokeh.util.browser import get_browser_controller

from cellasso_app.server.private_files import PrivacyError, private_folder, write_private

if TYPE_CHECKING:
    from tornado.ioloop import IOLoop

OPENING = 60.0
"""Seconds for a browser to start and to read the file that sends it on."""


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
    is_chosen
        Whether its owner knows the token already.
    """

    def __init__(self, address: str, port: int, token: str = "", path: str = "/", *, is_chosen: bool = False) -> None:
        host, path = f"[{address}]" if ":" in address else address, path.rstrip("/")
        self.url = f"http://{host}:{port}{path}"
        self.whole = f"{self.url}{'' if path else '/'}?{urlencode({'token': token})}" if token else self.url
        self._port = port
        self._token = token
        self._is_chosen = is_chosen
        self._written: list[Path] = []

    def announced(self, stream: TextIO, more: str = "") -> list[str]:
        """Return the lines that tell a stream the address: a terminal the whole one, another where that is to be found.

        Parameters
        ----------
        more
            What else is to be said in the first line.

        Raises
        ------
        PrivacyError
            There is no place for the token, and nobody knows it.
        """
        whole = not self._token or stream.isatty()
        lines = [f"cellasso is at {self.whole if whole else self.url}{more}"]
        if not whole:
            lines.append(self._kept())
        return lines

    def _kept(self) -> str:
        """Write the whole address where its owner alone can read it, and return where that is."""
        try:
            path = private_folder() / f"{socket.gethostname()}-{self._port}.txt"  # machines may share it
            write_private(path, f"{self.whole}\n")
        except PrivacyError:
            if not self._is_chosen:
                raise
            return "Add ?token= and the token that you chose to open it."
        self._written.append(path)
        return f"The whole address, with its token, is in {path}, which you alone can read."

    def open_browser(self, loop: IOLoop) -> None:
        """Show the page in the user's browser, if there is one."""
        with suppress(Exception):  # there may be none, nor a place for the file; the address is printed
            url = self.url
            if self._token:
                path = self._write_redirection()
                loop.call_later(OPENING, path.unlink, missing_ok=True)
                url = path.as_uri()
            get_browser_controller().open(url)

    def _write_redirection(self) -> Path:
        """Write a page that sends a browser on.

        Where Firefox or Chromium is a snap, as on Ubuntu, it sees neither hidden folders nor /tmp nor /run: so the
        page lies in the home folder, for a minute.
        """
        home = Path.home()
        folder = home if os.access(home, os.W_OK) else private_folder()
        path = folder / f"cellasso-{secrets.token_hex(4)}.html"
        self._written.append(path)
        url = escape(self.whole)
        write_private(
            path,
            f'<!DOCTYPE html><meta charset="utf-8"><title>cellasso</title>'
            f'<meta name="referrer" content="no-referrer"><meta http-equiv="refresh" content="0; url={url}">'
            f'<p><a href="{url}">Go on to cellasso</a></p>\n',
        )
        return path

    def close(self) -> None:
        """Remove what was written."""
        for path in self._written:
            with suppress(OSError):
                path.unlink(missing_ok=True)
