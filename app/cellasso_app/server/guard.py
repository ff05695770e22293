"""Who may speak to the server: requests under its own names, with its token, from its own pages.

Browsers send a page's requests to whatever address its host's name resolves to. A name that an attacker lets
resolve to 127.0.0.1 thus makes their page one of ours; the name itself, in the Host header, tells. Cookies know
no ports, so that a page of another program on the same machine has ours: what it includes is refused to it by the
headers of the answers, and its websockets by their Origin, of which scheme, host and port are compared.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import time
from asyncio import sleep
from functools import partial
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import parse_qsl, urlencode
from weakref import WeakSet

from bokeh.server.views.autoload_js_handler import AutoloadJsHandler
from bokeh.util.token import check_token_signature, get_session_id, get_token_payload
from panel.io.server import ComponentResourceHandler
from tornado.web import ErrorHandler, RequestHandler, StaticFileHandler
from tornado.websocket import WebSocketHandler

from cellasso_app.server.access_policy import AccessPolicy, Host
from cellasso_app.server.incoming import MAX_BYTES, Incoming, Refused, Unreadable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from bokeh.server.contexts import ApplicationContext
    from bokeh.server.server import BaseServer
    from tornado.httputil import HTTPServerRequest

logger = logging.getLogger(__name__)
answers = logging.getLogger("tornado.access")

# script-src: Bokeh's page has a script of its own, and compiles what a component is made of;
# script-src-attr: what HTML in a name from a file could bring along
POLICY = (
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; script-src-attr 'none';"
    " style-src 'self' 'unsafe-inline'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

CLOSED = (AutoloadJsHandler, ComponentResourceHandler)
"""What nobody needs here: the first hands a session's token to whichever page includes it, the second imports any
module of Python that the address names."""

SENTENCES = {
    403: "This is not for you; ask whoever started the server.",
    404: "There is nothing at this address; cellasso is at /.",
    405: "Nothing here is asked in this way.",
    429: "Too many wrong tokens are being tried; wait a moment.",
    500: "Something went wrong here; the server's log says what.",
}

NEEDS_TOKEN = (
    "This page needs a token: open the whole address, with ?token= at its end,"  # noqa: S105 - a sentence
    " that the server printed, or wrote into the file that it named."
)

ROUNDS = 100_000
"""Of hashing between token and cookie, 40 ms once: who has a cookie shall not find out a token that people chose."""

PAUSE = 1.0
"""Seconds that a wrong token waits for its answer."""

MAX_WAITING = 64
"""Wrong tokens that wait at the same time; further ones are turned away at once. A right one never waits."""

MAX_LOGGED = 20
"""Refusals that the log has of a server: anybody can have themselves refused as often as they like."""

MAX_ADDRESS = 200
"""Characters of an address that the log has."""

MAX_COOKIES = 8
"""Cookies of one name that are looked at: another program on this machine may have set some, for other paths."""

let_in: WeakSet[HTTPServerRequest] = WeakSet()
"""Requests that a guard has let in, as long as they last; who builds a page for one asks here."""

PAGE = (Path(__file__).with_name("refusal.html")).read_text()


class Keeper:
    """Applies the policy of one server: knows its cookie, and lets wrong tokens wait.

    Parameters
    ----------
    port
        At which the server listens. The cookie is bound to it: that of a server with the same token is another one.
    """

    def __init__(self, policy: AccessPolicy, port: int) -> None:
        self.policy = policy
        self._token = policy.token.encode()
        salt = f"cellasso cookie of port {port}".encode()
        self.cookie = hashlib.pbkdf2_hmac("sha256", self._token, salt, ROUNDS).hex() if policy.token else ""
        self._n_waiting = 0
        self._n_refused = 0

    def is_token(self, shown: str) -> bool:
        """Whether it is the token."""
        return hmac.compare_digest(shown.encode(), self._token)

    def is_cookie(self, shown: Iterable[str]) -> bool:
        """Whether the cookie is among those that were shown."""
        return any(hmac.compare_digest(each.encode(), self.cookie.encode()) for each in shown)

    def admits_socket(self, request: HTTPServerRequest) -> bool:
        """Whether a request for a websocket that has come past the guard would have been let in by it."""
        cookies, origin = _take_cookies(request), request.headers.get("Origin")
        return (
            self.policy.knows(request.host)
            and (not self.policy.token or self.is_cookie(cookies))
            and (origin is None or self.policy.takes(origin, request.protocol, request.host))
        )

    async def slow_down(self) -> bool:
        """Let a wrong token wait; `False` when too many do already."""
        if self._n_waiting >= MAX_WAITING:
            return False
        self._n_waiting += 1
        try:
            await sleep(PAUSE)
        finally:
            self._n_waiting -= 1
        return True

    def log_refusal(self, sentence: str, *about: object) -> None:
        """Log that something was refused; after many times only for who looks for it."""
        self._n_refused += 1
        logger.log(logging.DEBUG if self._n_refused > MAX_LOGGED else logging.WARNING, sentence, *about)
        if self._n_refused == MAX_LOGGED:
            logger.warning("Further refusals are not logged.")


class _Guarded(RequestHandler):
    """Stands before each of Bokeh's handlers."""

    keeper: ClassVar[Keeper]
    is_closed: ClassVar[bool] = False
    has_policy: ClassVar[bool] = True
    _incoming: Incoming | None = None

    def set_default_headers(self) -> None:
        super().set_default_headers()
        for name in ("Access-Control-Allow-Origin", "Access-Control-Allow-Headers", "Access-Control-Allow-Credentials"):
            self.clear_header(name)
        if self.has_policy:
            self.set_header("Content-Security-Policy", POLICY)
        else:
            self.set_header("Content-Security-Policy", "frame-ancestors 'none'")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Referrer-Policy", "no-referrer")
        self.set_header("Cross-Origin-Resource-Policy", "same-origin")
        self.set_header("Cross-Origin-Opener-Policy", "same-origin")

    async def prepare(self) -> None:
        request, keeper = self.request, self.keeper
        shown, cookies = take_token(request), _take_cookies(request)
        if not keeper.policy.knows(request.host):
            self._refuse(
                f"This server is not called {request.host[:100]!r}. If it should be, start it with"
                f" {keeper.policy.option} and that name."
            )
        elif request.method == "OPTIONS":  # asks whether other pages may; none may
            self._refuse(SENTENCES[405], 405)
        elif _is_of_another_page(request):
            self._refuse(SENTENCES[403])
        elif not keeper.policy.token or keeper.is_cookie(cookies):
            await self._let_in(shown)
        elif shown is not None and keeper.is_token(shown) and not isinstance(self, WebSocketHandler):
            self._give_cookie()
        elif (shown or cookies) and not await keeper.slow_down():
            self._refuse(SENTENCES[429], 429)
        else:
            self._refuse(NEEDS_TOKEN)

    async def _let_in(self, shown: str | None) -> None:
        is_socket = isinstance(self, WebSocketHandler)
        if self.is_closed or (is_socket and not (self._is_from_here() and self._has_session())):
            self._refuse(SENTENCES[403])
        elif shown is not None and not is_socket:  # opened anew by the whole address
            self.redirect(_local(self.request))
        else:
            let_in.add(self.request)
            waiting = super().prepare()
            if waiting is not None:
                await waiting

    def _is_from_here(self) -> bool:
        """Whether a websocket is opened by one of our pages, or by no page at all."""
        origin = self.request.headers.get("Origin")
        return origin is None or self.check_origin(origin)

    def check_origin(self, origin: str) -> bool:
        """Compare scheme, host and port: of several pages on one machine only one is ours."""
        return self.keeper.policy.takes(origin, self.request.protocol, self.request.host)

    def _has_session(self) -> bool:
        """Whether a websocket names a session that this server began: Bokeh looks after it has been opened."""
        asked = [part.strip() for part in self.request.headers.get("Sec-WebSocket-Protocol", "").split(",")]
        if len(asked) != 2 or asked[0] != "bokeh":
            return False
        app: Any = self.application
        try:
            if not check_token_signature(asked[1], secret_key=app.secret_key, signed=app.sign_sessions):
                return False
            return bool(get_session_id(asked[1])) and get_token_payload(asked[1])["session_expiry"] > time.time()
        except Exception as error:  # noqa: BLE001 - Bokeh unpacks what is not what it expects
            logger.debug("A websocket with no session: %r", error)
            return False

    def _give_cookie(self) -> None:
        """Take the token out of the address bar, the history, and what is copied from them.

        `Strict`: pages of other sites come without the cookie. Neither has it who comes here from one of them, or
        from a file, by a redirection; so a browser is sent on by a page of ours.
        """
        request = self.request
        secure = request.protocol == "https"
        self.set_cookie(
            _cookie_name(request), self.keeper.cookie, httponly=True, samesite="Strict", secure=secure, path="/"
        )
        self.set_header("Cache-Control", "no-store")
        if "text/html" not in request.headers.get("Accept", ""):
            self.redirect(_local(request))
            return
        self.set_header("Refresh", f"0; url={_local(request)}")
        self._say("One moment…")

    def write_error(self, status_code: int, **_about: Any) -> None:
        self._say(SENTENCES.get(status_code, self._reason))

    async def send_message(self, message: Any) -> Any:
        if message.msgtype == "ERROR":  # Bokeh tells the browser the traceback, with all its paths
            message.content.update(text=SENTENCES[500], traceback=None)
        return await super().send_message(message)  # type: ignore[misc] # of a websocket handler

    async def on_message(self, fragment: str | bytes) -> None:
        """Hand on to Bokeh what a page may say, message by message."""
        connection = getattr(self, "connection", None)
        if connection is None or connection.session.destroyed:
            return
        if self._incoming is None:
            self._incoming = Incoming()
        try:
            passed = self._incoming.take(fragment, connection.session.document)
        except Unreadable as error:
            self.keeper.log_refusal("A connection was closed that did not speak as a page does: %s", error)
            self.close(1008, "not understood")  # type: ignore[attr-defined] # of a websocket handler
        except Refused as error:
            self.keeper.log_refusal("A browser was refused %s", error)
            await self.send_message(connection.protocol.create("ERROR", error.name, SENTENCES[500]))
        else:
            for each in passed:
                await super().on_message(each)  # type: ignore[misc] # of a websocket handler

    def _refuse(self, sentence: str, status: int = 403) -> None:
        self.set_status(status)
        self._say(sentence)

    def _say(self, sentence: str) -> None:
        """Answer with a sentence: on a page to a browser, else as it is."""
        if "text/html" in self.request.headers.get("Accept", ""):
            self.set_header("Content-Type", "text/html; charset=utf-8")
            self.finish(PAGE.replace("{sentence}", escape(sentence)))
        else:
            self.set_header("Content-Type", "text/plain; charset=utf-8")
            self.finish(sentence)


