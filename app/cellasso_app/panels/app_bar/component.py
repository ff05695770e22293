"""The bar at the top of the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import param

from cellasso_app.ui.component import Component, script
from cellasso_app.ui.messages import Flag, Text

if TYPE_CHECKING:
    from cellasso_app.ui.messages import Says


class AppBar(Component):
    """The bar at the top: file, modality, how many cells are selected, undo and redo, theme, keys."""

    _esm = script(__file__, "app_bar.js")
    says: ClassVar[Says] = {
        "modality": {"value": Text()},
        "undo": {},
        "redo": {},
        "clear": {},
        "theme": {"dark": Flag()},
    }

    files = param.List(doc="File names to choose from.")
    file = param.String()
    modalities = param.List()
    modality = param.String()
    n_obs = param.Integer()
    n_selected = param.Integer(allow_None=True, default=None)
    can_undo = param.Boolean()
    can_redo = param.Boolean()
