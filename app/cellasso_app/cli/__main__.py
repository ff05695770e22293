"""`python -m cellasso_app.cli` is the command `cellasso`."""

import sys

from cellasso_app.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
