"""Links of a person's request (S17 to S24): one confirms it, one fetches its answer.

Whoever can read the mails of an address, or has a site's cookie, has shown that they are theirs: no
more is asked of a person than what they were known by (Art. 12(2), 12(6) GDPR).
"""

from base64 import urlsafe_b64encode
from hashlib import blake2b

from privacy.signed import Keys, sign, signed_words

_PURPOSE = "lethe-confirm"


def confirm_token(keys: Keys, request_id: str, expires: int) -> str:
    """Return the token that confirms a request until ``expires``, in seconds since 1970."""
    return sign(keys, _PURPOSE, request_id, str(expires))


def read_confirm(keys: Keys, text: str, now: int) -> str | None:
    """Return the request a token confirms; None for one that is over, or that we did not sign.

    ``now`` in seconds since 1970. It counts once because its request is confirmed once.
    """
    match signed_words(keys, _PURPOSE, text):
        case (request_id, expires) if now < int(expires):
            return request_id
    return None


def answer_token(key: bytes, request_id: str) -> str:
    """Return what a request's answer is fetched with: 43 letters, digits, - or _.

    Made of the request's key, so that a request sent again has the same one.
    """
    made = blake2b(request_id.encode(), digest_size=32, key=key, person=b"lethe-fetch")
    return urlsafe_b64encode(made.digest()).decode().rstrip("=")


def answer_id(token: str) -> str:
    """Return the name an answer is kept under, which does not open it."""
    return _derived(token, b"lethe-answer").hex()


def answer_key(token: str) -> bytes:
    """Return the 32 bytes that open an answer; kept nowhere but with whoever has the token."""
    return _derived(token, b"lethe-content")


def _derived(token: str, purpose: bytes) -> bytes:
    content = token.encode("utf-8", "surrogatepass")
    return blake2b(content, digest_size=32, person=purpose).digest()
