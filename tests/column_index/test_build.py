"""Building an index: killed, cancelled, twice at a time, on a cluster; the files are the same each time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from scipy import sparse

from cellasso.column_index import build as indexing
from cellasso.column_index.build import IndexingError, build_index
from cellasso.core import derived_cache as cache
from cellasso.core.errors import Cancelled, FileChangedError
from cellasso.matrix.open import open_matrix
from cellasso.store.hdf5.handle import Hdf5Store

N_ROWS, N_COLUMNS = 400, 60
ROWS_A_BLOCK = 40

BUILD = """
import os, signal, sys, time
from pathlib import Path
from cellasso.column_index import block, build, plan
from cellasso.store.hdf5.handle import Hdf5Store
from cellasso.matrix.open import open_matrix

path, root, moment, number, marker = sys.argv[1:]
plan.MAX_ROWS = 40
calls = 0

def die(call):
    def called(*arguments, **options):
        global calls
        calls += 1
        if calls == int(number):
            if marker:
                Path(marker).touch()
                while Path(marker).exists():  # until the test removes it
                    time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*arguments, **options)
    return called

if moment == "append":
    block.BlockWriter.append = die(block.BlockWriter.append)
if moment == "fsync":
    block.os.fsync = die(os.fsync)
if moment == "rename":
    Path.replace = die(Path.replace)
with Hdf5Store(path) as handle:
    build.build_index(open_matrix(handle, "/X"), Path(root), threads=1)
