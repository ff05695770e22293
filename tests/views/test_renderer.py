"""From choices to messages: which cells are selected or hidden, what the browser unpacks, what is told of a cell."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import cellasso
from cellasso.color.coloring import MISSING_CODE, Categories
from cellasso.model.vector import Vector
from cellasso.points.point_index import PointIndex, Viewport
from cellasso.raster.cells import ColoredCells
from cellasso.raster.draw import Dots, Picture, draw
from cellasso.raster.style import HIDDEN, PLAIN, SELECTED, Canvas, Style
from cellasso.selection.recipe import Lasso, WhereRecipe, dump, load
from cellasso_app.render.cell_values import ColoringKey
from cellasso_app.render.labels import medians
from cellasso_app.state.axes import Axes
from cellasso_app.state.selection import Selection
from cellasso_app.views.embedding.hover import describe_cell
from cellasso_app.views.embedding.loaded import Asked, Loaded
from cellasso_app.views.embedding.renderer import pack
from cellasso_app.views.embedding.states import Filter, States
from coloring_of import color_by_obs
from conftest import write

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cellasso.dataset import Dataset

pytestmark = pytest.mark.loops

N = 500
RNG = np.random.default_rng(0)
MISSING = RNG.random(N) < 0.2
OBS = pd.DataFrame(
    {
        "kind": pd.Categorical(np.where(MISSING, None, RNG.choice(["T", "B", "it's"], N))),
        "sample": pd.Categorical(RNG.choice(["s1", "s2", "s3"], N)),
        "leiden": RNG.integers(0, 5, N),
        "flag": RNG.random(N) < 0.5,
        "depth": np.where(MISSING, np.nan, RNG.random(N) * 1e5),
        "note": pd.array(np.where(MISSING, None, "µ"), dtype="string"),
    },
    index=[f"cell {i}" for i in range(N)],
)
POINTS = RNG.random((N, 2)).astype("f4")
POINTS[::50] = np.nan
UNIT = Viewport(0.0, 1.0, 0.0, 1.0)

FILTERS = {
    "one": {"kind": ["T"]},
    "several": {"kind": ["T", "it's"]},
    "missing": {"kind": ["no value"]},
    "and_missing": {"kind": ["B", "no value"]},
    "all": {"kind": ["T", "B", "it's", "no value"]},
    "two_columns": {"kind": ["T"], "sample": ["s1", "s3"]},
    "truth": {"flag": ["False"]},
    "numbers": {"leiden": ["0", "4"]},
    "three_columns": {"flag": ["True"], "kind": ["no value"], "leiden": ["1", "2", "3"]},
}


@pytest.fixture(scope="module")
def painted(tmp_path_factory) -> Iterator[Dataset]:
    adata = ad.AnnData(obs=OBS, obsm={"X_umap": POINTS})
    with cellasso.open(write(adata, tmp_path_factory.mktemp("painting") / "cells.h5ad")) as dataset:
        yield dataset


def quiet(_fraction: float) -> None:
    """Nobody asks how far it is."""


def filter_of(hidden: dict[str, list[str]]) -> Filter:
    return Filter(
        tuple((ColoringKey(Vector("obs", name), name == "leiden"), frozenset(those)) for name, those in hidden.items())
    )


def visible(hidden: dict[str, list[str]]) -> np.ndarray:
    """The same by pandas."""
    shown = np.ones(N, dtype=bool)
    for name, those in hidden.items():
        shown &= ~OBS[name].astype(object).map(str, na_action="ignore").fillna("no value").isin(those).to_numpy()
    return shown


# -- hidden cells ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FILTERS)
def test_a_filter_hides_the_cells_of_its_labels(painted, name):
    mask = filter_of(FILTERS[name]).mask(painted, progress=quiet)
    np.testing.assert_array_equal(mask, visible(FILTERS[name]), strict=True)


@pytest.mark.parametrize("name", FILTERS)
def test_a_filters_recipe_finds_the_same_cells_again(painted, name):
    recipe = load(dump(filter_of(FILTERS[name]).recipe(painted, progress=quiet)))
    np.testing.assert_array_equal(recipe.mask(painted), visible(FILTERS[name]), strict=True)


def test_nothing_hidden_is_no_mask(painted):
    assert Filter().mask(painted, progress=quiet) is None


def test_a_column_that_has_no_categories_any_more_hides_nothing(painted):
    """As when whole numbers were categories, and are numbers again."""
    numbers = Filter(((ColoringKey(Vector("obs", "leiden")), frozenset({"0"})),))
    assert numbers.mask(painted, progress=quiet) is None
    both = Filter((*numbers.hidden, *filter_of({"kind": ["T"]}).hidden))
    np.testing.assert_array_equal(both.mask(painted, progress=quiet), visible({"kind": ["T"]}))
    np.testing.assert_array_equal(both.recipe(painted, progress=quiet).mask(painted), visible({"kind": ["T"]}))


# -- states ---------------------------------------------------------------------------------------------


def selected(seed: int = 1) -> Selection:
    return Selection.of(WhereRecipe("kind == 'T'"), np.random.default_rng(seed).random(N) < 0.3)


@pytest.mark.parametrize("with_selection", [False, True])
@pytest.mark.parametrize("hidden", [{}, FILTERS["two_columns"], FILTERS["all"]], ids=["none", "some", "all"])
def test_states_are_those_of_each_point(painted, with_selection, hidden):
    plane, selection = painted.point_index("X_umap"), selected() if with_selection else None
    states = States(painted).of(plane, selection, filter_of(hidden), progress=quiet)
    if not hidden and not with_selection:
        assert states is None
        return
    expected = np.full(N, PLAIN)
    if with_selection:
        expected[selection.mask] = SELECTED
    expected[~visible(hidden)] = HIDDEN  # selected cells too
    np.testing.assert_array_equal(states, expected[plane.order])


def loaded_by(column: str, plane: PointIndex, coloring: Categories, middles: np.ndarray) -> Loaded:
    """Return cells as a view has them when all of a colour has been read."""
    asked = Asked(Axes("X_umap", (0, 1)), ColoringKey(Vector("obs", column)))
    return Loaded(asked, plane, ColoredCells(plane, coloring), None, "", "", 1.0, True, middles)


@pytest.mark.parametrize("hidden", [{}, FILTERS["two_columns"], FILTERS["all"]], ids=["none", "some", "all"])
def test_of_categories_the_cells_count_that_other_columns_do_not_hide(painted, hidden):
    plane = painted.point_index("X_umap")
    coloring = color_by_obs(painted, "sample")
    middles = medians(plane.xy, plane.gather(coloring.codes), 3)
    loaded = loaded_by("sample", plane, coloring, middles)
    others = filter_of({name: those for name, those in hidden.items() if name != "sample"})
    states = States(painted)
    shown = states.shown(loaded, others, progress=quiet)
    seen = visible({name: those for name, those in hidden.items() if name != "sample"})
    for code, label in enumerate(coloring.labels):
        those = (OBS["sample"] == label).to_numpy() & seen
        placed = POINTS[those & np.isfinite(POINTS[:, 0])]
        assert shown.counts[code] == those.sum()
        expected = np.median(placed, axis=0) if len(placed) else [np.nan, np.nan]
        np.testing.assert_allclose(shown.middles[code], expected, rtol=1e-6)
    assert states.shown(loaded, others, progress=quiet) is shown or not others.hidden
    gone = Style(hidden=frozenset({0}))
    assert shown.codes(gone) == [code for code in (1, 2) if shown.counts[code]]


def test_cells_without_a_category_count_where_they_are_shown(painted):
    plane, coloring = painted.point_index("X_umap"), color_by_obs(painted, "kind")
    middles = np.zeros((3, 2), dtype="f4")
    loaded = loaded_by("kind", plane, coloring, middles)
    shown = States(painted).shown(loaded, filter_of({"flag": ["True"]}), progress=quiet)
    assert shown.n_missing == (OBS["kind"].isna() & ~OBS["flag"]).sum()


def test_states_are_kept_until_something_of_them_changes(painted):
    states, plane, selection, others = (
        States(painted),
        painted.point_index("X_umap"),
        selected(),
        filter_of({"kind": ["T"]}),
    )
    first = states.of(plane, selection, others, progress=quiet)
    assert states.of(plane, selection, filter_of({"kind": ["T"]}), progress=quiet) is first
    for changed in (
        (plane, selected(2), others),
        (plane, None, others),
        (plane, selection, Filter()),
        (plane, selection, filter_of({"kind": ["B"]})),
        (PointIndex.of(POINTS[::-1].copy()), selection, others),
        (plane, selection, others),
    ):
        found = states.of(*changed, progress=quiet)
        np.testing.assert_array_equal(found, States(painted).of(*changed, progress=quiet))
        first = states.of(plane, selection, others, progress=quiet)
    np.testing.assert_array_equal(first, States(painted).of(plane, selection, others, progress=quiet))


# -- what is sent ---------------------------------------------------------------------------------------


def inflate(message: dict) -> bytes:
    """As the browser's `DecompressionStream("deflate")` does."""
    assert isinstance(message["bytes"], bytes)
    return zlib.decompress(message["bytes"])


