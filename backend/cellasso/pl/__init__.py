"""Plots of cells as HoloViews objects, in scanpy's words; importing this makes `Canvas.points` draw cells fast."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cellasso.pl import datashading as datashading

if TYPE_CHECKING:
    from cellasso.pl.composition import composition
    from cellasso.pl.density import density
    from cellasso.pl.embedding import embedding, pca, tsne, umap
    from cellasso.pl.histogram import histogram
    from cellasso.pl.scatter import scatter
    from cellasso.pl.spatial import spatial

__all__ = [
    "composition",
    "density",
    "embedding",
    "histogram",
    "pca",
    "scatter",
    "spatial",
    "tsne",
    "umap",
]

_HOMES = {
    "composition": "cellasso.pl.composition",
    "density": "cellasso.pl.density",
    "embedding": "cellasso.pl.embedding",
    "histogram": "cellasso.pl.histogram",
    "pca": "cellasso.pl.embedding",
    "scatter": "cellasso.pl.scatter",
    "spatial": "cellasso.pl.spatial",
    "tsne": "cellasso.pl.embedding",
    "umap": "cellasso.pl.embedding",
}
"""The module of each plot."""


def __getattr__(name: str) -> Any:
    """Import a plot when it is asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module 'cellasso.pl' has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415

    return getattr(import_module(_HOMES[name]), name)
