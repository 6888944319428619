"""Sealing what a person fetches with a token, which alone opens it (S18; Art. 32 GDPR)."""

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from privacy.links import answer_id, answer_key
from sinks.keys.seal import NONCE, NotSealedError


def seal_answer(token: str, content: bytes) -> bytes:
    """Seal what a person fetches with a token: a nonce of 12 bytes, then AES-256-GCM.

    Bound to the answer's id; nobody has the key who has not the token (Art. 32 GDPR).
    """
    nonce = os.urandom(NONCE)
    bound = answer_id(token).encode()
    return nonce + AESGCM(answer_key(token)).encrypt(nonce, content, bound)


def open_answer(token: str, sealed: bytes) -> bytes:
    """Return an answer again. Raise NotSealedError for what this token did not seal."""
    name = answer_id(token)
    try:
        cipher = AESGCM(answer_key(token))
        return cipher.decrypt(sealed[:NONCE], sealed[NONCE:], name.encode())
    except (InvalidTag, ValueError):  # ValueError: too short for a nonce
        raise NotSealedError(name) from None
