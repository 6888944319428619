"""What is measured of requests, each on topics and a ledger of its own, with a broker.

Requests are entered as an operator enters them, so that nobody waits for a link to be followed.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from bench.deletion.measures import WARM, end
from bench.deletion.pipeline import Pipeline
from bench.loops import Until, working
from privacy.lifecycle import CaseState
from privacy.links import answer_token
from privacy.rights.request import Asked, Ground, Right
from privacy.subjects import subject_id
from sinks.keys.intake import subject_key
from sinks.keys.keks import Keks
from sinks.keys.seal import VERSION, seal
from sinks.keys.vault import Vault
from sinks.ledger import cases, requests
from sinks.ledger.cases import Case
from sinks.ledger.requests import State
from streams import rights
from streams.cases.records import text_of
from streams.deletion import LOOPS
from streams.rights.desk import SITE, Desk
from streams.shared import Shared, now
from streams.subject_requests import OPERATOR, REQUESTS, asked_record, said_record

PERSONS = 1_000_000
RECORDS = 1_000
ASKED = 50  # requests for access, one after the other
ERASED = 10_000
AT_ONCE = 1_000
SERVICE = "samples"

Result = Mapping[str, Any]


class Office:
    """A pipeline with people whose cases can be opened."""

    def __init__(self, shared: Shared) -> None:
        self.pipeline = Pipeline(shared)
        self.ledger, self.policy = shared.ledger, shared.known_policy
        self.vault = Vault(Keks.under(shared.settings.secrets))
        self.key = subject_key(shared.settings.secrets)
        self.producer = shared.producer("rights-desk")
        self.topic = shared.settings.topic(REQUESTS)
        self._loops = [rights.LOOPS["requests"], rights.LOOPS["rights"], LOOPS["delete"]]
        self._shared = shared

    def fill_in(self, people: Sequence[str], records: int = 1) -> list[str]:
        """Keep so many cases of each person, sealed with keys of their own; return their ids."""
        ids = []
        of = [(each, number) for each in people for number in range(records)]
        for start in range(0, len(of), AT_ONCE):
            with self.ledger.transaction() as connection:
                new = [self._case(connection, *each) for each in of[start : start + AT_ONCE]]
                cases.add(connection, new)
            ids += [each.case_id for each in new]
        return ids

    def _case(self, connection: Any, email: str, number: int) -> Case:
        at, name = now(), f"{email}-{number}"
        departments = self.policy.services[SERVICE].departments
        key = self.vault.make(connection, name, departments, at)
        fields = {"email": email, "name": f"Example {number}", "phone": "+44 1632 960001"}
        return Case(
            case_id=name, service=SERVICE, group_id=None, site="www.example",
            subject=subject_id(self.key, email), state=CaseState.OPEN, language="en",
            received_at=at, changed_at=at, due_at=None, key_version=VERSION,
            sealed=text_of(seal(key, fields, site="www.example", case_id=name)),
            settings={}, further=None,
        )  # fmt: skip

    @contextmanager
    def working(self) -> Iterator[Until]:
        """Run the worker's loops from requests to answers and deletions."""
        with working([partial(each, self._shared) for each in self._loops]) as until:
            yield until

    def answered(self) -> int:
        """Return how many requests are answered."""
        with self.ledger.reading() as connection:
            return requests.count(connection).get(State.ANSWERED, 0)

    def ask_access(self, email: str, name: str) -> int:
        """Ask for access, confirmed; return when (milliseconds since 1970)."""
        at = now()
        with self.ledger.transaction() as connection:
            key = self.vault.make(connection, name, ["sales"], at)
        asked = Asked(
            Right.ACCESS, None, email, None, None, "en", None, (), {}, None, None,
            answer_token(key, name),
        )  # fmt: skip
        content = asked_record(
            asked, key, request_id=name, site=SITE, subject=subject_id(self.key, email), at=at,
            by=f"{OPERATOR}: bench",
        )  # fmt: skip
        confirmed = said_record(name, "confirmed", f"{OPERATOR}: bench", at)
        self.producer.send(self.topic, [content, confirmed], [name.encode()] * 2)
        self.producer.stored()
        return at


def access(shared: Shared, scale: float) -> Result:
    """Have one person with many records among many others see them, again and again."""
    office = Office(shared)
    persons, count = int(PERSONS * scale), max(5, int(ASKED * min(1.0, scale * 10)))
    office.pipeline.fill(SERVICE, persons)
    office.fill_in(["kim@example.com"], RECORDS)
    took = []
    with office.working() as until:
        for number in range(1 + count):
            name = f"access-{number}"
            began = office.ask_access("kim@example.com", name)
            until(partial(_is_answered, office, name))
            with office.ledger.reading() as connection:
                request = requests.get(connection, name)
            took.append((((request and request.answered_at) or 0) - began) / 1000)
    middle, late = np.percentile(took[1:], [50, 99])  # the first wakes everybody
    return {
        "persons": persons,
        "records": RECORDS,
        "requests": count,
        "median": float(middle),
        "p99": float(late),
    }


def erase(shared: Shared, scale: float) -> Result:
    """Erase many people at once, from the file of an operator to certificates and letters."""
    office, count = Office(shared), int(ERASED * scale)
    alone = _alone(office, count)
    people = [f"person-{number}@example.com" for number in range(count)]
    office.fill_in(people)
    with office.working() as until:
        desk, began = Desk(office.topic, office.producer), time.monotonic()
        for _ in desk.erase(
            [(each, "en") for each in people], Ground.NO_LONGER_NEEDED, "bench",
            policy=office.policy, ledger=office.ledger, vault=office.vault,
            subject_key=office.key, at=now(),
        ):  # fmt: skip
            pass
        until(lambda: office.answered() == count)
        took = time.monotonic() - began
    return {"requests": count, "seconds": took, "alone": alone}


def _alone(office: Office, count: int) -> float:
    """Return how long deletions of so many cases take when nobody asks for them, in seconds."""
    shredder = office.pipeline.shredder()
    for each in office.pipeline.fill(SERVICE, WARM):
        end(office.pipeline, each)
    while shredder.turn():
        pass
    ids = office.pipeline.fill(SERVICE, count)
    began = time.monotonic()
    for start in range(0, count, AT_ONCE):
        end(office.pipeline, *ids[start : start + AT_ONCE])
    while shredder.turn():
        pass
    return time.monotonic() - began


def _is_answered(office: Office, name: str) -> bool:
    with office.ledger.reading() as connection:
        request = requests.get(connection, name)
    return request is not None and request.answered_at is not None


MEASURES: Mapping[str, Callable[[Shared, float], Result]] = {"access": access, "erase": erase}
