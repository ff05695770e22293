"""Which files of this server cannot be opened."""

from __future__ import annotations

import param

from cellasso_app.ui.component import Component, script


class Problems(Component):
    """A line for each file of this server that cannot be opened, until it is put away."""

    _esm = script(__file__, "problems.js")

    sentences = param.List()
