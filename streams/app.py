"""The composition root: settings in, one Faust app with its agents and lanes out.

Faust carries the control plane. Its defaults that lose or show data are off: no tables, no web
server, no topics declared, offsets committed only behind an acknowledgement by hand. The lanes of
the data plane are services of the same app, each with its own thread and consumer.
"""

import ssl
from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import partial
from typing import Any

import faust
import structlog

from sinks.clickhouse.rejects import RejectsTable
from streams import ads, cases, deletion, kafka_login, profiles, rights, wiring
from streams.agents.dead_letters import dead_letters
from streams.service import InThread
from streams.shared import Shared

OF_SERVICES = {**cases.LOOPS, **deletion.LOOPS}
OF_A_POLICY = {**ads.LOOPS, **OF_SERVICES, **profiles.LOOPS, **rights.LOOPS}
PARTS = (*wiring.LOOPS, *OF_A_POLICY, "deliver", "agents")

_log = structlog.get_logger()


def services(shared: Shared, parts: Collection[str]) -> list[InThread]:
    """Return those of ``parts`` that are loops, as services of the worker.

    Not of the app: that starts its services when its consumer has joined its group, which takes a
    while after another worker was killed, and the data plane need not wait for it.
    """
    loops = dict(wiring.LOOPS)
    if shared.policy is not None:
        loops |= ads.LOOPS
        loops |= OF_SERVICES if shared.policy.services else {}
        loops |= profiles.LOOPS if shared.policy.profiles is not None else {}
        loops |= rights.LOOPS if shared.policy.rights is not None else {}
    found = {name: loop for name, loop in loops.items() if name in parts}
    if "deliver" in parts:
        found |= ads.deliveries(shared)
    return [InThread(name, partial(loop, shared)) for name, loop in found.items()]


def build_app(shared: Shared) -> faust.App:
    """Return the app with the agents."""
    settings = shared.settings
    app = faust.App(
        f"{settings.kafka.prefix}lethe",
        broker=[f"kafka://{each}" for each in settings.kafka.bootstrap.split(",")],
        broker_credentials=_credentials(kafka_login.options(settings)),
        datadir=str(settings.data_dir / "faust"),
        store="memory://",
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        autodiscover=False,
        consumer_auto_offset_reset="earliest",
        producer_acks=-1,
        broker_commit_interval=0.5,
        broker_session_timeout=settings.kafka.session_seconds,
        broker_heartbeat_interval=settings.kafka.session_seconds / 4,
        broker_rebalance_timeout=10.0,
        broker_max_poll_interval=30.0,
    )
    rejects = RejectsTable(shared.clickhouse("writer"))
    alerts = _sender(app, settings.topic("pipeline-alerts"))
    letters = _raw(app, settings.topic("dead-letters"))
    app.agent(letters, name="dead-letters")(_fatal(app, dead_letters(rejects, alerts)))
    return app


def _credentials(options: Mapping[str, str]) -> Any:
    """Return how Faust's client is told what ``options`` tell librdkafka: None, no login."""
    protocol = options.get("security.protocol", "plaintext").lower()
    context = None
    if protocol.endswith("ssl"):
        context = ssl.create_default_context(cafile=options.get("ssl.ca.location"))
        if certificate := options.get("ssl.certificate.location"):
            key, password = options.get("ssl.key.location"), options.get("ssl.key.password")
            context.load_cert_chain(certificate, key, password)
    if protocol.startswith("sasl"):
        return faust.SASLCredentials(
            username=options.get("sasl.username"),
            password=options.get("sasl.password"),
            ssl_context=context,
            mechanism=options.get("sasl.mechanism", options.get("sasl.mechanisms", "PLAIN")),
        )
    return None if context is None else faust.SSLCredentials(context)


def _sender(app: faust.App, name: str) -> Callable[[bytes, bytes], Awaitable[None]]:
    """Return what publishes key and value to a topic and waits for the broker's ack."""
    topic = _raw(app, name)

    async def send(key: bytes, value: bytes) -> None:
        await (await topic.send(key=key, value=value))

    return send


def _raw(app: faust.App, name: str) -> Any:
    """Return a topic of bytes: agents decode, so that what cannot be decoded is theirs to judge."""
    return app.topic(
        name, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw"
    )


def _fatal(
    app: faust.App, agent: Callable[[Any], Awaitable[None]]
) -> Callable[[Any], Awaitable[None]]:
    """End the worker when an agent fails, so that nothing unacknowledged is ever passed over."""

    async def guarded(stream: Any) -> None:
        try:
            await agent(stream)
        except Exception as error:
            _log.exception("agent_failed")
            await app.crash(error)
            raise

    return guarded
