"""The plots of the genes that were chosen, of all that `registry` has."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import panel as pn
from cachetools import LRUCache

from cellasso.color.coloring import Categories
from cellasso.stats.group_summary import GroupSummary, count_groups
from cellasso_app.panels.plots.arrangement import SCALES, Arrangement, arrange
from cellasso_app.panels.plots.component import PlotsBar
from cellasso_app.panels.plots.registry import PLOTS, make_plot
from cellasso_app.render.cell_values import gene_vector, obs_vector, page_name, read_cell_values
from cellasso_app.runtime.jobs import LatestJob

if TYPE_CHECKING:
    from collections.abc import MutableMapping, Sequence

    from cellasso.core.progress import Progress
    from cellasso.dataset import Dataset
    from cellasso.model.vector import Vector
    from cellasso_app.panels.plots.arrangement import Arranged
    from cellasso_app.panels.plots.base import Plot
    from cellasso_app.state.session import Session
    from cellasso_app.views.embedding.picking import Picking

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
    grouping: Categories
    n_cut: int  # groups that are not shown


class PlotsView:
    """A plot of the chosen genes, what its cells are grouped by, and what its marks mean.

    Parameters
    ----------
    session
        Whose genes these are.
    picking
        What a click on a group selects through; `None`: it selects nothing.
    """

    def __init__(self, session: Session, picking: Picking | None = None) -> None:
        self._session, self._picking = session, picking
        self._summed: _Summed | None = None
        self._shown: Arranged | None
        self._known: LRUCache[tuple[Vector, str], GroupSummary] = LRUCache(MAX_KNOWN)  # of a gene each
        self._summing: LatestJob[_Summed] = LatestJob(
            self._show, self._fail, self._show_progress, urgency=session.urgency
        )
        self._arrangement, self._shown = Arrangement(), None
        self._plots = {name: make_plot(name, dark=session.dark) for name in PLOTS}
        self._name = next(iter(PLOTS))
        self.bar = PlotsBar(
            on_message=self.receive,
            on_refused=self._refuse,
            plots=[{"value": name, "label": plot.label} for name, plot in self._plots.items()],
            figures=[plot.figure.name for plot in self._plots.values()],
            sizing_mode="stretch_width",
            margin=0,
        )
        self._panes = {
            name: pn.pane.Bokeh(plot.figure, sizing_mode="stretch_both", margin=0, visible=False)
            for name, plot in self._plots.items()
        }
        scroll = pn.Column(
            *self._panes.values(),
            sizing_mode="stretch_both",
            margin=0,
            styles={"flex": f"1 0 {MIN_PLOT}px", "overflow": "hidden auto", "scrollbar-width": "thin"},
        )
        self.parts = (self.bar, scroll, *(plot.key for plot in self._plots.values()))
        self._offer()
        session.param.watch(self._list, ["modality", "group_by", "as_categories"])
        session.param.watch(self._sum, ["genes", "matrix", "normalise", "group_by"])
        session.param.watch(self._change_theme, ["dark"])
        self._list()
        self._sum()

    def _list(self, *_events: object) -> None:
        self.bar.param.update(columns=self._session.category_columns(), group_by=self._session.group_by)

    @property
    def plot(self) -> Plot:
        """The plot that is chosen."""
        return self._plots[self._name]

    def receive(self, message: dict[str, Any]) -> None:
        """Do what the browser asks of the plot."""
        match message:
            case {"type": "group_by", "value": str(name)} if name in self._session.category_columns():
                self._session.group_by = name
            case {"type": "plot", "value": str(name)} if name in self._plots:
                self._name = name
                self._offer()
                self._redraw()
            case {"type": "arrange", "choice": dict(choice)}:
                self._arrangement = self._arrangement.changed(choice)
                self._offer()
                self._redraw()
            case {"type": "pick", "row": str(row), "column": str(column), "add": bool(add)}:
                self._pick(row, column, add=add)
            case {"type": "csv"} if self._shown is not None:
                name = f"{self._session.group_by}.csv"
                self.bar.send({"type": "file", "name": name, "bytes": self._shown.to_csv().encode()})

    def _offer(self) -> None:
        """Show which plot is chosen, and how it is laid out."""
        scales = [{"value": value, "label": label} for value, label in SCALES.items()]
        chosen = {**asdict(self._arrangement), "scales": scales}
        self.bar.param.update(plot=self._name, label=self.plot.label, arrangement=chosen)

    def _pick(self, row: str, column: str, *, add: bool) -> None:
        """Select the cells of the group that was clicked on."""
        shown, summed = self._shown, self._summed
        if shown is None or summed is None or self._picking is None:
            return
        name = column if shown.swapped else row
        if name in shown.short:
            label = shown.groups[shown.short.index(name)]
            self._picking.category(summed.grouping, label, "add" if add else "replace")

    def _sum(self, *_events: object) -> None:
        session = self._session
        genes, group_by = tuple(session.genes), session.group_by
        if not genes or not group_by:
            self._summing.cancel()
            self._summed = self._shown = None
            self._redraw()
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
        self._summed = summed
        self._redraw()

    def _redraw(self) -> None:
        """Show the plot that is chosen, laid out as it is chosen; nothing where nothing is summed."""
        summed = self._summed
        if summed is not None:
            names = _axis_names(self._session, summed.genes)
            self._shown = arrange(summed.summary, names, summed.groups, self._arrangement)
            self.plot.show(self._shown)
        for name, plot in self._plots.items():
            self._panes[name].visible = plot.key.visible = summed is not None and name == self._name

    def _change_theme(self, _event: object) -> None:
        for plot in self._plots.values():
            plot.set_theme(dark=self._session.dark)

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
    return _Summed(tuple(map(page_name, genes)), groups.labels[:n_groups], summary, groups, n_all - n_groups)


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