class _Nothing(ErrorHandler):
    """What stands where there is no page."""


def guard(server: BaseServer, policy: AccessPolicy, *, pages: Collection[ApplicationContext] | None = None) -> Keeper:
    """Let nobody pass to a server's handlers but whom a policy lets in; return its keeper.

    Parameters
    ----------
    pages
        Which of its applications are ours, if not all: to those of others no policy for scripts is given.
    """
    application = server._tornado  # noqa: SLF001 - Bokeh makes its handlers itself and offers no place before them
    keeper = Keeper(policy, port_of(server))
    for rule in application.wildcard_router.rules:
        if isinstance(rule.target, type) and issubclass(rule.target, RequestHandler):
            ours = pages is None or rule.target_kwargs.get("application_context") in pages
            rule.target = _behind(keeper, rule.target, ours=ours)
    application.settings["default_handler_class"] = _behind(keeper, _Nothing, ours=True)
    application.settings["default_handler_args"] = {"status_code": 404}
    application.settings["websocket_max_message_size"] = MAX_BYTES
    application.settings["log_function"] = partial(_log_answer, keeper)
    return keeper


def port_of(server: BaseServer) -> int:
    """Return the port that a server listens at; 0 for a socket of the file system."""
    return getattr(server, "port", None) or 0


def _behind(keeper: Keeper, handler: type[RequestHandler], *, ours: bool) -> type[RequestHandler]:
    about = {
        "keeper": keeper,
        "is_closed": issubclass(handler, CLOSED),
        "has_policy": ours or issubclass(handler, StaticFileHandler),
    }
    return type(f"Guarded{handler.__name__}", (_Guarded, handler), about)


