"""Plots of a file as HoloViews objects, in scanpy's words; importing this lets datashader draw its cells fast."""

from cellasso.pl import datashading as datashading
from cellasso.pl.dendrogram import dendrogram as dendrogram
from cellasso.pl.dotplot import dotplot as dotplot
from cellasso.pl.heatmap import heatmap as heatmap
from cellasso.pl.matrixplot import matrixplot as matrixplot
from cellasso.pl.stacked_violin import stacked_violin as stacked_violin
from cellasso.pl.tracksplot import tracksplot as tracksplot
from cellasso.pl.violin import violin as violin
