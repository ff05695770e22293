"""Under which names a server may be addressed, and from whose pages: what is decided before anything is answered."""

from __future__ import annotations

import ipaddress
import re
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[\w.*-]+)(?::(\d{1,5}))?", re.ASCII)
"""A host as browsers write it, with its port; what else URLs allow there is for those who want to be mistaken."""

PORTS = {"http": 80, "https": 443}
"""The port that an address without one means."""


class Host(NamedTuple):
    """A name or an address in its one spelling, and a port if there is one; in a pattern `*` stands for a part."""

    name: str
    port: int | None = None

    @classmethod
    def of(cls, text: str) -> Host | None:
        """Return what a `Host` header, or an option, names; `None` for anything else."""
        found = HOST.fullmatch(text)
        if found is None or not int(found[2] or 1) < 1 << 16:
            return None
        name, port = found[1].lower().rstrip("."), int(found[2]) if found[2] else None
        if not name.startswith("["):
            return cls(name, port)
        try:
            return cls(ipaddress.IPv6Address(name[1:-1]).compressed, port)
        except ValueError:
            return None

    def covers(self, name: str) -> bool:
        """Whether a name is this one, or of this pattern."""
        parts, own = name.split("."), self.name.split(".")
        return own == ["*"] or (
            len(parts) == len(own) and all(mine in {"*", part} for mine, part in zip(own, parts, strict=True))
        )


@dataclass(frozen=True)
class AccessPolicy:
    """Who is let in.

    Attributes
    ----------
    hosts
        Names under which the server may be addressed, in lower case.
    any_address
        Whether any IP address will do as well: those cannot be made to resolve elsewhere.
    token
        What a browser must show once; empty lets everybody in who reaches the server.
    allowed
        Further names, as of a proxy, with the port of its pages; without one that is the usual one of their scheme.
    option
        By which such a name is given.
    """

    hosts: frozenset[str]
    any_address: bool = False
    token: str = ""
    allowed: frozenset[Host] = frozenset()
    option: str = "--allow-host"

    @classmethod
    def of(
        cls, address: str, allowed: Iterable[str] = (), token: str = "", option: str = "--allow-host"
    ) -> AccessPolicy:
        """Return the policy of a server that listens at an address, and is also called by `allowed` names."""
        own = Host.of(_bracketed(address))
        hosts = {*LOOPBACK, *([own.name] if own is not None else [])}
        everywhere = is_unspecified(address)
        if everywhere:
            hosts.add(socket.gethostname().lower())
        further = frozenset(filter(None, (Host.of(_bracketed(name)) for name in allowed)))
        return cls(frozenset(hosts), everywhere, token, further, option)

    def knows(self, host: str) -> bool:
        """Whether a `Host` header names this server; the port does not matter."""
        found = Host.of(host)
        return (
            found is not None
            and "*" not in found.name
            and (
                found.name in self.hosts
                or (self.any_address and _is_address(found.name))
                or any(known.covers(found.name) for known in self.allowed)
            )
        )

    def takes(self, origin: str, scheme: str, host: str) -> bool:
        """Whether a page of an origin may open a websocket by a request for `scheme://host`."""
        page_scheme, _, page_host = origin.partition("://")
        there, here = Host.of(page_host), Host.of(host)
        if there is None or here is None or page_scheme not in PORTS or not self.knows(host):
            return False
        usual = PORTS[page_scheme]
        name, port = there.name, there.port or usual
        if (page_scheme, name, port) == (scheme, here.name, here.port or PORTS[scheme]):
            return True
        # a proxy may have taken TLS off, and may have called us by our own name
        ports = {usual, here.port or usual} if name == here.name else {usual}
        return any(
            known.covers(name) and (port in ports or known.name == "*" if known.port is None else port == known.port)
            for known in self.allowed
        )


def is_unspecified(address: str) -> bool:
    """Whether an address stands for all interfaces of this machine."""
    return address in {"", "0.0.0.0", "::"}  # noqa: S104 - asked, not bound to


def _bracketed(address: str) -> str:
    """Return an address as a `Host` header has it."""
    address = address.strip("[]") if address.endswith("]") else address
    return f"[{address}]" if _is_address(address) and ":" in address else address


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
