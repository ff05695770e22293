"""Genes summed over groups of cells, as the plots show them; what is summed once is kept."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from cellasso.color.coloring import Categories
from cellasso.stats.expressed import count_expressed
from cellasso.stats.group_summary import GroupSummary, count_groups
from cellasso_app.render.cell_values import obs_vector, page_name, read_cell_values

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableMapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from cellasso.core.progress import Progress
    from cellasso.dataset import Dataset
    from cellasso.model.vector import Vector
    from cellasso_app.state.session import Session

MAX_GROUPS = 60
"""Rows of a plot; a column with more categories says that only its first ones are shown."""


@dataclass(frozen=True)
class Summed:
    """Genes summed over the groups of a column.

    Attributes
    ----------
    genes
        Names, as the page has them.
    groups
        Labels of the groups that are shown.
    summary
        `(n_groups, n_genes)`.
    grouping
        The column.
    n_cut
        Groups that are not shown.
    """

    genes: tuple[str, ...]
    groups: tuple[str, ...]
    summary: GroupSummary
    grouping: Categories
    n_cut: int

    @property
    def codes(self) -> NDArray[np.int16]:
        """Group of each cell among those that are shown, `(n_obs,)`; -1 in none."""
        codes: NDArray[np.int16] = _within(self.grouping.codes, len(self.groups))
        return codes


def summarise(
    dataset: Dataset,
    genes: Sequence[Vector],
    group_by: str,
    *,
    known: MutableMapping[tuple[Vector, str, float], GroupSummary],
    progress: Progress,
    cutoff: float = 0.0,
) -> Summed:
    """Sum genes over the categories of a column, each matrix in one pass.

    Parameters
    ----------
    genes
        May be of different matrices.
    known
        What is summed already, by gene, column and cutoff; what is new is added.
    cutoff
        A cell expresses a gene whose value is above it; one other than 0 reads the genes' columns.
    """
    groups = read_grouping(dataset, group_by)
    n_groups = min(len(groups.labels), MAX_GROUPS)
    codes = _within(groups.codes, n_groups)
    fresh = [gene for gene in genes if (gene, group_by, 0.0) not in known]
    for gene, found in zip(fresh, _sums(dataset, fresh, codes, n_groups, progress=progress), strict=True):
        known[gene, group_by, 0.0] = found
    fresh = [gene for gene in genes if (gene, group_by, cutoff) not in known]
    for slot, column in read_each(dataset, fresh, progress=progress):
        above = count_expressed(column, codes, n_groups, cutoff).n_above
        known[fresh[slot], group_by, cutoff] = replace(known[fresh[slot], group_by, 0.0], n_above=above[:, None])
    parts = [known[gene, group_by, cutoff] for gene in genes]
    summary = GroupSummary.side_by_side(count_groups(codes, n_groups), parts)
    n_all = len(groups.labels) + max(0, groups.n_folded - 1)  # "other" is one of the labels
    return Summed(tuple(map(page_name, genes)), groups.labels[:n_groups], summary, groups, n_all - n_groups)


def sum_over(
    dataset: Dataset, genes: Sequence[Vector], codes: NDArray[np.integer], n_groups: int, *, progress: Progress
) -> GroupSummary:
    """Sum genes over any groups of cells, each matrix in one pass.

    Parameters
    ----------
    genes
        May be of different matrices.
    codes
        Group of each cell, `(n_obs,)`; -1 in none.
    n_groups
        How many there are.
    """
    parts = _sums(dataset, genes, codes, n_groups, progress=progress)
    return GroupSummary.side_by_side(count_groups(codes, n_groups), parts)


def _sums(
    dataset: Dataset, genes: Sequence[Vector], codes: NDArray[np.integer], n_groups: int, *, progress: Progress
) -> list[GroupSummary]:
    found: dict[Vector, GroupSummary] = {}
    for (layer, normalised), those in _by_matrix(genes):
        names = [page_name(gene) for gene in those]
        summary = dataset.summarise(names, codes, n_groups, layer=layer, normalised=normalised, progress=progress)
        found.update({gene: summary.of_features([slot]) for slot, gene in enumerate(those)})
    return [found[gene] for gene in genes]


def read_grouping(dataset: Dataset, column: str) -> Categories:
    """Read a column of categories.

    Raises
    ------
    CellassoError
        It cannot be read.
    """
    groups = read_cell_values(dataset, obs_vector(dataset, column), as_categories=True).coloring
    if not isinstance(groups, Categories):
        raise TypeError(f"{column} was offered as a grouping column but holds numbers")
    return groups


def read_each(
    dataset: Dataset, genes: Sequence[Vector], *, progress: Progress
) -> Iterator[tuple[int, NDArray[np.generic]]]:
    """Yield the slot of each gene and its values, `(n_obs,)`; few of them are in memory at a time.

    Parameters
    ----------
    genes
        May be of different matrices.
    """
    if not genes:
        return
    from cellasso.pl.columns import read_columns  # noqa: PLC0415 - HoloViews takes a second to import
    from cellasso.pl.features import Features  # noqa: PLC0415

    slots: dict[Vector, list[int]] = {}
    for slot, gene in enumerate(genes):
        slots.setdefault(gene, []).append(slot)
    n_read = 0
    for (layer, normalised), those in _by_matrix(list(slots)):
        features = Features(tuple(map(page_name, those)), (), layer, normalised)
        for at, column in read_columns(dataset, features, progress=progress):
            n_read += 1
            progress(n_read / len(slots))
            for slot in slots[those[at]]:
                yield slot, column


def _by_matrix(genes: Sequence[Vector]) -> Iterator[tuple[tuple[str | None, bool], list[Vector]]]:
    found: dict[tuple[str | None, bool], list[Vector]] = {}
    for gene in genes:
        found.setdefault((gene.layer, gene.normalised), []).append(gene)
    yield from found.items()


def axis_names(session: Session, genes: Sequence[str]) -> list[str]:
    """Return the labels of genes, all different, without their modality when it is one for all."""
    owners = {session.dataset.owner(gene)[0].name for gene in genes}
    prefix = f"{owners.pop()}:" if len(owners) == 1 else ""
    labels = [session.label(gene) for gene in genes]
    # several accessions may share one symbol; dots of equal names would lie upon each other
    shown = [label if labels.count(label) == 1 else gene for gene, label in zip(genes, labels, strict=True)]
    return [name.removeprefix(prefix) if prefix != ":" else name for name in shown]


def _within(codes: Any, n_groups: int) -> Any:
    if codes.max(initial=-1) < n_groups:
        return codes
    kept = codes.copy()
    kept[kept >= n_groups] = -1
    return kept
