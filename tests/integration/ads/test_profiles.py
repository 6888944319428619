"""A profile comes with the consent to it and goes with it, on a real broker (S11, S12, S17)."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import TopicPartition

from privacy.consent import RESTRICTION, Decision
from privacy.durations import DAY_MS
from privacy.profile import pseudonym
from sinks.kafka import consumer
from sinks.keys.intake import make_missing, profile_key
from sinks.ledger import profiles as held
from streams import ads, profiles
from streams.collector.profile import EMPTY, ProfileRoute
from streams.lanes.profiles import ProfilesLane
from streams.policy import load
from streams.settings import Settings
from streams.shared import Shared, now

pytestmark = pytest.mark.broker

SITE = "shop.example"
POLICY = """
version = "profiles 1"
[controller]
name = "Example Trading"
contact = "privacy@www.example"
[purposes.recommendations]
title = "Suggesting what goes with what you like"
covers = "profile"
mode = "opt_in"
legal_basis = "Art. 6(1)(a) GDPR"
[profiles]
purpose = "recommendations"
[profiles.interests.tea]
title = "Tea"
pages = ["/tea*"]
[profiles.contacts.tea-desk]
title = "Tea desk"
contact = "tea@shop.example"
interests = ["tea"]
"""


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    file = tmp_path / "policy.toml"
    file.write_text(POLICY)
    make_missing(settings.secrets)
    return settings.model_copy(update={"policy": file})


@pytest.fixture
def shared(settings: Settings) -> Iterator[Shared]:
    made = Shared(settings)
    yield made
    made.consents.close()
    made.ledger.close()


@contextmanager
def running(*loops: Callable[[threading.Event], None]) -> Iterator[None]:
    stop = threading.Event()
    threads = [threading.Thread(target=loop, args=(stop,)) for loop in loops]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)


class Company:
    """The lanes' ledger, as a site and as an operator see it."""

    def __init__(self, shared: Shared) -> None:
        self.key = profile_key(shared.settings.secrets)
        self.ledger = shared.ledger
        rules = shared.known_policy.profiles
        assert rules is not None
        self.route = ProfileRoute(rules, shared.ledger, lambda: self.key, now)
        kafka, topic = shared.settings.kafka, shared.settings.topic("tracking-events")
        self.lane = consumer(kafka.bootstrap, f"{kafka.prefix}{ProfilesLane.name}", {})
        partitions = self.lane.list_topics(topic, timeout=10).topics[topic].partitions
        self.places = [TopicPartition(topic, each) for each in partitions]

    def held(self, visitor: str) -> Any:
        with self.ledger.reading() as connection:
            return held.of(connection, pseudonym(self.key, SITE, visitor))

    def signs(self, visitor: str) -> float:
        profile = self.held(visitor)
        return 0.0 if profile is None else sum(each.weight for each in profile.interests.values())

    def caught_up(self) -> bool:
        """Tell whether the lane has handled all that lies on its topic."""
        committed = self.lane.committed(self.places, timeout=10)
        ends = [self.lane.get_watermark_offsets(each, timeout=10)[1] for each in self.places]
        return [max(each.offset, 0) for each in committed] == ends

    def told(self, visitor: str) -> Any:
        return dict(self.route.of(SITE, visitor))


def days_in_a_row(visitors: Any, visitor: str, epoch: int | None, days: int = 3) -> None:
    at = now()
    visitors.send(
        *(
            visitors.event(visitor, epoch) | {"occurred_at": at - day * DAY_MS, "ad_ids": None}
            for day in range(days)
        )
    )


def test_a_profile_comes_with_consent_goes_with_it_and_counts_nothing_twice(
    shared: Shared, visitors: Any, until: Callable[..., None]
) -> None:
    company = Company(shared)

    def consent(stop: threading.Event) -> None:
        ads.consent(shared, stop)

    def lane(stop: threading.Event) -> None:
        profiles.lane(shared, stop)

    with running(consent, lane):
        epoch = visitors.choose("a", Decision.GIVEN, "recommendations")
        days_in_a_row(visitors, "stranger", 1)
        days_in_a_row(visitors, "a", None)
        days_in_a_row(visitors, "a", epoch)
        until(lambda: company.signs("a") > 2.8, "three signs, the older fading")
        until(lambda: company.told("a")["cities"], "the consent to be in the ledger")
        told = company.told("a")
        assert [each["country"] for each in told["cities"]] == ["BE"], told
        assert told["interests"] == [{"name": "tea", "title": "Tea"}]
        assert (told["content"], told["contacts"]) == ([], [])  # nobody shares it yet

        before = company.held("a")
        replayed = replay(shared, until)
        assert replayed >= 9
        assert company.held("a") == before

        visitors.choose("a", Decision.GIVEN, RESTRICTION)
        until(lambda: company.told("a") == EMPTY, "the restriction to be in the ledger")
        days_in_a_row(visitors, "a", epoch)
        until(company.caught_up, "the lane to have handled its events")
        assert company.held("a") == before  # kept, and nothing added
        visitors.choose("a", Decision.WITHDRAWN, RESTRICTION)

        visitors.choose("a", Decision.WITHDRAWN, "recommendations")
        until(lambda: company.held("a") is None, "the profile to be gone", 60)
        assert company.told("a") == EMPTY
        days_in_a_row(visitors, "a", epoch)
        until(company.caught_up, "the lane to have handled late events")
        assert company.held("a") is None
        assert company.held("stranger") is None
    with shared.ledger.reading() as connection:
        assert held.count(connection) == 0
    company.lane.close()


def replay(shared: Shared, until: Callable[..., None]) -> int:
    """Read all that is on the topic once more, in a group that has read nothing."""
    kafka, read = shared.settings.kafka, []
    policy = load(shared.settings.policy or Path())
    assert policy.profiles is not None
    source = consumer(kafka.bootstrap, f"{kafka.prefix}again", {})
    source.subscribe([shared.settings.topic("tracking-events")])
    lane = ProfilesLane(
        profiles.Profiler(policy.profiles, profiles.require_key(shared.settings)),
        lambda: profiles.rules(shared),
        shared.consents,
        shared.ledger,
        consumer=source,
        known=lambda stop: profiles.know(shared.consents, stop),
        batch=1_000,
        wait=0.1,
        clock=now,
    )
    passed = lane._pass

    def count(messages: Any) -> None:
        passed(messages)
        read.extend(messages)

    lane._pass = count  # type: ignore[method-assign]
    with running(lane.run):
        until(lambda: len(read) >= 9, "the replay")
    return len(read)
