"""What the benchmarks measure with: time, peak memory, bytes read; Linux only, the figures are the kernel's."""

from __future__ import annotations

import gc
import os
import platform
import threading
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import h5py

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Facts: TypeAlias = "dict[str, float]"


class Meter:
    """Wall time inside of `with meter`; peak memory and bytes read (`read` and `pread`) since it was made, in MB."""

    def __init__(self) -> None:
        gc.collect()
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew, which that of `resource` never does
        self._memory, self._read = memory("VmRSS"), bytes_read()
        self.facts: Facts = {}

    def __enter__(self) -> Self:
        self._start = time.perf_counter()
        return self

    def __exit__(self, *_error: object) -> None:
        self.facts["ms"] = 1e3 * (time.perf_counter() - self._start)
        self.facts["read"] = bytes_read() - self._read
        self.facts["memory"] = memory("VmHWM") - self._memory


class Children(threading.Thread):
    """Peak memory of each child, as long as it lives.

    `RUSAGE_CHILDREN` cannot tell: a child shares its parent's memory until it executes a program, and that counts.
    """

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._ended = threading.Event()
        self.peaks: Facts = {}

    def run(self) -> None:
        while not self._ended.wait(0.02):
            for tasks in Path("/proc/self/task").glob("*/children"):
                try:
                    self.peaks |= {child: memory("VmHWM", child) for child in tasks.read_text().split()}
                except (OSError, StopIteration):  # it has just ended
                    continue

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._ended.set()
        self.join()


def memory(name: str, process: str = "self") -> float:
    """Return `VmRSS`, what a process holds now, or `VmHWM`, the most that it held, in MB."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) * 1024 / 1e6


def bytes_read() -> float:
    """Return how many MB this process has read, from the page cache as well."""
    return int(Path("/proc/self/io").read_text().split()[1]) / 1e6


def number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}" if value >= 1 else f"{value:.2g}"


def duration(ms: float) -> str:
    return f"{ms / 1e3:.1f} s" if ms >= 1e3 else f"{number(ms)} ms"


def machine(load: float, libraries: Iterable[str]) -> str:
    """Return the sentence that says where and with what a table was measured."""
    gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = ", ".join(f"{name} {version(name)}" for name in libraries)
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, {gib:.0f} GiB, load {load:.1f} before the first run, "
        f"{platform.system()}, Python {platform.python_version()},\nHDF5 {h5py.version.hdf5_version}, {versions}."
    )


def cpu(run: Callable[[], Any]) -> float:
    """Return the milliseconds of CPU that a call takes."""
    gc.collect()  # of what is measured in turns, neither is to clear away what the other has left
    start = time.process_time()
    run()
    return 1e3 * (time.process_time() - start)
