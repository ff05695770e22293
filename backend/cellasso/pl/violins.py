"""How features are distributed in groups, and the shapes of violins: what `violin` and `stacked_violin` draw."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from cellasso.core.errors import ElementError
from cellasso.pl.columns import read_columns
from cellasso.stats.density import Densities, group_densities

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cellasso.dataset import Dataset, Modality
    from cellasso.pl.features import Features
    from cellasso.pl.group_values import StandardScale
    from cellasso.pl.groups import Groups

    DensityNorm: TypeAlias = Literal["width", "area", "count"]

NORMS = ("width", "area", "count")

HALF_WIDTH = 0.4
"""Of a violin, where groups are 1 apart; seaborn's."""


def check_density_norm(density_norm: str) -> None:
    """Refuse another norm than those that there are.

    Raises
    ------
    ElementError
        It is none of `NORMS`.
    """
    if density_norm not in NORMS:
        raise ElementError(f"density_norm={density_norm!r} is not known; there are {', '.join(NORMS)}.")


def read_densities(
    dataset: Dataset | Modality,
    features: Features,
    groups: Groups,
    *,
    log: bool = False,
    standard_scale: StandardScale = None,
) -> list[Densities]:
    """Read features and return how each is distributed in each group; one feature is in memory at a time.

    Parameters
    ----------
    dataset
        The file, or a modality of it.
    features, groups
        What is shown.
    log
        Whether of the values their `log1p` is taken.
    standard_scale
        As scanpy's `stacked_violin` does it: the values of each feature (`"var"`) or of each cell over all features
        (`"group"`, which reads the features twice) are scaled from 0 to 1.

    Raises
    ------
    NotFoundError, ElementError
        As `read_columns`; `standard_scale` is none of the two.
    """
    if standard_scale not in {None, "var", "group"}:
        raise ElementError(f"standard_scale={standard_scale!r} is not known; it is 'var', 'group' or None.")
    of_cells = _CellRanges(dataset, features, log=log) if standard_scale == "group" else None
    found: dict[int, Densities] = {}
    for slot, column in read_columns(dataset, features, log=log):
        values = column if of_cells is None else of_cells.scaled(column)
        densities = group_densities(values, groups.codes, len(groups), n_cells=groups.n_cells)
        if standard_scale == "var":
            known = column[np.isfinite(column)]
            densities = densities.scaled(*((float(known.min()), float(known.max())) if len(known) else (0.0, 0.0)))
        found[slot] = densities
    return [found[slot] for slot in range(len(features))]


class _CellRanges:
    """The lowest and highest value of each cell among some features."""

    def __init__(self, dataset: Dataset | Modality, features: Features, *, log: bool) -> None:
        self._low = self._high = np.full(dataset.n_obs, np.nan)
        for _, column in read_columns(dataset, features, log=log):
            self._low, self._high = np.fmin(self._low, column), np.fmax(self._high, column)

    def scaled(self, column: NDArray[Any]) -> NDArray[np.float64]:
        """Return values between the two as 0 to 1; 0 where these are the same."""
        with np.errstate(invalid="ignore", divide="ignore"):
            scaled: NDArray[np.float64] = (column - self._low) / (self._high - self._low)
        scaled[np.isnan(scaled) & ~np.isnan(column)] = 0
        return scaled


def outline(
    support: NDArray[np.float64], widths: NDArray[np.float64], at: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the corners of a violin, x and y; of values that are all the same a flat one as wide as any.

    Parameters
    ----------
    support
        Values from the lowest to the highest, `(n_points,)`.
    widths
        How wide it is at each, 0 to 1; NaN where there is no density.
    at
        Where it stands along x.
    """
    if np.isnan(widths).any():
        x = np.array([at - HALF_WIDTH, at + HALF_WIDTH, at + HALF_WIDTH, at - HALF_WIDTH])
        return x, np.full(4, support[0])
    half = HALF_WIDTH * widths
    return np.concatenate([at - half, (at + half)[::-1]]), np.concatenate([support, support[::-1]])


def joined(shapes: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return outlines as one, with NaN between them: HoloViews takes 50 times as long for as many of their own.

    Parameters
    ----------
    shapes
        Corners x and y of each; at least one.
    """
    apart = np.array([np.nan])
    x, y = ([part for shape in shapes for part in (shape[axis], apart)][:-1] for axis in (0, 1))
    return np.concatenate(x), np.concatenate(y)
