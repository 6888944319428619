"""Cases as a ledger keeps them, put in directly: sealed fields and wrapped keys are random."""

from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from random import Random
from uuid import UUID

from sqlalchemy import insert

from privacy.lifecycle import CaseState
from privacy.policy import RIGHTS, Policy
from sinks.keys.seal import VERSION
from sinks.ledger import cases, tables
from sinks.ledger.cases import Case, Deletion
from sinks.ledger.ledger import Ledger
from streams.shared import now

AT_ONCE = 10_000
SEALED_BYTES, WRAPPED_BYTES = 48, 40  # of a short field, and of a case's key


def fill(
    ledger: Ledger,
    policy: Policy,
    service: str,
    count: int,
    random: Random,
    *,
    group: str | None = None,
) -> list[str]:
    """Keep so many open cases, with a key for each department and the rights engine; return ids."""
    departments = (RIGHTS, *policy.services[service].departments)
    ids = []
    for chunk in _chunks(count, random):
        new = [_case(each, policy, service, group, random) for each in chunk]
        keys = [
            {
                "case_id": each,
                "department": department,
                "wrapped": random.randbytes(WRAPPED_BYTES),
                "made_at": now(),
            }
            for each in chunk
            for department in departments
        ]
        with ledger.transaction() as connection:
            cases.add(connection, new)
            connection.execute(insert(tables.case_keys), keys)
        ids += chunk
    return ids


def bury(ledger: Ledger, service: str, count: int, random: Random) -> None:
    """Have the ledger remember so many deletions that are completed."""
    for chunk in _chunks(count, random):
        at = now()
        done = dict.fromkeys(("shredded_at", "unreadable_at", "announced_at", "completed_at"), at)
        rows = [
            {
                **asdict(Deletion(each, each, service, [], [], "delivered", "bench", at, at)),
                **done,
                "certificate": {},
            }
            for each in chunk
        ]
        with ledger.transaction() as connection:
            connection.execute(insert(tables.deletions), rows)


def _chunks(count: int, random: Random) -> Iterator[Sequence[str]]:
    for start in range(0, count, AT_ONCE):
        size = min(AT_ONCE, count - start)
        yield [str(UUID(int=random.getrandbits(128), version=4)) for _ in range(size)]


def _case(case_id: str, policy: Policy, service: str, group: str | None, random: Random) -> Case:
    at = now()
    return Case(
        case_id=case_id,
        service=service,
        group_id=group,
        site="www.example",
        subject=random.randbytes(32).hex(),
        state=CaseState.OPEN,
        language="en",
        received_at=at,
        changed_at=at,
        due_at=None,
        key_version=VERSION,
        sealed={
            name: b64encode(random.randbytes(SEALED_BYTES)).decode()
            for name in policy.services[service].fields
        },
        settings={},
        further=None,
    )
