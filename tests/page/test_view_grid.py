"""Views side by side: their places on the page."""

from __future__ import annotations

import pytest

from cellasso_app.page.view_grid import Views
from cellasso_app.state.session import Session
from stepping import until


@pytest.mark.usefixtures("one_thread")
def test_up_to_four_views_lie_side_by_side_in_the_order_they_were_made(dataset):
    views = Views(Session(dataset))
    until(lambda: not views.active.bar.busy)
    for n in range(1, 5):
        assert list(views.layout) == [view.layout for view in views.views]
        assert [view.number for view in views.views] == list(range(n))
        views.add()
    assert len(views.views) == 4
    views.remove(views.views[1])
    assert [view.number for view in views.views] == [0, 2, 3]
    assert list(views.layout) == [view.layout for view in views.views]


@pytest.mark.usefixtures("one_thread")
def test_what_is_chosen_of_drawing_is_shown_in_all_views(dataset):
    views = Views(Session(dataset))
    until(lambda: not views.active.bar.busy)
    views.add()
    for choice in ({"size": 4.0}, {"labelled": False}):
        views.views[0].receive({"type": "drawing", "choice": choice})
        (name, value), *_ = choice.items()
        assert [view.bar.drawing[name] for view in views.views] == [value] * 2
