"""Cells of a file for datashader and HoloViews; importing this makes both take them as data."""

from __future__ import annotations

from cellasso.pl import datashading as datashading
from cellasso.pl import holoviews_interface as holoviews_interface
from cellasso.pl.linked_selections import selected as selected
from cellasso.pl.pictures import mix as mix
from cellasso.pl.pictures import top as top

holoviews_interface.register()
