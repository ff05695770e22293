"""The folder of indexes: capped, listed, cleared, and nothing else in it touched."""

from __future__ import annotations

import os

import pytest

from cellasso.core import derived_cache as cache
from cellasso.core.derived_cache import json_with_crc


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    root = cache.default_root()
    assert root.is_relative_to(tmp_path)
    return root


def add(root, name, n_bytes, opened, n_blocks=2):
    folder = root / name
    folder.mkdir(parents=True)
    (folder / "about.json").write_bytes(
        json_with_crc({"key": name, "file": f"/{name}.h5ad", "matrix": "/X", "starts": [0, 5, 9]})
    )
    for number in range(n_blocks):
        (folder / f"{number:05d}.block").write_bytes(bytes(n_bytes // n_blocks))
    os.utime(folder / "about.json", (opened, opened))
    return folder


def names(root):
    return [entry.folder.name for entry in cache.entries(root)]


def test_entries_say_what_they_are_of_the_latest_first(root):
    add(root, "old", 2000, 100)
    add(root, "new", 1000, 200, n_blocks=1)
    new, old = cache.entries(root)
    assert (new.file, new.matrix, new.fraction, new.opened) == ("/new.h5ad", "/X", 0.5, 200)
    assert (old.file, old.fraction) == ("/old.h5ad", 1)
    assert old.n_bytes >= 2000


def test_what_was_opened_longest_ago_goes_first_when_the_cap_is_reached(root, monkeypatch):
    for name, opened in (("a", 300), ("b", 100), ("c", 200), ("d", 50)):
        add(root, name, 1000, opened)
    kept = root / "d"
    monkeypatch.setenv("CELLASSO_INDEX_CAP", "3500")
    cache.trim(root, keep=kept)
    assert names(root) == ["a", "c", "d"]  # d is the oldest, but being built
    cache.trim(root, keep=kept, room=1000)
    assert names(root) == ["a", "d"]


def test_a_folder_that_the_user_named_is_never_trimmed(root, tmp_path, monkeypatch):
    monkeypatch.setenv("CELLASSO_INDEX_CAP", "0")
    add(tmp_path / "mine", "a", 1000, 100)
    cache.trim(tmp_path / "mine", keep=tmp_path)
    assert names(tmp_path / "mine") == ["a"]


def test_clearing_removes_indexes_and_nothing_else(root):
    add(root, "a", 1000, 100)
    (root / "notes").mkdir()
    (root / "notes" / "mine.txt").write_text("keep")
    assert cache.clear(root) >= 1000
    assert [path.name for path in root.iterdir()] == ["notes"]
    assert cache.clear(root / "nowhere") == 0


def test_the_cap_is_a_number_of_bytes_or_the_usual_one(monkeypatch):
    monkeypatch.setenv("CELLASSO_INDEX_CAP", "12")
    assert cache.cap() == 12
    monkeypatch.setenv("CELLASSO_INDEX_CAP", "much")
    assert cache.cap() == cache.CAP_BYTES


def test_somebody_elses_folder_is_never_removed(tmp_path):
    folder = tmp_path / "thesis"
    folder.mkdir()
    (folder / "about.json").write_text('{"title": "mine"}')
    (folder / "data.csv").write_text("1,2")
    assert cache.clear(tmp_path) == 0
    assert sorted(path.name for path in folder.iterdir()) == ["about.json", "data.csv"]


def test_an_index_that_is_being_built_is_not_removed(root, monkeypatch):
    folder = add(root, "a", 1000, 100)
    monkeypatch.setenv("CELLASSO_INDEX_CAP", "0")
    with cache.locked(folder, progress=None, fraction=lambda: 0.0):
        cache.trim(root, keep=root / "b")
        assert names(root) == ["a"]
        assert cache.clear(root) == 0
    cache.trim(root, keep=root / "b")
    assert names(root) == []
    assert not folder.exists()
