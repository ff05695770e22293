"""Cells where they lie in a tissue, over its picture, in scanpy's words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import holoviews as hv
import numpy as np

from cellasso.core.errors import ElementError
from cellasso.dataset import Dataset
from cellasso.model.spatial import libraries, read_spot_diameter, read_tissue
from cellasso.pl.cell_colors import ColorOptions, read_colors
from cellasso.pl.cell_picture import Drawing
from cellasso.pl.cell_plot import Dress, cell_plot
from cellasso.pl.options import styled
from cellasso.pl.plane import basis_key, embedding_plane, equal_plane
from cellasso.pl.side_by_side import each_of, of_each_color
from cellasso.points.point_index import Viewport

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cellasso.dataset import Modality
    from cellasso.model.spatial import Tissue
    from cellasso.pl.cell_colors import Bound, Palette
    from cellasso.pl.plane import Plane

MOST_SIDE = 1_200
"""Pixels of a tissue's picture in a plot, along each side: three for one of the frame."""

GREY_SHARES = (0.2989, 0.5870, 0.1140)
"""Of red, green and blue in a grey picture, as scanpy has it."""

BEST = "best"


def spatial(
    dataset: Dataset | Modality,
    *,
    color: str | Sequence[str] | None = None,
    basis: str = "spatial",
    img_key: str | None = BEST,
    library_id: str | None = None,
    scale_factor: float | None = None,
    spot_size: float | None = None,
    size: float = 1.0,
    crop_coord: tuple[float, float, float, float] | None = None,
    alpha_img: float = 1.0,
    bw: bool = False,
    use_raw: bool | None = None,
    layer: str | None = None,
    normalised: bool = False,
    groups: str | Sequence[str] | None = None,
    sort_order: bool = True,
    cmap: Any = None,
    palette: Palette | None = None,
    vmin: Bound = None,
    vmax: Bound = None,
    vcenter: Bound = None,
    na_color: Any = None,
    na_in_legend: bool = True,
    legend_loc: str | None = "right margin",
    legend_fontsize: float | None = None,
    title: str | Sequence[str] | None = None,
    frameon: bool = True,
    ncols: int = 4,
    rasterize: bool | None = None,
    interactive: bool = False,
) -> Any:
    """Show cells where they lie in a tissue; y points down, as in the picture.

    Parameters
    ----------
    dataset
        The file, or a modality of it.
    color
        As of `embedding`.
    basis
        The coordinates, as of `embedding`, in pixels of the full picture.
    img_key
        Which picture of `uns["spatial"]` lies below: `"hires"`, `"lowres"`, or another that is there; `"best"`: the
        first of these, if there is any. `None`: none.
    library_id
        Whose picture; `None`: the only one.
    scale_factor
        Pixels of that picture for a unit of the coordinates; `None`: as the file says.
    spot_size
        Diameter of a spot in units of the coordinates; `None`: as the file says, else dots go by how many they are.
    size
        By how much the spots are larger than that.
    crop_coord
        What is shown: left, right, top and bottom, in units of the coordinates; `None`: all cells.
    alpha_img
        Opacity of the picture, 0 to 1.
    bw
        Whether the picture is grey.
    use_raw, layer, normalised, groups, sort_order, cmap, palette, vmin, vmax, vcenter, na_in_legend
        As of `embedding`.
    na_color
        Colour of the cells without a value; `None`: they are not drawn over a picture, and light grey without one.
    legend_loc, legend_fontsize, title, frameon, ncols, rasterize, interactive
        As of `embedding`.

    Returns
    -------
    As of `embedding`, over an `hv.RGB` of the tissue.

    Raises
    ------
    NotFoundError, AmbiguousNameError
        There is no such embedding, column, feature, matrix, group, library, picture or colour map; or there are several
        libraries and none is named.
    ElementError
        One of them is damaged or too large, or an argument makes no sense.
    """
    owner = _owner(dataset, basis)
    tissue = _tissue(owner, library_id, img_key)
    whole = embedding_plane(dataset, basis)
    plane = whole if crop_coord is None else equal_plane(whole.points, whole.labels, _cropped(crop_coord))
    below = None if tissue is None else _picture(tissue, plane, scale_factor, alpha=alpha_img, bw=bw)
    diameter = _spot_diameter(owner, tissue, library_id) if spot_size is None else float(spot_size)
    hides_missing = na_color is None and tissue is not None
    drawing = Drawing(
        diameter=None if diameter is None else diameter * size,
        sort_order=sort_order,
        show_missing=not hides_missing,
        rasterize=rasterize,
        interactive=interactive,
    )
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
        na_color="lightgray" if na_color is None else na_color,
    )

    def draw(name: str | None, i: int, n: int) -> Any:
        dress = Dress(
            title=each_of(title, i, n, "title"),
            legend_loc=legend_loc,
            legend_fontsize=legend_fontsize,
            na_in_legend=na_in_legend and not hides_missing,
            frameon=frameon,
            invert_yaxis=True,
        )
        return cell_plot(plane, read_colors(dataset, name, options), drawing, dress, below)

    return of_each_color(color, ncols, draw)


