"""The genes at the right: the search, and the list of those that were chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import param

from cellasso_app.ui.component import Component, script
from cellasso_app.ui.messages import Text, Whole

if TYPE_CHECKING:
    from cellasso_app.ui.messages import Hears, Says


class GenesPanel(Component):
    """The chosen genes, a search box that suggests, and the matrix they are read from."""

    _esm = script(__file__, "genes.js")
    says: ClassVar[Says] = {
        "search": {"text": Text(), "number": Whole()},
        "add": {"gene": Text()},
        "remove": {"gene": Text()},
        "color": {"gene": Text()},
        "matrix": {"value": Text()},
        "scale": {"value": Text()},
    }

    hears: ClassVar[Hears] = {"suggestions": ("number", "found", "n_duplicates")}

    genes = param.List(doc="`{name, label}` of each.")
    active = param.String()
    matrices = param.List()
    matrix = param.String()
    scale = param.String(doc='How counts are shown: "log" or "counts"; empty for a matrix of other values.')
    n_features = param.Integer()
    message = param.String()
