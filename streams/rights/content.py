"""What a person asks, sealed with the key of the request."""

from privacy.rights.request import Asked, from_json, to_json
from sinks.keys.seal import seal, unseal
from sinks.ledger.requests import Request

_FIELD = "asked"


def open_asked(request: Request, key: bytes) -> Asked:
    """Return what a request asks. Raise ValueError when ``key`` did not seal it."""
    sealed = {_FIELD: request.sealed or b""}
    opened = unseal(key, sealed, site=request.site, case_id=request.request_id)
    return from_json(opened[_FIELD])


def seal_asked(asked: Asked, key: bytes, *, site: str, request_id: str) -> bytes:
    """Return what ``open_asked`` opens."""
    return seal(key, {_FIELD: to_json(asked)}, site=site, case_id=request_id)[_FIELD]
