"""What every part of the page is: a small component whose JavaScript stands beside its module.

They build their DOM from text nodes, so no name from a file ever becomes HTML. Values go to the browser
as parameters, and never come back that way: what the user does comes as one message, `{"type": …}`, of those
that the part `says`, to `on_message`. Once in a while the server has a message of its own for it, of
those that it `hears`.
"""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from panel.custom import JSComponent

from cellasso_app.runtime.document_loop import DocumentLoop
from cellasso_app.ui.messages import lacking, problem

if TYPE_CHECKING:
    from collections.abc import Callable

    import param
    from bokeh.document import Document
    from bokeh.model import Model
    from panel.models.esm import DataEvent

    from cellasso_app.ui.messages import Hears, Says

logger = logging.getLogger(__name__)

HERE = Path(__file__).parent
DOM = (HERE / "dom.js").read_text()
"""What the scripts have in common; it stands before each of them."""

STYLE = (HERE / "parts.css").read_text()

THEME = (HERE / "theme.css").read_text()
"""Colours and sizes, light and dark, of the outermost element of the explorer; all that is in it inherits them."""

ROOT = "cellasso"
"""The class of that element, by which the scripts find it: theme, keys, folded panels and open dialogs are its own."""


def script(module: str, name: str) -> str:
    """Return a component's script: what all have in common, and its own, which stands beside its module."""
    return DOM + Path(module).with_name(name).read_text()


class Component(JSComponent):
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

    hears: ClassVar[Hears] = {}
    """What it is sent beside its parameters."""

    _stylesheets: ClassVar[list[str]] = [STYLE]

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
        self._document_loop = DocumentLoop()
        self._shown = frozenset(self.param) - frozenset(JSComponent.param)  # what is its own, not any part's
        self.on_msg(self._told)

    # The next four are Panel's own and not public: pyproject.toml bounds its version for them.

    @property
    def _linked_properties(self) -> tuple[str, ...]:
        """Return which parameters a browser can set, as Panel asks: none."""
        return ()

    def _process_events(self, events: dict[str, Any]) -> None:
        """Refuse what a browser would set: parameters are the server's."""
        logger.warning("A browser tried to set %s of %s", ", ".join(map(str, events))[:200], type(self).__name__)

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

    def _told(self, event: DataEvent) -> None:
        self.receive(event.data)

    def receive(self, message: Any) -> None:
        """Hand on a message from the browser, if it is one of those that this part says."""
        if self._on_message is None:
            return
        refused = problem(message, self.says)
        if not refused:
            self._document_loop.call(partial(self._on_message, message))  # Panel calls without the document's lock
        elif self._on_refused is not None:
            self._document_loop.call(partial(self._on_refused, refused))

    def send(self, message: dict[str, Any]) -> None:
        """Send a message to this part in the browser.

        Raises
        ------
        ValueError
            It is none of those that this part hears.
        """
        wrong = lacking(message, self.hears)
        if wrong:
            raise ValueError(f"{type(self).__name__} does not hear this: {wrong}.")
        self._send_msg(message)
