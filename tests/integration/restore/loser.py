"""A company whose ledger is backed up, lost and restored."""

import json
import secrets
import urllib.error
import urllib.request
import uuid
from pathlib import Path
from typing import Any

from lethe.letters import Letter
from schemas.codec import encode
from sinks.kafka import consumer
from sinks.ledger import consents, requests
from sinks.ledger.ledger import Ledger
from streams.shared import Shared, ledger_url, now
from streams.status import readers
from tests.integration.company import SITE, Company, watching
from tests.waiting import until

PARTS = ("consent", "settle", "cases", "closures", "delete", "receipts", "requests", "rights")


class Loser(Company):
    """All that a ledger remembers, said through the entrances."""

    def open(self) -> None:
        """Start collector, key server, worker and the holders outside."""
        self.run()
        self.hold(*self.policy.holders)

    def run(self) -> None:
        """Start what works on the ledger."""
        self.supervisor = watching()
        self.collect()
        self.serve_keys()
        self.work("worker", *PARTS)
        until(lambda: _is_open(self.settings.collector.port), "the collector")

    def stop_all(self) -> None:
        """Stop what works on the ledger; who had to be killed is missed a session later."""
        self.rest()
        self.supervisor.stop()
        places = Shared(self.settings).places
        groups = {self.settings.kafka.prefix + each for each, _ in readers(self.policy.holders)}
        until(lambda: not places.manned([*groups]), "the groups to be left")

    @property
    def file(self) -> Path:
        return Path(str(ledger_url(self.settings).database))

    def lose(self) -> None:
        """Lose the ledger."""
        self.ledger.close()
        for each in self.file.parent.glob("ledger.db*"):
            each.unlink()

    def reopen(self) -> None:
        self.ledger = Ledger.open(ledger_url(self.settings))

    def choose(self, visitor: str, decision: str, *purposes: str) -> int:
        """Have a visitor choose, and wait until the ledger knows; return the last epoch."""
        epoch = super().choose(visitor, decision, *purposes)
        until(lambda: self.standing(visitor).epoch >= epoch, "the consent lane")
        return epoch

    def standing(self, visitor: str) -> Any:
        with self.ledger.reading() as connection:
            return consents.standing(connection, SITE, visitor)

    def ask(self, right: str, *words: str) -> tuple[str, str]:
        """Ask for a right; return the request's id and the path of its answer, if that is told."""
        request_id, *url = self.lethe("request", right, *words).split()
        return request_id, "".join(url).partition(str(self.settings.collector.port))[2]

    def ask_by_mail(self, right: str, email: str, *words: str) -> str:
        """Ask for a right and be seen at the desk; return the request's id."""
        request_id, _ = self.ask(right, "--email", email, *words)
        self.letter(request_id, "confirm")
        self.lethe("requests", "confirm", request_id, "--because", "seen at desk 4")
        return request_id

    def letter(self, request_id: str, kind: str) -> Letter:
        def found() -> Letter | None:
            lines = self.lethe("letters", "--request", request_id, "--json").splitlines()
            letters = (Letter(**json.loads(each)) for each in lines)
            return next((each for each in letters if each.kind == kind), None)

        letter: Letter = until(found, f"a letter: {kind}")
        return letter

    def state(self, request_id: str) -> str | None:
        with self.ledger.reading() as connection:
            found = requests.get(connection, request_id)
        return None if found is None else found.state.value

    def fetch(self, link: str) -> int:
        """Press the button of an answer's page; return the status."""
        path = link[link.index("/v1/") :]
        url = f"http://127.0.0.1:{self.settings.collector.port}{path}"
        try:
            with urllib.request.urlopen(url, b"") as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            return error.code

    def route(self, visitor: str, epoch: int, *, delivered: bool) -> str:
        """Put an event on a provider's topic, that was ``delivered`` or is still to be."""
        event_id = str(uuid.UUID(bytes=secrets.token_bytes(16), version=4))
        record = {
            "event_id": event_id, "site": SITE, "cookie_id": visitor, "occurred_at": now(),
            "consent_epoch": epoch, "page": None, "conversion": None, "audience": "222",
            "member": True, "ids": {"fbp": "fb.1.1795424000000.100000007"}, "user_agent": None,
        }  # fmt: skip
        topic = self.settings.topic("ads-meta")
        self._producer.send(topic, [encode("ad_event", record)], [f"{SITE}|{visitor}".encode()])
        self._producer.stored()
        if delivered:
            kafka = self.settings.kafka
            client = consumer(kafka.bootstrap, f"{kafka.prefix}deliver-meta", kafka.options)
            client.subscribe([topic])
            try:
                until(lambda: client.consume(10, 0.2), "the event")
                client.commit(asynchronous=False)
            finally:
                client.close()
        return event_id

    def keys_of(self, case_id: str) -> list[bytes]:
        """Return a case's key, as the ledger has it for each department."""
        with self.ledger.reading() as connection:
            rows = connection.exec_driver_sql(
                "SELECT wrapped FROM case_keys WHERE case_id = ?", (case_id,)
            )
            return [bytes(each.wrapped) for each in rows]


def _is_open(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5).close()
    except OSError:
        return False
    return True
