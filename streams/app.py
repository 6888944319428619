"""The control plane: settings in, one Faust app with its agents out.

Faust's defaults that lose or show data are off: no tables, no web server, no topics declared,
offsets committed only behind an acknowledgement by hand.
"""

import os
import ssl
import threading
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import faust
import structlog

from sinks.clickhouse.rejects import RejectsTable
from streams import kafka_login
from streams.agents.dead_letters import dead_letters
from streams.service import InThread
from streams.shared import Shared

STOP_SECONDS = 15.0

_log = structlog.get_logger()


class Worker(faust.Worker):  # type: ignore[misc]  # Faust ships no types for it
    """Runs the agents and other services; its stop is bounded.

    Faust's consumer cannot be stopped while it waits for its group, as it does for a while after
    another worker was killed. By then the lanes and the agent have stopped, and what they did is
    stored: what was not acknowledged is delivered again.
    """

    def __init__(self, shared: Shared, *services: InThread, **options: Any) -> None:
        super().__init__(build_app(shared), *services, **options)

    def on_worker_shutdown(self) -> None:
        """Give Faust a while to stop, and end the process if it does not."""

        def end() -> None:
            _log.warning("stop_cut_short", seconds=STOP_SECONDS)
            os._exit(1 if self.app.crashed else 0)

        timer = threading.Timer(STOP_SECONDS, end)
        timer.daemon = True
        timer.start()


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
        # A connection that is dead is waited for so long: more than a rebalance and a session take.
        broker_request_timeout=max(20.0, 2 * settings.kafka.session_seconds),
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
