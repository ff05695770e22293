"""What one user has chosen: the only state that changes, watched by the parts of the page.

What belongs to a view and what to the session says `view_state`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import param

from cellasso.core.errors import CellassoError
from cellasso.model.vector import Vector
from cellasso_app.render.cell_values import CELL_SUMS, ColoringKey, gene_vector, obs_vector, page_name, sum_vector
from cellasso_app.runtime.priority import Urgency
from cellasso_app.state.gene_list import find_genes
from cellasso_app.state.selection import History, step
from cellasso_app.state.underlay import Underlay
from cellasso_app.state.view_state import ViewState

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from cellasso.dataset import Dataset
    from cellasso.model.modality import Modality
    from cellasso.selection.recipe import Operation, Recipe
    from cellasso_app.state.selection import Selection

MAX_DIMS = 200
"""Dimensions of an embedding that are offered; an obsm with more holds something else than coordinates."""

MAX_GENES = 60
"""Genes on the list at once: what one dotplot can still show."""

PREFERRED_COLUMNS = ("cell_type", "celltype", "annotation", "bulk_labels", "clusters", "cluster", "leiden", "louvain")
"""What names cells, best first: people's words before the numbers of a clustering."""


def prefetch_metadata(dataset: Dataset) -> None:
    """Look up, off the event loop, all that a `Session` lists of a file: kinds of columns, matrices, embeddings.

    The dataset keeps it, for all sessions.
    """
    for modality in dataset.parts:
        for column in modality.obs:
            modality.obs.kind(column)
        for matrix in modality.matrices or (None,):
            len(modality.features(matrix)) if matrix is not None else modality.n_vars
            modality.holds_counts(matrix)
    dataset.embeddings  # noqa: B018 - found once, then kept


