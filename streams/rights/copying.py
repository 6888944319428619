"""All that is held of who asks, opened: for the answer to a request for access (Art. 15; S18).

Each store is asked for this person alone, by the subject id or by site and cookie id. Cases and
what holders answered are opened with the keys of the rights engine.
"""

import json
import threading
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from sqlalchemy import Connection

from privacy.durations import DAY_MS
from privacy.policy import RIGHTS, Policy
from privacy.profile import Profile, pseudonym
from privacy.rights.copy import Copy, Row, Store
from privacy.rights.plan import Act
from privacy.rights.request import Asked
from sinks.clickhouse.visitors import VisitorFacts, hashes
from sinks.keys.demands import open_held
from sinks.keys.seal import NotSealedError, unseal
from sinks.keys.vault import AT_ONCE, Vault
from sinks.ledger import (
    cases,
    consents,
    deletion,
    demands,
    holds,
    keys,
    profiles,
    reached,
    requests,
    suppressed,
    unsubscribed,
)
from sinks.ledger.cases import Case
from sinks.ledger.consents import Visitor
from sinks.ledger.keys import Use
from sinks.ledger.requests import Request
from sinks.salts import Salts
from streams.rights.gather import visitor_of


class Visits(Protocol):
    """Where the events of a visitor can be read that can still be told from others'."""

    def of(self, site: str, cookie_id: str) -> Sequence[Mapping[str, Any]]:
        """Return events by column; ``occurred_at`` in milliseconds since 1970."""
        ...


class VisitsInFacts:
    """Reads them in ClickHouse, by the hashes that can still be made. Safe to share in threads."""

    def __init__(self, facts: Callable[[], VisitorFacts], salts: Salts) -> None:
        """Take ``facts`` to open the store when somebody's visits are first asked for."""
        self._facts = facts
        self._salts = salts
        self._one = threading.Lock()  # the store's client is for one thread at a time

    def of(self, site: str, cookie_id: str) -> Sequence[Mapping[str, Any]]:
        """Return a visitor's events. Raise ClickHouseDownError, SaltsUnavailableError."""
        with self._one:
            return self._facts().read(hashes(site, cookie_id, self._salts.kept()))


