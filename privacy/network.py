"""Shorten addresses: IPv4 to /24, IPv6 to /48; what cannot be read is None, never passed on (S11).

An IPv4 address that travels inside an IPv6 one (mapped, 6to4, NAT64) is shortened as what it is.
Teredo hides one behind an exclusive-or and is refused.
"""

from socket import AF_INET, AF_INET6, inet_ntop, inet_pton

LONGEST = 64  # a bracketed address with zone and port, and some room

_MAPPED = bytes(10) + b"\xff\xff"
_NAT64 = bytes.fromhex("0064ff9b") + bytes(8)
_6TO4 = b"\x20\x02"
_TEREDO = b"\x20\x01\x00\x00"


def shorten(address: str) -> str | None:
    """Return the network part of ``address`` as an address, or None when it is none.

    Takes what proxies and logs write: spaces around, quotes, brackets, a port, a zone.
    """
    if len(address) > LONGEST:
        return None
    return _short(address) or _short(_bare(address))


def is_shortened(address: str) -> bool:
    """Tell whether ``address`` is a shortened one, in the one way ``shorten`` writes it."""
    return shorten(address) == address


def _short(address: str) -> str | None:
    try:
        if ":" not in address:
            return inet_ntop(AF_INET, inet_pton(AF_INET, address)[:3] + b"\x00")
        packed = inet_pton(AF_INET6, address)
    except (OSError, ValueError):
        return None
    if packed[:12] in (_MAPPED, _NAT64):
        return inet_ntop(AF_INET, packed[12:15] + b"\x00")
    if packed[:2] == _6TO4:
        return inet_ntop(AF_INET, packed[2:5] + b"\x00")
    if packed[:4] == _TEREDO:
        return None
    return inet_ntop(AF_INET6, packed[:6] + bytes(10))


def _bare(address: str) -> str:
    """Take off what may stand around an address."""
    address = address.strip(" \t")
    if len(address) > 1 and address[0] == address[-1] == '"':
        address = address[1:-1]
    if address.startswith("["):
        address, _, port = address[1:].partition("]")
        if port and not (port[0] == ":" and port[1:].isdecimal()):
            return ""
    elif address.count(":") == 1:
        address, _, port = address.partition(":")
        if not port.isdecimal():
            return ""
    return address.partition("%")[0]
