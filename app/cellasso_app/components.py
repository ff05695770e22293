"""The parts of the page: each a small component whose JavaScript stands beside it in `static/`.

They build their DOM from text nodes, so no name from a file ever becomes HTML. Values go to the browser
as parameters; what the user does comes back as one message, `{"type": …}`, to `on_message`.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import param
from panel.custom import JSComponent

from cellasso_app.work import Steps

if TYPE_CHECKING:
    from collections.abc import Callable

    from bokeh.document import Document

STATIC = Path(__file__).parent / "static"
PAGE_STYLE = (STATIC / "page.css").read_text()


def _script(name: str) -> str:
    """Return a component's module: the shared DOM functions and its own."""
    return (STATIC / "dom.js").read_text() + (STATIC / name).read_text()


class Part(JSComponent):
    """A part of the page."""

    _stylesheets: ClassVar[list[str]] = [(STATIC / "parts.css").read_text()]

    def __init__(self, *, on_message: Callable[[dict[str, Any]], None] | None = None, **params: Any) -> None:
        super().__init__(**params)
        self._on_message = on_message
        self._steps = Steps()

    def _handle_msg(self, data: Any) -> None:
        if self._on_message is None or not isinstance(data, dict):
            return
        self._steps.take(partial(self._on_message, data))  # Panel calls without the document's lock

    def _update_properties(self, *events: param.parameterized.Event, doc: Document) -> dict[str, Any]:  # noqa: ARG002
        """Return the changes alone: Panel derives the stylesheets of its theme with each of them, which takes 4 ms."""
        return self._process_param_change({event.name: event.new for event in events})

    def send(self, message: dict[str, Any]) -> None:
        """Send a message to this part in the browser."""
        self._send_msg(message)


class AppBar(Part):
    """The bar at the top: file, modality, how many cells are selected, undo and redo, theme, keys."""

    _esm = _script("app_bar.js")

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

    report = param.Dict(default={}, doc='What `describe` returns, once it was asked for; or `{"error"}`.')


class CellsPanel(Part):
    """The columns of obs; the one that colours the cells is open and shows its legend."""

    _esm = _script("cells_panel.js")

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

    columns = param.List()
    group_by = param.String()
    busy = param.Boolean()
    fraction = param.Number(default=0.0)
    message = param.String()


class SelectionPanel(Part):
    """How many cells are selected, what they are, and their export."""

    _esm = _script("selection_panel.js")

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


class Notice(Part):
    """A page that only says why there is nothing else."""

    _esm = _script("notice.js")

    text = param.String()
