"""A department reads its cases: broker, key server and commands as they run (S2)."""

import itertools
import json
from base64 import b64encode
from collections.abc import Mapping
from typing import Any

import pytest
from sqlalchemy import select

from lethe import Ended, KeysUnavailableError
from lethe.local.process import choose_port
from privacy.lifecycle import CaseState
from schemas.codec import encode
from sinks.kafka import BatchProducer
from sinks.keys.keks import Keks
from sinks.keys.seal import seal
from sinks.keys.vault import Vault
from sinks.ledger import cases, keys, tables
from sinks.ledger.cases import Case

pytestmark = pytest.mark.broker

NOW = 1_792_665_000_000  # 2026-10-22T10:30:00Z


class Desk:
    """Lets cases of a company's marketing in, tells departments of them, and ends them."""

    def __init__(self, company: Any) -> None:
        self._company = company
        self._vault = Vault(Keks.under(company.settings.secrets))
        kafka = company.settings.kafka
        self._producer = BatchProducer(kafka.bootstrap, kafka.options)
        self._numbers = itertools.count(1)

    def submit(self, fields: Mapping[str, str], told: str = "marketing") -> str:
        """Let a case of marketing in, and tell a department of it; return its id."""
        case_id = f"c-{next(self._numbers)}"
        with self._company.ledger.transaction() as connection:
            key = self._vault.make(connection, case_id, ["marketing"], NOW)
            sealed = seal(key, fields, site="shop.example", case_id=case_id)
            case = Case(
                case_id=case_id, service="newsletter", group_id=None, site="shop.example",
                subject=None, state=CaseState.OPEN, language="nl", received_at=NOW,
                changed_at=NOW, due_at=None, key_version=1,
                sealed={name: b64encode(each).decode() for name, each in sealed.items()},
                settings={}, further=None,
            )  # fmt: skip
            cases.add(connection, [case])
        record = {
            "case_id": case_id, "site": "shop.example", "service": "newsletter",
            "department": told, "group": None, "state": "open", "language": "nl",
            "received_at": NOW, "changed_at": NOW, "key_version": 1, "sealed": sealed,
            "settings": {},
        }  # fmt: skip
        self._send(told, case_id, encode("case", record))
        return case_id

    def shred(self, case_id: str) -> None:
        """Delete a case's key."""
        with self._company.ledger.transaction() as connection:
            keys.shred(connection, [case_id])
        assert self._company.ledger.checkpoint()

    def end(self, case_id: str) -> None:
        """Tell marketing that a case is over."""
        self._send("marketing", case_id, None)

    def _send(self, department: str, case_id: str, value: bytes | None) -> None:
        topic = self._company.settings.topic(f"cases-{department}")
        self._producer.send(topic, [value], [case_id.encode()])
        self._producer.stored()


@pytest.fixture(scope="module")
def company(idle_company: Any) -> Any:
    """Start the key server alone."""
    idle_company.serve_keys()
    return idle_company


@pytest.fixture(scope="module")
def desk(company: Any) -> Desk:
    return Desk(company)


def test_S2_a_department_reads_its_cases_and_no_other_does(company: Any, desk: Desk) -> None:  # noqa: N802
    fields = {"email": "lena@example.com", "city": "Ghent"}
    first, second = desk.submit(fields), desk.submit({"email": "omar@example.com"})
    third = desk.submit(fields, told="research")  # as if somebody had mixed them up
    ours = company.sees("marketing")
    assert ours.keys() & {first, second, third} == {first, second}
    assert dict(ours[first].fields) == fields
    assert dict(ours[second].fields) == {"email": "omar@example.com"}
    assert company.sees("research") == {}
    asked = json.loads(company.lethe("keys", "uses", third, "--format", "json"))
    assert [(each["department"], each["outcome"]) for each in asked] == [("research", "refused")]


def test_after_its_key_is_gone_a_case_can_be_read_for_a_minute_at_most(
    company: Any, desk: Desk
) -> None:
    now = 0.0
    case_id = desk.submit({"email": "lena@example.com"})
    with company.reader("marketing", steady=lambda: now) as reader:
        assert case_id in reader.present()
        desk.shred(case_id)
        now = 60.0
        assert case_id not in reader.present()
    assert case_id not in company.sees("marketing")


def test_in_a_group_each_change_comes_once_at_least_and_the_end_too(
    company: Any, desk: Desk
) -> None:
    case_id = desk.submit({"email": "lena@example.com"})

    def first() -> Any:
        with company.reader("marketing", group="crm") as reader:
            return next(each for each in reader if each.case_id == case_id)

    assert first().fields == {"email": "lena@example.com"}
    desk.end(case_id)
    assert first() == Ended(case_id)


def test_without_the_key_server_nothing_is_passed_over(company: Any, desk: Desk) -> None:
    desk.submit({"email": "lena@example.com"})
    nobody = f"http://127.0.0.1:{choose_port(0)}"
    with (
        company.reader("marketing", keys_url=nobody) as reader,
        pytest.raises(KeysUnavailableError),
    ):
        reader.present()


def test_the_commands_show_it(company: Any, desk: Desk) -> None:
    case_id = desk.submit({"email": "ada@example.com", "remarks": "[bold]"})
    shown = json.loads(company.lethe("cases", "marketing", "--format", "json"))
    assert [each["fields"] for each in shown if each["case_id"] == case_id] == [
        {"email": "ada@example.com", "remarks": "[bold]"}
    ]
    assert "ada@example.com" in company.lethe("cases", "marketing", "--service", "newsletter")
    kept = company.lethe("cases", "marketing", "--state", "kept", "--format", "json")
    assert json.loads(kept) == []
    with company.ledger.reading() as connection:
        ours = select(tables.case_keys).where(tables.case_keys.c.department == "marketing")
        count = len(connection.execute(ours).all())
    assert f" {count} cases" in company.lethe("keys", "rotate", "marketing")
    assert "ada@example.com" in company.lethe("cases", "marketing")
    assert company.lethe("keys", "init") == "every department has its key and its token\n"
    assert "cases-research" in company.lethe("topics")