class Session(param.Parameterized):
    """The choices of one user on one dataset.

    Parameters
    ----------
    dataset
        Shared by all sessions, read-only.

    Attributes
    ----------
    urgency
        Which of its jobs others wait for: those that bring a new picture.
    """

    modality = param.String(doc='Whose genes and columns are offered; "" for an h5ad.')
    views = param.Parameter(doc="The `ViewState` of each view by its number, in the order they were made.")
    active = param.Integer(0, doc="Number of the view that choices are for.")
    matrix = param.String(doc="Which matrix genes are read from.")
    normalise = param.Boolean(True, doc="Whether counts are log-normalised before they are shown.")
    genes = param.List(doc="Chosen genes, named as `Dataset.read_feature` takes them.")
    group_by = param.String(doc="Column that groups the dotplot.")
    composition_by = param.String(doc="Column by which the selection is broken down.")
    selection = param.Parameter(doc="A `Selection` of one cell or more, or None.")
    said = param.String(doc="Why the last step of selecting changed nothing, in a sentence; empty when it did.")
    as_categories = param.Parameter(frozenset(), doc="Columns of whole numbers that are taken as categories.")
    hidden = param.Parameter({}, doc="Labels of categories that are not shown, by column.")
    recolored = param.Parameter({}, doc="Colours by label that were chosen for a column's categories, by column.")
    scales = param.Parameter({}, doc="How values become colours: a `Scale` by vector as chosen, if not the usual.")
    order = param.Parameter({}, doc="Which cells lie on top, a `raster.Order` by kind of colouring.")
    dot_size = param.Parameter(None, doc="Diameter of a cell in pixels; None adapts it.")
    crowds = param.Parameter("log", doc="How opacity rises with the cells of a pixel, a `ramp.Shading`.")
    downward = param.Boolean(True, doc="Whether y runs down where places in a tissue are shown, as in its image.")
    underlay = param.Parameter(Underlay(), doc="What lies under the cells, an `Underlay`.")
    tissue = param.String(doc="Which picture of a tissue lies under its cells, as `tissue_under` takes it.")
    labelled = param.Boolean(True, doc="Whether categories are named in the picture.")
    hover_columns = param.Parameter((), doc="Columns of obs that are told of the cell under the pointer.")
    dark = param.Boolean()

    def __init__(self, dataset: Dataset) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # param's has no types
        self.dataset = dataset
        self.urgency = Urgency()
        self.views = {0: ViewState()}
        self._n_views = 1
        self._history = History()
        self._labels: dict[str, str] = {}
        self._columns: dict[str, list[dict[str, str]]] = {}
        self.choose_modality(next(iter(self.modalities), ""))
        self.param.watch(self._unsay, ["selection", "hidden", "active"])

    # -- views ----------------------------------------------------------------------------------------

    @property
    def view(self) -> ViewState:
        """The choices of the active view."""
        state: ViewState = self.views[self.active]
        return state

    def change_view(self, number: int | None = None, **choices: Any) -> None:
        """Change choices of a view, by default of the active one."""
        number = self.active if number is None else number
        before: ViewState = self.views[number]
        after = replace(before, **choices)
        if after == before:
            return
        if after.shown != before.shown:
            self._unsay()
        self.views = {**self.views, number: after}

    def add_view(self) -> int:
        """Add a view that shows what the active one does; return its number."""
        self._n_views += 1
        number = self._n_views - 1
        self.views = {**self.views, number: replace(self.view, operation="replace")}
        return number

    def remove_view(self, number: int) -> None:
        """Forget a view, unless it is the only one; if it was active the last of the others is then."""
        others = {each: state for each, state in self.views.items() if each != number}
        if others:
            if number == self.active:
                self.active = list(others)[-1]
            self.views = others

    # -- what can be chosen ---------------------------------------------------------------------------

    @property
    def modalities(self) -> list[str]:
        """Names of the modalities; empty for an h5ad."""
        return list(self.dataset.modalities)

    @property
    def current(self) -> Modality:
        """The modality that is chosen."""
        return self.dataset[self.modality]

    def dims_of(self, embedding: str) -> list[int]:
        """Return which dimensions of an embedding can be drawn, the first `MAX_DIMS` of them; none without one."""
        return list(self.dataset.drawable_dims(embedding)[:MAX_DIMS]) if embedding else []

    def choose_embedding(self, name: str) -> None:
        """Show the first two dimensions of an embedding that can be drawn."""
        first, second = self.dims_of(name)[:2] or (0, 1)
        self.change_view(embedding=name, dims=(first, second), pair=None)

    def columns(self) -> list[dict[str, str]]:
        """Return name and kind of the columns of the global obs, and of the chosen modality's not among them."""
        if self.modality not in self._columns:
            self._columns[self.modality] = self._list_columns()
        return self._columns[self.modality]

    def _list_columns(self) -> list[dict[str, str]]:
        own = [(name, self.dataset.obs.kind(name)) for name in self.dataset.obs]
        known = {name for name, _ in own}
        further = [
            (f"{self.modality}:{name}", self.current.obs.kind(name))
            for name in (self.current.obs if self.modality else ())
            if name not in known and f"{self.modality}:{name}" not in known
        ]
        return [{"name": name, "kind": kind} for name, kind in own + further]

    def cell_sums(self) -> list[str]:
        """Return the sums that cells can be coloured by: those of a matrix of counts."""
        matrices = self.current.matrices
        return list(CELL_SUMS) if matrices and self.current.holds_counts(self.matrix) else []

    def category_columns(self) -> list[str]:
        """Return the columns that can group cells."""
        offered = {"category", "boolean"}
        return [c["name"] for c in self.columns() if c["kind"] in offered or c["name"] in self.as_categories]

    def layer_of(self, gene: str) -> str | None:
        """Return the matrix to read a gene from: the chosen one, where the gene's modality has it."""
        return self._layer_in(self.dataset.owner(gene)[0])

    def _layer_in(self, owner: Modality) -> str | None:
        return self.matrix if self.matrix in owner.matrices else next(iter(owner.matrices), None)

    def resolve(self, chosen: Vector) -> Vector:
        """Return what is read for a colour or an axis, as the choices stand: of which matrix, log-normalised or not."""
        if chosen.kind == "sum":
            return replace(chosen, modality=self.modality, layer=self.matrix)
        if chosen.kind != "gene":
            return chosen
        owner = self.dataset[chosen.modality]
        layer = self._layer_in(owner)
        return replace(chosen, layer=layer, normalised=self.normalise and owner.holds_counts(layer))

    def resolve_color(self, chosen: Vector) -> ColoringKey:
        """Return what is read to colour the cells, and whether whole numbers of it are categories."""
        return ColoringKey(self.resolve(chosen), chosen.kind == "obs" and page_name(chosen) in self.as_categories)

    def obs_key(self, column: str) -> ColoringKey:
        """Return the same of the column of obs that the page calls so."""
        return self.resolve_color(obs_vector(self.dataset, column))

    def needs_scan(self, vector: Vector) -> bool:
        """Whether reading a vector, as `resolve` returns it, goes through a whole matrix, and so may take seconds."""
        if vector.kind != "gene":
            return vector.kind == "sum"
        try:
            return not self.dataset[vector.modality].has_columns(vector.layer)
        except CellassoError:  # reading it will say why
            return True

    def find_number(self, typed: str) -> tuple[Vector, str]:
        """Return what of each cell's numbers is called so, and what people call it: a column of obs, a sum, or a gene.

        Raises
        ------
        NotFoundError
            Nothing is; the message lists the nearest genes.
        """
        typed = typed.strip()
        if any(column["name"] == typed and column["kind"] in {"number", "boolean"} for column in self.columns()):
            return obs_vector(self.dataset, typed), typed
        if typed in self.cell_sums():
            return sum_vector(typed), typed
        prefix = f"{self.modality}:" if self.modality else ""
        features = self.current.features(self.matrix)
        name = str(features.names[find_genes(features, typed, prefix).positions[0]])
        return Vector("gene", name, self.modality), prefix + features.label(name)

    # -- choosing ---------------------------------------------------------------------------------------

    def choose_modality(self, name: str) -> None:
        """Offer a modality's genes and columns, and show its embedding, coloured as it was if possible."""
        modality = self.dataset[name]
        own = [e for e in self.dataset.embeddings if self.dataset.owner(e)[0] is modality]
        embedding = next(iter(own or self.dataset.embeddings), "")
        with param.parameterized.batch_call_watchers(self):
            self.modality = name
            if own or not self.view.embedding:
                self.choose_embedding(embedding)
            self.matrix = next(iter(modality.matrices), "")
            columns = self.category_columns()
            best = _preferred(columns)
            self.group_by = self.group_by if self.group_by in columns else best
            self.composition_by = self.composition_by if self.composition_by in columns else best
            color = self.view.color
            if color is None or (color.kind == "obs" and not self._has_column(page_name(color))):
                self.change_view(color=obs_vector(self.dataset, best) if best else None)

    def hide(self, column: str, labels: Iterable[str], *, hidden: bool) -> None:
        """Hide categories of a column, or show them again."""
        before = self.hidden.get(column, frozenset())
        self._hide(column, before | set(labels) if hidden else before - set(labels))

    def isolate(self, column: str, label: str, labels: Iterable[str]) -> None:
        """Show one category of all that a column has."""
        self._hide(column, frozenset(labels) - {label})

    def show_all(self, column: str) -> None:
        """Show all categories of a column."""
        self._hide(column, frozenset())

    def _hide(self, column: str, labels: frozenset[str]) -> None:
        others = {name: those for name, those in self.hidden.items() if name != column}
        self.hidden = {**others, column: frozenset(labels)} if labels else others

    def treat_as_categories(self, column: str, value: bool) -> None:
        """Take a column of whole numbers as categories, so that it also groups cells, or as numbers again."""
        if not any(c["name"] == column and c["kind"] == "number" for c in self.columns()):
            return
        with param.parameterized.batch_call_watchers(self):
            self.as_categories = self.as_categories | {column} if value else self.as_categories - {column}
            columns = self.category_columns()
            best = _preferred(columns)
            self.group_by = self.group_by if self.group_by in columns else best
            self.composition_by = self.composition_by if self.composition_by in columns else best

    def add_genes(self, genes: Sequence[tuple[str, str]]) -> None:
        """Put genes with their labels on the list; what colours the cells stays."""
        self._labels |= {gene: label or gene for gene, label in genes}
        fresh = [gene for gene, _ in dict.fromkeys(genes) if gene not in self.genes]
        self.genes = [*self.genes, *fresh][-MAX_GENES:]

    def add_gene(self, gene: str, label: str = "") -> None:
        """Put a gene on the list, if it is not there, and colour by it; `label` is what people call it."""
        self._labels[gene] = label or gene
        with param.parameterized.batch_call_watchers(self):
            if gene not in self.genes:
                self.genes = [*self.genes, gene][-MAX_GENES:]
            self.change_view(color=gene_vector(self.dataset, gene))

    def take_labels(self, found: Iterable[tuple[Vector, str]]) -> None:
        """Keep what people call genes that are not on the list."""
        self._labels |= {page_name(vector): label for vector, label in found if vector.kind == "gene"}

    def label(self, gene: str) -> str:
        """Return what people call a gene on the list."""
        return self._labels.get(gene, gene)

    def label_of(self, vector: Vector) -> str:
        """Return what people call a vector."""
        return self.label(page_name(vector))

    def remove_gene(self, gene: str) -> None:
        """Take a gene off the list; when it coloured the cells, the grouping column does."""
        with param.parameterized.batch_call_watchers(self):
            self.genes = [other for other in self.genes if other != gene]
            if self.view.color == gene_vector(self.dataset, gene):
                self.change_view(color=obs_vector(self.dataset, self.group_by) if self.group_by else None)

    # -- selecting --------------------------------------------------------------------------------------

    def select(self, operation: Operation, recipe: Recipe, mask: NDArray[np.bool_], *, where: str = "there") -> None:
        """Combine what was just drawn or clicked with the selection there is; say so where that changes nothing.

        Parameters
        ----------
        mask
            Cells of the recipe, `(n_obs,)`.
        where
            For the sentence which says that these are none.
        """
        found = step(self.selection, operation, recipe, mask, where)
        if isinstance(found, str):
            self.said = found
        else:
            self._change(found)

    def invert(self, among: tuple[Recipe, NDArray[np.bool_]] | None = None) -> None:
        """Select all other cells, or all others among those of a recipe and its mask `(n_obs,)`, if there are any."""
        if self.selection is None:
            return
        others = self.selection.inverted()
        if among is not None:
            others = others.then("intersect", *among)
        if others.n:
            self._change(others)
        else:
            self.said = f"All{'' if among is None else ' shown'} cells are selected; there are no others."

    def clear(self) -> None:
        """Select nothing."""
        self._unsay()
        if self.selection is not None:
            self._change(None)

    def undo(self) -> None:
        """Go back to the selection before."""
        if self._history.can_undo:
            self.selection = self._history.undo(self.selection)

    def redo(self) -> None:
        """Take back an undo."""
        if self._history.can_redo:
            self.selection = self._history.redo(self.selection)

    @property
    def can_undo(self) -> bool:
        """Whether there is a selection before."""
        return self._history.can_undo

    @property
    def can_redo(self) -> bool:
        """Whether an undo can be taken back."""
        return self._history.can_redo

    def _change(self, selection: Selection | None) -> None:
        self._history.leave(self.selection)
        self.selection = selection if selection is None or selection.n else None

    def _unsay(self, *_events: object) -> None:
        self.said = ""

    def _has_column(self, name: str) -> bool:
        return any(column["name"] == name for column in self.columns())


def _preferred(columns: list[str]) -> str:
    """Return the column that most likely names the cells."""
    for wanted in PREFERRED_COLUMNS:
        for column in columns:
            if column.rpartition(":")[2].casefold() == wanted:
                return column
    return next(iter(columns), "")
