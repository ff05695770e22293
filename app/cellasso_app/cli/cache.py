"""The command `cellasso cache`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from cellasso_app.server.index_option import add_index_dir

if TYPE_CHECKING:
    import argparse


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `cache` to the commands."""
    text = "List the column indexes in this user's cache, or remove them."
    parser = commands.add_parser("cache", help=text, description=text)
    parser.add_argument("--clear", action="store_true", help="remove them")
    add_index_dir(parser)
    parser.set_defaults(run=_cache)


def _cache(options: argparse.Namespace) -> None:
    from cellasso.core import derived_cache as cache  # noqa: PLC0415 - `cellasso --help` answers at once

    root = cache.default_root() if options.index_dir is None else options.index_dir
    if options.clear:
        print(f"{megabytes(cache.clear(root))} removed from {root}")
        return
    found = cache.entries(root)
    for entry in found:
        opened = time.strftime("%Y-%m-%d", time.localtime(entry.opened))
        print(f"{megabytes(entry.n_bytes):>12}  {entry.fraction:4.0%}  {opened}  {entry.file}:{entry.matrix}")
    total = megabytes(sum(entry.n_bytes for entry in found))
    most = f", at most {megabytes(cache.cap())}" if options.index_dir is None else ""
    print(f"{total:>12}  in {root}{most}")


def megabytes(n_bytes: int) -> str:
    """Return a size as the commands about indexes write it."""
    return f"{n_bytes / 1e6:,.1f} MB"
