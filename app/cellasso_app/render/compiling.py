"""What is compiled once on a machine: the loops that draw, name, select and point at cells.

Compiling all of them takes one core some 20 s. In the server it would take turns with everything else, because numba
holds the GIL meanwhile. So a process of its own does it, in the order in which a first session wants them, and begins
before the server has imported anything; the server finds them on the disk. What it wants earlier Python runs for few
cells (`cellasso.core.compiled`), and the server compiles itself for many.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import sys
import threading
import time
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import platformdirs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cellasso.color.ramp import Shading
    from cellasso.points.point_index import PointIndex
    from cellasso.raster.style import Order

# ruff: noqa: PLC0415 - each step imports what it compiles, and what is not compiled imports nothing

MANY_BYTES = 100_000_000
"""Files of this size have so many cells that they come as pictures, and not as dots."""


def _plane() -> PointIndex:
    import numpy as np

    from cellasso.points.point_index import PointIndex

    return PointIndex.of(np.random.default_rng(0).random((10, 2)).astype(np.float32))


def _draw(*, dots: bool, order: Order | None = None, shading: Shading = "linear") -> None:
    from cellasso.color.coloring import Values
    from cellasso.color.palettes import Scale
    from cellasso.raster.cells import ColoredCells
    from cellasso.raster.draw import draw
    from cellasso.raster.style import Canvas, Style

    plane = _plane()
    values = Values("", plane.xy[0].copy(), 0.0, 1.0, clipped=False, n_missing=0)
    cells, style = ColoredCells(plane, values, Scale(shading=shading)), Style(None, order) if order else Style()
    draw(cells, plane.bounds, Canvas(16, 16), style, dots=dots)


def _labels() -> None:
    import numpy as np

    from cellasso_app.render.labels import medians, place_labels

    plane = _plane()
    place_labels(medians(plane.xy, np.zeros(plane.n_obs, dtype=np.uint8), 1), [1.0], [1.0], 16.0, 16.0)


def _lasso() -> None:
    plane = _plane()
    plane.inside([(0.0, 0.0), (1.0, 0.0), (1.0, 1.0)])
    plane.nearest(0.5, 0.5, (0.1, 0.1))


STEPS: dict[str, Callable[[], None]] = {
    "dots": partial(_draw, dots=True),
    "labels": _labels,
    "lasso": _lasso,
    "pictures": partial(_draw, dots=False),
    "orders": partial(_draw, dots=False, order="mean", shading="log"),  # the others share their loops with these
}
"""In the order in which a session with few cells wants them."""

OF_MANY = ("pictures", "labels", "lasso", "dots", "orders")

FIRST_SECONDS = 5.0
"""Left to the server and the browser, which need both cores for the first picture, where it takes nothing compiled."""

FEW_NAMES = 80
"""Categories whose names Python places in less than half a second."""

_begun = threading.Event()
_order: list[str] = [*STEPS]
_done = {name: threading.Event() for name in STEPS}


def are_many(paths: Sequence[Path]) -> bool:
    """Whether one of some files has so many cells that they come as pictures, judged by its size."""
    return any(path.stat().st_size >= MANY_BYTES for path in paths if path.is_file())


def begin(*, many: bool) -> None:
    """Compile in a process of its own what is not yet on the disk; returns at once, and does it once.

    Parameters
    ----------
    many
        Whether the cells that are going to be shown come as pictures.
    """
    if _begun.is_set():
        return
    _begun.set()
    if many:
        _order[:] = OF_MANY
    if _is_kept():
        _finish()
        return
    # for few cells nobody waits for it: server and browser go first
    delay = 0.0 if many else FIRST_SECONDS
    # -P: what lies in the folder from which the user starts is not imported
    command = [sys.executable, "-P", "-m", "cellasso_app.render.compiling", str(delay), *_order]
    try:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    except OSError:
        _finish()
        return
    threading.Thread(target=_follow, args=(process,), daemon=True, name="cellasso-compiling").start()
    from cellasso.core.compiled import is_awaited

    is_awaited.set()


def _follow(process: subprocess.Popen[str]) -> None:
    with process:
        for line in process.stdout or ():
            if line.strip() in _done:
                _done[line.strip()].set()
    _finish()


def _finish() -> None:
    for done in _done.values():
        done.set()


def is_done(step: str, n_cells: int | None = None) -> bool:
    """Whether nothing is gained by waiting: what a step needs has been compiled, or nobody is about to do it.

    Parameters
    ----------
    n_cells
        How many the step is about, where Python can take its place if they are few.
    """
    if _done[step].is_set() or not _begun.is_set():
        return True
    if n_cells is None:
        return False
    from cellasso.core.compiled import FEW

    return 2 * n_cells <= FEW  # of each two coordinates


def wait(step: str, go_on: Callable[[], object] = lambda: None) -> None:
    """Wait until what a step needs has been compiled.

    Parameters
    ----------
    go_on
        Called five times a second; what it raises ends the waiting.
    """
    while not is_done(step):
        _done[step].wait(0.2)
        go_on()


def load(run: Callable[[Callable[[], None]], object]) -> None:
    """Read from the disk what has been compiled, step by step as it is done, so that no first gesture has to.

    Parameters
    ----------
    run
        Runs a step and returns when that is done.
    """
    for name in [*_order]:
        wait(name)
        run(partial(_load_step, name))
    from cellasso.core.compiled import is_awaited

    is_awaited.clear()


def _load_step(name: str) -> None:
    from cellasso.core.compiled import compiling

    with compiling():
        STEPS[name]()


# -- what is on the disk ------------------------------------------------------------------------------


@cache
def _stamp() -> Path:
    """Return the file that says where everything that this version of everything compiles is kept."""
    sources = [path for package in ("cellasso", "cellasso_app") for path in _sources(package)]
    facts = [
        sys.version,
        platform.node(),
        version("numba"),
        os.environ.get("NUMBA_CACHE_DIR", ""),
        *(f"{path} {path.stat().st_mtime_ns}" for path in sources),
    ]
    name = hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]
    return platformdirs.user_cache_path("cellasso") / "compiled" / f"{name}.json"


def _sources(package: str) -> list[Path]:
    from importlib.util import find_spec

    spec = find_spec(package)
    folders = (spec and spec.submodule_search_locations) or ()
    return sorted(path for folder in folders for path in Path(folder).rglob("*.py"))


def _is_kept() -> bool:
    try:
        folders = json.loads(_stamp().read_text())
        return bool(folders) and all(any(Path(folder).glob("*.nbi")) for folder in folders)
    except (OSError, ValueError):
        return False


def _keep() -> None:
    """Note where numba has put what was compiled."""
    from cellasso.points.kernels import morton
    from cellasso.raster import aggregate

    loops: Any = (morton.sort_points, aggregate.collect)  # one of each package
    folders = sorted({loop.folder for loop in loops})
    if not all(folders):
        return
    stamp = _stamp()
    stamp.parent.mkdir(parents=True, exist_ok=True)
    for older in stamp.parent.glob("*.json"):
        older.unlink(missing_ok=True)
    made = stamp.with_suffix(f".{os.getpid()}")
    made.write_text(json.dumps(folders))
    made.replace(stamp)


def _main(delay: str, *steps: str) -> None:
    _end_with_parent()
    time.sleep(float(delay))
    for name in steps:
        STEPS[name]()
        print(name, flush=True)
    _keep()


def _end_with_parent() -> None:
    """End when the server does: its end of our input closes then, however it ended."""

    def watch() -> None:
        sys.stdin.read()
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    _main(*sys.argv[1:])
