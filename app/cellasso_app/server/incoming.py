"""What a page may say over its websocket: a short list; all else is left out before Bokeh acts on it.

Bokeh's protocol lets a browser set any property of any model of its document, add and replace models, or push
another document. Our pages say three things: that they are ready, how large a figure is, and what a part of the
page has to tell (`components`). Whatever else arrives changes nothing, and the session goes on.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any, NoReturn

from bokeh.core.types import ID
from bokeh.models import Plot
from panel.models.esm import ReactiveESM

if TYPE_CHECKING:
    from bokeh.document import Document

logger = logging.getLogger(__name__)

MAX_BYTES = 1 << 20
"""Of a message. The largest that a page sends, a polygon of 10,000 corners, takes 400 kB."""

MAX_COMMAS = 50_000
"""Of a message: they stand between its values, and such a polygon has 20,000. As many are looked through, by Bokeh
too, in 0.3 s at the worst; a megabyte of the shortest values would take 1.5 s, in which no session moves."""

MAX_EVENTS = 100
"""Of a message: each is handled on the event loop. A page sends one."""

MAX_BUFFERS = 16
"""Pieces of binary data beside a message: our pages send none, Bokeh's tools few."""

MAX_DEPTH = 12
"""Levels of lists and mappings in what a part tells; Bokeh writes a mapping as three."""

MAX_PIXELS = 32_767
"""Of a figure's width or height."""

PASSED = {"PATCH-DOC", "PULL-DOC-REQ", "SERVER-INFO-REQ"}
"""Kinds of message; another one, `PUSH-DOC`, would replace the document."""

EVENTS = ("ModelChanged", "MessageSent")
"""Kinds of change; others would replace what is on the page, or its data."""

SIZES = {"inner_width", "inner_height"}


class Unreadable(Exception):  # noqa: N818 - what arrived is
    """What arrived is no message; what comes next cannot be told apart from it."""


class Refused(Exception):  # noqa: N818 - whoever sent it is told
    """A message that no page sends.

    Attributes
    ----------
    name
        Of the message, by which its sender knows it.
    """

    def __init__(self, name: str, what: str) -> None:
        super().__init__(what)
        self.name = name


class Incoming:
    """The messages of one websocket, put together from their fragments (Bokeh's `protocol.receiver` says how)."""

    def __init__(self) -> None:
        self._fragments: list[str | bytes] = []
        self._n_bytes = 0
        self._n_expected = 3

    def take(self, fragment: str | bytes, document: Document) -> list[str | bytes]:
        """Return the fragments of a message for Bokeh, with what a page may say alone, once it is complete.

        Raises
        ------
        Unreadable
            It is no message, or has too many bytes or values.
        Refused
            It is one of another kind than pages send.
        """
        self._n_bytes += len(fragment)
        if self._n_bytes > MAX_BYTES:
            raise Unreadable(f"a message of more than {MAX_BYTES:,} bytes")
        at = len(self._fragments)
        if isinstance(fragment, bytes) != (at > 3 and at % 2 == 0):
            raise Unreadable("binary data where text was expected, or the reverse")
        self._fragments.append(fragment)
        if not at:
            self._n_expected = 3 + 2 * _n_buffers(_parsed(fragment))
        if at + 1 < self._n_expected:
            return []
        fragments, self._fragments, self._n_bytes = self._fragments, [], 0
        return _passed(fragments, document)


def _n_buffers(header: dict[str, Any]) -> int:
    n = header.get("num_buffers", 0)
    if type(n) is not int or not 0 <= n <= MAX_BUFFERS:
        raise Unreadable("a message with too much binary data")
    if not isinstance(header.get("msgid"), str) or not isinstance(header.get("msgtype"), str):
        raise Unreadable("a message without a name or a kind")
    return n


