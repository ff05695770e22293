"""Make the repository's virtual environment, which `app/start.py` and `tests/run.py` then work in.

Standard library only, and no syntax newer than Python 3.8, so that an old Python answers with a sentence.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent
OLDEST_PYTHON = (3, 11)
STAMP = "cellasso-setup.txt"
UNFINISHED = "unfinished: made again on the next run"
PIP = "pip>=25.1"  # the first that knows --group
# Answers 0 when the interpreter has our version and finds the modules; nothing is imported, so it takes 30 ms.
HEALTH = """
import sys
from importlib.util import find_spec
version, *modules = sys.argv[1:]
sys.exit(version != "%d.%d" % sys.version_info[:2] or not all(map(find_spec, modules)))
"""


def ensure_environment(*, extras: tuple[str, ...] = (), groups: tuple[str, ...] = ()) -> Path:
    """Return the environment's `bin` folder, with this repository installed into it (editable).

    The environment is `.venv` in the repository, or the folder that the variable CELLASSO_VENV names. What is
    in place already, according to the stamp, is not installed again. An environment that was left half-made,
    that was moved, or whose Python is gone or has another version, is made anew.

    Parameters
    ----------
    extras
        Optional dependencies of the project to install with it.
    groups
        Dependency groups (PEP 735) to install beside it.

    Raises
    ------
    SystemExit
        With one sentence for the user: Python is too old, pip is missing, or a step of the set-up failed.

    """
    if sys.version_info < OLDEST_PYTHON:
        stop("cellasso needs Python {}.{} or newer; this is Python {}.{}.".format(*OLDEST_PYTHON, *sys.version_info))
    folder = Path(os.environ.get("CELLASSO_VENV") or ROOT / ".venv").expanduser().absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # A second run waits here for the first, or for a pip that outlived it: neither may clear what the other builds.
        with (folder / STAMP).open("a+", encoding="utf-8") as stamp:
            os.set_inheritable(stamp.fileno(), True)
            with contextlib.suppress(OSError):  # some network file systems know no locks
                fcntl.flock(stamp, fcntl.LOCK_EX)
            _bring_up_to_date(folder, [f"extra {name}" for name in extras] + [f"group {name}" for name in groups])
    except KeyboardInterrupt:
        stop("Interrupted. The next run sets up again.")
    except OSError as error:
        stop(f"The environment could not be made: {error}.\nThe variable CELLASSO_VENV may name another folder for it.")
    return folder / "bin"


def stop(message: str) -> NoReturn:
    """End the script with exit code 1 and `message` on stderr."""
    sys.exit(message)


def _bring_up_to_date(folder: Path, wanted: list[str]) -> None:
    """Install what the stamp does not list yet; first make the environment when there is none that works."""
    stamp = folder / STAMP
    place = "Python {}.{} in {}".format(*sys.version_info[:2], folder)  # its scripts hold this path: it cannot move
    project = "pyproject.toml " + hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()
    before = stamp.read_text(encoding="utf-8").splitlines()
    installed = before[2:] if before[:2] == [place, project] else []
    if set(wanted) <= set(installed) and _is_healthy(folder, "pip", "cellasso_app"):
        return
    print("Setting up… (first time: about a minute)", flush=True)
    # Without a stamp, the environment is someone's own: added to when it works, never marked for clearing.
    if before[:1] not in ([], [place]) or not _is_healthy(folder, "pip"):
        _create(folder, is_ours=bool(before))
    elif before:
        stamp.write_text(UNFINISHED, encoding="utf-8")
    wanted = sorted({*installed, *wanted})
    extras = ",".join(line.split()[1] for line in wanted if line.startswith("extra "))
    groups = [f"--group={line.split()[1]}" for line in wanted if line.startswith("group ")]
    python = str(folder / "bin" / "python")
    _install(python, "-m", "pip", "install", "--quiet", PIP)
    _install(python, "-m", "pip", "install", "--quiet", "--editable", f".[{extras}]" if extras else ".", *groups)
    stamp.write_text("\n".join([place, project, *wanted]), encoding="utf-8")


def _is_healthy(folder: Path, *modules: str) -> bool:
    """Return whether the environment's Python starts, has our version and finds `modules`."""
    python = folder / "bin" / "python"
    if not python.exists():
        return False
    version = "{}.{}".format(*sys.version_info)
    return _call(str(python), "-I", "-c", HEALTH, version, *modules).returncode == 0


def _create(folder: Path, *, is_ours: bool) -> None:
    """Clear `folder` and make an environment with pip in it, through the system's pip where ensurepip is missing."""
    others = [path for path in folder.iterdir() if path.name != STAMP]
    if others and not is_ours and not (folder / "pyvenv.cfg").exists():
        (folder / STAMP).unlink()
        stop(f"{folder} holds other things than a virtual environment: remove it, or set CELLASSO_VENV.")
    (folder / STAMP).write_text(UNFINISHED, encoding="utf-8")
    for path in others:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    venv.create(folder, symlinks=True)
    python = str(folder / "bin" / "python")
    # Debian's python3 has no ensurepip without the package python3-venv; its pip can serve another interpreter.
    if _call(python, "-m", "ensurepip").returncode:
        base = getattr(sys, "_base_executable", sys.executable)
        if _call(base, "-m", "pip", "--version").returncode:
            stop("This Python has no pip. Install it and try again: sudo apt install python3-pip python3-venv")
        _install(base, "-m", "pip", "--python", python, "install", "--quiet", PIP)


def _install(*command: str) -> None:
    """Run `command`, one of pip's, silently; when it fails, show its output and stop."""
    result = _call(*command)
    if result.returncode:
        print(result.stdout.decode(errors="replace"), file=sys.stderr)
        stop("The set-up failed; pip's message is above. The next run tries again from the start.")


def _call(*command: str) -> subprocess.CompletedProcess[bytes]:
    """Run `command` in the repository, without input, and keep its output; it inherits the lock on the stamp."""
    return subprocess.run(
        command,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        close_fds=False,
    )
