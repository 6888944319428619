"""The demo's part about ads: quiet when the promise is kept, loud when it is not."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.pytest_plugin import AiohttpServer
from rich.console import Console

from lethe import demo_pipeline
from lethe.demo_ads import PATHS, REMOVING, AdsDemo
from lethe.demo_pipeline import DemoError
from lethe.standins.account import SITE
from lethe.standins.desk import Answer, Call, Desk, Removal
from lethe.standins.server import PROVIDERS
from privacy.consent import Decision
from sinks.ads import hashing
from sinks.ledger import withdrawals
from sinks.ledger.consents import ConsentChange, record
from sinks.ledger.ledger import Ledger
from streams.settings import Settings, load
from streams.shared import ledger_url


class Pipeline:
    """What collector, worker and stand-ins do, but for what a test has it do wrong."""

    def __init__(self, ledger: Ledger) -> None:
        self.desk = Desk()
        self.leaks = ""  # a reason for which nothing is held back
        self.forgets = ""  # a provider that is not told of the last page
        self.removing = REMOVING
        self._ledger = ledger
        self._decisions: dict[str, str] = {}
        self._held_back: Counter[str] = Counter()
        self._offset = 0

    def application(self) -> web.Application:
        app = web.Application()
        app.add_routes(
            [
                web.post("/v1/consent", self.choose),
                web.post("/v1/events", self.visit),
                web.get("/metrics", self.metrics),
            ]
        )
        return app

    async def choose(self, request: web.Request) -> web.Response:
        change = await request.json()
        visitor = change["cookie_id"]
        self._offset += 1
        self._decisions[visitor] = change["decision"]
        changed = ConsentChange(
            SITE, visitor, self._offset, 0, f"id-{self._offset}", change["purpose"],
            Decision(change["decision"]), "banner", "1", None, "banner", 0, 1_000,
        )  # fmt: skip
        with self._ledger.transaction() as connection:
            record(connection, [changed], ads={"ads"})
            withdrawals.settle(connection, 0, self._offset, 1_087)
        if change["decision"] == "withdrawn":
            for name in self.removing:
                content = {"whom": hashing.member(SITE, visitor)}
                gone = Removal("audience", "somebody")
                self.desk.calls.append((call(name, content), Answer(200, removed=[gone])))
        return web.json_response({"epochs": {"ads": self._offset}}, status=202)

    async def visit(self, request: web.Request) -> web.Response:
        for event in (await request.json())["events"]:
            decision = self._decisions.get(event["cookie_id"])
            reason = {"given": "", "withdrawn": "consent_withdrawn"}.get(
                decision or "", "consent_unknown"
            )
            self._held_back[reason] += len(PROVIDERS)
            if reason in {"", self.leaks}:
                self._tell(event)
        return web.json_response({}, status=202)

    async def metrics(self, _: web.Request) -> web.Response:
        lines = ["# TYPE lethe_ads_held_back counter"] + [
            f'lethe_ads_held_back_total{{provider="all",reason="{reason}"}} {many}'
            for reason, many in self._held_back.items()
        ]
        return web.Response(text="\n".join(lines) + "\n")

    def _tell(self, event: dict[str, Any]) -> None:
        path = event["page"].removeprefix(f"https://{SITE}")
        told = {"ga4": 1, "meta": 2 if path == "/samples" else 1}
        told |= dict.fromkeys(PROVIDERS.keys() - told, path == PATHS[-1])
        for name, many in told.items():
            if many and (name, path) != (self.forgets, PATHS[-1]):
                answer = Answer(200, taken=[event["event_id"]] * many)
                self.desk.calls.append((call(name, event["ad_ids"]), answer))


def call(provider: str, content: Any) -> Call:
    return Call(provider, 0, "POST", "/", {}, {}, content, 0)


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Pipeline]:
    ledger = Ledger.open(ledger_url(load(engines=False, data_dir=tmp_path)))
    yield Pipeline(ledger)
    ledger.close()


@pytest.fixture
def console() -> Console:
    return Console(record=True, width=120)


@pytest.fixture
async def run(
    pipeline: Pipeline, aiohttp_server: AiohttpServer, console: Console, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[], Any]:  # fmt: skip
    monkeypatch.setattr(demo_pipeline, "PATIENCE", 0.2)
    monkeypatch.setattr(demo_pipeline, "LOOK_SECONDS", 0.01)
    server = await aiohttp_server(pipeline.application())
    settings: Settings = load(
        engines=False, data_dir=tmp_path, metrics_port=server.port, collector={"port": server.port}
    )
    return AdsDemo(console, settings, pipeline.desk, seed=7).run


async def test_what_is_told_and_held_back_is_shown(
    run: Callable[[], Any], console: Console
) -> None:
    assert await run() == "demo-00000007-20"
    shown = console.export_text()
    assert "84 of 84" in shown
    assert "recorded 00:00:01.000 UTC, effective 87 ms later" in shown
    assert "held back from all 5 providers: consent_unknown" in shown
    assert "held back from all 5 providers: consent_withdrawn" in shown


@pytest.mark.parametrize(
    ("leak", "said"), [("consent_unknown", "never asked"), ("consent_withdrawn", "withdrawal")]
)
async def test_an_event_that_must_not_arrive_is_an_error(
    run: Callable[[], Any], pipeline: Pipeline, leak: str, said: str
) -> None:
    pipeline.leaks = leak
    with pytest.raises(DemoError, match=said):
        await run()


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_an_event_that_does_not_arrive_is_an_error(
    run: Callable[[], Any], pipeline: Pipeline, provider: str
) -> None:
    pipeline.forgets = provider
    with pytest.raises(DemoError, match="what visitors who said yes did"):
        await run()


async def test_a_removal_that_does_not_arrive_is_an_error(
    run: Callable[[], Any], pipeline: Pipeline
) -> None:
    pipeline.removing = {"ga4"}
    with pytest.raises(DemoError, match="removal"):
        await run()
