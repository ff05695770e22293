"""Sorted points on the disk: read back as they were, believed only when whole, never needed, never in the way."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest

import cellasso
from cellasso.core.derived_cache import clear, entries, json_with_crc, trim
from cellasso.points import cache
from cellasso.points.cache import key_of, read_points, write_points
from cellasso.points.point_index import BLOCK, PointIndex
from cellasso_app.cli.main import main
from conftest import make_adata, write

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.loops

ABOUT = {"file": "/data/cells.h5ad", "matrix": "obsm/X_umap"}
KEY = "0123456789abcdef0123456789abcdef"


def some(n: int = 2 * BLOCK + 7) -> PointIndex:
    points = np.random.default_rng(0).normal(size=(n, 2)).astype("f4")
    points[::9] = np.nan
    return PointIndex.of(points)


def assert_same(found: PointIndex | None, expected: PointIndex) -> None:
    assert found is not None
    for name in ("points", "order", "boxes"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), strict=True)
    assert (found.bounds, found.n_obs) == (expected.bounds, expected.n_obs)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "kept"


@pytest.fixture
def kept(monkeypatch, tmp_path, copied) -> Path:
    """A file small enough for a test whose points are kept all the same, in a cache of its own."""
    monkeypatch.setattr("cellasso.model.point_indexes.WORTH_KEEPING", 1)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "cache" / "cellasso" / "index").mkdir(parents=True)
    return tmp_path / "cache" / "cellasso" / "index"


def open_plane(path: Path, root: Path | None, embedding: str = "X_umap", dims: tuple[int, int] = (0, 1)) -> PointIndex:
    with cellasso.open(path, index=root if root is not None else False) as dataset:
        return dataset.point_index(embedding, dims)


# -- written and read -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "plane", [some(), some(BLOCK), some(2), PointIndex.empty(5), PointIndex.of(np.full((3, 2), 1e38, "f4"))], ids=len
)
def test_what_was_written_is_read(root, plane):
    write_points(root, KEY, plane, ABOUT)
    found = read_points(root, KEY)
    assert_same(found, plane)
    for viewport in (plane.bounds, (-0.5, 0.5, 0, 2)):
        assert found.count(type(plane.bounds)(*viewport)) == plane.count(type(plane.bounds)(*viewport))
    assert sorted(path.name for path in (root / KEY).iterdir()) == ["about.json", "plane"]


def test_writing_again_replaces_what_was_there(root):
    write_points(root, KEY, some(), ABOUT)
    write_points(root, KEY, some(50), ABOUT)
    assert_same(read_points(root, KEY), some(50))


def test_nothing_is_read_where_nothing_was_written(root):
    assert read_points(root, KEY) is None
    root.mkdir()
    assert read_points(root, KEY) is None
    (root / KEY).mkdir()
    assert read_points(root, KEY) is None


# -- what is not believed -------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [0, 0.3, 0.9, 1], ids=str)
def test_a_changed_byte_is_noticed_wherever_it_is(root, at):
    write_points(root, KEY, some(), ABOUT)
    path = root / KEY / "plane"
    stored = bytearray(path.read_bytes())
    stored[int(at * (len(stored) - 1))] ^= 1
    path.write_bytes(stored)
    assert read_points(root, KEY) is None


@pytest.mark.parametrize("n_bytes", [0, 1, 1000, -1, -4096], ids=str)
def test_a_file_that_was_cut_off_is_noticed(root, n_bytes):
    write_points(root, KEY, some(), ABOUT)
    path = root / KEY / "plane"
    stored = path.read_bytes()
    path.write_bytes(stored[:n_bytes])
    assert read_points(root, KEY) is None
    path.write_bytes(stored + b"\0")
    assert read_points(root, KEY) is None
    path.unlink()
    assert read_points(root, KEY) is None


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\xfe", b'{"key": "' + KEY.encode() + b'"}'], ids=repr)
def test_a_foreign_description_is_not_believed(root, content):
    write_points(root, KEY, some(), ABOUT)
    (root / KEY / "about.json").write_bytes(content)
    assert read_points(root, KEY) is None


def test_a_changed_description_is_not_believed(root):
    write_points(root, KEY, some(), ABOUT)
    path = root / KEY / "about.json"
    path.write_bytes(path.read_bytes().replace(b'"n_obs"', b'"n_abs"'))
    assert read_points(root, KEY) is None


def test_what_was_written_under_another_key_is_not_believed(root):
    write_points(root, KEY, some(), ABOUT)
    other = "f" * 32
    shutil.copytree(root / KEY, root / other)
    assert read_points(root, other) is None


def test_the_description_of_an_index_is_not_believed(root):
    write_points(root, KEY, some(), ABOUT)
    (root / KEY / "about.json").write_bytes(json_with_crc({**ABOUT, "key": KEY, "starts": [0, 5]}))
    assert read_points(root, KEY) is None


def test_points_of_another_description_are_not_believed(root):
    """As when two processes write at a time, or one is killed between the two files."""
    write_points(root, KEY, some(), ABOUT)
    write_points(root, "f" * 32, some(50), ABOUT)
    (root / ("f" * 32) / "plane").replace(root / KEY / "plane")
    assert read_points(root, KEY) is None


# -- when it cannot be written --------------------------------------------------------------------------


def test_a_folder_that_cannot_be_made_only_costs_the_sorting(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    write_points(tmp_path / "file", KEY, some(), ABOUT)
    assert read_points(tmp_path / "file", KEY) is None


@pytest.mark.parametrize("fails", ["the words", "the points", "replace"])
def test_a_full_disk_leaves_nothing_behind(root, monkeypatch, fails):
    class Full:
        """A file on a disk that takes half of what it is given."""

        def __init__(self, file):
            self._file = file
            self.close = file.close

        def write(self, data):
            self._file.write(data[: len(data) // 2])
            raise OSError(28, "No space left on device")

        def writelines(self, parts):
            self.write(next(iter(parts)))

    def full(*_arguments, **_options):
        raise OSError(28, "No space left on device")

    if fails == "replace":
        monkeypatch.setattr(type(root), fails, full)
    else:
        opened, fdopen = [], os.fdopen

        def open_file(*arguments):
            opened.append(fdopen(*arguments))
            return Full(opened[-1]) if len(opened) == (1 if fails == "the words" else 2) else opened[-1]

        monkeypatch.setattr(os, "fdopen", open_file)
    write_points(root, KEY, some(), ABOUT)
    monkeypatch.undo()
    assert read_points(root, KEY) is None
    assert not list(root.rglob(".*"))
    clear(root)
    assert not list(root.rglob("plane"))  # what is of no use is listed, and so can be removed


def test_a_folder_that_may_only_be_read_is_read(root, monkeypatch):
    write_points(root, KEY, some(), ABOUT)

    def refused(*_arguments):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "utime", refused)
    assert_same(read_points(root, KEY), some())


# -- keys -----------------------------------------------------------------------------------------------


def test_another_state_of_the_file_another_embedding_or_dimension_has_another_key(copied, monkeypatch):
    def key(embedding="obsm/X_umap", dims=(0, 1)):
        with cellasso.open(copied) as dataset:
            return key_of(dataset.handle, embedding, dims)

    first = key()
    assert key() == first
    keys = [first, key("obsm/X_pca"), key(dims=(1, 0)), key(dims=(0, 2))]
    monkeypatch.setattr(cache, "FORMAT", cache.FORMAT + 1)
    keys.append(key())
    monkeypatch.undo()
    stat = copied.stat()
    os.utime(copied, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    keys.append(key())
    os.utime(copied, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert key() == first
    with copied.open("ab") as file:
        file.write(b"\0")
    os.utime(copied, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    keys.append(key())
    shutil.copy2(copied, copied.with_suffix(".other"))
    copied.with_suffix(".other").replace(copied)  # as large and as old, but another file
    keys.append(key())
    assert len(set(keys)) == len(keys)


# -- a dataset ------------------------------------------------------------------------------------------


def count_sorting(monkeypatch) -> list[int]:
    """Note how often points are sorted."""
    sorted_points: list[int] = []
    of = PointIndex.of

    def counted(points):
        sorted_points.append(len(points))
        return of(points)

    monkeypatch.setattr(PointIndex, "of", counted)
    return sorted_points


def test_points_are_sorted_once_for_all_who_open_the_file(kept, copied, monkeypatch):
    expected = open_plane(copied, None)
    sorted_points = count_sorting(monkeypatch)
    for _ in range(3):
        assert_same(open_plane(copied, kept), expected)
    assert len(sorted_points) == 1
    open_plane(copied, kept, "X_pca", (2, 4))
    open_plane(copied, kept, "X_pca", (2, 4))
    assert len(sorted_points) == 2
    assert len(entries(kept)) == 2


def test_few_points_are_sorted_anew_and_nothing_is_kept(kept, copied, monkeypatch):
    monkeypatch.setattr("cellasso.model.point_indexes.WORTH_KEEPING", 61)  # the file has 60 cells
    open_plane(copied, kept)
    assert list(kept.iterdir()) == []


def test_another_file_under_the_same_name_is_sorted_anew(kept, copied):
    before = open_plane(copied, kept)
    write(make_adata(seed=1), copied)
    after = open_plane(copied, kept)
    assert_same(after, open_plane(copied, None))
    assert not np.array_equal(after.points, before.points)


def test_damaged_points_are_sorted_anew_and_kept_again(kept, copied, monkeypatch):
    expected = open_plane(copied, kept)
    (path,) = kept.glob("*/plane")
    path.write_bytes(path.read_bytes()[:-1])
    sorted_points = count_sorting(monkeypatch)
    assert_same(open_plane(copied, kept), expected)
    assert_same(open_plane(copied, kept), expected)
    assert len(sorted_points) == 1


def test_points_of_a_modality_are_its_own(kept, multimodal, tmp_path):
    path = shutil.copy(multimodal.path, tmp_path / "copy.h5mu")
    for embedding in ("rna:X_umap", "X_joint"):
        assert_same(open_plane(path, kept, embedding), open_plane(path, None, embedding))
        assert_same(open_plane(path, kept, embedding), open_plane(path, None, embedding))


# -- the list of what is kept -----------------------------------------------------------------------------


def test_the_command_line_lists_and_clears_what_is_kept(kept, copied, capsys):
    open_plane(copied, kept)
    (entry,) = entries(kept)
    assert (entry.file, entry.matrix, entry.fraction) == (str(copied), "obsm/X_umap", 1)
    assert entry.n_bytes == sum(path.stat().st_size for path in entry.folder.iterdir())
    (kept / "notes.txt").write_text("mine")
    (kept / "thesis").mkdir()
    (kept / "thesis" / "plane").write_text("mine too")
    main(["cache"])
    listed = capsys.readouterr().out
    assert copied.name in listed
    assert "obsm/X_umap" in listed
    main(["cache", "--clear"])
    assert entries(kept) == []
    assert sorted(path.name for path in kept.iterdir()) == ["notes.txt", "thesis"]
    assert (kept / "thesis" / "plane").read_text() == "mine too"


def test_clearing_leaves_files_that_are_not_its_own(root):
    write_points(root, KEY, some(), ABOUT)
    (root / KEY / "mine.txt").write_text("mine")
    assert clear(root) == 0
    assert [path.name for path in (root / KEY).iterdir()] == ["mine.txt"]


def test_clearing_removes_what_a_killed_process_left(root):
    write_points(root, KEY, some(), ABOUT)
    for name in (".plane.77.abcd", ".about.json.77.abcd"):
        (root / KEY / name).write_bytes(b"half")
    assert clear(root) > 0
    assert list(root.iterdir()) == []


def test_what_was_opened_longest_ago_makes_room(kept, monkeypatch):
    for number, plane in enumerate((some(), some(), some(), some(50))):
        write_points(kept, f"{number:032d}", plane, ABOUT)
        os.utime(kept / f"{number:032d}" / "about.json", (number, number))
    size = max(entry.n_bytes for entry in entries(kept))
    read_points(kept, f"{0:032d}")  # now it is the one opened last
    monkeypatch.setenv("CELLASSO_INDEX_CAP", str(4 * size))
    write_points(kept, f"{4:032d}", some(), ABOUT)
    assert {entry.folder.name[-1] for entry in entries(kept)} == {"0", "2", "3", "4"}
    trim(kept, keep=kept / f"{4:032d}", room=4 * size)
    assert [entry.folder.name[-1] for entry in entries(kept)] == ["4"]
