"""Plots of features by groups: what each is called, and what it is drawn of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cellasso.pl.dendrogram import dendrogram
from cellasso.pl.dotplot import dotplot
from cellasso.pl.heatmap import heatmap
from cellasso.pl.matrixplot import matrixplot
from cellasso.pl.stacked_violin import stacked_violin
from cellasso.pl.tracksplot import tracksplot
from cellasso.pl.violin import violin

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class PlotKind:
    """A plot.

    Attributes
    ----------
    name
        What it is called in `cellasso.pl`.
    draw
        Draws it of a `Dataset` or `Modality` and what it needs; returns a HoloViews object.
    needs
        What it takes after the dataset, in this order: `"features"`, `"groupby"`, `"basis"`.
    takes_layer
        Whether it shows values of a matrix that `layer` names.
    """

    name: str
    draw: Callable[..., Any]
    needs: tuple[str, ...]
    takes_layer: bool = True


FEATURES_BY_GROUPS = ("features", "groupby")

PLOTS = {
    kind.name: kind
    for kind in (
        PlotKind("dendrogram", dendrogram, ("groupby",), takes_layer=False),
        PlotKind("dotplot", dotplot, FEATURES_BY_GROUPS),
        PlotKind("heatmap", heatmap, FEATURES_BY_GROUPS),
        PlotKind("matrixplot", matrixplot, FEATURES_BY_GROUPS),
        PlotKind("stacked_violin", stacked_violin, FEATURES_BY_GROUPS),
        PlotKind("tracksplot", tracksplot, FEATURES_BY_GROUPS),
        PlotKind("violin", violin, FEATURES_BY_GROUPS),
    )
}
"""Each by its name."""
