"""Start cellasso from a clone: `python3 app/start.py [FILE]`; without arguments it shows the demo.

The first run makes the environment; the arguments are those of the command `cellasso`.
"""

from __future__ import annotations

import os
import sys

from bootstrap import ensure_environment

COMMAND = "import sys; from cellasso_app.cli.main import main; sys.exit(main(otherwise='demo'))"
"""The command `cellasso`, which alone knows what its options mean: without a file it shows the demo."""

if __name__ == "__main__":
    python = str(ensure_environment(extras=("demo",)) / "python")
    command = [python, "-P", "-c", COMMAND, *sys.argv[1:]]
    os.execv(python, command)  # noqa: S606 - this process becomes cellasso
