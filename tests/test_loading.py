"""What a picture is made of: a coarse one of many cells first, then all of them, exact."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import cellasso
from cellasso.errors import Cancelled
from cellasso_app import loading
from cellasso_app.axes import Axes
from cellasso_app.coloring import Categories, color_by_obs
from cellasso_app.loading import Asked, Loaded, load, rescaled
from cellasso_app.palettes import Scale
from cellasso_app.session import Column, Source
from conftest import write

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cellasso.dataset import Dataset

N = 800
AXES = Axes("X_umap")
COLORS = {
    "kind": Column("obs", "kind"),
    "depth": Column("obs", "depth"),
    "g1": Column("gene", "g1", Source("X")),
    "nothing": None,
    "no_such": Column("obs", "no_such"),
}


class Shown:
    """What a job shows before its end; cancelled after so many words if asked."""

    def __init__(self, patience: float = np.inf) -> None:
        self.all: list[Loaded] = []
        self._patience = patience

    def __call__(self, _fraction: float) -> None:
        self._patience -= 1
        if self._patience < 0:
            raise Cancelled("enough")

    def show(self, loaded: Loaded) -> None:
        self.all.append(loaded)


@pytest.fixture
def many(tmp_path, monkeypatch) -> Iterator[Dataset]:
    """A file of cells that count as very many."""
    monkeypatch.setattr(loading, "COARSE", 100)
    monkeypatch.setattr(loading, "LEGEND_LATER", 100)
    rng = np.random.default_rng(3)
    adata = ad.AnnData(rng.random((N, 3)).astype("f4"), var=pd.DataFrame(index=["g0", "g1", "g2"]))
    adata.obs["kind"] = pd.Categorical(rng.choice(list("abc"), N))
    adata.obs["depth"] = rng.random(N)
    adata.obsm["X_umap"] = rng.random((N, 2)).astype("f4")
    adata.obsm["X_umap"][7] = np.nan
    with cellasso.open(write(adata, tmp_path / "many.h5ad")) as dataset:
        yield dataset


def values_of(loaded: Loaded) -> np.ndarray:
    coloring = loaded.cells.coloring
    assert coloring is not None
    return coloring.codes if isinstance(coloring, Categories) else coloring.values


@pytest.mark.parametrize("name", ["kind", "depth", "g1"])
def test_a_sample_is_first_and_all_cells_follow(many, name):
    shown, asked = Shown(), Asked(AXES, COLORS[name])
    first = load(many, asked, Scale(), None, shown)
    assert (first.is_coarse, first.complete, first.legend, first.middles) == (True, False, None, None)
    assert first.plane.n_obs == N
    assert first.cells.plane is first.plane.coarse
    assert not shown.all
    assert first.rest is not None
    last = first.rest(shown)
    assert (last.is_coarse, last.complete, last.rest) == (False, True, None)
    expected = many.read_feature("g1") if name == "g1" else many.read_obs(name)
    if name == "kind":
        expected = expected.cat.codes
    np.testing.assert_array_equal(values_of(last), np.asarray(expected).astype(values_of(last).dtype))
    np.testing.assert_array_equal(values_of(first), values_of(last)[::16])
    np.testing.assert_array_equal(
        first.cells.codes,
        first.plane.coarse.arrange(values_of(first).astype("u1")) if name == "kind" else first.cells.codes,
    )
    assert last.legend is not None
    (between,) = shown.all  # all cells, before what else is told of them
    assert (between.is_coarse, between.complete, between.legend) == (False, False, None)
    assert between.cells is last.cells
    if name == "kind":
        np.testing.assert_allclose(between.middles, last.middles, atol=0.5)


@pytest.mark.parametrize("name", ["kind", "depth", "g1"])
def test_what_was_seen_before_is_drawn_before_the_file_is_read(many, monkeypatch, name):
    asked = Asked(AXES, COLORS[name])
    before = load(many, asked, Scale(), None, Shown())
    read: list[Any] = []
    for method in ("read_obs", "read_features"):
        real = getattr(many, method)
        monkeypatch.setattr(many, method, lambda *a, real=real, **k: (read.append(a), real(*a, **k))[1])
    again = load(many, asked, Scale(), before.plane, Shown())
    assert not read
    np.testing.assert_array_equal(again.cells.codes, before.cells.codes)
    assert again.rest is not None
    shown = Shown()
    last = again.rest(shown)
    assert len(read) == 1
    assert all(each.read == 1 for each in shown.all)
    assert last.complete
    np.testing.assert_array_equal(values_of(last)[::16], values_of(before))


def test_no_colour_and_one_that_cannot_be_read_are_drawn_without(many):
    for name in ("nothing", "no_such"):
        first = load(many, Asked(AXES, COLORS[name]), Scale(), None, Shown())
        assert first.cells.coloring is None
        assert ("no_such" in first.problem) == (name == "no_such")
        assert first.rest is not None
        last = first.rest(Shown())
        assert last.complete
        assert last.problem == first.problem
        assert last.notes == "1 cell without coordinates here, not drawn"


def test_few_cells_come_at_once(many, monkeypatch):
    monkeypatch.setattr(loading, "COARSE", N + 1)
    shown = Shown()
    loaded = load(many, Asked(AXES, COLORS["kind"]), Scale(), None, shown)
    assert loaded.complete
    assert len(shown.all) == 1
    monkeypatch.setattr(loading, "LEGEND_LATER", N + 1)
    load(many, Asked(AXES, COLORS["kind"]), Scale(), loaded.plane, shown)
    assert len(shown.all) == 1


def test_a_cancelled_job_ends(many):
    with pytest.raises(Cancelled):
        load(many, Asked(AXES, COLORS["g1"]), Scale(), None, Shown(patience=0))


def test_another_scale_colours_the_same_values(many):
    first = load(many, Asked(AXES, COLORS["depth"]), Scale(), None, Shown())
    assert first.rest is not None
    last = first.rest(Shown())
    other = rescaled(last, Scale(reverse=True))
    assert other.cells.coloring is last.cells.coloring
    assert other.cells.scale.reverse
    assert (other.legend, other.plane, other.complete) == (last.legend, last.plane, True)
    assert color_by_obs(many, "depth").name == other.cells.coloring.name
