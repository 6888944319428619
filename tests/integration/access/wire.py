"""Requests as somebody sends them who does not ask first what there is.

Kafka's clients do ask, and are refused by the answer. Nobody has to.
"""

import asyncio
import time
from collections.abc import Iterable
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.admin import DeleteRecordsRequest
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.transaction import InitProducerIdRequest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth

from streams import kafka_login
from streams.app import _credentials
from streams.settings import Settings

STORED = 0
REFUSED = 29  # TOPIC_AUTHORIZATION_FAILED
REFUSED_BY_CLUSTER = 31
_NOT_YET = 14  # COORDINATOR_LOAD_IN_PROGRESS: the broker's first ids are under way
_BYTES = 1_000_000
_MS = 10_000


def fetch(
    settings: Settings, topics: Iterable[str], *, broker: int = -1
) -> dict[str, tuple[int, bytes]]:
    """Return what is said of each topic's first partition, and the bytes that came of it.

    ``broker``: as which node of the cluster to ask; -1: as a client.
    """
    places = [(each, [(0, 0, _BYTES)]) for each in topics]
    request = FetchRequest(0, 0, 100 * _BYTES, 0, places)
    build = request.build

    def ask_as(kind: Any) -> Any:
        made = build(kind)
        made.replica_id = broker
        return made

    request.build = ask_as  # type: ignore[method-assign]
    answer = _send(settings, request)
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


def become_producer(settings: Settings) -> int:
    """Ask for a producer's id, as an idempotent one does, and return what is said."""
    end = time.monotonic() + _MS / 1000
    while (code := _send(settings, InitProducerIdRequest(None, _MS)).error_code) == _NOT_YET:
        assert time.monotonic() < end, "the broker has no producers' ids"
    return int(code)


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
