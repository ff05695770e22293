"""The dialog that says what is in the file."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import param

from cellasso_app.ui.component import Component, script

if TYPE_CHECKING:
    from cellasso_app.ui.messages import Says


class Inspection(Component):
    """A dialog that the app bar opens: what is wrong with the file, what it costs, and what is in it."""

    _esm = script(__file__, "inspection.js")
    says: ClassVar[Says] = {"inspect": {}}

    report = param.Dict(default={}, doc='What `describe` returns, once it was asked for; or `{"error"}`.')
