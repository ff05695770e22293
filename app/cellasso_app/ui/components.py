"""The parts of the page: each a small component whose JavaScript stands beside it in `static/`.

They build their DOM from text nodes, so no name from a file ever becomes HTML. Values go to the browser
as parameters, and never come back that way: what the user does comes as one message, `{"type": …}`, of those
that the part `says`, to `on_message`.
"""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import param
from panel.custom import JSComponent

from cellasso_app.runtime.jobs import DocumentLoop
from cellasso_app.ui.messages import Flag, Items, Number, OneOf, Text, Whole, problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from bokeh.document import Document
    from bokeh.model import Model

    from cellasso_app.ui.messages import Says

logger = logging.getLogger(__name__)

STATIC = Path(__file__).parent / "static"
PAGE_STYLE = (STATIC / "page.css").read_text()


FOUR = Items(Number(), 4, 4)

DRAWING = OneOf(
    {
        "size": Number(),
        "order": Text(),
        "labelled": Flag(),
        "downward": Flag(),
        "hover": Items(Text()),
        "color_map": Text(),
        "clip": Number(),
        "log": Flag(),
        "reverse": Flag(),
        "centre": Flag(),
    },
    may_be_none=frozenset({"size"}),
)


def _script(name: str) -> str:
    """Return a component's module: the shared DOM functions and its own."""
    return (STATIC / "dom.js").read_text() + (STATIC / name).read_text()


class Part(JSComponent):
    """A part of the page.

    Parameters
    ----------
    on_message
        Called with each message that the part says.
    on_refused
        Called with a sentence for the user when it said something else, or something too long.
    """

    says: ClassVar[Says] = {}
    """What its script may tell."""

    _stylesheets: ClassVar[list[str]] = [(STATIC / "parts.css").read_text()]

    def __init__(
        self,
        *,
        on_message: Callable[[dict[str, Any]], None] | None = None,
        on_refused: Callable[[str], None] | None = None,
        **params: Any,
    ) -> None:
        super().__init__(**params)  # type: ignore[no-untyped-call] # Panel's has no types
        self._on_message = on_message
        self._on_refused = on_refused
        self._steps = DocumentLoop()
        self._shown = frozenset(self.param) - frozenset(JSComponent.param)  # what is its own, not any part's

    @property
    def _linked_properties(self) -> tuple[str, ...]:
        """Return which parameters a browser can set, as Panel asks: none."""
        return ()

    def _process_events(self, events: dict[str, Any]) -> None:
        """Refuse what a browser would set: parameters are the server's."""
        logger.warning("A browser tried to set %s of %s", ", ".join(map(str, events))[:200], type(self).__name__)

    def _handle_msg(self, data: Any) -> None:
        self.receive(data)

    def receive(self, data: Any) -> None:
        """Take a message as it came from a browser: hand it on, or say why it is refused."""
        if self._on_message is None:
            return
        refused = problem(data, self.says)
        if not refused:
            self._steps.take(partial(self._on_message, data))  # Panel calls without the document's lock
        elif self._on_refused is not None:
            self._steps.take(partial(self._on_refused, refused))

    def _update_properties(self, *events: param.parameterized.Event, doc: Document) -> dict[str, Any]:  # noqa: ARG002
        """Return the changes alone: Panel derives the stylesheets of its theme with each of them, which takes 4 ms."""
        changes = {event.name: event.new for event in events}
        properties: dict[str, Any] = self._process_param_change(changes)  # type: ignore[no-untyped-call] # nor has this
        return properties

    def _update_model(  # noqa: PLR0917 - as Panel calls it
        self,
        events: dict[str, param.parameterized.Event],
        changes: dict[str, Any],
        root: Model,
        model: Any,
        doc: Document,
        comm: Any,
    ) -> None:
        """Write changes of what the part shows into the model that is there, as plain data.

        Panel looks besides for parts inside of this one and for echoes of what a browser has set, of which there are
        neither: that took more than half of a change.
        """
        if changes.keys() <= self._shown:
            model.data.update(**changes)
        else:
            super()._update_model(events, changes, root, model, doc, comm)

    def send(self, message: dict[str, Any]) -> None:
        """Send a message to this part in the browser."""
        self._send_msg(message)


class AppBar(Part):
    """The bar at the top: file, modality, how many cells are selected, undo and redo, theme, keys."""

    _esm = _script("app_bar.js")
    says: ClassVar[Says] = {
        "modality": {"value": Text()},
        "undo": {},
        "redo": {},
        "clear": {},
        "theme": {"dark": Flag()},
    }

    files = param.List(doc="File names to choose from.")
    file = param.String()
    modalities = param.List()
    modality = param.String()
    n_obs = param.Integer()
    n_selected = param.Integer(allow_None=True, default=None)
    can_undo = param.Boolean()
    can_redo = param.Boolean()


class Inspection(Part):
    """A dialog that the app bar opens: what is wrong with the file, what it costs, and what is in it."""

    _esm = _script("inspection.js")
    says: ClassVar[Says] = {"inspect": {}}

    report = param.Dict(default={}, doc='What `describe` returns, once it was asked for; or `{"error"}`.')


class CellsPanel(Part):
    """The columns of obs; the one that colours the cells is open and shows its legend."""

    _esm = _script("cells_panel.js")
    says: ClassVar[Says] = {
        "color": {"column": Text()},
        "category": {"column": Text(), "label": Text(), "operation": Text()},
        "hide": {"label": Text(), "hidden": Flag()},
        "isolate": {"label": Text()},
        "show_all": {"column": Text()},
        "recolor": {"label": Text(), "color": Text()},
        "as_categories": {"column": Text(), "value": Flag()},
    }

    columns = param.List(doc="`{name, kind}` of each column, in the file's order.")
    active = param.String(doc="The column that colours the cells; empty when a gene does.")
    hidden = param.Dict(default={}, doc="Labels that are not shown, by column.")
    colors = param.Dict(default={}, doc="Colours by label that were chosen for the active column.")
    legend = param.Dict(doc="Rows with counts of a category, or range and histogram of numbers.")
    busy = param.Boolean()
    message = param.String(doc="Why the active column cannot be shown.")


