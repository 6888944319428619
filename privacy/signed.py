"""Tokens that say a few words and are signed, fit for a link: nobody can make or change one.

The purpose, at most 16 ASCII letters, is part of what is signed: a token of one is none of another.
"""

from collections.abc import Collection, Mapping
from hashlib import blake2b
from hmac import compare_digest

Keys = Mapping[str, bytes]
"""Signing keys by id, in order of age: the newest, which is last, signs; all verify.

An id has no dot; a key is 32 secret bytes.
"""


def sign(keys: Keys, purpose: str, *words: str) -> str:
    """Return the token that says ``words``, none of which has a dot."""
    newest = next(reversed(list(keys)))
    return _signed(newest, keys[newest], purpose, words)


def signed_words(keys: Keys, purpose: str, text: str) -> tuple[str, ...] | None:
    """Return what a token says; None for one that no key of ours has signed for ``purpose``.

    The time it takes tells nothing of how a signature is wrong.
    """
    match text.split("."):
        case [key_id, *words, _] if key_id in keys:
            signed = _signed(key_id, keys[key_id], purpose, words)
            # As it would be written: one that only means the same is refused.
            if compare_digest(_bytes(signed), _bytes(text)):
                return tuple(words)
    return None


def _signed(key_id: str, key: bytes, purpose: str, words: Collection[str]) -> str:
    content = ".".join((key_id, *words))
    mac = blake2b(_bytes(content), digest_size=16, key=key, person=purpose.encode())
    return f"{content}.{mac.hexdigest()}"


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")  # a path of an address may hold what is no UTF-8
