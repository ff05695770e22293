"""What every plot holds to; a test subclasses it and says which plot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import holoviews as hv
import pytest

import cellasso.pl
from cellasso.core.errors import NotFoundError
from cellasso.pl.registry import PLOTS
from cellasso.pl.styling import load_backends

if TYPE_CHECKING:
    from cellasso.dataset import Dataset, Modality

BACKENDS = ("bokeh", "matplotlib")


class PlotContract:
    """Set `name`; `arguments` where the defaults below do not fit."""

    name: ClassVar[str]
    arguments: ClassVar[dict[str, Any]] = {"features": ["CD3D", "LYZ"], "groupby": "bulk_labels", "basis": "X_umap"}

    def draw(self, dataset: Dataset | Modality, prefix: str = "", **options: Any) -> Any:
        """Draw the plot; `prefix` is put before names, as of a modality."""
        kind = PLOTS[self.name]
        given = []
        for need in kind.needs:
            value = options.pop(need, self.arguments[need])
            given.append([prefix + each for each in value] if isinstance(value, list) else prefix + value)
        return kind.draw(dataset, *given, **options)

    @staticmethod
    def render(shown: Any, backend: str) -> Any:
        """Draw it in a backend as `hv.render` does."""
        load_backends()
        figure = hv.render(shown, backend=backend)
        if backend == "matplotlib":
            import matplotlib.pyplot as plt

            figure.canvas.draw()
            plt.close(figure)
        return figure

    def test_it_is_what_the_package_has_under_its_name(self):
        assert getattr(cellasso.pl, self.name) is PLOTS[self.name].draw

    @pytest.mark.parametrize("backend", BACKENDS)
    def test_it_is_drawn_in_both_backends(self, pbmc, backend):
        shown = self.draw(pbmc)
        assert isinstance(shown, hv.core.Dimensioned)
        assert self.render(shown, backend) is not None

    def test_it_is_laid_out_and_overlaid_and_takes_options(self, pbmc):
        shown = self.draw(pbmc)
        assert isinstance(shown + hv.Curve([1, 2]), hv.Layout)
        if not isinstance(shown, hv.Layout):
            assert isinstance(shown * hv.Curve([1, 2]), hv.Overlay)
        titled = shown.opts(title="another", backend="bokeh")
        figure = self.render(titled, "bokeh")
        assert figure is not None
        self.render(shown + hv.Curve([1, 2]), "bokeh")

    def test_it_is_saved(self, pbmc, tmp_path):
        load_backends()
        hv.save(self.draw(pbmc), tmp_path / "plot.html", backend="bokeh")
        hv.save(self.draw(pbmc), tmp_path / "plot.png", backend="matplotlib", dpi=40)
        assert (tmp_path / "plot.html").stat().st_size > 1000
        assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")

    def test_of_a_modality_and_of_an_h5mu_as_of_a_file(self, pbmc_mu):
        for shown in (self.draw(pbmc_mu["rna"]), self.draw(pbmc_mu, "rna:")):
            assert isinstance(shown, hv.core.Dimensioned)
            self.render(shown, "bokeh")

    def test_names_of_the_file_are_no_markup(self, hostile):
        """Whatever a group is called, it is drawn as text: no formula of matplotlib, no field of a title."""
        shown = self.draw(hostile)
        for backend in BACKENDS:
            self.render(shown, backend)

    def test_of_a_layer(self, pbmc):
        if not PLOTS[self.name].takes_layer:
            pytest.skip("it shows no matrix")
        self.render(self.draw(pbmc, layer="counts"), "bokeh")
        self.render(self.draw(pbmc, layer="counts", normalised=True), "bokeh")
        with pytest.raises(NotFoundError, match="counts"):
            self.draw(pbmc, layer="count")

    def test_a_name_that_is_not_there_is_said_with_its_nearest(self, pbmc):
        if "features" in PLOTS[self.name].needs:
            with pytest.raises(NotFoundError, match="CD3D"):
                self.draw(pbmc, features=["CD3DD"])
        if "groupby" in PLOTS[self.name].needs:
            with pytest.raises(NotFoundError, match="bulk_labels"):
                self.draw(pbmc, groupby="bulk_label")
