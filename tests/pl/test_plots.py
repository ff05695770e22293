"""Every plot of the registry holds to the contract; the package has no other."""

from __future__ import annotations

import pytest

import cellasso.pl
from cellasso.pl.registry import PLOTS
from contracts.plot_contract import PlotContract

pytestmark = pytest.mark.more  # run with the newest versions alone


class TestDendrogram(PlotContract):
    name = "dendrogram"


class TestDotplot(PlotContract):
    name = "dotplot"


class TestHeatmap(PlotContract):
    name = "heatmap"


class TestMatrixplot(PlotContract):
    name = "matrixplot"


class TestStackedViolin(PlotContract):
    name = "stacked_violin"


class TestTracksplot(PlotContract):
    name = "tracksplot"


class TestViolin(PlotContract):
    name = "violin"


def test_each_plot_is_tried():
    tried = {value.name for value in globals().values() if isinstance(value, type) and value is not PlotContract}
    assert tried == set(PLOTS)


def test_the_package_has_no_other_plot():
    named = {name for name, value in vars(cellasso.pl).items() if callable(value) and not name.startswith("_")}
    of_cells = {"composition", "density", "embedding", "histogram", "pca", "scatter", "spatial", "tsne", "umap"}
    assert named - of_cells - {"mix", "selected", "top"} == set(PLOTS)
