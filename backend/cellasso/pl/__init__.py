"""Plots of a file as HoloViews objects, in scanpy's words; imported, datashader and HoloViews take its cells."""

from __future__ import annotations

from cellasso.pl import datashading as datashading
from cellasso.pl import holoviews_interface as holoviews_interface
from cellasso.pl.composition import composition as composition
from cellasso.pl.dendrogram import dendrogram as dendrogram
from cellasso.pl.density import density as density
from cellasso.pl.dotplot import dotplot as dotplot
from cellasso.pl.embedding import embedding as embedding
from cellasso.pl.embedding import pca as pca
from cellasso.pl.embedding import tsne as tsne
from cellasso.pl.embedding import umap as umap
from cellasso.pl.heatmap import heatmap as heatmap
from cellasso.pl.histogram import histogram as histogram
from cellasso.pl.linked_selections import selected as selected
from cellasso.pl.matrixplot import matrixplot as matrixplot
from cellasso.pl.pictures import mix as mix
from cellasso.pl.pictures import top as top
from cellasso.pl.scatter import scatter as scatter
from cellasso.pl.spatial import spatial as spatial
from cellasso.pl.stacked_violin import stacked_violin as stacked_violin
from cellasso.pl.tracksplot import tracksplot as tracksplot
from cellasso.pl.violin import violin as violin

holoviews_interface.register()
