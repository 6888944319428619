"""One POST of a document to another controller: over TLS, to a public address, and nowhere else.

Names are resolved here, so that what was looked at is what is connected to. A policy may name a
loopback address itself, as a literal, to try a transfer out; no name leads there. No redirect is
followed, no proxy of the environment is used, and nothing of the answer but its status is read.
"""

import asyncio
import socket
import ssl
from base64 import b64encode
from dataclasses import dataclass, field
from hashlib import sha256
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

SECONDS = 30.0  # for all of it


class LostError(RuntimeError):
    """Raised when there is no answer: the controller may have the document, or not."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """What is sent. Who receives the same ``key`` again has the document already."""

    url: str
    key: str
    media_type: str
    document: bytes = field(repr=False)
    token: str = field(repr=False)

    @property
    def digest(self) -> bytes:
        """SHA-256 of the document."""
        return sha256(self.document).digest()


def send(parcel: Parcel, tls: ssl.SSLContext) -> int:
    """Return the status of the answer. Raise LostError, which names the fault's kind alone."""
    return asyncio.run(_send(parcel, tls))


async def _send(parcel: Parcel, tls: ssl.SSLContext) -> int:
    if not _may_be_sent_to(parcel.url):
        raise LostError("PrivateAddress")
    digest = b64encode(parcel.digest).decode()
    headers = {
        "Authorization": f"Bearer {parcel.token}",
        "Content-Type": parcel.media_type,
        "Content-Digest": f"sha-256=:{digest}:",  # RFC 9530
        "Idempotency-Key": parcel.key,
    }
    try:
        async with (
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=tls, resolver=_PublicOnly()),
                timeout=aiohttp.ClientTimeout(total=SECONDS),
                cookie_jar=aiohttp.DummyCookieJar(),
                skip_auto_headers=("User-Agent",),
                trust_env=False,
            ) as session,
            session.post(
                parcel.url, data=parcel.document, headers=headers, allow_redirects=False
            ) as answer,
        ):
            return answer.status
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise LostError(type(error).__name__) from None


def _may_be_sent_to(url: str) -> bool:
    """Tell whether a policy may name this address; of a name, its resolver tells."""
    parts = urlsplit(url)
    try:
        literal = ip_address(parts.hostname or "")
    except ValueError:
        return parts.scheme == "https"
    return parts.scheme == "https" and (_is_public(literal) or literal.is_loopback)


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.is_global and not address.is_multicast


class _PublicOnly(AbstractResolver):
    """Resolves names to addresses of the public network."""

    def __init__(self) -> None:
        self._resolver = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        public = [each for each in found if _is_public(ip_address(each["host"].split("%")[0]))]
        if not public:
            raise OSError("no public address")
        return public

    async def close(self) -> None:
        await self._resolver.close()
