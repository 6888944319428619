"""What the engines are trusted with, and what they are known not to do."""

import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from fcntl import LOCK_EX, flock
from http.client import HTTPConnection
from pathlib import Path

import pytest
from confluent_kafka import KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType

from lethe.local import EngineError, clickhouse, packages
from lethe.local.engines import Engines
from lethe.local.process import choose_port
from schemas.registry import topics, topics_of
from sinks import kafka_admin
from sinks.clickhouse.client import ClickHouseDownError, ClickHouseError, Client
from sinks.clickhouse.connect import connect
from sinks.kafka import consumer
from sinks.kafka_admin import Drift, create_topics
from streams.settings import ENGINES, ClickHouse, Settings, load
from tests.waiting import until

broker = pytest.mark.broker
house = pytest.mark.clickhouse
KIND = os.environ.get("LETHE_TEST_BROKER", "embedded")
ours = pytest.mark.skipif(":" in KIND, reason="needs a broker that the test may kill")

MARK = b"planted-marker"
FORMS = (MARK, ",".join(map(str, MARK)).encode())  # as it is, and as the embedded broker writes it


def holds(folder: Path) -> bool:
    """Tell whether a file of the folder has the marker; the engine may delete as we look."""
    for path, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                content = Path(path, name).read_bytes()
                if any(form in content for form in FORMS):
                    return True
    return False


def create(
    admin: AdminClient, topic: str, partitions: int = 1, config: dict[str, str] | None = None
) -> None:
    made = admin.create_topics([NewTopic(topic, partitions, 1, config=config or {})])
    made[topic].result(30)
    # Kafka's controller has it; the broker hears of it a moment later.
    until(lambda: topic in admin.list_topics(timeout=10).topics, f"{topic} to be there")


def publish(bootstrap: str, topic: str, *values: bytes) -> None:
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all"})
    for value in values:
        producer.produce(topic, value)
    assert producer.flush(30) == 0


# Brokers


@pytest.fixture
def bootstrap(settings: Settings) -> str:
    return settings.kafka.bootstrap


@pytest.fixture
def admin(bootstrap: str) -> AdminClient:
    return AdminClient({"bootstrap.servers": bootstrap})


@broker
def test_topics_are_made_as_the_catalogue_says_and_once(
    settings: Settings, bootstrap: str, admin: AdminClient
) -> None:
    parties = {"departments": ["marketing", "people"], "holders": ["crm"]}
    assert create_topics(bootstrap, {}, settings.kafka.prefix, **parties) == []
    made = admin.list_topics(timeout=10).topics
    for topic in topics_of(**parties).values():
        name = settings.topic(topic.name)
        assert len(made[name].partitions) == topic.partitions
        asked = admin.describe_configs([ConfigResource(ResourceType.TOPIC, name)])
        config = next(iter(asked.values())).result(10)
        for setting in ("retention.ms", "message.timestamp.type", "cleanup.policy"):
            assert config[setting].value == topic.config[setting], f"{name}: {setting}"
    assert create_topics(bootstrap, {}, settings.kafka.prefix, **parties) == []


@broker
def test_a_topic_that_differs_is_told_and_left_alone(
    settings: Settings, bootstrap: str, admin: AdminClient
) -> None:
    prefix = settings.kafka.prefix + "drift."
    config = dict(topics()["tracking-events-raw"].config) | {"retention.ms": "86400000"}
    name = prefix + "tracking-events-raw"
    create(admin, name, 2, config)
    for _ in range(2):
        assert create_topics(bootstrap, {}, prefix) == [
            Drift(name, "partitions", "4", "2"),
            Drift(name, "retention.ms", "900000", "86400000"),
        ]


def test_a_broker_that_does_not_answer_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_admin, "ANSWER_SECONDS", 1.0)
    nobody = f"127.0.0.1:{choose_port(0)}"
    with pytest.raises(KafkaException):
        create_topics(nobody, {"socket.timeout.ms": "500", "log_level": "0"})


