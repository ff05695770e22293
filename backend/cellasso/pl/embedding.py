"""Cells in an embedding, coloured by a column of obs or a feature, in scanpy's words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from cellasso.core.errors import ElementError
from cellasso.pl.cell_colors import ColorOptions, read_colors
from cellasso.pl.cell_picture import Drawing
from cellasso.pl.cell_plot import Dress, cell_plot
from cellasso.pl.plane import embedding_plane
from cellasso.pl.side_by_side import each_of, of_each_color

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cellasso.dataset import Dataset, Modality
    from cellasso.pl.cell_colors import Palette

    Bound: TypeAlias = float | str | None
    Bounds: TypeAlias = Bound | Sequence[Bound]


def embedding(
    dataset: Dataset | Modality,
    basis: str,
    *,
    color: str | Sequence[str] | None = None,
    dimensions: tuple[int, int] = (0, 1),
    use_raw: bool | None = None,
    layer: str | None = None,
    normalised: bool = False,
    groups: str | Sequence[str] | None = None,
    sort_order: bool = True,
    size: float | None = None,
    color_map: Any = None,
    cmap: Any = None,
    palette: Palette | None = None,
    vmin: Bounds = None,
    vmax: Bounds = None,
    vcenter: Bounds = None,
    na_color: Any = "lightgray",
    na_in_legend: bool = True,
    legend_loc: str | None = "right margin",
    legend_fontsize: float | None = None,
    colorbar_loc: str | None = "right",
    title: str | Sequence[str] | None = None,
    frameon: bool = True,
    ncols: int = 4,
    rasterize: bool | None = None,
    interactive: bool = False,
) -> Any:
    """Show cells in an embedding.

    Up to 50,000 cells are points; more become a picture of the size of the plot, however many they are. Cells without
    coordinates are left out, and the frame leaves out far outliers.

    Parameters
    ----------
    dataset
        The file, or a modality of it.
    basis
        The embedding: `"X_umap"`, `"umap"`; in an h5mu `"rna:X_umap"`, or `"umap"` where one modality alone has it.
    color
        A column of obs, a feature, or any other vector (`"rna:CD4"`, `"counts/CD4"`, `"X_pca:0"`). A list gives a
        layout with a plot for each.
    dimensions
        Which two of the embedding, counted from 0.
    use_raw
        Whether features are read from raw; `None`: where there is raw and no layer is named.
    layer
        From which matrix features are read.
    normalised
        Whether counts are log-normalised on the way, `log1p(10,000 * count / total of the cell)`.
    groups
        Categories of `color` that are shown; all others have the colour of missing ones.
    sort_order
        Whether the highest values lie on top, those without a value below; else chance decides.
    size
        Area of a dot in square points, as scanpy takes it; `None` goes by how many cells there are.
    color_map, cmap
        Colours of values: a name of matplotlib's or `"cellasso"`, a colour map, or a list; one of the two.
    palette
        Colours of categories in place of those in `uns`: a name of matplotlib's, a list, or a mapping by category.
    vmin, vmax, vcenter
        The values at the ends of the colours and in their middle: numbers or percentiles (`"p99"`); a list has one for
        each plot.
    na_color
        Colour of the cells without a value.
    na_in_legend
        Whether they have a row in the legend.
    legend_loc
        `"right margin"`, `"on data"` (names at the middle of their cells), one of matplotlib's places, or `None`.
    legend_fontsize
        In points.
    colorbar_loc
        `"right"`, or `None` for no colour bar.
    title
        In place of the name of `color`; a list has one for each plot.
    frameon
        Whether there are axes with names.
    ncols
        Plots in a row.
    rasterize
        Whether the cells become a picture; `None`: where there are more than 50,000.
    interactive
        Whether that picture is drawn anew for what is in view, in a notebook or an app with Bokeh. It is then an
        `hv.DynamicMap`.

    Returns
    -------
    A HoloViews object: `hv.Points` or `hv.RGB` with what explains the colours, in an `hv.Overlay`; an `hv.Layout` of
    these for a list.

    Raises
    ------
    NotFoundError, AmbiguousNameError
        There is no such embedding, column, feature, matrix, group or colour map.
    ElementError
        It is damaged, or an argument makes no sense.
    """
    if color_map is not None and cmap is not None:
        raise ElementError("color_map and cmap are two names for one argument; leave one of them out.")
    plane = embedding_plane(dataset, basis, dimensions)
    drawing = Drawing(size=size, sort_order=sort_order, rasterize=rasterize, interactive=interactive)

    def draw(name: str | None, i: int, n: int) -> Any:
        options = ColorOptions(
            use_raw=use_raw,
            layer=layer,
            normalised=normalised,
            groups=groups,
            palette=palette,
            cmap=color_map if cmap is None else cmap,
            vmin=each_of(vmin, i, n, "vmin"),
            vmax=each_of(vmax, i, n, "vmax"),
            vcenter=each_of(vcenter, i, n, "vcenter"),
            na_color=na_color,
        )
        dress = Dress(
            title=each_of(title, i, n, "title"),
            legend_loc=legend_loc,
            legend_fontsize=legend_fontsize,
            colorbar_loc=colorbar_loc,
            na_in_legend=na_in_legend,
            frameon=frameon,
        )
        return cell_plot(plane, read_colors(dataset, name, options), drawing, dress)

    return of_each_color(color, ncols, draw)


def umap(dataset: Dataset | Modality, **options: Any) -> Any:
    """Show cells in `X_umap`.

    Parameters
    ----------
    dataset, options
        As of `embedding`, which says what is returned and raised.
    """
    return embedding(dataset, "umap", **options)


def tsne(dataset: Dataset | Modality, **options: Any) -> Any:
    """Show cells in `X_tsne`.

    Parameters
    ----------
    dataset, options
        As of `embedding`, which says what is returned and raised.
    """
    return embedding(dataset, "tsne", **options)


def pca(dataset: Dataset | Modality, **options: Any) -> Any:
    """Show cells in `X_pca`.

    Parameters
    ----------
    dataset, options
        As of `embedding`, which says what is returned and raised.
    """
    return embedding(dataset, "pca", **options)
