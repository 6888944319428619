"""A whole company for the tests of a module: every process of a policy, and holders outside."""

import json
import secrets
import sys
import threading
import urllib.error
import urllib.request
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from typer.testing import CliRunner

from lethe import CaseReader, RetentionWorker, RightsWorker
from lethe.case_keys import KeysUnavailableError
from lethe.case_reader import Case
from lethe.cli import app
from lethe.holding import HolderWorker
from lethe.local.process import Process, Supervisor, choose_port
from lethe.standins.crm import Crm
from privacy.certificate import canonical
from privacy.policy import FieldKind, FormField
from schemas.codec import decode, encode
from sinks.kafka import BatchProducer
from sinks.kafka_admin import create_topics
from sinks.ledger.ledger import Ledger
from sinks.signing import verify
from streams.keys.prepare import prepare
from streams.keys.tokens import of_holder
from streams.policy import load as load_policy
from streams.settings import Collector, Keys, Settings
from streams.shared import Shared, ledger_url, now
from tests.waiting import PATIENCE, until

# The embedded broker answers at once that there is nothing, and is asked again at once: a holder
# that waits for deletions keeps a core busy.
HOLDERS_WAIT_SECONDS = 0.01
SITE, SITE_KEY = "shop.example", "demo-shop-key"
LOOPS = ("cases", "closures", "delete", "receipts")
COMMANDS = CliRunner()
NOTICE = {"notice_id": "banner", "notice_version": "7"}


class Message(NamedTuple):
    """A message with its record; None: a tombstone."""

    key: str
    record: Any


def of_company(settings: Settings, folder: Path, policy: Path) -> Settings:
    """Return the settings of a company of its own below ``folder``, on the engines of others."""
    update = {
        "secrets_dir": folder / "secrets",
        "policy": policy,
        # What a dead worker held goes to another this soon.
        "kafka": settings.kafka.model_copy(update={"session_seconds": 6.0}),
        "collector": Collector(port=choose_port(0)),
        "keys": Keys(port=choose_port(0)),
        "metrics_port": 0,
    }
    return settings.model_copy(update=update)


