"""What a demand tells a holder, and what the holder tells of a case, sealed with the demand's key.

Imports neither the ledger nor anything of the pipeline: holders outside use it too (S17 to S19).
"""

import json
from collections.abc import Mapping
from typing import Any

from sinks.keys.seal import NotSealedError, seal, unseal

_SITE = "holders"  # what is sealed is bound to it in the place of a site
_HELD = "held"


def seal_told(key: bytes, demand_id: str, fields: Mapping[str, str]) -> dict[str, bytes]:
    """Seal what a correction says, field by field."""
    return seal(key, fields, site=_SITE, case_id=demand_id)


def open_told(
    key: bytes, demand_id: str, sealed: Mapping[str, bytes], version: int
) -> dict[str, str]:
    """Return what a correction says. Raise NotSealedError for what this key did not seal."""
    return unseal(key, sealed, site=_SITE, case_id=demand_id, version=version)


def seal_held(key: bytes, demand_id: str, held: Mapping[str, Any]) -> bytes:
    """Seal all that a holder has of a case, as JSON. Raise TypeError for what JSON cannot say."""
    text = json.dumps(held, ensure_ascii=False, allow_nan=False)
    return seal(key, {_HELD: text}, site=_SITE, case_id=demand_id)[_HELD]


def open_held(key: bytes, demand_id: str, sealed: bytes) -> Mapping[str, Any]:
    """Return what a holder has of a case. Raise NotSealedError for what is no such thing."""
    opened = unseal(key, {_HELD: sealed}, site=_SITE, case_id=demand_id)[_HELD]
    try:
        held = json.loads(opened)
    except ValueError:
        held = None
    if not isinstance(held, dict):
        raise NotSealedError(demand_id)
    return held
