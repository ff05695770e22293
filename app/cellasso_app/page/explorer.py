"""The explorer's page: its parts side by side, around one session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import panel as pn

from cellasso_app.page.view_grid import Views
from cellasso_app.panels.app_bar.component import AppBar
from cellasso_app.panels.genes.controller import GenesView
from cellasso_app.panels.inspection.component import Inspection
from cellasso_app.panels.inspection.controller import describe
from cellasso_app.panels.plots.controller import PlotsView
from cellasso_app.panels.problems.component import Problems
from cellasso_app.panels.selection.controller import SelectionView
from cellasso_app.render.coloring_cache import READ_AHEAD, coloring_cache
from cellasso_app.runtime.document_loop import when_live
from cellasso_app.runtime.jobs import LatestJob
from cellasso_app.state.session import Session
from cellasso_app.ui.component import ROOT, THEME

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cellasso.core.progress import Progress
    from cellasso.dataset import Dataset


def _side(side: str) -> dict[str, Any]:
    """Lay a panel out at a side of the embedding, as wide as the page's style says for the window's width."""
    inner = {"left": "right", "right": "left"}[side]
    styles = {
        "width": f"var(--{side})",
        "flex": "none",
        "visibility": f"var(--{side}-visibility)",
        "overflow": "hidden auto",  # in a low window the panels at a side are scrolled together
        "scrollbar-width": "thin",
        f"border-{inner}": "1px solid var(--line)",
        "background": "var(--panel)",
    }
    return {"sizing_mode": "stretch_both", "margin": 0, "styles": styles}  # the style has the last word on width


class Explorer(pn.viewable.Viewer):
    """The explorer of one dataset for one user.

    Parameters
    ----------
    dataset
        An open file.
    export_dir
        Where subsets are written.
    files
        Names of all files of this server, to switch between.
    file
        Which of them this one is.
    height
        In CSS: it takes all the width that there is, and this much of whatever page it is put into.
    """

    def __init__(
        self,
        dataset: Dataset,
        *,
        export_dir: Path,
        files: Sequence[str] = (),
        file: str = "",
        height: str = "720px",
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # param's has no types
        self.session = session = Session(dataset)
        self.views = Views(session)
        self.genes = GenesView(session)
        self.plots = PlotsView(session, self.views.picking)
        self.selecting = SelectionView(session, export_dir, picking=self.views.picking)
        self.app_bar = AppBar(
            on_message=self._on_message,
            on_refused=self._refuse,
            files=list(files) or [dataset.file_path.name],
            file=file or dataset.file_path.name,
            n_obs=dataset.n_obs,
            sizing_mode="stretch_width",
            height=44,
            margin=0,
        )
        self.problems = Problems(sizing_mode="stretch_width", margin=0, visible=False)
        self.inspection = Inspection(on_message=self._on_message, height=0, margin=0)
        self._inspecting: LatestJob[dict[str, Any]] = LatestJob(
            self._show_report, lambda error: self._show_report({"error": error})
        )
        self._reading_ahead: LatestJob[None] = LatestJob(lambda _: None, lambda _: None, urgency=session.urgency)
        if dataset.n_obs >= READ_AHEAD:
            when_live(self._read_ahead)
        session.param.watch(self._refresh, ["selection", "modality"])
        self._refresh()
        self._layout = self._lay_out(height)

    def _lay_out(self, height: str) -> pn.Column:
        return pn.Column(
            self.app_bar,
            self.problems,
            self.inspection,
            pn.Row(
                pn.Column(self.views.cells_panel, **_side("left")),
                self.views.layout,
                pn.Column(self._at_the_right(), self.selecting.panel, **_side("right")),
                sizing_mode="stretch_both",
                margin=0,
                styles={"min-height": "0"},
            ),
            sizing_mode="stretch_both",
            margin=0,
            css_classes=[ROOT],
            styles={"flex": "none", "height": height, "width": "100%"},
            stylesheets=[THEME, f":host {{ --height: {height}; }}"],
        )

    def _at_the_right(self) -> pn.Column:
        # never less than its parts: in a low window the whole side scrolls
        styles = {"flex": "1 0 auto", "height": "auto"}
        return pn.Column(self.genes.panel, self.plots.panel, sizing_mode="stretch_both", margin=0, styles=styles)

    def __panel__(self) -> pn.viewable.Viewable:
        return self._layout

    @property
    def is_reading_ahead(self) -> bool:
        """Whether columns are being read that may be asked for next, or wait for the first picture."""
        return self._reading_ahead.is_busy

    def tell_of(self, problems: Sequence[str]) -> None:
        """Say which other files of this server cannot be opened, and why."""
        self.problems.param.update(sentences=list(problems), visible=bool(problems))

    def _refuse(self, sentence: str) -> None:
        self.views.active.status.warning = sentence

    def _refresh(self, *_events: object) -> None:
        session = self.session
        self.app_bar.param.update(
            modalities=session.modalities,
            modality=session.modality,
            n_selected=session.selection.n if session.selection is not None else None,
            can_undo=session.can_undo,
            can_redo=session.can_redo,
        )

    def _read_ahead(self) -> None:
        """Once the first picture is there, read the columns that may be asked for next."""
        session = self.session
        kinds = ("category", "boolean", "number")  # these are read fast, the first ones fastest
        named = [(kinds.index(c["kind"]), c["name"]) for c in session.columns() if c["kind"] in kinds]
        keys = [session.obs_key(name) for _, name in sorted(named, key=lambda each: each[0])]
        kept = coloring_cache(session.dataset)

        def job(progress: Progress) -> None:
            for key in keys:
                progress(0.0)
                kept.read_ahead(session.dataset, key, progress=progress)

        self._reading_ahead.submit(job, long=True, priority="when_idle")

    def _show_report(self, report: dict[str, Any]) -> None:
        self.inspection.report = report

    def _on_message(self, message: dict[str, Any]) -> None:
        session = self.session
        match message:
            case {"type": "modality", "value": str(name)} if name in session.modalities:
                session.choose_modality(name)
            case {"type": "inspect"}:
                self._inspecting.submit(lambda _: describe(session.dataset), long=True)
            case {"type": "undo"}:
                self.views.picking.in_turn(session.undo)
            case {"type": "redo"}:
                self.views.picking.in_turn(session.redo)
            case {"type": "clear"}:
                self.views.picking.in_turn(session.clear)
            case {"type": "theme", "dark": bool(dark)}:
                session.dark = dark
