"""What anybody could put on a topic stops no lane: each message goes on, or is refused once."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Connection

from lethe.standins.account import POLICY
from privacy.abuse import Access, Watch
from privacy.abuse import Rules as AbuseRules
from privacy.policy import Policy
from privacy.pseudonym import Salt
from schemas.codec import WireError, decode, encode
from schemas.registry import latest
from sinks.keys.intake import links_keys, unsubscribe_keys
from sinks.keys.keks import Keks
from sinks.keys.vault import Vault
from sinks.ledger.ledger import Ledger
from sinks.signing import Signer
from streams.cases.lane import CasesLane, Topics
from streams.cases.transitions import Transitions
from streams.deletion.certify import Certifier
from streams.deletion.receipts import ReceiptsLane
from streams.delivery.lane import read_event
from streams.keys.prepare import prepare
from streams.lanes.anonymise import anonymise
from streams.lanes.consent import ConsentLane
from streams.lanes.load import loadable
from streams.lanes.route import PATH, consented
from streams.lanes.rules import Rules, SiteRules
from streams.lanes.security import SecurityLane, _told
from streams.lanes.steps import RAW, SHORTENED
from streams.policy import load
from streams.rights.lane import RequestsLane
from streams.rights.letters import Letters
from tests.fuzz.inputs import Inputs
from tests.fuzz.parsers import NOW, good

COUNT = 400
SITE = "shop.example"
Take = Callable[[Connection, Sequence[Any]], Sequence[Any]]

# What goes deeper than the first look.
DEEPER: Mapping[str, Mapping[str, Any]] = {
    "tracking_event": {"site": SITE, "occurred_at": NOW, "received_at": NOW},
    "anonymised_event": {"event_id": "5f3a7f0e-2a54-4c0d-9d2e-000000000001"},
    "form_submission": {"service": "sample-request", "received_at": NOW},
    "service_event": {"service": "sample-request", "at": NOW},
    "deletion_receipt": {"holder": "crm", "at": NOW},
    "subject_request": {"kind": "asked", "received_at": NOW},
    "access": {"site": SITE, "token": "0" * 32},
}


class Message:
    """One as Kafka's client hands it over."""

    def __init__(self, topic: str, offset: int, value: bytes | None, key: bytes) -> None:
        self.place, self._value, self._key = (topic, 0, offset), value, key

    def topic(self) -> str:
        return self.place[0]

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return self.place[2]

    def timestamp(self) -> tuple[int, int]:
        return 2, NOW

    def value(self) -> bytes | None:
        return self._value

    def key(self) -> bytes:
        return self._key


class Map:
    """No places at all."""

    countries = cities = np.array([""], dtype=object)

    def refreshed(self) -> "Map":
        return self

    def locate(self, addresses: Sequence[str | None]) -> np.ndarray:
        return np.zeros(len(addresses), np.int32)

    def locate_v4(self, networks: np.ndarray) -> np.ndarray:
        return np.zeros(len(networks), np.int32)

    def nearest(self, latitudes: np.ndarray, _: np.ndarray) -> np.ndarray:
        return np.zeros(len(latitudes), np.int32)


def messages(topic: str, record: str, seed: object) -> list[Message]:
    inputs = Inputs(f"{seed}|{topic}")
    deeper = dict(DEEPER.get(record, {}))
    made: list[Message] = []
    for offset in range(COUNT):
        roll = inputs.chance.random()
        if roll < 0.05:
            value: bytes | None = inputs.chance.choice((None, b""))
        elif roll < 0.4:
            value = inputs.wire(record, good(record))
        elif roll < 0.8:
            given = {name: each for name, each in deeper.items() if inputs.chance.random() < 0.7}
            value = inputs.framed(latest(record), given)
        else:
            value = inputs.chance.choice(good(record))
        key = inputs.chance.choice((b"", b"\xff\0", f"{SITE}|v-{offset}".encode(), b"a|b\0"))
        made.append(Message(topic, offset, value, key))
    return made


def can_be_read(record: str, message: Message) -> bool:
    try:
        decode(record, message.value())
    except WireError:
        return False
    return True


