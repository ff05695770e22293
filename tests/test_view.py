"""The embedding's part of the page: what is chosen and what is shown stay the same thing, whatever reading brings."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import cellasso
from cellasso.errors import ElementError
from cellasso.selection import Where
from cellasso_app.session import ColorBy, Session
from cellasso_app.view import EmbeddingView
from conftest import write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PATIENCE = 30  # seconds; only a failing test waits so long
N = 60


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


def make(tmp_path: Path, points: np.ndarray | None = None) -> cellasso.dataset.Dataset:
    rng = np.random.default_rng(0)
    n = N if points is None else len(points)
    adata = ad.AnnData(rng.random((n, 3)).astype("f4"), var=pd.DataFrame(index=["g0", "g1", "g2"]))
    adata.obs_names = [f"c{i}" for i in range(n)]
    adata.obs["kind"] = pd.Categorical(np.array(["a", "b"])[np.arange(n) % 2])
    adata.obs["leiden"] = np.arange(n) % 11
    adata.obs["depth"] = rng.random(n)
    adata.obsm["X_umap"] = rng.random((n, 2)).astype("f4") if points is None else points
    adata.obsm["X_pca"] = rng.random((n, 5)).astype("f4")
    return cellasso.open(write(adata, tmp_path / "view.h5ad"))


def show(dataset: cellasso.dataset.Dataset) -> EmbeddingView:
    view = EmbeddingView(Session(dataset))
    until(lambda: not view.bar.busy)
    return view


@pytest.fixture
def dataset(tmp_path) -> Iterator[cellasso.dataset.Dataset]:
    with make(tmp_path) as dataset:
        yield dataset


def chosen(view: EmbeddingView) -> tuple[object, ...]:
    session = view._session
    return session.embedding, session.color, session.matrix, view.bar.embedding, view.bar.color, view.cells_panel.active


# -- what cannot be read --------------------------------------------------------------------------------


def test_after_a_failed_read_the_selectors_say_what_is_on_the_screen(dataset, monkeypatch):
    view = show(dataset)
    before, legend = chosen(view), view.cells_panel.legend
    assert before == ("X_umap", ColorBy("obs", "kind"), "X", "X_umap", "kind", "kind")
    reading = dataset.read_embedding

    def damaged(key: str, *rest: object) -> np.ndarray:
        if key == "X_pca":
            raise ElementError("obsm/X_pca is damaged.")
        return reading(key, *rest)

    monkeypatch.setattr(dataset, "read_embedding", damaged)
    view._session.param.update(embedding="X_pca", color=ColorBy("obs", "depth"))
    until(lambda: "damaged" in view.status.warning)
    assert chosen(view) == before
    assert view.cells_panel.legend == legend
    assert not view.cells_panel.busy


def test_after_a_cancelled_read_too(dataset, monkeypatch):
    view = show(dataset)
    before, legend = chosen(view), view.cells_panel.legend
    started, go = threading.Event(), threading.Event()
    reading = dataset.read_features

    def slow(names: list[str], layer: str | None, *, progress: Callable[[float], None], **_options: object) -> object:
        started.set()
        go.wait(PATIENCE)
        progress(0.5)
        return reading(names, layer)

    monkeypatch.setattr(dataset, "read_features", slow)
    view._session.add_gene("g1")
    assert started.wait(PATIENCE)
    view._on_message({"type": "cancel"})
    go.set()
    assert chosen(view) == before
    assert view.cells_panel.legend == legend
    assert not view.bar.busy


def test_a_scan_fills_the_picture_in_and_a_cancelled_one_leaves_none_of_it(dataset, monkeypatch):
    view = show(dataset)
    before, legend = chosen(view), view.cells_panel.legend
    go, ended = threading.Event(), threading.Event()
    half = np.where(np.arange(N) < N // 2, 2.5, np.nan).astype("f4")

    def slow(names: list[str], layer: str | None, *, progress, preview, normalised: bool) -> object:
        preview([half])
        go.wait(PATIENCE)
        try:
            progress(0.9)
        finally:
            ended.set()
        return [np.full(N, 2.5, "f4")]

    monkeypatch.setattr(dataset, "read_features", slow)
    view._session.color = ColorBy("gene", "g1")
    until(lambda: view._loaded.read < 1)
    assert view._loaded.read == 0.5
    np.testing.assert_array_equal(view._loaded.cells.coloring.values, half)
    assert view.bar.busy
    assert view.bar.color == "g1"
    view._on_message({"type": "cancel"})
    go.set()
    assert ended.wait(PATIENCE)
    assert chosen(view) == before
    assert view.cells_panel.legend == legend
    view._session.color = ColorBy("gene", "g1")
    until(lambda: view._loaded.read == 1 and view.bar.color == "g1")
    assert not view.bar.busy
    np.testing.assert_array_equal(view._loaded.cells.coloring.values, np.full(N, 2.5, "f4"))


def test_a_first_read_that_fails_says_so(dataset, monkeypatch):
    def damaged(*_arguments: object) -> np.ndarray:
        raise ElementError("obsm/X_umap is damaged.")

    monkeypatch.setattr(dataset, "read_embedding", damaged)
    view = show(dataset)
    assert view.status.warning == "obsm/X_umap is damaged."
    assert not view.bar.busy


# -- sums of counts --------------------------------------------------------------------------------------


def test_cells_are_coloured_by_what_their_counts_add_up_to(tmp_path):
    counts = np.random.default_rng(0).poisson(1.0, (N, 4)).astype("f4")
    adata = ad.AnnData(np.log1p(counts), layers={"counts": counts}, obsm={"X_umap": counts[:, :2].copy()})
    with cellasso.open(write(adata, tmp_path / "counts.h5ad")) as dataset:
        view = show(dataset)
        assert view.cells_panel.columns == []  # X holds no counts
        view._session.matrix = "counts"
        assert [column["kind"] for column in view.cells_panel.columns] == ["sum", "sum"]
        for name, expected in (("total counts", counts.sum(axis=1)), ("genes per cell", (counts > 0).sum(axis=1))):
            view._on_message({"type": "color", "column": name})
            until(lambda name=name: view.bar.color == name and not view.bar.busy)
            np.testing.assert_array_equal(view._loaded.cells.coloring.values, expected)
            assert view.bar.color_source == "of counts, exact"
            assert view.cells_panel.active == name


# -- outliers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "note"),
    [
        ({}, ""),
        ({(0, 0): np.inf}, "1 cell without coordinates here, not drawn"),
        ({(0, 0): np.nan, (1, 1): -np.inf}, "2 cells without coordinates here, not drawn"),
        (dict.fromkeys([(i, j) for i in range(N) for j in (0, 1)], 3.0), f"all {N} cells lie at one point"),
    ],
    ids=["none", "infinite", "two", "equal"],
)
def test_what_is_not_in_the_picture_is_said(tmp_path, change, note):
    points = np.random.default_rng(1).random((N, 2)).astype("f4")
    for at, value in change.items():
        points[at] = value
    with make(tmp_path, points) as dataset:
        assert show(dataset)._loaded.notes == note


def test_outliers_are_counted_and_out_of_view(tmp_path):
    points = np.random.default_rng(1).random((1000, 2)).astype("f4")
    points[:2] = 1e38
    with make(tmp_path, points) as dataset:
        view = show(dataset)
        assert view._loaded.notes == "2 cells far outside of this view; zoom out for them"
        assert view.plot.viewport.x_high < 3


# -- whole numbers as categories -------------------------------------------------------------------------


def test_whole_numbers_become_categories_that_group_and_select(dataset):
    view = show(dataset)
    session = view._session
    view._on_message({"type": "color", "column": "leiden"})
    until(lambda: view.cells_panel.legend is not None and view.cells_panel.active == "leiden")
    assert view.cells_panel.legend["n_distinct"] == 11
    assert "leiden" not in session.category_columns()
    view._on_message({"type": "as_categories", "column": "leiden", "value": True})
    until(lambda: view.cells_panel.legend is not None and "rows" in view.cells_panel.legend)
    rows = view.cells_panel.legend["rows"]
    assert [row["label"] for row in rows] == [str(i) for i in range(11)]  # by number, not by letter
    assert session.category_columns() == ["kind", "leiden"]
    view._on_message({"type": "category", "column": "leiden", "label": "10", "operation": "replace"})
    until(lambda: session.selection is not None)
    assert session.selection.recipe == Where("`leiden` == 10")
    np.testing.assert_array_equal(session.selection.mask, np.arange(N) % 11 == 10)
    session.group_by = "leiden"
    view._on_message({"type": "as_categories", "column": "leiden", "value": False})
    until(lambda: view.cells_panel.legend is not None and "histogram" in view.cells_panel.legend)
    assert session.group_by == "kind"


def test_only_columns_of_numbers_are_taken_as_categories(dataset):
    session = Session(dataset)
    for name in ("kind", "no such column"):
        session.treat_as_categories(name, value=True)
    assert session.as_categories == frozenset()
