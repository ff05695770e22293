"""All that an explorer's page is made of, known before there is one.

A browser learns what a component is with the first page that it gets: one that is defined later it cannot show. The
served page comes before the explorer is imported, which takes a second; this takes nothing of that.
"""

from __future__ import annotations

from cellasso_app.panels.app_bar.component import AppBar
from cellasso_app.panels.cells.component import CellsPanel
from cellasso_app.panels.genes.component import GenesPanel
from cellasso_app.panels.inspection.component import Inspection
from cellasso_app.panels.opening.component import Notice, Opening
from cellasso_app.panels.plots.component import PlotKey, PlotsBar
from cellasso_app.panels.problems.component import Problems
from cellasso_app.panels.selection.component import SelectionPanel
from cellasso_app.views.embedding.component import CellsLayer, PlotBar, StatusLine

COMPONENTS = (
    AppBar,
    CellsLayer,
    CellsPanel,
    PlotKey,
    GenesPanel,
    Inspection,
    Notice,
    Opening,
    PlotBar,
    PlotsBar,
    Problems,
    SelectionPanel,
    StatusLine,
)