def cells_of(dataset: Dataset) -> ColoredCells:
    return ColoredCells(dataset.point_index("X_umap"), color_by_obs(dataset, "kind"))


@pytest.mark.parametrize("order", ["legend", "mixed"])
def test_a_picture_is_unpacked_as_it_was(painted, order):
    view = Viewport(np.float64(0.25), 1, 0.0, 1.0)
    drawn = draw(cells_of(painted), view, Canvas(40, 30), Style(order=order), dots=False)
    assert isinstance(drawn, Picture)
    message = pack(drawn)
    stored = np.frombuffer(inflate(message), dtype=np.uint8)
    assert (message["type"], message["width"], message["height"]) == ("picture", 40, 30)
    assert message["viewport"] == [0.25, 1.0, 0.0, 1.0]
    assert all(type(edge) is float for edge in message["viewport"])
    assert message["mixed"] == (order == "mixed")
    np.testing.assert_array_equal(stored[:1200].reshape(30, 40), drawn.alpha)
    if order == "mixed":
        np.testing.assert_array_equal(stored[1200:].reshape(30, 40, 3), drawn.mixture)
    else:
        np.testing.assert_array_equal(stored[1200:].reshape(30, 40), drawn.codes)
    assert drawn.alpha.any()


@pytest.mark.parametrize("fade", [False, True])
@pytest.mark.parametrize("viewport", [UNIT, Viewport(5, 6, 5, 6)], ids=["some", "none"])
def test_dots_are_unpacked_as_they_were(painted, fade, viewport):
    cells = cells_of(painted)
    states = cells.plane.gather(selected().mask.astype(np.uint8)) if fade else None
    drawn = draw(cells, viewport, Canvas(40, 30), Style(fade=fade), states)
    assert isinstance(drawn, Dots)
    message = pack(drawn)
    n, stored = message["n"], inflate(message)
    assert (message["type"], message["some"], message["radius"]) == ("dots", fade and n > 0, drawn.radius)
    assert message["area"] == list(drawn.area)
    points = np.frombuffer(stored[: 8 * n], dtype="<f4").reshape(-1, 2)
    np.testing.assert_array_equal(points, drawn.points)
    np.testing.assert_array_equal(np.frombuffer(stored[8 * n : 9 * n], dtype=np.uint8), drawn.codes)
    faded = np.frombuffer(stored[9 * n :], dtype=np.uint8)
    np.testing.assert_array_equal(faded, drawn.faded.astype(np.uint8))
    assert len(faded) == (n if fade else 0)
    assert (n > 0) == (viewport == UNIT)


