"""Partial files: in use they are left alone, orphaned they are swept, and nothing else is touched."""

from __future__ import annotations

import os
import time

import pytest

from cellasso.core import atomic_file
from cellasso.core.atomic_file import DAY, Partial, sweep
from cellasso.core.errors import ExportError

OTHER_MACHINE = ".x.h5ad.cellasso-00000000-12345678.part"


def orphan(folder, *, age=0.0, machine=None):
    """Leave a partial file behind, as a killed process does."""
    machine = machine or atomic_file._machine()
    path = folder / f".x.h5ad.cellasso-{machine}-12345678.part"
    path.write_bytes(b"half")
    os.utime(path, (time.time() - age,) * 2)
    return path


def names(folder):
    return sorted(entry.name for entry in folder.iterdir())


def test_a_partial_file_gets_its_name_when_it_is_complete(tmp_path):
    with Partial(tmp_path / "x.csv") as part:
        part.path.write_text("all of it")
        assert names(tmp_path) == [part.path.name]
        part.put(overwrite=False)
    assert names(tmp_path) == ["x.csv"]
    assert (tmp_path / "x.csv").read_text() == "all of it"


def test_what_fails_leaves_nothing(tmp_path):
    def write():
        with Partial(tmp_path / "x.csv") as part:
            part.path.write_text("half")
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        write()
    assert names(tmp_path) == []


def test_a_target_that_appeared_is_replaced_only_when_asked(tmp_path):
    for overwrite, expected in ((False, "mine"), (True, "new")):
        (tmp_path / "x.csv").write_text("mine")
        with Partial(tmp_path / "x.csv") as part:
            part.path.write_text("new")
            if overwrite:
                part.put(overwrite=True)
            else:
                with pytest.raises(ExportError, match="was created by another program meanwhile"):
                    part.put(overwrite=False)
        assert (tmp_path / "x.csv").read_text() == expected
        assert names(tmp_path) == ["x.csv"]


def test_without_hard_links_a_target_is_not_overwritten_either(tmp_path, monkeypatch):
    def no_links(_self, _part):
        raise PermissionError("no hard links")

    monkeypatch.setattr("pathlib.Path.hardlink_to", no_links)
    with Partial(tmp_path / "x.csv") as part:
        part.put(overwrite=False)
    assert names(tmp_path) == ["x.csv"]
    with Partial(tmp_path / "x.csv") as part, pytest.raises(ExportError, match="created by another program"):
        part.put(overwrite=False)
    assert names(tmp_path) == ["x.csv"]


@pytest.mark.parametrize("name", ["x" * 250 + ".csv", "细" * 83 + ".csv"[:3]], ids=["ascii", "three_bytes"])
def test_the_longest_names_fit(tmp_path, name):
    with Partial(tmp_path / name) as part:
        part.put(overwrite=False)
    assert names(tmp_path) == [name]


def test_a_folder_that_is_missing_is_a_sentence(tmp_path):
    with pytest.raises(ExportError, match=r"x\.csv was not written \(No such file or directory\)"):
        Partial(tmp_path / "missing" / "x.csv")


def test_an_orphan_of_this_machine_is_swept_by_the_next_partial_file(tmp_path):
    left = orphan(tmp_path)
    with Partial(tmp_path / "y.csv") as part:
        assert names(tmp_path) == [part.path.name]
        assert not left.exists()


@pytest.mark.parametrize("age", [0, 2 * DAY], ids=["new", "old"])
def test_a_partial_file_in_use_is_left_alone_however_old_it_is(tmp_path, age):
    with Partial(tmp_path / "x.csv") as part:
        os.utime(part.path, (time.time() - age,) * 2)
        sweep(tmp_path)
        assert part.path.exists()
    assert names(tmp_path) == []


@pytest.mark.parametrize(("age", "stays"), [(0, True), (DAY - 60, True), (DAY + 60, False)])
def test_of_another_machine_only_old_ones_are_swept(tmp_path, age, stays):
    left = orphan(tmp_path, age=age, machine="00000000")
    assert left.name == OTHER_MACHINE
    sweep(tmp_path)
    assert left.exists() == stays


@pytest.mark.parametrize(("age", "stays"), [(0, True), (DAY + 60, False)])
def test_without_locks_only_old_ones_are_swept(tmp_path, monkeypatch, age, stays):
    def no_locks(*_arguments):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(atomic_file.fcntl, "flock", no_locks)
    left = orphan(tmp_path, age=age)
    with Partial(tmp_path / "y.csv") as part:
        assert part.path.exists()
        assert left.exists() == stays


@pytest.mark.parametrize(
    "name",
    [
        "x.part",
        ".x.part",
        ".x.h5ad.1234abcd.part",
        "x.cellasso-00000000-12345678.part",
        ".x.cellasso-00000000-12345678.part.h5ad",
        ".x.cellasso-0000-12345678.part",
    ],
)
def test_what_is_not_ours_is_never_swept(tmp_path, name):
    path = tmp_path / name
    path.write_text("theirs")
    os.utime(path, (0, 0))
    sweep(tmp_path)
    assert path.exists()


def test_what_only_looks_like_one_is_not_followed(tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("mine")
    os.utime(precious, (0, 0))
    machine = atomic_file._machine()
    (tmp_path / f".a.cellasso-{machine}-00000001.part").symlink_to(precious)
    (tmp_path / f".b.cellasso-{machine}-00000002.part").mkdir()
    os.mkfifo(tmp_path / f".c.cellasso-{machine}-00000003.part")
    sweep(tmp_path)
    assert len(names(tmp_path)) == 4
    assert precious.read_text() == "mine"


def test_a_folder_that_cannot_be_listed_stops_nothing(tmp_path):
    sweep(tmp_path / "missing")


def test_a_sweeper_that_comes_between_making_and_locking_makes_it_try_again(tmp_path, monkeypatch):
    lock, calls = atomic_file.try_to_lock, []

    def late(descriptor):
        calls.append(descriptor)
        if len(calls) == 1:
            for path in tmp_path.iterdir():
                path.unlink()
        return lock(descriptor)

    monkeypatch.setattr(atomic_file, "try_to_lock", late)
    with Partial(tmp_path / "x.csv") as part:
        assert part.path.exists()
    assert len(calls) == 2
