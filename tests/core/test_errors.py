"""The errors: sentences, one root, and the builtins that callers expect."""

from __future__ import annotations

import pytest

from cellasso.core import errors


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (errors.FileError, OSError),
        (errors.FileChangedError, OSError),
        (errors.ElementError, ValueError),
        (errors.NotFoundError, KeyError),
        (errors.ExportError, OSError),
    ],
)
def test_each_error_is_the_builtin_that_callers_expect_and_prints_as_it_was_written(error, builtin):
    raised = error("it's 'gone'; é")
    assert isinstance(raised, builtin)
    assert isinstance(raised, errors.CellassoError)
    assert str(raised) == "it's 'gone'; é"  # a bare KeyError would show quotes and escapes


def test_an_expression_error_says_where():
    raised = errors.ExpressionError("here", column=3)
    assert isinstance(raised, ValueError)
    assert raised.column == 3


def test_cancelling_is_not_an_oserror():
    # else it would pass for a failure to read
    assert not isinstance(errors.Cancelled(), OSError)
