"""Where anything may be sent to: named hosts, over TLS, at addresses of the public network.

What is connected to is looked at as the socket is made for it, after all resolving and whatever the
spelling of the address, so that nothing can be swapped in between. This machine itself is reached
only by those that name its loopback address literally, as for trying things out: no name leads
there. No redirect is followed and no proxy of the environment used.
"""

import re
import socket
from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

import aiohttp
from aiohttp.connector import Connection
from yarl import URL

Address = IPv4Address | IPv6Address

# Taken by ``ipaddress`` for global, and yet not some host of the public network.
_RESERVED = tuple(
    map(
        ip_network,
        (
            "168.63.129.16/32",  # what virtual machines of Azure ask about themselves
            "192.0.0.0/24",  # protocols' own; a cloud's metadata, too
            "192.88.99.0/24",  # relays of 6to4
            "2002::/16",  # 6to4: an IPv4 address that is any
            "3fff::/20",  # documentation
        ),
    )
)
_IN_USE = IPv6Network("2000::/3")  # all that is assigned to hosts
_NAT64 = IPv6Network("64:ff9b::/96")

_HOST = re.compile(r"[0-9a-z._:-]+")  # in ASCII: names are read in their international form before

_asked: ContextVar[str] = ContextVar("asked", default="")  # the host of the request in hand


class ForbiddenError(OSError):
    """Raised instead of connecting. Says which rule forbids it, and nothing of the address."""


def is_public(address: Address) -> bool:
    """Tell whether an address is of a host that everybody can reach."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address in _NAT64:
            return is_public(IPv4Address(int(address) & 0xFFFF_FFFF))
        if address not in _IN_USE:
            return False
    reserved = any(address in network for network in _RESERVED)
    return address.is_global and not address.is_multicast and not reserved


def host_of(url: str) -> str:
    """Return the host as it will be connected to. Raise ForbiddenError for what is no address."""
    return _parse(url).host or ""


def is_loopback(host: str) -> bool:
    """Tell whether a host is written as an address of this machine."""
    literal = _literal(host)
    return literal is not None and literal.is_loopback


@dataclass(frozen=True, slots=True)
class Egress:
    """The hosts that something may be sent to. ``clear``: without TLS, where it is this machine."""

    hosts: frozenset[str]
    clear: bool = False

    @classmethod
    def to(cls, urls: Iterable[str], *, clear: bool = False) -> "Egress":
        """Allow the hosts of these. Raise ForbiddenError for what is no address."""
        return cls(frozenset(map(host_of, urls)), clear)

    def require(self, url: str) -> URL:
        """Return what may be sent to. Raise ForbiddenError."""
        found = _parse(url)
        host = found.host or ""
        if host not in self.hosts:
            raise ForbiddenError("ForeignHost")
        literal = _literal(host)
        here = literal is not None and literal.is_loopback
        if literal is not None and not (here or is_public(literal)):
            raise ForbiddenError("PrivateAddress")
        if found.scheme != "https" and not (here and self.clear and found.scheme == "http"):
            raise ForbiddenError("InTheClear")
        return found

    def connector(self, **options: Any) -> aiohttp.TCPConnector:
        """Return what connects to no other address; ``options`` are aiohttp's."""
        return _Connector(socket_factory=_socket, **options)


class _Connector(aiohttp.TCPConnector):
    """Connects, and lets who makes the socket know for which host."""

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[aiohttp.tracing.Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - as in the base class
    ) -> Connection:
        """Return a connection for a request."""
        before = _asked.set(req.url.host or "")
        try:
            return await super().connect(req, traces, timeout)
        finally:
            _asked.reset(before)


def _socket(found: Any) -> socket.socket:
    family, kind, protocol, _, address = found
    where = ip_address(str(address[0]).partition("%")[0])
    if not is_public(where) and not (where.is_loopback and is_loopback(_asked.get())):
        raise ForbiddenError("PrivateAddress")
    return socket.socket(family, kind, protocol)


def kind(error: Exception) -> str:
    """Return a fault's name, which tells nothing of what was sent or to whom."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    return str(cause) if isinstance(cause, ForbiddenError) else type(error).__name__


def _parse(url: str) -> URL:
    """Read an address as the client does: two readers could take two hosts for the same text."""
    try:
        found = URL(url)
        port = found.port
    except ValueError:
        raise ForbiddenError("NoAddress") from None
    known = _HOST.fullmatch(found.host or "") and port
    if not known or found.user is not None or found.password is not None:
        raise ForbiddenError("NoAddress")
    return found


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None
