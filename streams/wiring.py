"""The worker's loops, each made from the settings: what the data plane consists of."""

import threading
import time
from collections.abc import Callable, Mapping

import structlog
from confluent_kafka import Consumer
from confluent_kafka.admin import AdminClient

from sinks.clickhouse.client import ClickHouseDownError, Client
from sinks.clickhouse.connect import connect
from sinks.clickhouse.facts import FactsWriter
from sinks.clickhouse.statistics import Statistics
from sinks.geo import Places, ensure
from sinks.kafka import BatchProducer, consumer
from sinks.salts import Salts
from streams import metrics
from streams.lanes.anonymise import AnonymiseLane, Outputs
from streams.lanes.brake import Brake
from streams.lanes.load import LoadLane
from streams.lanes.raw import RawTopic
from streams.lanes.rules import Rules, SiteRules
from streams.lanes.steps import RAW, SHORTENED
from streams.settings import Settings

_log = structlog.get_logger()

LOAD_ROWS = 50_000  # in one insert at most; more at once is slower: it leaves the caches
LOAD_SECONDS = 1.0  # to collect them
RECONCILE_MS = 300_000  # between recounts of closed days
CLOSE_SECONDS = 2.0  # between looks for a day that can be closed


def now() -> int:
    """Return the time in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def clickhouse(settings: Settings, user: str) -> Client:
    """Return a client of ClickHouse as one of its users, whose password is in the secrets."""
    return connect(settings.clickhouse, user, settings.secrets)


def rules(settings: Settings) -> Rules:
    """Return what the anonymise lane's steps know, from the settings."""
    salts = Salts.under(settings.data_dir)
    sites = {
        name: SiteRules(frozenset(site.query_parameters), site.search_terms)
        for name, site in settings.sites.items()
    }
    return Rules(
        sites,
        Places.open(ensure(settings.geo.cache, settings.geo.databases)),
        lambda: salts.current(now()),
    )


def anonymise(settings: Settings, stop: threading.Event) -> None:
    """Run the anonymise lane on ``tracking-events``."""
    _anonymise_lane(settings, raw=False).run(stop)


def anonymise_raw(settings: Settings, stop: threading.Event) -> None:
    """Run the anonymise lane on ``tracking-events-raw``; delete what is behind the commit."""
    _anonymise_lane(settings, raw=True).run(stop)


def load(settings: Settings, stop: threading.Event) -> None:
    """Run the load lane into ClickHouse."""
    LoadLane(
        settings.topic("tracking-anonymised"),
        settings.topic("dead-letters"),
        _consumer(settings, "load"),
        _producer(settings),
        FactsWriter(clickhouse(settings, "writer")),
        batch=LOAD_ROWS,
        wait=LOAD_SECONDS,
    ).run(stop)


def close(settings: Settings, stop: threading.Event) -> None:
    """Publish the statistics of days that are over, and destroy salts of days that are past."""
    salts = Salts.under(settings.data_dir)
    statistics = Statistics(clickhouse(settings, "writer"), settings.statistics)
    reconcile_at = now()
    while not stop.wait(CLOSE_SECONDS):
        if not salts.destroy_old(now()):
            _log.warning("old_salts_remain")
        try:
            for site, _ in statistics.close_ready(now()):
                metrics.DAYS_CLOSED.labels(site).inc()
                _log.info("day_closed", site=site)
            if now() >= reconcile_at:
                reconcile_at = now() + RECONCILE_MS
                for site, _ in statistics.reconcile(now()):
                    metrics.DAYS_REBUILT.labels(site).inc()
                    _log.error("day_was_wrong_and_is_rebuilt", site=site)
        except ClickHouseDownError:
            _log.warning("clickhouse_down")


# Every loop of the data plane by the name that ``lethe worker --only`` takes.
LOOPS: Mapping[str, Callable[[Settings, threading.Event], None]] = {
    "anonymise": anonymise,
    "anonymise-raw": anonymise_raw,
    "load": load,
    "close": close,
}


def _anonymise_lane(settings: Settings, *, raw: bool) -> AnonymiseLane:
    name, topic = (
        ("anonymise-raw", "tracking-events-raw") if raw else ("anonymise", "tracking-events")
    )
    source = _consumer(settings, name)
    source.subscribe([settings.topic(topic)])
    known = rules(settings)
    lanes = settings.lanes

    def renewed() -> Rules:
        if (places := known.places.refreshed()) is not known.places:
            known.renew(places)
        return known

    return AnonymiseLane(
        name,
        RAW if raw else SHORTENED,
        renewed,
        consumer=source,
        producer=_producer(settings),
        outputs=Outputs(settings.topic("tracking-anonymised"), settings.topic("dead-letters")),
        brake=Brake(lanes.reject_ratio, lanes.reject_window),
        batch=lanes.batch,
        wait=lanes.wait_seconds,
        committed=RawTopic(AdminClient(_client(settings))) if raw else lambda *_: None,
    )


def _client(settings: Settings) -> dict[str, str]:
    return {"bootstrap.servers": settings.kafka.bootstrap, **settings.kafka.options}


def _consumer(settings: Settings, reader: str) -> Consumer:
    kafka = settings.kafka
    session = int(kafka.session_seconds * 1000)
    beats = {"session.timeout.ms": str(session), "heartbeat.interval.ms": str(session // 4)}
    return consumer(kafka.bootstrap, kafka.prefix + reader, {**beats, **kafka.options})


def _producer(settings: Settings) -> BatchProducer:
    return BatchProducer(settings.kafka.bootstrap, settings.kafka.options)
