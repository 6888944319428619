"""Shorten IP addresses at once, before anything else reads them (S11).

IPv4 keeps its first 24 bits, IPv6 its first 48. A shortened address is still treated as personal
data: it lives on ``tracking-events`` until the lane has turned it into a city, and nowhere else.
What is not certainly an address gives None: it is counted and never passed through.
"""

import re
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton

LONGEST = 80  # characters: the longest IPv6 text with a zone, brackets, port and quotes is shorter

_MAPPED = bytes(10) + b"\xff\xff"  # ::ffff:0:0/96
_NAT64 = bytes.fromhex("0064ff9b") + bytes(8)  # 64:ff9b::/96
_NAT64_BLOCK = _NAT64[:6]
_6TO4 = bytes.fromhex("2002")  # 2002::/16
_TEREDO = bytes.fromhex("20010000")  # 2001::/32

_V6 = "[0-9A-Fa-f]*:[0-9A-Fa-f:.]*"
_ZONE = "%[0-9A-Za-z._~-]+"
_DRESSED = re.compile(
    rf"""
    \[ (?P<bracketed> {_V6} ) (?:{_ZONE})? \] (?: :[0-9]{{1,5}} )?
    | (?P<v4> [0-9.]+ ) (?: :[0-9]{{1,5}} )?
    | (?P<v6> {_V6} ) (?:{_ZONE})?
    """,
    re.VERBOSE,
)


def shorten(address: str) -> str | None:
    """Return the address's network: IPv4 ``a.b.c.0``, IPv6 the /48 in canonical text, or None.

    Takes what access logs and forwarding headers (RFC 7239) hold: spaces and one pair of quotes
    around, brackets, a port, a zone. Shortening twice changes nothing.

    An IPv6 address that carries an IPv4 one within its first 48 bits, or stands for one (mapped,
    6to4, NAT64), gives that IPv4 network: its /48 would tell the whole IPv4 address, or nothing.
    Teredo, which carries two, gives None. Octets with a leading zero, hexadecimal or missing
    octets give None rather than what ``inet_aton`` makes of them.
    """
    if len(address) > LONGEST:
        return None
    return _network(address) or _network(_undress(address))


def is_shortened(address: str) -> bool:
    """Tell whether the address is exactly what ``shorten`` gives.

    A full address that ends in ``.0`` or ``::`` looks shortened; nothing can tell them apart.
    """
    return shorten(address) == address


def _network(host: str) -> str | None:
    try:
        if ":" not in host:
            inet_pton(AF_INET, host)  # strict: four decimal octets, or it raises
            return host[: host.rindex(".")] + ".0"
        packed = inet_pton(AF_INET6, host)
    except (OSError, ValueError):  # ValueError: NUL or a lone surrogate
        return None
    if packed.startswith((_MAPPED, _NAT64)):
        return _v4_network(packed[12:])
    if packed.startswith(_6TO4):
        return _v4_network(packed[2:])
    if packed.startswith((_TEREDO, _NAT64_BLOCK)):
        return None
    return inet_ntop(AF_INET6, packed[:6] + bytes(10))


def _v4_network(packed: bytes) -> str:
    return inet_ntop(AF_INET, packed[:3] + b"\0")


def _undress(text: str) -> str:
    """Return the bare address in the text, or nothing when the text is anything else."""
    text = text.strip(" \t")
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = text[1:-1]
    match = _DRESSED.fullmatch(text)
    return match[match.lastgroup or 0] if match else ""
