"""The choices of views: each view's are its own, panels change the active one, and a session holds no second copy."""

from __future__ import annotations

from dataclasses import fields

import pytest

from cellasso.model.vector import Vector
from cellasso.selection.recipe import WhereRecipe
from cellasso_app.state.session import Session
from cellasso_app.state.view_state import ViewState

DEPTH = Vector("obs", "float32")


@pytest.fixture
def session(dataset) -> Session:
    return Session(dataset)


def test_a_choice_lives_in_one_place(session):
    own = {field.name for field in fields(ViewState)}
    assert own == {"embedding", "dims", "pair", "color", "operation"}
    assert not own & (set(session.param) | set(vars(session)))


def test_a_further_view_begins_as_the_active_one_and_goes_its_own_way(session):
    session.change_view(color=DEPTH, operation="add")
    number = session.add_view()
    assert list(session.views) == [0, number]
    assert session.views[number].shown == session.views[0].shown
    assert session.views[number].operation == "replace"  # its tools are new
    session.change_view(number, embedding="X_pca", dims=(1, 3))
    assert (session.views[number].embedding, session.views[0].embedding) == ("X_pca", "X_umap")
    assert session.view is session.views[0]
    session.active = number
    session.add_gene("g1")
    assert session.view.color == session.views[number].color == Vector("gene", "g1")
    assert session.views[0].color == DEPTH


def test_when_the_active_view_is_removed_the_last_of_the_others_is_active(session):
    second, third = session.add_view(), session.add_view()
    session.remove_view(second)
    assert (session.active, list(session.views)) == (0, [0, third])
    session.remove_view(0)
    assert (session.active, list(session.views)) == (third, [third])
    session.remove_view(third)
    assert list(session.views) == [third]  # the only one stays
    assert session.add_view() == third + 1  # a number is never used again


def test_a_watcher_hears_of_a_change_and_not_of_the_same_choice_again(session):
    seen: list[ViewState] = []
    session.param.watch(lambda _: seen.append(session.view), ["views"])
    session.change_view(color=DEPTH)
    session.change_view(color=DEPTH, embedding="X_umap")
    assert [state.color for state in seen] == [DEPTH]


@pytest.mark.parametrize(("choice", "stays"), [({"color": DEPTH}, False), ({"operation": "subtract"}, True)], ids=str)
def test_what_was_said_stays_while_the_picture_does(session, choice, stays):
    nothing = WhereRecipe("float32 > 9")
    session.select("replace", nothing, nothing.mask(session.dataset))
    assert session.said
    session.change_view(**choice)
    assert bool(session.said) == stays
