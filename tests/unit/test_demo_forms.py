"""The demo's part about a form: quiet when it is forgotten, loud when something is left."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import pytest
from aiohttp import web
from aiohttp.pytest_plugin import AiohttpServer
from rich.console import Console

from lethe import demo_forms, demo_pipeline
from lethe.case_reader import Case
from lethe.demo_forms import FormsDemo
from lethe.demo_pipeline import DemoError
from lethe.retention import Deletion, Erase
from lethe.standins.account import POLICY
from privacy.certificate import Check, Deleted, Outcome, Receipt, certificate
from schemas.codec import encode
from sinks import kafka
from sinks.ledger import cases, deletion, keys
from sinks.ledger.ledger import Ledger
from sinks.signing import Signer
from streams import policy
from streams.deletion.certify import signed
from streams.keys.prepare import prepare
from streams.settings import Settings, load
from streams.shared import ledger_url

CASE = "case-1"
NOW = datetime(2026, 11, 24, tzinfo=UTC)
AT = int(NOW.timestamp() * 1000)


@dataclass
class Message:
    """As confluent-kafka's."""

    name: str
    content: bytes | None

    def topic(self) -> str:
        return self.name

    def key(self) -> bytes:
        return CASE.encode()

    def value(self) -> bytes | None:
        return self.content


@dataclass
class Pipeline:
    """What collector, key server and worker do, but for what a test has it do wrong."""

    ledger: Ledger
    secrets: Path
    faults: set[str] = field(default_factory=set)
    form: Mapping[str, str] = field(default_factory=dict)
    over: bool = False
    erase: Erase | None = None

    async def submit(self, request: web.Request) -> web.Response:
        self.form = (await request.json())["fields"]
        return web.json_response({"case_id": CASE}, status=202)

    def present(self, *_: object) -> dict[str, Case]:
        if self.over and "the reader forgets nothing" not in self.faults:
            return {}
        given = dict(self.form)
        if "the case is another's" in self.faults:
            given["email"] = "somebody@example.com"
        return {
            CASE: Case(CASE, "shop.example", "sample-request", None, "open", None, NOW, NOW, given)
        }

    def keys(self, _: str, token: str) -> "Pipeline":
        self.asking = {
            (self.secrets / "departments" / each).read_text(): each
            for each in ("sales", "marketing")
        }[token]
        return self

    def of(self, case_ids: Iterable[str]) -> dict[str, bytes]:
        given = self.asking == "sales" and not self.over
        given |= self.asking == "marketing" and "keys for everybody" in self.faults
        given |= self.over and "keys for ever" in self.faults
        return dict.fromkeys(case_ids, b"k" * 32) if given else {}

    def seen(self) -> Iterator[Message]:
        leak = self.form["email"].encode() if "nothing is sealed" in self.faults else b"sealed"
        record = {
            "case_id": CASE, "service": "sample-request", "department": "sales", "group": None,
            "site": "shop.example", "state": "open", "language": None, "received_at": AT,
            "changed_at": AT, "key_version": 1,
            "sealed": dict.fromkeys(("name", "email", "address"), b"c" * 32),
            "settings": {"sample": "small"},
        }  # fmt: skip
        yield Message("form-submissions", leak)
        yield Message("cases-sales", encode("case", record))
        if self.over and "no tombstone" not in self.faults:
            yield Message("cases-sales", None)

    def send(self, topic: str, values: Sequence[bytes], keys: Sequence[bytes]) -> None:
        assert (topic, list(keys)) == ("service-events", [CASE.encode()])
        assert len(values) == 1

    def stored(self) -> None:
        """Delete the case."""
        self.over = True
        asked = cases.Deletion(
            "deletion-1", CASE, "sample-request", ["sales"], ["crm"], "delivered", "event-1",
            AT, AT + 1,
        )  # fmt: skip
        if "the CRM erases nothing" not in self.faults:
            assert self.erase is not None
            self.erase(Deletion("deletion-1", CASE, "sample-request", "delivered", NOW, NOW))
        receipt = Receipt("crm", Outcome.DONE, AT)
        with self.ledger.transaction() as connection:
            cases.end(connection, [asked])
            deletion.shred(connection, [CASE], AT)
            deletion.unreadable(connection, [CASE], AT)
            deletion.announced(connection, [CASE], AT)
            deletion.receive(connection, [("deletion-1", receipt)])
            if "a key is left" in self.faults:
                keys.add(connection, CASE, {"sales": b"w" * 40}, AT)
            if "no certificate" not in self.faults:
                deletion.complete(connection, {"deletion-1": self._certificate(receipt)}, AT)

    def _certificate(self, receipt: Receipt) -> Mapping[str, Any]:
        asked = Deleted(
            "deletion-1", CASE, "sample-request", ["crm"], "delivered", "event-1", AT, AT + 1,
            dict.fromkeys(("shredded", "unreadable", "announced"), AT),
        )  # fmt: skip
        checks = [Check("everything", "looked at", AT, passed=True)]
        content = certificate(
            asked, [receipt], checks, controller="Example Trading", policy="1", completed_at=AT
        )
        made = signed(content, Signer.under(self.secrets))
        if "a forged certificate" in self.faults:
            return {**made, "certificate": {**content, "in_time": not content["in_time"]}}
        return made

    def close(self) -> None:
        pass

    # As the RetentionWorker of the CRM.

    def worker(self, *_: str, **__: str) -> "Pipeline":
        return self

    def run(self, erase: Erase, stop: threading.Event) -> None:
        self.erase = erase
        stop.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load(engines=False, data_dir=tmp_path)


