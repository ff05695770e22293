"""The picture of a tissue below its cells: `uns["spatial"]`, as Scanpy and Squidpy write it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cellasso.core.errors import ElementError, NotFoundError
from cellasso.core.text import nearest
from cellasso.encodings import elements
from cellasso.store.base import Array, Group, members

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cellasso.model.modality import Modality

MOST_BYTES = 1 << 30
"""A larger image is refused: it would be read whole."""

MOST_PIXELS = 1 << 24
"""Of a larger image every second, third, … pixel is kept: 4,096 by 4,096 are more than any screen shows."""

BRIGHTEST = 2.0
"""Floats up to here are 0 to 1, perhaps a little beyond, as after an image was resized; others are 0 to 255."""

READ_BYTES = 32 << 20
"""Of an image that are read at once."""

IMAGE_KEYS = ("hires", "lowres")
"""What the images of a library are called, the best one first."""


@dataclass(frozen=True)
class Tissue:
    """The picture of a tissue.

    Attributes
    ----------
    library_id, img_key
        What it is called in the file.
    image
        `(height, width, 3)` or `(height, width, 4)` uint8, the upper row first; perhaps smaller than in the file.
    scale
        Pixels of the image in the file for a unit of `obsm["spatial"]`.
    extent
        Width and height in units of `obsm["spatial"]`, in which its upper left corner is (0, 0).
    spot_diameter
        Of a spot, in the same units; `None`: the file does not say it.
    """

    library_id: str
    img_key: str
    image: NDArray[np.uint8]
    scale: float
    extent: tuple[float, float]
    spot_diameter: float | None


def libraries(modality: Modality) -> tuple[str, ...]:
    """Return the names of the libraries whose tissue is known, in the file's order; none without `spatial`."""
    handle = modality.handle
    try:
        node = handle.node(f"{modality.path}/uns/spatial")
    except (NotFoundError, ElementError):
        return ()
    if not isinstance(node, Group):
        return ()
    # CELLxGENE has a flag beside them
    return tuple(name for name in members(node) if isinstance(handle.child(node, name), Group))


def image_keys(modality: Modality, library_id: str) -> tuple[str, ...]:
    """Return what the images of a library are called that `read_tissue` can be asked for, the best one first.

    Reads headers.

    Parameters
    ----------
    modality, library_id
        As of `read_tissue`.

    Raises
    ------
    NotFoundError
        There is no such library.
    """
    library, _ = _library(modality, library_id)
    if "images" not in library:
        return ()
    keys = members(modality.handle.child_group(library, "images"))
    return (*(key for key in IMAGE_KEYS if key in keys), *(key for key in keys if key not in IMAGE_KEYS))


def read_tissue(modality: Modality, library_id: str | None = None, img_key: str | None = None) -> Tissue:
    """Read the picture of a tissue.

    Reads the image, up to `MOST_BYTES`, in pieces; keeps up to `MOST_PIXELS` of it.

    Parameters
    ----------
    modality
        Whose `uns["spatial"]` it is.
    library_id
        Which library; `None`: the only one.
    img_key
        Which image; `None`: the best one.

    Raises
    ------
    NotFoundError
        There is no such library, image or scale; or there are several libraries.
    ElementError
        The image is no picture, is too large or damaged, or its scale is no number above 0.
    """
    library, name = _library(modality, library_id)
    handle = modality.handle
    images = handle.child_group(library, "images")
    keys = members(images)
    if img_key is None:
        img_key = next(iter(image_keys(modality, name)), None)
    if img_key is None or img_key not in keys:
        raise NotFoundError(f"{handle.place(images.name)} has no image {img_key!r}{nearest(str(img_key), keys)}")
    array = handle.child_array(images, img_key)
    step = _step(modality, array)
    scale = _factor(modality, library, f"tissue_{img_key}_scalef")
    if scale is None:
        raise NotFoundError(f"{handle.place(library.name)}/scalefactors has no tissue_{img_key}_scalef.")
    height, width = (array.shape or ())[:2]
    return Tissue(
        name,
        img_key,
        _as_picture(_read(modality, array, step)),
        scale,
        (width / scale, height / scale),
        _factor(modality, library, "spot_diameter_fullres"),
    )


