"""Cells of a file for datashader and HoloViews; importing this makes `Canvas.points` draw them fast."""

from __future__ import annotations

from cellasso.pl import datashading as datashading
from cellasso.pl.pictures import mix as mix
from cellasso.pl.pictures import top as top
