"""All stand-ins on one port, what the desk tells of them, and ``lethe standins``."""

import os
import signal
import socket
import subprocess
import sys
import time
import tomllib
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.pytest_plugin import AiohttpClient

from lethe.standins.account import CREDENTIALS, POLICY, put_credentials, set_up, with_standins
from lethe.standins.desk import Desk
from lethe.standins.server import LARGEST, PROVIDERS, application, serving
from privacy.ads import AdEvent, ProviderName
from sinks.ads.contract import Response, Verdict
from streams import policy
from streams.delivery.connectors import connector
from streams.settings import SettingsError, load

NOW = 1_795_424_460
EVENT = {
    "event_name": "PageView",
    "event_time": NOW - 60,
    "event_id": "evt-1",
    "action_source": "website",
    "event_source_url": "https://shop.example/tea",
    "user_data": {"client_user_agent": "Mozilla/5.0 (Example)", "fbp": "fb.1.1795424000000.1"},
}
EVENTS = "/meta/v26.0/1234/events"
TOKEN = {"Authorization": "Bearer meta-token"}
# A path of each provider, and the headers that get past its door.
PATHS = {
    "ga4": "/mp/collect?measurement_id=G-1&api_secret=ga4-secret",
    "google-ads": "/v1/events:ingest",
    "linkedin": "/rest/conversionEvents",
    "meta": "/v26.0/1234/events",
    "x": "/12/measurement/conversions/o8z6j",
}

DOORS: dict[str, dict[str, str]] = {
    "ga4": {},
    "google-ads": {"Authorization": "Bearer google-token"},
    "linkedin": {
        "Authorization": "Bearer linkedin-token",
        "LinkedIn-Version": "202608",
        "X-Restli-Protocol-Version": "2.0.0",
        "X-RestLi-Method": "BATCH_CREATE",
    },
    "meta": TOKEN,
    "x": {"X-Pixel-Token": "x-pixel-token"},
}

PAGE = "https://shop.example/tea"
VISIT = AdEvent("evt-1", "shop.example", "c-1", occurred_at=0, epoch=1)
VISITS: dict[ProviderName, AdEvent] = {
    "ga4": replace(VISIT, page=PAGE, ids={"ga_client_id": "1234567890.1795424000"}),
    "google-ads": replace(VISIT, conversion="987", ids={"gclid": "EAIaIQobChMI"}),
    "linkedin": replace(
        VISIT, conversion="123", ids={"li_fat_id": "00000000-0000-4000-8000-000000000001"}
    ),
    "meta": replace(
        VISIT,
        page=PAGE,
        ids={"fbp": "fb.1.1795424000000.1"},
        user_agent="Mozilla/5.0 (Example)",
    ),
    "x": replace(VISIT, conversion="tw-o8z6j-o87ne", ids={"twclid": "2-abc"}),
}


@pytest.fixture
def desk() -> Desk:
    return Desk(clock=lambda: NOW)


@pytest.fixture
async def client(desk: Desk, aiohttp_client: AiohttpClient) -> Any:
    return await aiohttp_client(application(desk))


async def taken(client: Any) -> Any:
    return await (await client.get("/desk/taken")).json()


async def test_each_provider_answers_below_its_own_path(client: Any, desk: Desk) -> None:
    assert PROVIDERS.keys() == PATHS.keys()
    for name, path in PATHS.items():
        response = await client.post(f"/{name}{path}", json={})
        assert response.status != 404, name
    assert [call.provider for call, _ in desk.calls] == list(PROVIDERS)
    assert (await client.post(PATHS["meta"], json={})).status == 404


@pytest.mark.parametrize("name", list(PATHS))
async def test_no_body_brings_a_stand_in_down(client: Any, name: str) -> None:
    odd: list[Any] = [None, 5, "x", [], [[]], {}]
    keys = ("data", "payload", "events", "elements", "conversions", "client_id", "destinations")
    bodies = [*odd, *(dict.fromkeys(keys, value) for value in (*odd, [None], [{}]))]
    for body in bodies:
        response = await client.post(f"/{name}{PATHS[name]}", json=body, headers=DOORS[name])
        assert response.status < 500, body
        assert response.status not in {401, 403}
    response = await client.post(f"/{name}{PATHS[name]}", data=b"\xff{", headers=DOORS[name])
    assert response.status < 500


async def test_what_was_taken_how_often(client: Any) -> None:
    assert await taken(client) == {name: {} for name in PROVIDERS}
    await client.post(EVENTS, json={"data": [EVENT]}, headers=TOKEN)
    assert (await taken(client))["meta"] == {"evt-1": 1}


