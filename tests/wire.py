"""Bokeh's websocket protocol spoken by hand, as somebody would who has a page's token and means no good."""

from __future__ import annotations

import json
import re
from itertools import count
from typing import TYPE_CHECKING, Any, Self

from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

if TYPE_CHECKING:
    from tornado.websocket import WebSocketClientConnection

_names = count()


def page_token(body: bytes) -> str:
    """Return the token of the session, as Bokeh's script finds it in the page."""
    return json.loads(re.search(rb'"token":("[^"]+")', body).group(1))


class Wire:
    """The websocket of a session."""

    def __init__(self, socket: WebSocketClientConnection) -> None:
        self._socket = socket

    @classmethod
    async def open(cls, port: int, token: str, path: str = "/ws", **headers: str) -> Self:
        """Open the websocket of a page."""
        request = HTTPRequest(f"ws://127.0.0.1:{port}{path}", headers={"Origin": f"http://127.0.0.1:{port}", **headers})
        wire = cls(await websocket_connect(request, subprotocols=["bokeh", token], max_message_size=1 << 26))
        assert (await wire.read())[0]["msgtype"] == "ACK"
        return wire

    async def send_raw(self, *fragments: str | bytes) -> None:
        """Send fragments as they are."""
        for fragment in fragments:
            await self._socket.write_message(fragment, binary=isinstance(fragment, bytes))

    async def send(self, kind: str, content: Any, *buffers: tuple[str, bytes], **header: Any) -> str:
        """Send a message and return its name."""
        name = f"attack-{next(_names)}"
        more = {"num_buffers": len(buffers)} if buffers else {}
        pieces = [piece for called, data in buffers for piece in (json.dumps({"id": called}), data)]
        await self.send_raw(
            json.dumps({"msgid": name, "msgtype": kind, **more, **header}),
            "{}",
            json.dumps(content, allow_nan=False),
            *pieces,
        )
        return name

    async def read(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return header and content of the next message; `None` of a closed connection is an error."""
        fragments = [await self._socket.read_message() for _ in range(3)]
        assert None not in fragments, "the connection was closed"
        header, content = json.loads(fragments[0]), json.loads(fragments[2])
        for _ in range(2 * header.get("num_buffers", 0)):
            await self._socket.read_message()
        return header, content

    async def answer(self, name: str) -> tuple[str, dict[str, Any]]:
        """Return kind and content of the answer to a message, past all that the server tells meanwhile."""
        while True:
            header, content = await self.read()
            if header.get("reqid") == name:
                return header["msgtype"], content

    async def patch(self, *events: Any) -> str:
        """Send changes; return the kind of the answer."""
        return (await self.answer(await self.send("PATCH-DOC", {"events": list(events)})))[0]

    async def tell(self, part: str, message: dict[str, Any]) -> str:
        """Send what a part's script would; return the kind of the answer."""
        return await self.patch(told(part, message))

    async def pull(self) -> dict[str, Any]:
        """Return the document as the server has it."""
        return (await self.answer(await self.send("PULL-DOC-REQ", {})))[1]["doc"]

    async def is_closed(self) -> bool:
        """Read until the connection is closed."""
        while await self._socket.read_message() is not None:
            pass
        return True

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()


def changed(model: str, attr: str, new: Any, **more: Any) -> dict[str, Any]:
    """Return a change of a property."""
    return {"kind": "ModelChanged", "model": {"id": model}, "attr": attr, "new": new, **more}


def event(name: str, **values: Any) -> dict[str, Any]:
    """Return an event as Bokeh's script writes it; `values` are written already."""
    entries = {"entries": [[key, value] for key, value in values.items()]} if values else {}
    data = {"type": "event", "name": name, "values": {"type": "map", **entries}}
    return {"kind": "MessageSent", "msg_type": "bokeh_event", "msg_data": data}


def told(part: str, message: dict[str, Any]) -> dict[str, Any]:
    """Return what a part's script sends by `send_msg`."""
    return event("data_event", model={"id": part}, data=written(message))


def written(value: Any) -> Any:
    """Return a value as Bokeh's script writes it."""
    if isinstance(value, dict):
        return {"type": "map", "entries": [[key, written(each)] for key, each in value.items()]}
    return [written(each) for each in value] if isinstance(value, list) else value
