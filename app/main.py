"""The explorer under Panel's own server: `panel serve app/main.py --args FILE… [--export-dir DIR] [--token TOKEN]`."""

import sys

from cellasso_app.server.panel_serve import serve_script

serve_script(sys.argv[1:])
