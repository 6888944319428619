"""A department reads its cases: broker, key server and commands as they run (S2)."""

import json
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from lethe import CaseReader, Ended, KeysUnavailableError
from lethe.local.process import choose_port
from privacy.lifecycle import CaseState
from schemas.codec import encode
from sinks.kafka import BatchProducer
from sinks.kafka_admin import create_topics
from sinks.keys.keks import Keks
from sinks.keys.seal import seal
from sinks.keys.vault import Vault
from sinks.ledger import cases, keys
from sinks.ledger.cases import Case
from sinks.ledger.ledger import Ledger
from streams.settings import Keys, Settings
from streams.shared import ledger_url

pytestmark = pytest.mark.broker

NOW = 1_792_665_000_000  # 2026-10-22T10:30:00Z
POLICY = """\
version = "1"
[controller]
name = "Example Trading"
contact = "privacy@www.example"
[authority]
name = "Example Authority"
address = "Street 1, Ghent"
complaint = "You may complain there (Art. 77 GDPR)."
[departments.marketing]
title = "Marketing"
contact = "marketing@www.example"
[departments.people]
title = "People"
contact = "people@www.example"
[services.sample]
title = "Sample"
life_cycle = "sample"
departments = ["marketing"]
legal_basis = "Art. 6(1)(b) GDPR"
purposes = ["Sending what was asked for"]
[services.sample.fields.email]
title = "E-mail"
kind = "email"
mandatory = true
"""


