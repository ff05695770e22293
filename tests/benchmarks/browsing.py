"""The browser of benchmarks and browser tests, and servers for benchmarks to open in it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
NO_CHROMIUM = "no chromium on the PATH (Debian: apt install chromium)"
CELLASSO = ("-c", "import sys; from cellasso_app.cli.main import main; sys.exit(main())")
PATIENCE = 60.0  # seconds


def find_chromium() -> str | None:
    """Return where the browser is, if it is installed."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@contextmanager
def served(command: list[str], log: Path, environment: Mapping[str, str] | None = None) -> Iterator[tuple[str, int]]:
    """Run a server, Python with these arguments; yield its address and its process."""
    with log.open("w+") as output:
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", *command], stdout=output, stderr=subprocess.STDOUT, env=environment
        )
        try:
            yield _address(process, log), process.pid
        finally:
            process.terminate()
            process.wait(timeout=30)


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    started = time.monotonic()
    while time.monotonic() - started < PATIENCE:
        if found := re.search(r"http://(?:127\.0\.0\.1|localhost):\d+", log.read_text()):
            return found.group().replace("localhost", "127.0.0.1")
        if process.poll() is not None:
            break
        time.sleep(0.01)
    sys.exit(f"The server did not start:\n{log.read_text()}")
