"""Plots of a file as HoloViews objects, in scanpy's words; imported, datashader and HoloViews take its cells."""

from __future__ import annotations

from cellasso.pl import datashading as datashading
from cellasso.pl import holoviews_interface as holoviews_interface
from cellasso.pl.dendrogram import dendrogram as dendrogram
from cellasso.pl.dotplot import dotplot as dotplot
from cellasso.pl.embedding import embedding as embedding
from cellasso.pl.embedding import pca as pca
from cellasso.pl.embedding import tsne as tsne
from cellasso.pl.embedding import umap as umap
from cellasso.pl.linked_selections import selected as selected
from cellasso.pl.matrixplot import matrixplot as matrixplot
from cellasso.pl.pictures import mix as mix
from cellasso.pl.pictures import top as top

holoviews_interface.register()