class Copier:
    """Copies what the stores hold. ``profiles_key`` makes pseudonyms; None: no profiles."""

    def __init__(
        self, policy: Policy, vault: Vault, visits: Visits, profiles_key: bytes | None
    ) -> None:
        self._policy = policy
        self._vault = vault
        self._visits = visits
        self._key = profiles_key

    def everything(self, connection: Connection, request: Request, asked: Asked) -> Copy:
        """Return all that is held of who asks, and of nobody else.

        Raise NotSealedError, KeyStoreError, and what ``visits`` raises.
        """
        rows: dict[Store, Sequence[Row]] = {Store.REQUESTS: _requests(connection, request)}
        mine: Sequence[Case] = []
        if request.subject is not None:
            mine = cases.of_subjects(connection, [request.subject])[request.subject]
            rows |= self._of_subject(connection, request.subject, mine)
        who = visitor_of(asked)
        if who is not None:
            rows |= self._of_visitor(connection, who)
        rows[Store.HOLDERS] = list(self._exports(connection, request.request_id))
        rows[Store.HOLDS] = list(_holds(connection, request.subject, who, mine))
        services = frozenset(each.service for each in mine)
        lists = {self._policy.services[each].list for each in services} - {None}
        on = frozenset(name for name in lists if name is not None)
        return Copy(rows, services, on, who is not None)

    def opened(self, connection: Connection, mine: Sequence[Case]) -> Mapping[str, dict[str, str]]:
        """Return what was filled in, by case and field; nothing of a case that lost its key."""
        found: dict[str, dict[str, str]] = {}
        for start in range(0, len(mine), AT_ONCE):
            some = mine[start : start + AT_ONCE]
            opened = self._vault.open(connection, [each.case_id for each in some], RIGHTS)
            for each in some:
                if each.case_id in opened:
                    sealed = {name: b64decode(value) for name, value in each.sealed.items()}
                    found[each.case_id] = unseal(
                        opened[each.case_id],
                        sealed,
                        site=each.site,
                        case_id=each.case_id,
                        version=each.key_version,
                    ) | dict(each.settings)
        return found

    def interests(self, connection: Connection, who: Visitor) -> Sequence[str]:
        """Return the interests that a visitor put into their profile."""
        profile = self._profile_of(connection, who)
        said = {} if profile is None else profile.corrected
        return [name for name, put_in in sorted(said.items()) if put_in]

    def _of_subject(
        self, connection: Connection, subject: str, mine: Sequence[Case]
    ) -> dict[Store, Sequence[Row]]:
        opened = self.opened(connection, mine)
        erased = suppressed.of(connection, [subject])
        left = unsubscribed.of_subject(connection, subject)
        return {
            Store.CASES: [self._case(each) for each in mine],
            Store.FIELDS: [
                row for each in mine for row in self._fields(each, opened.get(each.case_id, {}))
            ],
            Store.LISTS: [
                {"list": self._policy.lists[name].title, "since": when(each.received_at)}
                for each in mine
                if (name := self._policy.services[each.service].list) is not None
            ],
            Store.OPT_OUTS: [
                {"list": self._title_of_list(name), "since": when(at)} for name, at in left.items()
            ],
            Store.KEY_USES: [
                {
                    "case_id": use.case_id,
                    "department": use.department,
                    "at": when(use.at),
                    "outcome": use.outcome,
                }
                for use in _uses(connection, mine)
            ],
            Store.SUPPRESSED: [
                {"erased_at": when(each.at), "request_id": each.request_id}
                for each in erased.values()
            ],
            Store.DELETIONS: list(_deletions(connection, subject)),
        }

    def _case(self, case: Case) -> Row:
        return {
            "case_id": case.case_id,
            "service": self._policy.services[case.service].title,
            "group": case.group_id,
            "site": case.site,
            "state": case.state.value,
            "language": case.language,
            "received_at": when(case.received_at),
            "changed_at": when(case.changed_at),
            "ends_by_itself_at": None if case.due_at is None else when(case.due_at),
            "further_processing": None if case.further is None else json.dumps(case.further),
            "restricted_by": case.held,
        }

    def _fields(self, case: Case, values: Mapping[str, str]) -> Iterator[Row]:
        service = self._policy.services[case.service]
        for name, value in values.items():
            title = service.fields[name].title if name in service.fields else name
            yield {"case_id": case.case_id, "field": name, "title": title, "value": value}

    def _title_of_list(self, name: str) -> str:
        return self._policy.lists[name].title if name in self._policy.lists else name

    def _of_visitor(self, connection: Connection, who: Visitor) -> dict[Store, Sequence[Row]]:
        standings = consents.standing(connection, *who).standings
        return {
            Store.CONSENTS: [
                {"site": who[0], "purpose": name, "title": self._purpose(name)}
                | {"decision": each.decision.value}
                for name, each in standings.items()
            ],
            Store.CONSENT_CHANGES: [
                {
                    "site": each.site,
                    "cookie_id": each.visitor,
                    "purpose": each.purpose,
                    "decision": each.decision.value,
                    "notice_id": each.notice_id,
                    "notice_version": each.notice_version,
                    "language": each.language,
                    "how": each.how,
                    "decided_at": when(each.occurred_at),
                    "recorded_at": when(each.recorded_at),
                    "effective_at": None if each.effective_at is None else when(each.effective_at),
                }
                for each in consents.history(connection, *who)
            ],
            Store.PROVIDERS: [
                {
                    "provider": each.provider,
                    "purpose": each.purpose,
                    "audience": each.audience,
                    "known_there_by": json.dumps(each.ids, ensure_ascii=False),
                    "to_be_removed_since": None if each.due_at is None else when(each.due_at),
                }
                for each in reached.copy(connection, *who)
            ],
            Store.PROFILE: list(self._profile(connection, who)),
            Store.EVENTS: [
                {**each, "occurred_at": when(each["occurred_at"])} for each in self._visits.of(*who)
            ],
        }

    def _purpose(self, name: str) -> str:
        return self._policy.purposes[name].title if name in self._policy.purposes else name

    def _profile(self, connection: Connection, who: Visitor) -> Iterator[Row]:
        profile = self._profile_of(connection, who)
        if profile is None:
            return
        for city, days in sorted(profile.cities.items()):
            for day in sorted(days):
                yield _sign("city", f"{city.city}, {city.country}", day)
        for name, interest in sorted(profile.interests.items()):
            yield _sign("interest", name, interest.last_day) | {"weight": interest.weight}
        for name, wanted in sorted(profile.corrected.items()):
            yield {"kind": "put in by you" if wanted else "taken out by you", "what": name}

    def _profile_of(self, connection: Connection, who: Visitor) -> Profile | None:
        if self._key is None:
            return None
        return profiles.of(connection, pseudonym(self._key, *who))

    def _exports(self, connection: Connection, request_id: str) -> Iterator[Row]:
        asked = {each.demand_id: each for each in demands.of_request(connection, request_id)}
        said = demands.answers_of(connection, asked.keys())
        opened = self._vault.open(connection, asked.keys(), RIGHTS)
        for name, demand in asked.items():
            answered = {each.holder: each for each in said[name]}
            for holder in demand.holders:
                of = {"holder": holder, "service": demand.service, "case_id": demand.case_id}
                answer = answered.get(holder)
                if answer is None:
                    yield of | {"outcome": "no answer yet"}
                    continue
                try:
                    content = answer.content
                    held = {} if content is None else open_held(opened[name], name, content)
                except NotSealedError:  # the others' answers are given all the same
                    yield of | {"outcome": "answer cannot be read"}
                    continue
                yield of | {"outcome": answer.outcome.value}
                yield from (of | {"field": each, "value": _plain(held[each])} for each in held)


