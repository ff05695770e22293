"""The genes on the right: finding them, listing them, and their dotplot."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import panel as pn
from cachetools import LRUCache

from cellasso.color.coloring import Categories
from cellasso.color.palettes import COLOR_MAPS
from cellasso.core.errors import CellassoError
from cellasso.model.vector import Vector
from cellasso.stats.group_summary import GroupSummary, count_groups
from cellasso_app.figures.dotplot import Dotplot, color_limits, largest_dot
from cellasso_app.panels.genes.component import GenesPanel
from cellasso_app.panels.plots.component import DotplotKey, PlotsBar
from cellasso_app.render.cell_values import gene_vector, obs_vector, page_name, read_cell_values
from cellasso_app.render.coloring_cache import READ_AHEAD, coloring_cache
from cellasso_app.runtime.document_loop import when_live
from cellasso_app.runtime.jobs import LatestJob
from cellasso_app.state.gene_list import find_genes, not_found
from cellasso_app.state.session import MAX_GENES

if TYPE_CHECKING:
    from collections.abc import MutableMapping, Sequence

    from cellasso.core.progress import Progress
    from cellasso.dataset import Dataset
    from cellasso_app.state.session import Session

SUGGESTIONS = 30
MAX_SEARCH = 200
"""Characters of a name that is searched for; the page asks for nothing longer."""

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


@dataclass(frozen=True)
class _Found:
    """What looking names up brings back."""

    genes: list[tuple[str, str]]  # name as `Dataset.read_feature` takes it, and label
    problem: str  # which names were not found; empty when all were


class GenesView:
    """Search, list and dotplot of genes.

    Parameters
    ----------
    session
        Whose genes these are.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._known: LRUCache[tuple[Vector, str], GroupSummary] = LRUCache(MAX_KNOWN)  # of a gene each
        self._searching: LatestJob[dict[str, Any]] = LatestJob(self._suggest, self._fail_gene)
        self._reading_ahead: LatestJob[None] = LatestJob(lambda _: None, lambda _: None)
        self._preparing: LatestJob[None] = LatestJob(lambda _: None, lambda _: None, urgency=session.urgency)
        self._checking: LatestJob[_Found] = LatestJob(self._take, self._fail_gene)
        self._summing: LatestJob[_Summed] = LatestJob(
            self._show, self._fail, self._show_progress, urgency=session.urgency
        )
        self.panel = GenesPanel(
            on_message=self._on_message, on_refused=self._fail_gene, sizing_mode="stretch_width", margin=0
        )
        self.bar = PlotsBar(
            on_message=self._on_message, on_refused=self._fail_gene, sizing_mode="stretch_width", margin=0
        )
        self.key = DotplotKey(
            colors=list(COLOR_MAPS[session.dark][::12]), sizing_mode="stretch_width", height=32, margin=0, visible=False
        )
        self._dotplot = Dotplot(dark=session.dark)
        self._pane = pn.pane.Bokeh(self._dotplot.figure, sizing_mode="stretch_both", margin=0, visible=False)
        self._scroll = pn.Column(
            self._pane,
            sizing_mode="stretch_both",
            margin=0,
            styles={"flex": f"1 0 {MIN_PLOT}px", "overflow": "hidden auto", "scrollbar-width": "thin"},
        )
        self.layout = pn.Column(
            self.panel,
            self.bar,
            self._scroll,
            self.key,
            sizing_mode="stretch_both",
            margin=0,
            styles={
                "flex": "1 0 auto",
                "height": "auto",
            },  # never less than its parts: in a low window the whole side scrolls
        )
        session.param.watch(
            self._list, ["modality", "matrix", "normalise", "genes", "views", "active", "as_categories"]
        )
        session.param.watch(self._sum, ["genes", "matrix", "normalise", "group_by"])
        session.param.watch(self._prepare_search, ["modality", "matrix"])
        session.param.watch(self._change_theme, ["dark"])
        self._list()
        self._sum()
        when_live(self._prepare_search)

    def _list(self, *_events: object) -> None:
        session = self._session
        modality = session.current
        color = session.view.color
        counts = bool(modality.matrices) and modality.holds_counts(session.matrix)
        self.panel.param.update(
            genes=[{"name": gene, "label": session.label(gene)} for gene in session.genes],
            active=page_name(color) if color is not None and color.kind == "gene" else "",
            matrices=list(modality.matrices),
            matrix=session.matrix,
            scale=("log" if session.normalise else "counts") if counts else "",
            n_features=len(modality.features(session.matrix)) if modality.matrices else modality.n_vars,
            message="",
        )
        self.bar.param.update(columns=session.category_columns(), group_by=session.group_by)

    def _on_message(self, message: dict[str, Any]) -> None:
        session = self._session
        match message:
            case {"type": "search", "text": str(text), "number": int(number)}:
                self._search(text, number)
            case {"type": "add", "gene": str(gene)}:
                self._add(gene)
            case {"type": "remove", "gene": str(gene)}:
                session.remove_gene(gene)
            case {"type": "color", "gene": str(gene)}:
                session.change_view(color=gene_vector(session.dataset, gene))
            case {"type": "matrix", "value": str(name)} if name in session.current.matrices:
                session.matrix = name
            case {"type": "scale", "value": "log" | "counts" as scale}:
                session.normalise = scale == "log"
            case {"type": "group_by", "value": str(name)} if name in session.category_columns():
                session.group_by = name

    def _prepare_search(self, *_events: object) -> None:
        """Arrange the names of the features once the picture is there, before anybody types."""
        session = self._session
        features = session.current.features(session.matrix)

        def job(_progress: Progress) -> None:
            with suppress(CellassoError):  # a search will say what is wrong with them
                features.prepare()

        self._preparing.submit(job, long=True, priority="when_idle")

    def _search(self, text: str, number: int) -> None:
        if len(text) > MAX_SEARCH:
            self._fail_gene(f"A gene is searched for by at most {MAX_SEARCH} characters of its name.")
            return
        modality, matrix = self._session.current, self._session.matrix

        def job(_progress: Progress) -> dict[str, Any]:
            features = modality.features(matrix)
            found = [suggestion._asdict() for suggestion in features.search(text, limit=SUGGESTIONS)]
            return {"type": "suggestions", "number": number, "found": found, "n_duplicates": features.n_duplicates}

        self._searching.submit(job)

    def _add(self, typed: str) -> None:
        session = self._session
        modality, matrix = session.current, session.matrix
        prefix = f"{session.modality}:" if session.modality else ""

        def job(_progress: Progress) -> _Found:
            features = modality.features(matrix)
            genes = find_genes(features, typed, prefix)
            names = [str(features.names[position]) for position in genes.positions]
            return _Found([(prefix + name, prefix + features.label(name)) for name in names], not_found(genes))

        self._checking.submit(job)

    def _take(self, found: _Found) -> None:
        """Put found genes on the list: a single one also colours the cells."""
        session = self._session
        n_before = len(session.genes)
        if len(found.genes) == 1:
            session.add_gene(*found.genes[0])
        else:
            session.add_genes(found.genes)
        full = n_before + len(found.genes) > MAX_GENES == len(session.genes)
        sentences = [found.problem, f"The list keeps the last {MAX_GENES}." if full else ""]
        if any(sentences):
            self._fail_gene(" ".join(filter(None, sentences)))

    def _suggest(self, found: dict[str, Any]) -> None:
        self.panel.send(found)
        session, names = self._session, [suggestion["name"] for suggestion in found["found"][:1]]
        if not names or session.dataset.n_obs < READ_AHEAD:
            return
        key, dataset = session.resolve_color(Vector("gene", names[0], session.modality)), session.dataset

        def job(progress: Progress) -> None:
            if not session.needs_scan(key.vector):
                coloring_cache(dataset).guess(dataset, key, progress=progress)

        self._reading_ahead.submit(job)  # while the user still looks at what is suggested

    def _fail_gene(self, sentence: str) -> None:
        self.panel.message = sentence

    # -- dotplot --------------------------------------------------------------------------------------

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

        self._summing.submit(
            job, long=True, priority="when_idle"
        )  # the picture of the cells does not wait for the dots

    def _show(self, summed: _Summed) -> None:
        cut = f"The first {MAX_GROUPS} of {MAX_GROUPS + summed.n_cut:,} groups are shown." if summed.n_cut else ""
        self.bar.param.update(busy=False, message=cut)
        self._dotplot.show(summed.summary, _axis_names(self._session, summed.genes), summed.groups)
        low, high = color_limits(summed.summary)
        self.key.param.update(low=low, high=high, largest=largest_dot(len(summed.genes)), visible=True)
        self._pane.visible = True

    def _change_theme(self, _event: object) -> None:
        dark = self._session.dark
        self._dotplot.set_theme(dark=dark)
        self.key.colors = list(COLOR_MAPS[dark][::12])

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
