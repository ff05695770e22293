"""How far a command is, as a terminal shows it."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cellasso.core.progress import Progress


@contextmanager
def shown_progress(label: str) -> Iterator[Progress | None]:
    """Show a percentage on stderr if that is a terminal, and wipe it in the end."""
    if not sys.stderr.isatty():
        yield None
        return
    try:
        yield lambda fraction: print(f"\r{label}: {fraction:.0%}", end="", file=sys.stderr, flush=True)
    finally:
        print("\r\033[K", end="", file=sys.stderr, flush=True)
