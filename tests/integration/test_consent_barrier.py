"""What was acknowledged before the barrier is known after it, on a real broker (S14)."""

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
from confluent_kafka import TopicPartition

from privacy.consent import Decision
from privacy.outcome import Reason
from privacy.standings import REFUSALS
from schemas.codec import encode
from sinks.consent_barrier import CHANGES, RECORDER, STATE, Consents, ConsentUnknownError
from sinks.kafka import ANY, BatchProducer, consumer
from streams.settings import Settings

pytestmark = pytest.mark.broker

SITE = "shop.example"


class Site:
    """Gives and withdraws; each change is acknowledged when the call returns."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._producer = BatchProducer(settings.kafka.bootstrap, {})
        self._ids = itertools.count()

    def change(self, visitor: str, decision: Decision) -> None:
        content = {
            "change_id": f"3b241101-e2bb-4255-8caf-{next(self._ids):012}",
            "site": SITE,
            "cookie_id": visitor,
            "purpose": "ads",
            "decision": decision.value,
            "notice_id": None,
            "notice_version": None,
            "language": None,
            "how": "banner",
            "occurred_at": 1,
            "received_at": 1,
        }
        self.put(CHANGES, visitor, encode("consent_change", content))

    def put(self, topic: str, visitor: str, value: bytes | None, partition: int = ANY) -> None:
        self._producer.send(self.settings.topic(topic), [value], [key(visitor)], partition)
        self._producer.stored()


def key(visitor: str) -> bytes:
    return f"{SITE}|{visitor}".encode()


@pytest.fixture
def site(settings: Settings) -> Site:
    return Site(settings)


@pytest.fixture
def consents(settings: Settings) -> Iterator[Consents]:
    kafka = settings.kafka
    made = Consents(kafka.bootstrap, {}, kafka.prefix, ["ads"])
    yield made
    made.close()


def refusal(consents: Consents, visitor: str, epoch: int) -> Reason | None:
    """Look a visitor up after a barrier, as a dispatcher does."""
    epochs = np.array([epoch], np.int64)
    return REFUSALS[consents.refusals([key(visitor)], "ads", epochs)[0]]


def test_each_change_is_known_after_the_barrier_that_follows_it(
    site: Site, consents: Consents
) -> None:
    """An epoch is the offset plus one: what the end of the visitor's partition is now."""
    for _ in range(3):
        for visitor in ("anne", "bert", "cleo", "dirk", "emma"):
            before = consents.barrier(30)
            site.change(visitor, Decision.GIVEN)
            ((_, epoch),) = set(consents.barrier(30).items()) - set(before.items())
            assert refusal(consents, visitor, epoch) is None
            site.change(visitor, Decision.WITHDRAWN)
            assert refusal(consents, visitor, epoch) is None, "nobody looked yet"
            consents.barrier(30)
            assert refusal(consents, visitor, epoch) is Reason.CONSENT_WITHDRAWN


def test_the_changes_themselves_count_behind_the_state_that_the_ledger_made(
    site: Site, settings: Settings, consents: Consents
) -> None:
    """The lane of the ledger is behind: its state says yes, the last change says no."""
    site.change("anne", Decision.GIVEN)
    (partition,) = [each for each, end in consents.barrier(30).items() if end]
    standing = {"decision": "given", "since": 1, "change": "c"}
    state = {
        "site": SITE, "cookie_id": "anne", "epoch": 1, "offset": 0,
        "standings": {"ads": standing}, "spent": [],
    }  # fmt: skip
    site.put(STATE, "anne", encode("consent_state", state))
    lane = consumer(settings.kafka.bootstrap, settings.kafka.prefix + RECORDER, {})
    lane.commit(offsets=[TopicPartition(settings.topic(CHANGES), partition, 1)], asynchronous=False)
    lane.close()
    site.change("anne", Decision.WITHDRAWN)
    consents.close()  # as a process that starts
    consents.barrier(30)
    assert refusal(consents, "anne", 1) is Reason.CONSENT_WITHDRAWN


def test_what_cannot_be_read_counts_as_a_no(site: Site, consents: Consents) -> None:
    site.change("anne", Decision.GIVEN)
    epoch = max(consents.barrier(30).values())
    assert refusal(consents, "anne", epoch) is None
    site.put(CHANGES, "anne", b"rubbish")
    consents.barrier(30)
    assert refusal(consents, "anne", epoch) is Reason.CONSENT_WITHDRAWN


def test_what_cannot_be_read_in_time_is_unknown_and_nothing_is_decided(
    site: Site, consents: Consents
) -> None:
    site.change("anne", Decision.GIVEN)
    consents.barrier(30)
    site.change("anne", Decision.WITHDRAWN)
    with pytest.raises(ConsentUnknownError):
        consents.barrier(-1)
    consents.barrier(30)
    assert refusal(consents, "anne", 1) is Reason.CONSENT_WITHDRAWN


def test_older_states_behind_newer_ones_bring_no_consent_back(
    site: Site, settings: Settings, consents: Consents
) -> None:
    """The lane reads changes again from a backup's place, and has sent the first of its states.

    Compaction has taken the newer state of the visitor away, and not that of another.
    """
    site.change("anne", Decision.GIVEN)
    (partition,) = [each for each, end in consents.barrier(30).items() if end]
    site.change("anne", Decision.WITHDRAWN)
    for visitor, offset in (("bert", 1), ("anne", 0)):
        standing = {"decision": "given", "since": offset + 1, "change": "c"}
        state = {
            "site": SITE, "cookie_id": visitor, "epoch": offset + 1, "offset": offset,
            "standings": {"ads": standing}, "spent": [],
        }  # fmt: skip
        site.put(STATE, visitor, encode("consent_state", state), partition)
    lane = consumer(settings.kafka.bootstrap, settings.kafka.prefix + RECORDER, {})
    lane.commit(offsets=[TopicPartition(settings.topic(CHANGES), partition, 1)], asynchronous=False)
    lane.close()
    consents.close()  # as a process that starts
    consents.barrier(30)
    assert refusal(consents, "anne", 1) is Reason.CONSENT_WITHDRAWN
