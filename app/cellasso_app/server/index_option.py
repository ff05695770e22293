"""What commands that serve say about column indexes, and what the server makes of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse


def add_index_options(parser: argparse.ArgumentParser) -> None:
    """Add what a command that opens files says about indexes."""
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--no-index", action="store_true", help="neither use nor build column indexes")
    add_index_dir(which)


def add_index_dir(parser: argparse._ActionsContainer) -> None:
    """Add where indexes are kept."""
    parser.add_argument(
        "--index-dir", type=Path, metavar="DIR", help="folder for column indexes (default: the user's cache)"
    )


def index_option(options: argparse.Namespace) -> bool | Path:
    """Return what `cellasso.open` is to do about indexes."""
    if options.no_index:
        return False
    return True if options.index_dir is None else Path(options.index_dir)
