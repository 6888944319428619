"""One POST of a document to another controller, and to nowhere else; see ``streams.egress``.

A policy may name a loopback address itself, as a literal, to try a transfer out. Nothing of the
answer but its status is read.
"""

import asyncio
import ssl
from base64 import b64encode
from dataclasses import dataclass, field
from hashlib import sha256

import aiohttp

from streams.egress import Egress, kind

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
    digest = b64encode(parcel.digest).decode()
    headers = {
        "Authorization": f"Bearer {parcel.token}",
        "Content-Type": parcel.media_type,
        "Content-Digest": f"sha-256=:{digest}:",  # RFC 9530
        "Idempotency-Key": parcel.key,
    }
    try:
        egress = Egress.to([parcel.url])
        url = egress.require(parcel.url)
        async with (
            aiohttp.ClientSession(
                connector=egress.connector(ssl=tls),
                timeout=aiohttp.ClientTimeout(total=SECONDS),
                cookie_jar=aiohttp.DummyCookieJar(),
                skip_auto_headers=("User-Agent",),
                trust_env=False,
            ) as session,
            session.post(
                url, data=parcel.document, headers=headers, allow_redirects=False
            ) as answer,
        ):
            return answer.status
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise LostError(kind(error)) from None
