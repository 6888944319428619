"""The worker's loops, each made from the settings: what the data plane consists of."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence

import structlog
from confluent_kafka import Consumer

from schemas.registry import topics
from sinks.clickhouse.client import Client
from sinks.clickhouse.facts import FactsWriter
from sinks.clickhouse.statistics import Statistics
from sinks.geo import Places
from sinks.kafka import BatchProducer, consumer
from sinks.kafka_admin import delete_records
from sinks.salts import Salts
from streams import metrics
from streams.lanes.anonymise import AnonymiseLane, Outputs
from streams.lanes.brake import Brake
from streams.lanes.load import LoadLane
from streams.lanes.rules import Rules, SiteRules
from streams.lanes.steps import RAW, SHORTENED, Step
from streams.settings import Settings

_log = structlog.get_logger()

HOUSEKEEPING_SECONDS = 5.0


def now() -> int:
    """Return the time in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def clickhouse(settings: Settings, user: str) -> Client:
    """Return a client of ClickHouse as one of its users, whose password is in the secrets."""


def rules(settings: Settings) -> Rules:
    """Return what the anonymise lane's steps know, from the settings."""
    salts = Salts.under(settings.data_dir)
    sites = {
        name: SiteRules(frozenset(site.query_parameters), site.search_terms)
        for name, site in settings.sites.items()
    }
    return Rules(sites, Places.open(settings.geo.cache), lambda: salts.current(now()))


def anonymise(settings: Settings, stop: threading.Event) -> None:
    """Run the anonymise lane on ``tracking-events``."""
    _anonymise(settings, stop, "anonymise", "tracking-events", SHORTENED)


def anonymise_raw(settings: Settings, stop: threading.Event) -> None:
    """Run the anonymise lane on ``tracking-events-raw``; delete what is behind the commit."""
    _anonymise(settings, stop, "anonymise-raw", "tracking-events-raw", RAW)
