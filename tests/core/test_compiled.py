"""Python runs loops that are still being compiled, where there are few cells: with the same result to the last bit."""

from __future__ import annotations

import pickle
from dataclasses import fields, is_dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from cellasso.color.coloring import Categories, Values, palette
from cellasso.color.palettes import Scale
from cellasso.color.ramp import SHADINGS
from cellasso.column_index.kernels import packing
from cellasso.core import compiled
from cellasso.points.kernels import morton
from cellasso.points.point_index import PointIndex, Viewport
from cellasso.raster.cells import ColoredCells
from cellasso.raster.draw import draw
from cellasso.raster.style import HIDDEN, ORDERS, SELECTED, Canvas, Style
from cellasso_app.render.labels import medians, place_labels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

N = 300
CANVAS = Canvas(40, 30)
WHOLE, PART = Viewport(0.0, 1.0, 0.0, 1.0), Viewport(0.2, 0.3, 0.5, 0.9)


@pytest.fixture
def by_python(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Callable[[], Any]], Any]]:
    """Run something as a server does that waits for what another process compiles."""

    def run(job: Callable[[], Any]) -> Any:
        with monkeypatch.context() as patch:
            patch.setattr(compiled.Loop, "is_ready", False)
            patch.setattr(compiled.Loop, "compiled", property(lambda loop: pytest.fail(f"{loop} was compiled")))
            compiled.is_awaited.set()
            try:
                return job()
            finally:
                compiled.is_awaited.clear()

    yield run
    assert not compiled.is_awaited.is_set()


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the loops that are not left to Python while another process compiles; they do nothing."""
    names: list[str] = []
    monkeypatch.setattr(compiled.Loop, "is_ready", False)
    monkeypatch.setattr(compiled.Loop, "compiled", property(lambda loop: lambda *_: names.append(loop.__name__)))
    monkeypatch.setattr(compiled, "is_awaited", compiled.threading.Event())
    compiled.is_awaited.set()
    return names


def points(seed: int = 0) -> np.ndarray:
    """Some of them not finite, some the same, some on the edges."""
    rng = np.random.default_rng(seed)
    found = rng.random((N, 2)).astype("f4")
    found[::29] = found[1]
    found[::31, 0] = np.nan
    found[5], found[6] = (0, 0), (1, 1)
    return found


def coloring(kind: str) -> Categories | Values | None:
    rng = np.random.default_rng(1)
    if kind == "values":
        values = np.where(rng.random(N) < 0.3, np.nan, rng.gamma(2, 1, N)).astype("f4")
        return Values("v", values, 0.5, 4.0, clipped=False, n_missing=int(np.isnan(values).sum()))
    codes = rng.integers(-1, 6, N).astype(np.int16)
    counts, labels = np.bincount(codes[codes >= 0], minlength=6), tuple("abcdef")
    return None if kind == "plain" else Categories("c", codes, labels, palette(6), counts, int((codes < 0).sum()))


def assert_same(found: Any, expected: Any) -> None:
    assert type(found) is type(expected) or isinstance(found, np.generic | int | float)
    if is_dataclass(expected):
        for each in fields(expected):
            assert_same(getattr(found, each.name), getattr(expected, each.name))
    elif isinstance(expected, tuple | list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
    elif isinstance(expected, np.ndarray):
        assert found.dtype == expected.dtype
        assert found.tobytes() == expected.tobytes()
    else:
        assert found == expected


SCALES = [*(Scale(shading=shading) for shading in SHADINGS), Scale(shading="eq_hist", centre=True)]


@pytest.mark.parametrize(("kind", "scale"), [("plain", Scale()), ("categories", Scale()), *product(["values"], SCALES)])
@pytest.mark.parametrize("dots", [True, False], ids=["dots", "picture"])
def test_pictures_are_the_same(kind: str, scale: Scale, dots: bool, by_python) -> None:
    states = np.random.default_rng(2).choice(np.array([0, SELECTED, HIDDEN], dtype=np.uint8), N)
    orders = ORDERS.get(type(coloring(kind)), ("random",))

    def pictures() -> list[Any]:
        cells = ColoredCells(PointIndex.of(points()), coloring(kind), scale)
        styles = [Style(size, order, fade=fade) for size, order, fade in product((1, 5.0), orders, (False, True))]
        styles += [Style(1, crowds=crowds) for crowds in SHADINGS]
        return [
            draw(cells, viewport, CANVAS, style, some, dots=dots)
            for style, viewport, some in product(styles, (WHOLE, PART), (None, states))
        ]

    assert_same(by_python(pictures), pictures())


def test_planes_are_the_same(by_python) -> None:
    def plane() -> list[Any]:
        made = PointIndex.of(points())
        return [made.xy, made.order, made.bounds]

    assert_same(by_python(plane), plane())


def test_lassoed_and_pointed_at_are_the_same_cells(by_python) -> None:
    rng = np.random.default_rng(3)
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    ring = 0.5 + (0.2 + 0.25 * rng.random((40, 1))) * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    places = rng.random((50, 2)) * 1.2 - 0.1
    strokes = [list(map(tuple, ring)), [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0)], list(map(tuple, points()[[5, 40, 6, 90]]))]

    def found() -> list[Any]:
        plane = PointIndex.of(points())
        near = [plane.nearest(x, y, (0.05, 0.1)) for x, y in places]
        return [*(plane.inside(stroke) for stroke in strokes), near]

    assert_same(by_python(found), found())


def test_names_stand_at_the_same_places(by_python) -> None:
    def places() -> list[Any]:
        plane, codes = PointIndex.of(points()), np.random.default_rng(4).integers(0, 12, N).astype(np.uint8)
        middles = medians(plane.xy, codes[: plane.xy.shape[1]], 12)
        return [middles, place_labels(middles * 200, [30.0] * 12, [8.0] * 12, 200.0, 200.0)]

    assert_same(by_python(places), places())


def test_many_cells_are_not_left_to_python(ran) -> None:
    many = np.zeros((compiled.FEW, 2), dtype="f4")
    morton.find_ends(many, 0, 0.0, 1.0)
    assert ran == ["find_ends"]
    assert morton.find_ends(many[:10], 0, 0.0, 1.0) == (10, 0.0, 0.0)
    with compiled.compiling():
        morton.find_ends(many[:10], 0, 0.0, 1.0)
    assert ran == ["find_ends"] * 2


def test_a_loop_is_pickled_by_its_name() -> None:
    assert pickle.loads(pickle.dumps(morton.find_ends)) is morton.find_ends


def test_other_loops_are_never_left_to_python(ran) -> None:
    packing.pack_columns()
    assert ran == ["pack_columns"]
