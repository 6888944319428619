"""A policy of invented services, and the cases lane over a broker in memory and SQLite."""

import threading
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select

from privacy.policy import Policy
from schemas.codec import decode, encode
from sinks.ledger import tables
from sinks.ledger.ledger import Ledger
from streams.cases.closures import Closures
from streams.cases.lane import CasesLane, Topics
from streams.cases.transitions import Transitions

NOW = 1_795_000_000_000
LINKS = {"1": bytes(range(32))}

_SERVICE = """
[services.{name}]
title = "{name}"
life_cycle = "{life_cycle}"
departments = ["events", "sales"]
legal_basis = "Art. 6(1)(b) GDPR"
purposes = ["to render the service"]
group = "{group}"
{more}
[services.{name}.fields.email]
title = "E-mail"
kind = "email"
mandatory = true
"""
POLICY = """
version = "test"
[controller]
name = "Example Trading"
contact = "privacy@www.example"
[authority]
name = "Example Authority"
address = "1 Example Square"
complaint = "You may complain to the authority."
[departments.events]
title = "Events"
contact = "events@www.example"
[departments.sales]
title = "Sales"
contact = "sales@www.example"
[holders.crm]
title = "CRM"
services = ["samples", "gala-guests"]
[lists.news]
title = "News"
kind = "newsletter"
legal_basis = "Art. 6(1)(f) GDPR"
""" + "".join(
    _SERVICE.format(name=name, life_cycle=life_cycle, group=group, more=more)
    for name, life_cycle, group, more in (
        ("samples", "sample", "optional", ""),
        ("galas", "event", "required", ""),
        ("gala-guests", "registration", "required", ""),
        ("gala-invitations", "invitation", "required", ""),
        ("jobs", "application", "optional", ""),
        ("poll", "survey", "optional", 'further_processing = "Research"'),
        ("news", "subscription", "none", 'list = "news"'),
    )
)


@pytest.fixture
def policy_text() -> str:
    return POLICY


@pytest.fixture
def policy() -> Policy:
    return Policy.model_validate(tomllib.loads(POLICY))


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.open(f"sqlite:///{tmp_path}/ledger.db")


class Desk:
    """Submits forms, reports service events, and looks at what came of them."""

    def __init__(self, policy: Policy, ledger: Ledger, broker: Any) -> None:
        self.policy = policy
        self.ledger = ledger
        self.broker = broker
        self.now = NOW
        self.transitions = Transitions(policy, lambda name: name, lambda: LINKS)
        self.closures = Closures(
            policy, self.transitions, ledger, broker.producer(), lambda: self.now
        )
        self._events = 0

    def make_key(self, case_id: str) -> None:
        row = {"case_id": case_id, "department": "events", "wrapped": b"w", "made_at": NOW}
        with self.ledger.transaction() as connection:
            connection.execute(insert(tables.case_keys), [row])

    def submit(self, case_id: str, service: str, group: str | None = None, **more: Any) -> None:
        if more.pop("key", True):
            self.make_key(case_id)
        form = {
            "case_id": case_id,
            "service": service,
            "site": "shop.example",
            "group": group,
            "subject": "s-1",
            "language": "nl",
            "received_at": self.now,
            "key_version": 1,
            "sealed": {"email": b"\x00sealed"},
            "settings": {},
            "further": None,
        }
        value = encode("form_submission", form | more)
        self.broker.put("form-submissions", case_id.encode(), value, self.now)

    def report(
        self, event: str, service: str, case: str | None = None, group: str | None = None,
        event_id: str | None = None,
    ) -> str:  # fmt: skip
        self._events += 1
        event_id = event_id or f"e-{self._events}"
        content = {
            "event_id": event_id,
            "service": service,
            "event": event,
            "case_id": case,
            "group": group,
            "at": self.now,
            "by": "back office",
            "details": {},
        }
        key = (case or group or "").encode()
        self.broker.put("service-events", key, encode("service_event", content), self.now)
        return event_id

    def run(self, *, close: bool = True) -> None:
        """Read everything, then finish every job and case that is due."""
        stop = threading.Event()
        CasesLane(
            Topics("form-submissions", "service-events", "dead-letters"),
            self.policy,
            self.transitions,
            self.ledger,
            consumer=self.broker.consumer(stop.set),
            producer=self.broker.producer(),
            clock=lambda: self.now,
        ).run(stop)
        while close and self.closures.batch():
            self.closures.publish()
        if close:
            self.closures.publish()

    def states(self) -> dict[str, str]:
        with self.ledger.reading() as connection:
            table = tables.cases
            return dict(connection.execute(select(table.c.case_id, table.c.state)).all())

    def deletions(self) -> dict[str, Any]:
        with self.ledger.reading() as connection:
            found = connection.execute(select(tables.deletions)).mappings()
            return {each["case_id"]: dict(each) for each in found}

    def sent(self, topic: str, record: str) -> list[dict[str, Any]]:
        return [decode(record, each) for each in self.broker.values(topic)]

    def refused(self) -> list[str]:
        return [each["reason"] for each in self.sent("dead-letters", "dead_letter")]

    def forget_positions(self) -> None:
        """Lose how far the lane has come, in the ledger and in Kafka."""
        with self.ledger.transaction() as connection:
            connection.execute(tables.positions.delete())
        self.broker.committed.clear()


@pytest.fixture
def desk(policy: Policy, ledger: Ledger, broker: Any) -> Desk:
    return Desk(policy, ledger, broker)


@pytest.fixture
def fill(desk: Desk) -> Callable[[int, str, str], list[str]]:
    """Begin many cases of a group."""

    def begin(count: int, service: str, group: str) -> list[str]:
        names = [f"{service}-{number}" for number in range(count)]
        for each in names:
            desk.submit(each, service, group)
        desk.run(close=False)
        return names

    return begin
