"""The command `cellasso inspect`."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

# h5py, pandas and Panel are imported where a command needs them: `cellasso --help` answers at once.
# ruff: noqa: PLC0415


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `inspect` to the commands."""
    text = "Show what is in a file, what it costs to look at, and what is wrong with it."
    parser = commands.add_parser(
        "inspect", help=text, description=text + " Reads no more of a matrix than a piece, to time it."
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="an .h5ad or .h5mu file")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=_inspect)


def _inspect(options: argparse.Namespace) -> None:
    import cellasso
    from cellasso.inspect.inspection import inspect, render_text, to_json

    with cellasso.open(options.file) as dataset:
        report = inspect(dataset)
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    print(to_json(report) if options.json else render_text(report, width=width))
