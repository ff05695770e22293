"""What a picture is made of: a coarse one of many cells first, then all of them, exact."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import cellasso
from cellasso.color.coloring import Categories
from cellasso.color.palettes import Scale
from cellasso.core.errors import Cancelled
from cellasso.model.vector import Vector
from cellasso_app.render import coloring_cache
from cellasso_app.render.cell_values import ColoringKey, page_name
from cellasso_app.state.axes import Axes
from cellasso_app.views.embedding import loaded as loading
from cellasso_app.views.embedding.loaded import Asked, Loaded, load, rescaled
from conftest import write

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cellasso.dataset import Dataset

N = 800
AXES = Axes("X_umap")
COLORS = {
    "kind": ColoringKey(Vector("obs", "kind")),
    "depth": ColoringKey(Vector("obs", "depth")),
    "g1": ColoringKey(Vector("gene", "g1", layer="X")),
    "nothing": None,
    "no_such": ColoringKey(Vector("obs", "no_such")),
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
    for module in (coloring_cache, loading):
        monkeypatch.setattr(module, "SAMPLED_FROM", 100)
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


def stages(loaded: Loaded, shown: Shown) -> list[Loaded]:
    """Go on until all is there."""
    found = [loaded]
    while found[-1].rest is not None:
        found.append(found[-1].rest(shown))
    return found


@pytest.mark.parametrize("name", ["kind", "depth", "g1"])
def test_a_sample_is_first_then_all_cells_then_what_is_told_of_them(many, name):
    shown = Shown()
    first, between, last = stages(load(many, Asked(AXES, COLORS[name]), Scale(), None, shown), shown)
    assert not shown.all
    assert [each.is_coarse for each in (first, between, last)] == [True, False, False]
    assert [each.complete for each in (first, between, last)] == [False, False, True]
    assert [each.legend is not None for each in (first, between, last)] == [False, False, True]
    assert first.plane.n_obs == N
    assert first.cells.plane is first.plane.sample
    expected = many.read_feature("g1") if name == "g1" else many.read_obs(name)
    if name == "kind":
        expected = expected.cat.codes
    np.testing.assert_array_equal(values_of(last), np.asarray(expected).astype(values_of(last).dtype))
    np.testing.assert_array_equal(values_of(first), values_of(last)[::16])
    assert between.cells is last.cells
    if name == "kind":
        np.testing.assert_allclose(between.middles, last.middles, atol=0.5)
        assert first.middles is None
    assert last.notes == "1 cell without coordinates here, not drawn"


@pytest.mark.parametrize("name", ["kind", "depth", "g1"])
def test_what_was_seen_before_is_drawn_before_the_file_is_read(many, monkeypatch, name):
    asked = Asked(AXES, COLORS[name])
    before = load(many, asked, Scale(), None, Shown())
    read: list[Any] = []
    for method in ("read_obs", "read_features"):
        real = getattr(many.root, method)
        monkeypatch.setattr(many.root, method, lambda *a, real=real, **k: (read.append(a), real(*a, **k))[1])
    again = load(many, asked, Scale(), before.plane, Shown())
    assert not read
    np.testing.assert_array_equal(again.cells.codes, before.cells.codes)
    shown = Shown()
    last = stages(again, shown)[-1]
    assert len(read) == 1
    assert not shown.all
    np.testing.assert_array_equal(values_of(last)[::16], values_of(before))


def test_no_colour_and_one_that_cannot_be_read_are_drawn_without(many):
    for name in ("nothing", "no_such"):
        first = load(many, Asked(AXES, COLORS[name]), Scale(), None, Shown())
        assert first.cells.coloring is None
        assert ("no_such" in first.problem) == (name == "no_such")
        last = stages(first, Shown())[-1]
        assert last.problem == first.problem
        assert last.notes == "1 cell without coordinates here, not drawn"


@pytest.mark.parametrize("name", ["kind", "depth", "g1"])
def test_fewer_cells_come_at_once_and_again_without_the_file(many, monkeypatch, name):
    for module in (coloring_cache, loading):
        monkeypatch.setattr(module, "SAMPLED_FROM", N + 1)
    shown, asked = Shown(), Asked(AXES, COLORS[name])
    first, loaded = stages(load(many, asked, Scale(), None, shown), shown)
    assert (first.complete, first.is_coarse) == (False, False)
    assert first.cells is loaded.cells
    for method in ("read_obs", "read_features"):
        monkeypatch.setattr(many.root, method, None)
    monkeypatch.setattr(loading, "LEGEND_LATER", N + 1)
    again = load(many, asked, Scale(), loaded.plane, shown)
    assert again.complete
    assert not shown.all
    np.testing.assert_array_equal(values_of(again), values_of(loaded))
    np.testing.assert_array_equal(again.cells.codes, loaded.cells.codes)
    assert again.legend == loaded.legend


def test_a_cancelled_job_ends(many):
    with pytest.raises(Cancelled):
        load(many, Asked(AXES, COLORS["g1"]), Scale(), None, Shown(patience=0))


def test_another_scale_colours_the_same_values(many):
    last = stages(load(many, Asked(AXES, COLORS["depth"]), Scale(), None, Shown()), Shown())[-1]
    other = rescaled(last, Scale(reverse=True))
    assert other.cells.coloring is last.cells.coloring
    assert other.cells.scale.reverse
    assert (other.legend, other.plane, other.complete) == (last.legend, last.plane, True)
    assert page_name(COLORS["depth"].vector) == other.cells.coloring.name
