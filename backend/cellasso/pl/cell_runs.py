"""Cells along an axis, group after group: each alone where they are few, else means of neighbouring ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from cellasso.core.errors import ElementError
from cellasso.pl.columns import read_columns
from cellasso.stats.group_summary import summarise_groups, unit_scaled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cellasso.dataset import Dataset, Modality
    from cellasso.pl.features import Features
    from cellasso.pl.groups import Groups

    CellScale: TypeAlias = Literal["var", "obs"] | None

MAX_RUNS = 2_000
"""Runs of a plot, about as many as a screen has pixels; one for each group at least."""


@dataclass(frozen=True)
class CellRuns:
    """Values of features in cells, or in runs of neighbouring cells of a group.

    Attributes
    ----------
    groups, features
        In their order along the axes.
    values
        Of each run, `(n_runs, n_features)` float64: means of its cells.
    ends
        Where the runs of each group end, `(n_groups,)`.
    most
        Cells of a run at most; 1: every cell stands alone.
    """

    groups: Groups
    features: Features
    values: NDArray[np.float64]
    ends: NDArray[np.int64]
    most: int

    @property
    def starts(self) -> NDArray[np.int64]:
        """Where the runs of each group start, `(n_groups,)`."""
        return np.concatenate([[0], self.ends[:-1]])

    def note(self, what: str) -> str:
        """Return what is to be said of runs of several cells; nothing where each cell stands alone.

        Parameters
        ----------
        what
            What of the plot shows a run.
        """
        return "" if self.most == 1 else f"each {what} is the mean of up to {self.most:,} cells"


def read_cell_runs(
    dataset: Dataset | Modality,
    features: Features,
    groups: Groups,
    *,
    log: bool = False,
    standard_scale: CellScale = None,
    max_runs: int = MAX_RUNS,
) -> CellRuns:
    """Read features of cells that are sorted by group; cells of a group stay in the order of the file.

    By `Dataset.summarise`, with runs for groups.

    Parameters
    ----------
    dataset
        The file, or a modality of it.
    features, groups
        What is shown.
    log
        Whether of the values their `log1p` is taken.
    standard_scale
        Whether the values that are shown of each feature (`"var"`) or run (`"obs"`) are scaled from 0 to 1.
    max_runs
        More cells are averaged in runs, the same number from each group in proportion to its cells.

    Raises
    ------
    NotFoundError, ElementError
        As `read_columns`; `standard_scale` is none of the two.
    """
    if standard_scale not in {None, "var", "obs"}:
        raise ElementError(f"standard_scale={standard_scale!r} is not known; it is 'var', 'obs' or None.")
    codes, n_runs, most = sorted_runs(groups, max_runs)
    total = int(n_runs.sum())
    if log:
        values = np.full((total, len(features)), np.nan)
        for slot, column in read_columns(dataset, features, log=True):
            values[:, slot] = summarise_groups([column], codes, total).mean[:, 0]
    else:
        values = dataset.summarise(
            features.names, codes, total, layer=features.layer, normalised=features.normalised
        ).mean
    found = CellRuns(groups, features, values, np.cumsum(n_runs), most)
    if standard_scale is None:
        return found
    return replace(found, values=unit_scaled(values, 0 if standard_scale == "var" else 1))


def sorted_runs(groups: Groups, max_runs: int = MAX_RUNS) -> tuple[NDArray[np.int32], NDArray[np.int64], int]:
    """Return the run of each cell `(n_obs,)`, how many runs each group has, and the cells of a run at most.

    Parameters
    ----------
    groups, max_runs
        As of `read_cell_runs`.
    """
    n_cells = groups.n_cells
    size = -(-int(n_cells.sum()) // max_runs) or 1
    if (-(-n_cells // size)).sum() > max_runs:  # the last run of each group is shorter
        size = -(-int(n_cells.sum()) // max(1, max_runs - len(groups)))
    n_runs = -(-n_cells // size)
    known = np.flatnonzero(groups.codes >= 0)
    group = groups.codes[known].astype(np.int16 if len(groups) < 1 << 15 else np.int32)
    order = known[np.argsort(group, kind="stable")]
    codes = np.full(len(groups.codes), -1, dtype=np.int32)
    ranks: Any = np.arange(len(order)) - np.repeat(np.cumsum(n_cells) - n_cells, n_cells)
    within = ranks * np.repeat(n_runs, n_cells) // np.repeat(n_cells, n_cells)  # runs of a group are as long
    codes[order] = np.repeat(np.cumsum(n_runs) - n_runs, n_cells) + within
    most = int((-(-n_cells // np.maximum(n_runs, 1))).max(initial=1))
    return codes, n_runs, most
