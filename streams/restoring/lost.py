"""What was lost with the ledger and cannot be brought back: brought to an end."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Text, cast, select

from privacy.consent import ERASURE, RESERVED, RESTRICTION, Decision
from privacy.links import answer_token
from privacy.rights.deadline import deadline
from privacy.rights.request import LANGUAGES, Ground, Right, erasure
from schemas.codec import WireError, decode
from sinks.keys.keks import Keks
from sinks.keys.vault import Vault
from sinks.ledger import cases, consents, redo, requests, tables
from sinks.ledger.journal import of_visitor
from sinks.ledger.requests import Request, State
from sinks.places import Places
from streams.cases.transitions import deletion_of
from streams.ids import made_id
from streams.shared import Shared, now
from streams.subject_requests import OPERATOR, seal_asked

CAUSE = "lost"
"""Of the deletion of a case whose key was lost with the ledger: nobody can read it any more."""

_AT_ONCE = 500
_BY = f"{OPERATOR}: begun before the ledger was restored"


def end_cases(shared: Shared, places: Places) -> list[str]:
    """Have cases deleted that departments were told of, and of which the ledger has no key.

    They came since the backup. Return their ids.
    """
    policy, at = shared.known_policy, now()
    told: dict[str, str] = {}  # service by case
    for department in policy.departments:
        topic = shared.settings.topic(f"cases-{department}")
        for message in places.kept(topic):
            case_id = (message.key() or b"").decode(errors="replace")
            if message.value() is None:
                told.pop(case_id, None)
                continue
            try:
                told[case_id] = decode("case", message.value())["service"]
            except WireError:
                continue
    ended: list[str] = []
    every = sorted(told)
    for start in range(0, len(every), _AT_ONCE):
        some = every[start : start + _AT_ONCE]
        with shared.ledger.transaction() as connection:
            known = cases.locked(connection, some).keys() | cases.deleted(connection, some)
            gone = [each for each in some if each not in known and told[each] in policy.services]
            redo.end(
                connection,
                [
                    deletion_of(policy, each, told[each], cause=CAUSE, cause_id=each, at=at)
                    for each in gone
                ],
            )
            ended += gone
    return ended


def hold_visitors(connection: Connection, held: Mapping[str, Mapping[str, Any]]) -> None:
    """Restrict those again who were since; ``held`` by what stands for a visitor."""
    if not held:
        return
    for site, visitor in _with(connection, RESTRICTION):
        row = held.get(of_visitor(site, visitor))
        if row is not None:
            redo.hold_visitor(connection, row, visitor)


def erase_visitors(shared: Shared) -> int:
    """Begin the erasures again that are in force: the request of some is lost. Return how many."""
    policy = shared.known_policy
    if policy.rights is None:
        return 0
    vault, at = Vault(Keks.under(shared.settings.secrets)), now()
    with shared.ledger.transaction() as connection:
        found = list(_with(connection, ERASURE))
        for site, visitor in found:
            since = consents.standing(connection, site, visitor).standings[ERASURE].since
            name = made_id("request", "restored", site, visitor, str(since))
            key = vault.make(connection, name, [policy.rights.department], at)
            asked = erasure(
                Ground.CONSENT_WITHDRAWN, answer_token(key, name), LANGUAGES[0],
                site=site, cookie_id=visitor,
            )  # fmt: skip
            sealed = seal_asked(asked, key, site=site, request_id=name)
            requests.add(
                connection,
                Request(
                    request_id=name,
                    right=Right.ERASURE,
                    ground=asked.ground,
                    site=site,
                    language=asked.language,
                    subject=None,
                    has_visitor=True,
                    state=State.CONFIRMED,
                    received_at=at,
                    deadline=deadline(at),
                    sealed=sealed,
                    confirmed_at=at,
                    confirmed_by=_BY,
                ),
            )
    return len(found)


def milliseconds(value: Any) -> Any:
    """Return a time as the ledger has it, and anything else as it is."""
    return int(value.timestamp() * 1000) if isinstance(value, datetime) else value


def _with(connection: Connection, right: str) -> list[consents.Visitor]:
    """Return the visitors under one of the ``RESERVED`` rights."""
    assert right in RESERVED  # noqa: S101 - it is looked for as it is written
    of = tables.consents.c
    named = cast(of.standings, Text).contains(f'"{right}"')
    rows = connection.execute(select(of.site, of.visitor, of.standings).where(named))
    return [
        (row.site, row.visitor)
        for row in rows
        if row.standings[right]["decision"] == Decision.GIVEN
    ]
