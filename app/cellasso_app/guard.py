"""Who may speak to the server: requests under its own names, over a network with a token, no scripts but its own.

Browsers send a page's requests to whatever address its host's name resolves to. A name that an attacker lets
resolve to 127.0.0.1 thus makes their page one of ours; the name itself, in the Host header, tells. Bokeh
checks the origin of websockets alone, and Tornado before it lets pass what equals the Host.
"""

from __future__ import annotations

import hmac
import ipaddress
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from tornado.web import ErrorHandler, RequestHandler
from tornado.websocket import WebSocketHandler

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bokeh.server.server import Server

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

# script-src: Bokeh's page has a script of its own, and compiles what a component is made of;
# script-src-attr: what HTML in a name from a file could bring along
POLICY = (
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; script-src-attr 'none';"
    " style-src 'self' 'unsafe-inline'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)

SENTENCES = {
    403: "This is not for you; ask whoever started the server.",
    404: "There is nothing at this address; cellasso is at /.",
    500: "Something went wrong here; the server's log says what.",
}


@dataclass(frozen=True)
class Door:
    """Who is let in.

    Attributes
    ----------
    hosts
        Names under which the server may be addressed, without port, in lower case.
    any_address
        Whether any IP address will do as well: those cannot be made to resolve elsewhere.
    token
        What a browser must show once; empty lets everybody in who reaches the server.
    """

    hosts: frozenset[str]
    any_address: bool = False
    token: str = ""

    @classmethod
    def of(cls, address: str, allowed: Iterable[str] = (), token: str = "") -> Door:
        """Return the door of a server that listens at an address, and is also called by `allowed` names."""
        own = {address.lower(), *(host.lower().strip("[]").rstrip(".") for host in allowed)}
        everywhere = is_unspecified(address)
        if everywhere:
            own.add(socket.gethostname().lower())
        return cls(LOOPBACK | own, everywhere, token)

    def knows(self, host: str) -> bool:
        """Whether a `Host` header, or the host of an origin, names this server; the port does not matter."""
        try:
            name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
        except ValueError:
            return False
        return name in self.hosts or (self.any_address and _is_address(name))


def is_unspecified(address: str) -> bool:
    """Whether an address stands for all interfaces of this machine."""
    return address in {"", "0.0.0.0", "::"}  # noqa: S104 - asked, not bound to


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class _Guarded(RequestHandler):
    """Stands before each of Bokeh's handlers."""

    door: Door

    def set_default_headers(self) -> None:
        super().set_default_headers()
        self.clear_header("Access-Control-Allow-Origin")
        self.set_header("Content-Security-Policy", POLICY)
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Referrer-Policy", "no-referrer")

    async def prepare(self) -> None:
        if not self.door.knows(self.request.host):
            name = self.request.host[:100]
            self._refuse(
                f"This server is not called {name!r}. If it should be, start it with --allow-host and that name."
            )
        elif not self.door.token or self._shows(self.get_cookie(self._cookie, "")):
            waiting = super().prepare()
            if waiting is not None:
                await waiting
        elif self._shows(self.get_query_argument("token", "")) and not isinstance(self, WebSocketHandler):
            self.set_cookie(self._cookie, self.door.token, httponly=True, samesite="Lax", expires_days=None)
            # out of the address bar, the history, and what is copied from them
            rest = [pair for pair in parse_qsl(self.request.query) if pair[0] != "token"]
            self.redirect(f"{self.request.path}{'?' if rest else ''}{urlencode(rest)}")
        else:
            self._refuse(
                "This page needs a token: open the whole address that the server printed when it started,"
                " which ends in ?token=… ."
            )

    def check_origin(self, origin: str) -> bool:
        return self.door.knows(urlsplit(origin).netloc)

    def write_error(self, status_code: int, **_about: Any) -> None:
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(SENTENCES.get(status_code, self._reason))

    async def send_message(self, message: Any) -> Any:
        if message.msgtype == "ERROR":  # Bokeh tells the browser the traceback, with all its paths
            message.content.update(text=SENTENCES[500], traceback=None)
        return await super().send_message(message)  # type: ignore[misc] # of a websocket handler

    @property
    def _cookie(self) -> str:
        port = urlsplit(f"//{self.request.host}").port
        return f"cellasso-{port or ''}"  # cookies know no ports: another server has its own

    def _shows(self, token: str | None) -> bool:
        return hmac.compare_digest((token or "").encode(), self.door.token.encode())

    def _refuse(self, sentence: str) -> None:
        self.set_status(403)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(sentence)


class _Nothing(ErrorHandler):
    """What stands where there is no page."""


def guard(server: Server, door: Door) -> None:
    """Let nobody pass to a server's handlers but through a door."""
    application = server._tornado  # noqa: SLF001 - Bokeh makes its handlers itself and offers no place before them
    for rule in application.wildcard_router.rules:
        if isinstance(rule.target, type) and issubclass(rule.target, RequestHandler):
            rule.target = _behind(door, rule.target)
    application.settings["default_handler_class"] = _behind(door, _Nothing)
    application.settings["default_handler_args"] = {"status_code": 404}


def _behind(door: Door, handler: type[RequestHandler]) -> type[RequestHandler]:
    return type(f"Guarded{handler.__name__}", (_Guarded, handler), {"door": door})