# -- the cell under the pointer ---------------------------------------------------------------------------


def test_a_cell_is_described_by_its_name_and_values(painted):
    plane = painted.point_index("X_umap")
    more = {name: painted.read_obs(name) for name in ("sample", "flag", "depth", "note", "leiden")}
    for column in ("kind", "depth", None):
        coloring = color_by_obs(painted, column) if column else None
        cells = ColoredCells(plane, coloring)
        for point in range(0, len(plane), 7):
            row = int(plane.order[point])
            told = describe_cell(painted, cells, point, more)
            assert told["name"] == f"cell {row}"
            assert (told["x"], told["y"]) == tuple(POINTS[row].astype("f8"))
            values = OBS.iloc[row]
            depth = "no value" if np.isnan(values["depth"]) else f"{values['depth']:.4g}"
            expected = [
                ("sample", values["sample"]),
                ("flag", str(values["flag"])),
                ("depth", depth),
                ("note", "no value" if pd.isna(values["note"]) else values["note"]),
                ("leiden", str(values["leiden"])),
            ]
            if column == "kind":
                expected.insert(0, ("kind", "no value" if pd.isna(values["kind"]) else values["kind"]))
            elif column == "depth":
                first = "no value" if np.isnan(values["depth"]) else f"{np.float32(values['depth']):.4g}"
                expected.insert(0, ("depth", first))
            assert [tuple(pair) for pair in told["rows"]] == expected


def test_a_cell_without_a_category_is_called_as_in_the_legend(painted):
    coloring = Categories("c", np.full(N, -1, "i2"), ("no value",), ("#000000",), np.zeros(1, "i8"), N)
    cells = ColoredCells(painted.point_index("X_umap"), coloring)
    assert (cells.codes == MISSING_CODE).all()
    assert describe_cell(painted, cells, 0, {})["rows"] == [("c", "no value ")]


def test_hidden_cells_within_a_lasso_are_no_part_of_it(painted):
    """What a view selects: the cells of the polygon that are seen, and a recipe that finds them again."""
    polygon = ((0.1, 0.1), (0.9, 0.2), (0.5, 0.9))
    hidden = filter_of(FILTERS["three_columns"])
    mask = painted.point_index("X_umap").inside(polygon) & hidden.mask(painted, progress=quiet)
    from cellasso.selection.recipe import Combined

    recipe = Combined("intersect", Lasso("X_umap", polygon, (0, 1)), hidden.recipe(painted, progress=quiet))
    np.testing.assert_array_equal(load(dump(recipe)).mask(painted), mask)
    assert 0 < mask.sum() < painted.point_index("X_umap").inside(polygon).sum()
