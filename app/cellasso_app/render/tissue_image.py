"""The picture of a tissue on its way to the browser, and under the cells of a figure."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cellasso.model.spatial import Tissue
    from cellasso.points.point_index import Viewport

QUALITY = 92
"""Of a JPEG, with full colours: no difference to the eye, at an eighth of the bytes."""


class Packed(NamedTuple):
    """The picture of a tissue as a browser shows it.

    Attributes
    ----------
    extent
        Its width and height in data units; its upper left corner is at (0, 0), and y runs down.
    spot
        Diameter of its spots in data units; `None`: the file does not say it.
    mime
        `"image/jpeg"`, or `"image/png"` where it is transparent somewhere.
    content
        Its bytes.
    """

    extent: tuple[float, float]
    spot: float | None
    mime: str
    content: bytes


def pack(tissue: Tissue) -> Packed:
    """Return the whole picture of a tissue for the browser, which shows of it what is in view."""
    from PIL import Image  # noqa: PLC0415 - a start of the server needs none

    image, file = tissue.image, io.BytesIO()
    if image.shape[2] == 4 and (image[..., 3] == 255).all():
        image = np.ascontiguousarray(image[..., :3])
    if image.shape[2] == 4:
        Image.fromarray(image).save(file, "PNG", compress_level=1)
        return Packed(tissue.extent, tissue.spot_diameter, "image/png", file.getvalue())
    Image.fromarray(image).save(file, "JPEG", quality=QUALITY, subsampling=0)
    return Packed(tissue.extent, tissue.spot_diameter, "image/jpeg", file.getvalue())


def cut(tissue: Tissue, viewport: Viewport, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Return what of the picture of a tissue lies in a viewport.

    Parameters
    ----------
    viewport
        In data units, `y_low` below `y_high`.
    shape
        Rows and columns of what is returned.

    Returns
    -------
    `(*shape, 4)` RGBA, not premultiplied, the row of `y_low` first, as of a picture of cells; transparent beside the
    tissue. A pixel is the mean of what it covers, or lies between its neighbours where the tissue is coarser.
    """
    from PIL import Image  # noqa: PLC0415

    rows, columns = shape
    found = np.zeros((rows, columns, 4), dtype=np.uint8)
    height, width = tissue.image.shape[:2]
    left, right, across = _span(viewport.x_low, viewport.x_high, columns, tissue.extent[0])
    top, bottom, along = _span(viewport.y_low, viewport.y_high, rows, tissue.extent[1])
    if left == right or top == bottom:
        return found
    per_x, per_y = width / tissue.extent[0], height / tissue.extent[1]
    box = (across[0] * per_x, along[0] * per_y, min(across[1] * per_x, width), min(along[1] * per_y, height))
    image = Image.fromarray(tissue.image).convert("RGBA")
    part = image.resize((right - left, bottom - top), Image.Resampling.BILINEAR, box=box)
    found[top:bottom, left:right] = np.asarray(part)
    return found


def _span(low: float, high: float, n: int, extent: float) -> tuple[int, int, tuple[float, float]]:
    """Return which of `n` pixels from `low` to `high` lie within 0 to `extent`, and where they begin and end."""
    unit = (high - low) / n
    first = int(np.ceil(np.clip(-low / unit, 0, n)))
    last = int(np.floor(np.clip((extent - low) / unit, 0, n)))
    last = max(first, last)
    return first, last, (max(0.0, low + first * unit), min(extent, low + last * unit))


def over(above: NDArray[np.uint8], below: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Lay one RGBA picture over another of the same shape, neither premultiplied."""
    from PIL import Image  # noqa: PLC0415

    return np.asarray(Image.alpha_composite(Image.fromarray(below), Image.fromarray(above)))
