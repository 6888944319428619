"""Requests of invented people, over a broker in memory and SQLite."""

import threading
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from privacy.lifecycle import CaseState
from privacy.policy import RIGHTS, Policy
from privacy.rights.request import Asked, Ground, Right
from privacy.subjects import subject_id
from schemas.codec import decode
from sinks.keys.keks import Keks
from sinks.keys.seal import seal, unseal
from sinks.keys.vault import Vault
from sinks.ledger import cases, requests
from sinks.ledger.cases import Case
from sinks.ledger.ledger import Ledger
from sinks.ledger.requests import Request, Step
from streams.alerts import Alerts
from streams.cases.records import text_of
from streams.cases.transitions import Transitions
from streams.rights.cases import CaseActs
from streams.rights.closing import Closing
from streams.rights.engine import Engine
from streams.rights.gather import Gatherer
from streams.rights.lane import RequestsLane
from streams.rights.letters import Letters
from streams.subject_requests import asked_record, said_record

if TYPE_CHECKING:
    from streams.rights.doing import Handlers, Outsides

NOW = 1_795_000_000_000
SITE = "shop.example"
SUBJECT_KEY = bytes(32)
LINKS = {"1": bytes(range(32))}
POLICY = """
version = "test"
[controller]
name = "Example Trading"
contact = "privacy@www.example"
[authority]
name = "Example Authority"
address = "1 Example Square"
complaint = "You may complain to the authority."
[departments.care]
title = "Care"
contact = "care@www.example"
[rights]
department = "care"
url = "https://collect.example/"
most_per_month = 3
[lists.news]
title = "News"
kind = "newsletter"
legal_basis = "Art. 6(1)(f) GDPR"
[services.samples]
title = "Samples"
life_cycle = "sample"
departments = ["care"]
legal_basis = "Art. 6(1)(b) GDPR"
purposes = ["to send them"]
[services.samples.fields.email]
title = "E-mail"
kind = "email"
mandatory = true
[services.news]
title = "News"
life_cycle = "subscription"
departments = ["care"]
legal_basis = "Art. 6(1)(f) GDPR"
purposes = ["to send it"]
list = "news"
[services.news.fields.email]
title = "E-mail"
kind = "email"
mandatory = true
"""


@pytest.fixture
def policy() -> Policy:
    return Policy.model_validate(tomllib.loads(POLICY))


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.open(f"sqlite:///{tmp_path}/ledger.db")


class Desk:
    """People who ask, operators who decide, and what came of it. Its clock is ``now``."""

    links = LINKS

    def __init__(self, policy: Policy, ledger: Ledger, broker: Any, folder: Path) -> None:
        keks = Keks.under(folder)
        keks.make_missing([*policy.departments, RIGHTS])
        self.policy, self.ledger, self.broker, self.now = policy, ledger, broker, NOW
        self.vault = Vault(keks)
        self.letters = Letters(policy, "letters", lambda: LINKS)
        transitions = Transitions(policy, lambda name: name, lambda: LINKS)
        self.handlers: Handlers = {
            **CaseActs(policy, transitions).handlers(),
            **self.letters.handlers(),
        }
        self.outside: Outsides = {}
        self.closing = Closing(policy, ledger, lambda: self.now)

    def ask(
        self,
        name: str,
        right: Right = Right.ERASURE,
        *,
        email: str | None = "ann@example.com",
        cookie: str | None = None,
        by: str = "",
    ) -> str:
        """Put a request on its topic, as the collector does."""
        with self.ledger.transaction() as connection:
            key = self.vault.make(connection, name, ["care"], self.now)
        ground = Ground.CONSENT_WITHDRAWN if right is Right.ERASURE else None
        asked = Asked(
            right, ground, email, SITE if cookie else None, cookie, "nl",
            None, (), {}, None, None, f"token-of-{name}",
        )  # fmt: skip
        value = asked_record(
            asked, key, request_id=name, site=SITE, at=self.now, by=by,
            subject=None if email is None else subject_id(SUBJECT_KEY, email),
        )  # fmt: skip
        self.broker.put("subject-requests", name.encode(), value, self.now)
        return name

    def say(self, name: str, kind: str, by: str = "link", **details: str) -> None:
        """Put what becomes of a request on the topic."""
        value = said_record(name, kind, by, self.now, details)
        self.broker.put("subject-requests", name.encode(), value, self.now)

    def take_in(self) -> None:
        """Read everything there is."""
        stop = threading.Event()
        RequestsLane(
            "subject-requests", self.policy, self.ledger,
            dead_letters="dead-letters", vault=self.vault, letters=self.letters,
            consumer=self.broker.consumer(stop.set), producer=self.broker.producer(),
            clock=lambda: self.now,
        ).run(stop)  # fmt: skip

    def engine(self, producer: Any = None) -> Engine:
        producer = producer or self.broker.producer()
        return Engine(
            self.policy, self.ledger,
            vault=self.vault, gatherer=Gatherer(self.policy, None),
            handlers=self.handlers, outside=self.outside, producer=producer,
            alerts=Alerts("pipeline-alerts", producer), clock=lambda: self.now,
        )  # fmt: skip

    def work(self) -> None:
        """Have an engine go on until nothing is left to do now."""
        engine = self.engine()
        while engine.turn():
            pass

    def get(self, name: str) -> Request:
        with self.ledger.reading() as connection:
            found = requests.get(connection, name)
        assert found is not None
        return found

    def steps(self, name: str) -> list[Step]:
        with self.ledger.reading() as connection:
            return requests.steps(connection, name)

    def mailed(self) -> list[tuple[str, str]]:
        """Return the letters that were sent: of which request, and of which kind."""
        sent = [decode("letter", each) for each in self.broker.values("letters")]
        return [(each["request_id"], each["kind"]) for each in sent]

    def opened(self, name: str, kind: str) -> dict[str, str]:
        """Return a letter as the mail system reads it."""
        sent = [decode("letter", each) for each in self.broker.values("letters")]
        found = next(each for each in sent if (each["request_id"], each["kind"]) == (name, kind))
        with self.ledger.reading() as connection:
            key = self.vault.open(connection, [name], "care")[name]
        return unseal(key, found["sealed"], site=found["site"], case_id=name)

    def refused(self) -> list[str]:
        sent = [decode("dead_letter", each) for each in self.broker.values("dead-letters")]
        return [each["reason"] for each in sent]

    def alerts(self) -> list[tuple[str, str, int]]:
        sent = [decode("pipeline_alert", each) for each in self.broker.values("pipeline-alerts")]
        return [(each["kind"], each["subject"], each["count"]) for each in sent]

    def begin_case(self, case_id: str, service: str, email: str = "ann@example.com") -> None:
        """Have a case in the ledger, as the cases lane leaves it."""
        with self.ledger.transaction() as connection:
            key = self.vault.make(connection, case_id, ["care"], self.now)
            sealed = seal(key, {"email": email}, site=SITE, case_id=case_id)
            case = Case(
                case_id=case_id, service=service, group_id=None, site=SITE,
                subject=subject_id(SUBJECT_KEY, email), state=CaseState.OPEN, language="nl",
                received_at=self.now, changed_at=self.now, due_at=None, key_version=1,
                sealed=text_of(sealed), settings={},
                further=None,
            )  # fmt: skip
            cases.add(connection, [case])


@pytest.fixture
def desk(policy: Policy, ledger: Ledger, broker: Any, tmp_path: Path) -> Desk:
    return Desk(policy, ledger, broker, tmp_path / "secrets")
