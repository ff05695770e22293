"""The embedding's part of the page: what is chosen and what is shown stay the same thing, whatever reading brings."""

from __future__ import annotations

import io
import re
import threading
import zlib
from typing import TYPE_CHECKING, Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from PIL import Image

import cellasso
from cellasso.color.palettes import named_colors, rgb
from cellasso.color.ramp import SHADINGS
from cellasso.core.errors import ElementError
from cellasso.model.vector import Vector
from cellasso.raster import draw
from cellasso.selection.recipe import WhereRecipe, dump, load
from cellasso_app.panels.cells.component import CellsPanel
from cellasso_app.render import coloring_cache
from cellasso_app.render.legend import legend
from cellasso_app.state.session import Session
from cellasso_app.ui.messages import NOT_UNDERSTOOD
from cellasso_app.views.embedding import loaded as loading
from cellasso_app.views.embedding.component import CellsLayer
from cellasso_app.views.embedding.view import EmbeddingView
from conftest import write
from stepping import PATIENCE, run_steps, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("one_thread")

N = 60


def view_of(session: Session, number: int = 0) -> EmbeddingView:
    """Return a view of a session, with a cells panel of its own whose messages reach it."""

    def receive(message: dict[str, Any]) -> None:
        view.receive(message)

    def say(sentence: str) -> None:
        view.say(sentence)

    view = EmbeddingView(session, number, CellsPanel(on_message=receive, on_refused=say))
    return view


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
    view = view_of(Session(dataset))
    until(lambda: not view.bar.busy)
    return view


@pytest.fixture
def dataset(tmp_path) -> Iterator[cellasso.dataset.Dataset]:
    with make(tmp_path) as dataset:
        yield dataset


def chosen(view: EmbeddingView) -> tuple[object, ...]:
    session = view.session
    return (
        session.view.embedding,
        session.view.color,
        session.matrix,
        view.bar.embedding,
        view.bar.color,
        view.cells_panel.active,
    )


# -- what cannot be read --------------------------------------------------------------------------------


def test_after_a_failed_read_the_selectors_say_what_is_on_the_screen(dataset, monkeypatch):
    view = show(dataset)
    before, legend = chosen(view), view.cells_panel.legend
    assert before == ("X_umap", Vector("obs", "kind"), "X", "X_umap", "kind", "kind")
    reading = dataset.root.read_embedding

    def damaged(key: str, *rest: object) -> np.ndarray:
        if key == "X_pca":
            raise ElementError("obsm/X_pca is damaged.")
        return reading(key, *rest)

    monkeypatch.setattr(dataset.root, "read_embedding", damaged)
    view.session.change_view(embedding="X_pca", color=Vector("obs", "depth"))
    until(lambda: "damaged" in view.status.warning)
    assert chosen(view) == before
    assert view.cells_panel.legend == legend
    assert not view.cells_panel.busy


def test_after_a_cancelled_read_too(dataset, monkeypatch):
    view = show(dataset)
    before, legend = chosen(view), view.cells_panel.legend
    started, go = threading.Event(), threading.Event()
    reading = dataset.root.read_features

    def slow(names: list[str], layer: str | None, *, progress: Callable[[float], None], **_options: object) -> object:
        started.set()
        go.wait(PATIENCE)
        progress(0.5)
        return reading(names, layer)

    monkeypatch.setattr(dataset.root, "read_features", slow)
    view.session.add_gene("g1")
    assert started.wait(PATIENCE)
    view.receive({"type": "cancel"})
    go.set()
    assert chosen(view) == before
    assert view.cells_panel.legend == legend
    assert not view.bar.busy


def test_what_waits_for_the_first_picture_goes_on_when_that_is_cancelled(dataset, monkeypatch):
    started, go = threading.Event(), threading.Event()
    reading = dataset.point_index

    def slow(*arguments: Any, **options: Any) -> object:
        started.set()
        go.wait(PATIENCE)
        return reading(*arguments, **options)

    monkeypatch.setattr(dataset, "point_index", slow)
    view = view_of(Session(dataset))
    assert started.wait(PATIENCE)
    assert not view.session.urgency.is_idle
    view.receive({"type": "cancel"})
    assert view.session.urgency.is_idle
    go.set()
    until(lambda: view.is_at_rest)


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

    monkeypatch.setattr(dataset.root, "read_features", slow)
    view.session.change_view(color=Vector("gene", "g1"))
    until(lambda: view.loaded.read < 1)
    assert view.loaded.read == 0.5
    np.testing.assert_array_equal(view.loaded.cells.coloring.values, half)
    assert view.bar.busy
    assert view.bar.color == "g1"
    view.receive({"type": "cancel"})
    go.set()
    assert ended.wait(PATIENCE)
    assert chosen(view) == before
    assert view.cells_panel.legend == legend
    view.session.change_view(color=Vector("gene", "g1"))
    until(lambda: view.loaded.read == 1 and view.bar.color == "g1")
    assert not view.bar.busy
    np.testing.assert_array_equal(view.loaded.cells.coloring.values, np.full(N, 2.5, "f4"))


def test_a_first_read_that_fails_says_so(dataset, monkeypatch):
    def damaged(*_arguments: object) -> np.ndarray:
        raise ElementError("obsm/X_umap is damaged.")

    monkeypatch.setattr(dataset.root, "read_embedding", damaged)
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
        view.session.matrix = "counts"
        assert [column["kind"] for column in view.cells_panel.columns] == ["sum", "sum"]
        for name, expected in (("total counts", counts.sum(axis=1)), ("genes per cell", (counts > 0).sum(axis=1))):
            view.receive({"type": "color", "column": name})
            until(lambda name=name: view.bar.color == name and not view.bar.busy)
            np.testing.assert_array_equal(view.loaded.cells.coloring.values, expected)
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
        assert show(dataset).loaded.notes == note


def test_outliers_are_counted_and_out_of_view(tmp_path):
    points = np.random.default_rng(1).random((1000, 2)).astype("f4")
    points[:2] = 1e38
    with make(tmp_path, points) as dataset:
        view = show(dataset)
        assert view.loaded.notes == "2 cells far outside of this view; zoom out for them"
        assert view.plot.viewport.x_high < 3


# -- whole numbers as categories -------------------------------------------------------------------------