def _log_answer(keeper: Keeper, handler: RequestHandler) -> None:
    """Log an answer as Tornado does, but for refusals."""
    request, status = handler.request, handler.get_status()
    asked = f"{status} {request.method} {str(request.uri)[:MAX_ADDRESS]} ({request.remote_ip})"
    if status < 400:
        answers.info("%s %.2fms", asked, 1000.0 * request.request_time())
    elif status < 500:
        keeper.log_refusal("%s", asked)
    else:
        answers.error("%s", asked)


# -- what only the guard sees of a request ----------------------------------------------------------------


def take_token(request: HTTPServerRequest) -> str | None:
    """Take the token out of a request's address, and return it: no log, no handler and no session gets to see it."""
    pairs = parse_qsl(request.query, keep_blank_values=True, errors="replace")
    shown = [value for name, value in pairs if name == "token"]
    if not shown:
        return None
    request.query = urlencode([pair for pair in pairs if pair[0] != "token"])
    request.uri = f"{request.path}{'?' if request.query else ''}{request.query}"
    for arguments in (request.arguments, request.query_arguments):
        arguments.pop("token", None)
    return shown[-1]


def _take_cookies(request: HTTPServerRequest) -> list[str]:
    """Take our cookies out of a request, those of other ports too, and return those of this one."""
    parts = [part.strip() for part in request.headers.get("Cookie", "").split(";") if part.strip()]
    own, others = f"{_cookie_name(request)}=", [part for part in parts if not part.startswith("cellasso-")]
    if len(others) < len(parts):
        del request.headers["Cookie"]
        if others:
            request.headers["Cookie"] = "; ".join(others)
    return [part.removeprefix(own) for part in parts if part.startswith(own)][:MAX_COOKIES]


def _cookie_name(request: HTTPServerRequest) -> str:
    """Return a name by the port that the browser knows: it keeps those of several servers apart."""
    host = Host.of(request.host)
    return f"cellasso-{(host.port if host is not None else None) or ''}"


def _is_of_another_page(request: HTTPServerRequest) -> bool:
    """Whether a page of another origin asks for something to make use of there; a link that is followed is none.

    Our cookie is shown with it where only the port is another one, and each page that is built costs something.
    """
    site, destination = (request.headers.get(f"Sec-Fetch-{name}", "") for name in ("Site", "Dest"))
    return site in {"cross-site", "same-site"} and destination != "document"


def _local(request: HTTPServerRequest) -> str:
    """Return the address of a request on this server: `//name` would be one on another."""
    path = request.path.lstrip("/\\")
    return f"/{path}{'?' if request.query else ''}{request.query}"
