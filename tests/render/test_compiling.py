"""Loops are compiled by a process of its own, once, and found on the disk by all others."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from cellasso_app.render import compiling

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


pytestmark = pytest.mark.loops


@pytest.fixture
def run(tmp_path) -> Callable[..., str]:
    """Run Python with caches of its own; return what it prints."""
    environment = {
        **os.environ,
        "NUMBA_CACHE_DIR": str(tmp_path / "numba"),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }

    def made(*arguments: str, **more: str) -> str:
        command = [sys.executable, "-P", *arguments]
        done = subprocess.run(
            command, env={**environment, **more}, input="", capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return made


BEGIN = """
from cellasso_app.render import compiling
compiling.STEPS = {"dots": compiling.STEPS["dots"]}
compiling._order[:] = ["dots"]
compiling._done = {"dots": compiling.threading.Event()}
compiling.FIRST_SECONDS = 0.5
compiling.begin(many=False)
before = compiling.is_done("dots")
compiling.wait("dots")
compiling.load(lambda step: step())
from cellasso.points.kernels import morton
stats = morton.sort_points.compiled.stats
print(before, sum(stats.cache_hits.values()), sum(stats.cache_misses.values()))
"""


def test_the_server_finds_on_the_disk_what_the_other_process_has_compiled(run):
    assert run("-c", BEGIN).split() == ["False", "1", "0"]
    assert run("-c", BEGIN).split() == ["True", "1", "0"]  # and no process is begun for it


def test_loops_work_where_nothing_can_be_kept(run, tmp_path):
    """As in a container with a file system that cannot be written to, whatever numba tries."""
    refuse = """
from numba.core import caching
caching.CompileResultCacheImpl._locator_classes = []
import numpy as np
from cellasso.points.kernels import morton
from cellasso.points.point_index import PointIndex
from cellasso_app.render import compiling
PointIndex.of(np.zeros((10, 2), dtype=np.float32))
print(bool(morton.sort_points.folder), compiling._keep(), compiling._is_kept())
"""
    assert run("-c", refuse).split() == ["False", "None", "False"]


def test_it_ends_with_the_process_that_began_it(run):
    """Its input ends then; it has compiled nothing yet."""
    assert run("-m", "cellasso_app.render.compiling", "0", "dots").split() in ([], ["dots"])


def test_nobody_waits_for_what_nobody_compiles():
    assert all(map(compiling.is_done, compiling.STEPS))
    compiling.wait("lasso")


def test_steps_of_many_cells_are_those_of_few_in_another_order():
    assert sorted(compiling.OF_MANY) == sorted(compiling.STEPS)


def test_files_of_many_cells_are_told_by_their_size(tmp_path: Path):
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_bytes(b"")
    with large.open("wb") as file:
        file.truncate(compiling.MANY_BYTES)
    assert not compiling.are_many([small, tmp_path / "missing"])
    assert compiling.are_many([small, large])


@pytest.mark.parametrize("step", list(compiling.STEPS))
def test_every_step_runs(step):
    compiling.STEPS[step]()


def test_few_cells_are_not_waited_for(monkeypatch):
    monkeypatch.setattr(compiling, "_done", {step: compiling.threading.Event() for step in compiling.STEPS})
    monkeypatch.setattr(compiling, "_begun", compiling.threading.Event())
    compiling._begun.set()
    assert not compiling.is_done("lasso")
    assert compiling.is_done("lasso", 30_000)
    assert not compiling.is_done("lasso", 40_000)