"""


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr("cellasso.column_index.plan.MAX_ROWS", ROWS_A_BLOCK)


@pytest.fixture(scope="module")
def matrix():
    rng = np.random.default_rng(0)
    return sparse.csr_matrix(np.where(rng.random((N_ROWS, N_COLUMNS)) < 0.2, rng.poisson(3, (N_ROWS, N_COLUMNS)), 0.0))


@pytest.fixture
def path(tmp_path, matrix):
    return write(tmp_path / "x.h5", matrix)


def write(path, matrix):
    with h5py.File(path, "w") as file:
        group = file.create_group("X")
        group.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0", "shape": matrix.shape})
        for part in ("data", "indices", "indptr"):
            group.create_dataset(part, data=getattr(matrix, part), compression="gzip", chunks=(100,))
    return path


def build(path, root, **options):
    with Hdf5Store(path) as handle:
        return build_index(open_matrix(handle, "/X"), root, **options)


def read(path, root):
    with Hdf5Store(path) as handle:
        handle.index_root = root
        return open_matrix(handle, "/X").read_columns([*range(N_COLUMNS)])


def files(root):
    """Return what each block holds, by name."""
    return {path.name: path.read_bytes() for path in root.glob("*/*.block")}


def build_elsewhere(path, root, moment="", number=0, marker=""):
    """Start a process that builds, and stops itself at a moment."""
    return subprocess.Popen(
        [sys.executable, "-c", BUILD, str(path), str(root), moment, str(number), str(marker)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


# -- killed -----------------------------------------------------------------------------------------------


@pytest.mark.more
@pytest.mark.parametrize(
    ("moment", "number"),
    [("append", 1), ("append", 4), ("fsync", 1), ("fsync", 8), ("rename", 1), ("rename", 2), ("rename", 7)],
)
def test_a_build_that_is_killed_goes_on_where_it_was(tmp_path, path, matrix, moment, number):
    build(path, tmp_path / "whole")
    root = tmp_path / "index"
    killed = build_elsewhere(path, root, moment, number)
    assert killed.wait(120) == -signal.SIGKILL
    left = files(root)
    assert len(left) < 10
    if (root / "x").exists() or left:
        np.testing.assert_array_equal(read(path, root), matrix.toarray())
    stamps = {name: next(root.glob(f"*/{name}")).stat().st_mtime_ns for name in left}
    build(path, root)
    assert files(root) == files(tmp_path / "whole")
    np.testing.assert_array_equal(read(path, root), matrix.toarray())
    for name, stamp in stamps.items():
        assert next(root.glob(f"*/{name}")).stat().st_mtime_ns == stamp, "built a second time"
    assert not list(root.glob("*/.*.block.*")), "left behind"


def test_a_build_may_be_cancelled_and_goes_on_later(tmp_path, path):
    build(path, tmp_path / "whole")

    def cancel(fraction):
        if fraction >= 0.3:
            raise Cancelled("enough")

    with pytest.raises(Cancelled, match="enough"):
        build(path, tmp_path / "index", progress=cancel)
    assert 3 <= len(files(tmp_path / "index")) < 10
    told = []
    build(path, tmp_path / "index", progress=told.append)
    assert told == sorted(told)
    assert told[0] > 0.3
    assert told[-1] == 1
    assert files(tmp_path / "index") == files(tmp_path / "whole")


def test_a_finished_index_is_not_built_again(tmp_path, path, monkeypatch):
    build(path, tmp_path / "index")
    monkeypatch.setattr(indexing, "build_block", None)
    build(path, tmp_path / "index", check=True)


# -- several at a time ------------------------------------------------------------------------------------


def test_one_process_builds_and_the_other_waits_for_it(tmp_path, path):
    root, marker = tmp_path / "index", tmp_path / "marker"
    first = build_elsewhere(path, root, "append", 5, marker)
    try:
        while not marker.exists():
            assert first.poll() is None
            time.sleep(0.05)
        told = []
        second = threading.Thread(target=build, args=(path, root), kwargs={"progress": told.append})
        second.start()
        while not told:
            time.sleep(0.01)
        assert told[0] == 0.4  # how far the first has come
        assert len(files(root)) == 4
        marker.unlink()  # it kills itself, and the other takes over
        assert first.wait(60) == -signal.SIGKILL
        second.join(60)
        assert len(files(root)) == 10
    finally:
        first.kill()


def test_two_builds_without_a_lock_do_not_hurt_each_other(tmp_path, path, monkeypatch):
    monkeypatch.setattr(cache, "try_to_lock", lambda _: True)
    monkeypatch.setattr(cache, "remove_leftovers", lambda _: None)
    build(path, tmp_path / "whole")
    builds = [threading.Thread(target=build, args=(path, tmp_path / "index")) for _ in range(3)]
    for each in builds:
        each.start()
    for each in builds:
        each.join()
    assert files(tmp_path / "index") == files(tmp_path / "whole")


@pytest.mark.parametrize("threads", [1, 3])
def test_the_number_of_threads_changes_no_byte(tmp_path, path, threads):
    build(path, tmp_path / "one", threads=1)
    build(path, tmp_path / "more", threads=threads, background=True)
    assert files(tmp_path / "one") == files(tmp_path / "more")


# -- what stops a build -----------------------------------------------------------------------------------


def test_a_file_that_changes_meanwhile_ends_the_build(tmp_path, path, matrix):
    def change(_fraction):
        write(path, 2 * matrix)

    with pytest.raises(FileChangedError, match="was changed by another program since it was opened"):
        build(path, tmp_path / "index", progress=change, threads=1)


def test_a_disk_without_room_is_said_before(tmp_path, path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(IndexingError, match=r"may need 0.0 GB in .*index, which has 0.0 GB free; make room, or name"):
        build(path, tmp_path / "index")
    assert not files(tmp_path / "index")


# -- a cluster --------------------------------------------------------------------------------------------


@pytest.mark.more
@pytest.mark.filterwarnings("ignore")  # distributed remarks on its own killed workers and on the sockets they leave
def test_a_cluster_that_loses_a_worker_builds_the_same_index(tmp_path, path, monkeypatch):
    from distributed import Client, LocalCluster

    monkeypatch.setattr("cellasso.column_index.plan.MAX_ROWS", 4)
    build(path, tmp_path / "local")
    options = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
    with LocalCluster(**options, local_directory=str(tmp_path)) as cluster, Client(cluster) as client:
        workers = client.run(os.getpid)
        assert len(set(workers.values()) | {os.getpid()}) == 3
        killed = []

        def kill_one(_fraction):
            if not killed:
                assert len(files(tmp_path / "cluster")) < 100
                killed.append(next(iter(workers.values())))
                os.kill(killed[0], signal.SIGKILL)

        build(path, tmp_path / "cluster", executor=client.get_executor(), progress=kill_one)
        assert killed
    assert len(files(tmp_path / "cluster")) == 100
    assert files(tmp_path / "cluster") == files(tmp_path / "local")