@broker
def test_a_committed_offset_carries_its_metadata(settings: Settings, bootstrap: str) -> None:
    """Exactly-once loads stand on it: the range is in the commit before the insert."""
    topic = settings.topic("tracking-events")
    group = settings.kafka.prefix + "metadata"
    first = consumer(bootstrap, group, {})
    wanted = TopicPartition(topic, 0, 7, metadata='{"end": 9}')
    first.commit(offsets=[wanted], asynchronous=False)
    first.close()
    second = consumer(bootstrap, group, {})
    (found,) = second.committed([TopicPartition(topic, 0)], timeout=10)
    second.close()
    assert (found.offset, found.metadata) == (7, '{"end": 9}')


@broker
@ours
def test_deleted_records_leave_the_disk(
    settings: Settings, engines: Engines, bootstrap: str, admin: AdminClient
) -> None:
    """A segment goes when all of it is behind: the fillers make the marker's segment old."""
    data = engines.settings.data_dir / KIND
    topic = settings.kafka.prefix + "deleted"
    create(admin, topic, config={"segment.bytes": "1048576", "file.delete.delay.ms": "500"})
    publish(bootstrap, topic, MARK)
    until(lambda: holds(data), "the marker to reach the disk")
    publish(bootstrap, topic, *(b"x" * 400_000 for _ in range(4)))
    admin.delete_records([TopicPartition(topic, 0, 4)])[TopicPartition(topic, 0, 4)].result(10)
    reader = consumer(bootstrap, "watermarks", {})
    assert reader.get_watermark_offsets(TopicPartition(topic, 0), timeout=10) == (4, 5)
    reader.close()
    until(lambda: not holds(data), "the marker to leave the disk")


@broker
@ours
def test_what_reached_the_disk_survives_the_broker_s_death(tmp_path: Path) -> None:
    """Kafka acknowledges what survives; the embedded broker up to a second too early."""
    nowhere = ClickHouse(port=1)  # given, so that none is started
    given = load(engines=False, data_dir=tmp_path, clickhouse=nowhere)
    kind = "kafka" if KIND == "kafka" else "embedded"
    with Engines(given, kind, usual_ports=False) as engines:
        bootstrap = engines.settings.kafka.bootstrap
        create(AdminClient({"bootstrap.servers": bootstrap}), "kept")
        publish(bootstrap, "kept", MARK)
        until(lambda: holds(tmp_path / kind), "the marker to reach the disk")
        process = engines.supervisor.find("broker")
        os.kill(process.pid, signal.SIGKILL)
        until(lambda: process.restarts == 1, "the restart")
        reader = consumer(bootstrap, "after", {"log_level": 0})

        def kept() -> bool:
            try:
                return bool(reader.get_watermark_offsets(TopicPartition("kept", 0)) == (0, 1))
            except KafkaException:
                return False

        until(kept, "the message to be there again")
        reader.close()


# ClickHouse


@pytest.fixture
def place(engines: Engines) -> ClickHouse:
    return engines.settings.clickhouse.model_copy(
        update={"database": f"lethe_{secrets.token_hex(6)}"}
    )


@pytest.fixture
def root(place: ClickHouse, engines: Engines) -> Iterator[Client]:
    """``admin`` in a database of the test's own."""
    with connect(place, "admin", engines.settings.secrets, patience=30) as client:
        client.create_database()
        yield client
        client.execute(f"DROP DATABASE {place.database} SYNC")


