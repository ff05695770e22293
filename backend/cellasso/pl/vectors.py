"""Which values of the cells a plot shows: a name and scanpy's arguments for the matrix, understood in one place."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cellasso.core.errors import ElementError, NotFoundError
from cellasso.dataset import Dataset
from cellasso.model.vector import Vector
from cellasso.pl.features import choose_features

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cellasso.dataset import Modality


def find_vector(
    dataset: Dataset | Modality,
    name: str,
    *,
    use_raw: bool | None = None,
    layer: str | None = None,
    normalised: bool = False,
) -> Vector:
    """Return what a plot means by a name: a column of obs, a feature, a dimension of obsm, or a sum.

    Parameters
    ----------
    dataset
        The file, or a modality of it.
    name
        As `Vectors.resolve` takes it; a feature may also be one that raw or the layer alone has.
    use_raw, layer, normalised
        From which matrix a feature is read, as of `choose_features`; nothing else heeds them, nor does a name that
        says it itself (`counts/CD4`).

    Raises
    ------
    NotFoundError, AmbiguousNameError
        There is nothing of that name, no such matrix, or the name may mean two things.
    ElementError
        Both raw and a layer are asked for.
    """
    try:
        found = dataset.vectors.resolve(name)
    except NotFoundError:
        other = _of_other_matrix(dataset, name, use_raw=use_raw, layer=layer)
        if other is None:
            raise
        found = other
    if found.kind != "gene" or found.layer is not None or found.normalised:
        return found
    named = f"{found.modality}:{found.name}" if found.modality else found.name
    chosen = choose_features(dataset, named, use_raw=use_raw, layer=layer, normalised=normalised)
    owner = dataset[found.modality] if isinstance(dataset, Dataset) else dataset
    if chosen.layer is not None and chosen.layer not in owner.matrices:
        raise NotFoundError(
            f"{owner.handle.name} has no matrix {chosen.layer!r}; there are {', '.join(owner.matrices)}."
        )
    return replace(found, layer=chosen.layer, normalised=normalised)


def _of_other_matrix(
    dataset: Dataset | Modality, name: str, *, use_raw: bool | None, layer: str | None
) -> Vector | None:
    """Return the feature that raw or a layer has under a name and X does not; `None`: they have none either."""
    matrix = layer if layer is not None else "raw" if use_raw is not False else None
    if matrix is None:
        return None
    if not isinstance(dataset, Dataset):
        return Vector("gene", name) if dataset.has_feature(name, matrix) else None
    try:
        owner, inner = dataset.feature_owner(name, matrix)
    except NotFoundError:
        return None
    return Vector("gene", inner, dataset.name_of(owner)) if owner.has_feature(inner, matrix) else None


def vector_name(vector: Vector) -> str:
    """Return what plots call a vector: a column or feature of a modality as `rna:CD4`, others as they print."""
    if vector.kind in {"obs", "gene"}:
        return f"{vector.modality}:{vector.name}" if vector.modality else vector.name
    return str(vector)


def read_values(dataset: Dataset | Modality, vector: Vector) -> pd.Series | NDArray[Any]:
    """Read a vector, `(n_obs,)`, as `Vectors.read_kept`: a series of obs, an array of anything else.

    Parameters
    ----------
    dataset
        The file, or a modality of it.
    vector
        As of `find_vector`.

    Raises
    ------
    NotFoundError, ElementError
        As `Vectors.read`; and a feature whose values are no numbers.
    """
    values = dataset.vectors.read_kept(vector)
    if vector.kind == "obs":
        return values
    if not pd.api.types.is_numeric_dtype(values.dtype):
        raise ElementError(f"{vector_name(vector)} holds {values.dtype}; numbers were expected.")
    # a series where the modality lacks cells: an array says that by NaN
    return values.to_numpy(np.float64, na_value=np.nan) if isinstance(values, pd.Series) else values


def read_numbers(dataset: Dataset | Modality, vector: Vector) -> NDArray[np.float64]:
    """Read a vector as numbers, `(n_obs,)` float64; NaN for a cell without a value.

    Parameters
    ----------
    dataset, vector
        As of `read_values`.

    Raises
    ------
    NotFoundError, ElementError
        As `read_values`; and a column that holds no numbers.
    """
    values = read_values(dataset, vector)
    if isinstance(values, pd.Series):
        is_bool = pd.api.types.is_bool_dtype(values.dtype)
        if is_bool or not pd.api.types.is_numeric_dtype(values.dtype):
            raise ElementError(f"{vector_name(vector)} holds {values.dtype}; numbers were expected.")
        return values.to_numpy(dtype=np.float64, na_value=np.nan)
    return values.astype(np.float64)
