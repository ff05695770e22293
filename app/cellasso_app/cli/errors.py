"""How the command line says what is wrong."""

from __future__ import annotations

import sys

from cellasso.core.errors import CellassoError, ExpressionError


class UsageError(CellassoError, ValueError):
    """What was asked for on the command line cannot be done."""


def complain(error: CellassoError) -> None:
    """Say an error on stderr, in a line that a terminal can show."""
    from cellasso.inspect.report import printable  # noqa: PLC0415 - `cellasso --help` answers at once

    lines = [printable(line) for line in str(error).split("\n")]
    # the caret of an expression's message stands under the mistake
    prefix = "" if isinstance(error, ExpressionError) and len(lines) > 1 else "cellasso: "
    print(prefix + "\n".join(lines), file=sys.stderr)