@pytest.fixture
def ask(engines: Engines) -> Callable[[str, str, str], tuple[int, str]]:
    """Send a statement over HTTP; return status and answer."""

    def send(user: str, password: str, statement: str) -> tuple[int, str]:
        connection = HTTPConnection("127.0.0.1", engines.settings.clickhouse.http_port, timeout=20)
        headers = {"X-ClickHouse-User": user, "X-ClickHouse-Key": password}
        connection.request("POST", "/", statement.encode(), headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, text

    return send


Ask = Callable[[str, str, str], tuple[int, str]]


def answers(client: Client) -> bool:
    try:
        return bool(client.query("SELECT 1"))
    except (ClickHouseDownError, ClickHouseError):
        return False


@house
def test_killing_clickhouse_loses_no_insert_and_no_token(root: Client, engines: Engines) -> None:
    root.execute(
        "CREATE TABLE kept (n UInt32) ENGINE = MergeTree ORDER BY n"
        " SETTINGS non_replicated_deduplication_window = 100"
    )
    process = engines.supervisor.find("clickhouse")
    for number in range(3):
        root.insert_rows("kept", ["n"], [(number,)], token=f"range-{number}")
        before = process.pid
        os.kill(before, signal.SIGKILL)
        until(lambda before=before: process.pid != before, "the restart")  # type: ignore[misc]
        root.insert_rows("kept", ["n"], [(number,)], token=f"range-{number}")
    assert root.query("SELECT n FROM kept ORDER BY n") == [(0,), (1,), (2,)]


@house
def test_logins_are_checked_over_http_and_nothing_falls_over(ask: Ask, engines: Engines) -> None:
    process = engines.supervisor.find("clickhouse")
    before = process.pid, process.restarts
    password = (engines.settings.secrets / "clickhouse-admin").read_text()
    assert ask("admin", password, "SELECT currentUser()") == (200, "admin\n")
    for user, wrong in (("admin", "wrong"), ("admin", ""), ("nobody", "")):
        status, text = ask(user, wrong, "SELECT 1")
        assert (status, "AUTHENTICATION_FAILED" in text) == (403, True)
    assert (process.pid, process.restarts) == before
    assert process.alive()


@house
@pytest.mark.parametrize(
    "statement",
    [
        "SELECT count() FROM {database}.hidden",
        "SELECT query FROM system.processes",
        "SELECT * FROM file('/etc/hostname', 'LineAsString')",
        "SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')",
        "INSERT INTO {database}.hidden VALUES (1)",
        "CREATE DATABASE other",
        "CREATE TEMPORARY TABLE t (n UInt8)",
        "DROP TABLE {database}.hidden",
        "ALTER TABLE {database}.hidden DELETE WHERE 1",
        "CREATE USER other",
        "GRANT SELECT ON *.* TO default",
        "SYSTEM SHUTDOWN",
        "KILL QUERY WHERE 1",
    ],
)
def test_the_built_in_user_may_do_nothing(root: Client, ask: Ask, statement: str) -> None:
    root.execute("CREATE TABLE hidden (n UInt8) ENGINE = MergeTree ORDER BY n")
    status, text = ask("default", "", statement.format(database=root.database))
    assert (status, "ACCESS_DENIED" in text) == (500, True), text


@house
@pytest.mark.parametrize("what", ["databases", "tables", "columns", "parts", "users"])
def test_the_built_in_user_sees_nothing(root: Client, ask: Ask, what: str) -> None:
    root.execute("CREATE TABLE hidden (n UInt8) ENGINE = MergeTree ORDER BY n")
    seen = ask("default", "", f"SELECT count() FROM system.{what} WHERE database != 'system'")
    assert seen == (200, "0\n") or "ACCESS_DENIED" in seen[1], seen


@house
def test_clickhouse_keeps_no_log_of_statements(root: Client) -> None:
    """A statement may quote what was asked for; nobody would erase it there."""
    assert root.query("SELECT name FROM system.tables WHERE name LIKE '%\\_log'") == []


@house
@pytest.mark.parametrize("what", ["password", "bytes"])
def test_a_greeting_that_is_refused_aborts_clickhouse_which_comes_back(
    root: Client, engines: Engines, what: str
) -> None:
    """Known of the embedded engine; if this fails, docs/engines.md has good news to tell."""
    root.execute("CREATE TABLE kept (n UInt32) ENGINE = MergeTree ORDER BY n")
    root.insert_rows("kept", ["n"], [(1,)], token="one")
    process = engines.supervisor.find("clickhouse")
    before = process.restarts
    port = engines.settings.clickhouse.port
    if what == "bytes":
        with socket.create_connection(("127.0.0.1", port)) as raw:
            raw.sendall(b"\x16\x03\x01 no greeting")
            raw.recv(100)
    else:
        with Client("127.0.0.1", port, "system", "admin", "wrong", patience=0) as wrong:
            assert not answers(wrong)
    until(lambda: process.restarts == before + 1, "the restart")
    until(lambda: answers(root), "ClickHouse to answer")
    assert root.query("SELECT n FROM kept") == [(1,)]
    assert not list(Path().glob("core*"))


@house
def test_what_a_mutation_replaced_leaves_the_disk(root: Client, engines: Engines) -> None:
    data = engines.settings.data_dir / "clickhouse"
    root.execute(
        "CREATE TABLE erased (n UInt32, text String CODEC(NONE)) ENGINE = MergeTree ORDER BY n"
        " SETTINGS non_replicated_deduplication_window = 100, old_parts_lifetime = 1"
    )
    rows = [(1, MARK.decode()), (2, "stays")]
    root.insert_rows("erased", ["n", "text"], rows, token="one")
    assert holds(data)
    root.execute("ALTER TABLE erased DELETE WHERE n = 1 SETTINGS mutations_sync = 2")
    until(lambda: not holds(data), "the old parts to leave the disk")
    root.insert_rows("erased", ["n", "text"], rows, token="one")
    assert root.query("SELECT n FROM erased") == [(2,)], "sweeping forgets no token"


# The command


@pytest.fixture
def usual_ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Have the ports that people know for one test at a time, whatever process it runs in."""
    with (tmp_path_factory.getbasetemp().parent / "usual-ports").open("w") as lock:
        flock(lock, LOCK_EX)
        yield


@pytest.fixture
def up(
    tmp_path: Path, sample_cities: Path, engines: Engines, usual_ports: None
) -> Iterator[subprocess.Popen[bytes]]:
    """``lethe up --engines-only``, ready; ``engines`` because it skips where they are missing."""
    del engines, usual_ports
    kind = "kafka" if KIND == "kafka" else "embedded"
    environment = {
        **os.environ,
        "LETHE_DATA_DIR": str(tmp_path / "data"),
        "LETHE_GEO__CACHE": str(sample_cities),
    }
    with (tmp_path / "out").open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "lethe", "up", "--engines-only", "--broker", kind],
            env=environment, cwd=tmp_path, stdout=out, stderr=out,
        )  # fmt: skip
    shown = tmp_path / "out"
    try:
        until(lambda: "Ctrl-C" in shown.read_text() or process.poll() is not None, "lethe up")
        assert process.poll() is None, shown.read_text()
        yield process
    finally:
        process.kill()
        process.wait()


def children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def gone(pid: int) -> bool:
    try:
        return " Z " in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return True


@broker
@house
@ours
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_lethe_up_leaves_nothing_running(
    up: subprocess.Popen[bytes], tmp_path: Path, sign: signal.Signals
) -> None:
    found = children(up.pid)
    assert len(found) == 2
    with pytest.raises(EngineError, match=r"runs in .* already; stop it first"):
        Engines(load(engines=False, data_dir=tmp_path / "data")).__enter__()
    up.send_signal(sign)
    assert up.wait(60) == (-sign if sign == signal.SIGKILL else 0)
    until(lambda: all(map(gone, found)), "the engines to be gone")
    assert (tmp_path / "data" / ENGINES).exists() == (sign == signal.SIGKILL)


@house
def test_a_server_that_cannot_serve_ends(engines: Engines, tmp_path: Path) -> None:
    """So that it is restarted, instead of sitting there without a port."""
    place = engines.settings.clickhouse
    second = clickhouse.server(
        packages.clickhouse_library(),
        tmp_path / "clickhouse",
        tmp_path / "log",
        secrets_dir=tmp_path / "secrets",
        ports=(place.port, place.http_port),
        database="lethe",
    )
    second.spawn()
    until(lambda: not second.alive(), "it to end", 20)