class Company:
    """What one company runs. What people fill in freely bears one of its ``marks``."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        assert settings.policy is not None
        self.policy = load_policy(settings.policy)
        self.settings = settings
        self.folder = folder
        # No other file on this machine has them.
        self.marks = f"x{secrets.token_hex(8)}", f"+99{secrets.randbelow(9 * 10**7) + 10**7}"
        self.supervisor, self.workers = watching(), watching()
        self.crm = Crm(folder / "crm.db")
        self._stop = threading.Event()
        self._holders: list[threading.Thread] = []
        self._failures: list[BaseException] = []
        kafka = settings.kafka
        create_topics(
            kafka.bootstrap, kafka.options, kafka.prefix,
            departments=self.policy.departments, holders=self.policy.holders,
        )  # fmt: skip
        prepare(settings.secrets, self.policy)
        self.ledger = Ledger.open(ledger_url(settings))
        self._producer = BatchProducer(kafka.bootstrap, kafka.options)
        self.environment = settings.environment() | {"COLUMNS": "200"}
        self._public = self.lethe("deletions", "key")

    def start(self) -> None:
        """Start collector, key server and a worker."""
        self.collect()
        self.serve_keys()
        self.work("worker")

    def collect(self) -> None:
        """Start the collector."""
        self.supervisor.run(
            self.process("collector", "collect", ports=[self.settings.collector.port])
        )

    def serve_keys(self) -> None:
        """Start the key server."""
        self.supervisor.run(self.process("keys", "keys", "serve", ports=[self.settings.keys.port]))

    def work(self, name: str, *loops: str) -> Process:
        """Start a worker with those loops; none: all that a case needs."""
        words = [word for each in loops or LOOPS for word in ("--only", each)]
        process = self.process(name, "worker", *words)
        self.workers.run(process)
        return process

    def rest(self) -> None:
        """Stop the workers; others may be started."""
        self.workers.stop()
        self.workers = watching()

    def process(self, name: str, *words: str, ports: list[int] | None = None) -> Process:
        return Process(
            name,
            [sys.executable, "-m", "lethe", *words],
            self.folder / "logs" / f"{name}.log",
            ports or (),
            self.environment,
        )

    def hold(self, *holders: str) -> None:
        """Start the holders outside; all keep what they have in the same small CRM."""
        kafka = self.settings.kafka
        usual: dict[str, Any] = {"prefix": kafka.prefix, "retry_seconds": 0.2}
        keys_url = f"http://127.0.0.1:{self.settings.keys.port}"
        for holder in holders:
            self._employ(RetentionWorker(kafka.bootstrap, holder, **usual), self.crm.erase)
            if self.policy.rights is not None:
                token = (self.settings.secrets / "departments" / of_holder(holder)).read_text()
                self._employ(
                    RightsWorker(kafka.bootstrap, holder, keys_url=keys_url, token=token, **usual),
                    self.crm.handlers,
                )

    def _employ(self, worker: HolderWorker[Any, Any], handle: Any) -> None:
        """Have a holder's worker work in a thread of its own, until all stops."""

        def work() -> None:
            try:
                with worker:
                    while not self._stop.wait(0.2):
                        worker.turn(handle)
            except BaseException as error:  # noqa: BLE001 - raised again by ``stop``
                self._failures.append(error)

        thread = threading.Thread(target=work, name=type(worker).__name__)
        self._holders.append(thread)
        thread.start()

    def stop(self) -> None:
        """Stop all. Raise what ended a holder before: then its answers were waited for in vain."""
        self._stop.set()
        for each in self._holders:
            each.join(PATIENCE)
        self.workers.stop()
        self.supervisor.stop()
        self.ledger.close()
        del self._producer  # or it would look for the broker as long as it is there
        if self._failures:
            raise self._failures[0]

    def lethe(self, *words: str, code: int = 0) -> str:
        """Run a command here and return what it printed."""
        done = COMMANDS.invoke(app, words, env=self.environment)
        assert done.exit_code == code, (words, done.output, done.exception)
        return done.stdout

    def fill_in(self, service: str, **given: Any) -> dict[str, Any]:
        """Return the fields of a form, made up and unlike any other's."""
        fields = self.policy.services[service].fields
        filled = {name: self._value(name, each) for name, each in fields.items()} | given
        return {name: each for name, each in filled.items() if each is not None}

    def _value(self, name: str, field: FormField) -> Any:
        word, digits = self.marks
        token = f"{word}{secrets.token_hex(4)}"
        made: Mapping[FieldKind, Any] = {
            FieldKind.TEXT: f"{name} {token}",
            FieldKind.LONG_TEXT: f"{name}\n{token}",
            FieldKind.EMAIL: f"{token}@example.com",
            FieldKind.PHONE: f"{digits}{secrets.randbelow(10**5)}",
            FieldKind.COUNTRY: "LU",
            FieldKind.CHOICE: field.options[0] if field.options else "",
            FieldKind.DATE: "2027-03-01",
            FieldKind.BOOLEAN: True,
            FieldKind.NUMBER: 3,
        }
        return made[field.kind]

    def post(self, service: str, body: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        """Send a form as a site does; return the answer's status and body."""
        return self.call(f"/v1/forms/{service}", body)

    def call(self, path: str, body: Any = None) -> tuple[int, dict[str, Any]]:
        """Post what a site sends, or get what it asks where there is nothing to send."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.settings.collector.port}{path}",
            None if body is None else json.dumps(body).encode(),
            {"X-Lethe-Key": SITE_KEY, "Content-Type": "application/json"},
        )
        return _answer(request)

    def submit(self, service: str, *, group: str | None = None, **more: Any) -> str:
        """Fill in a form and send it; return the case's id."""
        body: dict[str, Any] = {"fields": self.fill_in(service, **more.pop("fields", {})), **more}
        if group is not None:
            body["group"] = group
        status, answer = self.post(service, body)
        assert status == 202, answer
        return str(answer["case_id"])

    def choose(self, visitor: str, decision: str, *purposes: str) -> int:
        """Have a visitor choose; return the epoch of the last choice."""
        changes = [
            {"cookie_id": visitor, "purpose": each, "decision": decision, "how": "banner", **NOTICE}
            for each in purposes
        ]
        status, answer = self.call("/v1/consent", {"changes": changes})
        assert status == 202, answer
        return int(answer["epochs"][purposes[-1]])

    def report(
        self, event: str, service: str, *, case: str | None = None, group: str | None = None
    ) -> None:
        """Report a service event, as a department's own system does."""
        told = {
            "event_id": str(uuid.UUID(bytes=secrets.token_bytes(16), version=4)),
            "service": service, "event": event, "case_id": case, "group": group, "at": now(),
            "by": "back-office", "details": {},
        }  # fmt: skip
        key = (case or group or "").encode()
        topic = self.settings.topic("service-events")
        self._producer.send(topic, [encode("service_event", told)], [key])
        self._producer.stored()

    def reader(self, department: str, **options: Any) -> CaseReader:
        """Return a reader with the department's own token."""
        kafka = self.settings.kafka
        usual = {
            "keys_url": f"http://127.0.0.1:{self.settings.keys.port}",
            "token": (self.settings.secrets / "departments" / department).read_text(),
            "prefix": kafka.prefix,
        }
        return CaseReader(kafka.bootstrap, department, **usual | options)

    def sees(self, department: str) -> Mapping[str, Case]:
        """Return what a department reads at present; where the ledger is busy, a little later."""

        def present() -> list[Mapping[str, Case]]:
            with suppress(KeysUnavailableError), self.reader(department) as reader:
                return [reader.present()]
            return []

        (found,) = until(present, "keys")
        return found  # type: ignore[no-any-return]

    def sees_in(self, department: str, case_id: str, state: str) -> Case:
        """Wait until a department reads a case in a state, and return it."""

        def found() -> Case | None:
            case = self.sees(department).get(case_id)
            return case if case is not None and case.state == state else None

        return until(found, f"a case of {department} to be {state}")

    def asks(self, department: str, case_ids: list[str]) -> dict[str, str | None]:
        """Ask the key server for keys, with the department's token."""
        token = (self.settings.secrets / "departments" / department).read_text()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.settings.keys.port}/v1/keys",
            json.dumps({"case_ids": case_ids}).encode(),
            {"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        )
        status, answer = _answer(request)
        assert status == 200, answer
        keys: dict[str, str | None] = answer["keys"]
        return keys

    def messages(self, topic: str, record: str) -> list[Message]:
        """Read a topic from its first offset to its present end; of each partition in order.

        What is of nobody (``streams.deletion.rolling``) is left out.
        """
        found = []
        for message in self.lying(topic):
            value = message.value()
            read = None if value is None else decode(record, value)
            found.append(Message((message.key() or b"").decode(), read))
        return [each for each in found if each != Message("", None)]

    def lying(self, topic: str) -> list[Any]:
        """Return what lies on a topic at present, as Kafka's client hands it over."""
        return list(Shared(self.settings).places.kept(self.settings.topic(topic)))

    def notices(self, case_id: str) -> list[str]:
        """Return what the subject of a case was told, in order."""
        told = self.messages("notices", "notice")
        return [each.record["kind"] for each in told if each.key == case_id]

    def certified(self, case_id: str) -> dict[str, Any]:
        """Wait for a deletion's certificate, check its signature and return what it says.

        Then nobody can read the case any more.
        """
        rows = until(
            lambda: [each for each in self.deletions(case_id) if each["completed_at"]],
            lambda: f"the deletion of a case: {self.deletions(case_id)}",
        )
        assert len(rows) == 1
        signed = json.loads(self.lethe("deletions", "certificate", case_id, "--format", "json"))
        content: dict[str, Any] = signed["certificate"]
        assert verify(self._public, canonical(content), signed["signature"])
        assert (content["case_id"], content["in_time"]) == (case_id, True)
        service = self.policy.services[content["service"]]
        for department in service.departments:
            assert self.asks(department, [case_id]) == {case_id: None}
            topic = self.messages(f"cases-{department}", "case")
            assert [each.record for each in topic if each.key == case_id][-1] is None
        holders = set(self.policy.holders_of(content["service"]))
        assert {each["holder"] for each in content["holders"]} == holders
        return content

    def deletions(self, case_id: str) -> list[dict[str, Any]]:
        """Return what the command says of a case's deletion."""
        rows = json.loads(self.lethe("deletions", "--limit", "1000", "--format", "json"))
        return [each for each in rows if each["case_id"] == case_id]


def watching() -> Supervisor:
    supervisor = Supervisor()
    supervisor.start()
    return supervisor


def _answer(request: urllib.request.Request) -> tuple[int, dict[str, Any]]:
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())
