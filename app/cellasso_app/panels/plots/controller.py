"""The plots of the genes that were chosen, of all that `registry` has."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import panel as pn
from cachetools import LRUCache

from cellasso_app.panels.plots.arrangement import SCALES, SIZES, Arrangement, arrange
from cellasso_app.panels.plots.asked import Asked, Drawn
from cellasso_app.panels.plots.component import PlotFrame, PlotsBar
from cellasso_app.panels.plots.registry import DRAWN, KEPT, label_of, make_plot
from cellasso_app.panels.plots.summing import MAX_GROUPS, axis_names, read_grouping, summarise
from cellasso_app.render.cell_values import gene_vector
from cellasso_app.runtime.jobs import LatestJob

if TYPE_CHECKING:
    from collections.abc import Callable

    from cellasso.color.coloring import Categories
    from cellasso.core.progress import Progress
    from cellasso.model.vector import Vector
    from cellasso.stats.group_summary import GroupSummary
    from cellasso_app.panels.plots.arrangement import Arranged
    from cellasso_app.panels.plots.base import Plot
    from cellasso_app.panels.plots.drawn.show import FigureFormat
    from cellasso_app.state.session import Session
    from cellasso_app.views.embedding.picking import Picking

MIN_PLOT = 160
"""Pixels that the dotplot's groups are seen in at least; more of them scroll."""

MAX_KNOWN = 1000
"""Genes whose summaries are kept, so that a further gene costs only its own; 10 KB each for 255 groups."""

TEACHING = "Choose genes above: each becomes a column of dots here."

NO_GROUPS = "This file's obs has no column of categories to group cells by."


