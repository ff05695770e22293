"""What stands above and below the plot."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import param

from cellasso_app.ui.component import Component, script
from cellasso_app.ui.messages import Text

if TYPE_CHECKING:
    from cellasso_app.ui.messages import Says


class PlotsBar(Component):
    """Above the plot: what it is called, and by which column its cells are grouped."""

    _esm = script(__file__, "plots_bar.js")
    says: ClassVar[Says] = {"group_by": {"value": Text()}}

    label = param.String()
    columns = param.List()
    group_by = param.String()
    busy = param.Boolean()
    fraction = param.Number(default=0.0)
    message = param.String()


class DotplotKey(Component):
    """Below the dotplot: what size and colour of a dot mean."""

    _esm = script(__file__, "dotplot_key.js")

    low = param.Number()
    high = param.Number()
    largest = param.Number()
    colors = param.List()
