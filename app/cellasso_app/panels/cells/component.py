"""The columns of obs at the left, with the legend of the one that colours the cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import param

from cellasso_app.ui.component import Component, script
from cellasso_app.ui.messages import Flag, Text

if TYPE_CHECKING:
    from cellasso_app.ui.messages import Says


class CellsPanel(Component):
    """The columns of obs; the one that colours the cells is open and shows its legend."""

    _esm = script(__file__, "cells.js")
    says: ClassVar[Says] = {
        "color": {"column": Text()},
        "category": {"column": Text(), "label": Text(), "operation": Text()},
        "hide": {"label": Text(), "hidden": Flag()},
        "isolate": {"label": Text()},
        "show_all": {"column": Text()},
        "recolor": {"label": Text(), "color": Text()},
        "as_categories": {"column": Text(), "value": Flag()},
    }

    columns = param.List(doc="`{name, kind}` of each column, in the file's order.")
    active = param.String(doc="The column that colours the cells; empty when a gene does.")
    hidden = param.Dict(default={}, doc="Labels that are not shown, by column.")
    colors = param.Dict(default={}, doc="Colours by label that were chosen for the active column.")
    legend = param.Dict(doc="Rows with counts of a category, or range and histogram of numbers.")
    busy = param.Boolean()
    message = param.String(doc="Why the active column cannot be shown.")
