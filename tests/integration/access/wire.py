"""Requests as somebody sends them who does not ask first what there is.

Kafka's clients do ask, and are refused by the answer. Nobody has to.
"""

import asyncio
from collections.abc import Iterable
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.admin import DeleteRecordsRequest
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth

from streams import kafka_login
from streams.app import _credentials
from streams.settings import Settings

STORED = 0
REFUSED = 29  # TOPIC_AUTHORIZATION_FAILED
_BYTES = 1_000_000
_MS = 10_000


def fetch(settings: Settings, topics: Iterable[str]) -> dict[str, tuple[int, bytes]]:
    """Return what is said of each topic's first partition, and the bytes that came of it."""
    places = [(each, [(0, 0, _BYTES)]) for each in topics]
    answer = _send(settings, FetchRequest(0, 0, 100 * _BYTES, 0, places))
    return {topic: (place[1], bytes(place[-1] or b"")) for topic, (place,) in answer.topics}


def produce(settings: Settings, topics: Iterable[str], value: bytes) -> dict[str, int]:
    """Write to each topic's first partition, and return what is said of it."""
    batch = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, _BYTES)
    batch.append(0, None, b"k", value, [])
    content = bytes(batch.build())
    request = ProduceRequest(None, -1, _MS, [(each, [(0, content)]) for each in topics])
    return {topic: place[1] for topic, (place,) in _send(settings, request).topics}


def delete_nothing(settings: Settings, topics: Iterable[str]) -> dict[str, int]:
    """Delete of each topic's first partition what is before its beginning."""
    request = DeleteRecordsRequest([(each, [(0, 0)]) for each in topics], _MS)
    return {topic: place[2] for topic, (place, *_), *_ in _send(settings, request).topics}


def _send(settings: Settings, request: Any) -> Any:
    """Send a request to the broker, as Faust's client logs in, and return its answer."""

    async def sent() -> Any:
        login = credentials_to_aiokafka_auth(_credentials(kafka_login.options(settings)))
        client = AIOKafkaClient(bootstrap_servers=settings.kafka.bootstrap, **login)
        try:
            await client.bootstrap()
            (node,) = client.cluster.brokers()
            return await client.send(node.nodeId, request)
        finally:
            await client.close()

    return asyncio.run(sent())
