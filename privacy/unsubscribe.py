"""The token in the link at the foot of each mail (S5; RFC 8058).

It names the service and the case of the subscription, is signed, and does not expire: a mail may be
years old. Whoever has it can take that subscriber off the list and nothing else.
"""

from collections.abc import Mapping
from hashlib import blake2b
from hmac import compare_digest
from typing import NamedTuple

Keys = Mapping[str, bytes]
"""Signing keys by id, in order of age: the newest, which is last, signs; all verify.

An id has no dot; a key is 32 secret bytes.
"""

KEPT = "a keyed hash of the address, so that nobody mails it again, until they subscribe themselves"
"""What stays of who unsubscribed, in plain words."""


class Subscription(NamedTuple):
    """Which subscription a token ends."""

    case_id: str
    service: str


def token(keys: Keys, case_id: str, service: str) -> str:
    """Return the token of a subscription, fit for a URL. Neither name has a dot."""
    newest = next(reversed(list(keys)))
    return _signed(newest, keys[newest], case_id, service)


def read(keys: Keys, text: str) -> Subscription | None:
    """Return what a token is for; None for one that no key of ours has signed.

    The time it takes tells nothing of how a signature is wrong.
    """
    match text.split("."):
        case [key_id, service, case_id, _] if key_id in keys:
            signed = _signed(key_id, keys[key_id], case_id, service)
            # As it would be written: one that only means the same is refused.
            known = compare_digest(signed.encode(), text.encode("utf-8", "surrogatepass"))
            return Subscription(case_id, service) if known else None
    return None


def _signed(key_id: str, key: bytes, case_id: str, service: str) -> str:
    content = f"{key_id}.{service}.{case_id}"
    mac = blake2b(
        content.encode("utf-8", "surrogatepass"), digest_size=16, key=key, person=b"lethe-unsub"
    )
    return f"{content}.{mac.hexdigest()}"