def test_whole_numbers_become_categories_that_group_and_select(dataset):
    view = show(dataset)
    session = view.session
    view.receive({"type": "color", "column": "leiden"})
    until(lambda: view.cells_panel.legend is not None and view.cells_panel.active == "leiden")
    assert view.cells_panel.legend["n_distinct"] == 11
    assert "leiden" not in session.category_columns()
    view.receive({"type": "as_categories", "column": "leiden", "value": True})
    until(lambda: view.cells_panel.legend is not None and "rows" in view.cells_panel.legend)
    rows = view.cells_panel.legend["rows"]
    assert [row["label"] for row in rows] == [str(i) for i in range(11)]  # by number, not by letter
    assert session.category_columns() == ["kind", "leiden"]
    view.receive({"type": "category", "column": "leiden", "label": "10", "operation": "replace"})
    until(lambda: session.selection is not None)
    assert session.selection.recipe == WhereRecipe("`leiden` == 10")
    np.testing.assert_array_equal(session.selection.mask, np.arange(N) % 11 == 10)
    session.group_by = "leiden"
    view.receive({"type": "as_categories", "column": "leiden", "value": False})
    until(lambda: view.cells_panel.legend is not None and "histogram" in view.cells_panel.legend)
    assert session.group_by == "kind"


def test_only_columns_of_numbers_are_taken_as_categories(dataset):
    session = Session(dataset)
    for name in ("kind", "no such column"):
        session.treat_as_categories(name, value=True)
    assert session.as_categories == frozenset()


# -- drawing ---------------------------------------------------------------------------------------------


