"""The explorer as a value in Python: what is chosen on the page can be watched and set."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING

import anndata as ad
import mudata as md
import numpy as np
import pandas as pd
import panel as pn
import pytest

import cellasso
from cellasso.core.errors import CellassoError, FileError, NotFoundError
from cellasso.selection.recipe import MaskRecipe, WhereRecipe
from cellasso_app.notebook.explore import IN_MEMORY, Explore, explore
from stepping import until

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.more  # nothing here differs with the versions of the libraries

N = 60


def adata_of() -> ad.AnnData:
    rng = np.random.default_rng(0)
    obs = pd.DataFrame(
        {"kind": pd.Categorical(np.array(["a", "b"])[np.arange(N) % 2]), "depth": rng.random(N)},
        index=[f"c{i}" for i in range(N)],
    )
    adata = ad.AnnData(rng.random((N, 3)).astype("f4"), obs=obs, var=pd.DataFrame(index=["g0", "g1", "g2"]))
    adata.obsm["X_umap"], adata.obsm["X_pca"] = rng.random((N, 2)).astype("f4"), rng.random((N, 4)).astype("f4")
    return adata


@pytest.fixture
def path(tmp_path) -> Path:
    adata_of().write_h5ad(tmp_path / "cells.h5ad")
    return tmp_path / "cells.h5ad"


@pytest.fixture
def shown(path):
    with cellasso.open(path, index=False) as dataset:
        made = explore(dataset)
        until(lambda: not made.page.views.active.bar.busy)
        yield made
        until(lambda: made.page.views.active.is_at_rest)


def test_it_is_a_panel_object_as_high_as_it_is_asked_to_be(path):
    with cellasso.open(path, index=False) as dataset:
        made = explore(dataset, height=500)
        assert isinstance(made, Explore)
        assert isinstance(pn.panel(made), pn.viewable.Viewable)
        assert made.page.__panel__().styles["height"] == "500px"
        assert pn.Column("# mine", made)[1] is not None
        until(lambda: made.page.views.active.is_at_rest)


def test_what_is_chosen_on_the_page_can_be_watched(shown):
    told = []
    shown.param.watch(
        lambda *events: told.extend((event.name, event.new) for event in events), ["selection", "color", "embedding"]
    )
    session = shown.page.session
    session.select("replace", WhereRecipe("kind == 'a'"), np.arange(N) % 2 == 0)
    assert told[-1][0] == "selection"
    chosen = shown.selection
    np.testing.assert_array_equal(chosen.mask, np.arange(N) % 2 == 0)
    assert list(chosen.obs_names[:2]) == ["c0", "c2"]
    assert chosen.recipe == WhereRecipe("kind == 'a'")
    assert len(chosen) == 30
    assert repr(chosen) == "30 of 60 cells"
    session.add_gene("g1")
    assert told[-1] == ("color", "gene:g1")
    session.choose_embedding("X_pca")
    assert told[-1] == ("embedding", "X_pca")
    session.clear()
    assert shown.selection is None
    session.undo()
    assert len(shown.selection) == 30


def test_what_python_sets_is_chosen_on_the_page(shown, tmp_path):
    session = shown.page.session
    assert (shown.color, shown.embedding) == ("obs:kind", "X_umap")
    shown.selection = "kind == 'b' and depth > 0.5"
    expected = shown.dataset.where("kind == 'b' and depth > 0.5")
    np.testing.assert_array_equal(session.selection.mask, expected)
    assert session.selection.recipe == WhereRecipe("kind == 'b' and depth > 0.5")
    mask = np.arange(N) < 7
    shown.selection = mask
    np.testing.assert_array_equal(session.selection.mask, mask)
    assert isinstance(shown.selection.recipe, MaskRecipe)
    np.testing.assert_array_equal(shown.selection.recipe.mask(shown.dataset), mask)
    assert shown.selection.export(tmp_path / "few.h5ad").n_obs == 7
    shown.selection = shown.selection
    shown.selection = np.zeros(N, dtype=bool)
    assert shown.selection is None is session.selection
    shown.color = "g2"
    assert str(session.view.color) == shown.color == "gene:g2"
    shown.color = ""
    assert session.view.color is None
    shown.embedding = "X_pca"
    assert session.view.embedding == "X_pca"


def test_what_cannot_be_chosen_is_refused_and_nothing_changes(shown):
    shown.selection = np.arange(N) < 7
    before = shown.selection, shown.color, shown.embedding
    for name, wrong, error in (
        ("selection", "no_such > 1", CellassoError),
        ("selection", np.ones(3, dtype=bool), TypeError),
        ("color", "nothing", NotFoundError),
        ("embedding", "X_nothing", NotFoundError),
    ):
        with pytest.raises(error):
            setattr(shown, name, wrong)
        assert (len(shown.selection), shown.color, shown.embedding) == (len(before[0]), *before[1:])


def test_a_path_is_opened_and_closed_with_the_explorer(path):
    made = explore(path)
    dataset = made.dataset
    until(lambda: made.page.views.active.is_at_rest)
    assert dataset.handle.is_open
    with pytest.raises(FileError):
        explore(path.with_name("other.h5ad"))
    with pytest.raises(TypeError, match="cannot be explored"):
        explore(3)


@pytest.mark.parametrize("kind", ["AnnData", "MuData"])
def test_what_is_in_memory_is_shown_from_a_copy_that_goes_with_it(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    adata = adata_of()
    made = explore(adata if kind == "AnnData" else md.MuData({"rna": adata}))
    until(lambda: made.page.views.active.is_at_rest)
    assert made.page.app_bar.file == IN_MEMORY
    assert made.dataset.n_obs == N
    assert len(list(tmp_path.iterdir())) == 1
    program = (
        "import sys, tempfile, numpy as np, anndata as ad; tempfile.tempdir = sys.argv[1]\n"
        "from cellasso_app.notebook.explore import explore\n"
        "adata = ad.AnnData(np.eye(3, dtype='f4')); adata.obsm['X_umap'] = np.eye(3, 2, dtype='f4'); explore(adata)"
    )
    other = tmp_path / "other"
    other.mkdir()
    subprocess.run([sys.executable, "-c", program, str(other)], check=True, timeout=120, capture_output=True)
    assert not list(other.iterdir())


def test_a_backed_one_is_opened_by_its_path(path):
    backed = ad.read_h5ad(path, backed="r")
    made = explore(backed)
    assert made.dataset.file_path.samefile(path)
    until(lambda: made.page.views.active.is_at_rest)
    backed.file.close()


def test_the_backend_finds_the_explorer_that_is_installed(path):
    with cellasso.open(path, index=False) as dataset:
        made = cellasso.explore(dataset, height="300px")
        assert type(made).__name__ == "Explore"
        until(lambda: made.page.views.active.is_at_rest)


def test_without_the_app_it_says_what_is_missing(monkeypatch):
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **_: ())
    with pytest.raises(ImportError, match="not installed"):
        cellasso.explore("cells.h5ad")
