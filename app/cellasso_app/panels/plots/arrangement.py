"""How a plot of genes by groups is laid out: scaled, ordered, turned; and its numbers as a table."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cellasso.stats.dendrogram import dendrogram_of
from cellasso.stats.group_summary import unit_scaled
from cellasso.write.table import no_formula
from cellasso_app.panels.plots.spans import Spans
from cellasso_app.render.labels import short_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from cellasso.stats.dendrogram import Dendrogram
    from cellasso.stats.group_summary import GroupSummary

SCALES = {"": "as they are", "var": "each gene from 0 to 1", "group": "each group from 0 to 1"}
"""What the page calls the ways of scaling means, by scanpy's `standard_scale`."""


SIZES = {"1": "fitted", "1.5": "large", "2": "larger"}
"""What the page calls the heights of rows, by how often the usual one."""


@dataclass(frozen=True)
class Arrangement:
    """What the user chose.

    Attributes
    ----------
    scale
        One of `SCALES`.
    similar
        Whether groups stand beside those that are most alike, by the means of the genes shown, with their tree.
    swapped
        Whether genes are the rows.
    cutoff
        A cell expresses a gene whose value is above it.
    size
        One of `SIZES`.
    """

    scale: str = ""
    similar: bool = False
    swapped: bool = False
    cutoff: float = 0.0
    size: str = "1"

    def changed(self, choice: dict[str, Any]) -> Arrangement:
        """Return it with one choice taken over, if it is one of those that are offered."""
        match choice:
            case {"scale": str(scale)} if scale in SCALES:
                return replace(self, scale=scale)
            case {"similar": bool(similar)}:
                return replace(self, similar=similar)
            case {"swapped": bool(swapped)}:
                return replace(self, swapped=swapped)
            case {"cutoff": float() | int() as cutoff} if np.isfinite(cutoff) and cutoff >= 0:
                return replace(self, cutoff=float(cutoff))
            case {"size": str(size)} if size in SIZES:
                return replace(self, size=size)
        return self


@dataclass(frozen=True)
class Arranged:
    """Genes by groups as they are shown.

    Attributes
    ----------
    genes, groups
        Their names, in the order in which they are shown.
    short
        The same of the groups, short enough for an axis, each another.
    mean, fraction
        `(n_groups, n_genes)`; means scaled as chosen, NaN for a group without values.
    n_cells
        Cells of each group, `(n_groups,)`.
    limits
        Values at both ends of the colours.
    swapped, cutoff, size
        As of `Arrangement`.
    tree
        Of the groups, in their order; `None` where none is asked for.
    """

    genes: tuple[str, ...]
    groups: tuple[str, ...]
    short: tuple[str, ...]
    mean: NDArray[np.float64]
    fraction: NDArray[np.float64]
    n_cells: NDArray[np.int64]
    limits: tuple[float, float]
    swapped: bool
    cutoff: float = 0.0
    size: float = 1.0
    tree: Dendrogram | None = None

    @property
    def spans(self) -> Spans:
        """Where the groups stand, a row or column of 1 each."""
        return Spans.columns(len(self.groups)) if self.swapped else Spans.rows(len(self.groups))

    @property
    def columns(self) -> tuple[str, ...]:
        """What stands along x."""
        return self.short if self.swapped else self.genes

    @property
    def rows(self) -> tuple[str, ...]:
        """What stands along y, from the top."""
        return self.genes if self.swapped else self.short

    def marks(self) -> dict[str, Any]:
        """Return a row for each gene in each group, as Bokeh's sources have it; `x` and `y` name its place."""
        n_groups, n_genes = len(self.groups), len(self.genes)
        gene = list(self.genes) * n_groups
        group = np.repeat(np.array(self.short, dtype=object), n_genes).tolist()
        return {
            "gene": gene,
            "group": group,
            "x": group if self.swapped else gene,
            "y": gene if self.swapped else group,
            "name": np.repeat(np.array(self.groups, dtype=object), n_genes).tolist(),
            "mean": self.mean.ravel(),
            "fraction": self.fraction.ravel(),
            "cells": np.repeat(self.n_cells, n_genes),
        }

    def to_csv(self) -> str:
        """Return the numbers as CSV, a row for each gene in each group; names cannot be formulas of a spreadsheet."""
        header = ("group", "gene", "mean", f"fraction_above_{self.cutoff:g}", "cells_in_group")
        return as_csv(
            header,
            [
                (group, gene, float(self.mean[row, at]), float(self.fraction[row, at]), int(self.n_cells[row]))
                for row, group in enumerate(self.groups)
                for at, gene in enumerate(self.genes)
            ],
        )


def as_csv(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a table as CSV: numbers in full, and no name that a spreadsheet would take for a formula.

    Parameters
    ----------
    header
        Names of the columns.
    rows
        Texts and numbers.
    """
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    for row in (header, *rows):
        writer.writerow([no_formula(cell) if isinstance(cell, str) else repr(cell) for cell in row])
    return lines.getvalue()


def arrange(
    summary: GroupSummary, genes: Sequence[str], groups: Sequence[str], chosen: Arrangement = Arrangement()
) -> Arranged:
    """Lay out a summary.

    Parameters
    ----------
    summary
        `(n_groups, n_genes)`.
    genes
        What the screen calls them, each another name.
    groups
        Their names, in the order of the summary.
    chosen
        How.
    """
    tree = tree_of(summary.mean) if chosen.similar else None
    order = list(tree.order) if tree is not None else list(range(len(groups)))
    names = tuple(groups[i] for i in order)
    mean = _scaled(summary.mean, chosen.scale)[order]
    limits = color_limits(mean) if not chosen.scale else (0.0, 1.0)
    short = tuple(short_names(names))
    return Arranged(
        tuple(genes),
        names,
        short,
        mean,
        summary.fraction[order],
        summary.n_cells[order],
        limits,
        chosen.swapped,
        chosen.cutoff,
        float(chosen.size),
        tree,
    )


def tree_of(mean: NDArray[np.float64]) -> Dendrogram | None:
    """Return the tree in which groups with like means are neighbours; `None` of fewer than three, or than two genes.

    The tree that scanpy's dendrogram draws: correlation of the means, complete linkage.

    Parameters
    ----------
    mean
        `(n_groups, n_genes)`; a missing mean counts as 0.
    """
    if len(mean) < 3 or mean.shape[1] < 2:
        return None
    from scipy.cluster.hierarchy import linkage  # noqa: PLC0415 - takes a third of a second

    known = np.nan_to_num(mean)
    with np.errstate(invalid="ignore", divide="ignore"):
        # a group in which all genes are alike is like none
        likeness: Any = np.nan_to_num(np.corrcoef(known))
    above = np.triu_indices(len(known), k=1)
    return dendrogram_of(linkage(np.clip(1 - likeness[above], 0, 2), "complete"))


def color_limits(mean: NDArray[np.float64]) -> tuple[float, float]:
    """Return the means at both ends of the colours; from 0 when none is below it."""
    known = mean[np.isfinite(mean)]
    if not len(known):
        return 0.0, 1.0
    low, high = min(0.0, float(known.min())), float(known.max())
    return low, high if high > low else low + 1


def _scaled(mean: NDArray[np.float64], scale: str) -> NDArray[np.float64]:
    if not scale:
        return mean
    scaled: NDArray[np.float64] = np.where(np.isnan(mean), np.nan, unit_scaled(mean, 0 if scale == "var" else 1))
    return scaled