class PlotBar(Part):
    """Above the embedding: which embedding, coloured by what, and the tools of the hand."""

    _esm = _script("plot_bar.js")
    says: ClassVar[Says] = {
        "embedding": {"value": Text()},
        "dims": {"x": Whole(), "y": Whole()},
        "pair": {"x": Text(), "y": Text()},
        "drawing": {"choice": DRAWING},
        "operation": {"operation": Text()},
        "fit": {},
        "zoom": {"factor": Number()},
        "figure": {"format": Text(), "dpi": Whole()},
        "add": {},
        "remove": {},
        "cancel": {},
    }

    figure = param.String(doc="Name of the Bokeh figure, with which those of its tools begin.")
    embeddings = param.List()
    embedding = param.String()
    dims_offered = param.List(doc="`{value, label}` of each dimension of the embedding that can be drawn.")
    dims = param.List(doc="Which two are drawn.")
    pair = param.List(doc="What is drawn instead of an embedding along x and y; empty when one is.")
    several = param.Boolean(doc="Whether other views stand beside this one.")
    active = param.Boolean(True, doc="Whether the choices are for this view.")
    full = param.Boolean(doc="Whether no further view has room.")
    numbers = param.List(doc="Columns that an axis can be.")
    drawing = param.Dict(default={}, doc="How cells are drawn, and can be drawn.")
    color = param.String(doc="What colours the cells.")
    color_source = param.String(doc="Which matrix a gene is from, as the screen says it.")
    busy = param.Boolean()
    fraction = param.Number(default=0.0)


class CellsLayer(Part):
    """The cells themselves, under the figure, as the server sends them, and which one is under the pointer."""

    _esm = _script("cells_layer.js")
    says: ClassVar[Says] = {
        "ready": {"pixel_ratio": Number()},
        "touched": {},
        "moved": {"view": FOUR, "number": Whole()},
        "point": {"at": FOUR, "number": Whole()},
        "polygon": {"polygon": Items(Items(Number(), 2, 2))},
        "too_long": {"corners": Whole()},
        "clear": {},
    }

    figure = param.String(doc="Name of the Bokeh figure above it.")
    column = param.String(doc="What colours the cells, as the legend names it.")
    scale = param.Dict(
        default={}, doc="Of a colour bar `colors` from low to high and `ticks`, (place, text); or empty."
    )


class StatusLine(Part):
    """Under the embedding: what is shown and how exact it is."""

    _esm = _script("status_line.js")

    text = param.String()
    warning = param.String()
    said = param.String(doc="Why the last step of selecting changed nothing.")


class GenesPanel(Part):
    """The chosen genes, a search box that suggests, and the matrix they are read from."""

    _esm = _script("genes_panel.js")
    says: ClassVar[Says] = {
        "search": {"text": Text(), "number": Whole()},
        "add": {"gene": Text()},
        "remove": {"gene": Text()},
        "color": {"gene": Text()},
        "matrix": {"value": Text()},
        "scale": {"value": Text()},
    }

    genes = param.List(doc="`{name, label}` of each.")
    active = param.String()
    matrices = param.List()
    matrix = param.String()
    scale = param.String(doc='How counts are shown: "log" or "counts"; empty for a matrix of other values.')
    n_features = param.Integer()
    message = param.String()


class PlotsBar(Part):
    """Above the dotplot: by which column its cells are grouped."""

    _esm = _script("plots_bar.js")
    says: ClassVar[Says] = {"group_by": {"value": Text()}}

    columns = param.List()
    group_by = param.String()
    busy = param.Boolean()
    fraction = param.Number(default=0.0)
    message = param.String()


class SelectionPanel(Part):
    """How many cells are selected, what they are, and their export."""

    _esm = _script("selection_panel.js")
    says: ClassVar[Says] = {
        "composition": {"value": Text()},
        "invert": {},
        "clear": {},
        "format": {"value": Text(), "name": Text()},
        "export": {"name": Text()},
        "replace": {},
        "keep": {},
        "cancel_export": {},
        "download": {"number": Whole(), "offset": Whole()},
    }

    n_selected = param.Integer(allow_None=True, default=None)
    n_obs = param.Integer()
    columns = param.List()
    column = param.String()
    rows = param.List(doc="`{label, color, n, total}` of each category, largest part first.")
    file_name = param.String(doc="Proposed name of the export.")
    formats = param.List(doc="`{value, label}` of each format, the file's own first; the values are suffixes.")
    format = param.String()
    contents = param.String(doc="What goes into an export of that format.")
    export = param.Dict(default={"state": "idle"}, doc="State of the export: idle, exists, running, done or failed.")


class DotplotKey(Part):
    """Below the dotplot: what size and colour of a dot mean."""

    _esm = _script("dotplot_key.js")

    low = param.Number()
    high = param.Number()
    largest = param.Number()
    colors = param.List()


class Opening(Part):
    """The page's frame while its file is opened."""

    _esm = _script("opening.js")

    file = param.String()
    busy = param.Boolean(default=True)


class Problems(Part):
    """A line for each file of this server that cannot be opened, until it is put away."""

    _esm = _script("problems.js")

    sentences = param.List()


class Notice(Part):
    """A page that only says why there is nothing else, and names the files that there are."""

    _esm = _script("notice.js")

    text = param.String()
    files = param.List(doc="Names of files to go to instead.")
