"""Columns that are told of a cell: read once for all sessions of a file, bounded, gone with the file."""

from __future__ import annotations

import gc
import weakref
from typing import TYPE_CHECKING

import pytest

import cellasso
from cellasso.core.column_cache import size_within
from cellasso.core.errors import NotFoundError
from cellasso_app.render import hover_columns as hovering
from cellasso_app.render.hover_columns import hover_columns

if TYPE_CHECKING:
    import pandas as pd


def quiet(_fraction: float) -> None:
    """Progress that nobody looks at."""


@pytest.fixture
def read(dataset, monkeypatch) -> list[str]:
    """Which columns are read from the file."""
    found: list[str] = []
    read_obs = dataset.root.read_obs
    monkeypatch.setattr(dataset.root, "read_obs", lambda name: (found.append(name), read_obs(name))[1])
    return found


def tell(dataset, name: str) -> pd.Series:
    return hover_columns(dataset).read(dataset, name, progress=quiet)


def test_a_column_is_read_once_and_as_it_is(dataset, read, plain):
    for name in ("ordered", "float32", "text", "maybe_bool"):
        for _ in range(2):
            found = tell(dataset, name)
            assert found.astype(object).map(str).tolist() == plain.oracle.obs[name].astype(object).map(str).tolist()
    assert read == ["ordered", "float32", "text", "maybe_bool"]


def size(column: pd.Series) -> int:
    """A byte a cell; texts are larger than all that is kept."""
    is_text = isinstance(column.iloc[0], str) and not hasattr(column, "cat")
    return hovering.MAX_BYTES if is_text else len(column)


def test_the_least_recently_told_goes_first_and_a_large_one_is_kept_alone(dataset, read, monkeypatch):
    monkeypatch.setattr(hovering, "MAX_BYTES", 2 * dataset.n_obs)
    monkeypatch.setattr(hovering, "size_within", lambda _most: size)
    for name in ("ordered", "float32", "ordered", "bool"):
        tell(dataset, name)
    assert hover_columns(dataset).n_bytes == 2 * dataset.n_obs
    tell(dataset, "ordered")
    assert read == ["ordered", "float32", "bool"]
    tell(dataset, "float32")
    assert read == ["ordered", "float32", "bool", "float32"]
    for name in ("text", "text", "bool"):
        tell(dataset, name)
    assert read[4:] == ["text", "bool"]
    assert hover_columns(dataset).n_bytes == dataset.n_obs


def test_a_column_larger_than_all_that_is_kept_counts_as_all(dataset):
    assert size_within(10)(dataset.read_obs("float32")) == 10


def test_the_sessions_of_a_file_share_them_and_they_go_with_it(plain):
    with cellasso.open(plain.path) as dataset, cellasso.open(plain.path) as other:
        assert hover_columns(dataset) is hover_columns(dataset)
        assert hover_columns(dataset) is not hover_columns(other)
        tell(dataset, "ordered")
        kept = weakref.ref(hover_columns(dataset))
    del dataset, other
    gc.collect()
    assert kept() is None


def test_a_column_that_there_is_not_is_named(dataset):
    with pytest.raises(NotFoundError, match="no_such"):
        tell(dataset, "no_such")
