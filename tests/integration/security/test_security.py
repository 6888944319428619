"""Attacks in a log, found on a real broker, blocked for a while, and nobody's address anywhere."""

import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import TopicPartition
from typer.testing import CliRunner

from lethe.audit.needles import Needles
from lethe.cli import app
from privacy.durations import HOUR_MS
from privacy.pseudonym import address_token
from schemas.codec import decode
from sinks.salts import ADDRESSES, Salts
from streams import shared, wiring
from streams.collector.guard import AlertReader, Blocked
from streams.metrics import REGISTRY
from streams.settings import Kafka, Settings
from tests.clock import within_a_period
from tests.waiting import until

pytestmark = pytest.mark.broker

SECONDS = 60.0  # far more than anything here takes
SITE = "shop.example"
WINDOWS = {"brute_force": 300, "scan": 300, "flood": 30, "errors": 60}
ATTACKERS = {"brute_force": "203.0.113.7", "scan": "2001:db8:bad::9", "flood": "203.0.113.9"}

Lethe = Callable[..., str]


def line(
    at: float, address: str, request: str = "GET /tea", status: int = 200
) -> tuple[float, str]:
    clock = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(at))
    return at, f'{address} - ann [{clock}] "{request} HTTP/1.1" {status} 100 "-" "Browser/1.0"\n'


def people(chance: random.Random, began: float) -> Iterator[tuple[float, str]]:
    """Yield what 150 visitors did in twenty minutes: they read, mistype, follow a dead link."""
    for number in range(150):
        at, address = began + chance.uniform(0, 900), f"198.51.100.{number + 20}"
        for _ in range(chance.randrange(2, 30)):
            at += chance.expovariate(1 / 9)
            request, status = chance.choices(
                [("GET /tea", 200), ("GET /gone", 404), ("POST /login", 401), ("GET /pot", 500)],
                [92, 4, 3, 1],
            )[0]
            yield line(at, address, request, status)


def attacks(began: float) -> Iterator[tuple[float, str]]:
    for n in range(50):
        yield line(began + n * 2, ATTACKERS["brute_force"], "POST /login", 401)
        yield line(began + n * 3, ATTACKERS["scan"], f"GET /backup-{n}.zip", 404)
    for n in range(900):
        yield line(began + n / 40, ATTACKERS["flood"])
    for n in range(1_200):  # the site fails, whoever asks, and whatever no event may hold
        yield line(began + n / 20, f"198.51.100.{n % 150 + 20}", f"GET /pot?{'x' * 2_100}", 502)


@pytest.fixture(autouse=True)
def one_salt() -> None:
    """Have an address keep its token all through a test."""
    within_a_period(ADDRESSES.period_ms // 1_000, 2 * SECONDS)


@pytest.fixture
def began() -> float:
    """Return when the attacks began, long enough ago that all of them is over."""
    return time.time() - 300


@pytest.fixture
def log(tmp_path_factory: pytest.TempPathFactory, began: float) -> Path:
    """Return a log of twenty minutes, in the last five of which attackers come."""
    lines = sorted([*people(random.Random(8), began - 900), *attacks(began)])
    file = tmp_path_factory.mktemp("logs") / "access.log"
    file.write_text("".join(text for _, text in lines))
    return file


@pytest.fixture
def lethe(environment: dict[str, str]) -> Lethe:
    def run(*arguments: str | Path) -> str:
        done = CliRunner().invoke(app, [*map(str, arguments)], env=environment)
        assert done.exit_code == 0, done.output
        return done.stdout

    return run


@pytest.fixture
def watching(settings: Settings) -> Callable[[], Any]:
    """Run the security lane in a thread, as long as the context lasts."""

    @contextmanager
    def run() -> Iterator[None]:
        stop, failures = threading.Event(), []

        def loop() -> None:
            try:
                wiring.LOOPS["security"](shared.Shared(settings), stop)
            except BaseException as error:  # noqa: BLE001 - raised again below
                failures.append(error)

        thread = threading.Thread(target=loop)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(SECONDS)
        if failures:
            raise failures[0]

    return run


def test_attacks_among_people_are_found_within_their_window(
    lethe: Lethe, watching: Any, log: Path, began: float, settings: Settings, read_topic: Any
) -> None:
    lethe("ingest-log", log, "--site", SITE)
    salts = Salts.under(settings.data_dir, ADDRESSES)
    salt = salts.current(shared.now())
    tokens = {address_token(salt, ATTACKERS[kind]): kind for kind in ATTACKERS}

    def stored(topic: str) -> Any:
        return read_topic(settings.kafka.bootstrap, settings.topic(topic))

    def kinds() -> set[str]:
        return {decode("security_alert", each.value)["kind"] for each in stored("security-alerts")}

    with watching():
        until(lambda: kinds() == set(WINDOWS), "all attacks")
    alerts = json.loads(lethe("security", "alerts", "--format", "json"))
    accesses = stored("access-log")
    found = {(each["kind"], tokens.get(each["token"], each["token"])) for each in alerts}
    assert found == {(kind, kind) for kind in ATTACKERS} | {("errors", None)}, "and nobody else"
    for kind, seconds in WINDOWS.items():
        first = min(each["at"] for each in alerts if each["kind"] == kind)
        assert first <= time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(began + seconds + 1))
    assert ATTACKERS["scan"] in log.read_text()
    assert lethe("security", "token", ATTACKERS["scan"]).split() == [
        token for token, kind in tokens.items() if kind == "scan"
    ]

    # No byte of an address: not on the topics, not in what the commands print.
    addresses = {each.split(" ")[0] for each in log.read_text().splitlines()}
    needles = Needles(addresses)
    assert len(needles.addresses) > 140
    alerts_there = stored("security-alerts")
    assert len(accesses) == len(log.read_text().splitlines())
    said = b"\n".join(
        (each.key or b"") + b"\n" + (each.value or b"") for each in [*accesses, *alerts_there]
    )
    assert not needles.found_in(said + json.dumps(alerts).encode())
    assert needles.found_in(said + b"\n" + needles.addresses[0].encode()), "the search can find"
    assert b"ann" not in said, "no name of a user either"

    # What people read is not told: where no rule looks at it, there is no page.
    read = [decode("access", each.value) for each in accesses]
    assert {each["path"] for each in read if each["status"] == 200} == {""}

    # Without the salt, whose token it was cannot be said.
    assert salts.destroy_old(shared.now() + 14 * HOUR_MS)
    assert lethe("security", "token", ATTACKERS["scan"]) == ""


