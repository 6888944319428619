"""From the end of many cases to their certificates: worker, broker and a holder outside (S3)."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import insert

from privacy.certificate import canonical
from sinks.ledger import cases, deletion, tables
from sinks.ledger.cases import Deletion
from sinks.ledger.ledger import Ledger
from sinks.signing import Signer, verify
from streams.shared import now

pytestmark = pytest.mark.broker

COUNT = 300
HELD = 200


def begin_and_end(ledger: Ledger, case_ids: list[str]) -> None:
    row = {
        "service": "sample-request", "group_id": None, "site": "shop", "subject": None,
        "state": "ended", "language": None, "received_at": 1, "changed_at": 1, "due_at": None,
        "key_version": 1, "sealed": {}, "settings": {}, "further": None,
    }  # fmt: skip
    at = now()
    with ledger.transaction() as connection:
        connection.execute(insert(tables.cases), [{"case_id": each, **row} for each in case_ids])
        keys = {"department": "sales", "wrapped": b"w" * 40, "made_at": at}
        connection.execute(
            insert(tables.case_keys), [{"case_id": each, **keys} for each in case_ids]
        )
        cases.end(
            connection,
            [
                Deletion(
                    f"d-{each}", each, "sample-request", ["sales"], ["crm"], "delivered", "e-1",
                    at, at + 60_000,
                )
                for each in case_ids
            ],
        )  # fmt: skip


def certificates(ledger: Ledger) -> dict[str, Any]:
    with ledger.reading() as connection:
        found = deletion.latest(connection, 1_000)
    return {each.deletion.case_id: each.certificate for each in found if each.certificate}


def test_cases_that_are_over_go_from_ledger_topic_and_holder_and_that_is_certified(
    idle_company: Any, eventually: Callable[..., Any]
) -> None:
    """S3, S20; what a kill on the way leaves, ``ledger/test_shredding.py`` shows."""
    company = idle_company
    company.work("worker", "delete", "receipts", "overdue")
    company.hold("crm")
    case_ids = [f"case-{number}" for number in range(COUNT)]
    for each in case_ids[:HELD]:
        company.crm.keep(each, {"email": f"{each}@example.com"})
    company.crm.keep("other", {"email": "other@example.com"})
    begin_and_end(company.ledger, case_ids)
    signed = eventually(
        lambda: found if len(found := certificates(company.ledger)) == COUNT else None,
        lambda: f"all certificates; {len(certificates(company.ledger))} are there",
    )
    assert list(company.crm.contacts()) == ["other"]
    public = Signer.under(company.settings.secrets).public
    for case_id, each in signed.items():
        content = each["certificate"]
        assert verify(public, canonical(content), each["signature"])
        (holder,) = content["holders"]
        held = int(case_id.removeprefix("case-")) < HELD
        assert holder["outcome"] == ("done" if held else "nothing_held")
    told = company.messages("cases-sales", "case")
    assert {each.key for each in told} == {*case_ids}
    assert not any(each.record for each in told)
    asked = company.messages("deletions", "deletion")
    assert {each.record["deletion_id"] for each in asked} == {f"d-{each}" for each in case_ids}
    with company.ledger.reading() as connection:
        assert not deletion.traces(connection, case_ids)
