"""The daily visitor hash: tells one day's visitors apart and nothing else (S9, S12).

    who    = the cookie id, or user agent and address where there is no cookie
    hash   = keyed BLAKE2b of site, day and who, 8 bytes

The key is the day's salt, which the entrances share, which lives in the key store alone and is
destroyed (``sinks.salts``): from then on nobody can tell whose hash it was, nor link two days.
The event's own day is hashed too, so that a log of many days read in one go is not linked either.
"""

from hashlib import blake2b
from ipaddress import ip_address
from typing import NewType

Salt = NewType("Salt", bytes)  # 32 random bytes

UNKNOWN = 0  # the hash of an event of which nothing tells whose it is


def visitor_hash(  # noqa: PLR0917 - called with the columns of a row
    salt: Salt,
    site: str,
    day: int,
    cookie_id: str | None,
    user_agent: str | None,
    address: str | None,
) -> int:
    """Return the visitor's hash for ``site`` on ``day`` (days since 1970, UTC), a signed 64-bit.

    ``UNKNOWN`` when there is neither cookie, user agent nor address. With the shortened address
    instead of the full one, visitors of one network with the same browser count as one.
    """
    if cookie_id:
        who = f"c|{cookie_id}"
    elif user_agent or address:
        who = f"a|{address or ''}|{user_agent or ''}"
    else:
        return UNKNOWN
    text = f"{site}|{day}|{who}"
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8, key=salt).digest()
    return int.from_bytes(digest, "big", signed=True) or 1  # 0 means unknown


def access_id(salt: Salt, of: str) -> str:
    """Return the id of what is told of a request, made of the one it has elsewhere.

    The same as long as the salt is; without the salt nobody can tell that they belong together.
    """
    return blake2b(of.encode(), digest_size=16, key=salt, person=b"access-id").hexdigest()


def address_token(salt: Salt, address: str) -> str:
    """Return what stands for an address where attacks are looked for (S8): 128 bits in hexadecimal.

    Of an IPv6 address only the network (/64) counts, of which one machine has as many addresses as
    it likes. Under another salt nobody can tell that it is the same. Raise ValueError for what is
    no address.
    """
    packed = ip_address(address).packed
    who = packed if len(packed) == 4 else packed[:8]
    return blake2b(who, digest_size=16, key=salt, person=b"access").hexdigest()