class Screen:
    """A browser's side of the layer: what the cells look like after the messages it got."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []

    def take(self, message: dict[str, Any]) -> None:
        self.messages.append(message)

    def last(self, *kinds: str) -> dict[str, Any]:
        return next((message for message in reversed(self.messages) if message["type"] in kinds), {})

    @property
    def colors(self) -> list[str]:
        return next((message["colors"] for message in reversed(self.messages) if "colors" in message), [])

    @property
    def hidden(self) -> list[int]:
        return next((message["hidden"] for message in reversed(self.messages) if "hidden" in message), [])

    @property
    def dots(self) -> dict[tuple[float, float], tuple[int, bool]]:
        """Code and fading of each cell by its place, of the last dots that came."""
        message = self.last("dots")
        stored, n = zlib.decompress(message["bytes"]), message["n"]
        points = np.frombuffer(stored[: 8 * n], dtype="<f4").reshape(-1, 2)
        faded = stored[9 * n :] if message["some"] else bytes(n)
        return {
            tuple(point): (code, bool(pale)) for point, code, pale in zip(points, stored[8 * n :], faded, strict=False)
        }

    @property
    def mixture(self) -> set[tuple[int, ...]]:
        """Colours of the last picture, where it is fully opaque."""
        message = self.last("picture")
        stored = np.frombuffer(zlib.decompress(message["bytes"]), dtype=np.uint8)
        n = message["width"] * message["height"]
        return {tuple(map(int, color)) for color in stored[n:].reshape(-1, 3)[stored[:n] == 255]}


@pytest.fixture
def screen(monkeypatch) -> Screen:
    found = Screen()
    monkeypatch.setattr(CellsLayer, "_send_msg", lambda _layer, message: found.take(message))
    return found


def lay_out(view: EmbeddingView) -> None:
    """Give the figure a size, as a browser does."""
    for side, pixels in (("inner_width", 200), ("inner_height", 150)):
        view.plot.figure.trigger(side, 0, pixels)


def drawn(view: EmbeddingView, screen: Screen) -> EmbeddingView:
    """Draw for the first time."""
    lay_out(view)
    view.receive({"type": "ready", "pixel_ratio": 1})
    until(lambda: bool(screen.last("dots", "picture")))
    return view


def after(screen: Screen, view: EmbeddingView, message: dict[str, Any]) -> None:
    """Do what a message asks, and wait until the cells are drawn anew."""
    until(lambda: view.session.urgency.is_idle and view.is_at_rest)
    run_steps()  # what was still drawn before is not the answer
    before = screen.last("dots", "picture").get("number", 0)
    view.receive(message)
    until(lambda: screen.last("dots", "picture")["number"] > before)


def cells(dataset: cellasso.dataset.Dataset) -> tuple[pd.DataFrame, list[tuple[float, float]]]:
    obs = pd.DataFrame({name: dataset.read_obs(name) for name in ("kind", "leiden", "depth")})
    return obs, [tuple(point) for point in dataset.read_embedding("X_umap")]


def test_nothing_is_drawn_before_the_browser_is_ready_and_has_a_size(dataset, screen):
    view = show(dataset)
    view.receive({"type": "ready", "pixel_ratio": 1})
    assert screen.last("dots", "picture") == {}  # without a size
    lay_out(view)
    until(lambda: bool(screen.last("dots")))
    obs, places = cells(dataset)
    expected = {place: (["a", "b"].index(kind), False) for place, kind in zip(places, obs["kind"], strict=True)}
    assert screen.dots == expected
    until(lambda: view.status.text == f"{N} cells in view · exact · random order")


def test_values_are_drawn_before_their_legend_is_counted_and_once(dataset, screen, monkeypatch):
    monkeypatch.setattr(loading, "LEGEND_LATER", 1)
    counting = threading.Event()

    def count(coloring: object) -> dict[str, Any] | None:
        assert counting.wait(PATIENCE)
        return legend(coloring)

    view = drawn(show(dataset), screen)
    session = view.session
    until(lambda: session.urgency.is_idle)
    monkeypatch.setattr(loading, "legend", count)
    n_pictures = sum(message["type"] == "dots" for message in screen.messages)
    session.change_view(color=Vector("obs", "depth"))
    until(lambda: sum(message["type"] == "dots" for message in screen.messages) > n_pictures)
    assert view.cells_panel.legend is None
    assert not session.urgency.is_idle
    counting.set()
    until(lambda: session.urgency.is_idle and not view.bar.busy)
    assert sum(view.cells_panel.legend["histogram"]) == N
    assert sum(message["type"] == "dots" for message in screen.messages) == n_pictures + 1
    assert "· exact" in view.status.text


def test_a_layer_that_is_not_ready_is_drawn_nothing_for(dataset, screen):
    view = show(dataset)
    lay_out(view)
    view.session.dot_size = 3.0
    until(lambda: view.is_at_rest)
    run_steps()
    assert screen.last("dots", "picture") == {}
    view.receive({"type": "ready", "pixel_ratio": 1})
    until(lambda: bool(screen.last("dots")))
    until(lambda: view.is_at_rest)
    run_steps()
    assert sum(message["type"] == "dots" for message in screen.messages) == 1


def test_hidden_categories_leave_the_picture_and_come_back(dataset, screen):
    view = drawn(show(dataset), screen)
    obs, places = cells(dataset)
    after(screen, view, {"type": "hide", "label": "a", "hidden": True})
    assert set(screen.dots) == {place for place, kind in zip(places, obs["kind"], strict=True) if kind == "b"}
    assert screen.hidden == [0]
    assert view.cells_panel.hidden == {"kind": ["a"]}
    until(lambda: view.status.text.startswith("30 cells in view"))
    after(screen, view, {"type": "hide", "label": "a", "hidden": False})
    assert set(screen.dots) == set(places)
    assert screen.hidden == []
    after(screen, view, {"type": "isolate", "label": "a"})
    assert {code for code, _ in screen.dots.values()} == {0}
    assert view.cells_panel.hidden == {"kind": ["b"]}
    after(screen, view, {"type": "show_all", "column": "kind"})
    assert set(screen.dots) == set(places)
    assert view.cells_panel.hidden == {}


def test_hidden_cells_stay_hidden_when_another_column_colours(dataset, screen):
    view = drawn(show(dataset), screen)
    obs, places = cells(dataset)
    after(screen, view, {"type": "isolate", "label": "b"})
    after(screen, view, {"type": "color", "column": "depth"})
    until(lambda: view.bar.color == "depth" and not view.bar.busy)
    assert set(screen.dots) == {place for place, kind in zip(places, obs["kind"], strict=True) if kind == "b"}
    assert screen.hidden == []  # no colour of this legend
    after(screen, view, {"type": "show_all", "column": "kind"})
    assert set(screen.dots) == set(places)


def test_a_chosen_colour_needs_no_new_drawing(dataset, screen):
    view = drawn(show(dataset), screen)
    number, own = screen.last("dots")["number"], screen.colors
    view.receive({"type": "recolor", "label": "b", "color": "#010203"})
    assert screen.last("colors")["colors"][:2] == [own[0], "#010203"]
    assert screen.last("colors")["colors"][2:] == own[2:]
    assert view.cells_panel.colors == {"b": "#010203"}
    assert screen.last("dots")["number"] == number
    view.session.dark = True  # the choice stays
    assert screen.colors[1] == "#010203"


def test_mixed_colours_are_mixed_of_the_chosen_ones(dataset, screen, monkeypatch):
    monkeypatch.setattr(draw, "N_DOTS", 0)
    view = drawn(show(dataset), screen)
    after(screen, view, {"type": "drawing", "choice": {"order": "mixed"}})
    assert {tuple(color) for color in rgb(screen.colors[:2])} <= screen.mixture
    after(screen, view, {"type": "recolor", "label": "b", "color": "#010203"})
    assert (1, 2, 3) in screen.mixture
    assert tuple(rgb([screen.colors[0]])[0]) in screen.mixture


def test_selected_cells_are_bright_and_the_others_faded(dataset, screen):
    view = drawn(show(dataset), screen)
    obs, places = cells(dataset)
    after(screen, view, {"type": "category", "column": "kind", "label": "b", "operation": "replace"})
    faded = {place for place, (_, pale) in screen.dots.items() if pale}
    assert faded == {place for place, kind in zip(places, obs["kind"], strict=True) if kind == "a"}
    after(screen, view, {"type": "clear"})
    assert not any(pale for _, pale in screen.dots.values())


# -- options ---------------------------------------------------------------------------------------------


def test_options_of_drawing_are_taken_over(dataset, screen):
    view = drawn(show(dataset), screen)
    after(screen, view, {"type": "drawing", "choice": {"size": 8}})
    assert screen.last("dots")["radius"] == 4
    after(screen, view, {"type": "drawing", "choice": {"size": None}})
    after(screen, view, {"type": "drawing", "choice": {"order": "legend"}})
    assert [code for code, _ in screen.dots.values()] == [0] * 30 + [1] * 30
    assert view.bar.drawing["order"] == "legend"
    view.receive({"type": "drawing", "choice": {"labelled": False}})
    assert view.bar.drawing["labelled"] is False
    view.receive({"type": "color", "column": "depth"})
    until(lambda: view.bar.color == "depth" and not view.bar.busy)
    assert view.bar.drawing["order"] == "high"
    after(screen, view, {"type": "drawing", "choice": {"clip": 100.0}})
    after(screen, view, {"type": "drawing", "choice": {"shading": "log"}})
    after(screen, view, {"type": "drawing", "choice": {"color_map": "viridis"}})
    after(screen, view, {"type": "drawing", "choice": {"reverse": True}})
    scale = view.session.scales[Vector("obs", "depth")]
    assert scale == view.loaded.cells.scale == (100.0, "log", True, False, "viridis")
    assert {name: view.bar.drawing["scale"][name] for name in scale._fields} == scale._asdict()
    assert (
        screen.colors[0] == scale.colors(dark=False)[0] == named_colors("viridis")[-1]
    )  # the highest of viridis is now the lowest
    until(lambda: "log scale" in view.status.text)
    after(screen, view, {"type": "drawing", "choice": {"order": "low"}})
    assert view.session.order == {"Categories": "legend", "Values": "low"}  # each kind of colouring has its own


@pytest.mark.parametrize("shading", SHADINGS)
def test_picture_colour_bar_and_status_line_speak_of_the_same_shading(dataset, screen, shading):
    view = drawn(show(dataset), screen)
    after(screen, view, {"type": "color", "column": "depth"})
    until(lambda: view.bar.color == "depth" and not view.bar.busy and view.is_at_rest)
    if shading != "linear":
        after(screen, view, {"type": "drawing", "choice": {"shading": shading}})
    ramp = view.loaded.cells.ramp
    assert ramp.shading == shading
    assert (ramp.curve is not None) == (shading == "eq_hist")
    assert view.layer.scale["ticks"] == ramp.ticks()
    obs, places = cells(dataset)
    steps = dict(zip(places, np.rint(ramp.places(obs["depth"].to_numpy()) * 254), strict=True))
    assert {place: code for place, (code, _) in screen.dots.items()} == steps
    said = {"log": "log scale", "cbrt": "cube-root scale", "eq_hist": "histogram-equalised colours"}
    until(lambda: said.get(shading, "exact") in view.status.text)
    assert sum(words in view.status.text for words in said.values()) == (shading != "linear")


def test_opacity_of_crowds_is_offered_where_cells_are_pixels(dataset, screen, monkeypatch):
    view = drawn(show(dataset), screen)
    assert view.bar.drawing["crowds"] is None  # so few cells are dots
    monkeypatch.setattr(draw, "DENSE", N)
    monkeypatch.setattr(draw, "N_DOTS", N - 1)
    after(screen, view, {"type": "drawing", "choice": {"labelled": False}})
    assert view.bar.drawing["crowds"] == "log"
    assert [each["value"] for each in view.bar.drawing["shadings"]] == list(SHADINGS)
    after(screen, view, {"type": "drawing", "choice": {"crowds": "eq_hist"}})
    assert view.session.crowds == view.bar.drawing["crowds"] == "eq_hist"
    assert view._renderer.style(view.loaded.cells).crowds == "eq_hist"
    for size, offered in ((1.0, True), (3.0, False), (None, True)):
        after(screen, view, {"type": "drawing", "choice": {"size": size}})
        assert view.bar.drawing["crowds"] == ("eq_hist" if offered else None)
    monkeypatch.setattr(draw, "DENSE", N + 1)
    for size, offered in ((1.0, True), (None, False)):
        after(screen, view, {"type": "drawing", "choice": {"size": size}})
        assert view.bar.drawing["crowds"] == ("eq_hist" if offered else None)


def test_a_tissue_lies_as_in_its_image_and_an_embedding_does_not(tmp_path, screen):
    adata = ad.AnnData(np.ones((N, 1), dtype="f4"))
    adata.obsm["spatial"] = np.random.default_rng(0).random((N, 2)) * 1000
    adata.obsm["X_pca"] = np.random.default_rng(1).random((N, 2))
    with cellasso.open(write(adata, tmp_path / "tissue.h5ad")) as dataset:
        view = drawn(show(dataset), screen)
        x_low, x_high, lower, upper = screen.last("view")["view"]
        assert (x_low < x_high, lower > upper) == (True, True)
        assert view.plot.viewport == (x_low, x_high, upper, lower)
        number = view.plot.n_set
        after(screen, view, {"type": "moved", "view": [100, 300, 400, 250], "number": number})
        assert view.plot.viewport == (100, 300, 250, 400)
        after(screen, view, {"type": "drawing", "choice": {"downward": False}})
        assert screen.last("view") == {"type": "view", "view": [100, 300, 250, 400], "number": number + 1}
        assert view.bar.drawing["downward"] is False
        view.receive({"type": "drawing", "choice": {"downward": True}})
        assert screen.last("view")["view"] == [100, 300, 400, 250]
        after(screen, view, {"type": "embedding", "value": "X_pca"})
        x_low, x_high, lower, upper = screen.last("view")["view"]
        assert lower < upper
        assert view.bar.drawing["downward"] is None
        view.receive({"type": "drawing", "choice": {"downward": False}})
        assert screen.last("view")["view"] == [x_low, x_high, lower, upper]


@pytest.fixture
def slide(tmp_path):
    """Two spots far apart, on a tissue that is all green."""
    adata = ad.AnnData(np.ones((2, 1), dtype="f4"))
    adata.obsm["spatial"] = np.array([[100.0, 100.0], [300.0, 200.0]])
    adata.obsm["X_pca"] = np.array([[0.0, 0.0], [1.0, 1.0]])
    image = np.zeros((30, 40, 3), dtype=np.uint8)
    image[..., 1] = 255
    factors = {"tissue_hires_scalef": 0.1, "spot_diameter_fullres": 20.0}
    adata.uns["spatial"] = {"one": {"images": {"hires": image}, "scalefactors": factors}}
    with cellasso.open(write(adata, tmp_path / "slide.h5ad")) as dataset:
        yield dataset


def test_a_tissue_lies_under_its_cells_which_are_as_wide_as_its_spots(slide, screen):
    view = drawn(show(slide), screen)
    until(lambda: bool(screen.last("tissue")) and view.is_at_rest)
    message = screen.last("tissue")
    assert (message["extent"], message["mime"]) == ([400.0, 300.0], "image/jpeg")
    viewport = view.plot.viewport
    pixels_to_a_unit = 200 / (viewport.x_high - viewport.x_low)
    until(lambda: screen.last("dots")["radius"] == pytest.approx(10 * pixels_to_a_unit))
    choices = {"tissue//one/hires": "one: hires"}
    assert {each["value"]: each["label"] for each in view.bar.drawing["tissues"]} == choices
    assert view.bar.drawing["tissue"] == "tissue//one/hires"
    after(screen, view, {"type": "drawing", "choice": {"tissue": "none"}})
    assert screen.last("tissue", "no_tissue")["type"] == "no_tissue"
    assert view.bar.drawing["tissue"] == "none"
    after(screen, view, {"type": "drawing", "choice": {"tissue": "tissue//one/hires"}})
    assert screen.last("tissue", "no_tissue")["type"] == "tissue"
    after(screen, view, {"type": "embedding", "value": "X_pca"})
    assert screen.last("tissue", "no_tissue")["type"] == "no_tissue"
    assert view.bar.drawing["tissues"] == []


def test_a_figure_shows_what_lies_under_the_cells(slide, screen):
    view = drawn(show(slide), screen)
    until(lambda: bool(screen.last("tissue")) and view.is_at_rest)
    view.receive({"type": "figure", "format": "png", "dpi": 150})
    until(lambda: bool(screen.last("file")))
    pixels = np.asarray(Image.open(io.BytesIO(screen.last("file")["bytes"])).convert("RGB")).reshape(-1, 3)
    assert (pixels == [0, 255, 0]).all(axis=1).mean() > 0.3


def test_options_of_one_colour_are_not_those_of_another(dataset, screen):
    view = drawn(show(dataset), screen)
    for column, reverse in (("depth", True), ("leiden", False)):
        view.receive({"type": "color", "column": column})
        until(lambda column=column: view.bar.color == column and not view.bar.busy)
        if reverse:
            after(screen, view, {"type": "drawing", "choice": {"reverse": True}})
        assert view.loaded.cells.scale.reverse == reverse
        assert view.bar.drawing["scale"]["reverse"] == reverse


FORGED = [
    {"type": "hide", "label": "no such row", "hidden": True},
    {"type": "hide", "label": "a", "hidden": 1},
    {"type": "hide", "label": ["a"], "hidden": True},
    {"type": "isolate", "label": "no such row"},
    {"type": "show_all", "column": 3},
    {"type": "recolor", "label": "no such row", "color": "#000000"},
    *(
        {"type": "recolor", "label": "a", "color": color}
        for color in ("red", "#12345", "#1234567", "#12345G", "#ABCDEF", 7, "#12 456", "url(x)")
    ),
    *(
        {"type": "drawing", "choice": choice}
        for choice in (
            {},
            {"order": "high"},
            {"order": "first"},
            {"order": ["random"]},
            {"size": 5.5},
            {"size": -1},
            {"size": float("nan")},
            {"size": "3"},
            {"labelled": "no"},
            {"hover": "kind"},
            {"hover": ["no such column", 3, ["kind"], {}]},
            {"clip": 42.0},
            {"clip": "99"},
            {"color_map": "jet"},
            {"log": 1},
            {"shading": "log", "colors": "all"},
            {"shading": "sqrt"},
            {"shading": ["log"]},
            {"crowds": "cube root"},
            {"crowds": None},
            {"log": True},
            {"centre": None},
            {"_replace": True},
        )
    ),
    {"type": "drawing", "choice": ["order"]},
    {"type": "drawing"},
    {"type": "embedding", "value": "X_nothing"},
    {"type": "dims", "x": 0, "y": 0},
    {"type": "dims", "x": 0, "y": 2},
    {"type": "dims", "x": -1, "y": 0},
    {"type": "color", "column": "no such column"},
    {"type": "category", "column": "leiden", "label": "a", "operation": "replace"},
    {"type": "category", "column": "kind", "label": "a", "operation": "union"},
    {"type": "zoom", "factor": 0},
    {"type": "zoom", "factor": float("nan")},
    {"type": "as_categories", "column": "kind", "value": True},
    {"type": "nothing of this name"},
    {},
]


@pytest.mark.parametrize("color", ["kind", "depth"])
def test_forged_messages_change_nothing(dataset, screen, color):
    view = drawn(show(dataset), screen)
    view.receive({"type": "color", "column": color})
    session = view.session
    until(lambda: view.bar.color == color and not view.bar.busy and session.urgency.is_idle)

    def state() -> tuple[Any, ...]:
        return {name: getattr(session, name) for name in session.param if name != "name"}, view.plot.viewport

    before = state()
    for message in FORGED:
        if color == "depth" and message.get("choice") == {"order": "high"}:
            continue  # values do have it
        view.receive(message)
        assert state() == before, message
    assert view.status.warning == ""


# -- the cell under the pointer ---------------------------------------------------------------------------


def point_at(view: EmbeddingView, screen: Screen, place: tuple[float, float], number: int, reach: float = 1e-4):
    view.receive({"type": "point", "at": [float(place[0]), float(place[1]), reach, reach], "number": number})
    until(lambda: screen.last("tip").get("number") == number)
    return screen.last("tip")


def test_the_cell_under_the_pointer_is_told_of(dataset, screen):
    view = drawn(show(dataset), screen)
    obs, places = cells(dataset)
    view.receive({"type": "drawing", "choice": {"hover": ["leiden", "kind"]}})
    assert view.session.hover_columns == ("leiden", "kind")
    for cell in (0, 7, 59):
        tip = point_at(view, screen, places[cell], cell)
        assert tip["name"] == f"c{cell}"
        assert (tip["x"], tip["y"]) == places[cell]
        expected = [("kind", obs["kind"].iloc[cell]), ("leiden", str(obs["leiden"].iloc[cell]))]
        assert [tuple(row) for row in tip["rows"]] == expected
    assert "rows" not in point_at(view, screen, (9.0, 9.0), 60)


def test_hidden_cells_are_not_told_of(dataset, screen):
    view = drawn(show(dataset), screen)
    obs, places = cells(dataset)
    after(screen, view, {"type": "hide", "label": "a", "hidden": True})
    assert "rows" not in point_at(view, screen, places[0], 1)  # c0 is of a
    nearest = point_at(view, screen, places[0], 2, reach=2.0)
    distance = np.hypot(*(np.array(places) - places[0]).T) + np.where(obs["kind"] == "a", np.inf, 0)
    assert nearest["name"] == f"c{np.argmin(distance)}"
    after(screen, view, {"type": "color", "column": "depth"})
    until(lambda: view.bar.color == "depth" and not view.bar.busy)
    assert "rows" not in point_at(view, screen, places[0], 3)


# -- lasso -----------------------------------------------------------------------------------------------

POLYGON = [(-0.1, -0.1), (0.8, 0.0), (0.9, 0.7), (0.1, 1.1)]


def inside(dataset: cellasso.dataset.Dataset) -> np.ndarray:
    import matplotlib.path

    points = dataset.read_embedding("X_umap").astype("f8")
    return matplotlib.path.Path([*POLYGON, POLYGON[0]], closed=True).contains_points(points)


def stroke(view: EmbeddingView, operation: str = "replace") -> Any:
    session, before = view.session, view.session.selection
    view.receive({"type": "operation", "operation": operation})
    view.receive({"type": "polygon", "polygon": [list(corner) for corner in POLYGON]})
    until(lambda: session.selection is not before)
    return session.selection


def test_a_lasso_selects_the_cells_that_are_seen_and_its_recipe_finds_them_again(dataset, screen):
    view = drawn(show(dataset), screen)
    obs, _ = cells(dataset)
    within = inside(dataset)
    seen = np.ones(N, dtype=bool)
    view.session.treat_as_categories("leiden", True)
    steps: list[tuple[dict[str, Any], Any]] = [
        ({}, seen),
        ({"type": "hide", "label": "a", "hidden": True}, obs["kind"] == "b"),
        ({"type": "color", "column": "leiden"}, obs["kind"] == "b"),
        ({"type": "isolate", "label": "3"}, (obs["kind"] == "b") & (obs["leiden"] == 3)),
        ({"type": "show_all", "column": "kind"}, obs["leiden"] == 3),
        ({"type": "show_all", "column": "leiden"}, seen),
    ]
    for message, shown in steps:
        view.receive(message)
        until(lambda: not view.bar.busy)
        selection = stroke(view)
        np.testing.assert_array_equal(selection.mask, within & shown)
        np.testing.assert_array_equal(load(dump(selection.recipe)).mask(dataset), selection.mask)
        assert selection.mask.any()


def test_a_polygon_of_too_many_corners_is_refused_in_a_sentence(dataset, screen):
    view = drawn(show(dataset), screen)
    edges = zip(POLYGON, [*POLYGON[1:], POLYGON[0]], strict=True)
    corners = [corner for a, b in edges for corner in np.linspace(a, b, 2_500, endpoint=False).tolist()] + [
        [-0.1, -0.1]
    ]
    sentence = "This stroke has {} corners; at most 10,000 are taken. Draw it in parts: Shift adds to what is selected."
    view.receive({"type": "polygon", "polygon": corners})
    assert view.status.warning == sentence.format("10,001")
    view.receive({"type": "too_long", "corners": 123_456})  # the page did not even send it
    assert view.status.warning == sentence.format("123,456")
    assert view.session.selection is None
    view.receive({"type": "polygon", "polygon": corners[:10_000]})
    until(lambda: view.session.selection is not None)


def test_a_file_that_is_gone_is_named_without_its_folder(dataset, screen):
    view = drawn(show(dataset), screen)
    dataset.file_path.unlink()
    view.receive({"type": "color", "column": "depth"})
    until(lambda: view.cells_panel.message)
    sentence = "was removed or cannot be reached since it was opened; put it back, or open another file."
    assert view.cells_panel.message == f"{dataset.file_path.name} {sentence}"
    until(lambda: view.status.warning == view.cells_panel.message)


@pytest.mark.parametrize("value", [True, "1", float("nan"), 10**400, None], ids=repr)
def test_what_is_no_number_moves_nothing(dataset, screen, value):
    view = drawn(show(dataset), screen)
    before = view.plot.viewport, view.session.view.dims
    for part, message in (
        (view.layer, {"type": "moved", "view": [value, 1, 0, 1], "number": view.plot.n_set}),
        (view.layer, {"type": "ready", "pixel_ratio": value}),
        (view.layer, {"type": "polygon", "polygon": [[0, 0], [1, value], [1, 1]]}),
        (view.bar, {"type": "zoom", "factor": value}),
        (view.bar, {"type": "dims", "x": value, "y": 0}),
        (view.bar, {"type": "drawing", "choice": {"size": value}}) if value is not None else (view.bar, {}),
    ):
        view.status.warning = ""
        part.receive(message)
        assert view.status.warning == NOT_UNDERSTOOD
    assert (view.plot.viewport, view.session.view.dims) == before
    assert view.session.selection is None
    assert view.session.dot_size is None


def test_a_window_of_any_size_asks_for_a_figure_of_bounded_size(dataset, screen):
    view = drawn(show(dataset), screen)
    for name, value in (("inner_width", 2), ("inner_height", 32_000)):
        view.plot.figure.trigger(name, 0, value)
    view.receive({"type": "figure", "format": "png", "dpi": 600})
    assert view.status.warning == "This view is too narrow for a figure; make it wider."
    assert not view.bar.busy


@pytest.mark.parametrize(
    ("operation", "combined"),
    [
        ("add", lambda before, fresh: before | fresh),
        ("subtract", lambda before, fresh: before & ~fresh),
        ("intersect", lambda before, fresh: before & fresh),
    ],
)
def test_a_lasso_over_hidden_cells_is_combined_with_what_is_selected(dataset, screen, operation, combined):
    view = drawn(show(dataset), screen)
    obs, _ = cells(dataset)
    first = WhereRecipe("leiden in [1, 3, 8]")
    view.session.select("replace", first, first.mask(dataset))
    after(screen, view, {"type": "hide", "label": "a", "hidden": True})
    view.receive({"type": "color", "column": "depth"})
    until(lambda: view.bar.color == "depth" and not view.bar.busy)
    kind_b = (obs["kind"] == "b").to_numpy()
    selection = stroke(view, operation)
    np.testing.assert_array_equal(selection.mask, combined(first.mask(dataset), inside(dataset) & kind_b))
    np.testing.assert_array_equal(load(dump(selection.recipe)).mask(dataset), selection.mask)


def test_inverting_selects_the_others_that_are_seen(dataset, screen):
    view = drawn(show(dataset), screen)
    obs, _ = cells(dataset)
    session = view.session
    before = stroke(view)
    view.picking.invert()
    until(lambda: session.selection is not before)
    np.testing.assert_array_equal(session.selection.mask, ~before.mask)
    session.undo()
    view.receive({"type": "hide", "label": "a", "hidden": True})
    view.picking.invert()
    until(lambda: session.selection is not before)
    np.testing.assert_array_equal(session.selection.mask, ~before.mask & (obs["kind"] == "b"))
    np.testing.assert_array_equal(load(dump(session.selection.recipe)).mask(dataset), session.selection.mask)


NOWHERE = [(5.0, 5.0), (6.0, 5.0), (6.0, 6.0)]


@pytest.mark.parametrize("operation", ["replace", "add", "subtract", "intersect"])
def test_a_stroke_over_no_cells_leaves_selection_and_picture_and_says_so(dataset, screen, operation):
    view = drawn(show(dataset), screen)
    session = view.session
    view.receive({"type": "operation", "operation": operation})
    view.receive({"type": "polygon", "polygon": [list(corner) for corner in NOWHERE]})
    until(lambda: view.status.said == "No cells there.")
    assert session.selection is None
    after(screen, view, {"type": "category", "column": "kind", "label": "b", "operation": "replace"})
    assert view.status.said == ""
    before = session.selection
    view.receive({"type": "polygon", "polygon": [list(corner) for corner in NOWHERE]})
    until(lambda: view.status.said == "No cells there; the selection stays.")
    assert session.selection is before
    assert sum(pale for _, pale in screen.dots.values()) == N // 2
    moved = view.plot.viewport._replace(x_low=-0.5)
    view.receive({"type": "moved", "view": list(moved), "number": view.plot.n_set})
    assert view.status.said == ""


def test_a_category_of_which_no_cell_is_shown_is_not_selected_and_it_is_said_so(dataset, screen):
    view = drawn(show(dataset), screen)
    session = view.session
    session.hide("kind", ["b"], hidden=True)
    session.treat_as_categories("leiden", True)
    after(screen, view, {"type": "color", "column": "leiden"})
    until(lambda: view.bar.color == "leiden" and not view.bar.busy)
    odd = WhereRecipe("leiden == 3 and kind == 'b'").mask(dataset)
    session.hide("kind", ["a"], hidden=True)  # all cells
    view.receive({"type": "category", "column": "leiden", "label": "3", "operation": "replace"})
    until(lambda: view.status.said == "No cells of 3 are shown.")
    assert session.selection is None
    assert odd.any()


def test_nothing_is_faded_before_selected_cells_that_are_hidden_and_it_is_said_so(dataset, screen):
    view = drawn(show(dataset), screen)
    after(screen, view, {"type": "category", "column": "kind", "label": "b", "operation": "replace"})
    assert any(pale for _, pale in screen.dots.values())
    after(screen, view, {"type": "hide", "label": "b", "hidden": True})
    until(lambda: "no selected cell is shown here" in view.status.text)
    assert not any(pale for _, pale in screen.dots.values())
    assert view.session.selection.n == N // 2
    after(screen, view, {"type": "color", "column": "depth"})
    until(lambda: view.bar.color == "depth" and not view.bar.busy)
    assert not any(pale for _, pale in screen.dots.values())
    after(screen, view, {"type": "show_all", "column": "kind"})
    until(lambda: "no selected cell is shown here" not in view.status.text)
    assert sum(pale for _, pale in screen.dots.values()) == N // 2


def test_nothing_is_faded_in_an_embedding_that_lacks_the_selected_cells(tmp_path, screen):
    points = np.random.default_rng(1).random((N, 2)).astype("f4")
    adata = ad.AnnData(
        obs=pd.DataFrame({"kind": pd.Categorical(["a", "b"] * (N // 2))}, index=[f"c{i}" for i in range(N)])
    )
    adata.obsm["X_umap"] = points
    adata.obsm["X_of_a"] = np.where(adata.obs[["kind"]] == "a", points, np.nan).astype("f4")
    with cellasso.open(write(adata, tmp_path / "partly.h5ad")) as dataset:
        view = drawn(show(dataset), screen)
        after(screen, view, {"type": "category", "column": "kind", "label": "b", "operation": "replace"})
        after(screen, view, {"type": "embedding", "value": "X_of_a"})
        until(lambda: "no selected cell is shown here" in view.status.text)
        assert len(screen.dots) == N // 2
        assert not any(pale for _, pale in screen.dots.values())


# -- names in the picture ----------------------------------------------------------------------------------


@pytest.fixture
def named(tmp_path) -> Iterator[cellasso.dataset.Dataset]:
    """Three clouds: half of `T` is of each sample, all of `B` of the first one, `NK` of the second."""
    rng = np.random.default_rng(2)
    kinds = np.repeat(["T", "B", "NK"], [40, 20, 20])
    samples = np.where(kinds == "B", "one", np.where(kinds == "NK", "two", np.tile(["one", "two"], 40)))
    at = np.array([[0, 0], [0, 9], [9, 9]])[np.repeat([0, 1, 2], [40, 20, 20])] + rng.random((80, 2))
    at[(kinds == "T") & (samples == "two")] += [9, 0]  # the halves of T lie apart
    obs = pd.DataFrame({"kind": pd.Categorical(kinds), "sample": pd.Categorical(samples)}, index=map(str, range(80)))
    adata = ad.AnnData(obs=obs)
    adata.obsm["X_umap"] = at.astype("f4")
    with cellasso.open(write(adata, tmp_path / "named.h5ad")) as dataset:
        yield dataset


def names(screen: Screen) -> dict[str, tuple[float, float]]:
    return {label["text"]: (label["x"], label["y"]) for label in screen.last("dots")["labels"]}


def middles(dataset: cellasso.dataset.Dataset, column: str, shown: Callable[[pd.DataFrame], Any]) -> dict[str, Any]:
    """Where pandas finds the middles of the categories that are shown."""
    table = pd.DataFrame(dataset.read_embedding("X_umap").astype("f8"), columns=["x", "y"])
    table = table.assign(kind=dataset.read_obs("kind").to_numpy(), sample=dataset.read_obs("sample").to_numpy())
    return {name: tuple(row) for name, row in table[shown(table)].groupby(column)[["x", "y"]].median().iterrows()}


def test_names_are_of_the_categories_that_are_shown_in_the_middle_of_their_shown_cells(named, screen):
    view = drawn(show(named), screen)
    session = view.session
    assert view.bar.color == "kind"

    def assert_named(column: str, shown: Callable[[pd.DataFrame], Any]) -> None:
        until(lambda: not view.bar.busy and view.is_at_rest)
        run_steps()
        found, expected = names(screen), middles(named, column, shown)
        assert set(found) == set(expected)
        for name, place in expected.items():
            assert found[name] == pytest.approx(place, abs=0.5)  # names may stand beside one another

    assert_named("kind", lambda t: t["x"] > -1)
    after(screen, view, {"type": "hide", "label": "NK", "hidden": True})
    assert_named("kind", lambda t: t["kind"] != "NK")
    after(screen, view, {"type": "color", "column": "sample"})
    until(lambda: view.bar.color == "sample")
    assert_named("sample", lambda t: t["kind"] != "NK")
    after(screen, view, {"type": "isolate", "label": "two"})
    assert_named("sample", lambda t: (t["kind"] != "NK") & (t["sample"] == "two"))
    after(screen, view, {"type": "color", "column": "kind"})
    until(lambda: view.bar.color == "kind")
    assert_named("kind", lambda t: (t["kind"] != "NK") & (t["sample"] == "two"))  # T alone, at its second half
    after(screen, view, {"type": "category", "column": "kind", "label": "T", "operation": "replace"})
    assert_named("kind", lambda t: (t["kind"] != "NK") & (t["sample"] == "two"))
    session.undo()
    assert_named("kind", lambda t: (t["kind"] != "NK") & (t["sample"] == "two"))
    after(screen, view, {"type": "show_all", "column": "kind"})
    assert_named("kind", lambda t: t["sample"] == "two")
    after(screen, view, {"type": "show_all", "column": "sample"})
    assert_named("kind", lambda t: t["x"] > -1)


def test_a_name_comes_with_the_code_whose_colour_hides_it(named, screen):
    """The browser hides at once what the colours can hide: the name has to go with the cells."""
    view = drawn(show(named), screen)
    by_name = {label["text"]: label["code"] for label in screen.last("dots")["labels"]}
    assert by_name == {row["label"]: row["code"] for row in view.cells_panel.legend["rows"]}


def test_a_figure_names_what_is_shown_and_counts_it(named, screen):
    view = drawn(show(named), screen)
    after(screen, view, {"type": "color", "column": "sample"})
    until(lambda: view.bar.color == "sample" and not view.bar.busy)
    after(screen, view, {"type": "isolate", "label": "two"})
    after(screen, view, {"type": "color", "column": "kind"})
    until(lambda: view.bar.color == "kind" and not view.bar.busy)
    until(lambda: view.is_at_rest)
    view.receive({"type": "figure", "format": "svg", "dpi": 150})
    until(lambda: bool(screen.last("file")))
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", screen.last("file")["bytes"].decode())
    assert {"T", "NK"} <= set(texts)
    assert "B" not in texts
    assert texts.count("20") == 2  # half of T, and all of NK
    assert "40" not in texts


def test_each_view_names_what_it_shows(named, screen):
    """What the legend of one view hides is another column's in the next."""
    session = Session(named)
    first = drawn(view_of(session), screen)
    assert set(names(screen)) == {"T", "B", "NK"}
    second = view_of(session, session.add_view())
    lay_out(second)
    second.receive({"type": "ready", "pixel_ratio": 1})
    second.start()
    session.active = 1
    second.receive({"type": "color", "column": "sample"})
    until(lambda: second.bar.color == "sample" and not second.bar.busy)
    second.receive({"type": "isolate", "label": "two"})
    until(lambda: first.is_at_rest and second.is_at_rest)
    run_steps()
    found = [{label["text"] for label in m["labels"]} for m in screen.messages if m["type"] == "dots"][-2:]
    assert {"T", "NK"} in found
    assert {"two"} in found


