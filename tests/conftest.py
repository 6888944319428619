"""Real engines for the tests: started once in each test process, unique topics for each test.

LETHE_TEST_BROKER       embedded (default), kafka, or host:port of a broker that runs
LETHE_REQUIRE_SERVICES  1: an engine that is missing fails the tests instead of skipping them
"""

import logging
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import hypothesis
import pytest
import structlog
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from lethe.local import process
from lethe.local.engines import Engines
from sinks.clickhouse.connect import connect
from sinks.clickhouse.migrate import Migrations
from sinks.geo.store import sample_table
from sinks.kafka import consumer, poll
from sinks.kafka_admin import create_topics
from streams.settings import Geo, Kafka, Settings, load
from tests.chaos.report import RESULTS, SEED, Row, read, report
from tests.engines import or_skipped

# How long an example takes says something of the machine, not of the code.
hypothesis.settings.register_profile("lethe", deadline=None)
hypothesis.settings.load_profile("lethe")

# A broker of the tests is gone before it is worth compiling well: a third less work to start it.
os.environ.setdefault("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1")


# Processes that choose ports at the same time choose others: what is to listen there takes seconds.
_NUMBER, _OF = os.environ.get("PYTEST_XDIST_WORKER", "gw0"), "PYTEST_XDIST_WORKER_COUNT"
process.LISTENING = process.LISTENING[int(_NUMBER[2:]) :: int(os.environ.get(_OF, "1"))]


@pytest.fixture(autouse=True)
def _logs_of_its_own() -> Iterator[None]:
    """Take away what a command that ran in this process has set up to log with."""
    root = logging.getLogger()
    before, level = set(root.handlers), root.level
    yield
    structlog.reset_defaults()  # or what others log goes to a standard error that is gone
    for handler in set(root.handlers) - before:
        if type(handler).__module__ == "streams.logging":
            root.removeHandler(handler)
            root.setLevel(level)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what has reported already: a night that broke off goes on where it was."""
    if RESULTS is not None:
        reported = {each.plan for each in read(RESULTS)}
        done = [each for each in items if each.nodeid in reported]
        config.hook.pytest_deselected(items=done)
        items[:] = [each for each in items if each not in done]


@pytest.fixture
def chaos_report(request: pytest.FixtureRequest) -> Callable[[str, int, int], None]:
    """Report that a fault was injected so many times into so much, once nothing was wrong."""

    def tell(fault: str, times: int, in_flight: int) -> None:
        if RESULTS is not None:
            name = request.node.nodeid
            report(RESULTS, Row(fault, times, in_flight, 0, 0, 0, 0, 0, SEED, plan=name))

    return tell


@pytest.fixture(scope="session")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engines]:
    """Broker and ClickHouse of this test process."""
    wanted = os.environ.get("LETHE_TEST_BROKER", "embedded")
    folder = tmp_path_factory.mktemp("engines")
    given = load(engines=False, data_dir=folder)
    if ":" in wanted:
        given = given.model_copy(update={"kafka": Kafka(bootstrap=wanted)})
    with or_skipped():
        running = Engines(
            given, "kafka" if wanted == "kafka" else "embedded", usual_ports=False
        ).__enter__()
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="session")
def clickhouse_server(engines: Engines) -> Engines:
    """ClickHouse runs."""
    return engines


@pytest.fixture(scope="session")
def sample_cities(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a cache with the table of made-up networks."""
    cache = tmp_path_factory.mktemp("geo")
    sample_table(cache)
    return cache


@pytest.fixture(scope="session")
def settings_in(
    engines: Engines, sample_cities: Path
) -> Callable[[Path], AbstractContextManager[Settings]]:
    """Make settings on running engines, with a data folder and topics of nobody else's."""

    @contextmanager
    def make(folder: Path) -> Iterator[Settings]:
        kafka = engines.settings.kafka.model_copy(update={"prefix": f"t{secrets.token_hex(4)}."})
        made = engines.settings.model_copy(
            update={
                "data_dir": folder,
                "secrets_dir": engines.settings.secrets,
                "kafka": kafka,
                "geo": Geo(cache=sample_cities),
            }
        )
        create_topics(kafka.bootstrap, kafka.options, kafka.prefix)
        yield made
        admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
        topics = admin.list_topics(timeout=10).topics
        ours = [name for name in topics if name.startswith(kafka.prefix)]
        for done in admin.delete_topics(ours).values():
            done.result(30)

    return make


@pytest.fixture
def settings(settings_in: Any, tmp_path: Path) -> Iterator[Settings]:
    """Make settings on running engines, with topics and a data folder of this test alone."""
    with settings_in(tmp_path) as made:
        yield made


@pytest.fixture
def environment(settings: Settings) -> dict[str, str]:
    """Environment under which ``lethe`` has these settings, as a command or a process."""
    return settings.environment()


@pytest.fixture
def database(settings: Settings) -> None:
    """Fresh tables in the database that the users' grants name."""
    with connect(settings.clickhouse, "admin", settings.secrets) as admin:
        name = settings.clickhouse.database
        admin.create_database()
        admin.execute(f"DROP DATABASE {name} SYNC")
        hours = settings.statistics.facts_hours
        list(Migrations(admin, facts_hours=hours).apply())


class Found(NamedTuple):
    """A message on a topic."""

    key: bytes | None
    value: bytes | None
    partition: int


@pytest.fixture
def read_topic() -> Callable[[str, str], list[Found]]:
    """Read a topic from its beginning to its present end."""

    def read(bootstrap: str, topic: str) -> list[Found]:
        client = consumer(bootstrap, "reader", {})
        partitions = client.list_topics(topic, timeout=10).topics[topic].partitions
        starts = [TopicPartition(topic, each, 0) for each in partitions]
        left = sum(client.get_watermark_offsets(each, timeout=10)[1] for each in starts)
        client.assign(starts)
        found: list[Found] = []
        while len(found) < left:
            found += [Found(m.key(), m.value(), m.partition()) for m in poll(client, 1000, 0.05)]
        client.close()
        return found

    return read
