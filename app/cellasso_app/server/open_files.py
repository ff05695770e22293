"""The files of this process, opened once and shared by all sessions."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import cellasso
from cellasso.core.errors import CellassoError, FileChangedError, NotFoundError
from cellasso_app.server.background import index_in_background

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from cellasso.dataset import Dataset


class Catalogue:
    """The files that this process serves, each opened when first asked for and then shared by all sessions."""

    def __init__(self, paths: Sequence[Path], *, index: bool | Path = True) -> None:
        self._index = index
        self._paths = {path.name if _unique(path, paths) else str(path): path for path in paths}
        self._open: dict[str, Dataset] = {}
        self._problems: dict[str, str] = {}  # why a file could not be opened when it was last tried; empty: it could
        self._locks = {name: threading.Lock() for name in self._paths}  # a file on a slow disk holds up no other

    @property
    def names(self) -> list[str]:
        """How the files are called on the page."""
        return list(self._paths)

    def open(self, name: str | None = None) -> Dataset:
        """Return an open file by its name on the page; without one the first that can be opened."""
        return self.find(name)[1]

    def find(self, name: str | None = None) -> tuple[str, Dataset]:
        """Return the same with its name; opened anew when it has changed.

        Raises
        ------
        NotFoundError
            No file is called so.
        CellassoError
            It cannot be opened; the sentence names it as the page does, without its folder.
        """
        if name is not None and name not in self._paths:
            raise NotFoundError(f"No file is called {shortened(name)!r} here.")
        problems = []
        for each in [name] if name is not None else self.names:
            try:
                return each, self._open_one(each)
            except CellassoError as error:
                problems.append(error)
        raise problems[0] if problems else CellassoError("No file was given; start it as `cellasso FILE`.")

    def problems(self) -> list[str]:
        """Return why files cannot be opened; reads those that were not opened yet, and those that could not be."""
        for name, path in self._paths.items():
            if name in self._open or self._problems.get(name) == "":
                continue
            with suppress(CellassoError), self._trying(name):
                cellasso.open(path).close()
        return [problem for problem in map(self._problems.get, self.names) if problem]

    def _open_one(self, name: str) -> Dataset:
        with self._trying(name):
            return self._current(name)

    @contextmanager
    def _trying(self, name: str) -> Iterator[None]:
        """Keep what becomes of a file, and say it without the folders of this machine."""
        with self._locks[name]:
            try:
                yield
            except CellassoError as error:
                self._problems[name] = _on_the_page(error, self._paths[name], name)
                error.args = (self._problems[name],)
                raise
            self._problems[name] = ""

    def _current(self, name: str) -> Dataset:
        dataset = self._open.get(name)
        if dataset is not None:
            try:
                dataset.handle.root()
            except FileChangedError:  # sessions that have the old one are told so when they next read
                del self._open[name]
            else:
                return dataset
        dataset = self._open[name] = cellasso.open(self._paths[name], index=self._index)
        if self._index:
            index_in_background(dataset)
        return dataset


def _on_the_page(error: CellassoError, path: Path, name: str) -> str:
    """Return a sentence about a file without its folder, and without the other files that are in there."""
    if not os.path.lexists(path):
        return f"{name} does not exist; it was moved or removed."
    return str(error).replace(str(path.absolute()), name).replace(str(path), name)


def shortened(name: str) -> str:
    """Return a name that came from an address as a sentence repeats it."""
    return name if len(name) <= 80 else f"{name[:79]}…"


def _unique(path: Path, paths: Sequence[Path]) -> bool:
    return sum(other.name == path.name for other in paths) == 1