def _owner(dataset: Dataset | Modality, basis: str) -> Modality:
    """Return the modality whose coordinates are shown: it has the picture, too."""
    if not isinstance(dataset, Dataset):
        return dataset
    return dataset.owner(basis_key(dataset, basis), own=dataset.obsm)[0]


def _tissue(owner: Modality, library_id: str | None, img_key: str | None) -> Tissue | None:
    """Read the picture that is asked for; `None` for none."""
    if img_key is None:
        return None
    if img_key == BEST:
        return read_tissue(owner, library_id) if library_id is not None or libraries(owner) else None
    return read_tissue(owner, library_id, img_key)


def _spot_diameter(owner: Modality, tissue: Tissue | None, library_id: str | None) -> float | None:
    if tissue is not None:
        return tissue.spot_diameter
    found = libraries(owner)
    return read_spot_diameter(owner, library_id) if library_id is not None or len(found) == 1 else None


def _cropped(crop: tuple[float, float, float, float]) -> Viewport:
    left, right, top, bottom = map(float, crop)
    if not (np.isfinite([left, right, top, bottom]).all() and left < right and top < bottom):
        raise ElementError(f"crop_coord is {crop}; left, right, top and bottom were expected, of which y points down.")
    return Viewport(left, right, top, bottom)


def _picture(tissue: Tissue, plane: Plane, scale_factor: float | None, *, alpha: float, bw: bool) -> Any:
    """Return the picture of what is in view, `hv.RGB`."""
    if not 0 <= alpha <= 1:
        raise ElementError(f"alpha_img is {alpha}; 0 to 1 was expected.")
    width, height = tissue.extent
    if scale_factor is not None:
        if not (np.isfinite(scale_factor) and scale_factor > 0):
            raise ElementError(f"scale_factor is {scale_factor}; a number above 0 was expected.")
        width, height = (each * tissue.scale / scale_factor for each in (width, height))
    image, (x, y) = _seen(tissue.image, (width, height), plane.viewport)
    if bw:
        grey = np.rint(image[..., :3] @ np.array(GREY_SHARES)).clip(0, 255).astype(np.uint8)
        image = np.concatenate([np.repeat(grey[..., None], 3, axis=2), image[..., 3:]], axis=2)
    # y points down in the file, and HoloViews takes the row of the highest y first
    element = hv.RGB(image[::-1], kdims=list(plane.labels), bounds=(x[0], y[0], x[1], y[1]))
    return styled(element, {"alpha": alpha})


Range = tuple[float, float]


def _seen(image: NDArray[np.uint8], extent: Range, viewport: Viewport) -> tuple[NDArray[np.uint8], tuple[Range, Range]]:
    """Return the part of an image that is in view, of `MOST_SIDE` pixels at most, and where its edges are."""
    ends: list[Range] = []
    for axis, length, seen in ((1, extent[0], viewport[:2]), (0, extent[1], viewport[2:])):
        n = image.shape[axis]
        first = int(np.clip(np.floor(seen[0] / length * n), 0, n - 1))
        last = int(np.clip(np.ceil(seen[1] / length * n), first + 1, n))
        step = -(-(last - first) // MOST_SIDE)
        last = first + max((last - first) // step, 1) * step  # whole groups of pixels
        last = min(last, n)
        image = image[first:last] if axis == 0 else image[:, first:last]
        image = _shrunk(image, axis, step)
        ends.append((first / n * length, last / n * length))
    return image, (ends[0], ends[1])


def _shrunk(image: NDArray[np.uint8], axis: int, step: int) -> NDArray[np.uint8]:
    """Return the means of so many neighbouring pixels along an axis."""
    n = image.shape[axis] // step
    if step == 1:
        return image
    shape = (n, step, *image.shape[1:]) if axis == 0 else (image.shape[0], n, step, image.shape[2])
    means: NDArray[np.float64] = image.reshape(shape).mean(axis=axis + 1)
    return np.rint(means).astype(np.uint8)
