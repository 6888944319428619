"""The collector as a process, whose stop loses nothing."""

import uuid
from collections.abc import Callable

from privacy.policy import Policy
from privacy.signed import Keys
from sinks.publish import KafkaPublisher
from sinks.salts import Salts
from streams import kafka_login
from streams.accesses import Accesses
from streams.collector.app import Collector
from streams.collector.consent_store import Consents
from streams.collector.forms import Forms
from streams.collector.guard import AlertReader, Blocked
from streams.collector.profile import ProfileRoute
from streams.collector.requests import Requests
from streams.listen import MOST_BY_ONE, MOST_CONNECTIONS, listen
from streams.settings import Settings
from streams.shared import now


async def serve(
    settings: Settings,
    host: str,
    port: int,
    *,
    policy: Policy | None = None,
    consents: Consents | None = None,
    forms: Forms | None = None,
    links: Callable[[], Keys] | None = None,
    profiles: ProfileRoute | None = None,
    requests: Requests | None = None,
    ready: Callable[[str], None] = lambda _: None,
) -> None:
    """Run until SIGINT or SIGTERM; ``ready`` is called with the address once it listens.

    On a signal it stops accepting, answers what is on its way and waits for the broker. Port 0
    takes any free one. Raises OSError when the port is taken.
    """
    publisher = KafkaPublisher(
        settings.kafka.bootstrap,
        kafka_login.options(settings),
        max_pending=settings.collector.max_pending,
    )
    salts = Salts.under(settings.data_dir)
    accesses = Accesses(settings, "collector")
    blocked, alerts = None, None
    if settings.security.guard:
        blocked = Blocked()
        alerts = AlertReader(settings, blocked, now)
        alerts.start()
    collector = Collector(
        settings,
        publisher,
        salts,
        clock=now,
        new_id=lambda: str(uuid.uuid4()),  # noqa: TID251 - this is the edge where ids are made
        policy=policy,
        consents=consents,
        forms=forms,
        links=links,
        profiles=profiles,
        requests=requests,
        accesses=accesses,
        blocked=blocked,
    )
    try:
        # Behind proxies every connection is of theirs.
        most = MOST_CONNECTIONS if settings.collector.trusted_hops else MOST_BY_ONE
        await listen(collector.application(), host, port, ready, most_by_one=most)
    finally:
        if alerts is not None:
            alerts.stop()
        publisher.close()
        accesses.close()
        salts.close()
