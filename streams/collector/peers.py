"""Whose request is it: the visitor's address behind our own proxies, or unknown.

Anyone can write a forwarding header. Only the entries our own proxies appended can be believed:
with ``hops`` of them, the last ``hops`` entries, of which the first names who came to the outermost
proxy. Whatever cannot be told for sure is unknown (None), never what a stranger claims. The
collector must be reachable through those proxies alone.
"""

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

_PAIR = re.compile(
    r"""[ \t]* ([!#$%&'*+.^_`|~0-9A-Za-z-]+) =   # name
        ( "(?:[^"\\]|\\.)*" | [^ \t",;]* )       # quoted or bare value; many leave the quotes out
        [ \t]* ( [;,] | \Z )""",
    re.VERBOSE,
)


def client_address(
    peer: str | None, forwarded_for: Sequence[str], forwarded: Sequence[str], hops: int
) -> str | None:
    """Return the client's address in its usual spelling, or None when it is unknown.

    ``peer`` is the socket's; ``forwarded_for`` and ``forwarded`` are the values of each
    X-Forwarded-For and Forwarded (RFC 7239) header line, in order; ``hops`` is the number of own
    proxies. Without proxies the headers are ignored. Where both headers came, one of them may be
    the client's invention: they must agree.
    """
    if not hops:
        return address(peer)
    named = []
    if forwarded_for:
        named.append(_entry([address(part) for part in ",".join(forwarded_for).split(",")], hops))
    if forwarded:
        named.append(_entry(_elements(",".join(forwarded)), hops))
    return named[0] if len(set(named)) == 1 else None


def address(text: str | None) -> str | None:
    """Read ``192.0.2.1``, ``192.0.2.1:80``, ``2001:db8::1`` or ``[2001:db8::1]:80``; else None.

    An IPv4 address written as an IPv6 one (``::ffff:192.0.2.1``) is the IPv4 address.
    """
    if text is None:
        return None
    text = text.strip(" \t")
    if bracketed := re.fullmatch(r"\[([^\[\]]*)\](?::\w+)?", text):
        text = bracketed[1]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found: IPv4Address | IPv6Address = ip_address(text)
    except ValueError:
        return None
    if isinstance(found, IPv6Address):
        if found.scope_id is not None:
            return None
        found = found.ipv4_mapped or found
    return str(found)


def _entry(entries: Sequence[str | None], hops: int) -> str | None:
    return entries[-hops] if len(entries) >= hops else None


def _elements(text: str) -> list[str | None]:
    """Return the ``for`` of each Forwarded element; nothing at all when the grammar is broken.

    A client could otherwise open a quotation that swallows what our proxy appends.
    """
    found: list[str | None] = []
    element: dict[str, str] = {}
    at = 0
    while at < len(text):
        pair = _PAIR.match(text, at)
        if pair is None or pair[1].lower() in element:
            return []
        element[pair[1].lower()] = re.sub(r"\\(.)", r"\1", pair[2].strip('"'))
        at = pair.end()
        if pair[3] != ";":
            found.append(address(element.get("for")))
            element = {}
    return found
