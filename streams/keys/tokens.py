"""Who a department's reader is: bearer tokens, one a department, in ``<secrets>/departments``.

Holders outside have one, too, under a name that no department can have.

Read at each request, so that a new file counts at once and a deleted one no longer.
"""

import secrets
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

from privacy.policy import Policy
from sinks.keys.keks import write_private

FOLDER = "departments"


def of_holder(holder: str) -> str:
    """Return the name under which a holder's key and token are kept."""
    return f"holder.{holder}"


def readers(policy: Policy) -> list[str]:
    """Return everybody who has a token: departments, and with rights the holders outside."""
    holders = () if policy.rights is None else policy.holders
    return [*policy.departments, *map(of_holder, holders)]


def make_missing(folder: Path, departments: Iterable[str]) -> list[str]:
    """Make a token for each department that has none, and return which had none."""
    missing = [each for each in departments if not (folder / each).exists()]
    for each in missing:
        write_private(folder / each, secrets.token_urlsafe(32).encode())
    return missing


def department_of(folder: Path, departments: Iterable[str], token: str) -> str | None:
    """Return whose token it is. Looked up by hash, so that the time taken tells nothing of it."""
    files = {each: folder / each for each in departments}
    known = {
        _digest(file.read_bytes().strip()): each for each, file in files.items() if file.is_file()
    }
    return known.get(_digest(token.encode("utf-8", "surrogatepass"))) if token else None


def _digest(token: bytes) -> bytes:
    return sha256(token).digest()
