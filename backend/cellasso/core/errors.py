"""The errors that cellasso raises: one root, each concrete class also the builtin that callers expect."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class CellassoError(Exception):
    """What went wrong, in one sentence that a user can act on.

    The message names the file, the place in it, what was found, what was expected, and the way out.
    """

    def __str__(self) -> str:
        # KeyError shows the repr of its message; users read sentences.
        return str(self.args[0]) if self.args else ""


class FileError(CellassoError, OSError):
    """A path that is missing, not a regular file, not HDF5, or of no known layout."""


class FileChangedError(CellassoError, OSError):
    """The file is no longer the one that was opened.

    Attributes
    ----------
    path
        Of the file, as its message has it; `None` where that names another place.
    """

    def __init__(self, message: str, *, path: Path | None = None) -> None:
        super().__init__(message)
        self.path = path


class ElementError(CellassoError, ValueError):
    """One element of the file is damaged, unsafe, or of an encoding that cellasso cannot read."""


class NotFoundError(CellassoError, KeyError):
    """A name that the file does not have; the message lists the nearest ones."""


class AmbiguousNameError(CellassoError, LookupError):
    """A name that may mean two things; the message says how to write each."""


class ExpressionError(CellassoError, ValueError):
    """A where-expression that cannot be parsed or evaluated.

    Attributes
    ----------
    column
        Position of the mistake in the expression, counted from 1.
    """

    def __init__(self, message: str, *, column: int) -> None:
        super().__init__(message)
        self.column = column


class ExportError(CellassoError, OSError):
    """An export that could not be written; nothing is left behind."""


class Cancelled(CellassoError):  # noqa: N818 - it is a decision of the user, not an error
    """Work that was stopped because the user asked for it."""
