"""Views side by side: their places on the page."""

from __future__ import annotations

import pytest

from cellasso_app.page.view_grid import Views
from cellasso_app.state.session import Session
from stepping import until


@pytest.mark.usefixtures("one_thread")
def test_views_lie_in_rows_of_two_and_the_last_one_fills_its_row(dataset):
    views = Views(Session(dataset))
    until(lambda: not views.active.bar.busy)
    places = {
        1: [(0, 0, 1, 1)],
        2: [(0, 0, 1, 1), (0, 1, 1, 1)],
        3: [(0, 0, 1, 1), (0, 1, 1, 1), (1, 0, 1, 2)],
        4: [(0, 0, 1, 1), (0, 1, 1, 1), (1, 0, 1, 1), (1, 1, 1, 1)],
    }
    root = views.layout.get_root()
    for expected in places.values():
        assert [tuple(place) for _, *place in root.children] == expected
        views.add()
        root = views.layout.get_root()
    assert len(views.views) == 4
    views.remove(views.views[1])
    assert [tuple(place) for _, *place in views.layout.get_root().children] == places[3]


@pytest.mark.usefixtures("one_thread")
def test_what_is_chosen_of_drawing_is_shown_in_all_views(dataset):
    views = Views(Session(dataset))
    until(lambda: not views.active.bar.busy)
    views.add()
    for choice in ({"size": 4.0}, {"labelled": False}):
        views.views[0].receive({"type": "drawing", "choice": choice})
        (name, value), *_ = choice.items()
        assert [view.bar.drawing[name] for view in views.views] == [value] * 2