def _passed(fragments: list[str | bytes], document: Document) -> list[str | bytes]:
    header, _, content = (_parsed(fragment) for fragment in fragments[:3])
    for fragment in fragments[3::2]:
        if set(_parsed(fragment)) != {"id"}:
            raise Unreadable("binary data without a name")
    name, kind = header["msgid"], header["msgtype"]
    if kind not in PASSED:
        raise Refused(name, f"a message of the kind {kind[:40]!r}")
    if kind != "PATCH-DOC":
        return fragments
    events = content.get("events")
    if not isinstance(events, list) or not all(isinstance(e, dict) and e.get("kind") in EVENTS for e in events):
        raise Refused(name, "a change of a kind that no page makes")
    if len(events) > MAX_EVENTS:
        raise Refused(name, f"{len(events):,} changes at once")
    kept = [event for event in events if may_say(event, document)]
    # with none left Bokeh still says that the message has come
    return fragments if len(kept) == len(events) else [*fragments[:2], json.dumps({"events": kept}), *fragments[3:]]


def may_say(event: Any, document: Document) -> bool:
    """Whether a page may say this: it is ready, how large a figure is, or what a part tells.

    Nothing may stand beside it either: Bokeh would hand it on.
    """
    match event:
        case {"kind": "ModelChanged", "model": model, "attr": str(attr), "new": n} if len(event) == 4:
            known = attr in SIZES and _is_size(n) and isinstance(_model(model, document), Plot)
        case {
            "kind": "MessageSent",
            "msg_type": "bokeh_event",
            "msg_data": {"type": "event", "name": str(name), "values": values} as data,
        } if (len(event), len(data)) == (3, 3):
            known = _is_event(name, _mapping(values), document)
        case _:
            known = False
    if not known:
        logger.debug("A browser said what no page may: %.200r", event)
    return known


def _is_event(name: str, values: dict[str, Any] | None, document: Document) -> bool:
    if name == "document_ready":
        return values == {}
    if name != "data_event" or values is None or set(values) != {"model", "data"}:
        return False
    return isinstance(_model(values["model"], document), ReactiveESM) and _is_plain(values["data"])


def _is_size(n: Any) -> bool:
    return type(n) is int and 0 <= n <= MAX_PIXELS


def _model(value: Any, document: Document) -> Any:
    """Return the model of the document that is referred to; anything but its name would make another one."""
    match value:
        case {"id": str(name)} if len(value) == 1:
            return document.get_model_by_id(ID(name))
    return None


def _mapping(value: Any) -> dict[str, Any] | None:
    """Return what Bokeh writes of a mapping with texts as keys, or `None`."""
    if not isinstance(value, dict) or value.get("type") != "map" or not set(value) <= {"type", "entries"}:
        return None
    entries = value.get("entries", [])
    if not isinstance(entries, list) or not all(
        isinstance(e, list) and len(e) == 2 and isinstance(e[0], str) for e in entries
    ):
        return None
    return dict(entries)


def _is_plain(value: Any, depth: int = MAX_DEPTH) -> bool:
    """Whether a value is made of texts, numbers, lists and mappings: Bokeh would also make models, arrays, and more."""
    if value is None or isinstance(value, (str, bool, int, float)):
        return True
    if depth <= 0:
        return False
    if isinstance(value, list):
        return all(_is_plain(each, depth - 1) for each in value)
    match value:
        case {"type": "number", "value": "nan" | "+inf" | "-inf"}:
            return len(value) == 2
    entries = _mapping(value)
    return entries is not None and all(_is_plain(each, depth - 1) for each in entries.values())


def _parsed(fragment: str | bytes) -> dict[str, Any]:
    if isinstance(fragment, str) and fragment.count(",") > MAX_COMMAS:
        raise Unreadable(f"a message of more than {MAX_COMMAS:,} values")
    try:
        found = json.loads(fragment, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:  # also of an integer with thousands of digits
        raise Unreadable(f"a text that is no JSON ({type(error).__name__})") from None
    if not isinstance(found, dict):
        raise Unreadable("JSON that is no mapping")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
