"""Sketches: what was read of every sixteenth cell, shared by the sessions of a file, bounded in bytes."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

import cellasso
from cellasso.color.coloring import Categories, CellValues, Values
from cellasso.model.vector import Vector
from cellasso_app.page import explorer
from cellasso_app.page.explorer import Explorer
from cellasso_app.render import coloring_cache
from cellasso_app.render.cell_values import ColoringKey, read_cell_values
from cellasso_app.render.coloring_cache import ColoringCache
from cellasso_app.render.coloring_cache import coloring_cache as kept_of
from stepping import until

N, MANY = 160, 10_000_000


def quiet(_fraction: float) -> None:
    """Progress that nobody looks at."""


def numbers(n: int = N) -> CellValues:
    return CellValues("a", np.arange(n, dtype="f4"))


def test_every_sixteenth_value_is_kept():
    kept = ColoringCache(MANY)
    raw = numbers()
    sketch = kept.keep(ColoringKey(Vector("obs", "a")), raw)
    assert isinstance(sketch, Values)
    np.testing.assert_array_equal(sketch.values, raw.values[::16])
    assert kept.get(ColoringKey(Vector("obs", "a"))) is sketch
    assert sketch.values.base is None  # else it would hold all of them
    for other in (
        ColoringKey(Vector("gene", "a")),
        ColoringKey(Vector("obs", "a"), as_categories=True),
        ColoringKey(Vector("obs", "a", "rna")),
    ):
        assert kept.get(other) is None


def test_of_fewer_cells_all_are_kept():
    kept, raw = ColoringCache(N), numbers()
    found = kept.keep(ColoringKey(Vector("obs", "a")), raw)
    assert kept.get(ColoringKey(Vector("obs", "a"))) is found
    assert isinstance(found, Values)
    np.testing.assert_array_equal(found.values, raw.values)


def test_the_least_recently_used_goes_first(monkeypatch):
    monkeypatch.setattr(coloring_cache, "MAX_BYTES", 100)
    kept = ColoringCache(MANY)
    columns = [ColoringKey(Vector("obs", name)) for name in "abc"]
    for column in columns[:2]:
        kept.keep(column, numbers())  # 40 bytes
        kept.get(columns[0])
    assert kept.n_bytes >= coloring_cache.MAX_BYTES // 2
    kept.keep(columns[2], numbers())
    assert [kept.get(column) is not None for column in columns] == [True, False, True]
    kept.keep(ColoringKey(Vector("obs", "large")), numbers(16 * N))
    assert kept.get(ColoringKey(Vector("obs", "large"))) is None


def test_the_sessions_of_a_file_share_them(plain):
    with cellasso.open(plain.path) as dataset, cellasso.open(plain.path) as other:
        assert kept_of(dataset) is kept_of(dataset)
        assert kept_of(dataset) is not kept_of(other)
        both = [weakref.ref(kept_of(each)) for each in (dataset, other)]
    del dataset, other
    gc.collect()
    assert [kept() for kept in both] == [None, None]  # with their file


def test_what_is_read_ahead_is_read_once_and_what_cannot_be_is_left(dataset, monkeypatch):
    kept, column = ColoringCache(MANY), ColoringKey(Vector("obs", "float32"))
    read: list[str] = []
    read_obs = dataset.root.read_obs
    monkeypatch.setattr(dataset.root, "read_obs", lambda name: (read.append(name), read_obs(name))[1])
    for _ in range(2):
        kept.read_ahead(dataset, column, progress=quiet)
        kept.read_ahead(dataset, ColoringKey(Vector("gene", "no_such")), progress=quiet)
    assert read == ["float32"]
    expected = read_cell_values(dataset, column.vector).values.to_numpy()[::16]
    found = kept.get(column)
    assert isinstance(found, Values)
    np.testing.assert_array_equal(found.values, expected)
    assert kept.get(ColoringKey(Vector("gene", "no_such"))) is None


@pytest.mark.parametrize("column", ["ordered", "gaps", "numbered", "bool", "maybe_bool", "text"])
def test_a_sketch_of_categories_has_the_codes_of_its_cells(dataset, column):
    raw = read_cell_values(dataset, Vector("obs", column))
    kept = ColoringCache(MANY)
    some, whole = kept.keep(ColoringKey(Vector("obs", column)), raw), raw.coloring
    assert kept.get(ColoringKey(Vector("obs", column))) is some
    assert isinstance(some, Categories)
    assert isinstance(whole, Categories)
    names = [[each.labels[code] if code >= 0 else None for code in each.codes] for each in (some, whole)]
    assert names[0] == names[1][::16]
    if column not in {"bool", "maybe_bool", "text"}:  # of texts it knows those of its cells alone
        assert (some.labels, some.colors) == (whole.labels, whole.colors)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("many", [True, False])
def test_of_many_cells_the_columns_are_read_ahead_once_there_is_a_picture(dataset, tmp_path, monkeypatch, many):
    monkeypatch.setattr(explorer, "READ_AHEAD", 1 if many else 10**9)
    page = Explorer(dataset, export_dir=tmp_path)
    kept = kept_of(dataset)
    until(lambda: not page.views.active.bar.busy)
    until(lambda: not page.is_reading_ahead)
    shown = [ColoringKey(Vector("obs", page.session.view.color.name))]
    kinds = {"category", "boolean", "number"}
    expected = [ColoringKey(Vector("obs", name)) for name in dataset.obs if dataset.obs.kind(name) in kinds]
    assert set(kept.keys) == set(expected if many else shown)


@pytest.mark.usefixtures("one_thread")
def test_reading_ahead_takes_categories_first_and_leaves_room_for_what_is_looked_at(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(explorer, "READ_AHEAD", 1)
    monkeypatch.setattr(coloring_cache, "MAX_BYTES", 6 * 60)
    page = Explorer(dataset, export_dir=tmp_path)
    until(lambda: not page.views.active.bar.busy)
    until(lambda: not page.is_reading_ahead)
    kept = kept_of(dataset)
    assert [key.vector.name for key in kept.keys] == ["ordered", "gaps"]  # 2 bytes each of 60 cells
    assert kept.n_bytes >= coloring_cache.MAX_BYTES // 2