async def test_calls_are_told_without_secrets_and_identifiers(client: Any) -> None:
    body = {"data": [EVENT], "access_token": "secret-3"}
    await client.post(f"{EVENTS}?access_token=secret-2", json=body, headers=TOKEN)
    await client.post(EVENTS, json={"data": []}, headers={"Authorization": "Bearer secret-1"})
    response = await client.get("/desk/calls")
    text = await response.text()
    for hidden in ("secret", "meta-token", "Mozilla", "fb.1", "shop.example"):
        assert hidden not in text
    answer = await response.json()
    assert answer["tallies"]["meta"] == {"calls": 2, "events": 1, "refused": 1}
    assert answer["tallies"]["x"] == {"calls": 0, "events": 0, "refused": 0}
    latest, first = answer["recent"]
    assert (latest["status"], latest["taken"]) == (400, [])
    assert (first["method"], first["path"], first["began"]) == ("POST", EVENTS, NOW * 1000)
    assert (first["status"], first["taken"]) == (200, ["evt-1"])


async def test_calls_of_one_provider_and_so_many(client: Any) -> None:
    for name in ("meta", "ga4", "meta"):
        await client.post(f"/{name}{PATHS[name]}", json={})
    answer = await (await client.get("/desk/calls?provider=meta&limit=1")).json()
    assert answer["tallies"].keys() == {"meta"}
    assert answer["tallies"]["meta"]["calls"] == 2
    assert [call["provider"] for call in answer["recent"]] == ["meta"]


@pytest.mark.parametrize("query", ["provider=myspace", "limit=-1", "limit=x", "limit=²"])
async def test_a_question_that_is_none_is_refused_by_name(client: Any, query: str) -> None:
    response = await client.get(f"/desk/calls?{query}")
    assert response.status == 400
    assert (await response.json())["error"].startswith(query.partition("=")[0])


async def test_answers_are_given_one_a_call_in_place_of_the_providers_own(client: Any) -> None:
    answers = [
        {"status": 500, "content": {"error": {"code": 17}}, "headers": {"Retry-After": "3"}},
        {"status": 502, "content": "<html>"},
    ]
    mood = await client.post("/desk/mood", json={"provider": "meta", "answers": answers})
    assert await mood.json() == {"latency": 0.0, "vanish": 0, "drip": 0.0, "answers": 2}
    first, second, third = [
        await client.post(EVENTS, json={"data": [EVENT]}, headers=TOKEN) for _ in range(3)
    ]
    assert (first.status, first.headers["Retry-After"]) == (500, "3")
    assert await first.json() == {"error": {"code": 17}}
    assert (second.status, await second.text()) == (502, "<html>")
    assert third.status == 200
    assert (await taken(client))["meta"] == {"evt-1": 1}


async def test_an_answer_drips_and_comes_whole(client: Any) -> None:
    async def ask() -> Any:
        answer = await client.post("/ga4/debug/mp/collect", json={"events": []})
        return answer.status, await answer.text()

    quick = await ask()
    await client.post("/desk/mood", json={"provider": "ga4", "drip": 0.001})
    began = time.monotonic()
    assert await ask() == quick
    assert time.monotonic() - began >= 0.001 * len(quick[1])
    assert quick[1]


async def test_a_call_that_vanishes_was_taken(client: Any) -> None:
    await client.post("/desk/mood", json={"provider": "meta", "vanish": 1})
    with pytest.raises(aiohttp.ClientError):
        await client.post(EVENTS, json={"data": [EVENT]}, headers=TOKEN)
    assert (await taken(client))["meta"] == {"evt-1": 1}
    assert (await client.post(EVENTS, json={"data": [EVENT]}, headers=TOKEN)).status == 200


async def test_a_mood_keeps_what_it_is_not_told(client: Any, desk: Desk) -> None:
    await client.post("/desk/mood", json={"provider": "x", "latency": 0.25})
    answer = await (await client.post("/desk/mood", json={"provider": "x", "vanish": 2})).json()
    assert answer == {"latency": 0.25, "vanish": 2, "drip": 0.0, "answers": 0}
    assert desk.mood("x").latency == 0.25
    assert not desk.mood("meta").latency


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"provider": "myspace"}, "provider"),
        ({"latency": 1}, "provider"),
        ({"provider": "x", "latency": -1}, "latency"),
        ({"provider": "x", "answers": [{"status": 99}]}, "answers.0.status"),
        ({"provider": "x", "colour": 1}, "colour"),
    ],
)
async def test_a_mood_that_is_none_is_refused_by_name(
    client: Any, body: dict[str, object], field: str
) -> None:
    response = await client.post("/desk/mood", json=body)
    assert response.status == 400
    assert field in (await response.json())["error"]
    assert (await client.post("/desk/mood", data=b"{")).status == 400


