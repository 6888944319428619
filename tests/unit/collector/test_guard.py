"""A web server is told whom to refuse, and who looks for attacks of what was answered (S8)."""

import asyncio
import threading
import time
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from pytest_aiohttp.plugin import AiohttpClient

from privacy.pseudonym import address_token
from schemas.codec import decode
from sinks.publish import MemoryPublisher
from sinks.salts import ADDRESSES, Salts, SaltsUnavailableError
from streams.accesses import Accesses
from streams.collector import guard
from streams.collector.app import Collector
from streams.collector.guard import AlertReader, Blocked
from streams.listen import bounded
from streams.metrics import REGISTRY
from streams.settings import Collector as CollectorSettings
from streams.settings import Security, SettingsError, Site, load

NOW = 1_795_000_000_000
SITES = {"shop.example": Site(keys=("shop-key",), origins=("https://shop.example",))}
VISITOR = {"X-Forwarded-For": "192.0.2.7"}


class Entrance:
    """A collector behind one proxy, and who is blocked."""

    def __init__(self, folder: Path, hops: int = 1) -> None:
        self.now = NOW
        self.blocked = Blocked()
        self.publisher = MemoryPublisher()
        settings = load(
            engines=False,
            data_dir=folder,
            sites=SITES,
            collector=CollectorSettings(trusted_hops=hops),
        )
        numbers = count(1)
        self.app = Collector(
            settings,
            self.publisher,
            Salts.under(folder),
            clock=lambda: self.now,
            new_id=lambda: f"00000000-0000-4000-8000-{next(numbers):012}",
            accesses=Accesses(settings, "collector"),
            blocked=self.blocked,
        ).application()
        self.salts = Salts.under(folder, ADDRESSES)

    def token(self, address: str = "192.0.2.7") -> str:
        return address_token(self.salts.current(self.now), address)

    @property
    def told(self) -> list[dict[str, Any]]:
        stored = self.publisher.stored
        return [decode("access", each.value) for topic, each in stored if topic == "access-log"]


@pytest.fixture
def entrance(tmp_path: Path) -> Entrance:
    return Entrance(tmp_path)


@pytest.fixture
async def client(entrance: Entrance, aiohttp_client: AiohttpClient) -> TestClient[Any, Any]:
    return await aiohttp_client(entrance.app)


async def test_who_is_blocked_is_refused_until_it_is_over(
    entrance: Entrance, client: TestClient[Any, Any]
) -> None:
    refused, unjudged = told("refused"), told("unjudged")
    assert (await client.get("/v1/guard", headers=VISITOR)).status == 204, "no alert is read yet"
    entrance.blocked.put(entrance.token(), NOW + 1_000)
    assert (await client.get("/v1/guard", headers=VISITOR)).status == 403
    entrance.blocked.known = True
    other = {"X-Forwarded-For": "192.0.2.8"}
    assert (await client.get("/v1/guard", headers=other)).status == 204
    entrance.now += 1_000
    assert (await client.get("/v1/guard", headers=VISITOR)).status == 204
    assert len(entrance.blocked) == 0
    assert (told("refused"), told("unjudged")) == (refused + 1, unjudged + 1)


def told(answer: str) -> float:
    return REGISTRY.get_sample_value("lethe_guard_answers_total", {"answer": answer}) or 0.0


