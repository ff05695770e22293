"""The genes at the right: finding and listing them."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cellasso.core.errors import CellassoError
from cellasso.model.vector import Vector
from cellasso_app.panels.genes.component import GenesPanel
from cellasso_app.render.cell_values import gene_vector, page_name
from cellasso_app.render.coloring_cache import READ_AHEAD, coloring_cache
from cellasso_app.runtime.document_loop import when_live
from cellasso_app.runtime.jobs import LatestJob
from cellasso_app.state.gene_list import find_genes, not_found
from cellasso_app.state.session import MAX_GENES

if TYPE_CHECKING:
    from cellasso.core.progress import Progress
    from cellasso_app.state.session import Session

SUGGESTIONS = 30
MAX_SEARCH = 200
"""Characters of a name that is searched for; the page asks for nothing longer."""


@dataclass(frozen=True)
class _Found:
    """What looking names up brings back."""

    genes: list[tuple[str, str]]  # name as `Dataset.read_feature` takes it, and label
    problem: str  # which names were not found; empty when all were


class GenesView:
    """Search and list of genes.

    Parameters
    ----------
    session
        Whose genes these are.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._searching: LatestJob[dict[str, Any]] = LatestJob(self._suggest, self._fail_gene)
        self._reading_ahead: LatestJob[None] = LatestJob(lambda _: None, lambda _: None)
        self._preparing: LatestJob[None] = LatestJob(lambda _: None, lambda _: None, urgency=session.urgency)
        self._checking: LatestJob[_Found] = LatestJob(self._take, self._fail_gene)
        self.panel = GenesPanel(
            on_message=self._on_message, on_refused=self._fail_gene, sizing_mode="stretch_width", margin=0
        )
        session.param.watch(
            self._list, ["modality", "matrix", "normalise", "genes", "views", "active", "as_categories"]
        )
        session.param.watch(self._prepare_search, ["modality", "matrix"])
        self._list()
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