@dataclass(frozen=True)
class _Shown:
    """What a job brings back.

    Attributes
    ----------
    asked
        What was asked for.
    drawn
        Of a plot that is drawn anew.
    figures
        The same as JSON for the browser.
    """

    asked: Asked
    drawn: Drawn | None = None
    figures: str = ""


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
        self._shown: _Shown | None = None
        self._arranged: Arranged | None = None
        self._known: LRUCache[tuple[Vector, str, float], GroupSummary] = LRUCache(MAX_KNOWN)  # of a gene each
        self._summing: LatestJob[_Shown] = LatestJob(
            self._show, self._fail, self._show_progress, urgency=session.urgency
        )
        self._saving: LatestJob[dict[str, Any]] = LatestJob(self._hand_over, self._fail)
        self._arrangement, self._pieces = Arrangement(), ""
        self._plots = {name: make_plot(name, dark=session.dark) for name in KEPT}
        self._name = next(iter(KEPT))
        self.bar = PlotsBar(
            on_message=self.receive,
            on_refused=self._refuse,
            plots=[{"value": name, "label": label_of(name)} for name in (*KEPT, *DRAWN)],
            figures=[plot.figure.name for plot in self._plots.values()],
            sizing_mode="stretch_width",
            margin=0,
        )
        panes = [pn.pane.Bokeh(plot.figure, sizing_mode="stretch_both", margin=0) for plot in self._plots.values()]
        self._frame = PlotFrame(
            on_message=self.receive, on_refused=self._refuse, sizing_mode="stretch_both", margin=0, visible=False
        )
        scroll = pn.Column(
            *panes,
            self._frame,
            sizing_mode="stretch_both",
            margin=0,
            styles={"flex": f"1 0 {MIN_PLOT}px", "overflow": "hidden auto", "scrollbar-width": "thin"},
        )
        # its parts lie in the column around it as if they were its own, until they fill the window
        self.panel = pn.Column(
            self.bar,
            scroll,
            *(plot.key for plot in self._plots.values()),
            sizing_mode="stretch_both",
            margin=0,
            css_classes=["cellasso-plots"],
            styles={"display": "contents"},
        )
        self._offer()
        session.param.watch(self._list, ["modality", "group_by", "as_categories"])
        session.param.watch(self._sum, ["genes", "matrix", "normalise", "group_by", "recolored"])
        session.param.watch(self._change_theme, ["dark"])
        self._list()
        self._sum()

    def receive(self, message: dict[str, Any]) -> None:
        """Do what the browser asks of the plot."""
        match message:
            case {"type": "group_by", "value": str(name)} if name in self._session.category_columns():
                self._session.group_by = name
            case {"type": "pieces", "value": str(name)} if name in self._session.category_columns():
                self._pieces = name
                self._sum()
            case {"type": "plot", "value": str(name)} if name in {*KEPT, *DRAWN}:
                self._choose(name)
            case {"type": "arrange", "choice": dict(choice)}:
                self._arrange(self._arrangement.changed(choice))
            case {"type": "pick", "x": float(x) | int(x), "y": float(y) | int(y), "add": bool(add)}:
                self._pick(x, y, add=add)
            case {"type": "fill", "value": bool(fill)}:
                for plot in self._plots.values():
                    plot.fill(whole=fill)
            case {"type": "save", "format": "csv"}:
                self._save_table()
            case {"type": "save", "format": "png" | "svg" as file_format}:
                self._save_figure(file_format)
            case {"type": "cancel"}:
                self._summing.cancel()
                self._saving.cancel()
                self.bar.param.update(busy=False, message="Stopped; choose something else to draw it anew.")

    @property
    def plot(self) -> Plot:
        """The plot that is chosen, where it is one that is kept."""
        return self._plots[self._name]

    # -- what is chosen -------------------------------------------------------------------------------

    @property
    def is_drawn(self) -> bool:
        """Whether the plot is drawn anew each time."""
        return self._name in DRAWN

    def _list(self, *_events: object) -> None:
        columns = self._session.category_columns()
        if self._pieces not in columns:
            self._pieces = next((name for name in columns if name != self._session.group_by), "")
        self.bar.param.update(columns=columns, group_by=self._session.group_by)

    def _offer(self) -> None:
        """Show which plot is chosen, and how it is laid out."""
        chosen = {
            **asdict(self._arrangement),
            "scales": [{"value": value, "label": label} for value, label in SCALES.items()],
            "sizes": [{"value": value, "label": label} for value, label in SIZES.items()],
            "of_genes": self._needs_genes,
            "has_cutoff": self._name == "dotplot",
        }
        self.bar.param.update(
            plot=self._name, label=label_of(self._name), arrangement=chosen, pieces=self._pieces_shown
        )

    @property
    def _pieces_shown(self) -> str:
        """Which column the pieces of the plot are; empty where it has none."""
        return self._pieces or self._session.group_by if self.is_drawn and DRAWN[self._name].of_pieces else ""

    @property
    def _needs_genes(self) -> bool:
        return not self.is_drawn or DRAWN[self._name].of_genes

    def _choose(self, name: str) -> None:
        """Show another plot; of two that are kept the sums are the same, but for a cutoff."""
        same = {name, self._name} <= set(KEPT) and not self._arrangement.cutoff and self._shown is not None
        self._name = name
        if same:
            self._offer()
            self._redraw()
        else:
            self._sum()

    def _arrange(self, chosen: Arrangement) -> None:
        before, self._arrangement = self._arrangement, chosen
        if self.is_drawn or chosen.cutoff != before.cutoff:
            self._sum()
        else:
            self._offer()
            self._redraw()

    # -- reading and showing -----------------------------------------------------------------------------

    def _sum(self, *events: Any) -> None:
        if {event.name for event in events} == {"recolored"} and not self.is_drawn:
            return  # dots have the colours of their means
        self._offer()
        session = self._session
        genes, group_by = tuple(session.genes), session.group_by
        if not group_by or (self._needs_genes and not genes):
            self._summing.cancel()
            self._shown = self._arranged = None
            self._redraw()
            self.bar.param.update(busy=False, message=TEACHING if group_by else NO_GROUPS)
            return
        self.bar.param.update(busy=True, fraction=0.0, message="")
        # the picture of the cells does not wait for the dots
        self._summing.submit(self._job(genes, group_by), long=True, priority="when_idle")

    def _job(self, genes: tuple[str, ...], group_by: str) -> Callable[[Progress], _Shown]:
        session, known, chosen, name = self._session, self._known, self._arrangement, self._name
        dataset, dark, recolored = session.dataset, session.dark, dict(session.recolored)
        genes = genes if self._needs_genes else ()
        vectors = tuple(session.resolve(gene_vector(dataset, gene)) for gene in genes)
        names, pieces = tuple(axis_names(session, genes)), self._pieces_shown
        cutoff = chosen.cutoff if name == "dotplot" else 0.0

        def job(progress: Progress) -> _Shown:
            summed = summarise(dataset, vectors, group_by, known=known, progress=progress, cutoff=cutoff)
            others = _recolored(read_grouping(dataset, pieces), recolored.get(pieces, {})) if pieces else None
            colors = _recolored(summed.grouping, recolored.get(group_by, {})).colors[: len(summed.groups)]
            asked = Asked(dataset, vectors, names, summed, colors, others, chosen, dark)
            if name not in DRAWN:
                return _Shown(asked)
            drawn = DRAWN[name].draw(asked, progress)
            progress(1.0)
            from cellasso_app.panels.plots.drawn.show import as_figures  # noqa: PLC0415 - imports HoloViews

            figures = as_figures(drawn, DRAWN[name].label, dark=dark, size=float(chosen.size))
            return _Shown(asked, drawn, figures)

        return job

    def _show(self, shown: _Shown) -> None:
        n_cut = shown.asked.summed.n_cut
        cut = f"The first {MAX_GROUPS} of {MAX_GROUPS + n_cut:,} groups are shown." if n_cut else ""
        notes = [note for note in (cut, shown.drawn.note if shown.drawn is not None else "") if note]
        self.bar.param.update(busy=False, message=" ".join(notes))
        self._shown = shown
        self._redraw()

    def _redraw(self) -> None:
        """Show the plot that is chosen, laid out as it is chosen; nothing where nothing is summed."""
        shown = self._shown
        if shown is not None and not self.is_drawn and shown.drawn is None:
            summed = shown.asked.summed
            self._arranged = arrange(summed.summary, shown.asked.names, summed.groups, self._arrangement)
            self._plots[self._name].show(self._arranged)
        elif shown is not None and shown.drawn is not None:
            self._frame.label = label_of(self._name)
            self._frame.send({"type": "plot", "json": shown.figures})
        if self._frame.visible and (shown is None or shown.drawn is None):
            self._frame.send({"type": "no_plot"})
        self._frame.visible = shown is not None and shown.drawn is not None
        for name, plot in self._plots.items():
            is_shown = shown is not None and shown.drawn is None and name == self._name
            plot.figure.visible = plot.key.visible = is_shown

    def _change_theme(self, _event: object) -> None:
        for plot in self._plots.values():
            plot.set_theme(dark=self._session.dark)
        if self.is_drawn:
            self._sum()

    # -- clicks and files ----------------------------------------------------------------------------------

    @property
    def _plotted(self) -> Arranged | Drawn | None:
        """What is on the screen; `None`: nothing."""
        return None if self._shown is None else self._shown.drawn or self._arranged

    def _pick(self, x: float, y: float, *, add: bool) -> None:
        """Select the cells of the group that was clicked on."""
        shown, plotted = self._shown, self._plotted
        if shown is None or plotted is None or self._picking is None:
            return
        at = plotted.spans.at(x, y)
        if at is not None:
            self._picking.category(shown.asked.summed.grouping, plotted.groups[at], "add" if add else "replace")

    def _save_table(self) -> None:
        if self._plotted is not None:
            table = self._plotted.to_csv().encode()
            self._hand_over({"type": "file", "name": f"{self._file_name}.csv", "bytes": table})

    def _save_figure(self, file_format: FigureFormat) -> None:
        shown, plotted, name, file_name = self._shown, self._plotted, self._name, self._file_name
        if shown is None or plotted is None:
            return

        def job(progress: Progress) -> dict[str, Any]:
            from cellasso_app.panels.plots.drawn.show import as_file, picture_of  # noqa: PLC0415 - imports HoloViews

            progress(0.0)
            overlays = plotted.overlays if isinstance(plotted, Drawn) else picture_of(shown.asked, plotted, name)
            content = as_file(overlays, file_format)
            return {"type": "file", "name": f"{file_name}.{file_format}", "bytes": content}

        self.bar.busy = True
        self._saving.submit(job, long=True)

    @property
    def _file_name(self) -> str:
        return "_".join(
            "".join(c if c.isalnum() or c in "_-" else "-" for c in part)
            for part in (self._name, self._session.group_by)
        )

    def _hand_over(self, message: dict[str, Any]) -> None:
        self.bar.busy = False
        self.bar.send(message)

    # -- what jobs tell --------------------------------------------------------------------------------------

    def _refuse(self, sentence: str) -> None:
        self.bar.message = sentence

    def _show_progress(self, fraction: float) -> None:
        self.bar.fraction = fraction

    def _fail(self, sentence: str) -> None:
        self.bar.param.update(busy=False, message=sentence)


def _recolored(column: Categories, chosen: dict[str, str]) -> Categories:
    """Return a column with the colours that were chosen for it, by label."""
    colors = tuple(chosen.get(label, color) for label, color in zip(column.labels, column.colors, strict=True))
    return replace(column, colors=colors)
