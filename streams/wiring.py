"""The worker's loops, each made from the settings: what the data plane consists of."""

import threading
from collections.abc import Callable, Mapping
from functools import partial

import structlog
from confluent_kafka.admin import AdminClient

from sinks.clickhouse.client import ClickHouseDownError
from sinks.clickhouse.facts import FactsWriter
from sinks.clickhouse.statistics import Statistics
from sinks.geo import Places, ensure
from sinks.salts import ADDRESSES, VISITORS, Salts
from streams import kafka_login, metrics
from streams.choices import PolicyChoices, know
from streams.gauges import gauges
from streams.lanes.anonymise import AnonymiseLane, Outputs
from streams.lanes.brake import Brake
from streams.lanes.load import LoadLane
from streams.lanes.raw import RawTopic
from streams.lanes.reader import Reader
from streams.lanes.rules import Rules, SiteRules
from streams.lanes.security import security
from streams.lanes.steps import RAW, SHORTENED
from streams.settings import Settings
from streams.shared import Shared

_log = structlog.get_logger()

LOAD_ROWS = 50_000  # in one insert at most; more at once is slower: it leaves the caches
LOAD_SECONDS = 1.0  # to collect them
RECONCILE_MS = 300_000  # between recounts of closed days
CLOSE_SECONDS = 2.0  # between looks for a day that can be closed


def rules(shared: Shared) -> Rules:
    """Return what the steps know, from the settings."""
    settings = shared.settings
    salts = Salts.under(settings.data_dir)
    sites = {
        name: SiteRules(frozenset(site.query_parameters), site.search_terms)
        for name, site in settings.sites.items()
    }
    return Rules(
        sites,
        Places.open(ensure(settings.geo.cache, settings.geo.databases)),
        salts.current,
        None if shared.policy is None else PolicyChoices(shared.policy, shared.consents),
    )


def anonymise(shared: Shared, stop: threading.Event) -> None:
    """Run the anonymise lane on ``tracking-events``."""
    _anonymise_lane(shared, raw=False).run(stop)


def anonymise_raw(shared: Shared, stop: threading.Event) -> None:
    """Run the anonymise lane on ``tracking-events-raw``; delete what is behind the commit."""
    _anonymise_lane(shared, raw=True).run(stop)


def load(shared: Shared, stop: threading.Event) -> None:
    """Run the load lane into ClickHouse."""
    settings = shared.settings
    LoadLane(
        settings.topic("tracking-anonymised"),
        settings.topic("dead-letters"),
        shared.consumer("load"),
        shared.producer("load"),
        FactsWriter(shared.clickhouse("writer")),
        batch=LOAD_ROWS,
        wait=LOAD_SECONDS,
    ).run(stop)


def close(shared: Shared, stop: threading.Event) -> None:
    """Publish the statistics of days that are over, and destroy salts of days that are past."""
    settings = shared.settings
    stores = [Salts.under(settings.data_dir, kind) for kind in (VISITORS, ADDRESSES)]
    statistics = Statistics(shared.clickhouse("writer"), settings.statistics)
    reconcile_at = 0
    while not stop.wait(CLOSE_SECONDS):
        try:
            # Not ours: one that is a day ahead would publish a day that is not over, and destroy
            # its salt, so that whoever comes again counts as another visitor.
            moment = statistics.now()
            if [each for each in stores if not each.destroy_old(moment)]:
                _log.warning("old_salts_remain")
            for site, _ in statistics.close_ready(moment):
                metrics.DAYS_CLOSED.labels(site).inc()
                _log.info("day_closed", site=site)
            if moment >= reconcile_at:
                reconcile_at = moment + RECONCILE_MS
                for site, _ in statistics.reconcile(moment):
                    metrics.DAYS_REBUILT.labels(site).inc()
                    _log.error("day_was_wrong_and_is_rebuilt", site=site)
        except ClickHouseDownError:
            _log.warning("clickhouse_down")


# Every loop of the data plane by the name that ``lethe worker --only`` takes.
LOOPS: Mapping[str, Callable[[Shared, threading.Event], None]] = {
    "anonymise": anonymise,
    "anonymise-raw": anonymise_raw,
    "load": load,
    "close": close,
    "gauges": gauges,
    "security": security,
}


def reader(shared: Shared, name: str, topic: str) -> Reader:
    """Return what reads a topic of events, each batch once the consents before it are known."""
    settings = shared.settings
    source = shared.consumer(name)
    source.subscribe([settings.topic(topic)])
    ready = (lambda _: True) if shared.policy is None else partial(know, shared.consents)
    return Reader(source, settings.lanes.batch, settings.lanes.wait_seconds, ready)


def renewing(known: Rules) -> Callable[[], Rules]:
    """Return what gives the rules for the next batch, with new city tables once there are any."""

    def renewed() -> Rules:
        if (places := known.places.refreshed()) is not known.places:
            known.renew(places)
        return known

    return renewed


def _anonymise_lane(shared: Shared, *, raw: bool) -> AnonymiseLane:
    settings = shared.settings
    name, topic = (
        ("anonymise-raw", "tracking-events-raw") if raw else ("anonymise", "tracking-events")
    )
    lanes = settings.lanes
    return AnonymiseLane(
        name,
        RAW if raw else SHORTENED,
        renewing(rules(shared)),
        reader=reader(shared, name, topic),
        producer=shared.producer("anonymise"),
        outputs=Outputs(settings.topic("tracking-anonymised"), settings.topic("dead-letters")),
        brake=Brake(lanes.reject_ratio, lanes.reject_window),
        committed=RawTopic(AdminClient(_client(settings))) if raw else lambda *_: None,
    )


def _client(settings: Settings) -> dict[str, str]:
    return {"bootstrap.servers": settings.kafka.bootstrap, **kafka_login.options(settings)}
