"""Cells along any two of their values, such as two genes, or two measures of quality."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cellasso.pl.cell_colors import ColorOptions, read_colors
from cellasso.pl.cell_picture import Drawing
from cellasso.pl.cell_plot import Dress, cell_plot
from cellasso.pl.plane import vector_plane
from cellasso.pl.side_by_side import each_of, of_each_color
from cellasso.pl.vectors import find_vector

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cellasso.dataset import Dataset, Modality
    from cellasso.pl.cell_colors import Bound, Palette


def scatter(
    dataset: Dataset | Modality,
    x: str,
    y: str,
    *,
    color: str | Sequence[str] | None = None,
    use_raw: bool | None = None,
    layer: str | None = None,
    normalised: bool = False,
    groups: str | Sequence[str] | None = None,
    sort_order: bool = True,
    size: float | None = None,
    cmap: Any = None,
    palette: Palette | None = None,
    vmin: Bound = None,
    vmax: Bound = None,
    vcenter: Bound = None,
    na_color: Any = "lightgray",
    na_in_legend: bool = True,
    legend_loc: str | None = "right margin",
    legend_fontsize: float | None = None,
    title: str | Sequence[str] | None = None,
    ncols: int = 4,
    rasterize: bool | None = None,
    interactive: bool = False,
) -> Any:
    """Show cells along two of their values.

    Parameters
    ----------
    dataset
        The file, or a modality of it.
    x, y
        Columns of obs that hold numbers, features, or any other vectors (`"counts/CD4"`, `"X_pca:0"`). A cell that
        lacks one has no place.
    color, use_raw, layer, normalised, groups, sort_order, size, cmap, palette, vmin, vmax, vcenter, na_color
        As of `embedding`; the matrix is that of `x` and `y`, too.
    na_in_legend, legend_loc, legend_fontsize, title, ncols, rasterize, interactive
        As of `embedding`.

    Returns
    -------
    As of `embedding`; the axes have numbers, and each its own unit.

    Raises
    ------
    NotFoundError, AmbiguousNameError
        There is no such column, feature, matrix, group or colour map.
    ElementError
        One holds no numbers or is damaged, or an argument makes no sense.
    """
    at = [find_vector(dataset, each, use_raw=use_raw, layer=layer, normalised=normalised) for each in (x, y)]
    plane = vector_plane(dataset, *at)
    drawing = Drawing(size=size, sort_order=sort_order, rasterize=rasterize, interactive=interactive)
    options = ColorOptions(
        use_raw=use_raw,
        layer=layer,
        normalised=normalised,
        groups=groups,
        palette=palette,
        cmap=cmap,
        vmin=vmin,
        vmax=vmax,
        vcenter=vcenter,
        na_color=na_color,
    )

    def draw(name: str | None, i: int, n: int) -> Any:
        dress = Dress(
            title=each_of(title, i, n, "title"),
            legend_loc=legend_loc,
            legend_fontsize=legend_fontsize,
            na_in_legend=na_in_legend,
            ticks=True,
        )
        return cell_plot(plane, read_colors(dataset, name, options), drawing, dress)

    return of_each_color(color, ncols, draw)