def test_the_guard_blocks_while_an_alert_stands(
    lethe: Lethe, watching: Any, log: Path, settings: Settings
) -> None:
    at = shared.now()
    blocked = Blocked()
    reader = AlertReader(settings, blocked, lambda: at)
    reader.start()
    try:
        until(lambda: blocked.known, "the guard to have read all alerts")
        # All of this process set the gauge, also one of another test that still ends.
        until(lambda: REGISTRY.get_sample_value("lethe_guard_blind") == 0, "it to say so")
        with watching():
            lethe("ingest-log", log, "--site", SITE)
            salt = Salts.under(settings.data_dir, ADDRESSES).current(at)
            bad = [address_token(salt, each) for each in ATTACKERS.values()]
            until(lambda: all(blocked.any_of([each], at) for each in bad), "all to be blocked")
    finally:
        reader.stop()
    good = address_token(salt, "198.51.100.30")
    assert not blocked.any_of([good], at)
    assert not blocked.any_of(bad, at + 15 * 60_000), "and it ends by itself"
    # Another that starts later knows them too.
    again = Blocked()
    other = AlertReader(settings, again, lambda: at)
    other.start()
    until(lambda: again.known, "the guard to have read all alerts")
    other.stop()
    assert len(again) == len(bad)


def test_without_a_broker_the_guard_knows_nobody_and_says_so(settings: Settings) -> None:
    away = settings.model_copy(update={"kafka": Kafka(bootstrap="127.0.0.1:1")})
    blocked = Blocked()
    reader = AlertReader(away, blocked, shared.now)
    reader.start()
    try:
        assert not blocked.known
        until(lambda: REGISTRY.get_sample_value("lethe_guard_blind") == 1, "it to say so")
    finally:
        reader.stop()


def test_a_lane_that_is_started_anew_goes_on_counting(
    lethe: Lethe, watching: Any, tmp_path_factory: pytest.TempPathFactory, settings: Settings,
    read_topic: Any,
) -> None:  # fmt: skip
    """Half of an attack before, half of it after: neither alone would be one."""
    folder = tmp_path_factory.mktemp("halves")
    # Within one whole window on the clock: of each that it reaches into there is an alert.
    window = WINDOWS["brute_force"]
    began = (time.time() - window) // window * window + 100
    tries = [line(began + n, "203.0.113.7", "POST /login", 401)[1] for n in range(40)]
    halves = [("".join(tries[:20]), "first.log"), ("".join(tries[20:]), "second.log")]
    topics = ("access-log", "security-alerts")

    def stored(topic: str) -> int:
        return len(read_topic(settings.kafka.bootstrap, settings.topic(topic)))

    def read() -> bool:
        source = shared.Shared(settings).consumer("security")
        try:
            places = source.list_topics(settings.topic(topics[0])).topics[settings.topic(topics[0])]
            asked = [TopicPartition(settings.topic(topics[0]), each) for each in places.partitions]
            done = source.committed(asked, timeout=10)
            return sum(max(each.offset, 0) for each in done) == stored(topics[0])
        finally:
            source.close()

    for text, name in halves:
        (folder / name).write_text(text)
        lethe("ingest-log", folder / name, "--site", SITE)
        assert stored("security-alerts") == 0
        with watching():
            until(read, "the lane to read all there is")
    assert stored("security-alerts") == 1
