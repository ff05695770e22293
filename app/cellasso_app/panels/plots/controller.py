"""The plots of the genes that were chosen, of all that `registry` has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import panel as pn
from cachetools import LRUCache

from cellasso.color.coloring import Categories
from cellasso.stats.group_summary import GroupSummary, count_groups
from cellasso_app.panels.plots.component import PlotsBar
from cellasso_app.panels.plots.registry import PLOTS, make_plot
from cellasso_app.render.cell_values import gene_vector, obs_vector, page_name, read_cell_values
from cellasso_app.runtime.jobs import LatestJob

if TYPE_CHECKING:
    from collections.abc import MutableMapping, Sequence

    from cellasso.core.progress import Progress
    from cellasso.dataset import Dataset
    from cellasso.model.vector import Vector
    from cellasso_app.state.session import Session

MAX_GROUPS = 60
"""Rows of a dotplot; a column with more categories says that only its first ones are shown."""

MIN_PLOT = 160
"""Pixels that the dotplot's groups are seen in at least; more of them scroll."""

MAX_KNOWN = 1000
"""Genes whose summaries are kept, so that a further gene costs only its own; 10 KB each for 255 groups."""

TEACHING = "Choose genes above: each becomes a column of dots here."


@dataclass(frozen=True)
class _Summed:
    """What a summing job brings back."""

    genes: tuple[str, ...]
    groups: tuple[str, ...]
    summary: GroupSummary
    n_cut: int  # groups that are not shown


class PlotsView:
    """A plot of the chosen genes, what its cells are grouped by, and what its marks mean.

    Parameters
    ----------
    session
        Whose genes these are.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._known: LRUCache[tuple[Vector, str], GroupSummary] = LRUCache(MAX_KNOWN)  # of a gene each
        self._summing: LatestJob[_Summed] = LatestJob(
            self._show, self._fail, self._show_progress, urgency=session.urgency
        )
        self.bar = PlotsBar(on_message=self._on_message, on_refused=self._refuse, sizing_mode="stretch_width", margin=0)
        self._plot = make_plot(next(iter(PLOTS)), dark=session.dark)
        self.key = self._plot.key
        self.bar.label = self._plot.label
        self._pane = pn.pane.Bokeh(self._plot.figure, sizing_mode="stretch_both", margin=0, visible=False)
        scroll = pn.Column(
            self._pane,
            sizing_mode="stretch_both",
            margin=0,
            styles={"flex": f"1 0 {MIN_PLOT}px", "overflow": "hidden auto", "scrollbar-width": "thin"},
        )
        self.parts = (self.bar, scroll, self.key)
        session.param.watch(self._list, ["modality", "group_by", "as_categories"])
        session.param.watch(self._sum, ["genes", "matrix", "normalise", "group_by"])
        session.param.watch(self._change_theme, ["dark"])
        self._list()
        self._sum()

    def _list(self, *_events: object) -> None:
        self.bar.param.update(columns=self._session.category_columns(), group_by=self._session.group_by)

    def _on_message(self, message: dict[str, Any]) -> None:
        match message:
            case {"type": "group_by", "value": str(name)} if name in self._session.category_columns():
                self._session.group_by = name

    def _sum(self, *_events: object) -> None:
        session = self._session
        genes, group_by = tuple(session.genes), session.group_by
        if not genes or not group_by:
            self._summing.cancel()
            self._pane.visible = self.key.visible = False
            no_groups = "This file's obs has no column of categories to group cells by."
            self.bar.param.update(busy=False, message=TEACHING if group_by else no_groups)
            return
        self.bar.param.update(busy=True, fraction=0.0, message="")
        dataset, known = session.dataset, self._known
        vectors = [session.resolve(gene_vector(dataset, gene)) for gene in genes]

        def job(progress: Progress) -> _Summed:
            return _summarise(dataset, vectors, group_by, known=known, progress=progress)

        # the picture of the cells does not wait for the dots
        self._summing.submit(job, long=True, priority="when_idle")

    def _show(self, summed: _Summed) -> None:
        cut = f"The first {MAX_GROUPS} of {MAX_GROUPS + summed.n_cut:,} groups are shown." if summed.n_cut else ""
        self.bar.param.update(busy=False, message=cut)
        self._plot.show(summed.summary, _axis_names(self._session, summed.genes), summed.groups)
        self._pane.visible = self.key.visible = True

    def _change_theme(self, _event: object) -> None:
        self._plot.set_theme(dark=self._session.dark)

    def _refuse(self, sentence: str) -> None:
        self.bar.message = sentence

    def _show_progress(self, fraction: float) -> None:
        self.bar.fraction = fraction

    def _fail(self, sentence: str) -> None:
        self.bar.param.update(busy=False, message=sentence)


def _summarise(
    dataset: Dataset,
    genes: Sequence[Vector],
    group_by: str,
    *,
    known: MutableMapping[tuple[Vector, str], GroupSummary],
    progress: Progress,
) -> _Summed:
    groups = read_cell_values(dataset, obs_vector(dataset, group_by), as_categories=True).coloring
    if not isinstance(groups, Categories):
        raise TypeError(f"{group_by} was offered as a grouping column but holds numbers")
    n_groups = min(len(groups.labels), MAX_GROUPS)
    codes = groups.codes if n_groups == len(groups.labels) else _within(groups.codes, n_groups)
    fresh: dict[tuple[str | None, bool], list[Vector]] = {}
    for gene in genes:
        if (gene, group_by) not in known:
            fresh.setdefault((gene.layer, gene.normalised), []).append(gene)
    for (layer, normalised), those in fresh.items():  # one pass for all genes of a matrix
        names = [page_name(gene) for gene in those]
        found = dataset.summarise(names, codes, n_groups, layer=layer, normalised=normalised, progress=progress)
        for slot, gene in enumerate(those):
            known[gene, group_by] = found.of_features([slot])
    parts = [known[gene, group_by] for gene in genes]
    summary = GroupSummary.side_by_side(count_groups(codes, n_groups), parts)
    n_all = len(groups.labels) + max(0, groups.n_folded - 1)  # "other" is one of the labels
    return _Summed(tuple(map(page_name, genes)), groups.labels[:n_groups], summary, n_all - n_groups)


def _axis_names(session: Session, genes: Sequence[str]) -> list[str]:
    """Return the labels of genes, all different, without their modality when it is one for all."""
    owners = {session.dataset.owner(gene)[0].name for gene in genes}
    prefix = f"{owners.pop()}:" if len(owners) == 1 else ""
    labels = [session.label(gene) for gene in genes]
    # several accessions may share one symbol; dots of equal names would lie upon each other
    shown = [label if labels.count(label) == 1 else gene for gene, label in zip(genes, labels, strict=True)]
    return [name.removeprefix(prefix) if prefix != ":" else name for name in shown]


def _within(codes: Any, n_groups: int) -> Any:
    kept = codes.copy()
    kept[kept >= n_groups] = -1
    return kept
