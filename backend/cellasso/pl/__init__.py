"""Cells of a file for datashader; importing this makes `Canvas.points` draw them fast."""

from cellasso.pl import datashading as datashading
