"""Lines between cells, against datashader over a frame of all of them."""

from __future__ import annotations

import datashader as ds
import numpy as np
import pandas as pd
import pytest

from cellasso.model.graph import Edges
from cellasso.pl.lines import FAINT, STRONG, THICKEST, count_lines, draw_edges, draw_thick_lines, opacity_of
from cellasso.points.point_index import Viewport

pytestmark = pytest.mark.more  # nothing here differs with the versions of the libraries

N = 300
SHAPE = (40, 60)
UNIT = Viewport(0.0, 1.0, 0.0, 1.0)


@pytest.fixture(scope="module")
def graph():
    rng = np.random.default_rng(0)
    xy = rng.random((N, 2)).astype("f4")
    xy[:3] = np.nan
    xy[3, 0] = np.inf
    return xy, Edges(rng.integers(0, N, (2, 2_000)).astype("i4"), 2_000)


def by_datashader(xy, edges, viewport):
    ends = xy[edges.cells]
    frame = pd.DataFrame({"x0": ends[0, :, 0], "x1": ends[1, :, 0], "y0": ends[0, :, 1], "y1": ends[1, :, 1]})
    frame = frame[np.isfinite(frame).all(axis=1)]
    canvas = ds.Canvas(SHAPE[1], SHAPE[0], viewport[:2], viewport[2:])
    return canvas.line(frame, x=["x0", "x1"], y=["y0", "y1"], axis=1, agg=ds.count()).to_numpy(), len(frame)


def test_all_edges_in_view_are_those_of_datashader(graph):
    xy, edges = graph
    lines = draw_edges(edges, xy, UNIT, SHAPE)
    expected, n = by_datashader(xy, edges, UNIT)
    np.testing.assert_array_equal(lines.counts, expected)
    assert lines.n_in_view == lines.n_drawn == n


def test_only_edges_of_cells_in_view_are_drawn(graph):
    xy, edges = graph
    view = Viewport(0.2, 0.5, 0.1, 0.3)
    inside = (xy >= [0.2, 0.1]).all(axis=1) & (xy <= [0.5, 0.3]).all(axis=1)
    own = Edges(edges.cells[:, inside[edges.cells].any(axis=0)], 0)
    lines = draw_edges(edges, xy, view, SHAPE)
    expected, n = by_datashader(xy, own, view)
    np.testing.assert_array_equal(lines.counts, expected)
    assert lines.n_in_view == n < 2_000


def test_of_too_many_edges_some_are_drawn_and_always_the_same(graph):
    xy, edges = graph
    lines, again = (draw_edges(edges, xy, UNIT, SHAPE, max_drawn=500) for _ in range(2))
    assert lines.n_drawn <= 500 < lines.n_in_view
    np.testing.assert_array_equal(lines.counts, again.counts)
    assert 0 < lines.counts.sum() < draw_edges(edges, xy, UNIT, SHAPE).counts.sum()


def test_no_lines_give_an_empty_picture():
    none = np.zeros((0, 2))
    assert not count_lines(none, none, UNIT, SHAPE).any()
    assert not draw_thick_lines(none, none, np.zeros(0), UNIT, SHAPE).any()
    assert not opacity_of(np.zeros(SHAPE, "u4")).any()


def test_opacity_grows_with_the_number_of_lines():
    counts = np.zeros(SHAPE, "u4")
    counts[0, :50] = np.arange(1, 51)
    opacity = opacity_of(counts)
    assert (np.diff(opacity[0, :50].astype(int)) >= 0).all()
    assert opacity[0, 0] == round(255 * FAINT)
    assert opacity[0, 49] == round(255 * STRONG)
    assert not opacity[1:].any()


def test_a_line_is_as_thick_as_its_weight():
    starts, stops = np.array([[0.0, 0.25], [0.0, 0.75]]), np.array([[1.0, 0.25], [1.0, 0.75]])
    opacity = draw_thick_lines(starts, stops, np.array([1.0, 0.5]), UNIT, (80, 60))
    covered = opacity[:, 30] / (255 * STRONG)
    assert covered[:40].sum() == pytest.approx(THICKEST, abs=1)
    assert covered[40:].sum() == pytest.approx(THICKEST / 2, abs=1)
    assert opacity.max() == round(255 * STRONG)
    twice = draw_thick_lines(starts, stops, np.array([1.0, 0.5]), UNIT, (160, 120), pixel_ratio=2)
    assert (twice[:, 60] > 0).sum() == pytest.approx(2 * (THICKEST * 1.5), abs=4)


def test_a_line_without_an_end_is_left_out():
    starts, stops = np.array([[0.0, 0.5], [np.nan, 0.2]]), np.array([[1.0, 0.5], [1.0, 0.2]])
    both = draw_thick_lines(starts, stops, np.array([1.0, 1.0]), UNIT, SHAPE)
    np.testing.assert_array_equal(both, draw_thick_lines(starts[:1], stops[:1], np.array([1.0]), UNIT, SHAPE))
