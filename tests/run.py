"""Run every check from a clone: `python3 tests/run.py`; with arguments only pytest runs, and receives them.

The first run makes the environment, and installs Debian's chromium for the browser tests where it may.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from ctypes.util import find_library
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "app"))

from bootstrap import OLDEST_PYTHON, ROOT, ensure_environment

CHECKS = (
    ("ruff", "check"),
    ("ruff", "format", "--check"),
    ("mypy",),
    ("lint-imports",),
)
OLDEST = ROOT / ".venv-oldest"
"""Made anew by each run, in seconds: what uv has downloaded it keeps."""

NO_CHROMIUM = """\
No chromium on the PATH, or no libatomic: without the first the browser tests are skipped, without the second they
fail. Install both and start again:
    Debian: sudo apt install chromium libatomic1
    Ubuntu: sudo snap install chromium; sudo apt install libatomic1
"""


def ensure_chromium() -> None:
    """Install Debian's chromium when it is missing and root's rights are at hand; otherwise say how to."""
    if has_chromium():
        return
    as_root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    may = shutil.which("apt-get") and (not as_root or (shutil.which("sudo") and not call(*as_root, "true")))
    if may:
        print("Installing chromium for the browser tests…", flush=True)
        apt = (*as_root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-o", "DPkg::Lock::Timeout=120")
        call(*apt, "update")
        # Ubuntu answers to the first name with a script that asks for a snap; knowing no second, it installs nothing.
        call(*apt, "install", "--yes", "--no-install-recommends", "chromium", "chromium-common", "libatomic1")
    if not has_chromium():
        print(NO_CHROMIUM, flush=True)


def has_chromium() -> bool:
    """Whether the browser is there, and the library without which nothing drives it."""
    return bool(shutil.which("chromium") and find_library("atomic"))


def call(*command: str) -> int:
    """Return the exit code of `command`, run without input and without output."""
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode


def check(scripts: Path, name: str, *arguments: str) -> bool:
    """Run one tool under a heading, in the repository, and return whether it passed."""
    print("\n── {} ──".format(" ".join([name, *arguments])), flush=True)
    return subprocess.run([str(scripts / name), *arguments], cwd=ROOT, check=False).returncode == 0


def check_oldest(scripts: Path) -> bool:
    """Run the tests with the oldest versions that pyproject.toml allows; return whether they passed.

    Not those in the browser, nor those of our own compiled loops, nor what is marked as `more`: they take long. For
    Pythons newer than the oldest there are no wheels of these versions.
    """
    print("\n── the oldest versions that pyproject.toml allows ──", flush=True)
    if sys.version_info[:2] != OLDEST_PYTHON:
        print("Left out: they are for Python {}.{}.".format(*OLDEST_PYTHON), flush=True)
        return True
    environment = {**os.environ, "VIRTUAL_ENV": str(OLDEST), "UV_SYSTEM_CERTS": "1"}  # the certificates that pip takes
    make = ("venv", "--clear", "--python", sys.executable, str(OLDEST))
    install = ("pip", "install", "--resolution", "lowest-direct", "-e", ".[dask,demo,parquet]", "--group", "test")
    for step in (make, install):
        if subprocess.run([str(scripts / "uv"), "--quiet", *step], cwd=ROOT, env=environment, check=False).returncode:
            return False
    which = ("-n", "auto", "-m", "not browser and not loops and not more")
    return check(OLDEST / "bin", "pytest", *which, "-o", "cache_dir=.pytest_cache/oldest")


def main(arguments: list[str]) -> int:
    """Run the checks, all of them even when one fails, and return the exit code."""
    scripts = ensure_environment(extras=("demo",), groups=("test",))
    ensure_chromium()
    failed = []
    for name, *options in () if arguments else CHECKS:
        start = time.monotonic()
        passed = check(scripts, name, *options)
        print(f"{'passed' if passed else 'FAILED'} in {time.monotonic() - start:.1f} s", flush=True)
        if not passed:
            failed.append(" ".join([name, *options]))
    if not arguments and not check_oldest(scripts):
        failed.append("pytest with the oldest versions")
    # Last, so that its closing line, which tells its time, ends the output; exit code 5 (no tests) is a failure too.
    if not check(scripts, "pytest", "-n", "auto", *arguments):
        failed.append("pytest")
    if failed:
        print("FAILED: " + ", ".join(failed), flush=True)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
