"""The command `cellasso demo`."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from cellasso_app.cli.progress import shown_progress
from cellasso_app.cli.serve import WHO_GETS_IN, add_serve_options, serve_files
from cellasso_app.render import compiling

# h5py, pandas and Panel are imported where a command needs them: `cellasso --help` answers at once.
# ruff: noqa: PLC0415

MANY_CELLS = 100_000
"""Cells of the demo from which they come as pictures, and not as dots."""


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `demo` to the commands."""
    text = "Explore demo data: 700 real blood cells, as .h5ad and .h5mu."
    parser = commands.add_parser("demo", help=text, description=f"{text} {WHO_GETS_IN}")
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--cells", type=_count, metavar="N", help="N synthetic cells instead; kept in the cache for the next time"
    )
    which.add_argument("--h5mu", action="store_true", help="show the .h5mu file with two modalities first")
    add_serve_options(parser)
    parser.set_defaults(run=_demo)


def _count(text: str) -> int:
    digits = text.replace(",", "").replace("_", "")
    if not digits.isdecimal() or int(digits) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of cells; one such as 1000000 was expected")
    return int(digits)


def _demo(options: argparse.Namespace) -> None:
    compiling.begin(many=(options.cells or 0) >= MANY_CELLS)
    from cellasso_app.demo import files

    if options.cells is not None:
        with shown_progress(f"making {options.cells:,} cells") as progress:
            path = files.write_synthetic(files.synthetic_folder(), options.cells, progress=progress)
        serve_files([path], options)
        return
    with tempfile.TemporaryDirectory(prefix="cellasso-demo-") as folder:
        paths = files.write_demo(Path(folder))
        serve_files(paths[::-1] if options.h5mu else paths, options)
