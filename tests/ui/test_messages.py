"""What a message may hold: fields of known kinds and sizes, finite numbers, and nothing beside them."""

from __future__ import annotations

import math

import pytest

from cellasso_app.panels.genes.component import GenesPanel
from cellasso_app.panels.selection.component import SelectionPanel
from cellasso_app.ui.messages import MAX_TEXT, NOT_UNDERSTOOD, Flag, Items, Number, OneOf, Text, Whole, problem
from cellasso_app.views.embedding.component import CellsLayer, PlotBar

KINDS = [
    (Text(), ["", "x", "µ", "x" * MAX_TEXT], [None, 1, b"x", ["x"], {}]),
    (Number(), [0, -1, 1.5, 1e299], [True, "1", None, math.nan, math.inf, -math.inf, 1e301, 10**400, [1]]),
    (Whole(), [0, 1, 1 << 53], [True, -1, 1.0, (1 << 53) + 1, 10**400, "1", None]),
    (Flag(), [True, False], [0, 1, "true", None]),
    (Items(Number(), 2, 2), [[1, 2]], [[], [1], [1, 2, 3], [1, "x"], [1, math.nan], (1, 2), "ab", None]),
    (Items(Items(Whole(), 3)), [[], [[]], [[1], [1, 2, 3]]], [[1], [[1, 2, 3, 4]], [[True]]]),
    (
        OneOf({"size": Number(), "log": Flag()}, frozenset({"size"})),
        [{"size": 1}, {"size": None}, {"log": True}],
        [{}, {"log": None}, {"size": 1, "log": True}, {"x": 1}, [], None, {1: 1}],
    ),
]


@pytest.mark.parametrize(("kind", "fine", "not_fine"), KINDS, ids=lambda each: type(each).__name__)
def test_a_kind_takes_what_it_is_and_refuses_the_rest(kind, fine, not_fine):
    assert [kind.problem(value) for value in fine] == [""] * len(fine)
    assert [kind.problem(value) for value in not_fine] == [NOT_UNDERSTOOD] * len(not_fine)


def test_a_text_that_is_too_long_says_how_long_it_is():
    sentence = "What was entered has 20,001 characters; at most 20,000 are taken."
    assert Text().problem("x" * 20_001) == sentence
    assert problem({"type": "add", "gene": "x" * 20_001}, GenesPanel.says) == sentence
    assert len(sentence) <= 300


@pytest.mark.parametrize(
    ("says", "message"),
    [
        (SelectionPanel.says, {"type": "export", "name": "x"}),
        (SelectionPanel.says, {"type": "download", "number": 0, "offset": 0}),
        (PlotBar.says, {"type": "drawing", "choice": {"hover": ["a", "b"]}}),
        (PlotBar.says, {"type": "dims", "x": 0, "y": 1}),
        (CellsLayer.says, {"type": "polygon", "polygon": [[0, 0], [1, 0.5], [1e9, -1]]}),
    ],
)
def test_what_a_page_says_is_known(says, message):
    assert problem(message, says) == ""


@pytest.mark.parametrize(
    "message",
    [
        None,
        [],
        "export",
        {},
        {"type": None},
        {"type": ["export"]},
        {"type": "export"},
        {"type": "export", "name": None},
        {"type": "export", "name": "x", "overwrite": True},
        {"type": "download", "number": True, "offset": 0},
        {"type": "download", "number": 0, "offset": -1},
        {"type": "download", "number": 0, "offset": 1e300},
        {"type": "no such type"},
    ],
    ids=str,
)
def test_anything_else_is_not_understood(message):
    assert problem(message, SelectionPanel.says) == NOT_UNDERSTOOD