async def test_a_full_batch_fits(client: Any) -> None:
    long = {**EVENT, "event_source_url": "https://shop.example/" + "a" * 2_000}
    response = await client.post(EVENTS, json={"data": [long] * 1_000}, headers=TOKEN)
    assert response.status == 200
    assert LARGEST > 5 * 1024 * 1024  # X's is the largest: 5 MB


async def test_it_serves_on_a_free_port_and_stops(desk: Desk) -> None:
    async with aiohttp.ClientSession() as session:
        async with serving(desk, "127.0.0.1", 0) as url:
            assert (await session.get(f"{url}/desk/taken")).status == 200
            port = int(url.rpartition(":")[2])
            with pytest.raises(OSError, match="in use"):
                async with serving(desk, "127.0.0.1", port):
                    pass
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get(f"{url}/desk/taken")


async def test_what_the_command_says_gets_a_connector_past_each_door(tmp_path: Path) -> None:
    """With its credentials, and its base URLs, which have a path that the signature of X covers."""
    put_credentials(tmp_path)
    async with serving(Desk(), "127.0.0.1", 0) as url, aiohttp.ClientSession() as session:
        settings = with_standins(load(engines=False, secrets_dir=tmp_path), url)
        now = int(time.time() * 1000)
        for name, event in VISITS.items():
            ours, visit = connector(name, settings), replace(event, occurred_at=now)
            assert ours.refusal(visit, now) is None, name
            request = ours.build_request([visit], now, "nonce1")
            response = await session.request(
                request.method,
                request.url,
                data=request.body,
                headers=request.headers,
                params=request.secret_query,
            )
            headers = {key.lower(): value for key, value in response.headers.items()}
            came = Response(response.status, headers, await response.read())
            outcome = ours.read_response(came, 1)
            assert outcome.verdict in {Verdict.DELIVERED, Verdict.ACCEPTED}, (name, outcome)
        told = await (await session.get(f"{url}/desk/taken")).json()
        assert told == {name: {"evt-1": 1} for name in PROVIDERS}


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_the_command_says_where_and_stops_cleanly(end: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "lethe", "standins", "--port", "0", "--latency", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": "120", "PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        said = ""
        while "Ctrl-C" not in said:
            line = process.stdout.readline()
            assert line, process.stderr.read()
            said += line
        settings = tomllib.loads(said[said.index("policy =") : said.index("\nCtrl-C")])
        assert policy.load(Path(settings["policy"])).providers.keys() == PROVIDERS.keys()
        sections = settings["ads"]
        assert list(sections) == [name.replace("-", "_") for name in PROVIDERS]
        url = sections["meta"]["base_url"].removesuffix("/meta")
        with urllib.request.urlopen(f"{url}/desk/taken", timeout=5) as response:
            assert response.status == 200
        process.send_signal(end)
        rest, errors = process.communicate(timeout=10)
    assert process.returncode == 0, errors
    assert "events taken" in rest
    assert "stopped" in rest
    assert not errors


def test_what_is_set_up_is_what_lethe_goes_by_and_replaces_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = Path("lethe.toml")
    for _ in range(2):  # once more is no harm
        set_up("http://127.0.0.1:8090", file, load(engines=False).secrets)
    settings = load(engines=False)
    assert settings.policy == POLICY
    assert settings.ads.meta["base_url"] == "http://127.0.0.1:8090/meta"
    for name, credential in CREDENTIALS.items():
        assert (settings.secrets / "ads" / name).read_text() == credential
    file.write_text("# mine")
    (settings.secrets / "ads" / "meta-token").write_text("mine")
    with pytest.raises(SettingsError, match=r"lethe\.toml: is yours"):
        set_up("http://127.0.0.1:8090", file, settings.secrets)
    file.unlink()
    with pytest.raises(SettingsError, match="a credential of yours"):
        set_up("http://127.0.0.1:8090", file, settings.secrets)
    assert not file.exists()


def test_a_port_in_use_is_said() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        done = subprocess.run(
            [sys.executable, "-m", "lethe", "standins", "--port", port],
            capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert "in use" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
