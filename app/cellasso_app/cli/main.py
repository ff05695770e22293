"""The command `cellasso`: which of its commands is meant, and how it answers when something is wrong."""

from __future__ import annotations

import argparse
import difflib
import io
import os
import signal
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cellasso import __version__
from cellasso.core.errors import CellassoError
from cellasso_app.cli import cache, demo, export, index, inspect, serve
from cellasso_app.cli.errors import UsageError, complain

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMANDS = {"serve": serve, "demo": demo, "inspect": inspect, "index": index, "cache": cache, "export": export}
"""The module of each command, in the order of the help."""

ANSWERS = {"-h", "--help", "--version"}
"""Options of `cellasso` itself; any other stands before the files to serve."""

INTERRUPTED, BROKEN_PIPE, TERMINATED, FAILED = 130, 141, 143, 2

DESCRIPTION = "Explore single-cell files (.h5ad, .h5mu) of any size in the browser. The file is never loaded."
EPILOG = """\
examples:
  cellasso cells.h5ad                  explore a file (the same as `cellasso serve cells.h5ad`)
  cellasso demo                        explore real cells that come with scanpy
  cellasso inspect cells.h5ad          what is in a file, and what it costs to look at
  cellasso export cells.h5ad t.h5ad --where "louvain in ['1', '3'] and CD3D > 1"
"""


def main(argv: list[str] | None = None, *, otherwise: str = "--help") -> int:
    """Run one command and return its exit status: 0, 2 for what went wrong, 130 when interrupted.

    Parameters
    ----------
    argv
        What stands after `cellasso` on the command line; that of this process by default.
    otherwise
        What is run where neither a command nor a file is named.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name from a file must not fail in a terminal
    try:
        with _cleaning_up_when_terminated():
            arguments = _with_command(sys.argv[1:] if argv is None else argv, otherwise)
            options = _parser().parse_args(arguments)
            options.run(options)
            sys.stdout.flush()
    except CellassoError as error:
        complain(error)
        return FAILED
    except SystemExit as exit_:  # argparse has said what it has to say, or we were terminated
        return int(exit_.code or 0)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # the reader has gone; Python's own last flush must not complain about that
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    return 0


def _with_command(arguments: list[str], otherwise: str) -> list[str]:
    """Return the arguments with `serve` before files that stand alone, and `otherwise` before nothing but options."""
    if not arguments:
        return [otherwise]
    first = arguments[0]
    if first in COMMANDS or first in ANSWERS:
        return arguments
    if otherwise in COMMANDS and first.startswith("-"):
        _, unknown = _parser().parse_known_args([otherwise, *arguments])  # knows which options take a value
        if all(argument.startswith("-") for argument in unknown):
            return [otherwise, *arguments]
    if first.startswith("-") or Path(first).exists() or Path(first).suffix or len(Path(first).parts) > 1:
        return ["serve", *arguments]
    close = difflib.get_close_matches(first, COMMANDS, n=1)
    hint = f"did you mean {close[0]}?" if close else f"the commands are {', '.join(COMMANDS)}."
    raise UsageError(f"There is no file and no command {first!r}; {hint}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "cellasso", description=DESCRIPTION, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"cellasso {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in COMMANDS.values():
        command.add_command(commands)
    return parser


@contextmanager
def _cleaning_up_when_terminated() -> Iterator[None]:
    """Let SIGTERM unwind what runs, so that temporary files and half-written exports are removed."""
    if threading.current_thread() is not threading.main_thread():  # Python allows no handler elsewhere
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


if __name__ == "__main__":
    sys.exit(main())
