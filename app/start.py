"""Start cellasso from a clone: `python3 app/start.py [FILE]`; without arguments it shows the demo.

The first run makes the environment; the arguments are those of the command `cellasso`.
"""

from __future__ import annotations

import os
import sys

from bootstrap import ensure_environment

if __name__ == "__main__":
    command = ensure_environment(extras=("demo",)) / "cellasso"
    arguments = sys.argv[1:]
    if all(argument.startswith("-") for argument in arguments):  # none, or options alone
        arguments = ["demo", *arguments]
    os.execv(command, [str(command), *arguments])  # noqa: S606 - this process becomes cellasso
