"""How many cells are selected, what they are, and their export."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import param

from cellasso_app.ui.component import Component, script
from cellasso_app.ui.messages import Text, Whole

if TYPE_CHECKING:
    from cellasso_app.ui.messages import Hears, Says


class SelectionPanel(Component):
    """How many cells are selected, what they are, and their export."""

    _esm = script(__file__, "selection.js")
    says: ClassVar[Says] = {
        "composition": {"value": Text()},
        "invert": {},
        "clear": {},
        "format": {"value": Text(), "name": Text()},
        "export": {"name": Text()},
        "replace": {},
        "keep": {},
        "cancel_export": {},
        "download": {"number": Whole(), "offset": Whole()},
    }

    hears: ClassVar[Hears] = {"piece": ("number", "name", "offset", "size", "bytes")}

    n_selected = param.Integer(allow_None=True, default=None)
    n_obs = param.Integer()
    columns = param.List()
    column = param.String()
    rows = param.List(doc="`{label, color, n, total}` of each category, largest part first.")
    file_name = param.String(doc="Proposed name of the export.")
    formats = param.List(doc="`{value, label}` of each format, the file's own first; the values are suffixes.")
    format = param.String()
    contents = param.String(doc="What goes into an export of that format.")
    export = param.Dict(default={"state": "idle"}, doc="State of the export: idle, exists, running, done or failed.")