@pytest.fixture(scope="module")
def policy() -> Policy:
    return load(POLICY)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger.open(f"sqlite:///{tmp_path}/ledger.db")
    yield opened
    opened.close()


@pytest.fixture
def lanes(policy: Policy, ledger: Ledger, tmp_path: Path) -> Mapping[str, Take]:
    """Return what takes messages of a topic, for each of the ledger's lanes."""
    secrets = tmp_path / "secrets"
    prepare(secrets, policy)
    vault = Vault(Keks.under(secrets))
    usual: Any = {"consumer": None, "producer": None}
    timed = {**usual, "clock": lambda: NOW}
    letters = Letters(policy, "letters", partial(links_keys, secrets))
    signer = Signer.under(secrets)
    certifier = Certifier(ledger, signer, controller="c", policy="1", clock=lambda: NOW)
    transitions = Transitions(policy, str, partial(unsubscribe_keys, secrets))
    topics = Topics("form-submissions", "service-events", "dead-letters")
    cases = CasesLane(topics, policy, transitions, ledger, **timed)
    consent = ConsentLane(
        "consent-changes", "consent-state", ledger, purposes=("ads",), ads=("ads",), **usual
    )
    requests = RequestsLane(
        "subject-requests", policy, ledger, dead_letters="dead-letters", vault=vault,
        letters=letters, **timed,
    )  # fmt: skip
    receipts = ReceiptsLane({"receipts": "crm"}, "dead-letters", ledger, certifier, **timed)
    return {
        "consent-changes": consent._take,
        "form-submissions": cases._take,
        "service-events": cases._take,
        "subject-requests": requests._take,
        "receipts": receipts._take,
    }


RECORDS = {
    "consent-changes": "consent_change",
    "form-submissions": "form_submission",
    "service-events": "service_event",
    "subject-requests": "subject_request",
    "receipts": "deletion_receipt",
}


@pytest.mark.parametrize("topic", RECORDS)
def test_no_message_stops_a_lane_of_the_ledger(
    lanes: Mapping[str, Take], ledger: Ledger, topic: str
) -> None:
    sent = messages(topic, RECORDS[topic], 1)
    for message in sent:
        with ledger.transaction() as connection:
            (outcome,) = lanes[topic](connection, [message])
        if topic != "consent-changes" and not can_be_read(RECORDS[topic], message):
            assert outcome.reject is not None
            assert len(outcome.messages) == 1


@pytest.mark.parametrize(("seed", "path"), [("shortened", SHORTENED), ("raw", RAW)])
def test_no_message_stops_those_of_tracking(seed: str, path: Any) -> None:
    rules = Rules({SITE: SiteRules(frozenset(), True)}, Map(), lambda _: Salt(b"s" * 32))
    sent: Any = messages("tracking-events", "tracking_event", seed)
    result = anonymise(path, rules, sent, NOW)
    assert len(result.values) + len(result.rejects) == len(sent)
    assert result.values
    consented(rules, sent, NOW, PATH)
    anonymised: Any = [
        Message("tracking-anonymised", offset, value, b"")
        for offset, value in enumerate(result.values)
    ]
    assert not loadable(anonymised).rejects  # what one lane lets through, the next one takes


def test_no_message_stops_those_that_load_deliver_and_watch() -> None:
    sent: Any = messages("tracking-anonymised", "anonymised_event", 1)
    batch = loadable(sent)
    assert len(batch) + len(batch.rejects) == len(sent)
    for message in messages("ads-meta", "ad_event", 1):
        read_event(message.value())
    nobody: Any = None
    lane = SecurityLane(
        "access-log", "alerts", "dead-letters", AbuseRules(), [SITE],
        consumer=nobody, producer=nobody, batch=1, wait=1, clock=lambda: NOW,
    )  # fmt: skip
    watch = Watch(AbuseRules())
    for message in messages("access-log", "access", 1):
        read = lane._read(message)
        if isinstance(read, Access):
            for alert in watch.see(read):
                encode("security_alert", _told(alert))