class Company:
    """What runs for the departments of one invented company."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        (folder / "policy.toml").write_text(POLICY)
        self.settings = settings.model_copy(
            update={
                "secrets_dir": folder / "secrets",
                "policy": folder / "policy.toml",
                "keys": Keys(port=choose_port(0)),
            }
        )
        kafka = self.settings.kafka
        create_topics(
            kafka.bootstrap, kafka.options, kafka.prefix, departments=["marketing", "people"]
        )
        self.lethe("keys", "init")
        self.ledger = Ledger.open(ledger_url(self.settings))
        self.vault = Vault(Keks.under(self.settings.secrets))
        self._producer = BatchProducer(kafka.bootstrap, kafka.options)
        self.server = subprocess.Popen(
            [sys.executable, "-m", "lethe", "keys", "serve"],
            env=self.settings.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.server.stdout
        assert self.server.stdout.readline().startswith("Key server: http://127.0.0.1:")

    def lethe(self, *words: str) -> str:
        """Run a command and return what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "lethe", *words],
            env=self.settings.environment() | {"COLUMNS": "200"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def submit(self, case_id: str, fields: Mapping[str, str], told: str = "marketing") -> None:
        """Let a case of marketing in, and tell a department of it."""
        with self.ledger.transaction() as connection:
            key = self.vault.make(connection, case_id, ["marketing"], NOW)
            sealed = seal(key, fields, site="shop.example", case_id=case_id)
            case = Case(
                case_id=case_id, service="sample", group_id=None, site="shop.example",
                subject=None, state=CaseState.OPEN, language="nl", received_at=NOW,
                changed_at=NOW, due_at=None, key_version=1,
                sealed={name: b64encode(each).decode() for name, each in sealed.items()},
                settings={}, further=None,
            )  # fmt: skip
            cases.add(connection, [case])
        record = {
            "case_id": case_id, "site": "shop.example", "service": "sample", "department": told,
            "group": None, "state": "open", "language": "nl", "received_at": NOW,
            "changed_at": NOW, "key_version": 1, "sealed": sealed, "settings": {},
        }  # fmt: skip
        self._send(told, case_id, encode("case", record))

    def shred(self, case_id: str) -> None:
        """Delete a case's key."""
        with self.ledger.transaction() as connection:
            keys.shred(connection, [case_id])
        assert self.ledger.checkpoint()

    def end(self, case_id: str) -> None:
        """Tell marketing that a case is over."""
        self._send("marketing", case_id, None)

    def reader(self, department: str, **options: Any) -> CaseReader:
        """Return a reader with the department's own token."""
        token = (self.settings.secrets / "departments" / department).read_text()
        kafka = self.settings.kafka
        return CaseReader(
            kafka.bootstrap,
            department,
            keys_url=f"http://127.0.0.1:{self.settings.keys.port}",
            token=token,
            prefix=kafka.prefix,
            **options,
        )

    def _send(self, department: str, case_id: str, value: bytes | None) -> None:
        topic = self.settings.topic(f"cases-{department}")
        self._producer.send(topic, [value], [case_id.encode()])
        self._producer.stored()

    def close(self) -> None:
        """Stop it."""
        self.server.terminate()
        self.server.wait(20)
        self.ledger.close()


@pytest.fixture
def company(settings: Settings, tmp_path: Path) -> Iterator[Company]:
    running = Company(settings, tmp_path)
    yield running
    running.close()


def test_S2_a_department_reads_its_cases_and_no_other_does(company: Company) -> None:  # noqa: N802
    fields = {"email": "lena@example.com", "city": "Ghent"}
    company.submit("c-1", fields)
    company.submit("c-2", {"email": "omar@example.com"})
    company.submit("c-3", fields, told="people")  # as if somebody had mixed them up
    with company.reader("marketing") as reader:
        found = reader.present()
    assert {each.case_id: dict(each.fields) for each in found.values()} == {
        "c-1": fields,
        "c-2": {"email": "omar@example.com"},
    }
    with company.reader("people") as reader:
        assert reader.present() == {}
    asked = json.loads(company.lethe("keys", "uses", "c-3", "--format", "json"))
    assert [(each["department"], each["outcome"]) for each in asked] == [("people", "refused")]


def test_after_its_key_is_gone_a_case_can_be_read_for_a_minute_at_most(company: Company) -> None:
    now = 0.0
    company.submit("c-1", {"email": "lena@example.com"})
    with company.reader("marketing", steady=lambda: now) as reader:
        assert reader.present().keys() == {"c-1"}
        company.shred("c-1")
        now = 60.0
        assert reader.present() == {}
    with company.reader("marketing") as reader:
        assert reader.present() == {}


def test_in_a_group_each_change_comes_once_at_least_and_the_end_too(company: Company) -> None:
    company.submit("c-1", {"email": "lena@example.com"})

    def first(group: str) -> Any:
        with company.reader("marketing", group=group) as reader:
            return next(iter(reader))

    group = company.settings.kafka.prefix + "crm"
    assert first(group).fields == {"email": "lena@example.com"}
    company.end("c-1")
    assert first(group) == Ended("c-1")


def test_without_the_key_server_nothing_is_passed_over(company: Company) -> None:
    company.submit("c-1", {"email": "lena@example.com"})
    company.server.terminate()
    company.server.wait(20)
    with company.reader("marketing") as reader, pytest.raises(KeysUnavailableError):
        reader.present()


def test_the_commands_show_it(company: Company) -> None:
    company.submit("c-1", {"email": "lena@example.com", "remarks": "[bold]"})
    shown = json.loads(company.lethe("cases", "marketing", "--format", "json"))
    assert [(each["case_id"], each["fields"]) for each in shown] == [
        ("c-1", {"email": "lena@example.com", "remarks": "[bold]"})
    ]
    assert "lena@example.com" in company.lethe("cases", "marketing", "--service", "sample")
    assert (
        json.loads(company.lethe("cases", "marketing", "--state", "kept", "--format", "json")) == []
    )
    assert "1 cases" in company.lethe("keys", "rotate", "marketing")
    assert "lena@example.com" in company.lethe("cases", "marketing")
    assert company.lethe("keys", "init") == "every department has its key and its token\n"
    assert "cases-people" in company.lethe("topics")