@pytest.fixture
def pipeline(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipeline]:
    prepare(settings.secrets, policy.load(POLICY))
    ledger = Ledger.open(ledger_url(settings))
    made = Pipeline(ledger, settings.secrets)
    monkeypatch.setattr(demo_forms, "present", made.present)
    monkeypatch.setattr(demo_forms, "Onlooker", lambda _: made)
    monkeypatch.setattr(demo_forms, "CaseKeys", made.keys)
    monkeypatch.setattr(kafka, "BatchProducer", lambda *_: made)
    monkeypatch.setattr(demo_forms, "RetentionWorker", made.worker)
    monkeypatch.setattr(demo_pipeline, "PATIENCE", 0.2)
    monkeypatch.setattr(demo_pipeline, "LOOK_SECONDS", 0.01)
    yield made
    ledger.close()


@pytest.fixture
def console() -> Console:
    return Console(record=True, width=120)


@pytest.fixture
async def run(
    pipeline: Pipeline, aiohttp_server: AiohttpServer, console: Console, settings: Settings
) -> Callable[[], Any]:
    app = web.Application()
    app.add_routes([web.post("/v1/forms/sample-request", pipeline.submit)])
    server = await aiohttp_server(app)
    collector = settings.collector.model_copy(update={"port": server.port})
    reached = settings.model_copy(update={"collector": collector})
    return FormsDemo(console, reached, seed=7).run


async def test_the_way_of_a_form_to_its_certificate_is_shown(
    run: Callable[[], Any], console: Console
) -> None:
    assert await run() == "deletion-1"
    shown = console.export_text()
    assert "robin-00000007@example.com" in shown
    assert b"c".hex() * 12 in shown
    assert "Certificate of deletion deletion-1" in shown
    assert "the signature holds" in shown


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("the case is another's", "something else than what was filled in"),
        ("keys for everybody", "marketing is given the key"),
        ("nothing is sealed", "something personal can be read on form-submissions"),
        ("a key is left", "the ledger still has the case or its keys"),
        ("keys for ever", "sales is given the key of a case that is over"),
        ("the reader forgets nothing", "can still read the case"),
        ("no tombstone", "has no tombstone"),
        ("the CRM erases nothing", "holds it"),
        ("no certificate", "for the certificate of the deletion"),
        ("a forged certificate", "not signed with this installation's key"),
    ],
)
async def test_what_must_not_be_is_an_error(
    run: Callable[[], Any], pipeline: Pipeline, fault: str, said: str
) -> None:
    pipeline.faults.add(fault)
    with pytest.raises(DemoError, match=said):
        await run()
