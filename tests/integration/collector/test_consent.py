"""Consent on a broker: its epoch is its offset plus one, whichever door it took."""

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from aiohttp.pytest_plugin import AiohttpClient
from kafka.partitioner.default import murmur2

from lethe import Publisher
from privacy.consent import epoch_of
from privacy.policy import Policy
from schemas.codec import decode
from schemas.registry import topics
from sinks.publish import KafkaPublisher
from sinks.salts import Salts
from streams.collector.app import Collector
from streams.settings import Settings

pytestmark = pytest.mark.broker

ReadTopic = Callable[[str, str], list[Any]]

NOW = 1_795_510_000_000
TOPIC = "consent-changes"
ADS = {"title": "Ads", "covers": "ads", "mode": "opt_in", "legal_basis": "Art. 6(1)(a) GDPR"}
POLICY = Policy.model_validate(
    {
        "version": "1",
        "controller": {"name": "Example", "contact": "privacy@example.com"},
        "purposes": {"ads": ADS},
    }
)
NOTICE = {"notice_id": "cookies", "notice_version": "2026-10"}
VISITORS = [f"c-{number}" for number in range(12)]


@pytest.fixture
def publisher(settings: Settings) -> Iterator[KafkaPublisher]:
    made = KafkaPublisher(settings.kafka.bootstrap, {}, max_pending=100, timeout=10.0)
    yield made
    made.close()


async def test_epochs_are_the_offsets_on_the_visitor_s_partition(
    settings: Settings,
    publisher: KafkaPublisher,
    aiohttp_client: AiohttpClient,
    read_topic: ReadTopic,
) -> None:
    """Through the collector and the SDK alike: one order of a visitor's decisions."""
    kafka = settings.kafka
    collector = Collector(
        settings,
        publisher,
        Salts.under(settings.data_dir),
        clock=lambda: NOW,
        new_id=lambda: str(uuid.uuid4()),  # noqa: TID251 - the edge
        policy=POLICY,
    )
    client = await aiohttp_client(collector.application())
    headers = {"X-Lethe-Key": settings.sites["shop.example"].keys[0]}
    epochs: dict[str, list[int]] = {}
    for visitor in VISITORS:
        change = {"cookie_id": visitor, "purpose": "ads", "decision": "given", **NOTICE}
        response = await client.post("/v1/consent", json=change, headers=headers)
        assert response.status == 202
        epochs[visitor] = [(await response.json())["epochs"]["ads"]]
    with Publisher(kafka.bootstrap, "shop.example", prefix=kafka.prefix) as sdk:
        for visitor in VISITORS:
            epochs[visitor].append(sdk.consent(visitor, "ads", "withdrawn", **NOTICE))
    places: dict[str, list[tuple[int, int]]] = {visitor: [] for visitor in VISITORS}
    for found in read_topic(kafka.bootstrap, settings.topic(TOPIC)):
        change = decode("consent_change", found.value)
        assert found.key == f"shop.example|{change['cookie_id']}".encode()
        places[change["cookie_id"]].append((found.partition, epoch_of(found.offset)))
    for visitor, told in epochs.items():
        partition = (murmur2(f"shop.example|{visitor}".encode()) & 0x7FFFFFFF) % topics()[
            TOPIC
        ].partitions
        assert places[visitor] == [(partition, epoch) for epoch in told]
    assert len({partition for each in places.values() for partition, _ in each}) > 1
