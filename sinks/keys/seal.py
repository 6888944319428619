"""Sealing a case's personal fields, one by one, with the key of the case (S2).

Imports neither the ledger nor anything of the pipeline: departments open with it what they read.
"""

import os
from collections.abc import Mapping
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

VERSION: Final = 1
"""Of the way fields are sealed; a record bears it as ``key_version``."""

NONCE: Final = 12
"""Bytes, as GCM wants it."""


class NotSealedError(ValueError):
    """Raised for bytes that this key did not seal for this field of this case. Tells no value."""


def new_key() -> bytes:
    """Return a new key for one case: 32 random bytes, derived from nothing."""
    return AESGCM.generate_key(256)


def seal(key: bytes, fields: Mapping[str, str], *, site: str, case_id: str) -> dict[str, bytes]:
    """Seal each field: a nonce of 12 bytes, then AES-256-GCM of the text in UTF-8.

    Bound to ``site|case_id|field|version``, none of which has a ``|`` within, so that nothing
    sealed can be put in another's place.
    """
    cipher = AESGCM(key)
    sealed = {}
    for name, value in fields.items():
        nonce = os.urandom(NONCE)
        bound = _bound(site, case_id, name, VERSION)
        sealed[name] = nonce + cipher.encrypt(nonce, value.encode(), bound)
    return sealed


def unseal(
    key: bytes, sealed: Mapping[str, bytes], *, site: str, case_id: str, version: int = VERSION
) -> dict[str, str]:
    """Return the fields again. Raise NotSealedError when one of them is not what was sealed."""
    cipher = AESGCM(key)
    try:
        return {
            name: cipher.decrypt(
                value[:NONCE], value[NONCE:], _bound(site, case_id, name, version)
            ).decode()
            for name, value in sealed.items()
        }
    except (InvalidTag, ValueError):  # ValueError: too short for a nonce
        raise NotSealedError(case_id) from None


def _bound(site: str, case_id: str, field: str, version: int) -> bytes:
    return f"{site}|{case_id}|{field}|{version}".encode()