# -- very many cells: a coarse picture first ---------------------------------------------------------------


@pytest.fixture
def held(monkeypatch) -> threading.Event:
    """Cells count as very many; what follows a coarse picture waits until the test lets it go on."""
    go = threading.Event()
    for module in (coloring_cache, loading):
        monkeypatch.setattr(module, "SAMPLED_FROM", N // 2)
    color_all = loading._color_all

    def later(*arguments: Any) -> Any:
        assert go.wait(PATIENCE)
        return color_all(*arguments)

    monkeypatch.setattr(loading, "_color_all", later)
    return go


def coarse(dataset: cellasso.dataset.Dataset, screen: Screen) -> EmbeddingView:
    view = view_of(Session(dataset))
    until(lambda: view.loaded is not None)
    return drawn(view, screen)


def until_exact(view: EmbeddingView) -> None:
    until(lambda: "· exact" in view.status.text and view.session.urgency.is_idle)


def test_a_coarse_picture_says_so_until_it_is_exact(dataset, screen, held):
    view = coarse(dataset, screen)
    obs, places = cells(dataset)
    some = {place: (["a", "b"].index(kind), False) for place, kind in zip(places[::16], obs["kind"][::16], strict=True)}
    assert screen.dots == some
    assert view.status.text == "a sample of 4 cells in view · sharpening… · random order"
    assert view.bar.busy
    held.set()
    until_exact(view)
    assert len(screen.dots) == N
    assert view.status.text == f"{N} cells in view · exact · random order"
    assert not view.bar.busy


def test_all_cells_inside_a_lasso_are_selected_also_over_a_coarse_picture(dataset, screen, held):
    view = coarse(dataset, screen)
    selection = stroke(view)
    np.testing.assert_array_equal(selection.mask, inside(dataset))
    until(lambda: screen.last("dots")["some"])
    _, places = cells(dataset)
    assert {p for p, (_, pale) in screen.dots.items() if not pale} == {
        places[i] for i in np.flatnonzero(selection.mask[::16]) * 16
    }
    held.set()
    until_exact(view)


def test_the_cell_under_the_pointer_is_named_over_a_coarse_picture(dataset, screen, held):
    view = coarse(dataset, screen)
    obs, places = cells(dataset)
    view.session.hover_columns = ("depth",)
    for row in (0, 16, 48):
        told = point_at(view, screen, places[row], row + 1)
        assert told["name"] == f"c{row}"
        assert told["rows"] == [("kind", obs["kind"][row]), ("depth", f"{obs['depth'][row]:.4g}")]
    held.set()
    until_exact(view)


def test_a_figure_is_not_made_of_a_coarse_picture(dataset, screen, held):
    view = coarse(dataset, screen)
    view.receive({"type": "figure", "format": "png", "dpi": 150})
    assert view.status.warning == "The picture is not exact yet; save it in a moment."
    held.set()
    until_exact(view)
    view.receive({"type": "figure", "format": "png", "dpi": 150})
    until(lambda: screen.last("file"))
    assert not view.bar.busy


def test_what_is_cancelled_over_a_coarse_picture_is_not_completed(dataset, screen, held):
    view = coarse(dataset, screen)
    held.set()
    until_exact(view)
    held.clear()
    n = len(screen.messages)
    view.receive({"type": "color", "column": "depth"})
    until(lambda: any(message["type"] == "dots" for message in screen.messages[n:]))
    view.receive({"type": "cancel"})
    held.set()
    until(lambda: view.is_at_rest)
    until_exact(view)
    assert view.session.view.color == Vector("obs", "kind")
    assert view.bar.color == "kind"
    assert not view.bar.busy


def test_before_the_browser_is_there_nothing_waits_for_a_picture(dataset, monkeypatch):
    for module in (coloring_cache, loading):
        monkeypatch.setattr(module, "SAMPLED_FROM", N // 2)
    view = show(dataset)
    assert view.loaded.complete
    assert len(view.loaded.cells.plane) == N


def test_a_newer_colour_is_not_overtaken_by_the_rest_of_the_one_before(dataset, screen, held):
    held.set()
    view = coarse(dataset, screen)
    until_exact(view)
    for _ in range(5):
        for before, newer in (("depth", "leiden"), ("leiden", "kind")):
            view.receive({"type": "color", "column": before})
            until(lambda before=before: view.loaded.asked.color.vector.name == before)  # its picture is being drawn
            view.receive({"type": "color", "column": newer})
            until(lambda: view.session.urgency.is_idle and not view.bar.busy)
            assert view.session.view.color == Vector("obs", newer)
            assert view.bar.color == newer


def test_a_scale_chosen_over_a_coarse_picture_is_that_of_the_exact_one(dataset, screen, held):
    held.set()
    view = coarse(dataset, screen)
    until_exact(view)
    held.clear()
    view.receive({"type": "color", "column": "depth"})
    until(lambda: view.bar.color == "depth")
    view.receive({"type": "drawing", "choice": {"shading": "log"}})
    held.set()
    until(lambda: view.loaded.complete and view.loaded.cells.scale.shading == "log")
    until_exact(view)
    assert len(view.loaded.cells.plane) == N


def test_what_is_being_read_is_not_begun_again(dataset, screen, held, monkeypatch):
    view = coarse(dataset, screen)
    loads: list[Any] = []
    monkeypatch.setattr(
        "cellasso_app.views.embedding.loader.load",
        lambda *arguments: (loads.append(arguments), loading.load(*arguments))[1],
    )
    view.session.normalise = not view.session.normalise  # of genes
    held.set()
    until_exact(view)
    assert not loads
    view.session.change_view(color=Vector("obs", "depth"))
    until_exact(view)
    assert len(loads) == 1
    assert loads[0][3] is view.loaded.plane  # sorted once


def test_pictures_that_follow_a_change_of_axes_are_newer_than_its_clearing(dataset, screen):
    view = drawn(show(dataset), screen)
    for dims in ((0, 1), (2, 3), (1, 4)):
        view.receive({"type": "embedding", "value": "X_pca"})
        view.receive({"type": "dims", "x": dims[0], "y": dims[1]})
    until(lambda: view.session.urgency.is_idle and not view.bar.busy and view.is_at_rest)
    run_steps()
    numbered = [message for message in screen.messages if message["type"] in {"clear", "dots"}]
    assert [message["number"] for message in numbered] == list(range(1, len(numbered) + 1))
    assert numbered[-1]["type"] == "dots"


def test_without_axes_what_waits_for_the_picture_goes_on_also_after_a_change_of_mind(tmp_path):
    path = tmp_path / "flat.h5ad"
    adata = ad.AnnData(np.ones((N, 1), dtype="f4"))
    adata.obs["kind"] = pd.Categorical(["a", "b"] * (N // 2))
    adata.obs["depth"] = np.arange(N) / 7
    with cellasso.open(write(adata, path)) as flat:
        view = show(flat)
        until(lambda: view.session.urgency.is_idle)
        view.receive({"type": "color", "column": "depth"})
        view.receive({"type": "color", "column": "kind"})
        until(lambda: view.session.urgency.is_idle)
        assert not view.bar.busy
        assert view.bar.color == "kind"
        until(lambda: view.is_at_rest)
