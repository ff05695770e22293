"""The plots that the panel has, by name; each is a module beside this one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cellasso_app.panels.plots.dotplot import Dotplot
from cellasso_app.panels.plots.matrixplot import Matrixplot

if TYPE_CHECKING:
    from cellasso_app.panels.plots.base import Plot

PLOTS: dict[str, type[Plot]] = {"dotplot": Dotplot, "matrixplot": Matrixplot}
"""The first is shown at first."""


def make_plot(name: str, *, dark: bool) -> Plot:
    """Return a new plot, empty, in the inks of the light or the dark page.

    Parameters
    ----------
    name
        One of `PLOTS`.
    dark
        Whether the page is dark.
    """
    return PLOTS[name](dark=dark)