async def test_without_salts_everybody_passes_and_it_is_said(
    entrance: Entrance, client: TestClient[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_: Salts) -> list[Any]:
        raise SaltsUnavailableError("away")

    entrance.blocked.put(entrance.token(), NOW + 1_000)
    entrance.blocked.known = True
    monkeypatch.setattr(Salts, "kept", away)
    unjudged = told("unjudged")
    assert (await client.get("/v1/guard", headers=VISITOR)).status == 204
    assert told("unjudged") == unjudged + 1


def test_who_is_blocked_for_longest_is_remembered_where_there_are_too_many() -> None:
    blocked = Blocked(most=100)
    for number in range(1_000):
        blocked.put(f"t{number}", NOW + number)
        assert len(blocked) <= 100
    assert blocked.any_of(["t999"], NOW)
    assert not blocked.any_of(["t1"], NOW)


def test_a_guard_that_would_judge_the_web_server_itself_is_refused() -> None:
    with pytest.raises(SettingsError, match="trusted_hops"):
        load(engines=False, security=Security(guard=True))


async def test_who_cannot_be_told_passes(entrance: Entrance, client: TestClient[Any, Any]) -> None:
    entrance.blocked.put(entrance.token(), NOW + 1_000)
    assert (await client.get("/v1/guard")).status == 204
    forged = {"X-Forwarded-For": "192.0.2.7, 192.0.2.8"}  # the proxy's own word is the last
    assert (await client.get("/v1/guard", headers=forged)).status == 204


async def test_a_token_of_the_salt_before_still_blocks(
    entrance: Entrance, client: TestClient[Any, Any]
) -> None:
    entrance.now = NOW - NOW % ADDRESSES.period_ms + ADDRESSES.period_ms - 1
    entrance.blocked.put(entrance.token(), entrance.now + 600_000)
    entrance.now += 2
    assert (await client.get("/v1/guard", headers=VISITOR)).status == 403


async def test_every_answer_is_told_of_without_address_or_token(
    entrance: Entrance, client: TestClient[Any, Any]
) -> None:
    key = {"X-Lethe-Key": "shop-key"}
    await client.post("/v1/events", json=[{"type": "page_view"}], headers=VISITOR | key)
    await client.post("/v1/events", json=[], headers=VISITOR | {"X-Lethe-Key": "another"})
    await client.get("/v1/nothing/ann@example.com?x=1", headers=VISITOR)
    await client.get("/v1/guard", headers=VISITOR)
    await client.get("/healthz")
    found = [(each["site"], each["method"], each["path"], each["status"]) for each in entrance.told]
    assert found == [
        ("shop.example", "POST", "", 202),
        ("", "POST", "", 401),
        ("", "GET", "/v1/nothing/:email", 404),
    ]
    assert {each["token"] for each in entrance.told} == {entrance.token()}
    assert {each["source"] for each in entrance.told} == {"collector"}


HEAD = b"POST /v1/events?key=shop-key HTTP/1.1\r\nHost: a.example\r\n"
JSON = HEAD + b"Content-Type: application/json\r\n"


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", ("", "OTHER", 400)),
        (b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: a.example\r\n\r\n", ("", "OTHER", 400)),
        (HEAD + b"X-Long: " + b"x" * 20_000 + b"\r\n\r\n", ("", "OTHER", 400)),
        (HEAD + b"Expect: a-miracle\r\n\r\n", ("", "POST", 417)),
        (HEAD + b"Content-Length: 0\r\n\r\n", ("shop.example", "POST", 415)),
        (JSON + b"Content-Length: 300000\r\n\r\n" + b" " * 300_000, ("shop.example", "POST", 413)),
        (JSON + b"Content-Length: 2\r\n\r\n[[", ("shop.example", "POST", 400)),
        (HEAD.replace(b"POST", b"PUT") + b"\r\n", ("", "PUT", 405)),
        (HEAD.replace(b"POST", b"BREW") + b"\r\n", ("", "OTHER", 400)),
    ],
)
async def test_whatever_is_refused_is_told_of_also_what_is_no_request(
    tmp_path: Path, sent: bytes, told: tuple[str, str, int]
) -> None:
    entrance = Entrance(tmp_path, hops=0)
    runner = web.AppRunner(entrance.app)
    await runner.setup()
    served = await asyncio.get_running_loop().create_server(bounded(runner), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*served.sockets[0].getsockname())
    writer.write(sent)
    assert int((await reader.readline()).split()[1]) == told[-1]
    for _ in range(500):  # no answer waits for it
        if not entrance.told:
            await asyncio.sleep(0.01)
    writer.close()
    served.close()
    await runner.cleanup()
    (access,) = entrance.told
    assert (access["site"], access["method"], access["status"]) == told
    assert (access["token"], access["path"]) == (entrance.token("127.0.0.1"), "")


async def test_what_cannot_be_told_changes_no_answer_and_is_counted(
    entrance: Entrance, client: TestClient[Any, Any]
) -> None:
    before = REGISTRY.get_sample_value("lethe_security_accesses_untold_total") or 0
    entrance.publisher.available = False
    assert (await client.get("/openapi.json", headers=VISITOR)).status == 200
    assert REGISTRY.get_sample_value("lethe_security_accesses_untold_total") == before + 1


async def test_the_document_names_the_guard_and_each_of_its_answers(
    client: TestClient[Any, Any],
) -> None:
    paths = (await (await client.get("/openapi.json")).json())["paths"]
    assert paths["/v1/guard"]["get"]["responses"].keys() == {"204", "403"}


class Alerts:
    """What reads no alert, from a broker that may be gone."""

    def __init__(self) -> None:
        self.gone = threading.Event()
        self.closed = 0

    def consume(self, *_: object) -> list[object]:
        return []

    def assignment(self) -> list[TopicPartition]:
        return [TopicPartition("security-alerts", 0)]

    def position(self, places: list[TopicPartition]) -> list[TopicPartition]:
        return places

    def get_watermark_offsets(self, *_: object, **__: object) -> tuple[int, int]:
        if self.gone.is_set():
            raise KafkaException(KafkaError(KafkaError._TRANSPORT))
        return 7, 7

    def close(self) -> None:
        self.closed += 1


def test_a_broker_that_goes_away_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading alone would not: where nothing comes, nothing is wrong."""
    source, blocked = Alerts(), Blocked()
    monkeypatch.setattr(guard, "open_alerts", lambda _: source)
    monkeypatch.setattr(guard, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(guard, "AGAIN_SECONDS", 60.0)
    reader = AlertReader(load(engines=False, data_dir=tmp_path), blocked, lambda: NOW)

    def wait_for(known: bool) -> None:
        until = time.monotonic() + 30
        while (blocked.known, REGISTRY.get_sample_value("lethe_guard_blind")) != (known, not known):
            assert time.monotonic() < until
            time.sleep(0.01)

    wait_for(known=False)
    reader.start()
    wait_for(known=True)
    source.gone.set()
    wait_for(known=False)
    reader.stop()
    assert source.closed == 1