def _uses(connection: Connection, mine: Sequence[Case]) -> Iterator[Use]:
    """Yield who asked for the keys of cases, each case's together."""
    for start in range(0, len(mine), AT_ONCE):
        some = [each.case_id for each in mine[start : start + AT_ONCE]]
        for uses in keys.uses_of_many(connection, some).values():
            yield from uses


def when(at: int) -> str:
    """Return milliseconds since 1970 in RFC 3339, UTC."""
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="seconds")


def _sign(kind: str, what: str, day: int) -> dict[str, str | int | float | None]:
    return {"kind": kind, "what": what, "day": when(day * DAY_MS)[:10]}


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _requests(connection: Connection, request: Request) -> Sequence[Row]:
    mine = [] if request.subject is None else requests.of_subject(connection, request.subject)
    return [
        {
            "request_id": each.request_id,
            "right": each.right,
            "ground": each.ground,
            "site": each.site,
            "received_at": when(each.received_at),
            "confirmed_by": each.confirmed_by,
            "decided": each.verdict,
            "answered_at": None if each.answered_at is None else when(each.answered_at),
        }
        for each in mine or [request]
    ]


def _holds(
    connection: Connection, subject: str | None, who: Visitor | None, mine: Sequence[Case]
) -> Iterator[Row]:
    found = [] if subject is None else holds.of_subject(connection, [subject]).get(subject, [])
    if who is not None:
        found = [*found, *holds.of_visitors(connection, who[0], [who[1]]).get(who[1], [])]
    for each in dict.fromkeys(found):
        yield {"kind": each.kind.value, "ground": each.ground, "since": when(each.since)}
    for case_id in sorted(holds.claims(connection, [each.case_id for each in mine])):
        yield {"kind": holds.Kind.CLAIM.value, "case_id": case_id}


def _deletions(connection: Connection, subject: str) -> Iterator[Row]:
    """Yield the deletions that this person's requests led to: of others nobody knows whose."""
    for request in requests.of_subject(connection, subject):
        for step in requests.steps(connection, request.request_id):
            if step.act != Act.END_CASE:
                continue
            if (found := deletion.show(connection, step.target)) is not None:
                yield {
                    "deletion_id": found.deletion.deletion_id,
                    "case_id": found.deletion.case_id,
                    "service": found.deletion.service,
                    "cause": found.deletion.cause,
                    "requested_at": when(found.deletion.requested_at),
                    "completed_at": (
                        None if found.completed_at is None else when(found.completed_at)
                    ),
                }