def read_spot_diameter(modality: Modality, library_id: str | None = None) -> float | None:
    """Read how wide the spots of a library are, in units of `obsm["spatial"]`; `None`: the file does not say it.

    Parameters
    ----------
    modality, library_id
        As of `read_tissue`.

    Raises
    ------
    NotFoundError
        There is no such library, or there are several.
    ElementError
        It is no number above 0.
    """
    library, _ = _library(modality, library_id)
    return _factor(modality, library, "spot_diameter_fullres")


def _library(modality: Modality, library_id: str | None) -> tuple[Group, str]:
    handle, found = modality.handle, libraries(modality)
    place = handle.place(f"{modality.path}/uns/spatial")
    if library_id is None and len(found) == 1:
        library_id = found[0]
    if library_id is None:
        ways = f"name one of {', '.join(found[:5])} as library_id" if found else "there is no picture of a tissue"
        raise NotFoundError(f"{place} has {len(found)} libraries: {ways}.")
    if library_id not in found:
        raise NotFoundError(f"{place} has no library {library_id!r}{nearest(library_id, found)}")
    return handle.group(f"{modality.path}/uns/spatial/{library_id}"), library_id


def _factor(modality: Modality, library: Group, name: str) -> float | None:
    """Return a scale factor of a library; `None`: the file does not have it."""
    handle = modality.handle
    factors = handle.child_group(library, "scalefactors")
    if name not in factors:
        return None
    node = handle.child(factors, name)
    try:
        value = float(np.asarray(elements.read(handle, node)).reshape(()))
    except (TypeError, ValueError) as error:
        raise ElementError(f"{handle.place(node.name)} is no number.") from error
    if not (np.isfinite(value) and value > 0):
        raise ElementError(f"{handle.place(node.name)} is {value:g}; a number above 0 was expected.")
    return value


def _step(modality: Modality, array: Array) -> int:
    """Return of how many pixels along each axis one is kept."""
    place, shape = modality.handle.place(array.name), array.shape or ()
    is_picture = (len(shape) == 2 or (len(shape) == 3 and shape[2] in {1, 3, 4})) and array.dtype.kind in "biuf"
    if not is_picture or not all(shape):
        raise ElementError(f"{place} is {array.dtype} of shape {shape}; a picture (height, width, 3) was expected.")
    if array.nbytes > MOST_BYTES:
        raise ElementError(
            f"{place} has {array.nbytes:,} bytes; at most {MOST_BYTES:,} are read. Take a smaller image."
        )
    return int(np.ceil(np.sqrt(max(shape[0] * shape[1] / MOST_PIXELS, 1))))


def _read(modality: Modality, array: Array, step: int) -> NDArray[Any]:
    """Read the image in pieces of rows, every `step`-th pixel of it."""
    n_rows = (array.shape or (0,))[0]
    rows = max(1, READ_BYTES * n_rows // array.nbytes // step) * step
    pieces = [
        modality.handle.read(array, slice(start, min(start + rows, n_rows)))[::step, ::step]
        for start in range(0, n_rows, rows)
    ]
    return np.concatenate(pieces)


def _as_picture(image: NDArray[Any]) -> NDArray[np.uint8]:
    """Return an image as `(height, width, 3 or 4)` uint8, as matplotlib shows it; floats may be 0 to 255, too."""
    if image.ndim == 2:
        image = image[..., None]
    if image.shape[2] == 1:
        image = np.repeat(image, 3, axis=2)
    if image.dtype.kind == "b":
        return image.astype(np.uint8) * np.uint8(255)
    if image.dtype.kind == "f":
        known = np.nan_to_num(image.astype(np.float32), posinf=np.inf, neginf=-np.inf)
        if known.max(initial=0.0) <= BRIGHTEST:
            known = known * 255
        return np.rint(np.clip(known, 0, 255)).astype(np.uint8)
    if image.dtype == np.uint16 and image.max(initial=0) > 255:
        return (image >> 8).astype(np.uint8)
    return image.clip(0, 255).astype(np.uint8)
